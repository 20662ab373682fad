package broker

import (
	"errors"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/wire"
)

// A grant whose refresh came to nothing is not tried again by any replica before its time, which grows, is not the same for all, and ends with the first success.
func TestBackOff(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		replicas := []*fixture{f, f.replica(), f.replica()}
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 429 }) // opens no circuit
		var pauses []time.Duration
		last := time.Now()
		for start := time.Now(); time.Since(start) < 5*time.Minute; time.Sleep(500 * time.Millisecond) {
			before := f.vendor.Count("refresh_token")
			for _, r := range replicas {
				_, err := r.ask("alice")
				is(t, err, fault.Throttled, "")
				fa, _ := errors.AsType[*fault.Fault](err)
				if left := time.Until(r.row("alice").RetryAt); fa == nil || fa.RetryAfter < min(left, time.Second) || fa.RetryAfter > longestPause+longestPause/2 {
					t.Fatalf("told to wait %v, %v are left", fa.RetryAfter, left)
				}
			}
			switch asked := f.vendor.Count("refresh_token") - before; {
			case asked > 1:
				t.Fatalf("%d replicas asked at the same time", asked)
			case asked == 1:
				pauses = append(pauses, time.Since(last))
				last = time.Now()
			}
		}
		if n := len(pauses); n < 10 || n > 20 || pauses[n-1] < longestPause/2 || pauses[1] > 2*firstPause {
			t.Errorf("asked after %v", pauses)
		}
		f.recovered("alice")
		f.token("alice")
		if g := f.row("alice"); g.Failures != 0 || !g.RetryAt.IsZero() || g.LastError != "" {
			t.Errorf("after a success: %d failures, %v, %q", g.Failures, g.RetryAt, g.LastError)
		}
	})
	if a, b := pause(5, time.Hour), pause(5, time.Hour); a == b {
		t.Error("no jitter")
	}
}

// Retry-After is kept to, but not for ever; the token at hand is served meanwhile, without a look at the database.
func TestBackOffKeepsToRetryAfter(t *testing.T) {
	for said, want := range map[string]time.Duration{"45": 45 * time.Second, "3600": longestRetryAfter} {
		timed(t, func(t *testing.T, f *fixture, _ string) {
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Hour })
			time.Sleep(untilEnd)
			first := f.token("alice")
			time.Sleep(time.Hour - time.Minute)
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status, b.RetryAfter = 503, said })
			asked := f.vendor.Count("refresh_token")
			for range 50 {
				if f.token("alice") != first {
					t.Fatal("another token")
				}
				time.Sleep(time.Second)
				if f.vendor.Count("refresh_token") != asked+1 && want > time.Minute {
					t.Fatal("asked within Retry-After")
				}
			}
			time.Sleep(want - time.Minute)
			_, err := f.ask("alice")
			if want > time.Minute {
				is(t, err, fault.Throttled, "is asked again in")
			}
			f.recovered("alice")
			f.token("alice")
		})
	}
}

// A client that the vendor refuses is the provider's fault: its grants are kept and say what to mend, and they are renewed as soon as it is.
func TestRefusedClient(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode = "invalid_client" })
		for range 8 { // the pauses are long by now
			_, err := f.ask("alice")
			is(t, err, fault.Validation, "invalid_client")
			time.Sleep(time.Until(f.row("alice").RetryAt) + time.Millisecond)
		}
		_, _ = f.ask("alice")
		g, err := f.DescribeGrant(t.Context(), f.caller, &wire.DescribeGrantInput{GrantId: f.row("alice").Key})
		f.must(err)
		if g.State != wire.GrantDegraded || g.RetryTime == nil || *g.LastError != "invalid_client" || g.NextStep[:len("Mend provider vendor")] != "Mend provider vendor" {
			t.Errorf("described as %+v", g)
		}
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Failures = fakeidp.Failures{} })
		_, err = f.ask("alice")
		is(t, err, fault.Throttled, "invalid_client")
		p, err := f.Vault.OAuth2Provider(t.Context(), account, "vendor")
		f.must(err)
		f.must(f.Vault.UpdateOAuth2Provider(t.Context(), *p, secret.New("client-secret")))
		f.token("alice")
	})
}

// What says nothing of a grant does not keep it from being tried.
func TestBackOffIsOfTheGrant(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		f.change("vendor", false, func(*provider.Config) {})
		g := f.row("alice")
		for _, cause := range []error{errOpen, errQueue} {
			if postpone(&g, cause); g.Failures != 0 || !g.RetryAt.IsZero() {
				t.Errorf("%v counts as a failure of the grant", cause)
			}
		}
	})
}
