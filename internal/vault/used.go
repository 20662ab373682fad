package vault

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/worker"
)

const (
	// A key's use is written at most so often.
	useInterval = time.Minute
	usePoll     = 10 * time.Second
	usesAtOnce  = 500
)

// keyUses are the uses of access keys that have still to be written. No request waits for that.
type keyUses struct {
	mu      sync.Mutex
	written map[string]time.Time // by access key: the use that was written last, here
	pending map[string]store.KeyUse
}

// Used notes that a request of c for a service was verified. Sessions have no row that could tell.
func (v *Vault) Used(c iam.Caller, service string) {
	if c.Session != nil {
		return
	}
	now := time.Now()
	u := &v.uses
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.written[c.AccessKeyID]) < useInterval {
		return
	}
	if u.pending == nil {
		u.pending = map[string]store.KeyUse{}
	}
	u.pending[c.AccessKeyID] = store.KeyUse{ID: c.AccessKeyID, At: now, Service: service}
}

// RecordKeyUses writes down when access keys were used, until ctx ends. What cannot be written is forgotten: the key's next use is.
func (v *Vault) RecordKeyUses(ctx context.Context, log *slog.Logger) {
	record := func(context.Context) {
		if err := v.recordKeyUses(); err != nil {
			log.Warn("the last use of access keys is not written", "cause", err.Error())
		}
	}
	worker.Every(ctx, usePoll, record)
	record(ctx)
}

func (v *Vault) recordKeyUses() error {
	u := &v.uses
	u.mu.Lock()
	now := time.Now()
	kept := map[string]time.Time{} // those that keep a use from being written again
	for id, at := range u.written {
		if now.Sub(at) < useInterval {
			kept[id] = at
		}
	}
	u.written = kept
	batch := make([]store.KeyUse, 0, len(u.pending))
	for id, use := range u.pending {
		if len(batch) == usesAtOnce {
			break
		}
		batch = append(batch, use)
		delete(u.pending, id)
		u.written[id] = use.At
	}
	u.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	return v.store.MarkKeysUsed(batch)
}
