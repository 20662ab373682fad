package broker

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/provider"
	"credence/internal/store"
	"credence/internal/webhook"
	"credence/internal/wire"
)

// hook adds a webhook that is told of everything.
func (f *fixture) hook() {
	f.t.Helper()
	now := time.Now()
	f.must(f.Vault.InsertWebhook(context.Background(), store.Webhook{Account: account, Name: "hook", ID: "hook", URL: "https://hook.example/", CreatedAt: now, UpdatedAt: now}, webhook.NewSecret()))
}

// told are the events in the outbox, in order, and their users.
func (f *fixture) told() (events, users []string) {
	f.t.Helper()
	rows, _, err := f.store.Deliveries(context.Background(), account, "hook", "", store.Page{Limit: 1000})
	f.must(err)
	for _, d := range slices.Backward(rows) {
		event := string(d.EventType)
		if d.Reason != "" {
			event += " " + d.Reason
		}
		user, err := f.Vault.ToldUser(context.Background(), d)
		f.must(err)
		events, users = append(events, event), append(users, user)
	}
	return events, users
}

func (f *fixture) wantTold(want ...string) {
	f.t.Helper()
	if events, _ := f.told(); !slices.Equal(events, want) {
		f.t.Errorf("told %q, want %q", events, want)
	}
}

// What becomes of a grant is told in the order in which it happened, each change once, whatever writes had to be repeated.
func TestEvents(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		f.hook()
		f.granted("bob")
		time.Sleep(untilMargin)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
		f.token("bob")
		f.token("bob")
		f.recovered("bob")
		f.faults.next(fine, unheard) // the intent, and the answer: it is written, but the process does not hear it
		f.token("bob")
		time.Sleep(untilEnd)
		f.vendor.RevokeAll()
		f.needsConsent("bob")
		f.granted("bob")
		_, err := f.RevokeGrants(context.Background(), f.caller, &wire.RevokeGrantsInput{User: byID("bob")})
		f.must(err)
		f.wantTold("consent.completed", "grant.degraded temporary", "grant.recovered", "grant.needs_consent invalid_grant", "consent.completed", "grant.revoked grant_revoked")
		if _, users := f.told(); !slices.Equal(slices.Compact(users), []string{`id:"bob"`}) {
			t.Errorf("told of %q", users)
		}
	})
}

// A change that is not written is not told.
func TestNoEventWithoutItsChange(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		f.hook()
		out := f.needsConsent("bob")
		id := f.consent(browser{}, out.AuthorizationUrl).Get("session_id")
		dead := make(plan, 20)
		for i := range dead {
			dead[i] = lost
		}
		f.faults.next(append(plan{fine}, dead...)...)
		if f.complete(id, "bob") == nil {
			t.Error("completed")
		}
		f.faults.next()
		time.Sleep(untilMargin)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
		f.faults.next(append(plan{fine}, dead...)...)
		f.token("alice")
		f.wantTold()
	})
}

// A provider whose client the vendor refuses, or whose vendor is dead, is told of once, however many ask.
func TestProviderFailingIsTold(t *testing.T) {
	for reason, set := range map[string]func(*fixture){
		"invalid_client": func(f *fixture) { f.change("vendor", false, func(c *provider.Config) { c.ClientID = "nobody" }) },
		vendorAway:       func(f *fixture) { f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 }) },
	} {
		t.Run(reason, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, _ string) {
				f.hook()
				set(f)
				for range 20 {
					if _, err := f.ask("", func(in *tokenInput) { in.Scopes = []string{rand.Text()} }); err == nil {
						t.Error("served")
					}
				}
				f.wantTold("provider.failing " + reason)
			})
		})
	}
}
