package workload_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/egress"
	"credence/internal/fakeidp"
)

// inProcess answers requests with a handler, without a network that a bubble's time would wait for.
type inProcess struct{ handler http.Handler }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// inBubble runs test in a bubble, with a verifier that reaches handler and nothing else.
func inBubble(t *testing.T, handler http.Handler, test func(t *testing.T, u users)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credence.db")
	out, err := egress.New(egress.Config{})
	must(t, err)
	synctest.Test(t, func(t *testing.T) { test(t, usersOver(t, path, inProcess{handler}, out.CheckURL)) })
}

// An unknown kid has the keys fetched again, but not more often than every 30 seconds, so that forged tokens make no traffic.
func TestUnknownKeyIDs(t *testing.T) {
	i := &issuer{url: "https://idp.example"}
	old, next, forger := ecKey(t), ecKey(t), ecKey(t)
	i.publish(jose.JSONWebKey{Key: old.Public(), KeyID: "old"})
	inBubble(t, i, func(t *testing.T, u users) {
		u.trust(t, alpha, i.url, audience)
		asked := func(want int, when string) {
			t.Helper()
			if n := i.asked(); n != want {
				t.Errorf("%s: the keys were fetched %d times, want %d", when, n, want)
			}
		}
		forge := func() {
			t.Helper()
			u.wantRefused(t, alpha, sign(t, jose.ES256, forger, "forged", i.url, nil, jose.SignerOptions{}), "does not verify")
		}
		u.wantUser(t, alpha, sign(t, jose.ES256, old, "old", i.url, nil, jose.SignerOptions{}), i.url, "alice")
		asked(1, "the first token")
		time.Sleep(30*time.Second - time.Nanosecond)
		forge()
		asked(1, "an unknown kid less than 30 s later")
		time.Sleep(time.Nanosecond)
		forge()
		asked(2, "an unknown kid 30 s later")
		for range 29 {
			time.Sleep(time.Second)
			forge()
		}
		asked(2, "29 more within 30 s")

		i.publish(jose.JSONWebKey{Key: old.Public(), KeyID: "old"}, jose.JSONWebKey{Key: next.Public(), KeyID: "next"})
		time.Sleep(time.Second)
		u.wantUser(t, alpha, sign(t, jose.ES256, next, "next", i.url, nil, jose.SignerOptions{}), i.url, "alice")
		asked(3, "a new key")
		u.wantUser(t, alpha, sign(t, jose.ES256, old, "old", i.url, nil, jose.SignerOptions{}), i.url, "alice")
		asked(3, "both keys known")
	})
}

// A key that the issuer took back is good until the kept set is too old, and no longer.
func TestKeysTakenBack(t *testing.T) {
	idp := fakeidp.New("https://idp.example/tenant/") // its answers say no-store, so they are kept for 30 s
	inBubble(t, idp.Handler(), func(t *testing.T, u users) {
		u.trust(t, alpha, idp.Issuer(), audience)
		stolen := idp.Sign(claimsOf(nil))
		u.wantUser(t, alpha, stolen, idp.Issuer(), "alice") // and an issuer may have a path and end in a slash
		idp.RotateKeys()
		idp.Set(func(b *fakeidp.Behaviour) { b.DropOldKeys = true })
		time.Sleep(30 * time.Second)
		u.wantRefused(t, alpha, stolen, "does not verify")
		u.wantUser(t, alpha, idp.Sign(claimsOf(nil)), idp.Issuer(), "alice")
	})
}

// A token that was verified is not verified for ever.
func TestUserTokensExpire(t *testing.T) {
	idp := fakeidp.New("https://idp.example")
	inBubble(t, idp.Handler(), func(t *testing.T, u users) {
		u.trust(t, alpha, idp.Issuer(), audience)
		token := idp.Sign(claimsOf(nil)) // five minutes, and one of skew
		time.Sleep(6 * time.Minute)
		u.wantUser(t, alpha, token, idp.Issuer(), "alice")
		time.Sleep(time.Second)
		u.wantRefused(t, alpha, token, "expired at 2000-01-01T00:05:00Z")
	})
}
