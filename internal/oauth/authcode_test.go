package oauth_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/oauth"
	"credence/internal/secret"
)

func authorizationRequest() oauth.AuthorizationRequest {
	return oauth.AuthorizationRequest{
		Endpoint: "https://idp.example/authorize", ClientID: "client", RedirectURI: "https://credence.example/callback/1", State: "s t",
		Scopes: []string{"read", "https://scope.example/a.b"},
		// The pair of RFC 7636 appendix B.
		Verifier: secret.New("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
	}
}

func TestAuthorizationURL(t *testing.T) {
	least := url.Values{
		"response_type": {"code"}, "client_id": {"client"}, "redirect_uri": {"https://credence.example/callback/1"}, "state": {"s t"},
		"scope":          {"read https://scope.example/a.b"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	with := func(more url.Values) url.Values {
		v := url.Values{}
		for name, values := range least {
			v[name] = values
		}
		for name, values := range more {
			v[name] = values
		}
		return v
	}
	for _, tc := range []struct {
		name   string
		change func(*oauth.AuthorizationRequest)
		want   url.Values
	}{
		{"the least", func(*oauth.AuthorizationRequest) {}, least},
		{"nonce, resources, audiences", func(r *oauth.AuthorizationRequest) {
			r.Nonce, r.Resources, r.Audiences = "n", []string{"https://a", "https://b"}, []string{"x"}
		}, with(url.Values{"nonce": {"n"}, "resource": {"https://a", "https://b"}, "audience": {"x"}})},
		{"another separator", func(r *oauth.AuthorizationRequest) { r.Scopes, r.ScopeSeparator = []string{"a", "b"}, "," }, with(url.Values{"scope": {"a,b"}})},
		{"a query of the endpoint is kept", func(r *oauth.AuthorizationRequest) { r.Endpoint += "?tenant=a&tenant=b&state=theirs&client_id=theirs" },
			with(url.Values{"tenant": {"a", "b"}})},
		{"extra parameters", func(r *oauth.AuthorizationRequest) {
			r.Extra = url.Values{"access_type": {"offline"}, "prompt": {"consent"}}
		}, with(url.Values{"access_type": {"offline"}, "prompt": {"consent"}})},
		{"extra parameters override nothing", func(r *oauth.AuthorizationRequest) {
			r.Extra = url.Values{}
			for _, name := range []string{
				"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "code", "code_challenge",
				"code_challenge_method", "code_verifier", "dpop_jkt", "grant_type", "request_uri", "request", "nonce", "client_assertion", "client_assertion_type",
				"refresh_token", "assertion", "subject_token", "actor_token", "Redirect_URI", "SCOPE", "scope[]", "scope[0]", "redirect.uri", "redirect-uri", " state",
			} {
				r.Extra.Set(name, "evil")
			}
		}, least},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := authorizationRequest()
			tc.change(&r)
			raw, err := r.URL()
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := u.Scheme + "://" + u.Host + u.Path; got != "https://idp.example/authorize" {
				t.Errorf("endpoint %s", got)
			}
			if diff := cmp.Diff(tc.want, u.Query()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, change := range map[string]func(*oauth.AuthorizationRequest){
		"no state":           func(r *oauth.AuthorizationRequest) { r.State = "" },
		"no verifier":        func(r *oauth.AuthorizationRequest) { r.Verifier = secret.String{} },
		"no client id":       func(r *oauth.AuthorizationRequest) { r.ClientID = "" },
		"no redirect URI":    func(r *oauth.AuthorizationRequest) { r.RedirectURI = "" },
		"a fragment":         func(r *oauth.AuthorizationRequest) { r.Endpoint += "#x" },
		"a relative URL":     func(r *oauth.AuthorizationRequest) { r.Endpoint = "/authorize" },
		"a malformed query":  func(r *oauth.AuthorizationRequest) { r.Endpoint += "?a=%zz" },
		"a scope that's two": func(r *oauth.AuthorizationRequest) { r.Scopes = []string{"read admin"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := authorizationRequest()
			change(&r)
			if raw, err := r.URL(); err == nil {
				t.Errorf("got %s", raw)
			}
		})
	}
}

func TestNewVerifier(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		v := oauth.NewVerifier().Reveal()
		if len(v) < 43 || len(v) > 128 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" || seen[v] {
			t.Fatalf("%q", v)
		}
		seen[v] = true
	}
}

func TestIsProtectedLeavesOthers(t *testing.T) {
	for _, name := range []string{"prompt", "access_type", "audience", "resource", "login_hint", "subject_token_type", "requested_token_use", "user_scope", "scopes", "decode", ""} {
		if oauth.IsProtected(name) {
			t.Errorf("%q is protected", name)
		}
	}
}
