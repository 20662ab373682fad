package broker

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// addVendor adds another vendor with a provider of its own, for the same client id.
func (f *fixture) addVendor(name, issuer string) *fakeidp.Vendor {
	f.t.Helper()
	v := fakeidp.New(issuer)
	v.AddClient(fakeidp.Client{ID: "client", Secret: "client-secret"})
	u, err := url.Parse(issuer)
	f.must(err)
	first := f.wire.handler
	f.wire.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == u.Host {
			v.Handler().ServeHTTP(w, r)
			return
		}
		first.ServeHTTP(w, r)
	})
	id, err := f.Vault.CallbackID(context.Background(), account, name)
	f.must(err)
	now := time.Now()
	f.must(f.Vault.InsertOAuth2Provider(context.Background(), vault.OAuth2Provider{
		Config: provider.Config{Vendor: wire.VendorCustomOauth2, ClientID: "client", DiscoveryURL: issuer + "/.well-known/openid-configuration", Confirm: wire.ConfirmNever},
		Row:    store.OAuth2Provider{Account: account, Name: name, Incarnation: rand.Text(), Generation: rand.Text(), CallbackID: id, Vendor: "CustomOauth2", CreatedAt: now, UpdatedAt: now},
	}, secret.New("client-secret"), store.Tags{}))
	return v
}

// Two vendors, of which one sends the browser on to the other and wants the code that it gives (RFC 9207 section 1). The answer comes from another issuer than
// the one that the browser was sent to, so nobody gets the code, and the session is as it was.
func TestFlowMixedUpVendors(t *testing.T) {
	for name, honestSaysWhoItIs := range map[string]bool{"the honest one says who it is": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			attacker := f.addVendor("attacker", "http://attacker.example")
			attacker.Set(func(b *fakeidp.Behaviour) {
				b.ExtraMetadata = map[string]any{"authorization_endpoint": issuer + "/authorize"}
			})
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.OmitIss = !honestSaysWhoItIs })

			out := f.needsConsent("alice", func(in *tokenInput) { in.ResourceCredentialProviderName = "attacker" })
			b := browser{}
			location, err := f.openURL(b, out.AuthorizationUrl)
			f.must(err)
			id, query := f.approve(location) // by the honest vendor
			closing, err := f.FinishAuthorization(t.Context(), id, query, b.cookie)
			if cause(err) != CauseWrongIssuer || closing != nil {
				t.Fatalf("%+v %v", closing, err)
			}
			if n := attacker.Count("authorization_code") + f.vendor.Count("authorization_code"); n != 0 {
				t.Errorf("the code was sent %d times", n)
			}
			s, err := f.session(t.Context(), *out.SessionUri)
			f.must(err)
			if s.State != store.SessionPending || s.Code != nil || s.Version != 1 {
				t.Errorf("the session is %s, version %d", s.State, s.Version)
			}
		})
	}
}

// An answer that comes twice counts once, and the second time neither the code nor the browser goes anywhere.
func TestFlowReplayedAnswer(t *testing.T) {
	f := newFixture(t, t.TempDir())
	out := f.needsConsent("alice")
	b := browser{}
	location, err := f.openURL(b, out.AuthorizationUrl)
	f.must(err)
	id, query := f.approve(location)
	closing, err := f.FinishAuthorization(t.Context(), id, query, b.cookie)
	f.must(err)
	replay := func(query, when string) {
		t.Helper()
		if closing, err := f.FinishAuthorization(t.Context(), id, query, b.cookie); cause(err) != CauseAnswered || closing != nil {
			t.Errorf("%s: %+v %v", when, closing, err)
		}
	}
	another, err := url.ParseQuery(query)
	f.must(err)
	another.Set("code", "of an attacker")
	replay(query, "before the completion")
	replay(another.Encode(), "with another code")
	back, err := url.Parse(closing.Location)
	f.must(err)
	f.must(f.complete(back.Query().Get("session_id"), "alice"))
	replay(query, "after the completion")
	if n := f.vendor.Count("authorization_code"); n != 1 {
		t.Errorf("codes were sent %d times", n)
	}
}

// A client whose secret is changed at the vendor and here while a person is consenting: the code is exchanged with the new one.
func TestSecretRotatedInMidFlow(t *testing.T) {
	f := newFixture(t, t.TempDir())
	bound(f, nil)
	out := f.needsConsent("alice")
	b := browser{}
	location, err := f.openURL(b, out.AuthorizationUrl)
	f.must(err)
	f.vendor.AddClient(fakeidp.Client{ID: "client", Secret: "rotated"})
	current, err := f.Vault.OAuth2Provider(t.Context(), account, "vendor")
	f.must(err)
	f.must(f.Vault.UpdateOAuth2Provider(t.Context(), *current, secret.New("rotated")))
	f.vendor.RotateNonce()
	id, query := f.approve(location)
	closing, err := f.FinishAuthorization(t.Context(), id, query, b.cookie)
	f.must(err)
	back, err := url.Parse(closing.Location)
	f.must(err)
	f.must(f.complete(back.Query().Get("session_id"), "alice"))
	if n := f.vendor.Count("authorization_code"); n != 1 {
		t.Errorf("codes were sent %d times", n)
	}
	f.token("alice")
}
