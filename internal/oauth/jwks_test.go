package oauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"credence/internal/oauth"
)

const keysURL = "https://idp.example/jwks"

var signingKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

// public is the public key in JSON, with changes; nil leaves a member out.
func public(t *testing.T, kid string, changes map[string]any) string {
	t.Helper()
	text, err := jose.JSONWebKey{Key: signingKey().Public(), KeyID: kid}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range changes {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	text, err = json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// kids are the key ids that Keys finds.
func kids(t *testing.T, s *oauth.KeySets, kid string) []string {
	t.Helper()
	keys, err := s.Keys(context.Background(), keysURL, kid)
	if err != nil {
		t.Error(err)
	}
	var found []string
	for _, k := range keys {
		if !k.IsPublic() || !k.Valid() {
			t.Errorf("key %s is no valid public key", k.KeyID)
		}
		found = append(found, k.KeyID)
	}
	return found
}

func wantKids(t *testing.T, s *oauth.KeySets, kid string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, kids(t, s, kid)); d != "" {
		t.Errorf("keys for kid %q (-want +got)\n%s", kid, d)
	}
}

func TestKeysByID(t *testing.T) {
	p := &publisher{answer: cached("", keySet(
		public(t, "one", nil), public(t, "two", nil), public(t, "two", map[string]any{"alg": "ES256"}), public(t, "", map[string]any{"kid": nil}),
	))}
	s := oauth.NewKeySets(p)
	wantKids(t, s, "one", "one")
	wantKids(t, s, "two", "two", "two")
	wantKids(t, s, "", "one", "two", "two", "")
	wantKids(t, s, "ONE")
	wantKids(t, s, "three")
	p.wantAsked(t, 1, "within 30 s, whatever the kid")
}

// Keys that are of no use, or must never be used, do not spoil the others.
func TestUselessKeys(t *testing.T) {
	private, err := jose.JSONWebKey{Key: signingKey(), KeyID: "private"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	s := oauth.NewKeySets(&publisher{answer: cached("", keySet(
		public(t, "first", map[string]any{"use": "sig"}),
		string(private),
		`{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA","kid":"shared"}`,
		`{"kty":"RSA","n":"AQAB","e":"","kid":"no exponent"}`,
		`{"kty":"RSA","e":"AQAB","kid":"no modulus"}`,
		`{"kty":"AKP","alg":"ML-DSA-65","pub":"AAAA","kid":"of a kind to come"}`,
		`{"kid":"no kty"}`, `{}`, `null`, `7`, `"key"`, `[]`,
		public(t, "encryption", map[string]any{"use": "enc"}),
		public(t, "unknown use", map[string]any{"use": "SIG"}),
		public(t, "off the curve", map[string]any{"x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
		public(t, "another curve", map[string]any{"crv": "P-384"}),
		public(t, "no y", map[string]any{"y": nil}),
		public(t, "bad certificate", map[string]any{"x5c": []string{"AAAA"}}),
		public(t, "members of others", map[string]any{"x-vendor": map[string]any{"a": 1}}),
		public(t, "last", nil),
	))})
	wantKids(t, s, "", "first", "members of others", "last")
	for _, kid := range []string{"private", "shared"} {
		wantKids(t, s, kid)
	}
}

func TestManyKeys(t *testing.T) {
	var keys []string
	for n := range 150 {
		keys = append(keys, public(t, fmt.Sprintf("key-%d", n+1), nil))
	}
	s := oauth.NewKeySets(&publisher{answer: cached("", keySet(keys...))})
	if n := len(kids(t, s, "")); n != 100 {
		t.Errorf("%d keys kept, want 100", n)
	}
	wantKids(t, s, "key-100", "key-100")
	wantKids(t, s, "key-101")
}

func TestNoKeySet(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"HTML":      {says(http.StatusOK, nil, "<html>"), "is no JSON Web Key Set"},
		"a list":    {says(http.StatusOK, nil, "[]"), "is no JSON Web Key Set"},
		"keys as a": {says(http.StatusOK, nil, `{"keys":{}}`), "is no JSON Web Key Set"},
		"empty":     {says(http.StatusOK, nil, ""), "is no JSON Web Key Set"},
		"HTTP 500":  {says(http.StatusInternalServerError, nil, keySet(public(t, "one", nil))), "answered HTTP 500"},
		"too large": {says(http.StatusOK, nil, `{"keys":[]}`+strings.Repeat(" ", 512<<10)), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := oauth.NewKeySets(&publisher{answer: test.answer}).Keys(t.Context(), keysURL, "one")
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), keysURL) || keys != nil {
				t.Errorf("%v, %v, want an error with %q and the URL", keys, err, test.says)
			}
		})
	}
	t.Run("no keys", func(t *testing.T) {
		wantKids(t, oauth.NewKeySets(&publisher{answer: says(http.StatusOK, nil, `{}`)}), "")
	})
}

// An unknown key id has the set fetched again: once for all who ask at that moment, and at most every 30 seconds.
func TestUnknownKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, both := keySet(public(t, "old", nil)), keySet(public(t, "old", nil), public(t, "new", nil))
		p := &publisher{answer: cached("max-age=3600", old)}
		s := oauth.NewKeySets(p)
		wantKids(t, s, "old", "old")
		p.set(cached("max-age=3600", both))
		time.Sleep(30*time.Second - time.Nanosecond)
		wantKids(t, s, "new")
		p.wantAsked(t, 1, "within 30 s")
		time.Sleep(time.Nanosecond)
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				if n%2 == 0 {
					wantKids(t, s, "new", "new")
				} else {
					wantKids(t, s, fmt.Sprintf("forged-%d", n))
				}
			})
		}
		all.Wait()
		p.wantAsked(t, 2, "50 unknown key ids at once")
		for range 29 {
			time.Sleep(time.Second)
			wantKids(t, s, "forged")
		}
		p.wantAsked(t, 2, "the next 30 s")
		time.Sleep(time.Second)
		wantKids(t, s, "forged")
		p.wantAsked(t, 3, "after 30 s")
		wantKids(t, s, "old", "old")
		p.wantAsked(t, 3, "a known one")
	})
}

// While its server is away, an issuer's known keys stay good; those who ask for unknown ones do not make for more requests than usual.
func TestUnknownKeyIDWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{answer: cached("max-age=3600", keySet(public(t, "old", nil)))}
		s := oauth.NewKeySets(p)
		wantKids(t, s, "old", "old")
		p.set(says(http.StatusServiceUnavailable, nil, ""))
		time.Sleep(30 * time.Second)
		for range 30 {
			wantKids(t, s, "forged")
			wantKids(t, s, "old", "old")
			time.Sleep(time.Second)
		}
		p.wantAsked(t, 2, "30 s of forged tokens")
		wantKids(t, s, "forged")
		p.wantAsked(t, 3, "after 30 s")
	})
}
