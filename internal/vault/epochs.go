package vault

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"credence/internal/worker"
)

// Replicas share nothing but the database: what one of them deletes, revokes or changes, the others learn from the account's epoch row.
const (
	epochPoll = 300 * time.Millisecond
	// A replica that could not look for so long serves nothing from its caches: it may be cut off, or was asleep.
	epochLife = time.Second
)

// epochs count the changes that other replicas made. The zero value is of an installation without other replicas.
type epochs struct {
	followed bool
	start    time.Time    // clocks that are set do not move the distance to it
	looked   atomic.Int64 // nanoseconds from start to the beginning of the last look that succeeded
	all      atomic.Uint64
	accounts sync.Map // account → *atomic.Uint64
	known    map[string]int64
	vanished func(account string) // is told of accounts that are no more
}

// live tells whether what the caches hold may be used.
func (e *epochs) live() bool {
	return !e.followed || time.Since(e.start)-time.Duration(e.looked.Load()) <= epochLife
}

// of is the count for an account; for no account, that for all of them.
func (e *epochs) of(account string) *atomic.Uint64 {
	if account == "" {
		return &e.all
	}
	if n, ok := e.accounts.Load(account); ok {
		return n.(*atomic.Uint64)
	}
	n, _ := e.accounts.LoadOrStore(account, new(atomic.Uint64))
	return n.(*atomic.Uint64)
}

// look reads the epochs and counts those that moved.
func (e *epochs) look(ctx context.Context, read func(context.Context) (map[string]int64, error)) error {
	began := time.Since(e.start)
	ctx, cancel := context.WithTimeout(ctx, epochLife)
	defer cancel()
	now, err := read(ctx)
	if err != nil {
		return err
	}
	for account, epoch := range now {
		if e.known[account] != epoch {
			e.of(account).Add(1)
			e.all.Add(1)
		}
	}
	for account := range e.known {
		if _, there := now[account]; !there {
			if e.vanished != nil {
				e.vanished(account)
			}
			e.of(account).Add(1)
			e.all.Add(1)
		}
	}
	e.known = now
	e.looked.Store(int64(began))
	return nil
}

// Follow keeps the caches in step with other replicas until ctx ends. A vault of Config.Replicas serves nothing from its caches without it.
func (v *Vault) Follow(ctx context.Context) {
	look := func(ctx context.Context) {
		outcome := v.looked
		if err := v.epochs.look(ctx, v.store.Epochs); err != nil {
			outcome = v.missed
		}
		outcome.Inc()
	}
	look(ctx)
	worker.Every(ctx, epochPoll, look)
}

// TellReplicas has all replicas forget what they remember of an account.
func (v *Vault) TellReplicas(account string) error { return v.store.BumpEpoch(account) }
