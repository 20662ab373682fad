// Package worker runs what a server does by itself, beside the requests it answers.
//
// It protects work that is under way: the end of a server ends the waiting, never the work.
package worker

import (
	"context"
	"sync"
	"time"
)

// Every runs do each d, the first time after d, until ctx ends. What is under way then comes to its end first, if do wants that: its context is ctx.
func Every(ctx context.Context, d time.Duration, do func(context.Context)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// Drain has up to so many goroutines call next until it says that there is nothing left to do, or ctx ends; then it waits for them. The context of next does not end with ctx.
func Drain(ctx context.Context, goroutines int, next func(context.Context) bool) {
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for ctx.Err() == nil && next(context.WithoutCancel(ctx)) {
			}
		})
	}
	all.Wait()
}
