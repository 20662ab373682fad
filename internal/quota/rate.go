package quota

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Rate bounds how often each account calls one operation: so many a second, and as many at once after a quiet second. Each process counts for itself. It keeps a
// few words for each account that has called, so it must only be asked about accounts that exist. A nil Rate bounds nothing.
type Rate struct {
	limits *Limits
	name   string

	mu       sync.Mutex // of those who add an account
	accounts atomic.Pointer[map[string]*rate.Limiter]
}

// Rate is the bound of an operation; nil when it has none for anybody.
func (l *Limits) Rate(operation string) *Rate {
	name := RatePrefix + operation
	if !l.anyAccount(name) {
		return nil
	}
	r := &Rate{limits: l, name: name}
	r.accounts.Store(&map[string]*rate.Limiter{})
	return r
}

// Take counts one call of an account. It answers 0 when the call may go on, else how long to wait before the next one may; limit is how many a second the account
// may have.
func (r *Rate) Take(account string) (wait time.Duration, limit int) {
	if r == nil {
		return 0, 0
	}
	limiter, ok := (*r.accounts.Load())[account]
	if !ok {
		limiter = r.add(account)
	}
	if limiter == nil {
		return 0, 0
	}
	now := time.Now()
	if limiter.AllowN(now, 1) {
		return 0, 0
	}
	limit = limiter.Burst()
	missing := 1 - limiter.TokensAt(now)
	return max(time.Duration(missing/float64(limit)*float64(time.Second)), time.Millisecond), limit
}

// add makes the limiter of an account, nil for one that is not bounded. Accounts are few and come once, so readers get a copy that nobody writes to.
func (r *Rate) add(account string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	current := *r.accounts.Load()
	if limiter, ok := current[account]; ok {
		return limiter
	}
	var limiter *rate.Limiter
	if n := r.limits.Of(account, r.name); n > 0 {
		limiter = rate.NewLimiter(rate.Limit(n), n)
	}
	next := maps.Clone(current)
	next[account] = limiter
	r.accounts.Store(&next)
	return limiter
}
