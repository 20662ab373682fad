package egress

import (
	"context"
	"time"
)

// beats are the parts of a deadline.
const beats = 20

// WithTimeout is context.WithTimeoutCause by the time in which this process runs: one that was stopped meanwhile, as a paused machine is, still finds the
// answer that came in its sleep, where a deadline that has passed would have it taken for lost.
func WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(d / beats) // which drops the ticks that nobody was there to take
		defer tick.Stop()
		for range beats {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		cancel(cause)
	}()
	return ctx, func() { cancel(context.Canceled) }
}
