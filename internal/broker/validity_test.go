package broker

import (
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
)

func lasting(seconds int32) func(*tokenInput) {
	return func(in *tokenInput) { in.MinimumValiditySeconds = &seconds }
}

// A token that does not live long enough is renewed first, one that does is served as it is; the request's word counts before the provider's.
func TestMinimumValidity(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		time.Sleep(20 * time.Second) // 40 are left
		if f.token("alice", lasting(40)) != first || f.vendor.Count("refresh_token") != 0 {
			t.Error("renewed, though the token lives long enough")
		}
		second := f.token("alice", lasting(41))
		if second == first || f.token("alice", lasting(54)) != second || f.vendor.Count("refresh_token") != 1 {
			t.Errorf("%d refreshes", f.vendor.Count("refresh_token"))
		}
		f.change("vendor", false, func(c *provider.Config) { c.MinimumValiditySeconds = 50 })
		time.Sleep(20 * time.Second)
		if f.token("alice", lasting(0)) != second {
			t.Error("the provider's word counts before the request's")
		}
		if f.token("alice") == second {
			t.Error("the provider's word does not count")
		}
	})
}

// M2M too; and where a vendor gives no refresh token, a consent is what renews.
func TestMinimumValidityWithoutRefreshTokens(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		first := f.token("")
		time.Sleep(20 * time.Second)
		if f.token("", lasting(30)) != first || f.token("", lasting(45)) == first || f.vendor.Count("client_credentials") != 2 {
			t.Errorf("%d tokens", f.vendor.Count("client_credentials"))
		}
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.NoRefreshToken = true })
		token := f.granted("bob")
		time.Sleep(20 * time.Second)
		if f.token("bob") != token {
			t.Error("not served")
		}
		f.needsConsent("bob", lasting(45))
	})
}

// What the vendor's tokens never live is said, and costs the vendor nothing, however often it is asked for. It is found out when the vendor gives longer ones.
func TestMinimumValidityThatNeverIs(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		for _, user := range []string{"alice", ""} {
			for range 10 {
				_, err := f.ask(user, lasting(55))
				is(t, err, fault.Validation, "live 60 seconds: ask for at most 54")
				time.Sleep(time.Second)
			}
		}
		if n, m := f.vendor.Count("refresh_token"), f.vendor.Count("client_credentials"); n != 0 || m != 1 {
			t.Errorf("%d refreshes, %d tokens", n, m)
		}
		if f.token("alice") != first {
			t.Error("others are not served")
		}
		f.change("vendor", false, func(c *provider.Config) { c.MinimumValiditySeconds = 3600 })
		_, err := f.ask("alice")
		is(t, err, fault.Validation, "set at most 54")
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = 2 * time.Hour })
		time.Sleep(untilEnd)
		f.token("alice")
	})
}

// While the vendor is away, a token of shorter life is better than none.
func TestMinimumValidityInAnOutage(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		time.Sleep(20 * time.Second)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
		if f.token("alice", lasting(50)) != first {
			t.Error("not served")
		}
	})
}
