package quota

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Addresses bounds how often whoever has signed nothing calls one operation, by source address: so many a second, and as many at once. An IPv6 address counts as its /64,
// of which a host has all. It keeps a bounded number of addresses. Nil Addresses bound nothing.
type Addresses struct {
	perSecond int

	mu       sync.Mutex
	now, old map[netip.Prefix]*rate.Limiter
}

// maxAddresses of each of the two generations.
const maxAddresses = 1 << 14

// Addresses is the bound of an operation by address; nil when it has none.
func (l *Limits) Addresses(operation string) *Addresses {
	n := l.Of("", RatePrefix+operation)
	if n == 0 {
		return nil
	}
	return &Addresses{perSecond: n, now: map[netip.Prefix]*rate.Limiter{}}
}

// Take counts one call from an address. It answers 0 when the call may go on, else how long to wait before the next one may.
func (a *Addresses) Take(from netip.Addr) time.Duration {
	if a == nil {
		return 0
	}
	bits := 32
	if from.Is6() {
		bits = 64
	}
	p, _ := from.Prefix(bits) // the zero address, which nobody has, is one for all
	a.mu.Lock()
	defer a.mu.Unlock()
	limiter, ok := a.now[p]
	if !ok {
		if limiter, ok = a.old[p]; !ok {
			limiter = rate.NewLimiter(rate.Limit(a.perSecond), a.perSecond)
		}
		if len(a.now) >= maxAddresses {
			a.old, a.now = a.now, map[netip.Prefix]*rate.Limiter{}
		}
		a.now[p] = limiter
	}
	now := time.Now()
	if limiter.AllowN(now, 1) {
		return 0
	}
	return max(time.Duration((1-limiter.TokensAt(now))/float64(a.perSecond)*float64(time.Second)), time.Millisecond)
}
