package broker

import (
	"errors"
	"fmt"
	"time"

	"credence/internal/store"
)

// errUnderWay: a shared call goes on, but a caller has something else to serve.
var errUnderWay = errors.New("still under way")

// share runs fn once for all concurrent callers of the same key. It runs to its end whoever leaves, since a vendor that has begun to rotate a token must
// not be left alone; Wait waits for it. A caller waits too, or, with patience, only for so long.
func share[T any](b *Broker, key string, patience time.Duration, fn func() (T, error)) (T, error) {
	done := b.flights.DoChan(key, func() (v any, err error) {
		b.flying.Add(1)
		defer b.flying.Done()
		defer func() {
			if r := recover(); r != nil { // it would end the process, as nobody could catch it
				err = fmt.Errorf("panic of type %T in a shared call", r)
			}
		}()
		return fn()
	})
	var out <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		out = timer.C
	}
	var none T
	select {
	case r := <-done:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	case <-out:
		return none, errUnderWay
	}
}

// patience is how long a caller waits for the renewal of a token that is still valid, before it is served once more.
func patience(g store.Grant) time.Duration {
	if !valid(g) {
		return 0
	}
	return min(5*time.Second, time.Until(g.ExpiresAt)/2)
}

// Wait returns when all shared calls have come to their end. Nothing may be asked of the broker by then.
func (b *Broker) Wait() { b.flying.Wait() }
