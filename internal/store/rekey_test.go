package store

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"credence/internal/fault"
	users "credence/internal/workload"
)

// Users whom any byte tells apart have grants of their own, and what is chosen by one is his.
func TestGrantsOfUsersThatLookAlike(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put := grantBed(t, s, "1")
		var all []users.User
		for _, issuer := range []string{"https://idp.example", "https://IDP.example", "https://idp.example/"} {
			for _, value := range []string{"alice@x", "Alice@x", "alice@x ", "\u00e9lise@x", "e\u0301lise@x"} {
				all = append(all, users.UserByClaims(issuer, users.Claim{Name: "email", Value: value}), users.User{Kind: users.KindJWT, Issuer: issuer, Subject: value})
			}
		}
		for _, u := range all {
			if !utf8.ValidString(u.Key()) || len(u.Key()) != 64 {
				t.Fatal(u.Key())
			}
			put("of "+u.String(), "w", u.Key())
		}
		for _, u := range all {
			if got := keysOf(t, s, GrantFilter{Account: "1", UserKey: u.Key()}); !slices.Equal(got, []string{"of " + u.String()}) {
				t.Errorf("%s has %q", u, got)
			}
		}
	})
}

// A grant is under the one key or the other, whole; where it must not be moved, nothing is written.
func TestRekeyGrant(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		put := grantBed(t, s, "1")
		moved := func(from Grant) Grant {
			to := from
			to.Key, to.UserKey, to.RefreshToken = "new", "bob", []byte("sealed anew")
			return to
		}
		row := func(key string) Grant {
			g, err := s.Grant(ctx, "1", key)
			must(t, err)
			return g
		}
		refuses := func(why string, from Grant) {
			t.Helper()
			before := keysOf(t, s, GrantFilter{Account: "1"})
			refused, err := s.RekeyGrant(from, moved(from), false)
			if err != nil || !strings.Contains(refused, why) {
				t.Errorf("%q, %v, want %q", refused, err, why)
			}
			if after := keysOf(t, s, GrantFilter{Account: "1"}); !slices.Equal(before, after) || row("old").Version != from.Version {
				t.Errorf("%s: %q became %q", why, before, after)
			}
		}
		put("old", "w", "alice")
		put("new", "w", "bob")
		refuses("live grant", row("old"))
		_, err := s.RevokeGrants(GrantFilter{Account: "1", Key: "new"})
		must(t, err)
		refuses("still being told", row("old"))
		r, err := s.ClaimRevocation(time.Minute)
		must(t, err)
		r.State = RevocationDone
		must(t, s.FinishRevocation(r))

		for _, frozen := range []string{"alice", "bob"} {
			_, err := s.PutFreeze(Freeze{Account: "1", Kind: FreezeUser, ID: frozen, CreatedAt: noon})
			must(t, err)
			refuses("frozen", row("old"))
			must(t, s.DeleteFreeze("1", FreezeUser, frozen))
		}
		stale := row("old")
		version, err := s.UpdateGrant(stale)
		must(t, err)
		if refused, err := s.RekeyGrant(stale, moved(stale), false); err != nil || !strings.Contains(refused, "changed meanwhile") || row("old").Version != version {
			t.Errorf("%q, %v", refused, err)
		}
		begun := row("old")
		begun.IntentAt = noon
		_, err = s.UpdateGrant(begun)
		must(t, err)
		if refused, err := s.RekeyGrant(row("old"), moved(row("old")), false); err != nil || !strings.Contains(refused, "changed meanwhile") {
			t.Errorf("%q, %v", refused, err)
		}
		begun = row("old")
		begun.IntentAt = time.Time{}
		_, err = s.UpdateGrant(begun)
		must(t, err)

		from := row("old")
		refused, err := s.RekeyGrant(from, moved(from), true)
		must(t, err)
		if refused != "" || row("old").Version != from.Version || row("new").State != GrantRevoked {
			t.Errorf("a dry run: %q", refused)
		}
		before := row("new").Version
		refused, err = s.RekeyGrant(from, moved(from), false)
		must(t, err)
		g := row("new")
		if refused != "" || string(g.RefreshToken) != "sealed anew" || g.State != GrantActive || g.Version <= before || !g.CreatedAt.Equal(from.CreatedAt) {
			t.Errorf("%q, %+v", refused, g)
		}
		_, err = s.Grant(ctx, "1", "old")
		want(t, err, fault.NotFound)
	})
}
