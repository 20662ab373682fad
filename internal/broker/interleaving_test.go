package broker

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/provider"
	"credence/internal/store"
)

// Two replicas refresh one grant, and each is killed at any of its writes, or stopped until its lease is over, or not at all, the second while the first is at
// it or after its lease: a third one finds the grant as it should be. At a vendor with a grace it is renewed. At one without, a refresh token is sent once, and the grant is given up only when
// somebody was killed between the intent and the commit. Nobody is ever handed a token that the vendor does not know.
func TestRefreshInterleavings(t *testing.T) {
	type fate struct {
		name string
		plan func(*faults) plan
		open bool // it leaves an intent behind
		kept bool // what the vendor answered is not lost
	}
	fates := []fate{
		{"lives", func(*faults) plan { return nil }, false, true},
		{"dies before the intent", func(f *faults) plan { return plan{f.dies(false)} }, false, true},
		{"dies before it asks", func(f *faults) plan { return plan{f.dies(true)} }, true, false},
		{"dies before the commit", func(f *faults) plan { return plan{fine, f.dies(false)} }, true, false},
		{"dies after the commit", func(f *faults) plan { return plan{fine, f.dies(true)} }, false, true},
		{"sleeps before it asks", func(f *faults) plan { return plan{f.sleeps(true)} }, true, false},
		{"sleeps before the commit", func(f *faults) plan { return plan{fine, f.sleeps(false)} }, true, true},
		{"sleeps and misses the answer", func(f *faults) plan { return plan{f.misses} }, true, false},
	}
	for _, graceSeconds := range []int32{0, 20, 60} {
		for _, one := range fates {
			for _, two := range fates {
				if graceSeconds == 20 && one.name != "sleeps before it asks" {
					continue // that one wakes up when the grace is over
				}
				for _, later := range []time.Duration{0, time.Second, leaseTime + time.Second} {
					if graceSeconds == 60 && later == 0 {
						continue // at a vendor with a grace the moment does not matter
					}
					t.Run(fmt.Sprintf("grace %d/%s/%s/%s", graceSeconds, one.name, two.name, later), func(t *testing.T) {
						t.Parallel()
						timed(t, func(t *testing.T, f *fixture, _ string) {
							f.change("vendor", false, func(c *provider.Config) { c.RefreshTokenGraceSeconds = graceSeconds })
							f.vendor.Set(func(b *fakeidp.Behaviour) {
								b.RefreshGrace, b.StallAfterIssue = time.Duration(graceSeconds)*time.Second, 2*time.Second
							})
							time.Sleep(untilEnd)
							first, second, third := f.replica(), f.replica(), f.replica()
							first.faults.next(one.plan(first.faults)...)
							second.faults.next(two.plan(second.faults)...)
							var both sync.WaitGroup
							ask := func(r *fixture) {
								out, err := r.ask("alice")
								if err != nil || out.AccessToken == "" {
									return
								}
								if _, live := f.vendor.Introspect(out.AccessToken); !live {
									t.Error("a token was handed out that is not alive")
								}
							}
							both.Go(func() { ask(first) })
							time.Sleep(later)
							both.Go(func() { ask(second) })
							both.Wait()
							first.Wait()
							second.Wait()
							time.Sleep(leaseTime)

							out, err := third.ask("alice")
							third.Wait()
							f.must(err)
							left := one.open && first.faults.stopped() || two.open && second.faults.stopped()
							switch g := f.row("alice"); {
							case out.AccessToken != "":
								ask(third)
							case graceSeconds == 60:
								t.Errorf("the grant was lost: %s %q", g.State, g.LastError)
							case !left || one.kept && two.kept || g.State != store.GrantDead || g.LastError != MaybeSpent:
								t.Errorf("the grant is %s %q; somebody left an intent: %t", g.State, g.LastError, left)
							}
							sent := map[string]int{}
							for _, r := range f.vendor.Requests() {
								if token := r.Form.Get("refresh_token"); token != "" {
									sent[token]++
									if sent[token] > 1 && (graceSeconds == 0 || !left) {
										t.Errorf("a refresh token was sent %d times", sent[token])
									}
								}
							}
							if f.vendor.FamiliesKilled() != 0 {
								t.Error("a rotated refresh token was used twice")
							}
						})
					})
				}
			}
		}
	}
}
