package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
)

// MaybeSpent is the last error of a grant, and the reason of a session, that a crash cut off between sending a one-time credential and
// writing down what came of it.
const MaybeSpent = "maybe_spent"

// errDead: there is nothing to serve; a new consent is needed.
var errDead = errors.New("the grant is dead")

// refresh renews the access token of a grant. Concurrent callers share one refresh. The answer is the grant as it stands then: renewed, or found
// renewed by somebody else. errDead means that the user has to consent again; a Throttled fault, that the vendor may do it later; errUnderWay, that it
// takes long while the token at hand is still valid.
func (b *Broker) refresh(ctx context.Context, r request, g store.Grant) (store.Grant, error) {
	if valid(g) { // else the database may know better
		if err := backingOff(r.provider, g); err != nil {
			return g, err
		}
	}
	kind := "refresh "
	if need := r.need(); need > 0 {
		kind += need.String() + " "
	}
	return share(b, kind+g.Account+g.Key, patience(g), func() (store.Grant, error) {
		return b.refreshUnderLease(context.WithoutCancel(ctx), r.provider, g.Account, g.Key, r.enough, true)
	})
}

// refreshUnderLease refreshes a grant until it is as wanted; used: for somebody who is served then.
func (b *Broker) refreshUnderLease(ctx context.Context, p *vault.OAuth2Provider, account, key string, wanted func(store.Grant) bool, used bool) (store.Grant, error) {
	outcome := "error"
	defer func() { b.Metrics.Refresh.WithLabelValues(outcome).Inc() }()

	lease, g, err := b.refreshLease(ctx, p, account, key, wanted)
	switch {
	case errors.Is(err, errDead):
		outcome = "gone"
		return store.Grant{}, err
	case errors.Is(err, fault.ConcurrentModification):
		outcome = "busy"
		return store.Grant{}, &fault.Fault{Kind: fault.Throttled, Msg: "The token is being refreshed by another process: try again", RetryAfter: time.Second, Err: err}
	case errors.Is(err, errOpen):
		outcome = "open"
		b.failing(p, err)
		return store.Grant{}, vendorFault(p, err)
	case errors.Is(err, errBackingOff):
		outcome = "backing_off"
		return store.Grant{}, err
	case err != nil:
		return store.Grant{}, err
	case lease == nil:
		outcome = "already"
		return g, nil
	}
	defer lease.release()
	switch {
	case !g.IntentAt.IsZero() && !mayRetry(b.Resolver.Traits(p.Config), lease.TakenAt.Sub(g.IntentAt)):
		// A process died between sending the refresh token and writing the answer. What it has left is served to its end.
		outcome = MaybeSpent
		if valid(g) {
			return g, nil
		}
		return store.Grant{}, b.bury(ctx, g, MaybeSpent)
	}

	v, err := b.vendor(ctx, p)
	if err != nil {
		return store.Grant{}, err
	}
	token, err := b.Vault.RefreshToken(ctx, g)
	if err != nil {
		return store.Grant{}, err
	}
	e, err := b.endpoint(ctx, p, v, g.Workload, g)
	if err != nil {
		return store.Grant{}, err
	}
	narrowed, err := b.narrowed(ctx, v, g)
	if err != nil {
		return store.Grant{}, err
	}
	before := g
	if g, err = b.recordIntent(g, lease.TakenAt); err != nil {
		return store.Grant{}, err
	}
	call := func(ctx context.Context) (oauth.Token, error) {
		if !lease.held() { // this process slept over its turn: another one may have sent the token, or be about to
			return oauth.Token{}, &oauth.Error{Outcome: oauth.NotSent, RetryAfter: time.Second, Err: errOverslept}
		}
		return b.OAuth.Refresh(ctx, e, oauth.RefreshGrant{RefreshToken: token, Scopes: narrowed, ScopeSeparator: v.ScopeSeparator, Resources: v.Resources(g.Resources), Audiences: g.Audiences})
	}
	t, err := b.vendorCall(ctx, account, v.TokenEndpoint, v, "refresh_token", call)
	if next := b.reregistered(ctx, p, err); next != nil {
		p = next
		if e, err = b.endpoint(ctx, p, v, g.Workload, g); err == nil {
			t, err = b.vendorCall(ctx, account, v.TokenEndpoint, v, "refresh_token", call)
		}
	}
	if err != nil {
		b.failing(p, err)
		outcome, err = b.refreshFailed(ctx, lease, before, g, p, err)
		return store.Grant{}, errors.Join(err, b.refreshReceipt(ctx, g, audit.Abandoned, outcome))
	}
	if err := b.fill(ctx, &g, t, v.Lifetime, narrowed...); err != nil {
		return store.Grant{}, err
	}
	b.schedule(&g, p, used)
	renewed := g
	if g, err = b.commitRefresh(ctx, g, token); err != nil {
		if errors.Is(err, errDead) {
			b.revokeLost(p, renewed)
		}
		return store.Grant{}, err
	}
	outcome = "ok"
	how := "in the background"
	if used {
		how = "for a request"
	}
	return g, b.refreshReceipt(ctx, g, audit.Performed, how)
}

// mayRetry tells whether a refresh token that was sent so long ago, or was about to be, may be sent again without the vendor taking it for theft.
func mayRetry(v provider.Vendor, age time.Duration) bool {
	return v.RefreshTokenReusable || age+graceMargin < v.RefreshTokenGrace
}

// graceMargin is what a request may take to arrive.
const graceMargin = 2 * time.Second

// refreshToRevoke gets an access token for a vendor that revokes by nothing else. dead: there is no grant any more. What comes of it is written before it
// is used; a crash in between loses tokens that nobody else has.
func (b *Broker) refreshToRevoke(ctx context.Context, r *store.Revocation, v provider.Vendor, e oauth.Endpoint) (dead bool, _ error) {
	token, err := b.Vault.RefreshToken(ctx, r.Grant)
	if err != nil {
		return false, err
	}
	t, err := b.vendorCall(ctx, r.Grant.Account, v.TokenEndpoint, v, "refresh_token", func(ctx context.Context) (oauth.Token, error) {
		return b.OAuth.Refresh(ctx, e, oauth.RefreshGrant{RefreshToken: token, Resources: v.Resources(r.Grant.Resources), Audiences: r.Grant.Audiences})
	})
	if err != nil {
		failed, ok := errors.AsType[*oauth.Error](err)
		dead = ok && failed.Outcome == oauth.Refused && failed.Code == "invalid_grant"
		if dead {
			err = nil
		}
		return dead, err
	}
	if err := b.fill(ctx, &r.Grant, t, v.Lifetime); err != nil {
		return false, err
	}
	r.Version, err = b.Outbox.KeepRevocation(*r, revocationClaim)
	return false, err
}

// Another process that refreshes the grant is waited for, until its lease has ended if it died.
const (
	leaseWait = leaseTime + 5*time.Second
	leasePoll = 100 * time.Millisecond
)

// grantLease names the lease under which tokens of a grant are got from the vendor.
func grantLease(key string) string { return "grant/" + key }

// refreshLease takes the lease under which a grant is refreshed, and reads the grant as it stands then; no lease means that it is as wanted by now.
// Nothing is waited for or written while the vendor is known to be dead, or the grant is let alone.
func (b *Broker) refreshLease(ctx context.Context, p *vault.OAuth2Provider, account, key string, wanted func(store.Grant) bool) (*lease, store.Grant, error) {
	g, err := b.reloadForRefresh(ctx, account, key)
	if err != nil || wanted(g) {
		return nil, g, err
	}
	if err := backingOff(p, g); err != nil {
		return nil, g, err
	}
	if v, err := b.vendor(ctx, p); err == nil {
		if err := b.upstream.open(account, v.TokenEndpoint); err != nil {
			return nil, g, err
		}
	}
	for start := time.Now(); ; time.Sleep(leasePoll) {
		lease, err := b.lease(account, grantLease(key))
		if err != nil && (!errors.Is(err, fault.ConcurrentModification) || time.Since(start) > leaseWait) {
			return nil, g, err
		}
		g, reloadErr := b.reloadForRefresh(ctx, account, key) // another process may just have done it
		switch {
		case err == nil && (reloadErr != nil || wanted(g)):
			lease.release()
			return nil, g, reloadErr
		case err == nil:
			if err := backingOff(p, g); err != nil { // the other process came to nothing
				lease.release()
				return nil, g, err
			}
			return lease, g, nil
		case reloadErr != nil || wanted(g):
			return nil, g, reloadErr
		}
	}
}

// reloadForRefresh reads a grant as the database has it; errDead when there is nothing to refresh.
func (b *Broker) reloadForRefresh(ctx context.Context, account, key string) (store.Grant, error) {
	g, err := b.Vault.ReloadGrant(ctx, account, key)
	if errors.Is(err, fault.NotFound) || err == nil && (g.State != store.GrantActive || g.RefreshToken == nil) {
		return g, errDead
	}
	return g, err
}

// recordIntent proves that the store takes writes before a one-time token is spent, and tells the next process if this one dies. A write whose answer
// was lost is found again: nothing was sent yet, so it must not count as one that was. now is the database's time, since another replica may have to
// judge its age; a grace begins with the first try. If nobody is left to write what came of it, the grant is due for renewal as soon as the lease is over, since
// nobody may ask for it while the grace lasts.
func (b *Broker) recordIntent(g store.Grant, now time.Time) (store.Grant, error) {
	if g.IntentAt.IsZero() {
		g.IntentAt = now
	}
	g.RenewAt = time.Now().Add(leaseTime + renewalPoll)
	version, err := retryWrite(func() (int64, error) { return b.Writes.UpdateGrant(g) })
	if errors.Is(err, fault.ConcurrentModification) {
		current, reloadErr := b.Vault.ReloadGrant(context.Background(), g.Account, g.Key)
		if reloadErr == nil && current.IntentAt.Equal(g.IntentAt) && current.Version == g.Version+1 {
			return current, nil
		}
		return g, &fault.Fault{Kind: fault.Throttled, Msg: "The grant changed while it was to be refreshed: try again", RetryAfter: time.Second, Err: err}
	}
	g.Version = version
	return g, err
}

// commitRefresh writes what the vendor gave for the refresh token sent. That may be spent by now, so it tries more than once; when the row has changed
// meanwhile, a revocation or deletion won, and this answer is void (errDead), or another process renewed the grant. One that has still the token that was sent,
// even if it was given up as maybe spent, goes on from here: this is the answer that was missed.
func (b *Broker) commitRefresh(ctx context.Context, g store.Grant, sent secret.String) (store.Grant, error) {
	version, err := retryWrite(func() (int64, error) { return b.Writes.UpdateGrant(g) })
	if !errors.Is(err, fault.ConcurrentModification) {
		g.Version = version
		return g, err
	}
	current, reloadErr := b.Vault.ReloadGrant(ctx, g.Account, g.Key)
	switch {
	case errors.Is(reloadErr, fault.NotFound), reloadErr == nil && current.State == store.GrantRevoked:
		return store.Grant{}, errDead
	case reloadErr != nil:
		return store.Grant{}, reloadErr
	case string(current.AccessToken) == string(g.AccessToken): // an earlier try was written after all
		return current, nil
	case current.State != store.GrantActive && current.LastError != MaybeSpent:
		return store.Grant{}, errDead
	}
	if current.Version != g.Version && current.RefreshToken != nil {
		if token, err := b.Vault.RefreshToken(ctx, current); err == nil && token.Equal(sent) {
			g.Version = current.Version
			return b.commitRefresh(ctx, g, sent)
		}
	}
	switch {
	case current.State != store.GrantActive:
		return store.Grant{}, errDead
	case !valid(current): // another process was last, and that is long ago
		return store.Grant{}, &fault.Fault{Kind: fault.Throttled, Msg: "The grant changed while it was refreshed: try again", RetryAfter: time.Second, Err: err}
	}
	return current, nil // to revoke what we have might end at the vendor what another process got
}

// Tries and pauses of a write that must not be lost.
const (
	writeTries = 4
	writePause = 100 * time.Millisecond
)

// retryWrite repeats a compare-and-swap that failed for reasons of the store. After the first try, a lost swap may be our own write.
func retryWrite(write func() (int64, error)) (version int64, err error) {
	for try := range writeTries {
		if try > 0 {
			time.Sleep(writePause << try)
		}
		version, err = write()
		if err == nil || errors.Is(err, fault.ConcurrentModification) || errors.Is(err, fault.NotFound) {
			return version, err
		}
	}
	return 0, err
}

// refreshFailed settles a refresh that the vendor did not grant. Only invalid_grant is the end of a grant; all else keeps it. Who slept until its lease ended
// cannot say that nothing came of it, so the intent stays for the next one to judge; so does one that was there before.
func (b *Broker) refreshFailed(ctx context.Context, l *lease, before, g store.Grant, p *vault.OAuth2Provider, cause error) (outcome string, _ error) {
	e, ok := errors.AsType[*oauth.Error](cause)
	if ok && (e.Outcome == oauth.Unknown || e.Outcome == oauth.NotSent) && !l.held() {
		return string(e.Outcome), vendorFault(p, cause)
	}
	if ok && e.Outcome == oauth.Refused && e.Code == "invalid_grant" {
		return "invalid_grant", b.bury(ctx, g, e.Code)
	}
	g.IntentAt, g.RenewAt = before.IntentAt, before.RenewAt
	if !g.IntentAt.IsZero() {
		g.RenewAt = time.Now()
	}
	if ok {
		g.LastError = cmp.Or(e.Code, string(e.Outcome))
		if e.Silent {
			g.LastError = silentRefusal
		}
		postpone(&g, cause)
	}
	_, err := b.Writes.UpdateGrant(g)
	if errors.Is(err, fault.ConcurrentModification) && ok && e.Outcome != oauth.Unknown {
		err = b.settle(g.Account, g.Key)
	}
	if err != nil && !errors.Is(err, fault.ConcurrentModification) {
		return "error", fmt.Errorf("%w, and that could not be written: %w", cause, err)
	}
	switch {
	case !ok:
		return "error", cause
	case asksTheUser(g.LastError) && !valid(g): // silence may mean invalid_grant, in case it did not the grant lives until the answer
		return string(e.Outcome), errDead
	}
	return string(e.Outcome), vendorFault(p, cause)
}

// settle tells whoever revokes a grant that ended while its vendor was asked that this brought nothing.
func (b *Broker) settle(account, key string) error {
	_, err := retryWrite(func() (int64, error) { return 0, b.Writes.SettleRevocations(account, key) })
	return err
}

// bury marks a grant dead and answers errDead; a Throttled fault when it changed meanwhile and lives.
func (b *Broker) bury(ctx context.Context, g store.Grant, lastError string) error {
	g.State, g.LastError, g.IntentAt, g.RenewAt = store.GrantDead, lastError, time.Time{}, time.Time{}
	_, err := b.Writes.UpdateGrant(g)
	if errors.Is(err, fault.ConcurrentModification) {
		if lastError != MaybeSpent {
			err = b.settle(g.Account, g.Key)
		}
		if now, reloadErr := b.reloadForRefresh(ctx, g.Account, g.Key); reloadErr == nil && now.Version != g.Version {
			return &fault.Fault{Kind: fault.Throttled, Msg: "The grant changed while it was refreshed: try again", RetryAfter: time.Second, Err: err}
		}
	}
	if err != nil && !errors.Is(err, fault.ConcurrentModification) {
		return err
	}
	b.Log.WarnContext(ctx, "grant needs a new consent", "account", g.Account, "workload", g.Workload, "provider", g.Provider, "error", lastError)
	return errDead
}
