package broker

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/store"
	"credence/internal/wire"
)

// witness is an audit log that looks at the vendor whenever a receipt says that all is over.
type witness struct {
	access.Recorder
	f *fixture
}

func (w witness) Record(e audit.Event) error {
	if e.Action == "credence:RevokeAtVendor" && strings.HasPrefix(e.Reason, "revoked") {
		if access, refresh := w.f.vendor.Live(), w.f.vendor.LiveRefresh(); access+refresh != 0 {
			w.f.t.Errorf("%d access and %d refresh tokens are alive when the receipt says %q", access, refresh, e.Reason)
		}
	}
	return w.Recorder.Record(e)
}

// dying are leases of a process that may be killed: then it gives none back.
type dying struct {
	Leases
	mu   sync.Mutex
	dead bool
}

func (d *dying) die() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

func (d *dying) ReleaseLease(l store.Lease) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil
	}
	return d.Leases.ReleaseLease(l)
}

// The vendor has no live token of a grant when any receipt says revoked, whatever ended the grant, whatever was under way then, whenever that was, and
// whatever became of it. The vendor here takes revocations to the letter: a refresh token that was rotated is unknown to it. What cannot be known is not
// called revoked.
func TestEndWhileTheVendorIsAsked(t *testing.T) {
	ctx := context.Background()
	ends := map[string]func(*fixture){
		"grant revoked": func(f *fixture) {
			_, err := f.RevokeGrant(ctx, f.caller, &wire.RevokeGrantInput{GrantId: f.row("alice").Key})
			f.must(err)
		},
		"user's grants revoked": func(f *fixture) {
			_, err := f.RevokeGrants(ctx, f.caller, &wire.RevokeGrantsInput{User: byID("alice")})
			f.must(err)
		},
		"workload deleted": func(f *fixture) { f.must(f.Vault.DeleteWorkload(account, "agent", "")) },
		"account deleted":  func(f *fixture) { f.must(f.Vault.DeleteAccount(account, "arn", true)) },
		"provider deleted": func(f *fixture) { f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", "")) },
	}
	calls := map[string]func(f *fixture) func(){
		"refresh": func(f *fixture) func() {
			time.Sleep(untilMargin)
			return func() { _, _ = f.ask("alice") }
		},
		"first refresh of an imported grant": func(f *fixture) func() {
			token := f.grantElsewhere("alice")
			time.Sleep(untilEnd) // what the other system had from it
			_, err := f.importing(false, importOf("alice", token))
			f.must(err)
			return func() { _, _ = f.ask("alice") }
		},
		"completion": func(f *fixture) func() {
			out := f.needsConsent("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
			id := f.consent(browser{}, out.AuthorizationUrl).Get("session_id")
			return func() { _ = f.complete(id, "alice") }
		},
	}
	moments := map[string]func(*fakeidp.Behaviour){
		"before the vendor read it":  func(b *fakeidp.Behaviour) { b.Stall = 5 * time.Second },
		"after the vendor issued":    func(b *fakeidp.Behaviour) { b.StallAfterIssue = 5 * time.Second },
		"before the vendor refused":  func(b *fakeidp.Behaviour) { b.Stall, b.ErrorCode = 5*time.Second, "invalid_grant" },
		"before the vendor was ill":  func(b *fakeidp.Behaviour) { b.Stall, b.Status = 5*time.Second, 503 },
		"before the answer was lost": func(b *fakeidp.Behaviour) { b.StallAfterIssue, b.CutAfterIssue = 5*time.Second, true },
	}
	for end, do := range ends {
		for call, begin := range calls {
			for moment, set := range moments {
				for _, crash := range []bool{false, true} {
					name := call + ", " + end + " " + moment
					if crash {
						name += ", and a crash"
					}
					t.Run(name, func(t *testing.T) {
						timed(t, func(t *testing.T, f *fixture, _ string) {
							f.vendor.Set(func(b *fakeidp.Behaviour) { b.Revoking.Forgets = true })
							worker := f.replica()
							worker.Gate = access.New(witness{audit.New(worker.store), worker}, worker.Vault, worker.ARNs, worker.Metrics)
							working, stop := context.WithCancel(ctx)
							var done sync.WaitGroup
							done.Go(func() { worker.RevokeTokens(working) })

							leases := &dying{Leases: f.Leases}
							f.Leases = leases
							run := begin(f)
							f.vendor.Set(set)
							done.Go(run)
							time.Sleep(time.Second)
							do(worker)
							if crash { // the process writes nothing any more, and gives no lease back
								dead := make(plan, 100)
								for i := range dead {
									dead[i] = lost
								}
								f.faults.next(dead...)
								leases.die()
							}
							time.Sleep(3 * time.Minute)
							synctest.Wait()
							stop()
							done.Wait()
							f.Wait()

							unknown := crash || moment == "before the answer was lost"
							receipts := f.receipts()
							if f.pending() != 0 || len(receipts) == 0 {
								t.Fatalf("%d pending, receipts %+v", f.pending(), receipts)
							}
							for _, r := range receipts {
								if said := strings.HasPrefix(r.Reason, "unconfirmed "); said != unknown || said != (r.Outcome == audit.Abandoned) {
									t.Errorf("receipt %s: %s", r.Outcome, r.Reason)
								}
							}
							if live := f.vendor.Live() + f.vendor.LiveRefresh(); live != 0 && !unknown {
								t.Errorf("%d tokens live on", live)
							}
						})
					})
				}
			}
		}
	}
}
