package console_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/server"
	"credence/internal/testenv"
)

// Somebody comes by the link, is told who he is, sees the account and goes; the audit log has him by the name that his issuer gives him.
func TestSignIn(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { signInAndOut(t, open(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { signInAndOut(t, open(t, testenv.OnPostgreSQL(t))) })
}

func signInAndOut(t *testing.T, b bed) {
	w := testenv.NewBrowser(t)
	s := b.signIn(w, "people")
	b.inside(s, "auditor")
	for _, want := range []string{"alice", b.Vendor.Issuer(), "assumed-role/auditor/alice@acme.example"} {
		if !strings.Contains(s.text, want) {
			t.Errorf("home does not say %q", want)
		}
	}
	var events []audit.Event
	for _, e := range b.Audit(account) {
		if e.Action == "credence:SignIn" {
			events = append(events, e)
		}
	}
	if len(events) != 1 || events[0].Outcome != audit.Allowed || events[0].Subject != "alice" || events[0].AccessKey == "" || !strings.HasSuffix(events[0].Resources[0], ":role/auditor") {
		t.Errorf("recorded %+v", events)
	}
	handle := b.cookie(w, "credence-console")
	if handle == "" || strings.Contains(handle, "csts1") || len(handle) > 80 {
		t.Errorf("the browser has %q", handle)
	}
	b.Plant(handle)
	for _, c := range w.Client.Jar.Cookies(must(url.Parse(b.URL))) {
		if c.Name != "credence-console" {
			t.Errorf("the browser still has %s", c.Name)
		}
	}
	b.inside(b.browse(w, b.URL+"/console", ""), "auditor")
	if s := b.browse(w, b.URL+"/console/audit?outcome=allowed", ""); s.status != 200 || s.heading() != "Audit log" {
		t.Errorf("audit log: %s", s)
	}
	if s := b.post(w, "/console/sign-out", nil); s.heading() != "You are signed out" {
		t.Errorf("signed out: %s", s)
	}
	b.outside(w)
	// Not even with what the browser had.
	w.Client.Jar.SetCookies(must(url.Parse(b.URL)), []*http.Cookie{{Name: "credence-console", Value: handle, Path: "/"}})
	b.outside(w)
	events = b.Audit(account)
	if last := events[len(events)-1]; last.Action != "credence:SignOut" || last.Subject != "alice" {
		t.Errorf("last recorded %+v", last)
	}
	if n := b.Metric(`credence_console_sign_ins_total{kind="oidc",outcome="ok"}`); n != 1 {
		t.Errorf("%d sign-ins counted", n)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The session's cookie is for this host, unread by scripts, never sent because of another site; that of an attempt comes back with the issuer's redirect, and no further.
func TestCookies(t *testing.T) {
	for _, secure := range []bool{false, true} {
		b := open(t, func(c *server.Config) {
			if secure {
				c.ConsoleURL = "https://credence.example"
			}
		})
		w := testenv.NewBrowser(t)
		prefix := map[bool]string{true: "__Host-"}[secure]
		check := func(resp *http.Response, name string, site http.SameSite) {
			t.Helper()
			defer func() { _ = resp.Body.Close() }()
			for _, c := range resp.Cookies() {
				if strings.HasPrefix(c.Name, prefix+name) && c.MaxAge > 0 {
					if !c.HttpOnly || c.Secure != secure || c.SameSite != site || c.Path != "/" || c.Domain != "" {
						t.Errorf("cookie %s", c.Raw)
					}
					return
				}
			}
			t.Errorf("no cookie %s in %q", prefix+name, resp.Header["Set-Cookie"])
		}
		check(w.Get(b.URL+link(account, "people")), "credence-sign-in-", http.SameSiteLaxMode)
		if !secure {
			check(w.Get(b.callback(w, "people")), "credence-console", http.SameSiteStrictMode)
		}
	}
}

// An answer does nothing in a browser that did not ask for it, and once in the one that did.
func TestCallbackBelongsToItsBrowser(t *testing.T) {
	b := open(t)
	victim, attacker := testenv.NewBrowser(t), testenv.NewBrowser(t)
	stolen := b.callback(attacker, "people")
	exchanged := func() int { return b.Vendor.Count("authorization_code") }
	t.Run("without a cookie", func(t *testing.T) {
		if s := b.browse(victim, stolen, ""); s.heading() != "Please start again in this browser" || s.status != 400 {
			t.Error(s)
		}
	})
	t.Run("with another attempt's", func(t *testing.T) {
		b.callback(victim, "people")
		if s := b.browse(victim, stolen, ""); s.heading() != "Please start again in this browser" {
			t.Error(s)
		}
	})
	t.Run("with another attempt's under its name", func(t *testing.T) {
		mine := testenv.NewBrowser(t)
		own := b.callback(mine, "people")
		at := must(url.Parse(b.URL))
		name := attacker.Client.Jar.Cookies(at)[0].Name
		mine.Client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: mine.Client.Jar.Cookies(at)[0].Value, Path: "/"}})
		if s := b.browse(mine, stolen, ""); s.heading() != "Please start again in this browser" {
			t.Error(s)
		}
		_ = own
	})
	if exchanged() != 0 {
		t.Fatal("a code was sent")
	}
	b.outside(victim)
	t.Run("twice", func(t *testing.T) {
		at := must(url.Parse(b.URL))
		kept := attacker.Client.Jar.Cookies(at)
		b.inside(b.browse(attacker, stolen, ""), "auditor")
		attacker.Client.Jar.SetCookies(at, kept) // it has been told to forget it
		if s := b.browse(attacker, stolen, ""); s.heading() != "This was already answered" || exchanged() != 1 {
			t.Error(s, exchanged())
		}
	})
	t.Run("cancelled, then with a code", func(t *testing.T) {
		w := testenv.NewBrowser(t)
		good := b.callback(w, "people")
		u := must(url.Parse(good))
		q := u.Query()
		q.Del("code")
		q.Set("error", "access_denied")
		u.RawQuery = q.Encode()
		if s := b.browse(w, u.String(), ""); s.status != 403 || !strings.Contains(s.text, "access_denied") {
			t.Error(s)
		}
		if s := b.browse(w, good, ""); s.heading() != "This was already answered" {
			t.Error(s)
		}
	})
	t.Run("with a state of nobody", func(t *testing.T) {
		if s := b.browse(victim, b.URL+"/console/callback/"+account+"/people?code=x&state=y", ""); s.heading() != "Please start again in this browser" {
			t.Error(s)
		}
	})
}

// An answer of one issuer is none of another's, whatever a browser takes where.
func TestIssuersAreNotMixedUp(t *testing.T) {
	b := open(t)
	evil := fakeidp.Start(t)
	evil.AddClient(fakeidp.Client{ID: clientID, Secret: clientSecret})
	b.provider("evil", evil, clientID)
	b.provider("twin", b.Vendor, clientID) // another client of the same issuer would do as well
	cross := func(from, to string) seen {
		w := testenv.NewBrowser(t)
		return b.browse(w, strings.Replace(b.callback(w, from), "/"+from+"?", "/"+to+"?", 1), "")
	}
	for _, c := range [][2]string{{"people", "evil"}, {"evil", "people"}, {"people", "twin"}} {
		if s := cross(c[0], c[1]); s.heading() != "Please start again in this browser" {
			t.Errorf("%s at %s: %s", c[0], c[1], s)
		}
	}
	for name, lie := range map[string]func(*fakeidp.Behaviour){
		"another iss": func(v *fakeidp.Behaviour) { v.LieAboutIss = evil.Issuer() },
		"no iss":      func(v *fakeidp.Behaviour) { v.OmitIss = true },
	} {
		b.Vendor.Set(lie)
		if s := b.signIn(testenv.NewBrowser(t), "people"); s.heading() != "The answer came from another server" {
			t.Errorf("%s: %s", name, s)
		}
		b.Vendor.Set(func(v *fakeidp.Behaviour) { v.LieAboutIss, v.OmitIss = "", false })
	}
	if n := b.Vendor.Count("authorization_code") + evil.Count("authorization_code"); n != 0 {
		t.Errorf("%d codes were sent", n)
	}
	// A code of another person's browser at the same issuer does not fit the verifier.
	one, two := testenv.NewBrowser(t), testenv.NewBrowser(t)
	theirs, mine := must(url.Parse(b.callback(one, "people"))), must(url.Parse(b.callback(two, "people")))
	q := mine.Query()
	q.Set("code", theirs.Query().Get("code"))
	mine.RawQuery = q.Encode()
	if s := b.browse(two, mine.String(), ""); s.heading() != "The identity provider did not vouch for you" {
		t.Errorf("another browser's code: %s", s)
	}
	b.outside(two)
}

// unsigned is a JWT of an algorithm without a signature, or by one that takes a public text for a key.
func unsigned(alg string, key []byte) func(map[string]any) string {
	return func(claims map[string]any) string {
		part := func(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))) }
		text := part(map[string]string{"alg": alg, "typ": "JWT"}) + "." + part(claims)
		if key == nil {
			return text + "."
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
}

// Only an ID token of the provider's issuer, for its client and this attempt, lets anybody in.
func TestIDTokens(t *testing.T) {
	b := open(t)
	stranger := fakeidp.Start(t)
	now := time.Now()
	claims := func(more object) func(*fakeidp.Behaviour) {
		return func(v *fakeidp.Behaviour) {
			v.IDClaims = object{"groups": []any{"admins"}}
			for name, value := range more {
				v.IDClaims[name] = value
			}
		}
	}
	token := func(make func(map[string]any) string) func(*fakeidp.Behaviour) {
		return func(v *fakeidp.Behaviour) { v.IDToken = make }
	}
	for _, c := range []struct {
		name string
		lie  func(*fakeidp.Behaviour)
		want string
	}{
		{"alg none", token(unsigned("none", nil)), "refused"},
		{"HS256 by the client secret", token(unsigned("HS256", []byte(clientSecret))), "refused"},
		{"another issuer's key", token(func(c map[string]any) string { return stranger.Sign(c) }), "refused"},
		{"no JWT", token(func(map[string]any) string { return "abc" }), "refused"},
		{"none", token(func(map[string]any) string { return "" }), "refused"},
		{"another audience", claims(object{"aud": "another-client"}), "refused"},
		{"several audiences", claims(object{"aud": []string{clientID, "another-client"}}), "refused"},
		{"several audiences, for us, which no role trusts", claims(object{"aud": []string{clientID, "another-client"}, "azp": clientID}), "nobody"},
		{"another authorized party", claims(object{"azp": "another-client"}), "refused"},
		{"an authorized party that is no text", claims(object{"azp": []string{clientID}}), "refused"},
		{"expired", claims(object{"exp": now.Add(-2 * time.Minute).Unix()}), "refused"},
		{"without an end", claims(object{"exp": nil}), "refused"},
		{"not valid yet", claims(object{"nbf": now.Add(time.Hour).Unix()}), "refused"},
		{"another issuer", claims(object{"iss": stranger.Issuer()}), "refused"},
		{"without a nonce", claims(object{"nonce": nil}), "refused"},
		{"another nonce", claims(object{"nonce": "abc"}), "refused"},
		{"without a subject", claims(object{"sub": nil}), "refused"},
		{"the group as text", claims(object{"groups": "admins"}), "nobody"},
		{"no group", claims(object{"groups": nil}), "nobody"},
		{"another group", claims(object{"groups": []string{"admins2", "Admins", "admins "}}), "nobody"},
		{"good", claims(nil), "fine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.is("alice", "admins")
			b.Vendor.Set(c.lie)
			w := testenv.NewBrowser(t)
			switch s := b.signIn(w, "people"); c.want {
			case "fine":
				b.inside(s, "auditor")
				return
			case "refused":
				if s.status != 403 || s.heading() != "The identity provider did not vouch for you" {
					t.Error(s)
				}
			case "nobody":
				if s.status != 403 || s.heading() != "You may not come in" || !strings.Contains(s.text, "alice") || !strings.Contains(s.text, b.Vendor.Issuer()) || strings.Contains(s.text, "auditor") {
					t.Error(s)
				}
			}
			b.outside(w)
		})
	}
	denied := 0
	for _, e := range b.Audit(account) {
		if e.Action == "credence:SignIn" && e.Outcome == audit.Denied && e.Subject == "alice" {
			denied++
		}
	}
	if denied == 0 {
		t.Error("whom no role trusts is not recorded")
	}
}

// An address counts when its issuer has verified it.
func TestUnverifiedAddress(t *testing.T) {
	b := open(t)
	b.role("bob", b.Vendor, clientID, `"StringEquals":{"HOST:email":"bob@acme.example"}`, everything)
	for _, c := range []struct {
		verified any
		in       bool
	}{{true, true}, {false, false}, {nil, false}, {"true", false}, {1, false}} {
		b.Vendor.Set(func(v *fakeidp.Behaviour) {
			v.Subject, v.IDClaims = "mallory", object{"email": "bob@acme.example", "email_verified": c.verified}
		})
		if s := b.signIn(testenv.NewBrowser(t), "people"); (s.status == 200) != c.in {
			t.Errorf("email_verified %v: %s", c.verified, s)
		}
	}
}

// Of several roles a person picks, among those that trust him and no others, once.
func TestPickRole(t *testing.T) {
	b := open(t)
	b.role("reader", b.Vendor, clientID, group("staff"), "")
	b.role("owner", b.Vendor, clientID, group("owners"), everything)
	b.is("alice", "admins", "staff")
	w := testenv.NewBrowser(t)
	s := b.signIn(w, "people")
	if s.heading() != "As which role?" || !strings.Contains(s.text, ">auditor<") || !strings.Contains(s.text, ">reader<") || strings.Contains(s.text, "owner") {
		t.Fatal(s.text)
	}
	handle := b.cookie(w, "credence-sign-in-choice")
	b.Plant(handle)
	b.outside(w) // it is no session
	if s := b.post(testenv.NewBrowser(t), "/console/role", url.Values{"role": {"auditor"}}); s.heading() != "This link is not known" {
		t.Errorf("another browser: %s", s)
	}
	b.inside(b.post(w, "/console/role", url.Values{"role": {"reader"}}), "reader")
	w.Client.Jar.SetCookies(must(url.Parse(b.URL)), []*http.Cookie{{Name: "credence-sign-in-choice", Value: handle, Path: "/"}})
	if s := b.post(w, "/console/role", url.Values{"role": {"auditor"}}); s.heading() != "This link is not known" {
		t.Errorf("once more: %s", s)
	}
	two := testenv.NewBrowser(t)
	b.signIn(two, "people")
	if s := b.post(two, "/console/role", url.Values{"role": {"owner"}}); s.heading() != "You may not come in" {
		t.Errorf("a role that does not trust him: %s", s)
	}
	b.outside(two)
	// What was taken back while he thought is not to be had.
	three := testenv.NewBrowser(t)
	b.signIn(three, "people")
	b.must("UpdateAssumeRolePolicy", object{"roleName": "auditor", "policyDocument": trusting(b.Vendor, clientID, group("nobody"))})
	if s := b.post(three, "/console/role", url.Values{"role": {"auditor"}}); s.heading() != "You may not come in" {
		t.Errorf("a role that trusts him no more: %s", s)
	}
}

// A session ends with the next click, whatever ends it, and is of its account alone.
func TestSessionsEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(b bed)
	}{
		{"the role's sessions are revoked", func(b bed) { b.must("RevokeRoleSessions", object{"roleName": "auditor"}) }},
		{"the role is deleted", func(b bed) { b.must("DeleteRole", object{"roleName": "auditor"}) }},
		{"the role is made anew", func(b bed) {
			b.must("DeleteRole", object{"roleName": "auditor"})
			b.role("auditor", b.Vendor, clientID, group("admins"), everything)
		}},
		{"the provider is deleted", func(b bed) { b.must("DeleteSignInProvider", object{"name": "people"}) }},
		{"the provider is made anew", func(b bed) {
			b.must("DeleteSignInProvider", object{"name": "people"})
			b.provider("people", b.Vendor, clientID)
		}},
		{"the provider has another client", func(b bed) { b.provider("people", b.Vendor, "another-client") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t)
			b.NewAccount(other)
			w := testenv.NewBrowser(t)
			b.inside(b.signIn(w, "people"), "auditor")
			b.provider("people", b.Vendor, clientID) // the same again changes nothing
			b.inside(b.browse(w, b.URL+"/console/", ""), "auditor")
			// The handle at another account is none.
			foreign := testenv.NewBrowser(t)
			foreign.Client.Jar.SetCookies(must(url.Parse(b.URL)), []*http.Cookie{{Name: "credence-console", Value: other + strings.TrimPrefix(b.cookie(w, "credence-console"), account), Path: "/"}})
			b.outside(foreign)
			c.end(b)
			b.outside(w)
		})
	}
}

// An attempt ends with its provider.
func TestAttemptsEndWithTheirProvider(t *testing.T) {
	b := open(t)
	w := testenv.NewBrowser(t)
	back := b.callback(w, "people")
	b.provider("people", b.Vendor, "another-client")
	if s := b.browse(w, back, ""); s.heading() != "This sign-in was changed" || b.Vendor.Count("authorization_code") != 0 {
		t.Error(s)
	}
}

// What another site has a browser send does nothing.
func TestOtherSites(t *testing.T) {
	b := open(t)
	w := testenv.NewBrowser(t)
	b.inside(b.signIn(w, "people"), "auditor")
	key := b.Admin.Credentials()
	for _, from := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
	} {
		for path, form := range map[string]url.Values{
			"/console/sign-out":    {},
			"/console/role":        {"role": {"auditor"}},
			"/console/break-glass": {"access-key-id": {key.AccessKeyID}, "secret-access-key": {key.SecretAccessKey}},
		} {
			if s := b.post(w, path, form, from); s.status != 403 || s.heading() != "You may not do this" || !strings.Contains(s.text, "Another site") {
				t.Errorf("%s: %s", path, s)
			}
		}
	}
	b.inside(b.browse(w, b.URL+"/console/", ""), "auditor")
	for _, e := range b.Audit(account) {
		if e.Action == "credence:SignOut" || e.Action == "credence:BreakGlass" {
			t.Errorf("recorded %+v", e)
		}
	}
}

// After a sign-in, people are sent to pages of the console and nowhere else.
func TestNowhereElse(t *testing.T) {
	b := open(t)
	for next, want := range map[string]string{
		"/console/audit?outcome=denied": "/console/audit?outcome=denied",
		"/console/grants":               "/console/grants",
		"//evil.example/console/":       "/console/", "https://evil.example/console/": "/console/", "/console/../../evil": "/console/", "/console//evil.example": "/console/",
		"/\\evil.example": "/console/", "/console/\\evil": "/console/", "/consoles/": "/console/", "javascript:alert(1)": "/console/", "/console/\nSet-Cookie: a=b": "/console/", "": "/console/",
		"/console/%2e%2e/evil": "/console/", "\t/console/": "/console/",
	} {
		w := testenv.NewBrowser(t)
		s := b.browse(w, b.URL+link(account, "people")+"?next="+url.QueryEscape(next), "")
		if s.address != b.URL+want || s.status != 200 {
			t.Errorf("next=%q: %s", next, s)
		}
	}
	// A click without a session comes back to where it went, by hand.
	w := testenv.NewBrowser(t)
	s := b.browse(w, b.URL+"/console/audit?workload=agent", "")
	if s.heading() != "Sign in to Credence" || !strings.Contains(s.text, `name="next" value="/console/audit?workload=agent"`) {
		t.Errorf("%s", s.text)
	}
	s = b.browse(w, b.URL+"/console/sign-in?account="+account+"&provider=people&next="+url.QueryEscape("/console/audit?workload=agent"), "")
	if s.address != b.URL+"/console/audit?workload=agent" {
		t.Errorf("came to %s", s)
	}
}

// Strangers learn nothing of what there is, and pages cannot be framed, scripted or kept.
func TestStrangers(t *testing.T) {
	b := open(t)
	b.NewAccount(other)
	w := testenv.NewBrowser(t)
	unknown := b.browse(w, b.URL+link(account, "nothing"), "")
	for _, path := range []string{link(other, "people"), link("999999999999", "people"), link("abc", "people"), "/console/callback/" + account + "/people", "/console/role", "/console/none", link(account, "people") + "/more"} {
		s := b.browse(w, b.URL+path, "")
		if s.status != unknown.status || s.heading() != unknown.heading() {
			t.Errorf("%s: %s, not %s", path, s, unknown)
		}
	}
	for _, path := range []string{"/console/", "/console/sign-in", link(account, "people"), link(account, "nothing"), "/console/audit", "/console/none"} {
		resp := w.Get(b.URL + path)
		_ = resp.Body.Close()
		h := resp.Header
		if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") ||
			h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has %v", path, h)
		}
	}
	before := len(b.Audit(account))
	for range 3 {
		b.browse(w, b.URL+"/console/callback/"+account+"/people?code=x&state=y", "")
	}
	if n := len(b.Audit(account)); n != before {
		t.Errorf("strangers made %d entries", n-before)
	}
}

// A token of a sign-in assumes no role by the web, and a role for programs lets nobody in.
func TestSignInsAndWebIdentitiesStayApart(t *testing.T) {
	b := open(t)
	token := b.Vendor.Sign(object{"sub": "alice", "aud": clientID, "groups": []string{"admins"}, "nonce": "n"})
	b.Plant(token)
	assume := func(role string) error {
		_, err := b.Admin.STS().AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: new("arn:aws:iam::" + account + ":role/" + role), RoleSessionName: new("session"), WebIdentityToken: &token,
		})
		return err
	}
	if err := assume("auditor"); err == nil || !strings.Contains(err.Error(), "Not authorized to perform sts:AssumeRoleWithWebIdentity") {
		t.Errorf("a sign-in's token: %v", err)
	}
	programs := strings.Replace(trusting(b.Vendor, clientID, `"StringEquals":{"HOST:sub":"alice"}`), "credence:SignIn", "sts:AssumeRoleWithWebIdentity", 1)
	b.must("CreateRole", object{"roleName": "programs", "assumeRolePolicyDocument": programs})
	if err := assume("programs"); err != nil {
		t.Errorf("a role for programs: %v", err)
	}
	b.is("alice")
	if s := b.signIn(testenv.NewBrowser(t), "people"); s.heading() != "You may not come in" {
		t.Errorf("a person as a program: %s", s)
	}
}

// What a provider needs is asked for when it is made, with a word for whoever makes it.
func TestPutSignInProvider(t *testing.T) {
	b := open(t)
	plain := fakeidp.Start(t)
	plain.Set(func(v *fakeidp.Behaviour) { v.ExtraMetadata = object{"authorization_endpoint": nil} })
	lying := fakeidp.Start(t)
	lying.Set(func(v *fakeidp.Behaviour) { v.LieInDiscovery = b.Vendor.Issuer() })
	away := fakeidp.Start(t)
	away.Set(func(v *fakeidp.Behaviour) { v.DiscoveryStatus = 503 })
	for _, c := range []struct {
		name string
		in   object
		says string
	}{
		{"no endpoint", object{"issuer": plain.Issuer()}, "issuer: must be an OpenID Connect issuer whose discovery document names authorization_endpoint"},
		{"another's document", object{"issuer": lying.Issuer()}, "issuer: "},
		{"an issuer that is away", object{"issuer": away.Issuer()}, "HTTP 503"},
		{"another spelling", object{"issuer": b.Vendor.Issuer() + "/"}, "must be written as its discovery document does"},
		{"metadata of a cloud", object{"issuer": "http://169.254.169.254/"}, "issuer: "},
		{"no URL", object{"issuer": "people"}, "issuer: "},
		{"no openid", object{"issuer": b.Vendor.Issuer(), "scopes": []string{"profile"}}, "scopes: must have openid"},
		{"no scope", object{"issuer": b.Vendor.Issuer(), "scopes": []string{"openid", "a b"}}, "scopes: has"},
		{"no name", object{"name": "a/b", "issuer": b.Vendor.Issuer()}, "name"},
	} {
		in := object{"name": "new", "clientId": clientID}
		for name, value := range c.in {
			in[name] = value
		}
		if a := b.call("PutSignInProvider", in); a.Status != 400 || !strings.Contains(a.Message(), c.says) {
			t.Errorf("%s: %d %s", c.name, a.Status, a.Body)
		}
	}
	for i := range 19 {
		b.must("PutSignInProvider", object{"name": fmt.Sprintf("more-%d", i), "issuer": b.Vendor.Issuer(), "clientId": clientID})
	}
	if a := b.call("PutSignInProvider", object{"name": "one-more", "issuer": b.Vendor.Issuer(), "clientId": clientID}); a.Status != 402 && a.Type() != "ServiceQuotaExceededException" {
		t.Errorf("one too many: %d %s", a.Status, a.Body)
	}
	// A public client proves itself by PKCE alone.
	b.Vendor.AddClient(fakeidp.Client{ID: "public", Secret: "never-sent", AuthMethods: []string{fakeidp.Post}})
	b.must("PutSignInProvider", object{"name": "people", "issuer": b.Vendor.Issuer(), "clientId": "public"})
	b.signIn(testenv.NewBrowser(t), "people")
	requests := b.Vendor.Requests()
	last := requests[len(requests)-1]
	if last.Form.Get("grant_type") != "authorization_code" || last.Form.Get("client_id") != "public" || last.Form.Get("code_verifier") == "" || last.Form.Has("client_secret") || last.Header.Get("Authorization") != "" {
		t.Errorf("the code was sent with %v", last.Form)
	}
}

// Requests are pushed where an issuer demands that.
func TestPushedSignIn(t *testing.T) {
	b := open(t)
	pushing := fakeidp.Start(t)
	pushing.Set(func(v *fakeidp.Behaviour) {
		v.Pushed, v.PushRequired, v.IDClaims = true, true, object{"groups": []string{"admins"}}
	})
	pushing.AddClient(fakeidp.Client{ID: clientID, Secret: clientSecret})
	b.provider("pushed", pushing, clientID)
	b.role("other", pushing, clientID, group("admins"), "")
	b.inside(b.signIn(testenv.NewBrowser(t), "pushed"), "other")
}

// With --admin-listen the console is there, and nowhere else.
func TestAdminListener(t *testing.T) {
	b := bare(t, func(c *server.Config) { c.AdminListen = "127.0.0.1:0" })
	at := b.Server.ConsoleURL()
	if at == b.URL || at != "http://"+b.Server.AdminAddr().String() {
		t.Fatalf("the console is at %s", at)
	}
	if s := b.read(testenv.NewBrowser(t).Get(at + "/console/sign-in")); s.heading() != "Sign in to Credence" {
		t.Error(s)
	}
	if s := b.read(testenv.NewBrowser(t).Get(b.URL + "/console/sign-in")); s.status == 200 || strings.Contains(s.text, "Sign in") {
		t.Error(s)
	}
}

// An attempt ends after ten minutes, also in a browser that keeps its cookie for longer.
func TestAttemptsExpire(t *testing.T) {
	b := open(t)
	for _, c := range []struct {
		name string
		left time.Duration
		want string
	}{{"in time", time.Minute, "This sign-in was changed"}, {"late", -time.Second, "Please start again in this browser"}} { // the former gets as far as its made-up incarnation
		handle, err := b.Server.Vault.SealHandle(t.Context(), account, "sign-in attempt", must(json.Marshal(object{"p": "people", "i": "x", "s": "planted-state", "n": "n", "v": "v", "e": time.Now().Add(c.left).Unix()})))
		if err != nil {
			t.Fatal(err)
		}
		w := testenv.NewBrowser(t)
		sum := sha256.Sum256([]byte("planted-state"))
		w.Client.Jar.SetCookies(must(url.Parse(b.URL)), []*http.Cookie{{Name: fmt.Sprintf("credence-sign-in-%x", sum[:8]), Value: handle, Path: "/"}})
		q := url.Values{"code": {"c"}, "state": {"planted-state"}, "iss": {b.Vendor.Issuer()}}
		if s := b.browse(w, b.URL+"/console/callback/"+account+"/people?"+q.Encode(), ""); s.heading() != c.want {
			t.Errorf("%s: %s", c.name, s)
		}
	}
}
