package broker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
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
	"credence/internal/wire"
	"credence/internal/workload"
)

// invalidSession is every refusal of a completion. Tools look for its first words; what follows says which of the causes it was.
func invalidSession(format string, args ...any) error {
	return fault.New(fault.AccessDenied, "Invalid or expired session: "+format, args...)
}

// CompleteResourceTokenAuth exchanges the code of a consent, once the application has said which user its browser session belongs to and that is the
// user who began it (specification section 5). For the same user it may be repeated.
func (b *Broker) CompleteResourceTokenAuth(ctx context.Context, c iam.Caller, in *wire.CompleteResourceTokenAuthInput) (*wire.CompleteResourceTokenAuthOutput, error) {
	req := access.Request{Action: "bedrock-agentcore:CompleteResourceTokenAuth", Resources: []string{b.ARNs.Vault(c.Account, iam.DefaultVault), b.ARNs.Directory(c.Account)}}
	s, err := b.completable(ctx, c, in.SessionUri)
	if err != nil {
		return nil, b.Gate.Refuse(c, req, err)
	}
	user, err := b.completingUser(ctx, c, in.UserIdentifier, s)
	if err != nil {
		return nil, b.Gate.Refuse(c, req, err)
	}
	req.Resources = append(b.agentResources(c.Account, s.Workload), b.ARNs.OAuth2Provider(c.Account, s.Provider))
	req.Workload, req.User, req.UserKey, req.Provider = s.Workload, user.String(), s.UserKey, s.Provider
	if s.DeviceInterval > 0 {
		req.Note = deviceNote
	}
	req.Flow = wire.FlowUserFederation
	if id := in.UserIdentifier; id.UserToken != nil {
		actsFor(&req, user, *id.UserToken)
	} else {
		actsFor(&req, user, secret.String{})
	}
	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
		return nil, err
	}
	err = b.complete(ctx, s, user.Key())
	outcome := "ok"
	if err != nil {
		outcome = string(fault.KindOf(err))
	}
	b.Metrics.Consents.WithLabelValues("completion", outcome).Inc()
	return &wire.CompleteResourceTokenAuthOutput{}, err
}

// completable finds the session that a sessionUri may complete: by the one-time id of its return URL; by the initiator's own sessionUri only in --dev or
// when the workload identity says so, since whoever began a session must not be able to finish it in another person's name.
func (b *Broker) completable(ctx context.Context, c iam.Caller, uri string) (store.Session, error) {
	unknown := invalidSession("no session has this sessionUri; pass on the session_id that the return URL received")
	handle, ok := strings.CutPrefix(uri, sessionPrefix)
	if !ok {
		return store.Session{}, unknown
	}
	s, err := b.Vault.SessionByCompletion(ctx, c.Account, digest(handle))
	if err == nil {
		return s, nil
	}
	if !errors.Is(err, fault.NotFound) {
		return store.Session{}, err
	}
	s, err = b.session(ctx, uri)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return store.Session{}, err
	}
	if err != nil || s.Account != c.Account {
		return store.Session{}, unknown
	}
	w, err := b.Vault.Workload(ctx, s.Account, s.Workload)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return store.Session{}, err
	}
	if err != nil || w.Incarnation != s.WorkloadIncarnation || !b.Dev && !w.CompleteBySessionURI {
		return store.Session{}, unknown
	}
	return s, nil
}

// completingUser is the user whom the application vouches for. A JWT may have ended since the session began.
func (b *Broker) completingUser(ctx context.Context, c iam.Caller, id *wire.UserIdentifier, s store.Session) (workload.User, error) {
	if id.UserId != nil {
		return workload.User{Kind: workload.KindID, ID: *id.UserId}, nil
	}
	return b.Users.Verify(ctx, c.Account, *id.UserToken, s.CreatedAt)
}

func (b *Broker) complete(ctx context.Context, s store.Session, userKey string) error {
	if userKey != s.UserKey {
		if s.State == store.SessionAuthorized { // a proven other user ends it: somebody's link was followed by somebody else
			s.State, s.Reason, s.Code = store.SessionFailed, "completed for another user", nil
			if _, err := b.Writes.UpdateSession(s); err != nil && !errors.Is(err, fault.ConcurrentModification) {
				return err
			}
		}
		return invalidSession("it belongs to another user than the one given")
	}
	_, err := share(b, "complete "+s.Account+s.ID, 0, func() (struct{}, error) {
		return struct{}{}, b.completeUnderLease(context.WithoutCancel(ctx), s.Account, s.ID)
	})
	return err
}

func (b *Broker) completeUnderLease(ctx context.Context, account, id string) error {
	lease, err := b.lease(account, "complete/"+id)
	if errors.Is(err, fault.ConcurrentModification) {
		return &fault.Fault{Kind: fault.Throttled, Msg: "The session is being completed by another process: try again", RetryAfter: time.Second, Err: err}
	}
	if err != nil {
		return err
	}
	defer lease.release()

	s, err := b.Vault.Session(ctx, id)
	if err != nil {
		return err
	}
	switch s.State {
	case store.SessionCompleted:
		return nil
	case store.SessionFailed:
		return invalidSession("it has failed: %s; begin a new one", s.Reason)
	case store.SessionExchanging: // nobody holds its lease: a process died between sending the code and writing the answer
		b.Log.WarnContext(ctx, "consent lost in a crash", "account", s.Account, "workload", s.Workload, "provider", s.Provider, "error", MaybeSpent)
		return b.failSession(s, MaybeSpent+": the server stopped while the code was at the vendor", nil)
	}
	if time.Now().After(s.ExpiresAt) {
		return invalidSession("it expired at %s, %s after it began; begin a new one", s.ExpiresAt.UTC().Format(time.RFC3339), SessionLifetime)
	}
	if s.State == store.SessionPending {
		return invalidSession("the user has not consented yet")
	}
	if s.DeviceInterval > 0 {
		return b.completeDevice(ctx, s)
	}
	return b.exchange(ctx, s)
}

// completionVendor is sessionVendor for a completion: a session whose provider is another one by now has failed.
func (b *Broker) completionVendor(ctx context.Context, s store.Session) (*vault.OAuth2Provider, provider.Vendor, error) {
	p, v, err := b.sessionVendor(ctx, s)
	if i, ok := errors.AsType[*Interruption](err); ok {
		if i.Cause == CauseVendorAway {
			return nil, v, &fault.Fault{Kind: fault.Throttled, Msg: "The discovery document of provider " + s.Provider + " cannot be had: try again", RetryAfter: 5 * time.Second, Err: err}
		}
		return nil, v, b.failSession(s, "the provider was changed or deleted since the session began", nil)
	}
	return p, v, err
}

// exchange sends the code of an authorized session, once, and writes the grant.
func (b *Broker) exchange(ctx context.Context, s store.Session) error {
	p, v, err := b.completionVendor(ctx, s)
	if err != nil {
		return err
	}
	text, err := b.Vault.OpenCode(ctx, s)
	if err != nil {
		return err
	}
	var code sealedCode
	if err := json.Unmarshal(text, &code); err != nil {
		return err
	}
	r, err := b.remembered(ctx, s)
	if err != nil {
		return err
	}
	e, err := b.endpoint(ctx, p, v, s.Workload, store.Grant{})
	if err == nil && code.ProofKey != "" {
		e.DPoP = &oauth.DPoP{}
		e.DPoP.Key, err = oauth.ParseProofKey(secret.New(code.ProofKey))
	}
	if err != nil {
		return err
	}

	lease, err := b.waitForGrant(s)
	if err != nil {
		return err
	}
	defer lease.release()
	s.State = store.SessionExchanging // the intent: from here on the code counts as sent
	if s.Version, err = b.Writes.UpdateSession(s); err != nil {
		return err
	}
	t, err := b.vendorCall(ctx, s.Account, v.TokenEndpoint, v, "authorization_code", func(ctx context.Context) (oauth.Token, error) {
		return b.OAuth.ExchangeCode(ctx, e, oauth.CodeGrant{
			Code: secret.New(code.Code), Verifier: secret.New(code.Verifier), RedirectURI: code.RedirectURI, Resources: v.Resources(r.Resources), Audiences: r.Audiences,
		})
	})
	if err != nil {
		if b.reregistered(ctx, p, err) == nil { // which is for the next consent: this code is another client's
			b.failing(p, err)
		}
		return errors.Join(b.exchangeFailed(s, p, err), b.consentReceipt(s, r.User, audit.Abandoned, "the code brought no tokens"))
	}
	g, err := b.consented(ctx, s, r, t, v.Lifetime)
	if err != nil {
		return err
	}
	return b.completed(ctx, s, r, p, g)
}

// completed writes a session's end with its grant. When that cannot be any more, the vendor is told of the tokens; those of a device authorization wait in the
// outbox as it is.
func (b *Broker) completed(ctx context.Context, s store.Session, r sessionRequest, p *vault.OAuth2Provider, g store.Grant) error {
	b.schedule(&g, p, false)
	s.State, s.Code = store.SessionCompleted, nil
	_, err := retryWrite(func() (int64, error) { return b.Writes.CompleteSession(s, g) })
	if errors.Is(err, fault.ConcurrentModification) { // an earlier try may have been written after all
		now, reloadErr := b.Vault.Session(ctx, s.ID)
		switch {
		case reloadErr == nil && now.State == store.SessionCompleted:
			err = nil
		case reloadErr != nil && !errors.Is(reloadErr, fault.NotFound):
			return reloadErr
		}
	}
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.ConcurrentModification) {
		if s.DeviceInterval == 0 {
			b.revokeLost(p, g)
		}
		return invalidSession("its grant was revoked, or the workload identity, the provider or the user was deleted, changed or frozen, while it was completed")
	}
	if err != nil {
		return err
	}
	return b.consentReceipt(s, r.User, audit.Performed, "completed: the grant is kept")
}

// waitForGrant takes the lease of the grant that a session will put: a refresh that is under way comes to its end first, so that whoever revokes the grant
// has one answer to wait for.
func (b *Broker) waitForGrant(s store.Session) (*lease, error) {
	for start := time.Now(); ; time.Sleep(leasePoll) {
		lease, err := b.lease(s.Account, grantLease(s.GrantKey))
		if !errors.Is(err, fault.ConcurrentModification) {
			return lease, err
		}
		if time.Since(start) > leaseWait {
			return lease, &fault.Fault{Kind: fault.Throttled, Msg: "The grant that the session renews is being refreshed: try again", RetryAfter: time.Second, Err: err}
		}
	}
}

// consented is the grant that a consent gave; lifetime is the token's when the vendor does not say.
func (b *Broker) consented(ctx context.Context, s store.Session, r sessionRequest, t oauth.Token, lifetime time.Duration) (store.Grant, error) {
	g := store.Grant{
		Account: s.Account, Key: s.GrantKey, Flow: string(r.Flow), Workload: s.Workload, WorkloadIncarnation: s.WorkloadIncarnation,
		Provider: s.Provider, ProviderIncarnation: s.ProviderIncarnation, Generation: s.Generation, UserKey: s.UserKey,
		AskedScopes: r.Scopes, Resources: r.Resources, Audiences: r.Audiences, Device: s.DeviceInterval > 0, CreatedAt: time.Now(),
	}
	if err := b.Vault.SealUserName(ctx, &g, r.User); err != nil {
		return g, err
	}
	return g, b.fill(ctx, &g, t, lifetime)
}

// exchangeFailed settles a code that brought no tokens. Only one that certainly never left may be sent again.
func (b *Broker) exchangeFailed(s store.Session, p *vault.OAuth2Provider, cause error) error {
	e, ok := errors.AsType[*oauth.Error](cause)
	if ok && e.Outcome == oauth.NotSent {
		s.State = store.SessionAuthorized
		if _, err := b.Writes.UpdateSession(s); err != nil {
			return errors.Join(cause, err, b.settle(s.Account, s.GrantKey))
		}
		return vendorFault(p, cause)
	}
	if ok && e.Outcome != oauth.Unknown {
		if err := b.settle(s.Account, s.GrantKey); err != nil {
			return errors.Join(cause, err)
		}
	}
	reason := "the vendor refused the code: " + cause.Error()
	if ok && e.Outcome == oauth.Unknown {
		reason = MaybeSpent + ": the vendor did not answer as it should: " + cause.Error()
	}
	return b.failSession(s, reason, cause)
}

// failSession ends a session. Trying again cannot help, so the answer is a ValidationException, which SDKs do not repeat.
func (b *Broker) failSession(s store.Session, reason string, cause error) error {
	s.State, s.Reason, s.Code = store.SessionFailed, reason, nil
	if _, err := b.Writes.UpdateSession(s); err != nil && !errors.Is(err, fault.ConcurrentModification) {
		return errors.Join(cause, err)
	}
	f := fault.Invalid("sessionUri", "the consent failed: %s; begin a new one with GetResourceOauth2Token", reason)
	f.Err = cause
	return f
}
