package broker

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/wire"
)

// userFederation serves a workload that acts for a user (authorization code, RFC 6749 section 4.1): from the grant that the user gave, renewed
// when needed, or by asking for a consent.
func (b *Broker) userFederation(ctx context.Context, r request) (*wire.GetResourceOauth2TokenOutput, string, error) {
	if r.agent.token.User.IsZero() {
		return nil, "", fault.Invalid("workloadIdentityToken", "acts for no user, as USER_FEDERATION needs: get one with GetWorkloadAccessTokenForJWT or GetWorkloadAccessTokenForUserId")
	}
	scopes := r.in.Scopes
	var g store.Grant
	var err error
	// The second look is at the database: no user is asked for what he gave to another replica just now.
	for _, find := range []func(context.Context, string, string) (store.Grant, error){b.grant, b.Vault.ReloadGrant} {
		if g, err = find(ctx, r.agent.account, r.key); errors.Is(err, fault.NotFound) || err == nil && forced(r.in) {
			break
		}
		if err != nil {
			return nil, "", err
		}
		if serves(g, r.provider, r.traits, scopes) && tooOld(r.ceilings, g) == nil {
			out, outcome, err := b.serve(ctx, r, g)
			if !errors.Is(err, errDead) {
				return out, outcome, err
			}
		}
	}
	if err == nil && g.State != store.GrantRevoked {
		// A wider request asks for what the user has already agreed to as well, so that the new grant serves both.
		if r.provider.Config.ScopeMatch != wire.ScopeMatchExact {
			scopes = union(scopes, cut(r.ceilings, r.traits, g.AskedScopes))
		}
	}
	out, err := b.askConsent(ctx, r, scopes)
	return out, "consent_needed", err
}

func forced(in *wire.GetResourceOauth2TokenInput) bool {
	return in.ForceAuthentication != nil && *in.ForceAuthentication
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// serve answers from a grant, renewed when its time has come. When that fails for now, a token that is still valid is served. errDead: it takes a consent.
func (b *Broker) serve(ctx context.Context, r request, g store.Grant) (*wire.GetResourceOauth2TokenOutput, string, error) {
	outcome := "cached"
	switch {
	case r.enough(g):
	case g.RefreshToken != nil:
		renewed, err := b.refresh(ctx, r, g)
		switch {
		case err == nil:
			g, outcome = renewed, "refreshed"
			if !b.within(r.ceilings, r.traits, g) {
				b.stubborn.add(g)
			}
		case valid(g) && !errors.Is(err, errDead):
			if g, err = b.still(ctx, g); err != nil {
				return nil, "", err
			}
			outcome = "stale"
		default:
			return nil, "", err
		}
	case time.Until(g.ExpiresAt) <= r.need():
		return nil, "", errDead
	}
	if err := r.tooShort(g); err != nil {
		return nil, "", err
	}
	out, err := b.answer(ctx, r, g)
	return out, outcome, err
}

// still finds a grant again that is to be served after a wait; errDead when it ended meanwhile.
func (b *Broker) still(ctx context.Context, g store.Grant) (store.Grant, error) {
	now, err := b.Vault.Grant(ctx, g.Account, g.Key)
	if errors.Is(err, fault.NotFound) || err == nil && (now.State != store.GrantActive || !valid(now)) {
		return g, errDead
	}
	return now, err
}

// grant finds a grant as it is remembered, unless somebody else has renewed it by now, or is at it: some vendors end the old token then.
func (b *Broker) grant(ctx context.Context, account, key string) (store.Grant, error) {
	g, err := b.Vault.Grant(ctx, account, key)
	if err == nil && (!g.IntentAt.IsZero() || !g.RenewAt.IsZero() && time.Now().After(g.RenewAt)) {
		return b.Vault.ReloadGrant(ctx, account, key)
	}
	return g, err
}

// sessionRequest is what an authorization session remembers of the request, sealed.
type sessionRequest struct {
	User        string          `json:"user"`     // readable, for rows
	UserName    string          `json:"userName"` // for pages
	Scopes      []string        `json:"scopes"`
	Resources   []string        `json:"resources,omitempty"`
	Audiences   []string        `json:"audiences,omitempty"`
	Parameters  url.Values      `json:"parameters,omitempty"`
	CustomState string          `json:"customState,omitempty"`
	Flow        wire.Oauth2Flow `json:"flow"`
}

// SessionLifetime is how long a user has for a consent (specification: 10 minutes).
const SessionLifetime = 10 * time.Minute

// askConsent begins an authorization session and answers where the user has to go.
func (b *Broker) askConsent(ctx context.Context, r request, scopes []string) (*wire.GetResourceOauth2TokenOutput, error) {
	if r.provider.Config.ClientID == "" {
		return nil, fault.Invalid("resourceCredentialProviderName", "provider %s has no clientId, without which no vendor asks a user: give it one with UpdateOauth2CredentialProvider", r.provider.Row.Name)
	}
	returnURL, err := b.returnURL(r)
	if err != nil {
		return nil, err
	}
	handle := newHandle()
	now := time.Now()
	s := store.Session{
		Account: r.agent.account, ID: digest(handle), Workload: r.agent.row.Name, WorkloadIncarnation: r.agent.row.Incarnation,
		Provider: r.provider.Row.Name, ProviderIncarnation: r.provider.Row.Incarnation, Generation: r.provider.Row.Generation,
		UserKey: r.agent.token.User.Key(), GrantKey: r.key, ReturnURL: returnURL, State: store.SessionPending,
		CreatedAt: now, ExpiresAt: now.Add(SessionLifetime),
	}
	remembered := sessionRequest{
		User: r.agent.token.User.String(), UserName: r.agent.token.User.Name(), Scopes: scopes, Resources: r.in.Resources, Audiences: r.in.Audiences, Parameters: parameters(r.in), Flow: r.in.Oauth2Flow,
	}
	if r.in.CustomState != nil {
		remembered.CustomState = r.in.CustomState.Reveal()
	}
	text, err := json.Marshal(remembered)
	if err != nil {
		return nil, err
	}
	if r.in.DeviceAuthorization != nil && *r.in.DeviceAuthorization {
		if err := b.beginDevice(ctx, r, &s, scopes); err != nil {
			return nil, err
		}
	}
	if err := b.Vault.InsertSession(ctx, s, text); err != nil {
		return nil, err
	}
	b.Metrics.Consents.WithLabelValues("asked", "ok").Inc()
	return b.inProgress(sessionURI(handle)), nil
}

func (b *Broker) inProgress(uri string) *wire.GetResourceOauth2TokenOutput {
	return &wire.GetResourceOauth2TokenOutput{AuthorizationUrl: b.authorizationURL(uri), SessionUri: &uri, SessionStatus: new(wire.SessionInProgress)}
}

// returnURL is the registered URL that the user's browser will come back to.
func (b *Broker) returnURL(r request) (string, error) {
	registered := r.agent.row.ReturnURLs
	if len(registered) == 0 {
		return "", fault.Invalid("resourceOauth2ReturnUrl", "You must register and use at least one ResourceOauth2ReturnUrl on your workload identity to use this flow (workload identity %q has none: UpdateWorkloadIdentity sets allowedResourceOauth2ReturnUrls)", r.agent.row.Name)
	}
	if r.in.ResourceOauth2ReturnUrl == nil {
		return "", fault.Invalid("resourceOauth2ReturnUrl", "You must provide a ResourceOauth2ReturnUrl to proceed with this flow (workload identity %q has registered %q)", r.agent.row.Name, registered)
	}
	if !slices.Contains(registered, *r.in.ResourceOauth2ReturnUrl) {
		return "", fault.Invalid("resourceOauth2ReturnUrl", "%q is not registered on workload identity %q, which has %q: it must be exactly one of them", *r.in.ResourceOauth2ReturnUrl, r.agent.row.Name, registered)
	}
	return *r.in.ResourceOauth2ReturnUrl, nil
}

// polledSession finds the session that a request polls; nil when it polls none. One that is another's, or none at all, gets one answer.
func (b *Broker) polledSession(ctx context.Context, a agent, in *wire.GetResourceOauth2TokenInput) (*store.Session, error) {
	if in.SessionUri == nil || in.Oauth2Flow != wire.FlowUserFederation {
		return nil, nil
	}
	s, err := b.session(ctx, *in.SessionUri)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	if err != nil || s.Account != a.account || s.WorkloadIncarnation != a.row.Incarnation || s.UserKey != a.token.User.Key() || s.Provider != in.ResourceCredentialProviderName {
		return nil, fault.New(fault.AccessDenied, "Invalid or expired session: no session of this sessionUri belongs to this workload, user and provider")
	}
	return &s, nil
}

// poll answers how a session stands: the token when it is completed.
func (b *Broker) poll(ctx context.Context, r request, s store.Session) (*wire.GetResourceOauth2TokenOutput, string, error) {
	failed := &wire.GetResourceOauth2TokenOutput{SessionUri: r.in.SessionUri, SessionStatus: new(wire.SessionFailed)}
	switch {
	case s.ProviderIncarnation != r.provider.Row.Incarnation || s.Generation != r.provider.Row.Generation:
		return failed, "failed", nil
	case s.State == store.SessionCompleted:
		g, err := b.Vault.ReloadGrant(ctx, s.Account, s.GrantKey) // the session may have ended on another replica
		if errors.Is(err, fault.NotFound) || err == nil && g.State != store.GrantActive {
			return failed, "failed", nil
		}
		if err != nil {
			return nil, "", err
		}
		if tooOld(r.ceilings, g) != nil {
			return failed, "failed", nil
		}
		out, outcome, err := b.serve(ctx, r, g)
		if errors.Is(err, errDead) {
			return failed, "failed", nil
		}
		return out, outcome, err
	case s.State == store.SessionFailed || time.Now().After(s.ExpiresAt):
		return failed, "failed", nil
	case s.State == store.SessionPending:
		return b.inProgress(*r.in.SessionUri), "in_progress", nil
	default: // the consent is given; the application has yet to complete it
		return &wire.GetResourceOauth2TokenOutput{SessionUri: r.in.SessionUri, SessionStatus: new(wire.SessionInProgress)}, "in_progress", nil
	}
}
