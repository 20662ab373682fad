package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/worker"
)

// Renewals say which grants are to be refreshed without being asked for. A claim is a lease: nobody else gets the same grant until its time is up, and what a
// process that dies has claimed is due again then.
type Renewals interface {
	DueRenewals(ctx context.Context) (int, error)
	ClaimRenewals(d time.Duration, each int, without []string) ([]store.Grant, error)
	PostponeRenewal(g store.Grant, d time.Duration) error
}

const (
	renewalPoll  = time.Second     // between looks at what is due, and between writes of what was used
	renewalClaim = 2 * time.Minute // longer than all calls for the grants of one claim
	renewalEach  = 32              // grants of one provider that a replica claims at a time
	renewalCalls = 8               // to one vendor at a time, of maxCalls; the others are for those who wait
	useWritten   = time.Hour       // the last use of a grant is known so exactly
	mostUses     = 10_000          // remembered until they are written
)

// schedule writes into a grant that was just renewed when that is due again unasked: before its token ends if it is in use, and before the vendor forgets its
// refresh token for idleness.
func (b *Broker) schedule(g *store.Grant, p *vault.OAuth2Provider, used bool) {
	g.RenewAt = time.Time{}
	if g.RefreshToken == nil {
		return
	}
	if idle := b.Resolver.Traits(p.Config).RefreshTokenIdle; idle > 0 {
		g.RenewAt = time.Now().Add(idle/2 + upTo(idle/4))
	}
	if !used {
		return
	}
	g.UsedAt = time.Now()
	if due := renewalOf(*g, p.Config); !due.IsZero() && (g.RenewAt.IsZero() || due.Before(g.RenewAt)) {
		g.RenewAt = due
	}
}

// renewalOf is when a grant that is in use is to be renewed, before anybody would have to wait for that; zero when its token does not end.
func renewalOf(g store.Grant, c provider.Config) time.Time {
	if g.RefreshToken == nil || g.ExpiresAt.IsZero() {
		return time.Time{}
	}
	need := margin(g)
	if wanted := time.Duration(c.MinimumValiditySeconds) * time.Second; possible(g, wanted) {
		need = max(need, wanted)
	}
	early := min(margin(g), (life(g)-need)/2)
	return g.ExpiresAt.Add(-need - early/2 - upTo(early/2))
}

// uses are grants that were served and are not yet marked so.
type uses struct {
	mu      sync.Mutex
	pending map[[2]string]store.Use // by account and key
}

// used remembers that somebody was served from a grant; it costs a write once in a token's life, and once an hour.
func (b *Broker) used(g store.Grant, p *vault.OAuth2Provider) {
	if !g.UsedAt.Before(g.ObtainedAt) && time.Since(g.UsedAt) < useWritten {
		return
	}
	b.uses.mu.Lock()
	defer b.uses.mu.Unlock()
	id := [2]string{g.Account, g.Key}
	if u, ok := b.uses.pending[id]; ok && u.Version == g.Version || len(b.uses.pending) >= mostUses {
		return
	}
	if b.uses.pending == nil {
		b.uses.pending = map[[2]string]store.Use{}
	}
	b.uses.pending[id] = store.Use{Account: g.Account, Key: g.Key, Version: g.Version, RenewAt: renewalOf(g, p.Config)}
}

// RecordUses writes down which grants are in use, until ctx ends. One that is not written is renewed when it is asked for.
func (b *Broker) RecordUses(ctx context.Context) {
	worker.Every(ctx, renewalPoll, func(context.Context) { b.recordUses() })
	b.recordUses()
}

func (b *Broker) recordUses() {
	b.uses.mu.Lock()
	pending := b.uses.pending
	b.uses.pending = nil
	b.uses.mu.Unlock()
	const atOnce = 100
	var batch []store.Use
	write := func() {
		if err := b.Vault.MarkUsed(batch); err != nil {
			b.Log.Warn("the use of grants was not written", "grants", len(batch), "cause", err.Error())
		}
		batch = batch[:0]
	}
	for _, u := range pending {
		if batch = append(batch, u); len(batch) == atOnce {
			write()
		}
	}
	if len(batch) > 0 {
		write()
	}
}

// RenewGrants refreshes what is due without being asked for, until ctx ends; what is under way then comes to its end. A freeze does not stop it: nobody is
// handed anything, and the grant is there when the freeze is over.
func (b *Broker) RenewGrants(ctx context.Context) {
	r := &renewer{Broker: b, busy: map[string]bool{}, turns: map[string]chan struct{}{}}
	defer r.running.Wait()
	worker.Every(ctx, renewalPoll, r.look)
}

type renewer struct {
	*Broker
	running sync.WaitGroup
	mu      sync.Mutex
	busy    map[string]bool          // providers, by incarnation, whose claimed grants are not done yet
	turns   map[string]chan struct{} // by vendor
}

func (r *renewer) look(ctx context.Context) {
	due, err := r.Renewals.DueRenewals(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Error("the grants that are to be renewed cannot be read", "cause", err.Error())
		}
		return
	}
	r.Metrics.RenewalsDue.Set(float64(due))
	if due == 0 {
		return
	}
	r.mu.Lock()
	var without []string
	for provider := range r.busy {
		without = append(without, provider)
	}
	r.mu.Unlock()
	claimed, err := r.Renewals.ClaimRenewals(renewalClaim, renewalEach, without)
	if err != nil {
		r.Log.Error("grants that are to be renewed cannot be claimed", "cause", err.Error())
		return
	}
	byProvider := map[string][]store.Grant{}
	for _, g := range claimed {
		byProvider[g.ProviderIncarnation] = append(byProvider[g.ProviderIncarnation], g)
	}
	for incarnation, grants := range byProvider {
		r.mu.Lock()
		r.busy[incarnation] = true
		r.mu.Unlock()
		r.running.Go(func() {
			defer func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				delete(r.busy, incarnation)
			}()
			r.renewAll(ctx, grants)
		})
	}
}

// renewAll renews grants of one provider, a few at a time.
func (r *renewer) renewAll(ctx context.Context, grants []store.Grant) {
	p, err := r.Vault.OAuth2Provider(ctx, grants[0].Account, grants[0].Provider)
	if err != nil || p.Row.Incarnation != grants[0].ProviderIncarnation { // deleted just now, and the grants with it; else they are due again
		return
	}
	turns := r.turnsOf(hostOf(r.Resolver.Located(p.Config).TokenEndpoint + p.Config.DiscoveryURL))
	var all sync.WaitGroup
	defer all.Wait()
	for _, g := range grants {
		if g.Generation != p.Row.Generation {
			continue
		}
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
		all.Go(func() {
			defer func() { <-turns }()
			r.Metrics.Renewals.WithLabelValues(r.renew(ctx, p, g)).Inc()
		})
	}
}

func (r *renewer) turnsOf(vendor string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turns[vendor] == nil {
		r.turns[vendor] = make(chan struct{}, renewalCalls)
	}
	return r.turns[vendor]
}

// renew renews a claimed grant, unless somebody has done so since.
func (r *renewer) renew(ctx context.Context, p *vault.OAuth2Provider, g store.Grant) (outcome string) {
	another := func(now store.Grant) bool { return string(now.AccessToken) != string(g.AccessToken) }
	_, err := share(r.Broker, "refresh "+g.Account+g.Key, 0, func() (store.Grant, error) {
		return r.refreshUnderLease(context.WithoutCancel(ctx), p, g.Account, g.Key, another, false)
	})
	if err == nil {
		return "ok"
	}
	if errors.Is(err, errDead) {
		return "dead"
	}
	// What came to nothing at the vendor has been put off; what did not get there is tried again, the sooner the sooner it may go well.
	if f, ok := errors.AsType[*fault.Fault](err); ok && f.RetryAfter > 0 {
		if err := r.Renewals.PostponeRenewal(g, f.RetryAfter+upTo(max(f.RetryAfter/2, renewalPoll))); err != nil {
			r.Log.Warn("a renewal was not put off", "cause", err.Error()) // its claim ends by itself
		}
	}
	return "failed"
}
