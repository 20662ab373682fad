package batch_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/batch"
)

// Every caller gets the answer of its own item, runs never overlap, and no run exceeds the maximum.
func TestEveryCallerGetsItsOwnAnswer(t *testing.T) {
	odd := errors.New("odd")
	var running sync.Mutex
	ran := map[int]int{}
	g := batch.New(8, nil, func(items []int) []error {
		if !running.TryLock() {
			t.Error("two runs at once")
			return nil
		}
		defer running.Unlock()
		if len(items) == 0 || len(items) > 8 {
			t.Errorf("a run of %d items", len(items))
		}
		errs := make([]error, len(items))
		for i, n := range items {
			ran[n]++
			if n%2 == 1 {
				errs[i] = odd
			}
		}
		return errs
	})
	var wg sync.WaitGroup
	for n := range 500 {
		wg.Go(func() {
			err := g.Do(n)
			if (n%2 == 1) != errors.Is(err, odd) {
				t.Errorf("item %d got %v", n, err)
			}
		})
	}
	wg.Wait()
	for n := range 500 {
		if ran[n] != 1 {
			t.Errorf("item %d ran %d times", n, ran[n])
		}
	}
}

// Callers who come while a run is under way share the next one.
func TestConcurrentCallersShareARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		g := batch.New(100, nil, func(items []int) []error {
			runs++
			time.Sleep(time.Millisecond)
			return nil
		})
		var wg sync.WaitGroup
		for n := range 50 {
			wg.Go(func() { _ = g.Do(n) })
		}
		wg.Wait()
		if runs > 3 {
			t.Errorf("50 concurrent callers took %d runs", runs)
		}
	})
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

// How long a leader waits at most depends on how many it waits for.
func TestGatherLongerForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := batch.New(100, func(callers int) time.Duration { return time.Duration(callers) * time.Second }, func([]int) []error { time.Sleep(time.Millisecond); return nil })
		for _, crowd := range []int{10, 30} {
			var wg sync.WaitGroup
			for n := range crowd {
				wg.Go(func() { _ = g.Do(n) }) // one runs alone, the others share the next run
			}
			wg.Wait()
			start := time.Now()
			_ = g.Do(1)
			if d, want := time.Since(start), time.Duration(crowd-1)*time.Second+time.Millisecond; d != want {
				t.Errorf("after a crowd of %d, %v; want %v", crowd, d, want)
			}
			_ = g.Do(1)
		}
	})
}

// A lone caller never waits to gather; after a shared run, the leader gathers.
func TestGatherOnlyUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := batch.New(100, always(time.Second), func([]int) []error { time.Sleep(time.Millisecond); return nil })
		start := time.Now()
		for n := range 5 {
			_ = g.Do(n)
		}
		if d := time.Since(start); d != 5*time.Millisecond {
			t.Errorf("five lone calls took %v", d)
		}
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() { _ = g.Do(n) })
		}
		wg.Wait()
		start = time.Now()
		_ = g.Do(1)
		if d := time.Since(start); d != time.Second+time.Millisecond {
			t.Errorf("a call after a shared run took %v", d)
		}
		start = time.Now()
		_ = g.Do(1)
		if d := time.Since(start); d != time.Millisecond {
			t.Errorf("a call after a lone run took %v", d)
		}
	})
}

// A leader does not wait longer than until as many have come as the last run saw, those included who came while it ran.
func TestGatherEndsWhenAllAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs []int
		g := batch.New(100, always(time.Hour), func(items []int) []error {
			runs = append(runs, len(items))
			time.Sleep(time.Millisecond)
			return nil
		})
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for n := range 5 {
					_ = g.Do(n)
				}
			})
		}
		wg.Wait()
		// One runs alone while nine come; then the ten go together, until one is a call ahead of the others and ends first.
		if want := []int{1, 10, 10, 10, 10, 9}; !slices.Equal(runs, want) || time.Since(start) < time.Hour {
			t.Errorf("runs of %d items, %v; want %d, and an hour's wait for the one who had ended", runs, time.Since(start), want)
		}
	})
}

// A panic becomes the error of everybody in that run, and the group goes on.
func TestPanicInARun(t *testing.T) {
	g := batch.New(8, nil, func(items []int) []error {
		if items[0] == 1 {
			panic("boom")
		}
		return nil
	})
	if err := g.Do(1); err == nil {
		t.Error("a panicking run answered nil")
	}
	if err := g.Do(2); err != nil {
		t.Error(err)
	}
}
