package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/worker"
)

// Outbox is where revocations wait until vendors have been told. A claim is a lease: nobody else gets the same one until its time is up.
type Outbox interface {
	PendingRevocations(ctx context.Context) (pending, due int, err error)
	ClaimRevocation(d time.Duration) (store.Revocation, error)
	KeepRevocation(r store.Revocation, d time.Duration) (version int64, err error)
	FinishRevocation(store.Revocation) error
	Unsettled(ctx context.Context, r store.Revocation) (bool, error)
	Untold(ctx context.Context, r store.Revocation) (int, error)
	LastRevocation(ctx context.Context, account, grantKey string) (store.Revocation, error)
	TellProviderFailing(account, provider, reason string) error
	InUse(ctx context.Context, account, providerIncarnation, generation, userKey string, anybody bool) (bool, error)
}

const (
	revocationPoll    = time.Second     // between looks at the outbox
	revocationClaim   = 2 * time.Minute // longer than a discovery, a refresh and two revocations
	revocationWorkers = 4               // vendors that are told at the same time
	othersDelay       = time.Second     // between looks at what else there is of the same grant
	firstDelay        = 30 * time.Second
	maxDelay          = 6 * time.Hour
	// A vendor that says no is asked again for a day, since a client secret may be put right; one that does not answer, for a week.
	maxRefused = 24 * time.Hour
	maxAge     = 7 * 24 * time.Hour
)

// revokeLost puts tokens that a vendor has just given, and that nobody can have any more, into the outbox. When that fails, they are lost to us, too; the
// log says so.
func (b *Broker) revokeLost(p *vault.OAuth2Provider, g store.Grant) {
	r := unowned(p, g, store.CauseLost)
	_, err := retryWrite(func() (int64, error) { return 0, b.Writes.InsertRevocation(r) })
	if err != nil {
		b.Log.Error("tokens of a deleted grant cannot be revoked", "account", g.Account, "workload", g.Workload, "provider", g.Provider, "cause", err.Error())
	}
}

// unowned is the revocation of tokens that no grant has.
func unowned(p *vault.OAuth2Provider, g store.Grant, cause store.RevocationCause) store.Revocation {
	return store.Revocation{ID: rand.Text() + "/" + g.Key, Cause: cause, Grant: g, Vendor: p.Row.Vendor, Config: p.Row.Config, ClientSecret: p.Row.ClientSecret,
		ClientSecretAt: p.Row.ClientSecretAt, AssertionKey: p.Row.AssertionKey, AssertionClaims: p.Row.AssertionClaims}
}

// RevokeTokens tells vendors of the grants that are over, until ctx ends; what is under way then comes to its end.
func (b *Broker) RevokeTokens(ctx context.Context) {
	worker.Every(ctx, revocationPoll, b.revokeDue)
}

func (b *Broker) revokeDue(ctx context.Context) {
	pending, due, err := b.Outbox.PendingRevocations(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.Log.Error("the outbox of revocations cannot be read", "cause", err.Error())
		}
		return
	}
	b.Metrics.RevocationsPending.Set(float64(pending))
	worker.Drain(ctx, min(due, revocationWorkers), b.revokeNext)
}

// revokeNext takes one revocation that is due as far as it goes now; it is false when there is none.
func (b *Broker) revokeNext(ctx context.Context) bool {
	r, err := b.Outbox.ClaimRevocation(revocationClaim)
	if err != nil {
		if !errors.Is(err, fault.NotFound) {
			b.Log.Error("a revocation cannot be claimed", "cause", err.Error())
		}
		return false
	}
	if r.Outcome != "" {
		b.finishRevocation(ctx, r)
		return true
	}
	settled, err := b.settled(ctx, &r)
	if err == nil && !settled {
		b.waitForOthers(r)
		return true
	}
	var state store.RevocationState
	var answer string
	if err == nil {
		state, answer, err = b.revoke(ctx, &r)
	}
	if err != nil {
		answer = err.Error()
		if age := time.Since(r.CreatedAt); age < maxRefused || age < maxAge && !isRefused(err) {
			r.LastError = answer
			if _, err := b.Outbox.KeepRevocation(r, delay(r.Attempts, err)); err != nil && !errors.Is(err, fault.ConcurrentModification) {
				b.Log.Error("a revocation cannot be written", "cause", err.Error()) // its claim ends by itself
			}
			b.Metrics.Revocations.WithLabelValues(r.Vendor, "retried").Inc()
			return true
		}
		state = store.RevocationAbandoned
	}
	if state == store.RevocationDone && !r.Grant.IntentAt.IsZero() {
		state, answer = store.RevocationUnconfirmed, answer+"; an answer of the vendor was lost before, so it may have given tokens that nobody has"
	}
	r.Outcome, r.LastError = state, answer
	b.finishRevocation(ctx, r)
	return true
}

// settled tells whether all is known, or lost, that a vendor may have given for the grant of r. A refresh or exchange that was under way when the grant ended
// holds its lease until it has said what it brought; one that died with its process leaves the lease to time and the question open.
func (b *Broker) settled(ctx context.Context, r *store.Revocation) (bool, error) {
	if r.Grant.IntentAt.IsZero() {
		return true, nil
	}
	lease, err := b.Leases.AcquireLease(r.Grant.Account, grantLease(r.Grant.Key), leaseTime)
	if errors.Is(err, fault.ConcurrentModification) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer b.release(lease)
	open, err := b.Outbox.Unsettled(ctx, *r)
	r.Grant.IntentAt = time.Time{}
	if open {
		r.Grant.IntentAt = store.AnswerLost
	}
	return true, err
}

// waitForOthers keeps a revocation for a moment; that is no attempt.
func (b *Broker) waitForOthers(r store.Revocation) {
	r.Attempts--
	if _, err := b.Outbox.KeepRevocation(r, othersDelay); err != nil && !errors.Is(err, fault.ConcurrentModification) {
		b.Log.Error("a revocation cannot be written", "cause", err.Error()) // its claim ends by itself
	}
}

// finishRevocation ends a revocation whose vendor was told, once that is so of all those of its grant: a receipt says that nothing of it is left.
func (b *Broker) finishRevocation(ctx context.Context, r store.Revocation) {
	untold, err := b.Outbox.Untold(ctx, r)
	if err != nil {
		b.Log.Error("the outbox of revocations cannot be read", "cause", err.Error())
		return
	}
	if untold > 0 {
		b.waitForOthers(r)
		return
	}
	// The receipt comes first: one too many says the same twice, one too few would leave nothing of what was done.
	if err := b.receipt(ctx, r, r.Outcome, r.LastError); err != nil {
		b.Log.Error("a revocation cannot be recorded, so it is not finished", "cause", err.Error())
		return
	}
	r.State = r.Outcome
	if err := b.Outbox.FinishRevocation(r); err != nil && !errors.Is(err, fault.ConcurrentModification) {
		b.Log.Error("a revocation cannot be written", "cause", err.Error())
	}
	b.Metrics.Revocations.WithLabelValues(r.Vendor, string(r.Outcome)).Inc()
}

// revoke tells the vendor. An error means that it is to be tried again.
func (b *Broker) revoke(ctx context.Context, r *store.Revocation) (state store.RevocationState, answer string, _ error) {
	p, err := b.Vault.RevokedProvider(ctx, *r)
	if err != nil {
		return "", "", err
	}
	v, err := b.vendor(ctx, p)
	if err != nil {
		return "", "", err
	}
	if v.Revocation.Endpoint == "" {
		return store.RevocationUnsupported, "the vendor has no revocation endpoint", nil
	}
	// Whose tokens a device authorization brought that nobody has completed is not known: they may be a stranger's.
	if inUse, err := b.inUse(ctx, r.Grant, p, v.Revocation.Reach); err != nil {
		return "", "", err
	} else if inUse && r.Cause != store.CauseNotCompleted {
		return store.RevocationKept, "not sent: the vendor might end another grant, which is in use, with it", nil
	}
	if v.Revocation.Token == oauth.AccessToken && r.Grant.RefreshToken != nil && !valid(r.Grant) {
		e, err := b.endpoint(ctx, p, v, r.Grant.Workload, r.Grant)
		if err != nil {
			return "", "", err
		}
		if dead, err := b.refreshToRevoke(ctx, r, v, e); dead || err != nil {
			return store.RevocationDone, "the refresh token was not alive any more", err
		}
	}
	to := oauth.Revocation{
		URL: v.Revocation.Endpoint, Header: v.Header, Method: v.Revocation.Method, Parameter: v.Revocation.Parameter,
		NoHint: v.Revocation.NoHint, JSON: v.Revocation.JSON, GoneStatus: v.Revocation.GoneStatus,
	}
	for _, t := range []struct {
		kind  oauth.TokenKind
		alive bool
		open  func(context.Context, store.Grant) (secret.String, error)
	}{
		{oauth.RefreshToken, r.Grant.RefreshToken != nil, b.Vault.RefreshToken},
		{oauth.AccessToken, r.Grant.AccessToken != nil && valid(r.Grant), b.Vault.AccessToken},
	} {
		if !t.alive || v.Revocation.Token != "" && v.Revocation.Token != t.kind {
			continue
		}
		token, err := t.open(ctx, r.Grant)
		if err != nil {
			return "", "", err
		}
		if to.Auth, err = b.revocationAuth(ctx, p, v, r.Grant.Workload); err != nil { // an assertion is used once
			return "", "", err
		}
		if v.Revocation.Auth != "" {
			to.Auth.Method = v.Revocation.Auth
		}
		said, err := b.revokeToken(ctx, r.Grant.Account, v, to, t.kind, token)
		if e, ok := errors.AsType[*oauth.Error](err); ok && e.Outcome == oauth.Refused && e.Code == "unsupported_token_type" {
			continue // RFC 7009 section 2.2.1
		}
		if err != nil {
			return "", "", err
		}
		if answer != "" {
			answer += ", "
		}
		answer += string(t.kind) + ": " + said
	}
	if answer == "" {
		return store.RevocationUnsupported, "the vendor cannot revoke the tokens that there are", nil
	}
	return store.RevocationDone, answer, nil
}

// revocationAuth is clientAuth; a secret that is kept elsewhere may be gone by now, and some vendors do without.
func (b *Broker) revocationAuth(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor, workload string) (oauth.ClientAuth, error) {
	auth, err := b.clientAuth(ctx, p, v, workload, v.Revocation.Endpoint)
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.AccessDenied) {
		return oauth.ClientAuth{Method: v.AuthMethod, ID: p.Config.ClientID}, nil
	}
	return auth, err
}

// revokeToken is one call to a revocation endpoint, with its own deadline and metric.
func (b *Broker) revokeToken(ctx context.Context, account string, v provider.Vendor, to oauth.Revocation, kind oauth.TokenKind, token secret.String) (answer string, _ error) {
	_, err := b.vendorCall(ctx, account, to.URL, v, "revocation", func(ctx context.Context) (_ oauth.Token, err error) {
		answer, err = b.OAuth.Revoke(ctx, to, kind, token)
		return oauth.Token{}, err
	})
	return answer, err
}

// inUse reports whether a revocation could end a grant that is in use. It is asked right before each attempt: the user may have consented anew meanwhile.
func (b *Broker) inUse(ctx context.Context, g store.Grant, p *vault.OAuth2Provider, reach provider.Reach) (bool, error) {
	if reach == provider.ReachGrant {
		return false, nil
	}
	page := store.Page{Limit: 100}
	for more := true; more; {
		var all []*vault.OAuth2Provider
		var err error
		if all, more, err = b.Vault.OAuth2Providers(ctx, g.Account, page); err != nil {
			return false, err
		}
		for _, other := range all {
			page.After = other.Row.Name
			if !other.Config.SameClient(p.Config) {
				continue
			}
			if used, err := b.Outbox.InUse(ctx, g.Account, other.Row.Incarnation, other.Row.Generation, g.UserKey, reach == provider.ReachClient); used || err != nil {
				return used, err
			}
		}
	}
	return false, nil
}

// receipt is what the audit log says of a revocation that came to its end.
func (b *Broker) receipt(ctx context.Context, r store.Revocation, state store.RevocationState, answer string) error {
	outcome := audit.Performed
	if state == store.RevocationAbandoned || state == store.RevocationUnsupported || state == store.RevocationUnconfirmed {
		outcome = audit.Abandoned
	}
	g := r.Grant
	user, err := b.Vault.UserName(ctx, g)
	if err != nil && state != store.RevocationAbandoned { // one whose keys are gone must end, too
		return err
	}
	c := iam.Caller{Account: g.Account, ARN: b.ARNs.Extension(g.Account, "revocation", r.ID)}
	req := access.Request{
		Action: "credence:RevokeAtVendor", Resources: []string{b.ARNs.OAuth2Provider(g.Account, g.Provider), b.ARNs.Workload(g.Account, g.Workload)}, Workload: g.Workload, Provider: g.Provider, User: user,
	}
	return b.Gate.Receipt(c, req, outcome, string(state)+" ("+string(r.Cause)+"): "+answer)
}

func isRefused(err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Outcome == oauth.Refused
}

// delay is how long to wait after so many attempts: twice as long each time, by a random part more, and as long as the vendor wants.
func delay(attempts int64, err error) time.Duration {
	d := maxDelay
	if attempts < 10 {
		d = min(firstDelay<<(attempts-1), maxDelay)
	}
	d += upTo(d / 2)
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		d = max(d, e.RetryAfter)
	}
	return d
}
