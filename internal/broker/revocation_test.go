package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		test(t, f)
	})
}

// tellVendors does what is due in the outbox now.
func (f *fixture) tellVendors() {
	f.t.Helper()
	f.revokeDue(context.Background())
}

func (f *fixture) pending() int {
	f.t.Helper()
	n, _, err := f.store.PendingRevocations(context.Background())
	f.must(err)
	return n
}

// revocations are the requests that the vendor's revocation endpoint saw.
func (f *fixture) revocations() (all []fakeidp.Request) {
	return slices.DeleteFunc(f.vendor.Requests(), func(r fakeidp.Request) bool { return r.Path != "/revoke" })
}

// receipts are the audit events of revocations that came to their end.
func (f *fixture) receipts() (all []audit.Event) {
	f.t.Helper()
	batches, err := f.store.AuditBatches(context.Background(), account)
	f.must(err)
	for _, b := range batches {
		for line := range strings.Lines(string(b.Events)) {
			var e audit.Event
			f.must(json.Unmarshal([]byte(line), &e))
			if e.Action == "credence:RevokeAtVendor" {
				all = append(all, e)
			}
		}
	}
	return all
}

// wantReceipt wants one receipt, and the outbox empty.
func (f *fixture) wantReceipt(o audit.Outcome, reason string) {
	f.t.Helper()
	all := f.receipts()
	if len(all) != 1 || all[0].Outcome != o || !strings.HasPrefix(all[0].Reason, reason) || f.pending() != 0 {
		f.t.Errorf("%d pending, receipts %+v, want one that it is %s, %q", f.pending(), all, o, reason)
	}
}

func (f *fixture) dead(tokens ...string) {
	f.t.Helper()
	for _, token := range tokens {
		if _, live := f.vendor.Introspect(token); live {
			f.t.Error("the token is alive at the vendor")
		}
	}
}

// refreshToken opens the refresh token of a user's grant.
func (f *fixture) refreshToken(user string) string {
	f.t.Helper()
	token, err := f.Vault.RefreshToken(context.Background(), f.row(user))
	f.must(err)
	return token.Reveal()
}

// Whatever ends a grant, the vendor is told, once; the receipt says who and why, and nothing sealed is left.
func TestDeletionRevokes(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(*fixture)
		reason string
	}{
		"provider deleted": {func(f *fixture) { f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", "")) }, "revoked (provider_deleted): refresh_token: HTTP 200"},
		"workload deleted": {func(f *fixture) { f.must(f.Vault.DeleteWorkload(account, "agent", "")) }, "revoked (workload_deleted): refresh_token: HTTP 200"},
		"another generation": {func(f *fixture) {
			f.change("vendor", true, func(c *provider.Config) {
				c.ClientID, c.DiscoveryURL = "other", "https://other.example/.well-known/openid-configuration"
			})
		}, "revoked (provider_changed): refresh_token: HTTP 200"},
		"deleted and made anew": {func(f *fixture) {
			f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", ""))
			f.addProvider("vendor")
			f.change("vendor", true, func(c *provider.Config) { c.DiscoveryURL = "https://other.example/.well-known/openid-configuration" })
		}, "revoked (provider_deleted): refresh_token: HTTP 200"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fixture) {
				access := f.granted("alice")
				refresh := f.refreshToken("alice")
				test.end(f)
				if len(f.revocations()) != 0 || f.pending() != 1 {
					t.Errorf("before the worker: %d sent, %d pending", len(f.revocations()), f.pending())
				}
				f.crash() // what was enqueued is durable
				f.tellVendors()
				f.dead(access, refresh)
				f.wantReceipt(audit.Performed, test.reason)
				r := f.receipts()[0]
				if r.User != `id:"alice"` || r.Workload != "agent" || !slices.Contains(r.Resources, f.ARNs.OAuth2Provider(account, "vendor")) {
					t.Errorf("receipt %+v", r)
				}
				sent := f.revocations()
				if len(sent) != 2 || sent[0].Form.Get("token") != refresh || sent[0].Form.Get("token_type_hint") != "refresh_token" || sent[1].Form.Get("token") != access {
					t.Errorf("sent %d requests", len(sent))
				}
				f.tellVendors()
				if len(f.revocations()) != 2 {
					t.Error("told again")
				}
			})
		})
	}
}

// of has a request made by another workload identity.
func (f *fixture) of(name, user string) func(*tokenInput) {
	f.t.Helper()
	w, err := f.Vault.Workload(context.Background(), account, name)
	f.must(err)
	wat, err := workload.Mint(context.Background(), f.Vault, account, workload.Token{Workload: name, Incarnation: w.Incarnation, User: workload.User{Kind: workload.KindID, ID: user}})
	f.must(err)
	return func(in *tokenInput) { in.WorkloadIdentityToken = wat }
}

// reach makes the provider one of a vendor whose revocations end so much.
func (f *fixture) reach(r provider.Reach) {
	f.t.Helper()
	f.Resolver = provider.NewResolver([]provider.Vendor{{
		Name: wire.VendorOktaOauth2, OfCustomer: true, AuthMethod: oauth.ClientSecretBasic, Revocation: provider.Revocation{Endpoint: "/revoke", Reach: r},
	}}, oauth.NewDiscovery(f.wire, func(string) error { return nil }))
	f.change("vendor", true, func(c *provider.Config) {
		c.Vendor, c.DiscoveryURL = wire.VendorOktaOauth2, ""
		c.Metadata = &provider.Metadata{Issuer: issuer, AuthorizationEndpoint: issuer + "/authorize", TokenEndpoint: issuer + "/token"}
	})
}

// A vendor might end more than the one token: it is not told while that could hit a grant that is in use, also one that came later.
func TestRevocationSparesGrantsInUse(t *testing.T) {
	deleteWorkload := func(f *fixture) { f.must(f.Vault.DeleteWorkload(account, "agent", "")) }
	for name, test := range map[string]struct {
		prepare func(*fixture)
		other   func(f *fixture) (token string) // that must live
		reason  string
	}{
		"the user's, by another workload": {nil, func(f *fixture) string {
			f.addWorkload("agent2")
			token := f.granted("alice", f.of("agent2", "alice"))
			deleteWorkload(f)
			return token
		}, "kept (workload_deleted)"},
		"the user's, by another provider of the same client": {nil, func(f *fixture) string {
			f.addProvider("twin")
			f.addWorkload("agent2")
			token := f.granted("alice", f.of("agent2", "alice"), func(in *tokenInput) { in.ResourceCredentialProviderName = "twin" })
			deleteWorkload(f)
			return token
		}, "kept (workload_deleted)"},
		"the user's, consented to while the vendor was away": {nil, func(f *fixture) string {
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 503 })
			deleteWorkload(f)
			f.tellVendors()
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 0 })
			f.addWorkload("agent")
			token := f.granted("alice")
			time.Sleep(2 * firstDelay)
			return token
		}, "kept (workload_deleted)"},
		"another user's": {nil, func(f *fixture) string {
			f.addWorkload("agent2")
			token := f.granted("bob", f.of("agent2", "bob"))
			deleteWorkload(f)
			return token
		}, "revoked (workload_deleted)"},
		"another user's, of whom it ends all, too": {func(f *fixture) { f.reach(provider.ReachClient) }, func(f *fixture) string {
			f.addWorkload("agent2")
			token := f.granted("bob", f.of("agent2", "bob"))
			deleteWorkload(f)
			return token
		}, "kept (workload_deleted)"},
		"the user's, where it ends nothing else": {func(f *fixture) { f.reach(provider.ReachGrant) }, func(f *fixture) string {
			f.addWorkload("agent2")
			token := f.granted("alice", f.of("agent2", "alice"))
			deleteWorkload(f)
			return token
		}, "revoked (workload_deleted)"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fixture) {
				if test.prepare != nil {
					test.prepare(f)
				}
				first := f.granted("alice")
				spared := test.other(f)
				f.tellVendors()
				f.wantReceipt(audit.Performed, test.reason)
				if _, live := f.vendor.Introspect(first); live != strings.HasPrefix(test.reason, "kept") {
					t.Errorf("the grant that is over: live %t", live)
				}
				if _, live := f.vendor.Introspect(spared); !live {
					t.Error("a grant in use was ended")
				}
			})
		})
	}
}

// Whatever the vendor does, the revocation is tried again, ever later, as late as the vendor wants, until it is done or too old.
func TestRevocationIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		trouble func(*fixture)
		mend    func(*fixture) // nil: never
		outcome audit.Outcome
		reason  string
		within  time.Duration // it is over by then, and was not an hour before
	}{
		"503": {func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 503 }) },
			func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 0 }) }, audit.Performed, "revoked", 0},
		"not reached": {func(f *fixture) { f.wire.set(true) }, func(f *fixture) { f.wire.set(false) }, audit.Performed, "revoked", 0},
		"revoked, but the answer was cut off": {func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.CutAfterRevoke = true }) },
			func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.CutAfterRevoke = false }) }, audit.Performed, "revoked", 0},
		"discovery is away": {func(f *fixture) {
			time.Sleep(25 * time.Hour) // nothing kept is good any more
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.DiscoveryStatus = 502 })
		}, func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.DiscoveryStatus = 0 }) }, audit.Performed, "revoked", 0},
		"a client secret that was renewed": {func(f *fixture) { f.vendor.AddClient(fakeidp.Client{ID: "client", Secret: "renewed-secret"}) },
			func(f *fixture) {
				p, err := f.Vault.OAuth2Provider(context.Background(), account, "vendor")
				f.must(err)
				f.must(f.Vault.UpdateOAuth2Provider(context.Background(), *p, secret.New("renewed-secret")))
			}, audit.Performed, "revoked", 0},
		"away for good": {func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 503 }) }, nil, audit.Abandoned, "abandoned", maxAge + 2*maxDelay},
		"no for good":   {func(f *fixture) { f.vendor.AddClient(fakeidp.Client{ID: "client", Secret: "another"}) }, nil, audit.Abandoned, "abandoned", maxRefused + 2*maxDelay},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fixture) {
				f.granted("alice")
				test.trouble(f)
				f.must(f.Vault.DeleteWorkload(account, "agent", ""))
				f.tellVendors()
				if f.pending() != 1 || len(f.receipts()) != 0 {
					t.Fatalf("after the first attempt: %d pending, receipts %+v", f.pending(), f.receipts())
				}
				start, tries := time.Now(), 0
				if test.mend != nil {
					test.mend(f)
					f.tellVendors()
					if f.pending() != 1 {
						t.Error("it was tried again at once")
					}
				}
				for f.pending() > 0 && time.Since(start) < 10*24*time.Hour {
					time.Sleep(time.Minute)
					f.tellVendors()
					tries = len(f.revocations())
				}
				f.wantReceipt(test.outcome, test.reason)
				took := time.Since(start)
				switch {
				case test.mend != nil && took > firstDelay*2:
					t.Errorf("it took %s", took)
				case test.mend == nil && (took > test.within || took < test.within-2*maxDelay-time.Hour || tries > 60 || tries < 8):
					t.Errorf("given up after %s and %d tries, want about %s", took, tries, test.within)
				}
			})
		})
	}
}

// Retry-After is kept to.
func TestRevocationWaitsAsLongAsTheVendorWants(t *testing.T) {
	bubble(t, func(t *testing.T, f *fixture) {
		f.granted("alice")
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus, b.RetryAfter = 429, "1800" })
		f.must(f.Vault.DeleteWorkload(account, "agent", ""))
		f.tellVendors()
		time.Sleep(1800*time.Second - time.Millisecond)
		f.tellVendors()
		if n := len(f.revocations()); n != 1 {
			t.Errorf("%d requests before the time was over", n)
		}
		time.Sleep(time.Millisecond)
		f.tellVendors()
		if n := len(f.revocations()); n != 2 {
			t.Errorf("%d requests after it", n)
		}
	})
}

// outboxFaults is the outbox, with faults in the writes that end an attempt.
type outboxFaults struct {
	Outbox
	fail bool
}

func (o *outboxFaults) FinishRevocation(r store.Revocation) error {
	if o.fail {
		return errDisk
	}
	return o.Outbox.FinishRevocation(r)
}

func (o *outboxFaults) KeepRevocation(r store.Revocation, d time.Duration) (int64, error) {
	if o.fail {
		return 0, errDisk
	}
	return o.Outbox.KeepRevocation(r, d)
}

// A process that dies after the vendor's answer, or cannot write it down, leaves the revocation to whoever comes after its claim.
func TestRevocationSurvivesACrash(t *testing.T) {
	for name, trouble := range map[string]func(*fakeidp.Behaviour){
		"after the vendor did it": func(*fakeidp.Behaviour) {},
		"after the vendor failed": func(b *fakeidp.Behaviour) { b.RevokeStatus = 503 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fixture) {
				access := f.granted("alice")
				f.vendor.Set(trouble)
				f.must(f.Vault.DeleteWorkload(account, "agent", ""))
				f.Outbox = &outboxFaults{f.Outbox, true}
				f.tellVendors()
				f.crash()
				f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 0 })
				f.tellVendors()
				if n := len(f.revocations()); f.pending() != 1 || n > 2 {
					t.Errorf("%d pending, %d sent: somebody else took it within its claim", f.pending(), n)
				}
				time.Sleep(revocationClaim)
				f.tellVendors()
				f.dead(access)
				if all := f.receipts(); f.pending() != 0 || len(all) == 0 || all[len(all)-1].Outcome != audit.Performed {
					t.Errorf("%d pending, receipts %+v", f.pending(), all)
				}
			})
		})
	}
}

// What cannot be recorded is not finished.
func TestRevocationIsRecordedBeforeItIsFinished(t *testing.T) {
	bubble(t, func(t *testing.T, f *fixture) {
		f.granted("alice")
		f.must(f.Vault.DeleteWorkload(account, "agent", ""))
		gate := f.Gate
		f.Gate = access.New(brokenLog{}, f.Vault, f.ARNs, f.Metrics)
		f.tellVendors()
		if f.pending() != 1 {
			t.Error("finished without a receipt")
		}
		f.Gate = gate
		time.Sleep(revocationClaim)
		f.tellVendors()
		f.wantReceipt(audit.Performed, "revoked")
	})
}

type brokenLog struct{}

func (brokenLog) Record(audit.Event) error { return errDisk }

// Two processes with many revocations: each is sent once.
func TestRevocationIsSentOnceByManyWorkers(t *testing.T) {
	bubble(t, func(t *testing.T, f *fixture) {
		const users = 20
		for n := range users {
			f.granted(fmt.Sprint("user", n))
		}
		f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", ""))
		other := New(f.Config)
		var both sync.WaitGroup
		both.Go(f.tellVendors)
		both.Go(func() { other.revokeDue(context.Background()) })
		both.Wait()
		seen := map[string]bool{}
		for _, r := range f.revocations() {
			if token := r.Form.Get("token"); seen[token] {
				t.Error("a token was sent twice")
			} else {
				seen[token] = true
			}
		}
		if len(seen) != 2*users || len(f.receipts()) != users || f.pending() != 0 {
			t.Errorf("%d tokens sent, %d receipts, %d pending", len(seen), len(f.receipts()), f.pending())
		}
	})
}

// Tokens that the vendor gives while their grant is deleted are revoked, whichever call it was and whatever the store does meanwhile.
func TestTokensThatNobodyCanHaveAreRevoked(t *testing.T) {
	ends := map[string]func(*fixture){
		"provider deleted": func(f *fixture) { f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", "")) },
		"workload deleted": func(f *fixture) { f.must(f.Vault.DeleteWorkload(account, "agent", "")) },
		"another generation": func(f *fixture) {
			f.change("vendor", true, func(c *provider.Config) { c.DiscoveryURL = "https://other.example/.well-known/openid-configuration" })
		},
	}
	for call, begin := range map[string]func(f *fixture) func(){
		"refresh": func(f *fixture) func() {
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Minute })
			f.granted("alice")
			time.Sleep(untilEnd)
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Hour })
			return func() { _, _ = f.ask("alice") }
		},
		"completion": func(f *fixture) func() {
			_, id, _ := f.begun("alice")
			return func() { _ = f.complete(id, "alice") }
		},
		"M2M": func(f *fixture) func() { return func() { _, _ = f.ask("") } },
	} {
		for end, do := range ends {
			for fault, p := range map[string]plan{"": nil, ", the outbox fails at first": {fine, lost, lost}, ", the outbox answers too late": {fine, unheard}} {
				t.Run(call+", "+end+fault, func(t *testing.T) {
					bubble(t, func(t *testing.T, f *fixture) {
						run := begin(f)
						f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue = 5 * time.Second })
						var done sync.WaitGroup
						done.Go(run)
						time.Sleep(2 * time.Second) // the vendor has issued
						do(f)
						f.faults.next(p...)
						done.Wait()
						f.faults.next()
						for range 3 { // those of one grant are finished together
							f.tellVendors()
							time.Sleep(othersDelay)
						}
						if live := f.vendor.Live(); live != 0 || f.pending() != 0 {
							t.Errorf("%d tokens live on at the vendor, %d revocations are pending", live, f.pending())
						}
						// A vendor may end what came of a refresh together with the token that was sent to it; not every vendor does.
						if !slices.ContainsFunc(f.receipts(), func(e audit.Event) bool { return strings.HasPrefix(e.Reason, "revoked (lost): ") }) {
							t.Errorf("what the vendor gave was not revoked itself: %+v", f.receipts())
						}
						for host := range f.wire.hosts() {
							if host != "vendor.example" {
								t.Errorf("a request went to %s", host)
							}
						}
					})
				})
			}
		}
	}
}

// A consent that replaces a grant ends nothing at the vendor: the old and the new one may be one there.
func TestReplacedGrantIsNotRevoked(t *testing.T) {
	bubble(t, func(t *testing.T, f *fixture) {
		f.granted("alice")
		f.granted("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
		f.tellVendors()
		if len(f.revocations()) != 0 || len(f.receipts()) != 0 {
			t.Error("the replaced grant was revoked")
		}
	})
}

// A vendor that revokes by access tokens alone gets a fresh one when the last has ended; one whose refresh token is dead has nothing to revoke.
func TestRefreshToRevoke(t *testing.T) {
	setup := func(f *fixture) (refresh string) {
		f.Resolver = provider.NewResolver([]provider.Vendor{{
			Name: wire.VendorOktaOauth2, OfCustomer: true, AuthMethod: oauth.ClientSecretBasic, Revocation: provider.Revocation{Endpoint: "/revoke", Token: oauth.AccessToken},
		}}, oauth.NewDiscovery(f.wire, func(string) error { return nil }))
		f.change("vendor", true, func(c *provider.Config) {
			c.Vendor, c.DiscoveryURL = wire.VendorOktaOauth2, ""
			c.Metadata = &provider.Metadata{Issuer: issuer, AuthorizationEndpoint: issuer + "/authorize", TokenEndpoint: issuer + "/token"}
		})
		f.vendor.Set(func(b *fakeidp.Behaviour) {
			b.AccessTokenLifetime, b.Revoking = time.Minute, fakeidp.Revoking{Only: "access_token", Family: true}
		})
		f.granted("alice")
		refresh = f.refreshToken("alice")
		time.Sleep(untilEnd)
		return refresh
	}
	t.Run("refreshed", func(t *testing.T) {
		bubble(t, func(t *testing.T, f *fixture) {
			refresh := setup(f)
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 503 })
			f.must(f.Vault.DeleteWorkload(account, "agent", ""))
			f.tellVendors()
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = 0 })
			time.Sleep(2 * firstDelay) // the fresh one has ended, too: it is refreshed by the rotated refresh token
			f.tellVendors()
			f.dead(refresh)
			f.wantReceipt(audit.Performed, "revoked (workload_deleted): access_token: HTTP 200")
			if f.vendor.Live() != 0 || f.vendor.FamiliesKilled() != 0 {
				t.Errorf("%d live, %d killed", f.vendor.Live(), f.vendor.FamiliesKilled())
			}
		})
	})
	t.Run("dead already", func(t *testing.T) {
		bubble(t, func(t *testing.T, f *fixture) {
			setup(f)
			f.vendor.RevokeAll()
			f.must(f.Vault.DeleteWorkload(account, "agent", ""))
			f.tellVendors()
			f.wantReceipt(audit.Performed, "revoked (workload_deleted): the refresh token was not alive any more")
		})
	})
}

// A vendor without a revocation endpoint is said so, for somebody to do it there.
func TestVendorWithoutRevocation(t *testing.T) {
	bubble(t, func(t *testing.T, f *fixture) {
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.ExtraMetadata = map[string]any{"revocation_endpoint": nil} })
		f.granted("alice")
		f.must(f.Vault.DeleteWorkload(account, "agent", ""))
		f.tellVendors()
		f.wantReceipt(audit.Abandoned, "unsupported (workload_deleted): the vendor has no revocation endpoint")
	})
}

// The worker runs until it is told to stop, and finds what others enqueued.
func TestRevokeTokens(t *testing.T) {
	bubble(t, func(t *testing.T, f *fixture) {
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { f.RevokeTokens(ctx) })
		access := f.granted("alice")
		time.Sleep(time.Hour)
		f.must(f.Vault.DeleteWorkload(account, "agent", ""))
		time.Sleep(revocationPoll + time.Millisecond)
		synctest.Wait()
		f.dead(access)
		stop()
		running.Wait()
		f.wantReceipt(audit.Performed, "revoked")
	})
}
