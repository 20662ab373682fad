package broker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/provider"
	"credence/internal/store"
)

// runs has replicas do in the background what a server does, until the answer is called.
func runs(replicas ...*fixture) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var jobs sync.WaitGroup
	for _, r := range replicas {
		jobs.Go(func() { r.RecordUses(ctx) })
		jobs.Go(func() { r.RenewGrants(ctx) })
	}
	return func() {
		cancel()
		jobs.Wait()
	}
}

// Whoever uses a grant never waits for its vendor: one replica of all renews it before its end, once in each of its lives.
func TestRenewalBeforeTheEnd(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		replicas := []*fixture{f, f.replica(), f.replica()}
		defer runs(replicas...)()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 2 * time.Second })
		tokens := map[string]bool{first: true}
		var newest, since time.Time
		for start := time.Now(); time.Since(start) < 5*time.Minute; time.Sleep(time.Second) {
			for _, r := range replicas {
				asked := time.Now()
				token := r.token("alice")
				if waited := time.Since(asked); waited > time.Second { // the vendor takes two
					t.Fatalf("waited %v", waited)
				}
				if info, _ := f.vendor.Introspect(token); !tokens[token] {
					tokens[token], newest, since = true, info.Expiry, time.Now()
				} else if info.Expiry.Before(newest) && time.Since(since) > time.Second {
					t.Fatal("a replica serves a token that another has renewed")
				}
				if info, _ := f.vendor.Introspect(token); time.Until(info.Expiry) < 5*time.Second { // a tenth of its life is 6 s
					t.Fatalf("served until %v before its end", time.Until(info.Expiry))
				}
			}
		}
		if n := f.vendor.Count("refresh_token"); n < len(tokens)-1 || n > len(tokens) || n < 5 || n > 8 || f.vendor.FamiliesKilled() != 0 {
			t.Errorf("%d refreshes, %d tokens, %d families killed", n, len(tokens), f.vendor.FamiliesKilled())
		}
	})
}

// A grant that nobody uses is let alone, but for what keeps its refresh token alive.
func TestRenewalOfIdleGrants(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		defer runs(f)()
		time.Sleep(time.Hour)
		if n := f.vendor.Count("refresh_token"); n > 1 { // the consent's own poll was a use
			t.Errorf("refreshed %d times in an hour without a use", n)
		}
		const idle = 30 * time.Minute
		f.change("vendor", false, func(c *provider.Config) { c.RefreshTokenIdleSeconds = int32(idle / time.Second) })
		f.token("alice")
		before, last := f.vendor.Count("refresh_token"), time.Now()
		for start := time.Now(); time.Since(start) < 4*time.Hour; time.Sleep(time.Minute) {
			if n := f.vendor.Count("refresh_token"); n > before {
				before, last = n, time.Now()
			}
			if time.Since(last) > idle*4/5 {
				t.Fatalf("not touched for %v", time.Since(last))
			}
		}
		if n := f.vendor.Count("refresh_token"); n > 20 {
			t.Errorf("touched %d times in four hours", n)
		}
	})
}

// Reading costs no write: one for each life of a token.
func TestUseIsWrittenOnce(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		ctx, cancel := context.WithCancel(t.Context())
		var jobs sync.WaitGroup
		jobs.Go(func() { f.RecordUses(ctx) })
		time.Sleep(2 * renewalPoll)
		g := f.row("alice")
		if g.UsedAt.Before(g.ObtainedAt) || g.RenewAt.IsZero() || g.RenewAt.After(g.ExpiresAt.Add(-margin(g))) {
			t.Errorf("used %v, due %v, ends %v", g.UsedAt, g.RenewAt, g.ExpiresAt)
		}
		for range 300 {
			if f.token("alice") != first {
				t.Fatal("another token")
			}
			time.Sleep(100 * time.Millisecond)
		}
		after := f.row("alice")
		if !after.UsedAt.Equal(g.UsedAt) || after.Version != g.Version {
			t.Error("written again")
		}
		cancel()
		jobs.Wait()
		time.Sleep(untilEnd)
		f.token("alice") // whoever asks for a renewal is a use, and needs no other write
		if g := f.row("alice"); g.UsedAt.Before(g.ObtainedAt) || g.RenewAt.IsZero() || len(f.uses.pending) != 0 {
			t.Errorf("used %v, due %v, %d to be written", g.UsedAt, g.RenewAt, len(f.uses.pending))
		}
	})
}

// What a process had claimed when it died is done by another; what the vendor does not do is tried later and later, and not for ever by all replicas at once.
func TestRenewalGoesOn(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Hour })
		time.Sleep(untilEnd)
		first := f.token("alice")
		f.must(f.Vault.MarkUsed([]store.Use{{Account: account, Key: f.row("alice").Key, Version: f.row("alice").Version, RenewAt: time.Now()}}))
		claimed, err := f.store.ClaimRenewals(renewalClaim, renewalEach, nil)
		f.must(err)
		if len(claimed) != 1 {
			t.Fatalf("%d claimed", len(claimed))
		}
		replicas := []*fixture{f.replica(), f.replica()} // f is dead
		stop := runs(replicas...)
		time.Sleep(renewalClaim / 2)
		if f.row("alice").Version != claimed[0].Version {
			t.Error("renewed under another's claim")
		}
		time.Sleep(renewalClaim)
		if replicas[0].token("alice") == first {
			t.Error("not renewed after the claim had ended")
		}
		time.Sleep(2 * renewalPoll)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 429 })
		before := f.vendor.Count("refresh_token")
		time.Sleep(6 * time.Hour)
		if n := f.vendor.Count("refresh_token") - before; n < 8 || n > 20 {
			t.Errorf("a vendor that refuses was asked %d times in six hours", n)
		}
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Failures = fakeidp.Failures{} })
		time.Sleep(2 * longestRenewalPause)
		if g := f.row("alice"); time.Since(g.ObtainedAt) > 2*longestRenewalPause || g.LastError != "" || g.Failures != 0 {
			t.Errorf("not renewed when the vendor was back: %v, %q", g.ObtainedAt, g.LastError)
		}
		stop()
	})
}

// However many grants of one vendor are due, the calls are few at a time, and a slow vendor holds up no other provider.
func TestRenewalIsBounded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Hour })
		const many = 3 * renewalEach
		var due []store.Use
		for n := range many {
			user := fmt.Sprint("user", n)
			f.granted(user)
			g := f.row(user)
			due = append(due, store.Use{Account: account, Key: g.Key, Version: g.Version, RenewAt: time.Now()})
		}
		f.must(f.Vault.MarkUsed(due))
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 2 * time.Second })
		stop := runs(f)
		var most int
		for f.vendor.Count("refresh_token") < many {
			time.Sleep(100 * time.Millisecond)
			f.upstream.mu.Lock()
			for _, e := range f.upstream.endpoints {
				most = max(most, e.calls)
			}
			f.upstream.mu.Unlock()
		}
		stop()
		if most > renewalCalls || most < 2 {
			t.Errorf("%d calls at a time", most)
		}
	})
}
