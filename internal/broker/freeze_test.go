package broker

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/testpostgres"
	"credence/internal/wire"
)

func (f *fixture) freeze(t wire.FreezeTarget) {
	f.t.Helper()
	_, err := f.Freeze(context.Background(), f.caller, &wire.FreezeInput{Target: &t, Reason: new("incident")})
	f.must(err)
}

func (f *fixture) unfreeze(t wire.FreezeTarget) {
	f.t.Helper()
	_, err := f.Unfreeze(context.Background(), f.caller, &wire.UnfreezeInput{Target: &t})
	f.must(err)
}

// Whoever is frozen gets nothing by any operation, from cache or vendor; whoever is not is served. The refusal names the freeze, and is recorded. When it
// ends, all is as before.
func TestFreeze(t *testing.T) {
	f := newFixture(t, t.TempDir())
	ctx := context.Background()
	now := time.Now()
	f.must(f.Vault.InsertAPIKeyProvider(ctx, store.APIKeyProvider{Account: account, Name: "keys", Incarnation: "i", CreatedAt: now, UpdatedAt: now}, secret.New("key"), store.Tags{}))
	f.addPayment("wallet", wire.VendorStripePrivy, true)
	token, own := f.granted("alice"), f.token("")
	f.granted("bob")
	ended := func(in *tokenInput) { in.ForceAuthentication = new(true) }
	_, completable, _ := f.begun("carol")
	poll, sessionID, _ := f.begun("alice2")
	f.must(f.complete(sessionID, "alice2"))

	wat := f.wat("alice")
	operations := map[string]func() error{
		"GetWorkloadAccessToken": func() error {
			_, err := f.GetWorkloadAccessToken(ctx, f.caller, &wire.GetWorkloadAccessTokenInput{WorkloadName: "agent"})
			return err
		},
		"GetWorkloadAccessTokenForUserId": func() error {
			_, err := f.GetWorkloadAccessTokenForUserId(ctx, f.caller, &wire.GetWorkloadAccessTokenForUserIdInput{WorkloadName: "agent", UserId: "alice"})
			return err
		},
		"a cached token":   func() error { _, err := f.ask("alice"); return err },
		"a consent":        func() error { _, err := f.ask("alice", ended); return err },
		"a polled session": func() error { _, err := f.ask("alice2", poll); return err },
		"M2M":              func() error { _, err := f.ask(""); return err },
		"M2M for a user's sake": func() error {
			_, err := f.ask("alice", func(in *tokenInput) { in.Oauth2Flow = wire.FlowM2M })
			return err
		},
		"GetResourceApiKey": func() error {
			_, err := f.GetResourceApiKey(ctx, f.caller, &wire.GetResourceApiKeyInput{WorkloadIdentityToken: wat, ResourceCredentialProviderName: "keys"})
			return err
		},
		"GetResourcePaymentToken": func() error { _, err := f.pay("wallet", toPrivy()); return err },
		"CompleteResourceTokenAuth": func() error {
			return f.complete(completable, "carol")
		},
		"ReportBadToken, by an agent": func() error {
			_, err := f.ReportBadToken(ctx, f.caller, &wire.ReportBadTokenInput{WorkloadIdentityToken: &wat, ResourceCredentialProviderName: new("vendor"), AccessToken: new(secret.New(token))})
			return err
		},
		"ReportBadToken, by an operator": func() error {
			_, err := f.ReportBadToken(ctx, f.caller, &wire.ReportBadTokenInput{GrantId: new(f.row("alice").Key), AccessToken: new(secret.New(token))})
			return err
		},
	}
	alices := []string{"GetWorkloadAccessTokenForUserId", "a cached token", "a consent", "M2M for a user's sake", "GetResourceApiKey", "ReportBadToken, by an agent", "ReportBadToken, by an operator"}
	vendors := []string{"a cached token", "a consent", "a polled session", "M2M", "M2M for a user's sake", "CompleteResourceTokenAuth", "ReportBadToken, by an agent", "ReportBadToken, by an operator"}
	var all []string
	for name := range operations {
		all = append(all, name)
	}
	for name, test := range map[string]struct {
		target  wire.FreezeTarget
		refuses []string
		words   string
	}{
		"account":  {wire.FreezeTarget{Account: new(true)}, all, "The account " + account + " is frozen since "},
		"workload": {wire.FreezeTarget{WorkloadName: new("agent")}, all, `The workload identity "agent" is frozen since `},
		"provider": {wire.FreezeTarget{ResourceCredentialProviderName: new("vendor")}, vendors, `The credential provider "vendor" is frozen since `},
		"keys":     {wire.FreezeTarget{ResourceCredentialProviderName: new("keys")}, []string{"GetResourceApiKey"}, `The credential provider "keys" is frozen since `},
		"wallet":   {wire.FreezeTarget{ResourceCredentialProviderName: new("wallet")}, []string{"GetResourcePaymentToken"}, `The credential provider "wallet" is frozen since `},
		"user":     {wire.FreezeTarget{User: byID("alice")}, alices, `The user id:"alice" is frozen since `},
	} {
		t.Run(name, func(t *testing.T) {
			sent := len(f.vendor.Requests())
			f.freeze(test.target)
			for _, operation := range test.refuses {
				is(t, operations[operation](), fault.AccessDenied, test.words)
				if e := f.lastEvent(); e.Outcome != audit.Denied || !strings.HasPrefix(e.Reason, "frozen: ") {
					t.Errorf("%s: recorded %+v", operation, e)
				}
			}
			if n := len(f.vendor.Requests()); n != sent {
				t.Errorf("the vendor got %d requests", n-sent)
			}
			if name == "user" || name == "keys" {
				f.token("bob")
			}
			list, err := f.ListFreezes(ctx, f.caller, &wire.ListFreezesInput{})
			if err != nil || len(list.Freezes) != 1 || *list.Freezes[0].Reason != "incident" || list.Freezes[0].CreatedBy != f.caller.ARN {
				t.Errorf("%+v, %v", list, err)
			}
			f.freeze(test.target) // once more: no error
			f.unfreeze(test.target)
			if _, err := f.Unfreeze(ctx, f.caller, &wire.UnfreezeInput{Target: &test.target}); fault.KindOf(err) != fault.NotFound {
				t.Error(err)
			}
			if f.token("alice") != token || f.token("") != own {
				t.Error("a freeze ended a grant")
			}
		})
	}
	f.must(f.complete(completable, "carol"))

	// A name stays frozen through deletion and recreation; one that nothing has is refused, since it is a slip of the pen.
	f.freeze(wire.FreezeTarget{WorkloadName: new("agent")})
	f.must(f.Vault.DeleteWorkload(account, "agent", ""))
	f.addWorkload("agent")
	_, err := f.ask("alice")
	is(t, err, fault.AccessDenied, "frozen")
	for _, target := range []wire.FreezeTarget{{WorkloadName: new("nobody")}, {ResourceCredentialProviderName: new("nobody")}} {
		_, err := f.Freeze(ctx, f.caller, &wire.FreezeInput{Target: &target})
		is(t, err, fault.NotFound, "nothing is frozen")
	}
	_, err = f.Freeze(ctx, f.caller, &wire.FreezeInput{Target: &wire.FreezeTarget{Account: new(false)}})
	is(t, err, fault.Validation, "target.account")
}

// What a vendor gives while somebody is frozen is handed to nobody. A refreshed grant is kept, or the user's consent would be lost; a new one is revoked.
func TestFreezeWhileTheVendorIsAsked(t *testing.T) {
	targets := map[string]wire.FreezeTarget{
		"user": {User: byID("alice")}, "workload": {WorkloadName: new("agent")}, "provider": {ResourceCredentialProviderName: new("vendor")}, "account": {Account: new(true)},
	}
	for name, target := range targets {
		t.Run("refresh, "+name, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, _ string) {
				time.Sleep(untilEnd)
				f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue, b.Times = 3*time.Second, 1 })
				var done sync.WaitGroup
				done.Go(func() {
					_, err := f.ask("alice")
					is(t, err, fault.AccessDenied, "frozen")
				})
				time.Sleep(time.Second)
				f.freeze(target)
				done.Wait()
				f.unfreeze(target)
				f.token("alice")
				if n := f.vendor.Count("refresh_token"); n != 1 || f.vendor.FamiliesKilled() != 0 || f.pending() != 0 {
					t.Errorf("%d refreshes, %d revocations: the grant was not kept", n, f.pending())
				}
			})
		})
		for call, user := range map[string]string{"completion": "alice", "M2M": ""} {
			if call == "M2M" && name == "user" {
				continue
			}
			t.Run(call+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, f *fixture) {
					run := func() { _, err := f.ask(""); is(t, err, fault.NotFound, "frozen") }
					if user != "" {
						_, id, _ := f.begun(user)
						run = func() { is(t, f.complete(id, user), fault.AccessDenied, "frozen") }
					}
					f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue, b.Times = 3*time.Second, 1 })
					var done sync.WaitGroup
					done.Go(run)
					time.Sleep(time.Second)
					f.freeze(target)
					done.Wait()
					f.tellVendors()
					if live := f.vendor.Live() + f.vendor.LiveRefresh(); live != 0 {
						t.Errorf("%d tokens live on", live)
					}
					f.wantReceipt(audit.Performed, "revoked (lost): ")
				})
			})
		}
	}
}

// lastEvent is the newest audit event.
func (f *fixture) lastEvent() (last audit.Event) {
	f.t.Helper()
	batches, err := f.store.AuditBatches(context.Background(), account)
	f.must(err)
	for _, b := range batches {
		for line := range strings.Lines(string(b.Events)) {
			var e audit.Event
			f.must(json.Unmarshal([]byte(line), &e))
			if e.Time.After(last.Time) || e.Time.Equal(last.Time) && e.ID > last.ID {
				last = e
			}
		}
	}
	return last
}

// onTwoReplicas runs a test on each engine, by two replicas; within is for what must come about on one of them within a second of what the other did.
func onTwoReplicas(t *testing.T, test func(t *testing.T, a, b *fixture, within func(what string, so func() bool))) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			url := ""
			if engine == "PostgreSQL" {
				url = testpostgres.Database(t)
			}
			a := newFixtureOn(t, t.TempDir(), url, true)
			t.Cleanup(func() { a.must(a.store.Close()) })
			b := a.replica()
			for _, f := range []*fixture{a, b} {
				go f.Vault.Follow(t.Context())
			}
			test(t, a, b, func(what string, so func() bool) {
				t.Helper()
				for start := time.Now(); !so(); time.Sleep(10 * time.Millisecond) {
					if time.Since(start) > time.Second {
						t.Fatalf("%s does not bite after a second", what)
					}
				}
			})
		})
	}
}

// What is revoked, frozen, rekeyed or deleted on one replica bites on another within a second. A replica that is cut off from the database serves what it remembers for a second,
// and nothing after it.
func TestReplicasLearnWithinASecond(t *testing.T) {
	onTwoReplicas(t, func(t *testing.T, a, b *fixture, within func(string, func() bool)) {
		token := a.granted("alice")
		b.token("alice")
		if b.token("alice") != token {
			t.Fatal("another token")
		}
		denied := func() bool {
			_, err := b.ask("alice")
			return fault.KindOf(err) == fault.AccessDenied && err != nil
		}
		for _, target := range []wire.FreezeTarget{{User: byID("alice")}, {WorkloadName: new("agent")}, {ResourceCredentialProviderName: new("vendor")}, {Account: new(true)}} {
			a.freeze(target)
			within("a freeze", denied)
			a.unfreeze(target)
			within("its end", func() bool { return !denied() })
		}
		_, err := a.RevokeGrants(context.Background(), a.caller, &wire.RevokeGrantsInput{User: byID("alice")})
		a.must(err)
		within("a revocation", func() bool {
			out, err := b.ask("alice")
			a.must(err)
			return out.AccessToken == ""
		})

		token = a.granted("carol")
		within("a consent", func() bool { return b.token("carol") == token })
		a.rekeyed(byID("carol"), byID("dave"))
		within("the loss of a grant to another name", func() bool {
			out, err := b.ask("carol")
			a.must(err)
			return out.AccessToken == ""
		})
		a.rekeyed(byID("dave"), byID("carol"))
		within("its return", func() bool { out, err := b.ask("carol"); a.must(err); return out.AccessToken == token })

		token = a.granted("alice")
		within("a consent", func() bool { return b.token("alice") == token })
		cutOff := func() (ask func() error, remembers error) {
			cut := a.replica()
			cut.Gate = access.New(audit.New(a.store), cut.Vault, cut.ARNs, cut.Metrics) // its decisions are recorded all the same: it is the caches that are tried here
			go cut.Vault.Follow(t.Context())
			wat := cut.wat("alice")
			ask = func() error {
				_, err := cut.GetResourceOauth2Token(context.Background(), cut.caller, &tokenInput{
					WorkloadIdentityToken: wat, ResourceCredentialProviderName: "vendor", Scopes: []string{"read"}, Oauth2Flow: wire.FlowUserFederation, ResourceOauth2ReturnUrl: new(returnURL),
				})
				return err
			}
			time.Sleep(350 * time.Millisecond) // it follows
			a.must(ask())
			a.must(cut.store.Close())
			return ask, ask()
		}
		ask, remembers := cutOff()
		for range 20 { // a machine that stands for a second proves nothing
			if remembers == nil {
				break
			}
			ask, remembers = cutOff()
		}
		a.must(remembers)
		_, err = a.RevokeGrants(context.Background(), a.caller, &wire.RevokeGrantsInput{User: byID("alice")})
		a.must(err)
		time.Sleep(1010 * time.Millisecond)
		for range 3 {
			if err := ask(); err == nil {
				t.Error("a replica that is cut off serves what it remembers after a second")
			}
		}

		token = a.granted("bob")
		within("a consent", func() bool { return b.token("bob") == token })
		wat := b.wat("bob")
		ask = func() error {
			_, err := b.GetResourceOauth2Token(context.Background(), b.caller, &tokenInput{
				WorkloadIdentityToken: wat, ResourceCredentialProviderName: "vendor", Scopes: []string{"read"}, Oauth2Flow: wire.FlowUserFederation, ResourceOauth2ReturnUrl: new(returnURL),
			})
			return err
		}
		a.must(a.Vault.DeleteAccount(account, "arn", true))
		within("the deletion of the account", func() bool { return fault.KindOf(ask()) == fault.AccessDenied })
		a.revokeDue(context.Background())
		if _, live := a.vendor.Introspect(token); live {
			t.Error("the vendor was not told of a grant of the deleted account")
		}
		if err := ask(); fault.KindOf(err) != fault.AccessDenied {
			t.Errorf("of a deleted account: %v", err)
		}
	})
}

// A change of what is frozen is decided on by the ARN of the freeze.
func TestFreezeARNs(t *testing.T) {
	f := newFixture(t, t.TempDir())
	policy, err := iam.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"credence:Freeze","Resource":"arn:aws:credence:us-east-1:` + account + `:freeze/workload/agent"}]}`))
	f.must(err)
	f.caller.Policies = []*iam.Policy{policy}
	f.freeze(wire.FreezeTarget{WorkloadName: new("agent")})
	for _, target := range []wire.FreezeTarget{{Account: new(true)}, {User: byID("agent")}, {ResourceCredentialProviderName: new("agent")}} {
		_, err := f.Freeze(context.Background(), f.caller, &wire.FreezeInput{Target: &target})
		is(t, err, fault.AccessDenied, "not authorized")
	}
	if all, err := f.store.Freezes(context.Background(), account); err != nil || len(all) != 1 || all[0].Kind != store.FreezeWorkload {
		t.Errorf("%+v, %v", all, err)
	}
}
