package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"credence/internal/fakeidp"
	"credence/internal/server"
	"credence/internal/testca"
	"credence/internal/testenv"
)

// certificate makes a certificate for 127.0.0.1, and gives its files and that of its CA.
func certificate(t *testing.T) (cert, key, authority string) {
	t.Helper()
	ca := testca.New(t)
	cert, key = ca.Server(t)
	return cert, key, ca.File(t)
}

// trust makes a browser accept the certificates of a CA.
func trust(t *testing.T, b *testenv.Browser, authority string) {
	t.Helper()
	text, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	b.Client.Transport = transport
}

// Every answer of the door to a browser, page or redirect, on http or https, forbids keeping, framing, scripts and telling others its address; its cookies are for
// this host alone and out of reach of scripts, and on https never travel otherwise.
func TestDoorHeaders(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		name, cert, key, authority := "http", "", "", ""
		if secure {
			name = "https"
			cert, key, authority = certificate(t)
		}
		t.Run(name, func(t *testing.T) {
			e := testenv.Start(t, func(cfg *server.Config) { cfg.TLSCert, cfg.TLSKey = cert, key })
			a := administrator(e, "NODE_EXTRA_CA_CERTS="+authority)
			b := testenv.NewBrowser(t)
			if secure {
				trust(t, b, authority)
			}
			get := func(address string) *http.Response {
				answer := b.Get(address)
				_ = answer.Body.Close()
				return answer
			}
			authorization := confirmed(a, e, testenv.ReturnURL)
			asked := get(authorization)
			sent := get(attemptLink(authorization, asked))
			callback := location(t, get(location(t, sent)))
			back := get(callback)
			replayed, unknown := get(callback), get(authorization+"x")
			if !strings.HasPrefix(location(t, back), testenv.ReturnURL) {
				t.Fatalf("the journey did not end at the return URL: HTTP %d", back.StatusCode)
			}
			for what, answer := range map[string]struct {
				*http.Response
				status int
			}{
				"the confirmation page": {asked, 200}, "the redirect to the vendor": {sent, 303}, "the redirect to the return URL": {back, 303},
				"an answered callback": {replayed, 410}, "an unknown link": {unknown, 404}, "a malformed callback": {get(callback + "&state=again"), 404},
				"a callback of nobody": {get(e.URL + "/identities/oauth2/callback/?code=c&state=s"), 404}, "a callback that goes on": {get(e.URL + "/identities/oauth2/callback/a/b?code=c&state=s"), 404},
				"an untidy callback": {get(e.URL + "/identities/oauth2/callback//a?code=c&state=s"), 404},
			} {
				if answer.StatusCode != answer.status {
					t.Errorf("%s: HTTP %d", what, answer.StatusCode)
				}
				protected(t, what, answer.Response)
			}
			given, taken := asked.Cookies(), back.Cookies()
			if len(given) != 1 || len(taken) != 1 || given[0].Name != taken[0].Name {
				t.Fatalf("cookies: given %v, taken %v", given, taken)
			}
			if given[0].MaxAge <= 0 || given[0].MaxAge > 600 {
				t.Errorf("the attempt's cookie lives for %d seconds, its session for 600", given[0].MaxAge)
			}
			if taken[0].MaxAge != -1 { // how net/http reads Max-Age=0
				t.Errorf("the spent cookie stays in the browser: %s", taken[0])
			}
			for _, c := range append(given, taken...) {
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != secure || strings.HasPrefix(c.Name, "__Host-") != secure {
					t.Errorf("cookie %s", c)
				}
			}
			for what, answer := range map[string]*http.Response{"the redirect to the vendor": sent, "an answered callback": replayed, "an unknown link": unknown} {
				if got := answer.Cookies(); len(got) > 0 {
					t.Errorf("%s sets %v", what, got)
				}
			}
		})
	}
}

// confirmed begins a session at a provider with option confirm.
func confirmed(a *agent, e *testenv.Env, returnURL string) (authorizationURL string) {
	a.t.Helper()
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent", "allowedResourceOauth2ReturnUrls": []string{returnURL}})
	extended[object](a, "CreateOauth2CredentialProvider", customProvider("vendor", e.Vendor.Issuer(), testenv.ClientID, testenv.ClientSecret, "CLIENT_SECRET_BASIC"), object{"X-Credence-Confirm": "always"})
	return call[token](a, "GetResourceOauth2Token", object{
		"workloadIdentityToken": a.wat("agent", "alice"), "resourceCredentialProviderName": "vendor", "scopes": []string{"read"}, "oauth2Flow": "USER_FEDERATION",
		"resourceOauth2ReturnUrl": returnURL,
	}).AuthorizationURL
}

// attemptLink is the link of a confirmation page, by the cookie that came with it.
func attemptLink(authorizationURL string, page *http.Response) string {
	for _, c := range page.Cookies() {
		return authorizationURL + "&attempt=" + c.Name[strings.LastIndex(c.Name, "-")+1:]
	}
	return ""
}

func location(t *testing.T, answer *http.Response) string {
	t.Helper()
	if answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s: HTTP %d instead of a redirect", answer.Request.URL, answer.StatusCode)
	}
	return answer.Header.Get("Location")
}

// protected wants the headers that every answer to a browser has.
func protected(t *testing.T, what string, answer *http.Response) {
	t.Helper()
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q", what, name, got)
		}
	}
	policies := answer.Header.Values("Content-Security-Policy")
	if len(policies) != 1 {
		t.Errorf("%s: %d content security policies", what, len(policies))
		return
	}
	directives := strings.Split(policies[0], "; ")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"} {
		if !slices.Contains(directives, want) {
			t.Errorf("%s: the policy %q lacks %s", what, policies[0], want)
		}
	}
	for _, weak := range []string{"script-src", "unsafe", "*", "data:", "http"} {
		if strings.Contains(policies[0], weak) {
			t.Errorf("%s: the policy %q has %s", what, policies[0], weak)
		}
	}
}

// On https a real browser keeps the __Host- cookie, brings it back from the vendor, another site, and ends at the application. The vendor and the application
// learn no address of ours on the way, though the person clicked on our page.
func TestHTTPSInBrowser(t *testing.T) {
	t.Parallel()
	cert, key, authority := certificate(t)
	e := testenv.Start(t, func(cfg *server.Config) { cfg.TLSCert, cfg.TLSKey = cert, key })
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.ShowLogin = true })
	a := administrator(e, "NODE_EXTRA_CA_CERTS="+authority)
	app := startApplication(t)
	app.offer(confirmed(a, e, app.ReturnURL), func(sessionURI string) error { return a.complete(sessionURI, "alice") })

	b := newTab(t)
	if _, err := chromedp.Call(b.ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true}); err != nil {
		t.Fatal(err)
	}
	b.visit(app.URL)
	b.click("#connect")
	b.reads("Connect vendor for agent?")
	b.click("a.button")
	b.reads("Sign in")
	b.click("#approve")
	b.reads("connected")
	if e.Vendor.Count("authorization_code") != 1 {
		t.Errorf("%d codes were sent", e.Vendor.Count("authorization_code"))
	}
	for _, r := range e.Vendor.Requests() {
		if referer := r.Header.Get("Referer"); referer != "" && !strings.HasPrefix(referer, e.Vendor.Issuer()) {
			t.Errorf("the vendor was told %q", referer)
		}
	}
	for _, back := range app.seen() {
		if back.Referer != "" {
			t.Errorf("the return URL was told %q", back.Referer)
		}
	}
}
