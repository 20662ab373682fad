package broker

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/wire"
)

func bound(f *fixture, edit func(*fakeidp.DPoP)) {
	f.t.Helper()
	f.vendor.Set(func(b *fakeidp.Behaviour) {
		b.DPoP.Bound = true
		if edit != nil {
			edit(&b.DPoP)
		}
	})
	f.change("vendor", false, func(c *provider.Config) { c.DPoPBound = true })
}

// proof asks for a proof for the vendor's resource.
func (f *fixture) proof(user, token string, edit ...func(*wire.CreateDpopProofInput)) (string, error) {
	in := &wire.CreateDpopProofInput{
		WorkloadIdentityToken: f.wat(user), ResourceCredentialProviderName: "vendor", AccessToken: secret.New(token), Htm: "GET", Htu: issuer + "/resource",
	}
	for _, e := range edit {
		e(in)
	}
	out, err := f.CreateDpopProof(context.Background(), f.caller, in)
	if err != nil {
		return "", err
	}
	return out.DpopProof, nil
}

// use brings a token to the resource server.
func (f *fixture) use(scheme, token, proof string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, issuer+"/resource?page=2", nil)
	r.Header.Set("Authorization", scheme+" "+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	w := httptest.NewRecorder()
	f.vendor.Handler().ServeHTTP(w, r)
	return w
}

// A token that is bound to a key is named so, renewed with the same key, and of no use without a proof; the vendor's nonce is taken up.
func TestFlowDPoP(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		bound(f, func(d *fakeidp.DPoP) { d.Nonce = true })
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = 10 * time.Minute })
		token := f.granted("alice")
		if n := f.vendor.Count("authorization_code"); n != 2 {
			t.Errorf("%d requests: the first without the nonce, the second with", n)
		}
		out, err := f.ask("alice")
		f.must(err)
		if out.TokenType != "DPoP" {
			t.Errorf("tokenType is %q", out.TokenType)
		}
		check := func(token string) {
			t.Helper()
			nonce := ""
			if w := f.use("Bearer", token, ""); w.Code != 401 {
				t.Errorf("as a bearer token: %d", w.Code)
			} else {
				nonce = w.Header().Get("DPoP-Nonce")
			}
			signed, err := f.proof("alice", token, func(in *wire.CreateDpopProofInput) { in.Nonce, in.Htu = &nonce, in.Htu+"?page=1#top" })
			f.must(err)
			if w := f.use("DPoP", token, signed); w.Code != 200 {
				t.Errorf("with a proof: %d %s", w.Code, w.Body)
			}
			if w := f.use("DPoP", token, signed); w.Code != 401 {
				t.Errorf("with a proof that was used: %d", w.Code)
			}
			for name, edit := range map[string]func(*wire.CreateDpopProofInput){
				"without the nonce":  func(*wire.CreateDpopProofInput) {},
				"for another method": func(in *wire.CreateDpopProofInput) { in.Nonce, in.Htm = &nonce, "POST" },
				"for another URL":    func(in *wire.CreateDpopProofInput) { in.Nonce, in.Htu = &nonce, in.Htu+"s" },
			} {
				signed, err := f.proof("alice", token, edit)
				f.must(err)
				if w := f.use("DPoP", token, signed); w.Code != 401 {
					t.Errorf("with a proof %s: %d", name, w.Code)
				}
			}
		}
		check(token)
		f.vendor.RotateNonce()
		time.Sleep(10 * time.Minute)
		renewed := f.token("alice") // the vendor refuses another key
		if renewed == token || f.vendor.Count("refresh_token") != 2 {
			t.Errorf("the token is the old one: %v; %d refreshes", renewed == token, f.vendor.Count("refresh_token"))
		}
		check(renewed)
		if g := f.row("alice"); g.ProofKey == nil || strings.Contains(string(g.ProofKey), `"d"`) {
			t.Error("the key is not sealed in the grant")
		}
		f.crash()
		check(renewed)
	})
}

// What the proof is for, and whose token it is, decides whether there is one.
func TestProofIsRefused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = 10 * time.Minute })
		bearer := f.token("")
		bound(f, nil)
		token := f.granted("alice")
		bobs := f.granted("bob")
		f.addProvider("second")
		for name, c := range map[string]struct {
			user, token string
			edit        func(*wire.CreateDpopProofInput)
			member      string
		}{
			"another user's token":          {"alice", bobs, nil, "accessToken"},
			"a token for a user, by nobody": {"", token, nil, "accessToken"},
			"a bearer token":                {"", bearer, nil, "accessToken"},
			"no token of ours":              {"alice", "x", nil, "accessToken"},
			"another provider":              {"alice", token, func(in *wire.CreateDpopProofInput) { in.ResourceCredentialProviderName = "second" }, "accessToken"},
			"the token endpoint":            {"alice", token, func(in *wire.CreateDpopProofInput) { in.Htm, in.Htu = "POST", issuer+"/token" }, "htu"},
			"the token endpoint, disguised": {"alice", token, func(in *wire.CreateDpopProofInput) {
				in.Htm, in.Htu = "POST", "HTTP://VENDOR.example:80/x/../%74oken/?a"
			}, "htu"},
			"the revocation endpoint": {"alice", token, func(in *wire.CreateDpopProofInput) { in.Htm, in.Htu = "POST", issuer+"/revoke#x" }, "htu"},
			"no URL":                  {"alice", token, func(in *wire.CreateDpopProofInput) { in.Htu = "resource" }, "htu"},
			"another scheme":          {"alice", token, func(in *wire.CreateDpopProofInput) { in.Htu = "ftp://vendor.example/resource" }, "htu"},
		} {
			var edits []func(*wire.CreateDpopProofInput)
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			signed, err := f.proof(c.user, c.token, edits...)
			e, ok := errors.AsType[*fault.Fault](err)
			if !ok || e.Kind != fault.Validation || len(e.Fields) != 1 || e.Fields[0].Name != c.member || signed != "" {
				t.Errorf("%s: %q %v", name, signed, err)
			}
		}
		for name, target := range map[string]wire.FreezeTarget{
			"user": {User: byID("alice")}, "workload": {WorkloadName: new("agent")}, "provider": {ResourceCredentialProviderName: new("vendor")},
		} {
			f.freeze(target)
			if _, err := f.proof("alice", token); !errors.Is(err, fault.AccessDenied) {
				t.Errorf("a frozen %s: %v", name, err)
			}
			f.unfreeze(target)
		}
		if _, err := f.proof("alice", token); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		if _, err := f.proof("alice", token); err == nil {
			t.Error("a proof for a token that is over")
		}
	})
}

// A vendor that demands proofs gets them though nobody configured it; the token that comes of it is not taken for a bearer token.
func TestFlowDPoPOnDemand(t *testing.T) {
	for name, edit := range map[string]func(*fakeidp.DPoP){"without a nonce": nil, "with a nonce": func(d *fakeidp.DPoP) { d.Nonce = true }} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.vendor.Set(func(b *fakeidp.Behaviour) {
				b.DPoP.Bound, b.DPoP.Required = true, true
				if edit != nil {
					edit(&b.DPoP)
				}
			})
			out, err := f.ask("")
			f.must(err)
			if n := f.vendor.Count("client_credentials"); out.TokenType != "DPoP" || n < 2 || n > 3 {
				t.Errorf("a token of the type %q after %d requests", out.TokenType, n)
			}
		})
	}
}

// A request that is sent again with the vendor's nonce has an ID token of its own, too.
func TestIDTokenWithEachProof(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vouched("agent")
	bound(f, func(d *fakeidp.DPoP) { d.Nonce = true })
	f.token("")
	sent := f.sent()
	if len(sent) != 2 || claimsOf(t, sent[0].Get("client_assertion")).ID == claimsOf(t, sent[1].Get("client_assertion")).ID {
		t.Errorf("%d requests, with one ID token", len(sent))
	}
}

// A vendor for which no nonce is ever good gets a bounded number of requests, and the grant outlives it.
func TestFlowDPoPNonceStorm(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.Bound, b.AccessTokenLifetime = true, 10*time.Minute })
		f.change("vendor", false, func(c *provider.Config) { c.DPoPBound = true })
		first := f.granted("alice")
		time.Sleep(10 * time.Minute)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.Storm = true })
		for _, user := range []string{"alice", ""} {
			grantType := map[string]string{"alice": "refresh_token", "": "client_credentials"}[user]
			out, err := f.ask(user)
			if e, ok := errors.AsType[*fault.Fault](err); !ok || e.Kind != fault.Validation || !strings.Contains(err.Error(), "use_dpop_nonce") {
				t.Errorf("%s: %+v %v", grantType, out, err)
			}
			if n := f.vendor.Count(grantType); n != 2 {
				t.Errorf("%s: %d requests", grantType, n)
			}
		}
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.Storm, b.DPoP.Nonce = false, true })
		f.recovered("alice")
		if again := f.token("alice"); again == first {
			t.Error("the token is the old one")
		}
	})
	f := newFixture(t, t.TempDir()) // on demand it is one more
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.Bound, b.DPoP.Required, b.DPoP.Storm = true, true, true })
	if _, err := f.ask(""); err == nil || f.vendor.Count("client_credentials") != 3 {
		t.Errorf("%v after %d requests", err, f.vendor.Count("client_credentials"))
	}
}

// What the vendor says of a token must fit what was asked for: a bound one is not served as a bearer token, nor one whose key nobody has.
func TestTokenTypeMustFit(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*fakeidp.DPoP)
		asked bool
	}{
		"bound, but called Bearer":      {func(d *fakeidp.DPoP) { d.SaysBearer = true }, true},
		"no proof taken":                {func(d *fakeidp.DPoP) { d.Bound = false }, true},
		"called DPoP, but nobody asked": {func(d *fakeidp.DPoP) { d.SaysBound = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			bound(f, c.edit)
			f.change("vendor", false, func(p *provider.Config) { p.DPoPBound = c.asked })
			out, err := f.ask("")
			if e, ok := errors.AsType[*fault.Fault](err); !ok || e.Kind != fault.Validation || out != nil {
				t.Errorf("%+v %v", out, err)
			}
			if n := f.vendor.Count("client_credentials"); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// A vendor whose clock is behind takes proofs up to its tolerance; beyond, its refusal is told and not repeated.
func TestFlowDPoPOfAnotherTime(t *testing.T) {
	f := newFixture(t, t.TempDir())
	bound(f, func(d *fakeidp.DPoP) { d.ClockBehind = 30 * time.Second })
	f.token("")
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.ClockBehind = 5 * time.Minute })
	before := f.vendor.Count("client_credentials")
	_, err := f.ask("", func(in *tokenInput) { in.Scopes = []string{"write"} })
	if err == nil || !strings.Contains(err.Error(), "invalid_dpop_proof") || f.vendor.Count("client_credentials") != before+1 {
		t.Errorf("%v after %d requests", err, f.vendor.Count("client_credentials")-before)
	}
}

// A code is bound to the key that its tokens will be bound to, from the authorization request on, wherever that goes: each attempt has a key of its own, which is none of
// the browser's, and the code is exchanged with it, whatever the provider says of proofs by then. A vendor that may not want proofs is told of no key.
func TestFlowDPoPBindsTheCode(t *testing.T) {
	for name, push := range map[string]bool{"by the browser": false, "pushed": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			bound(f, nil)
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Pushed, b.PushRequired = push, push })
			told := func(location string) string {
				t.Helper()
				u, err := url.Parse(location)
				f.must(err)
				if requests := f.vendor.Requests(); push {
					return requests[len(requests)-1].Form.Get("dpop_jkt")
				}
				return u.Query().Get("dpop_jkt")
			}
			open := func(user string) (location, thumbprint string) {
				t.Helper()
				b := browser{}
				location, err := f.openURL(b, f.needsConsent(user).AuthorizationUrl)
				f.must(err)
				for _, cookie := range b {
					if strings.Contains(cookie, `"d"`) {
						t.Error("the key is in clear in a cookie")
					}
				}
				return location, told(location)
			}
			_, first := open("alice")
			b := browser{}
			out := f.needsConsent("alice")
			location, err := f.openURL(b, out.AuthorizationUrl)
			f.must(err)
			second := told(location)
			if len(first) != 43 || len(second) != 43 || first == second {
				t.Errorf("keys %q and %q", first, second)
			}
			id, query := f.approve(location)
			closing, err := f.FinishAuthorization(t.Context(), id, query, b.cookie)
			f.must(err)
			f.change("vendor", false, func(c *provider.Config) { c.DPoPBound = false })
			back, err := url.Parse(closing.Location)
			f.must(err)
			f.must(f.complete(back.Query().Get("session_id"), "alice")) // the vendor refuses another key
			g := f.row("alice")
			key, err := f.proofKey(t.Context(), g)
			f.must(err)
			if g.TokenType != "DPoP" || key.Thumbprint() != second {
				t.Errorf("a token of type %s, bound to %s", g.TokenType, key.Thumbprint())
			}
			if _, none := open("bob"); none != "" { // on demand
				t.Errorf("a vendor that may not want proofs is told of %q", none)
			}
		})
	}
}
