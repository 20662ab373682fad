package store

import (
	"fmt"
	"testing"
	"time"

	"credence/internal/fault"
)

func issuerKey(account, algorithm string, generation int64) IssuerKey {
	id := fmt.Sprintf("%s-%d", algorithm, generation)
	return IssuerKey{Account: account, ID: id, Algorithm: algorithm, Generation: generation, PublicKey: "{}", Material: []byte("sealed"), CreatedAt: noon, SignsAt: noon.Add(time.Hour)}
}

// Of two who make the next key at the same time one succeeds; a key that is made alone leaves no earlier one of its algorithm, and those of others alone.
func TestIssuerKeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		for _, k := range []IssuerKey{issuerKey(alpha, "RS256", 1), issuerKey(alpha, "RS256", 2), issuerKey(alpha, "ES384", 1), issuerKey(beta, "RS256", 1)} {
			must(t, s.InsertIssuerKey(k, false))
		}
		second := issuerKey(alpha, "RS256", 2)
		second.ID = "another"
		want(t, s.InsertIssuerKey(second, true), fault.Conflict)
		list := func(account string) []IssuerKey {
			t.Helper()
			all, err := s.IssuerKeys(ctx, account)
			must(t, err)
			return all
		}
		same(t, list(alpha), []IssuerKey{issuerKey(alpha, "ES384", 1), issuerKey(alpha, "RS256", 1), issuerKey(alpha, "RS256", 2)})
		must(t, s.InsertIssuerKey(issuerKey(alpha, "RS256", 3), true))
		same(t, list(alpha), []IssuerKey{issuerKey(alpha, "ES384", 1), issuerKey(alpha, "RS256", 3)})
		must(t, s.DeleteIssuerKey(issuerKey(alpha, "RS256", 3)))
		must(t, s.DeleteIssuerKey(issuerKey(alpha, "RS256", 3)))
		same(t, list(alpha), []IssuerKey{issuerKey(alpha, "ES384", 1)})
		same(t, list(beta), []IssuerKey{issuerKey(beta, "RS256", 1)})
	})
}

// A key that was on its way when its account was shredded is not written.
func TestIssuerKeyOfNoAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		k := IssuerKey{Account: "333333333333", ID: "k", Algorithm: "RS256", Generation: 1, PublicKey: "{}", Material: []byte("sealed"), CreatedAt: noon, SignsAt: noon}
		want(t, s.InsertIssuerKey(k, false), fault.NotFound)
		rows, err := s.IssuerKeys(t.Context(), k.Account)
		must(t, err)
		if len(rows) != 0 {
			t.Errorf("%+v", rows)
		}
	})
}
