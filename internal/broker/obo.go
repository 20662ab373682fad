package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// onBehalfOf serves a workload that acts for the user of a JWT: the vendor takes the JWT itself for the user's word (RFC 8693, RFC 7523 section 2.1), so there
// is no consent and no refresh token, and nothing outlives the JWT.
func (b *Broker) onBehalfOf(ctx context.Context, r request) (*wire.GetResourceOauth2TokenOutput, string, error) {
	if r.agent.token.JWT.IsZero() {
		return nil, "", fault.Invalid("workloadIdentityToken", "was not made from a user's JWT, as %s needs: get one with GetWorkloadAccessTokenForJWT", r.in.Oauth2Flow)
	}
	if r.traits.OnBehalfOf == nil {
		return nil, "", fault.Invalid("resourceCredentialProviderName", "provider %s of vendor %s has no way to trade a user's JWT: %s needs a CustomOauth2 provider with onBehalfOfTokenExchangeConfig, or MicrosoftOauth2",
			r.provider.Row.Name, r.provider.Config.Vendor, r.in.Oauth2Flow)
	}
	if r.idp != nil && len(r.in.Audiences) > 0 {
		return nil, "", fault.Invalid("audiences", "cannot be chosen: provider %s gets its assertions at provider %s, and they are for its own authorization server; name resources", r.provider.Row.Name, r.idp.provider.Row.Name)
	}
	end, err := r.agent.token.JWTExpires()
	if err != nil {
		return nil, "", err
	}
	if err := beforeJWTEnds(end); err != nil {
		return nil, "", err
	}
	// A token that ends with its JWT needs no renewal: no other would live longer.
	enough := func(g store.Grant) bool { return r.enough(g) || valid(g) && !g.ExpiresAt.Before(end) }
	g, outcome, err := b.issued(ctx, r, enough, func(ctx context.Context, r request) (store.Grant, error) { return b.exchangeJWT(ctx, r, end) })
	if err != nil {
		return nil, "", err
	}
	if err := beforeJWTEnds(end); err != nil { // the vendor may have taken its time
		return nil, "", err
	}
	if need := r.need(); !g.ExpiresAt.Before(end) && time.Until(end) < need {
		return nil, "", fault.Invalid("workloadIdentityToken", "ends with its user's JWT at %s, and no token is to be had that lives longer, let alone the minimumValiditySeconds of %d: get a new workload access token with a new JWT",
			end.UTC().Format(time.RFC3339), need/time.Second)
	}
	if err := r.tooShort(g); err != nil {
		return nil, "", err
	}
	if r.idp != nil {
		if err := b.Gate.NotFrozen(ctx, r.caller, r.idp.allowed); err != nil {
			return nil, "", err
		}
	}
	out, err := b.answer(ctx, r, g)
	return out, outcome, err
}

func beforeJWTEnds(end time.Time) error {
	if time.Now().Before(end) {
		return nil
	}
	return fault.New(fault.Unauthorized, "The user's JWT in this workload access token expired at %s: get a new workload access token with GetWorkloadAccessTokenForJWT and a new JWT", end.UTC().Format(time.RFC3339))
}

// actor is who acts for a user, as far as tokens are told apart by it: the caller, and what the vendor is told by the provider's config, which may change
// within a generation.
func actor(a agent, o *provider.OnBehalfOf) string {
	b, _ := json.Marshal([]any{a.caller, o}) // strings always marshal
	return string(b)
}

// exchangeJWT trades the JWT of a request, which ends at end.
func (b *Broker) exchangeJWT(ctx context.Context, r request, end time.Time) (store.Grant, error) {
	v, err := b.vendor(ctx, r.provider)
	if err != nil {
		return store.Grant{}, err
	}
	grantType, call, err := b.trade(ctx, r, v)
	if err != nil {
		return store.Grant{}, err
	}
	t, err := b.vendorCall(ctx, r.agent.account, v.TokenEndpoint, v, grantType, call)
	if err != nil {
		b.failing(r.provider, err)
		return store.Grant{}, unsupported(v, err, exchangeFault(r.provider, err))
	}
	g := newGrant(r.agent, r.provider, wire.FlowOnBehalfOfTokenExchange, r.key, r.in.Scopes)
	g.Resources, g.Audiences = r.in.Resources, r.in.Audiences
	if err := b.Vault.SealUserName(ctx, &g, r.agent.token.User.String()); err != nil {
		return store.Grant{}, err
	}
	t.RefreshToken = secret.String{} // it would outlive the user's word
	if err := b.fill(ctx, &g, t, cmp.Or(v.Lifetime, defaultM2MLifetime)); err != nil {
		return store.Grant{}, err
	}
	if g.ExpiresAt.After(end) {
		g.ExpiresAt = end
	}
	return b.put(r, g)
}

// trade is the one request to the vendor of r that brings a token for a JWT; what comes before it is done.
func (b *Broker) trade(ctx context.Context, r request, v provider.Vendor) (grantType string, call func(context.Context) (oauth.Token, error), _ error) {
	if v.OnBehalfOf.GrantType != wire.GrantTypeJwtAuthorizationGrant {
		e, g, err := b.tokenExchange(ctx, r, v)
		return "token_exchange", func(ctx context.Context) (oauth.Token, error) { return b.OAuth.ExchangeToken(ctx, e, g) }, err
	}
	g := oauth.JWTGrant{
		Assertion: r.agent.token.JWT, Scopes: r.in.Scopes, ScopeSeparator: v.ScopeSeparator, Resources: v.Resources(r.in.Resources), Audiences: r.in.Audiences, Extra: oboParameters(r.in, v.OnBehalfOf),
	}
	var asserted []string // scopes
	if r.idp != nil {
		t, err := b.identityAssertion(ctx, r, v)
		if err != nil {
			return "", nil, err
		}
		g, asserted = oauth.JWTGrant{Assertion: t.AccessToken}, t.Scopes // which says all the rest
	}
	e, err := b.tradeEndpoint(ctx, r, v)
	return "jwt_bearer", func(ctx context.Context) (oauth.Token, error) {
		t, err := b.OAuth.ExchangeJWT(ctx, e, g)
		if t.Scopes == nil {
			t.Scopes = asserted
		}
		return t, err
	}, err
}

// tradeEndpoint is where the vendor of r trades JWTs.
func (b *Broker) tradeEndpoint(ctx context.Context, r request, v provider.Vendor) (oauth.Endpoint, error) {
	if v.OnBehalfOf.NoClient {
		v.AuthMethod = oauth.Anonymous
	}
	return b.endpoint(ctx, r.provider, v, r.agent.row.Name, store.Grant{})
}

// tokenExchange is what a token exchange at the vendor of r sends.
func (b *Broker) tokenExchange(ctx context.Context, r request, v provider.Vendor) (oauth.Endpoint, oauth.TokenExchangeGrant, error) {
	how := v.OnBehalfOf
	g := oauth.TokenExchangeGrant{
		SubjectToken: r.agent.token.JWT, Scopes: r.in.Scopes, ScopeSeparator: v.ScopeSeparator, Resources: v.Resources(r.in.Resources), Audiences: r.in.Audiences, Extra: oboParameters(r.in, how),
	}
	e, err := b.tradeEndpoint(ctx, r, v)
	if err != nil {
		return e, g, err
	}
	switch how.Actor {
	case wire.ActorM2M:
		g.ActorTokenType = oauth.TokenTypeAccessToken
		g.ActorToken, err = b.actorToken(ctx, r, how.ActorScopes)
	case wire.ActorAwsIamIdTokenJwt:
		g.ActorTokenType = oauth.TokenTypeJWT
		g.ActorToken, err = b.idToken(ctx, r.provider, v, r.agent.row.Name, v.TokenEndpoint)
	}
	return e, g, err
}

// oboParameters are those that a request gives, and those that the provider's way always has.
func oboParameters(in *wire.GetResourceOauth2TokenInput, how *provider.OnBehalfOf) url.Values {
	extra := parameters(in)
	for name, values := range how.Parameters {
		if !extra.Has(name) {
			extra[name] = values
		}
	}
	return extra
}

// actorToken is the access token of the workload itself by which it says who acts for the user; it is kept as a grant of M2M like any other.
func (b *Broker) actorToken(ctx context.Context, r request, scopes []string) (secret.String, error) {
	in := &wire.GetResourceOauth2TokenInput{Oauth2Flow: wire.FlowM2M, Scopes: scopes, ForceAuthentication: r.in.ForceAuthentication, MinimumValiditySeconds: new(int32(0))}
	g, _, err := b.issued(ctx, request{in, r.agent, r.provider, r.traits, nil, identify(r.agent, r.provider, in, r.traits).key(), r.caller, r.allowed, nil, nil}, fresh, b.clientCredentials)
	if err != nil {
		if f, ok := errors.AsType[*fault.Fault](err); ok {
			told := *f
			told.Msg = "The actor token of provider " + r.provider.Row.Name + " cannot be had by client credentials: " + f.Msg
			return secret.String{}, &told
		}
		return secret.String{}, err
	}
	return b.Vault.AccessToken(ctx, g)
}

// usersTurn are the codes by which vendors say that the user has to do something first, which only USER_FEDERATION has a page for: OpenID Connect Core section
// 3.1.2.6, RFC 9470 section 3, and Microsoft's.
var usersTurn = []string{"consent_required", "interaction_required", "login_required", "account_selection_required", "insufficient_user_authentication"}

// exchangeFault is a vendorFault that says what to do where the user has to.
func exchangeFault(p *vault.OAuth2Provider, err error) error {
	told := vendorFault(p, err)
	e, isVendor := errors.AsType[*oauth.Error](err)
	f, isFault := errors.AsType[*fault.Fault](told)
	if isVendor && isFault && e.Outcome == oauth.Refused && (slices.Contains(usersTurn, e.Code) || slices.Contains(usersTurn, e.Suberror)) {
		f.Msg += ". The user, or an administrator for all users, has to consent or to sign in anew at the vendor, for which this flow has no page; then come with a new JWT, or use USER_FEDERATION"
	}
	return told
}
