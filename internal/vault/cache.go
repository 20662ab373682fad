package vault

import (
	"context"
	"hash/maphash"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"credence/internal/telemetry"
)

// cache keeps rows, sealed as they are. A read that begins after forget returned never gets a row that was loaded before, not even from a
// load that was under way: each entry remembers how many writes its load had seen, and counts only while there were no more.
type cache[T any] struct {
	rows      *otter.Cache[string, entry[T]]
	seed      maphash.Seed
	writes    [stripes]atomic.Uint64 // a write counts for all keys of its stripe
	epochs    *epochs
	shared    bool // keys do not begin with their account
	hit, miss interface{ Inc() }
}

type entry[T any] struct {
	row    T
	writes uint64
	epoch  uint64 // how many changes of other replicas the load had seen
}

// With so many stripes a hundred writes a second make an entry that nobody wrote load again every few minutes.
const stripes = 1 << 14

func newCache[T any](m *telemetry.Metrics, e *epochs, name string, size int, weight func(T) uint32) *cache[T] {
	opts := &otter.Options[string, entry[T]]{MaximumSize: size}
	if weight != nil {
		opts = &otter.Options[string, entry[T]]{MaximumWeight: uint64(size), Weigher: func(_ string, e entry[T]) uint32 { return weight(e.row) }}
	}
	return &cache[T]{
		rows: otter.Must(opts), seed: maphash.MakeSeed(), epochs: e,
		hit: m.Cache.WithLabelValues(name, "hit"), miss: m.Cache.WithLabelValues(name, "miss"),
	}
}

func (c *cache[T]) stripe(key string) *atomic.Uint64 {
	return &c.writes[maphash.String(c.seed, key)%stripes]
}

func (c *cache[T]) account(key string) string {
	if c.shared {
		return ""
	}
	return accountOf(key)
}

// get finds the row of a key, or loads it. Nobody waits for the load of another, which may have begun before a write.
func (c *cache[T]) get(ctx context.Context, key string, load func(context.Context) (T, error)) (T, error) {
	if !c.epochs.live() {
		c.miss.Inc()
		return load(ctx)
	}
	writes, epoch := c.stripe(key).Load(), c.epochs.of(c.account(key)).Load()
	if e, ok := c.rows.GetIfPresent(key); ok && e.writes == writes && e.epoch == epoch {
		c.hit.Inc()
		return e.row, nil
	}
	c.miss.Inc()
	row, err := load(ctx)
	if err == nil {
		c.rows.Set(key, entry[T]{row, writes, epoch})
	}
	return row, err
}

// forget follows every write of the key's row, whether it succeeded or not.
func (c *cache[T]) forget(key string) {
	c.stripe(key).Add(1)
	c.rows.Invalidate(key)
}

// forgetAll follows a write of rows whose keys are not known.
func (c *cache[T]) forgetAll() {
	for i := range c.writes {
		c.writes[i].Add(1)
	}
	c.rows.InvalidateAll()
}
