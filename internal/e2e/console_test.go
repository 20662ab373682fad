package e2e

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"credence/internal/testenv"
)

// A person signs in to the console at a real OpenID provider, in a real browser, by keyboard alone; picks a role, reads the pages, and signs out. Pictures of all, narrow and
// wide, light and dark, are in e2e-screenshots.
func TestConsole(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v := realVendor(e)
	client := v.clients["console"]
	do := func(operation string, in object) testenv.Answer {
		t.Helper()
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		a := e.Admin.Call("/credence/"+operation, string(text))
		if a.Status/100 != 2 {
			t.Fatalf("%s: %s", operation, a.Body)
		}
		return a
	}
	var provider struct{ RedirectURI, SignInURL string }
	if err := json.Unmarshal([]byte(do("PutSignInProvider", object{"name": "people", "issuer": v.issuer, "clientId": client.ID, "clientSecret": client.Secret}).Body), &provider); err != nil {
		t.Fatal(err)
	}
	v.register(t, "console", provider.RedirectURI)
	_, host, _ := strings.Cut(v.issuer, "://")
	role := func(name, group, policy string) {
		do("CreateRole", object{"roleName": name, "assumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + v.issuer + `"},"Action":"credence:SignIn",` +
			`"Condition":{"StringEquals":{"` + host + `:aud":"` + client.ID + `"},"ForAnyValue:StringEquals":{"` + host + `:groups":"` + group + `"}}}}`})
		if policy != "" {
			do("PutRolePolicy", object{"roleName": name, "policyName": "p", "policyDocument": policy})
		}
	}
	const everything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	role("auditor", "owners", everything)
	role("guest", "staff", "")
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	e.Admin.Consent("agent", "vendor", "alice")
	e.Admin.CreateWorkload(longName)
	e.Admin.WAT(longName, longUser)
	e.Admin.WAT("agent", markup)
	e.NewUser(testenv.Account, "nobody", "").Call("/identities/GetWorkloadIdentity", `{"name":"agent"}`)

	b := newTab(t)
	// at is a page: what it says, that it does nothing by itself, and how it looks.
	at := func(name, heading string) {
		t.Helper()
		b.reads(heading)
		b.fetchesNothing()
		if happened := evaluate[[]string](b, intrusions); len(happened) > 0 {
			t.Errorf("%s lets happen: %q", name, happened)
		}
		b.visit(b.address())
		b.reads(heading)
		b.looks("console " + name)
		run(b, "resize", chromedp.EmulateViewport(1280, 800))
	}
	// tab goes on to the control that shows a text, by the keyboard.
	tab := func(text string) {
		t.Helper()
		for range 30 {
			b.press(tabKey)
			if evaluate[string](b, `document.activeElement.matches(':focus-visible') ? (document.activeElement.innerText || document.activeElement.name || '') : ''`) == text {
				if outline := evaluate[string](b, `getComputedStyle(document.activeElement).outline`); !strings.Contains(outline, "solid") || strings.Contains(outline, "0px") {
					t.Errorf("the focus on %q is not to be seen: outline %s", text, outline)
				}
				return
			}
		}
		t.Fatalf("Tab does not reach %q; %s", text, b)
	}
	login := func(user string) {
		t.Helper()
		b.fill("[name=login]", user)
		b.fill("[name=password]", "any"+enterKey)
		b.reads("Authorize")
		b.click("button[type=submit]")
	}

	b.visit(e.URL + "/console/audit?outcome=denied")
	at("sign in", "Sign in to Credence")
	tab("account")
	b.press(testenv.Account)
	b.press(tabKey)
	b.press("people" + enterKey)
	b.reads("Sign-in")
	login("ada+owners+staff")
	at("roles", "As which role?")
	if got := evaluate[[]string](b, `[...document.querySelectorAll('main button')].map((b) => b.innerText)`); !slices.Equal(got, []string{"auditor", "guest"}) {
		t.Errorf("roles %q", got)
	}
	tab("auditor")
	b.shoot("console roles focus")
	b.press(enterKey)
	at("audit denied", "Audit log") // where she wanted to go
	if !strings.Contains(b.String(), "user/nobody") {
		t.Errorf("the denial is not there: %s", b)
	}
	tab("Home")
	b.press(enterKey)
	at("home", "Account "+testenv.Account)
	if said := b.String(); !strings.Contains(said, "ada+owners+staff") || !strings.Contains(said, v.issuer) || !strings.Contains(said, "assumed-role/auditor/") {
		t.Errorf("home says %s", said)
	}
	tab("Audit log")
	b.press(enterKey)
	at("audit", "Audit log")
	if !strings.Contains(b.String(), "onerror=") {
		t.Errorf("the audit log does not say it as it is: %s", b)
	}
	tab("Grants")
	b.press(enterKey)
	at("grants", "Grants")
	// What the browser has is nothing that signs, and a link on another site does not bring it along.
	if evaluate[string](b, `document.cookie`) != "" {
		t.Error("a script reads cookies")
	}
	tab("Sign out")
	b.press(enterKey)
	b.reads("You are signed out")
	b.looks("console signed out")
	b.visit(e.URL + "/console/")
	b.reads("Sign in to Credence")

	// Somebody without rights sees the words of the denial, and somebody whom no role trusts comes not in.
	guest := newTab(t)
	b = guest
	b.visit(provider.SignInURL)
	b.reads("Sign-in")
	login("gus+staff")
	b.reads("Account " + testenv.Account)
	b.visit(e.URL + "/console/audit")
	at("denied", "You may not do this")
	if !strings.Contains(b.String(), "is not authorized to perform: credence:QueryAudit") {
		t.Errorf("the denial says %s", b)
	}
	b = newTab(t)
	b.visit(provider.SignInURL)
	b.reads("Sign-in")
	login("mallory")
	b.reads("You may not come in")
	b.looks("console nobody")
	back, err := url.Parse(b.address())
	if err != nil || back.Query().Get("code") == "" {
		t.Fatalf("at %s", b.address())
	}
	// The same answer in another browser does nothing.
	other := newTab(t)
	other.visit(back.String())
	other.reads("Please start again in this browser")

	// Nobody can sign in: the key of an administrator opens, for a while.
	b = newTab(t)
	key := e.Admin.Credentials()
	b.visit(e.URL + "/console/")
	b.reads("Sign in to Credence")
	tab("Nobody can sign in: break glass")
	b.press(enterKey)
	b.looks("console break glass")
	run(b, "resize", chromedp.EmulateViewport(1280, 800))
	b.press(tabKey)
	b.press(key.AccessKeyID)
	b.press(tabKey)
	b.press(key.SecretAccessKey + enterKey)
	at("home by access key", "Account "+testenv.Account)
	if !strings.Contains(b.String(), "You came by an access key.") {
		t.Errorf("home says %s", b)
	}
}
