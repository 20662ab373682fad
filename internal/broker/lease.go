package broker

import (
	"errors"
	"sync"
	"time"

	"credence/internal/store"
)

// errOverslept is in the chain of a refusal that was not sent because the process was stopped until its lease had ended.
var errOverslept = errors.New("the process was stopped, and its turn is over")

// lease is one that this process renews while it is awake. A process that is dead or asleep renews nothing.
type lease struct {
	store.Lease
	release func() // gives it back, once

	mu    sync.Mutex
	since time.Time // it was held for leaseTime from here on, by this process's monotonic clock
}

// lease takes a lease, and renews it until it is released; fault.ConcurrentModification when somebody else holds it.
func (b *Broker) lease(account, name string) (*lease, error) {
	l := &lease{since: time.Now()}
	var err error
	if l.Lease, err = b.Leases.AcquireLease(account, name, leaseTime); err != nil {
		return nil, err
	}
	released := make(chan struct{})
	b.flying.Go(func() {
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		for {
			select {
			case <-released:
				return
			case <-tick.C:
				l.renew(b)
			}
		}
	})
	l.release = sync.OnceFunc(func() {
		close(released)
		b.release(l.Lease)
	})
	return l, nil
}

func (l *lease) renew(b *Broker) {
	at := time.Now()
	if err := b.Leases.RenewLease(l.Lease, leaseTime); err != nil {
		b.Log.Warn("a lease was not renewed", "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = at
}

// held tells whether nobody else can have had the lease so far, nor will for a moment.
func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.since) < leaseTime-graceMargin
}

// release gives a lease back early. If that fails, its time will be up soon.
func (b *Broker) release(l store.Lease) {
	if err := b.Leases.ReleaseLease(l); err != nil {
		b.Log.Warn("a lease was not released", "error", err)
	}
}
