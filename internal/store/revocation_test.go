package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"credence/internal/fault"
)

func TestRevocations(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		ctx, now := context.Background(), time.Now()
		must(t, s.InsertAccount("1", now, []Keyset{{Purpose: PurposeTokens, ID: "t", Sealed: []byte("tokens")}}))
		must(t, s.InsertWorkload(Workload{Account: "1", Name: "w", Incarnation: "wi", CreatedAt: now, UpdatedAt: now}, Tags{}))
		must(t, s.InsertOAuth2Provider(OAuth2Provider{
			Account: "1", Name: "p", Incarnation: "pi", Generation: "g1", CallbackID: "c", Vendor: "V", Config: "{}", ClientSecret: []byte("sealed secret"), CreatedAt: now, UpdatedAt: now,
		}, "default", Tags{}))
		grant := func(key string, refresh []byte, expires time.Time) {
			t.Helper()
			_, err := s.PutGrant(Grant{
				Account: "1", Key: key, Flow: "f", Workload: "w", WorkloadIncarnation: "wi", Provider: "p", ProviderIncarnation: "pi", Generation: "g1", UserKey: "u", Keyset: "t", UserName: []byte("sealed name"),
				AccessToken: []byte("sealed access"), RefreshToken: refresh, ProofKey: []byte("sealed key"), State: GrantActive, ExpiresAt: expires, CreatedAt: now,
			})
			must(t, err)
		}
		grant("ended", nil, now.Add(-time.Hour))
		if used, err := s.InUse(ctx, "1", "pi", "g1", "u", false); used || err != nil {
			t.Error("a grant that has ended is in use", err)
		}
		grant("refreshable", []byte("sealed refresh"), now.Add(-time.Hour))
		grant("endless", nil, time.Time{})
		grant("valid", nil, now.Add(time.Hour))
		if used, err := s.InUse(ctx, "1", "pi", "g1", "u", false); !used || err != nil {
			t.Error(used, err)
		}
		for _, other := range [][4]string{{"2", "pi", "g1", "u"}, {"1", "x", "g1", "u"}, {"1", "pi", "x", "u"}, {"1", "pi", "g1", "x"}} {
			if used, err := s.InUse(ctx, other[0], other[1], other[2], other[3], false); used || err != nil {
				t.Error(other, used, err)
			}
		}
		if used, err := s.InUse(ctx, "1", "pi", "g1", "x", true); !used || err != nil {
			t.Error(used, err)
		}

		// An update that changes nothing of the generation ends nothing; one that loses a race neither.
		p, err := s.OAuth2Provider(ctx, "1", "p")
		must(t, err)
		must(t, s.UpdateOAuth2Provider(p))
		stale := p
		stale.Generation = "g2"
		if err := s.UpdateOAuth2Provider(stale); !errors.Is(err, fault.ConcurrentModification) {
			t.Error(err)
		}
		if err := s.DeleteOAuth2Provider("1", "nobody", ""); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if pending, _, err := s.PendingRevocations(ctx); pending != 0 || err != nil {
			t.Error(pending, err)
		}

		must(t, s.DeleteOAuth2Provider("1", "p", ""))
		if pending, due, err := s.PendingRevocations(ctx); pending != 3 || due != 3 || err != nil { // all but the one that is of no use to anybody
			t.Error(pending, due, err)
		}
		for _, key := range []string{"refreshable", "endless", "valid", "ended"} {
			if _, err := s.Grant(ctx, "1", key); !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", key, err)
			}
		}
		claimed := map[string]Revocation{}
		for range 3 {
			r, err := s.ClaimRevocation(time.Minute)
			must(t, err)
			g := r.Grant
			if r.Cause != CauseProviderDeleted || g.Workload != "w" || g.Provider != "p" || g.Generation != "g1" || g.UserKey != "u" || string(g.AccessToken) != "sealed access" ||
				(g.RefreshToken != nil) != (g.Key == "refreshable") || string(r.ClientSecret) != "sealed secret" || string(g.ProofKey) != "sealed key" || r.Vendor != "V" || r.Attempts != 1 || r.State != RevocationPending {
				t.Errorf("%+v", r)
			}
			claimed[g.Key] = r
		}
		if r, ok := claimed["refreshable"]; !ok {
			t.Error("one was claimed twice")
		} else {
			old := r
			r.Grant.RefreshToken = []byte("sealed rotated")
			r.Version, err = s.KeepRevocation(r, 0)
			must(t, err)
			if _, err := s.KeepRevocation(old, 0); !errors.Is(err, fault.ConcurrentModification) {
				t.Error(err)
			}
			again, err := s.ClaimRevocation(time.Minute)
			if err != nil || again.ID != r.ID || string(again.Grant.RefreshToken) != "sealed rotated" || again.Attempts != 2 {
				t.Errorf("%+v %v", again, err)
			}
			r.State = RevocationDone
			if err := s.FinishRevocation(r); !errors.Is(err, fault.ConcurrentModification) { // somebody else claimed it
				t.Error(err)
			}
			again.State, again.LastError = RevocationDone, "HTTP 200"
			must(t, s.FinishRevocation(again))
		}
		if _, err := s.ClaimRevocation(time.Minute); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
		var sealed int
		must(t, s.reader.QueryRow(`SELECT COUNT(*) FROM revocations WHERE state <> 'pending' AND
		(user_name IS NOT NULL OR access_token IS NOT NULL OR refresh_token IS NOT NULL OR proof_key IS NOT NULL OR client_secret IS NOT NULL)`).Scan(&sealed))
		if sealed != 0 {
			t.Error("a finished revocation holds sealed values")
		}
		rows := func() (n int) {
			must(t, s.reader.QueryRow(`SELECT COUNT(*) FROM revocations`).Scan(&n))
			return n
		}
		must(t, s.Purge(time.Now().Add(-time.Minute)))
		if n := rows(); n != 3 {
			t.Errorf("%d rows after an early purge", n)
		}
		must(t, s.Purge(time.Now().Add(time.Hour)))
		if n := rows(); n != 2 { // pending ones stay, however old
			t.Errorf("%d rows after a purge", n)
		}
	})
}
