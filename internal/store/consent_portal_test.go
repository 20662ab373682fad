package store

import (
	"testing"
	"time"

	"credence/internal/fault"
)

func TestConsentPortals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		w, p := withParents(t, s)
		portal := ConsentPortal{Account: alpha, ID: "acme-0123456789", Name: "acme", Description: "d", ExecutionRole: "r", Provider: p.Name, ProviderIncarnation: p.Incarnation,
			Scopes: []string{"a", "b"}, Audience: "aud", Source: "arn", Workload: w.Name, WorkloadIncarnation: w.Incarnation, CreatedAt: noon, UpdatedAt: noon, Version: 1,
			HasProvider: true, HasWorkload: true}
		must(t, s.InsertConsentPortal(portal, Tags{"r/acme", map[string]string{"team": "x"}}))
		namesake := portal
		namesake.ID = "acme-another"
		want(t, s.InsertConsentPortal(namesake, Tags{"r/another", map[string]string{"team": "x"}}), fault.Conflict)
		foreign := portal
		foreign.Account, foreign.Name = beta, "other"
		want(t, s.InsertConsentPortal(foreign, Tags{}), fault.Conflict) // the id is part of a URL
		foreign.ID, foreign.Name = "acme-foreign", "acme"
		must(t, s.InsertConsentPortal(foreign, Tags{}))

		check := func() {
			t.Helper()
			got, err := s.ConsentPortal(ctx, alpha, portal.ID)
			must(t, err)
			same(t, got, portal)
			list, more, err := s.ConsentPortals(ctx, alpha, Page{Limit: 1})
			must(t, err)
			same(t, list, []ConsentPortal{portal})
			same(t, more, false)
		}
		check()
		got, err := s.ConsentPortal(ctx, beta, foreign.ID)
		must(t, err)
		if got.HasProvider || got.HasWorkload { // equal names and incarnations, but of another account
			t.Errorf("%+v", got)
		}
		_, err = s.ConsentPortal(ctx, beta, portal.ID)
		want(t, err, fault.NotFound)

		changed := portal
		changed.Description, changed.ExecutionRole, changed.Scopes, changed.Audience, changed.UpdatedAt = "", "r2", []string{}, "", noon.Add(time.Second)
		must(t, s.UpdateConsentPortal(changed))
		want(t, s.UpdateConsentPortal(portal), fault.ConcurrentModification)
		changed.Version = 2
		portal = changed
		check()

		must(t, s.DeleteOAuth2Provider(alpha, p.Name, ""))
		must(t, s.InsertOAuth2Provider(func() OAuth2Provider { p.Incarnation = "anew"; return p }(), "default", Tags{}))
		portal.HasProvider = false
		check()
		must(t, s.DeleteWorkload(alpha, w.Name, ""))
		portal.HasWorkload = false
		check()

		want(t, s.DeleteConsentPortal(beta, portal.ID, "r/acme"), fault.NotFound)
		must(t, s.DeleteConsentPortal(alpha, portal.ID, "r/acme"))
		want(t, s.DeleteConsentPortal(alpha, portal.ID, "r/acme"), fault.NotFound)
		for _, resource := range []string{"r/acme", "r/another"} {
			tags, err := s.Tags(ctx, alpha, resource)
			must(t, err)
			same(t, tags, map[string]string{})
		}
	})
}
