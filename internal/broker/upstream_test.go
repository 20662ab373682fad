package broker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/oauth"
)

const endpointURL = "https://vendor.example/token"

func answer(err error) func() (oauth.Token, error) {
	return func() (oauth.Token, error) { return oauth.Token{}, err }
}

var (
	down    = &oauth.Error{Outcome: oauth.Temporary, Status: 503}
	refused = &oauth.Error{Outcome: oauth.Refused, Status: 400, Code: "invalid_grant"}
	busy    = &oauth.Error{Outcome: oauth.Temporary, Status: 429}
)

// A dead vendor is asked once per pause, its callers are answered at once, and it heals with the first good answer.
func TestCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u upstream
		ctx := t.Context()
		for range tripAfter {
			if _, err := u.do(ctx, "a", endpointURL, answer(down)); !errors.Is(err, down) {
				t.Fatal(err)
			}
		}
		var asked int
		start, last := time.Now(), time.Now()
		var pauses []time.Duration
		for time.Since(start) < 10*time.Minute {
			before := time.Now()
			_, err := u.do(ctx, "a", endpointURL+"/other", func() (oauth.Token, error) { asked++; return oauth.Token{}, down })
			if errors.Is(err, errOpen) {
				e, _ := errors.AsType[*oauth.Error](err)
				if e.Outcome != oauth.NotSent || e.RetryAfter <= 0 || e.RetryAfter > longestPause+time.Second || time.Since(before) > 0 {
					t.Fatalf("%+v after %v", e, time.Since(before))
				}
				if u.open("a", endpointURL) == nil {
					t.Fatal("open to the one, closed to the other")
				}
			} else {
				pauses = append(pauses, time.Since(last))
				last = time.Now()
			}
			time.Sleep(50 * time.Millisecond)
		}
		if asked < 18 || asked > 40 {
			t.Errorf("a dead vendor was asked %d times in ten minutes: %v", asked, pauses)
		}
		if _, err := u.do(ctx, "b", endpointURL, answer(nil)); err != nil {
			t.Errorf("another account: %v", err)
		}
		time.Sleep(longestPause + longestPause/2)
		for range 2 * tripAfter {
			if _, err := u.do(ctx, "a", endpointURL, answer(nil)); err != nil {
				t.Errorf("healed: %v", err)
			}
		}
	})
}

// What says nothing about the vendor's health opens nothing.
func TestCircuitStaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u upstream
		for _, err := range []error{nil, refused, busy, errors.New("ours")} {
			for range 3 * tripAfter {
				if _, got := u.do(t.Context(), "a", endpointURL, answer(err)); !errors.Is(got, err) {
					t.Fatalf("%v became %v", err, got)
				}
			}
		}
		for range 3 * tripAfter { // a failure now and then
			for range tripAfter - 1 {
				_, _ = u.do(t.Context(), "a", endpointURL, answer(down))
			}
			if _, err := u.do(t.Context(), "a", endpointURL, answer(nil)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// While one call sees whether the vendor is back, nobody else waits for it.
func TestOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u upstream
		for range tripAfter {
			_, _ = u.do(t.Context(), "a", endpointURL, answer(down))
		}
		time.Sleep(2 * firstPause)
		var calls atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, _ = u.do(t.Context(), "a", endpointURL, func() (oauth.Token, error) {
					calls.Add(1)
					time.Sleep(5 * time.Second)
					return oauth.Token{}, nil
				})
			})
		}
		wg.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d probes", n)
		}
	})
}

// One account's flood to a slow vendor takes no other account's turn, and no call waits for ever.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u upstream
		var most, now atomic.Int32
		slow := func() (oauth.Token, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(2 * time.Second)
			now.Add(-1)
			return oauth.Token{}, nil
		}
		var wg sync.WaitGroup
		var queued atomic.Int32
		for range 10 * maxCalls {
			wg.Go(func() {
				if _, err := u.do(context.Background(), "loud", endpointURL, slow); errors.Is(err, errQueue) {
					queued.Add(1)
				}
			})
		}
		synctest.Wait()
		for i := range 5 {
			wg.Go(func() {
				start := time.Now()
				if _, err := u.do(context.Background(), fmt.Sprint("quiet", i), endpointURL, slow); err != nil || time.Since(start) > 4*time.Second {
					t.Errorf("quiet %d: %v after %v", i, err, time.Since(start))
				}
			})
		}
		wg.Wait()
		if most.Load() > maxCalls {
			t.Errorf("%d calls at a time", most.Load())
		}
		if queued.Load() == 0 {
			t.Error("every call waited, however long")
		}
		if e := u.endpoints["https://vendor.example"]; e.calls != 0 {
			t.Errorf("%d calls are still counted", e.calls)
		}
	})
}

// A caller that leaves takes no place with it, and a panic gives its place back.
func TestPlacesComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u upstream
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range maxCalls {
			wg.Go(func() {
				defer func() { _ = recover() }()
				_, _ = u.do(t.Context(), "a", endpointURL, func() (oauth.Token, error) { time.Sleep(time.Second); panic("ours") })
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if _, err := u.do(ctx, "b", endpointURL, answer(nil)); !errors.Is(err, errQueue) {
				t.Errorf("left: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if e := u.endpoints["https://vendor.example"]; e.calls != 0 || len(e.accounts["b"].waiting) != 0 {
			t.Errorf("%d calls, %d waiting", e.calls, len(e.accounts["b"].waiting))
		}
	})
}

// replica is another process on the same database.
func (f *fixture) replica() *fixture {
	other := *f
	other.open(filepath.Dir(f.path))
	f.t.Cleanup(func() { f.must(other.store.Close()) })
	return &other
}

// Many ask three replicas for one grant that has ended: the vendor is asked once, and everybody is served what it gave.
func TestReplicasRefreshOnce(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		replicas := []*fixture{f, f.replica(), f.replica()}
		for _, r := range replicas {
			if got := r.token("alice"); got != first { // it is in every cache
				t.Fatal("another token")
			}
		}
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 2 * time.Second })
		var wg sync.WaitGroup
		var mu sync.Mutex
		served := map[string]int{}
		for n := range 64 {
			wg.Go(func() {
				out, err := replicas[n%3].ask("alice")
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("reader %d: %v", n, err)
					return
				}
				served[out.AccessToken]++
			})
		}
		wg.Wait()
		if n := f.vendor.Count("refresh_token"); n != 1 || len(served) != 1 || served[first] != 0 || f.vendor.FamiliesKilled() != 0 {
			t.Errorf("%d refreshes, %d tokens, %d families killed", n, len(served), f.vendor.FamiliesKilled())
		}
	})
}

// What the vendor is known not to answer is not sent: no lease, no write, no wait. It is asked again, and heals.
func TestDeadVendor(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		for n := range 2 * tripAfter {
			f.granted(fmt.Sprint("user", n))
		}
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
		for n := range 10 * tripAfter {
			_, err := f.ask(fmt.Sprint("user", n%(2*tripAfter)))
			is(t, err, fault.Throttled, "")
		}
		if n := f.vendor.Count("refresh_token"); n != tripAfter {
			t.Errorf("a dead vendor was asked %d times", n)
		}
		before := f.row("alice").Version
		_, err := f.ask("alice")
		is(t, err, fault.Throttled, "asked again later")
		if f.row("alice").Version != before {
			t.Error("the grant was written for a call that was not made")
		}
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Failures = fakeidp.Failures{} })
		time.Sleep(2 * firstPause)
		f.token("alice")
	})
}
