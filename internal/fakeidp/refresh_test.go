package fakeidp_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fakeidp"
)

func TestRefreshRotates(t *testing.T) {
	v := start(t)
	first := redeem(t, v, authorize(t, v))
	second := refresh(t, v, first.token(t, "refresh_token")).wantOK(t)
	if first.token(t, "refresh_token") == second.token(t, "refresh_token") || first.token(t, "access_token") == second.token(t, "access_token") {
		t.Error("a token came twice")
	}
	for range 2 {
		refresh(t, v, first.token(t, "refresh_token")).wantError(t, http.StatusBadRequest, "invalid_grant")
	}
	third := refresh(t, v, second.token(t, "refresh_token"), "scope", "write").wantOK(t)
	if third.json["scope"] != "write" {
		t.Errorf("scope %v, want write only, as asked", third.json["scope"])
	}
	if fourth := refresh(t, v, third.token(t, "refresh_token")).wantOK(t); fourth.json["scope"] != "read write" {
		t.Errorf("scope %v, want read write: a narrow refresh narrows one access token (RFC 6749 section 6)", fourth.json["scope"])
	}
	if v.Live() != 4 || v.FamiliesKilled() != 0 || v.Count("refresh_token") != 5 {
		t.Errorf("%d tokens live, %d families killed, %d refreshes seen, want 4, 0, 5", v.Live(), v.FamiliesKilled(), v.Count("refresh_token"))
	}
}

func TestRefreshNarrowsResources(t *testing.T) {
	v := start(t)
	code := get(t, v, authorizationURL(v, "resource", "https://a.example/")+"&resource=https://b.example/").location(t).Get("code")
	a := refresh(t, v, redeem(t, v, code).token(t, "refresh_token"), "resource", "https://b.example/").wantOK(t)
	info, _ := v.Introspect(a.token(t, "access_token"))
	if diff := cmp.Diff([]string{"https://b.example/"}, info.Resources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	info, _ = v.Introspect(a.token(t, "refresh_token"))
	if diff := cmp.Diff([]string{"https://a.example/", "https://b.example/"}, info.Resources); diff != "" {
		t.Errorf("resources of the grant (-want +got):\n%s", diff)
	}
}

// Scopes may be asked for by the old names or by the vendor's, and what a consent did not give, no refresh gives.
func TestRefreshKeepsToTheGrantedScopes(t *testing.T) {
	v := start(t)
	v.Set(func(b *fakeidp.Behaviour) {
		b.RenameScopes, b.NarrowScopes = map[string]string{"read": "api.read", "write": "api.write"}, []string{"api.read"}
	})
	a := redeem(t, v, authorize(t, v))
	v.Set(func(b *fakeidp.Behaviour) { b.NarrowScopes = nil })
	refresh(t, v, a.token(t, "refresh_token"), "scope", "write").wantError(t, http.StatusBadRequest, "invalid_scope")
	for _, scope := range []string{"read", "api.read", ""} {
		a = refresh(t, v, a.token(t, "refresh_token"), "scope", scope).wantOK(t)
		if a.json["scope"] != "api.read" {
			t.Errorf("scope %v for %q, want api.read", a.json["scope"], scope)
		}
	}
}

// A switch takes effect with the next request, whatever the consent said.
func TestScopeSwitchesAfterConsent(t *testing.T) {
	v := start(t)
	code := authorize(t, v)
	v.Set(func(b *fakeidp.Behaviour) { b.NarrowScopes = []string{"read"} })
	a := redeem(t, v, code).wantOK(t)
	if a.json["scope"] != "read" {
		t.Errorf("scope %v, want read", a.json["scope"])
	}
	v.Set(func(b *fakeidp.Behaviour) {
		*b = fakeidp.Behaviour{RenameScopes: map[string]string{"read": "api.read"}}
	})
	for _, scope := range []string{"", "read", "api.read"} {
		a = refresh(t, v, a.token(t, "refresh_token"), "scope", scope).wantOK(t)
		if a.json["scope"] != "api.read" {
			t.Errorf("scope %v for %q, want api.read: not the old name, and not what was narrowed away", a.json["scope"], scope)
		}
	}
}

func TestReuseKillsFamily(t *testing.T) {
	v := start(t)
	v.Set(func(b *fakeidp.Behaviour) { b.ReuseKillsFamily = true })
	bystander := redeem(t, v, authorize(t, v))
	first := redeem(t, v, authorize(t, v))
	second := refresh(t, v, first.token(t, "refresh_token")).wantOK(t)
	for range 2 {
		refresh(t, v, first.token(t, "refresh_token")).wantError(t, http.StatusBadRequest, "invalid_grant")
	}
	refresh(t, v, second.token(t, "refresh_token")).wantError(t, http.StatusBadRequest, "invalid_grant")
	resource(t, v, second.token(t, "access_token")).wantError(t, http.StatusUnauthorized, "invalid_token")
	if v.FamiliesKilled() != 1 || v.Live() != 1 {
		t.Errorf("%d families killed, %d tokens live, want 1 and 1", v.FamiliesKilled(), v.Live())
	}
	refresh(t, v, bystander.token(t, "refresh_token")).wantOK(t)
}

func TestRefreshGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := inMemory(t)
		v.Set(func(b *fakeidp.Behaviour) { b.RefreshGrace, b.ReuseKillsFamily = 30*time.Second, true })
		first := redeem(t, v, authorize(t, v))
		again := func() answer { return refresh(t, v, first.token(t, "refresh_token")) }
		second := again().wantOK(t)
		time.Sleep(30*time.Second - time.Nanosecond)
		third := again().wantOK(t)
		if third.token(t, "refresh_token") != second.token(t, "refresh_token") {
			t.Error("within its grace the old refresh token answered another successor")
		}
		if third.token(t, "access_token") == second.token(t, "access_token") {
			t.Error("within its grace the old refresh token answered the same access token")
		}
		time.Sleep(time.Nanosecond)
		again().wantError(t, http.StatusBadRequest, "invalid_grant")
		if v.FamiliesKilled() != 1 || v.Live() != 0 {
			t.Errorf("%d families killed, %d tokens live, want 1 and 0 after reuse past the grace", v.FamiliesKilled(), v.Live())
		}
	})
}

func TestKeepRefreshToken(t *testing.T) {
	v := start(t)
	v.Set(func(b *fakeidp.Behaviour) { b.KeepRefreshToken = true })
	first := redeem(t, v, authorize(t, v))
	for range 3 {
		a := refresh(t, v, first.token(t, "refresh_token")).wantOK(t)
		if _, ok := a.json["refresh_token"]; ok {
			t.Errorf("answer %s, want no refresh token", a.body)
		}
	}
}

func TestNoRefreshToken(t *testing.T) {
	v := start(t)
	earlier := redeem(t, v, authorize(t, v))
	v.Set(func(b *fakeidp.Behaviour) { b.NoRefreshToken = true })
	for name, a := range map[string]answer{
		"redeem":  redeem(t, v, authorize(t, v)).wantOK(t),
		"refresh": refresh(t, v, earlier.token(t, "refresh_token")).wantOK(t),
	} {
		if _, ok := a.json["refresh_token"]; ok {
			t.Errorf("%s answered %s, want no refresh token", name, a.body)
		}
	}
	refresh(t, v, earlier.token(t, "refresh_token")).wantOK(t)
}

// However many ask at once, a rotating token is spent once, and a code too.
func TestConcurrentUse(t *testing.T) {
	const askers = 20
	v := start(t)
	atOnce := func(request func() *http.Request) (granted int) {
		var group sync.WaitGroup
		answers := make(chan answer, askers)
		for range askers {
			req := request()
			group.Go(func() {
				a, err := v.send(req)
				if err != nil {
					t.Error(err)
				}
				answers <- a
			})
			group.Go(func() {
				v.Set(func(b *fakeidp.Behaviour) { b.Subject = "bob" })
				v.Live()
				v.Requests()
			})
		}
		group.Wait()
		close(answers)
		for a := range answers {
			if a.status == http.StatusOK {
				granted++
			} else {
				a.wantError(t, http.StatusBadRequest, "invalid_grant")
			}
		}
		return granted
	}
	first := redeem(t, v, authorize(t, v))
	if n := atOnce(func() *http.Request {
		return tokenRequest(t, v, "refresh_token", "refresh_token", first.token(t, "refresh_token"))
	}); n != 1 {
		t.Errorf("%d of %d refreshes granted, want 1", n, askers)
	}
	code := authorize(t, v)
	if n := atOnce(func() *http.Request { return redemption(t, v, code) }); n != 1 {
		t.Errorf("%d of %d redemptions granted, want 1", n, askers)
	}
}
