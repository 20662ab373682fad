package broker

import (
	"context"
	"net/http"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/provider"
	"credence/internal/store"
)

// diesAtTheVendor is a process that dies after the vendor rotated the refresh token, before it wrote down what it got.
func (f *fixture) diesAtTheVendor() {
	f.t.Helper()
	f.faults.next(fine, lost, lost, lost, lost)
	if out, err := f.ask("alice"); err == nil && out.AccessToken != "" {
		f.t.Error("a token was served that was not written")
	}
	f.crash()
}

// A refresh token that a crash may have spent is sent again while the vendor's grace lasts, and not a moment longer, however often it was tried.
func TestRefreshWithinTheGrace(t *testing.T) {
	const grace = 30 * time.Second
	start := func(f *fixture) {
		f.change("vendor", false, func(c *provider.Config) { c.RefreshTokenGraceSeconds = int32(grace / time.Second) })
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.RefreshGrace = grace })
		time.Sleep(untilEnd)
		f.diesAtTheVendor()
	}
	spent := func(f *fixture, sent int) {
		f.t.Helper()
		f.needsConsent("alice")
		if g := f.row("alice"); g.State != store.GrantDead || g.LastError != MaybeSpent || f.vendor.Count("refresh_token") != sent {
			f.t.Errorf("the grant: %s %q, sent %d times", g.State, g.LastError, f.vendor.Count("refresh_token"))
		}
	}
	for name, test := range map[string]func(f *fixture){
		"recovered": func(f *fixture) {
			time.Sleep(leaseTime)
			f.token("alice")
			time.Sleep(untilEnd)
			f.token("alice") // by what followed
		},
		"too late": func(f *fixture) {
			time.Sleep(grace)
			spent(f, 1)
		},
		"recovered, though nobody asked": func(f *fixture) {
			ctx, end := context.WithCancel(context.Background())
			defer end()
			go f.RenewGrants(ctx)
			time.Sleep(leaseTime + 5*time.Second)
			if g := f.row("alice"); g.State != store.GrantActive || !g.IntentAt.IsZero() || f.vendor.Count("refresh_token") != 2 {
				f.t.Errorf("the grant: %s %q, sent %d times", g.State, g.LastError, f.vendor.Count("refresh_token"))
			}
			time.Sleep(grace)
			f.token("alice")
		},
		"too late, since the vendor was away": func(f *fixture) {
			time.Sleep(leaseTime)
			f.vendor.Set(func(b *fakeidp.Behaviour) {
				b.Failures, b.Times = fakeidp.Failures{Status: http.StatusServiceUnavailable}, 1
			})
			if out, err := f.ask("alice"); err == nil {
				f.t.Errorf("served %+v", out)
			}
			time.Sleep(grace)
			spent(f, 2)
		},
		"it began with the first try": func(f *fixture) {
			time.Sleep(leaseTime)
			f.diesAtTheVendor()
			time.Sleep(leaseTime)
			spent(f, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, _ string) {
				start(f)
				test(f)
				if f.vendor.FamiliesKilled() != 0 {
					t.Error("a rotated refresh token was used twice")
				}
			})
		})
	}
}

// Who takes longer than a lease lasts, and lives, keeps it: another replica waits, and neither asks the vendor again nor gives the grant up.
func TestLeaseIsRenewedWhileItsHolderLives(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		other := f.replica()
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue = vendorTimeout - time.Second })
		f.faults.next(fine, func(write func() (int64, error)) (int64, error) { time.Sleep(leaseTime); return write() })
		done := make(chan string)
		go func() { done <- f.token("alice") }()
		time.Sleep(leaseTime)
		got := other.token("alice")
		if renewed := <-done; got != renewed || got == first || f.vendor.Count("refresh_token") != 1 || f.vendor.FamiliesKilled() != 0 {
			t.Errorf("%d refreshes, %d families killed", f.vendor.Count("refresh_token"), f.vendor.FamiliesKilled())
		}
	})
}
