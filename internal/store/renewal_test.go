package store

import (
	"fmt"
	"testing"
	"time"
)

// What is due is claimed by one, of each provider only so much, and is due again when the claim ends; what was written meanwhile is not put off.
func TestRenewals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put := grantBed(t, s, "1")
		other := grantBed(t, s, "2") // its provider has the same name and incarnation
		past := func(g *Grant) { g.RenewAt = time.Now().Add(-time.Minute) }
		for n := range 3 {
			put(fmt.Sprint("due", n), "w", "alice", past)
		}
		other("due", "w", "alice", past)
		put("later", "w", "alice", func(g *Grant) { g.RenewAt = time.Now().Add(time.Hour) })
		put("never", "w", "alice")
		put("dead", "w", "alice", past, func(g *Grant) { g.State = GrantDead })
		put("without", "w", "alice", past, func(g *Grant) { g.RefreshToken = nil })
		due, err := s.DueRenewals(t.Context())
		must(t, err)
		if due != 4 {
			t.Errorf("%d are due", due)
		}
		claim := func(d time.Duration, each int, without ...string) []Grant {
			t.Helper()
			got, err := s.ClaimRenewals(d, each, without)
			must(t, err)
			return got
		}
		if got := claim(time.Hour, 10, "pi"); len(got) != 0 {
			t.Errorf("claimed of a provider that was to be left out: %d", len(got))
		}
		if got := claim(time.Hour, 2); len(got) != 3 { // two of one account's provider, one of the other's
			t.Errorf("%d claimed", len(got))
		}
		last := claim(time.Hour, 2)
		if len(last) != 1 || len(claim(time.Hour, 2)) != 0 {
			t.Errorf("%d claimed", len(last))
		}
		must(t, s.PostponeRenewal(last[0], -time.Second))
		again := claim(time.Hour, 2)
		if len(again) != 1 || again[0].Key != last[0].Key {
			t.Errorf("%d claimed again", len(again))
		}
		again[0].RenewAt = time.Time{}
		_, err = s.UpdateGrant(again[0])
		must(t, err)
		must(t, s.PostponeRenewal(again[0], -time.Second))
		if n := len(claim(time.Hour, 2)); n != 0 {
			t.Errorf("%d claimed that was written meanwhile", n)
		}
	})
}

// A use sets the time of the next renewal for the token that was used, never later than it is, and is no change of the grant.
func TestMarkUsed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put := grantBed(t, s, "1")
		put("g", "w", "alice")
		grant := func() Grant {
			g, err := s.Grant(t.Context(), "1", "g")
			must(t, err)
			return g
		}
		in := func(want time.Duration) {
			t.Helper()
			if got := time.Until(grant().RenewAt); got > want || got < want-time.Minute {
				t.Errorf("due in %v, want %v", got, want)
			}
		}
		before := grant()
		mark := func(version int64, d time.Duration) {
			t.Helper()
			must(t, s.MarkUsed([]Use{{"1", "g", version, time.Now().Add(d)}, {"1", "gone", 1, time.Now()}}))
		}
		mark(before.Version, 2*time.Hour)
		in(2 * time.Hour)
		mark(before.Version, 3*time.Hour)
		in(2 * time.Hour)
		mark(before.Version, time.Hour)
		in(time.Hour)
		mark(before.Version+1, time.Minute)
		in(time.Hour)
		after := grant()
		if after.UsedAt.IsZero() || after.Version != before.Version {
			t.Errorf("used %v, version %d", after.UsedAt, after.Version)
		}
		if _, err := s.UpdateGrant(before); err != nil {
			t.Errorf("whoever was about to write it cannot: %v", err)
		}
		if !grant().UsedAt.Equal(after.UsedAt) {
			t.Error("the use is forgotten by a write of one who did not know of it")
		}
		before.RetryAt, before.Failures, before.Version = time.Now().Add(30*24*time.Hour), 7, grant().Version
		_, err := s.UpdateGrant(before)
		must(t, err)
		if g := grant(); g.Failures != 7 || time.Until(g.RetryAt) < 30*24*time.Hour-time.Minute || !g.RenewAt.IsZero() {
			t.Errorf("failures %d, retry %v, renewal %v", g.Failures, g.RetryAt, g.RenewAt)
		}
	})
}
