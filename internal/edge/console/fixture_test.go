package console_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"credence/internal/fakeidp"
	"credence/internal/server"
	"credence/internal/testenv"
)

const (
	account = testenv.Account
	other   = "222222222222"

	clientID     = "console-client"
	clientSecret = "planted-console-client-secret"
)

// bed is a server at which people may sign in by the fake vendor: provider people, and role auditor of the group admins, who may do everything.
type bed struct {
	*testenv.Env
	t *testing.T
}

func open(t *testing.T, edit ...func(*server.Config)) bed {
	t.Helper()
	b := bare(t, edit...)
	b.Plant(clientSecret)
	b.Vendor.AddClient(fakeidp.Client{ID: clientID, Secret: clientSecret})
	b.provider("people", b.Vendor, clientID)
	b.role("auditor", b.Vendor, clientID, group("admins"), everything)
	b.is("alice", "admins")
	return b
}

// bare is a server at which nobody signs in yet.
func bare(t *testing.T, edit ...func(*server.Config)) bed {
	t.Helper()
	return bed{testenv.Start(t, edit...), t}
}

const everything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// call is an operation as the administrator.
func (b bed) call(operation string, in any) testenv.Answer {
	b.t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.Admin.Call("/credence/"+operation, string(text))
}

func (b bed) must(operation string, in any) {
	b.t.Helper()
	if a := b.call(operation, in); a.Status/100 != 2 {
		b.t.Fatalf("%s: %d %s", operation, a.Status, a.Body)
	}
}

type object = map[string]any

func (b bed) provider(name string, at *fakeidp.Vendor, client string) {
	b.t.Helper()
	b.must("PutSignInProvider", object{"name": name, "issuer": at.Issuer(), "clientId": client, "clientSecret": clientSecret})
}

// group is a condition on the claim groups, HOST in place of the issuer.
func group(name string) string { return `"ForAnyValue:StringEquals":{"HOST:groups":"` + name + `"}` }

// trusting is a trust policy of people.
func trusting(at *fakeidp.Vendor, client, condition string) string {
	_, host, _ := strings.Cut(at.Issuer(), "://")
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + at.Issuer() + `"},"Action":"credence:SignIn",` +
		`"Condition":{"StringLike":{"` + host + `:aud":"` + client + `"},` + strings.ReplaceAll(condition, "HOST", host) + `}}}`
}

// role makes a role of people; "" is no policy.
func (b bed) role(name string, at *fakeidp.Vendor, client, condition, policy string) {
	b.t.Helper()
	b.must("CreateRole", object{"roleName": name, "assumeRolePolicyDocument": trusting(at, client, condition)})
	if policy != "" {
		b.must("PutRolePolicy", object{"roleName": name, "policyName": "p", "policyDocument": policy})
	}
}

// is says who approves at the vendor, and in which groups he is.
func (b bed) is(subject string, groups ...any) {
	b.Vendor.Set(func(v *fakeidp.Behaviour) {
		v.Subject, v.IDClaims, v.IDToken = subject, object{"groups": groups, "email": subject + "@acme.example", "email_verified": true}, nil
	})
}

// seen is the page that a browser came to.
type seen struct {
	status  int
	address string
	header  http.Header
	text    string
}

func (s seen) heading() string {
	_, rest, _ := strings.Cut(s.text, "<h1>")
	h, _, _ := strings.Cut(rest, "</h1>")
	return h
}

func (b bed) read(resp *http.Response) seen {
	b.t.Helper()
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), "<body") // style sheets and all stand before
	return seen{resp.StatusCode, resp.Request.URL.String(), resp.Header, body}
}

// next is where an answer sends a browser by itself, or "".
func (s seen) next() string {
	if l := s.header.Get("Location"); l != "" {
		return l
	}
	_, to, _ := strings.Cut(s.header.Get("Refresh"), "url=")
	return to
}

// browse goes to an address and on, as a browser does, until it stands at a page, or before an address that begins with stop.
func (b bed) browse(w *testenv.Browser, address, stop string) seen {
	b.t.Helper()
	for range 10 {
		if stop != "" && strings.HasPrefix(address, stop) {
			return seen{address: address}
		}
		s := b.read(w.Get(address))
		if s.next() == "" {
			return s
		}
		address = b.resolve(s.address, s.next())
	}
	b.t.Fatalf("it goes on and on, last to %s", address)
	return seen{}
}

func (b bed) resolve(base, to string) string {
	u, err := url.Parse(base)
	if err == nil {
		u, err = u.Parse(to)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return u.String()
}

// post sends a form, as a page of the console does.
func (b bed) post(w *testenv.Browser, path string, form url.Values, edit ...func(*http.Request)) seen {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range edit {
		f(req)
	}
	resp, err := w.Client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	s := b.read(resp)
	if s.next() != "" {
		return b.browse(w, b.resolve(s.address, s.next()), "")
	}
	return s
}

func link(account, provider string) string { return "/console/sign-in/" + account + "/" + provider }

// signIn takes a browser all the way, and gives the page that it comes to.
func (b bed) signIn(w *testenv.Browser, provider string) seen {
	b.t.Helper()
	return b.browse(w, b.URL+link(account, provider), "")
}

// callback takes a browser up to the callback, which it does not open, and plants what is in it.
func (b bed) callback(w *testenv.Browser, provider string) string {
	b.t.Helper()
	s := b.browse(w, b.URL+link(account, provider), b.URL+"/console/callback/")
	u, err := url.Parse(s.address)
	if err != nil || s.text != "" {
		b.t.Fatalf("no callback: %+v", s)
	}
	b.Plant(u.Query().Get("code"), u.Query().Get("state"))
	return s.address
}

// cookie is what a browser has for the server.
func (b bed) cookie(w *testenv.Browser, name string) string {
	u, err := url.Parse(b.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range w.Client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// inside fails the test unless a page is of somebody who is signed in.
func (b bed) inside(s seen, as string) {
	b.t.Helper()
	if s.status != 200 || s.heading() != "Account "+account || !strings.Contains(s.text, as) {
		b.t.Fatalf("not at home as %s: %d %s", as, s.status, s.text)
	}
}

// outside fails the test if a browser can read anything of the account, or if the vendor was asked more than the test says.
func (b bed) outside(w *testenv.Browser) {
	b.t.Helper()
	for _, path := range []string{"/console/", "/console/audit", "/console/grants"} {
		if s := b.browse(w, b.URL+path, ""); s.heading() != "Sign in to Credence" || strings.Contains(s.text, account) {
			b.t.Errorf("%s shows %q", path, s.text)
		}
	}
}

func (s seen) String() string { return fmt.Sprintf("%d %q at %s", s.status, s.heading(), s.address) }
