package workload_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/fakeidp"
	"credence/internal/store"
	"credence/internal/testpostgres"
	"credence/internal/workload"
)

func (u users) trustByClaims(t *testing.T, account, issuer string, claims ...string) {
	t.Helper()
	_, err := u.store.PutTrustedIssuer(store.TrustedIssuer{Account: account, Issuer: issuer, Audiences: []string{audience}, UserKeyClaims: claims, CreatedAt: time.Now()})
	must(t, err)
}

func onEachEngine(t *testing.T, test func(*testing.T, users)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newUsers(t)) })
	t.Run("postgres", func(t *testing.T) {
		u := newUsers(t)
		s, err := store.Open(context.Background(), store.Config{URL: testpostgres.Database(t)})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		for _, account := range []string{alpha, beta} {
			must(t, s.InsertAccount(account, time.Now(), nil))
		}
		u.Issuers, u.store = s, s
		test(t, u)
	})
}

// Whoever two claims tell apart in any byte is another user, and whom no claim tells for sure is none.
func TestUsersByClaims(t *testing.T) {
	onEachEngine(t, func(t *testing.T, u users) {
		idp, other := fakeidp.Start(t), fakeidp.Start(t)
		u.trustByClaims(t, alpha, idp.Issuer(), "email")
		u.trustByClaims(t, alpha, other.Issuer(), "email")
		u.trustByClaims(t, beta, idp.Issuer(), "tid", "oid")
		verified := func(email any) map[string]any {
			return claimsOf(map[string]any{"email": email, "email_verified": true})
		}
		keys := map[string]string{}
		distinct := func(t *testing.T, account, token string, want workload.User) {
			t.Helper()
			got, err := u.verify(account, token)
			if err != nil || got != want {
				t.Fatalf("%v, %v, want %v", got, err, want)
			}
			if who, taken := keys[got.Key()]; taken {
				t.Errorf("%s and %s share a key", who, got)
			}
			keys[got.Key()] = got.String()
		}
		for _, email := range []string{"alice@x", "Alice@x", "alice@X", "alice@x ", " alice@x", "alice@x\n", "\u00e9lise@x", "e\u0301lise@x", "alic\u0435@x", "alice@x.", `"alice"@x`} {
			for _, i := range []*fakeidp.Vendor{idp, other} {
				distinct(t, alpha, i.Sign(verified(email)), workload.UserByClaims(i.Issuer(), workload.Claim{Name: "email", Value: email}))
			}
		}
		distinct(t, beta, idp.Sign(claimsOf(map[string]any{"oid": "1", "tid": "2"})),
			workload.UserByClaims(idp.Issuer(), workload.Claim{Name: "oid", Value: "1"}, workload.Claim{Name: "tid", Value: "2"}))
		distinct(t, beta, idp.Sign(claimsOf(map[string]any{"oid": "2", "tid": "1"})),
			workload.UserByClaims(idp.Issuer(), workload.Claim{Name: "oid", Value: "2"}, workload.Claim{Name: "tid", Value: "1"}))

		for name, test := range map[string]struct {
			claims map[string]any
			says   string
		}{
			"no email":            {claimsOf(map[string]any{"email_verified": true}), `no claim "email"`},
			"EMAIL":               {claimsOf(map[string]any{"EMAIL": "alice@x", "email_verified": true}), `no claim "email"`},
			"null":                {verified(nil), `no claim "email"`},
			"empty":               {verified(""), "is empty"},
			"a list of one":       {verified([]string{"alice@x"}), "is not a string"},
			"a list":              {verified([]string{"alice@x", "mallory@x"}), "is not a string"},
			"an object":           {verified(map[string]any{"value": "alice@x"}), "is not a string"},
			"a number":            {verified(7), "is not a string"},
			"a mangled text":      {verified("al\xffce@x"), "not well-formed"},
			"nobody verified it":  {claimsOf(map[string]any{"email": "alice@x"}), `"email_verified" is not true`},
			"verified: false":     {claimsOf(map[string]any{"email": "alice@x", "email_verified": false}), `"email_verified" is not true`},
			"verified, in words":  {claimsOf(map[string]any{"email": "alice@x", "email_verified": "true"}), `"email_verified" is not true`},
			"verified, a number":  {claimsOf(map[string]any{"email": "alice@x", "email_verified": 1}), `"email_verified" is not true`},
			"verified, elsewhere": {claimsOf(map[string]any{"email": "alice@x", "Email_Verified": true}), `"email_verified" is not true`},
		} {
			t.Run(name, func(t *testing.T) { u.wantRefused(t, alpha, idp.Sign(test.claims), test.says) })
		}
		u.wantRefused(t, beta, idp.Sign(claimsOf(map[string]any{"oid": "1"})), `no claim "tid"`)
	})
}

// What a decoder makes of two different ill-formed texts is one and the same.
func TestUsersByClaimsGivenTwiceOrMangled(t *testing.T) {
	u, i, key := newUsers(t), startIssuer(t), ecKey(t)
	u.trustByClaims(t, alpha, i.url, "upn")
	u.trustByClaims(t, beta, i.url)
	i.publish(jose.JSONWebKey{Key: key.Public(), KeyID: "k"})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	must(t, err)
	for name, test := range map[string]struct{ account, claims string }{
		"twice":         {alpha, `"sub":"a","upn":"alice","upn":"mallory"`},
		"a surrogate":   {alpha, `"sub":"a","upn":"\ud800"`},
		"bytes":         {alpha, `"sub":"a","upn":"` + "\xff" + `"`},
		"in sub, alone": {beta, `"sub":"\ud800"`},
	} {
		t.Run(name, func(t *testing.T) {
			signed, err := signer.Sign(fmt.Appendf(nil, `{"iss":%q,"aud":"credence","exp":%d,%s}`, i.url, time.Now().Add(time.Minute).Unix(), test.claims))
			must(t, err)
			token, err := signed.CompactSerialize()
			must(t, err)
			u.wantRefused(t, test.account, token)
		})
	}
}

func TestCheckUserKeyClaims(t *testing.T) {
	for _, good := range [][]string{{"sub"}, {"email"}, {"oid", "tid"}, {"sub", "https://idp.example/org", "a b"}} {
		if err := workload.CheckUserKeyClaims(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for says, bad := range map[string][]string{
		"1 to 3": {"a", "b", "c", "d"}, "twice": {"oid", "oid"}, `"iss"`: {"iss"}, `"email_verified"`: {"email", "email_verified"}, `"jti"`: {"jti"}, "no name": {"\xff"},
	} {
		if err := workload.CheckUserKeyClaims(bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
