package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"credence/internal/fault"
)

func (s *Store) addWebhook(t *testing.T, account, name string, events ...string) {
	t.Helper()
	now := time.Now()
	must(t, s.InsertWebhook(Webhook{Account: account, Name: name, ID: "id-" + name, URL: "https://hook.example/", EventTypes: events, Secret: []byte("sealed"), CreatedAt: now, UpdatedAt: now}))
}

// told are the events that a webhook was or has to be told, in order, each with its grant and reason.
func (s *Store) told(t *testing.T, account, webhook string) (all []string) {
	t.Helper()
	rows, more, err := s.Deliveries(context.Background(), account, webhook, "", Page{Limit: 100})
	if err != nil || more {
		t.Fatal(more, err)
	}
	for _, d := range slices.Backward(rows) {
		all = append(all, strings.TrimRight(string(d.EventType)+" "+d.GrantKey+" "+d.Reason, " "))
	}
	return all
}

// Every change that is an event is told, once, to those who want it, together with the change or not at all.
func TestEventsFollowChanges(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put := grantBed(t, s, "1")
		putElsewhere := grantBed(t, s, "2")
		s.addWebhook(t, "1", "all")
		s.addWebhook(t, "1", "some", string(EventGrantNeedsConsent), string(EventGrantRevoked))
		s.addWebhook(t, "2", "elsewhere")
		put("g", "w", "u")
		put("h", "w2", "u")
		putElsewhere("g", "w", "u")
		update := func(edit func(*Grant)) error {
			g, err := s.Grant(t.Context(), "1", "g")
			must(t, err)
			edit(&g)
			_, err = s.UpdateGrant(g)
			return err
		}
		failed, well := func(g *Grant) { g.LastError = "temporary" }, func(g *Grant) { g.LastError = "" }
		must(t, update(well)) // nothing new
		must(t, update(failed))
		must(t, update(failed)) // nor this
		must(t, update(func(g *Grant) { g.IntentAt = time.Now() }))
		must(t, update(well))
		if err := update(func(g *Grant) { g.LastError = "lost"; g.Version-- }); !errors.Is(err, fault.ConcurrentModification) {
			t.Error(err)
		}
		if err := update(func(g *Grant) { g.LastError = "lost"; g.Keyset = "other" }); !errors.Is(err, fault.ConcurrentModification) {
			t.Error(err)
		}
		must(t, update(func(g *Grant) { g.State, g.LastError = GrantDead, "invalid_grant" }))
		n, err := s.RevokeGrants(GrantFilter{Account: "1", Key: "g"})
		if n != 1 || err != nil {
			t.Error(n, err)
		}
		_, err = s.RevokeGrants(GrantFilter{Account: "1", Key: "g"}) // once more
		must(t, err)
		must(t, s.DeleteWorkload("1", "w", "")) // its grant is revoked already
		must(t, s.DeleteWorkload("1", "w2", ""))
		same(t, s.told(t, "1", "id-all"), []string{
			"grant.degraded g temporary", "grant.recovered g", "grant.needs_consent g invalid_grant", "grant.revoked g grant_revoked", "grant.revoked h workload_deleted",
		})
		same(t, s.told(t, "1", "id-some"), []string{"grant.needs_consent g invalid_grant", "grant.revoked g grant_revoked", "grant.revoked h workload_deleted"})
		if other := s.told(t, "2", "id-elsewhere"); other != nil {
			t.Errorf("another account is told %q", other)
		}
	})
}

// A grant that ends, and that nothing can renew, is told of with the first consent that is asked for, and not with the next ones.
func TestEventOfAGrantThatRanOut(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put := grantBed(t, s, "1")
		s.addWebhook(t, "1", "all")
		now := time.Now()
		put("over", "w", "u", func(g *Grant) { g.RefreshToken, g.ExpiresAt = nil, now.Add(-time.Minute) })
		put("valid", "w", "u", func(g *Grant) { g.RefreshToken, g.ExpiresAt = nil, now.Add(time.Hour) })
		put("renewable", "w", "u", func(g *Grant) { g.ExpiresAt = now.Add(-time.Minute) })
		for i, grant := range []string{"over", "over", "valid", "renewable", "none"} {
			must(t, s.InsertSession(Session{
				Account: "1", ID: string(rune('a' + i)), Workload: "w", WorkloadIncarnation: "iw", Provider: "p", ProviderIncarnation: "pi", Generation: "g1", GrantKey: grant, Keyset: "t",
				Request: []byte("sealed"), State: SessionPending, CreatedAt: now, ExpiresAt: now.Add(time.Minute),
			}))
		}
		same(t, s.told(t, "1", "id-all"), []string{"grant.needs_consent over expired"})
	})
}

func TestProviderFailing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		grantBed(t, s, "1")
		s.addWebhook(t, "1", "all")
		s.addWebhook(t, "1", "deaf", string(EventGrantRevoked))
		for _, reason := range []string{"invalid_client", "invalid_client", "vendor_away", "invalid_client"} {
			must(t, s.TellProviderFailing("1", "p", reason))
		}
		must(t, s.TellProviderFailing("2", "p", "vendor_away"))
		same(t, s.told(t, "1", "id-all"), []string{"provider.failing  invalid_client", "provider.failing  vendor_away"})
		if told := s.told(t, "1", "id-deaf"); told != nil {
			t.Errorf("told %q", told)
		}
	})
}

// A delivery is claimed by one at a time, waits as long as it is told to, dies and comes back, and a webhook that is deleted takes its own with it.
func TestDeliveries(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put := grantBed(t, s, "1")
		s.addWebhook(t, "1", "all")
		for _, key := range []string{"g1", "g2", "g3"} {
			put(key, "w", "u", func(g *Grant) { g.UserName = []byte("sealed name") })
		}
		must(t, s.DeleteWorkload("1", "w", ""))
		claim := func() Delivery {
			t.Helper()
			d, err := s.ClaimDelivery(time.Minute)
			must(t, err)
			return d
		}
		a, b, c := claim(), claim(), claim()
		if a.ID == b.ID || b.ID == c.ID || a.ID == c.ID || a.Attempts != 1 || a.State != DeliveryPending || string(a.UserName) != "sealed name" || time.Since(a.CreatedAt) > time.Minute {
			t.Errorf("%+v\n%+v\n%+v", a, b, c)
		}
		if _, err := s.ClaimDelivery(time.Minute); !errors.Is(err, fault.NotFound) {
			t.Error("claimed twice", err)
		}
		a.LastError = "it answered 500"
		must(t, s.KeepDelivery(a, 0, 0)) // due at once
		if again := claim(); again.ID != a.ID || again.Attempts != 2 || again.LastError != "it answered 500" {
			t.Errorf("%+v", again)
		}
		if err := s.FinishDelivery(a); !errors.Is(err, fault.ConcurrentModification) {
			t.Error("finished under somebody else's claim", err)
		}
		must(t, s.KeepDelivery(b, 0, 0))
		must(t, s.KeepDelivery(c, time.Hour, time.Hour)) // and b waits with it
		if _, err := s.ClaimDelivery(time.Minute); !errors.Is(err, fault.NotFound) {
			t.Error("others do not wait", err)
		}
		if pending, due, err := s.PendingDeliveries(t.Context()); pending != 3 || due != 0 || err != nil {
			t.Error(pending, due, err)
		}

		list := func(state DeliveryState) (ids []string) {
			t.Helper()
			for p := (Page{Limit: 1}); ; {
				rows, more, err := s.Deliveries(t.Context(), "1", "id-all", state, p)
				must(t, err)
				for _, d := range rows {
					ids = append(ids, d.ID)
					p.After = d.ID
				}
				if !more {
					return ids
				}
			}
		}
		all := list("")
		if len(all) != 3 || !slices.IsSortedFunc(all, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("listed %q", all)
		}
		c.State, c.LastError, c.Version = DeliveryDead, "it answered 410", c.Version+1
		must(t, s.FinishDelivery(c))
		same(t, list(DeliveryDead), []string{c.ID})
		if n, err := s.RetryDeliveries("1", "id-all", a.ID); n != 0 || err != nil {
			t.Error("one that is not dead was retried", n, err)
		}
		if n, err := s.RetryDeliveries("2", "id-all", ""); n != 0 || err != nil {
			t.Error("another account's was retried", n, err)
		}
		if n, err := s.RetryDeliveries("1", "id-all", c.ID); n != 1 || err != nil {
			t.Error(n, err)
		}
		if d := claim(); d.ID != c.ID || d.Attempts != 1 {
			t.Errorf("%+v", d)
		} else {
			d.State = DeliveryDelivered
			must(t, s.FinishDelivery(d))
		}
		must(t, s.Purge(time.Now().Add(time.Minute)))
		if len(list("")) != 2 {
			t.Error("what arrived is not purged, or more than that")
		}
		must(t, s.DeleteWebhook("1", "all"))
		if len(list("")) != 0 {
			t.Error("deliveries outlive their webhook")
		}
		if err := s.DeleteWebhook("1", "all"); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestWebhooks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		grantBed(t, s, "1")
		for i := range webhooksPerAccount {
			s.addWebhook(t, "1", string(rune('a'+i)), "grant.revoked")
		}
		more := Webhook{Account: "1", Name: "more", ID: "more", URL: "https://hook.example/", Secret: []byte("sealed"), CreatedAt: time.Now(), UpdatedAt: time.Now()}
		if err := s.InsertWebhook(more); !errors.Is(err, fault.Quota) {
			t.Error(err)
		}
		more.Name = "a"
		if err := s.InsertWebhook(more); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
		w, err := s.Webhook(t.Context(), "1", "b")
		must(t, err)
		old := w
		w.URL, w.EventTypes, w.PreviousSecret, w.PreviousUntil = "https://other.example/", nil, []byte("old"), noon
		must(t, s.UpdateWebhook(w))
		if err := s.UpdateWebhook(old); !errors.Is(err, fault.ConcurrentModification) {
			t.Error(err)
		}
		found, err := s.WebhookByID(t.Context(), "1", "id-b")
		must(t, err)
		w.Version++
		w.EventTypes = []string{}
		same(t, found, w)
		if rows, err := s.Webhooks(t.Context(), "1"); len(rows) != webhooksPerAccount || err != nil {
			t.Error(len(rows), err)
		}
		if _, err := s.Webhook(t.Context(), "2", "b"); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
