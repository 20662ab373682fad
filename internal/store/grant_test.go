package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"credence/internal/fault"
)

// grantBed is an account with two workload identities and a provider.
func grantBed(t *testing.T, s *Store, account string) func(key, workload, user string, edit ...func(*Grant)) {
	t.Helper()
	now := time.Now()
	must(t, s.InsertAccount(account, now, []Keyset{{Purpose: PurposeTokens, ID: "t", Sealed: []byte("tokens")}}))
	for _, name := range []string{"w", "w2"} {
		must(t, s.InsertWorkload(Workload{Account: account, Name: name, Incarnation: "i" + name, CreatedAt: now, UpdatedAt: now}, Tags{}))
	}
	must(t, s.InsertOAuth2Provider(OAuth2Provider{
		Account: account, Name: "p", Incarnation: "pi", Generation: "g1", CallbackID: "c" + account, Vendor: "V", Config: "{}", CreatedAt: now, UpdatedAt: now,
	}, "default", Tags{}))
	return func(key, workload, user string, edit ...func(*Grant)) {
		t.Helper()
		g := Grant{
			Account: account, Key: key, Flow: "USER_FEDERATION", Workload: workload, WorkloadIncarnation: "i" + workload, Provider: "p", ProviderIncarnation: "pi", Generation: "g1",
			UserKey: user, Keyset: "t", AccessToken: []byte("sealed access"), RefreshToken: []byte("sealed refresh"), ProofKey: []byte("sealed key"), State: GrantActive, CreatedAt: now,
		}
		for _, e := range edit {
			e(&g)
		}
		_, err := s.PutGrant(g)
		must(t, err)
	}
}

func keysOf(t *testing.T, s *Store, f GrantFilter) (keys []string) {
	t.Helper()
	for p := (Page{Limit: 2}); ; {
		rows, more, err := s.Grants(context.Background(), f, p)
		must(t, err)
		for _, g := range rows {
			keys = append(keys, g.Key)
			p.After = g.Key
		}
		if !more {
			return keys
		}
	}
}

func TestListGrants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put := grantBed(t, s, "1")
		other := grantBed(t, s, "2")
		put("a", "w", "alice")
		put("B", "w2", "alice")
		put("c", "w", "bob", func(g *Grant) { g.State = GrantDead })
		put("d", "w", "", func(g *Grant) { g.Flow, g.RefreshToken = "M2M", nil })
		other("a", "w", "alice")
		for _, test := range []struct {
			f    GrantFilter
			want []string
		}{
			{GrantFilter{Account: "1"}, []string{"B", "a", "c", "d"}}, // bytewise
			{GrantFilter{Account: "1", Key: "a"}, []string{"a"}},
			{GrantFilter{Account: "1", Workload: "w"}, []string{"a", "c", "d"}},
			{GrantFilter{Account: "1", Provider: "p", UserKey: "alice"}, []string{"B", "a"}},
			{GrantFilter{Account: "1", Workload: "w", UserKey: "alice", Flow: "USER_FEDERATION", States: []GrantState{GrantActive}}, []string{"a"}},
			{GrantFilter{Account: "1", Flow: "M2M"}, []string{"d"}},
			{GrantFilter{Account: "1", States: []GrantState{GrantDead, GrantRevoked}}, []string{"c"}},
			{GrantFilter{Account: "3"}, nil},
		} {
			if got := keysOf(t, s, test.f); !slices.Equal(got, test.want) {
				t.Errorf("%+v: %q, want %q", test.f, got, test.want)
			}
		}
	})
}

// A revocation is one transaction: rows say revoked and hold no token, the outbox has the tokens with what is open about them, sessions fail, the epoch rises.
func TestRevokeGrants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		ctx := context.Background()
		put := grantBed(t, s, "1")
		other := grantBed(t, s, "2")
		put("plain", "w", "alice")
		put("refreshing", "w", "alice", func(g *Grant) { g.IntentAt = time.Now() })
		put("answer lost", "w", "alice", func(g *Grant) { g.State, g.LastError = GrantDead, "maybe_spent" })
		put("consenting", "w", "alice")
		put("of no use", "w", "alice", func(g *Grant) { g.RefreshToken, g.ExpiresAt = nil, time.Now().Add(-time.Hour) })
		put("bob's", "w", "bob")
		other("plain", "w", "alice")
		session := func(account, id, key, user string, state SessionState) {
			t.Helper()
			must(t, s.InsertSession(Session{
				Account: account, ID: id, Workload: "w", WorkloadIncarnation: "iw", Provider: "p", ProviderIncarnation: "pi", Generation: "g1", UserKey: user, GrantKey: key, Keyset: "t",
				Request: []byte("x"), Code: []byte("sealed code"), State: state, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Minute),
			}))
		}
		session("1", "s1", "consenting", "alice", SessionExchanging)
		session("1", "s2", "plain", "alice", SessionPending)
		session("1", "s3", "plain", "alice", SessionCompleted)
		session("1", "s4", "bob's", "bob", SessionPending)
		session("2", "s5", "plain", "alice", SessionPending)
		before, err := s.Epochs(ctx)
		must(t, err)

		n, err := s.RevokeGrants(GrantFilter{Account: "1", UserKey: "alice"})
		if n != 5 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		after, err := s.Epochs(ctx)
		if err != nil || after["1"] <= before["1"] || after["2"] != before["2"] {
			t.Errorf("epochs %v, then %v, %v", before, after, err)
		}
		if got := keysOf(t, s, GrantFilter{Account: "1", States: []GrantState{GrantActive, GrantDead}}); !slices.Equal(got, []string{"bob's"}) {
			t.Errorf("left: %q", got)
		}
		rows, _, err := s.Grants(ctx, GrantFilter{Account: "1", States: []GrantState{GrantRevoked}}, Page{Limit: 10})
		must(t, err)
		for _, g := range rows {
			if g.AccessToken != nil || g.RefreshToken != nil || g.ProofKey != nil || !g.IntentAt.IsZero() || time.Since(g.ExpiresAt).Abs() > time.Minute {
				t.Errorf("%+v", g)
			}
		}
		for id, want := range map[string]SessionState{"s1": SessionFailed, "s2": SessionFailed, "s3": SessionCompleted, "s4": SessionPending, "s5": SessionPending} {
			if got, err := s.Session(ctx, id); err != nil || got.State != want || (got.Code == nil) != (want == SessionFailed) {
				t.Errorf("%s: %+v, %v", id, got, err)
			}
		}
		open1 := map[string]Revocation{}
		for {
			r, err := s.ClaimRevocation(time.Minute)
			if errors.Is(err, fault.NotFound) {
				break
			}
			must(t, err)
			open1[r.Grant.Key] = r
		}
		for key, want := range map[string]string{"plain": "settled", "refreshing": "open", "answer lost": "lost", "consenting": "open"} {
			r, ok := open1[key]
			got := map[bool]string{true: "settled", false: "open"}[r.Grant.IntentAt.IsZero()]
			if r.Grant.IntentAt.Equal(AnswerLost) {
				got = "lost"
			}
			if !ok || got != want || r.Cause != CauseGrantRevoked || string(r.Grant.RefreshToken) != "sealed refresh" || string(r.Grant.ProofKey) != "sealed key" {
				t.Errorf("%s: %s, want %s: %+v", key, got, want, r)
			}
		}
		if len(open1) != 4 {
			t.Errorf("%d in the outbox", len(open1))
		}
		if n, err := s.RevokeGrants(GrantFilter{Account: "1", UserKey: "alice"}); n != 0 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
		if pending, _, err := s.PendingRevocations(ctx); pending != 4 || err != nil {
			t.Errorf("again: %d pending, %v", pending, err)
		}

		// What was under way says what it brought; what will never be known stays so.
		must(t, s.SettleRevocations("1", "refreshing"))
		must(t, s.SettleRevocations("1", "answer lost"))
		r := open1["consenting"]
		if n, err := s.Untold(ctx, r); n != 0 || err != nil {
			t.Error(n, err)
		}
		lost := r
		lost.ID, lost.Cause = "lost", CauseLost
		must(t, s.InsertRevocation(lost))
		if n, err := s.Untold(ctx, r); n != 1 || err != nil {
			t.Error(n, err)
		}
		for key, want := range map[string]bool{"plain": false, "refreshing": false, "answer lost": true, "consenting": false} {
			if open, err := s.Unsettled(ctx, open1[key]); open != want || err != nil {
				t.Errorf("%s: unsettled %t, %v", key, open, err)
			}
		}
		claimed, err := s.ClaimRevocation(time.Minute)
		if err != nil || claimed.ID != "lost" || !claimed.Grant.IntentAt.IsZero() {
			t.Fatalf("%+v, %v", claimed, err)
		}
		claimed.Outcome, claimed.LastError = RevocationDone, "HTTP 200"
		_, err = s.KeepRevocation(claimed, 0)
		must(t, err)
		if n, err := s.Untold(ctx, r); n != 0 || err != nil {
			t.Errorf("%d untold, %v", n, err)
		}
		if kept, err := s.ClaimRevocation(time.Minute); err != nil || kept.Outcome != RevocationDone || kept.State != RevocationPending || kept.LastError != "HTTP 200" {
			t.Errorf("%+v, %v", kept, err)
		}
		gave := open1["refreshing"]
		gave.Grant.IntentAt = AnswerLost
		_, err = s.KeepRevocation(gave, 0)
		must(t, err)
		must(t, s.SettleRevocations("1", "refreshing"))
		if open, err := s.Unsettled(ctx, gave); !open || err != nil {
			t.Error("an answer that was given up is waited for again", err)
		}
		last, err := s.LastRevocation(ctx, "1", "plain")
		if err != nil || last.ID != open1["plain"].ID {
			t.Errorf("%+v, %v", last, err)
		}

		// A new consent may have the key again; it begins anew. What was revoked is purged like all that is over.
		put("plain", "w", "alice", func(g *Grant) { g.CreatedAt = time.UnixMilli(5e12) })
		if g, err := s.Grant(ctx, "1", "plain"); err != nil || g.State != GrantActive || g.CreatedAt.UnixMilli() != 5e12 {
			t.Errorf("%+v, %v", g, err)
		}
		must(t, s.Purge(time.Now().Add(time.Hour)))
		if got := keysOf(t, s, GrantFilter{Account: "1"}); !slices.Equal(got, []string{"bob's", "plain"}) {
			t.Errorf("after a purge: %q", got)
		}
	})
}

// No new grant is put for whom a freeze names; one that is there is updated. Another account's freeze is none.
func TestFreezes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		ctx := context.Background()
		put := grantBed(t, s, "1")
		grantBed(t, s, "2")
		put("k", "w", "alice")
		g, err := s.Grant(ctx, "1", "k")
		must(t, err)
		for i, f := range []Freeze{{Kind: FreezeAccount}, {Kind: FreezeWorkload, ID: "w"}, {Kind: FreezeProvider, ID: "p"}, {Kind: FreezeUser, ID: "alice", UserName: []byte("sealed")}} {
			f.Account, f.Reason, f.CreatedBy, f.CreatedAt = "1", fmt.Sprint(i), "arn", time.UnixMilli(1e12).UTC()
			before, err := s.Epochs(ctx)
			must(t, err)
			got, err := s.PutFreeze(f)
			must(t, err)
			again := f
			again.Reason = "another"
			if second, err := s.PutFreeze(again); err != nil || second.Reason != got.Reason || got.Reason != fmt.Sprint(i) {
				t.Errorf("%+v, then %+v, %v", got, second, err)
			}
			if _, err := s.PutGrant(g); !errors.Is(err, fault.NotFound) {
				t.Errorf("%s: a grant was put: %v", f.Kind, err)
			}
			if g.Version, err = s.UpdateGrant(g); err != nil {
				t.Errorf("%s: a grant is lost: %v", f.Kind, err)
			}
			all, err := s.Freezes(ctx, "1")
			if err != nil || len(all) != 1 || all[0].Kind != f.Kind || all[0].ID != f.ID || !all[0].CreatedAt.Equal(f.CreatedAt) || string(all[0].UserName) != string(f.UserName) {
				t.Errorf("%+v, %v", all, err)
			}
			must(t, s.DeleteFreeze("1", f.Kind, f.ID))
			if err := s.DeleteFreeze("1", f.Kind, f.ID); !errors.Is(err, fault.NotFound) {
				t.Error(err)
			}
			after, err := s.Epochs(ctx)
			if err != nil || after["1"] < before["1"]+2 {
				t.Errorf("epochs %v, then %v, %v", before, after, err)
			}
			if g.Version, err = s.PutGrant(g); err != nil {
				t.Error(err)
			}
		}
		for _, f := range []Freeze{{Account: "2", Kind: FreezeAccount}, {Account: "1", Kind: FreezeUser, ID: "w"}, {Account: "1", Kind: FreezeWorkload, ID: "alice"}, {Account: "1", Kind: FreezeProvider, ID: "w"}} {
			f.CreatedAt = time.Now()
			_, err := s.PutFreeze(f)
			must(t, err)
			if g.Version, err = s.PutGrant(g); err != nil {
				t.Errorf("%+v: %v", f, err)
			}
		}
	})
}

func TestGrants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		w, p := withParents(t, s)
		g := grant(w, p, "k1")
		version, err := s.PutGrant(g)
		must(t, err)
		got, err := s.Grant(ctx, alpha, "k1")
		must(t, err)
		same(t, got, g)
		_, err = s.Grant(ctx, beta, "k1")
		want(t, err, fault.NotFound)

		g.AccessToken, g.RefreshToken, g.ProofKey, g.IntentAt, g.ExpiresAt, g.State, g.LastError = []byte("new"), nil, []byte("new key"), noon, time.Time{}, GrantDead, "invalid_grant"
		g.Version = version
		version, err = s.UpdateGrant(g)
		must(t, err)
		if _, err := s.UpdateGrant(g); !errors.Is(err, fault.ConcurrentModification) { // the old version
			t.Errorf("a write with an old version: %v", err)
		}
		g.Version = version
		got, err = s.Grant(ctx, alpha, "k1")
		must(t, err)
		same(t, got, g)

		for user, want := range map[string]int{g.UserKey: 1, "another": 0} {
			bound, err := s.BoundGrants(ctx, alpha, g.WorkloadIncarnation, g.ProviderIncarnation, g.Generation, user)
			must(t, err)
			if len(bound) != 0 { // it is dead
				t.Errorf("bound: %+v", bound)
			}
			alive := g
			alive.State, alive.UserKey = GrantActive, g.UserKey
			if alive.Version, err = s.UpdateGrant(alive); err != nil {
				t.Fatal(err)
			}
			bound, err = s.BoundGrants(ctx, alpha, g.WorkloadIncarnation, g.ProviderIncarnation, g.Generation, user)
			must(t, err)
			other, err := s.BoundGrants(ctx, alpha, g.WorkloadIncarnation, g.ProviderIncarnation, "another", user)
			must(t, err)
			if len(bound) != want || len(other) != 0 {
				t.Errorf("for user %q: %d, of another generation %d", user, len(bound), len(other))
			}
			g.Version = alive.Version
			if g.Version, err = s.UpdateGrant(g); err != nil {
				t.Fatal(err)
			}
		}

		version, err = s.PutGrant(grant(w, p, "k1")) // a new consent replaces what was
		must(t, err)
		if version != g.Version+1 {
			t.Errorf("version %d", version)
		}
	})
}

// A grant is not written for a workload or provider that is gone, was created anew, or changed its generation.
func TestPutGrantNeedsItsParents(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		w, p := withParents(t, s)
		for name, spoil := range map[string]func(*Grant){
			"workload incarnation": func(g *Grant) { g.WorkloadIncarnation = "old" },
			"workload name":        func(g *Grant) { g.Workload = "other" },
			"provider incarnation": func(g *Grant) { g.ProviderIncarnation = "old" },
			"generation":           func(g *Grant) { g.Generation = "g0" },
			"account":              func(g *Grant) { g.Account = beta },
		} {
			t.Run(name, func(t *testing.T) {
				g := grant(w, p, "k")
				spoil(&g)
				_, err := s.PutGrant(g)
				want(t, err, fault.NotFound)
				n := session(w, p, "s-"+name)
				must(t, s.InsertSession(n))
				n.State = SessionCompleted
				_, err = s.CompleteSession(n, g)
				want(t, err, fault.NotFound)
				if got, err := s.Session(t.Context(), n.ID); err != nil || got.State != SessionPending {
					t.Errorf("the session moved without its grant: %v %v", got.State, err)
				}
			})
		}
	})
}
