package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/worker"
)

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		start, runs := time.Now(), 0
		worker.Every(ctx, 3*time.Second, func(context.Context) {
			if runs++; time.Since(start) != time.Duration(runs)*3*time.Second {
				t.Errorf("run %d after %v", runs, time.Since(start))
			}
		})
		if runs != 3 || time.Since(start) != 10*time.Second {
			t.Errorf("%d runs in %v", runs, time.Since(start))
		}
	})
}

// All that there is gets done, by no more than are wanted; after the end nothing is begun, and what is under way comes to its end.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left, busy, done atomic.Int32
		left.Store(10)
		next := func(ctx context.Context) bool {
			if left.Add(-1) < 0 {
				return false
			}
			if busy.Add(1) > 3 {
				t.Error("more at once than wanted")
			}
			time.Sleep(time.Second)
			busy.Add(-1)
			if ctx.Err() == nil {
				done.Add(1)
			}
			return true
		}
		start := time.Now()
		worker.Drain(t.Context(), 3, next)
		if done.Load() != 10 || time.Since(start) != 4*time.Second {
			t.Errorf("%d done in %v", done.Load(), time.Since(start))
		}
		left.Store(10)
		done.Store(0)
		ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer stop()
		worker.Drain(ctx, 3, next)
		if done.Load() != 6 || left.Load() != 4 {
			t.Errorf("%d done, %d left", done.Load(), left.Load())
		}
	})
}
