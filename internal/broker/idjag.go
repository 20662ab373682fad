package broker

import (
	"context"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/wire"
)

// atIdentityProvider is a request at the user's identity provider, where the provider of r gets its assertions; nil when it gets none. Who asks must be allowed to use
// both, and neither may be frozen.
func (b *Broker) atIdentityProvider(ctx context.Context, r request) (*request, error) {
	how := r.traits.OnBehalfOf
	if r.in.Oauth2Flow != wire.FlowOnBehalfOfTokenExchange || how == nil || how.AssertionProvider == "" {
		return nil, nil
	}
	name := how.AssertionProvider
	r.allowed.Resources = append([]string{b.ARNs.OAuth2Provider(r.agent.account, name)}, b.agentResources(r.agent.account, r.agent.row.Name)...)
	r.allowed.Provider = name
	if err := b.Gate.AllowIssue(ctx, r.caller, r.allowed); err != nil {
		return nil, err
	}
	api := r.provider.Row.Name
	var err error
	if r.provider, err = b.oauth2Provider(ctx, r.agent.account, name); err != nil {
		return nil, err
	}
	if why := r.provider.Config.CannotAssert(); why != "" {
		return nil, fault.Invalid("resourceCredentialProviderName", "provider %s gets its assertions at provider %s, which %s", api, name, why)
	}
	r.traits = b.Resolver.Traits(r.provider.Config)
	return &r, nil
}

// identityAssertion trades the JWT of a request, at the identity provider that made it, for an assertion that is good at v alone (ID-JAG). Scopes are what the
// identity provider left of those that were asked for, nil when it did not say.
func (b *Broker) identityAssertion(ctx context.Context, r request, v provider.Vendor) (oauth.Token, error) {
	idp := *r.idp
	at, err := b.vendor(ctx, idp.provider)
	if err != nil {
		return oauth.Token{}, err
	}
	if iss := r.agent.token.User.Issuer; iss != at.Issuer { // nobody else is shown it
		return oauth.Token{}, fault.Invalid("workloadIdentityToken", "was made from a JWT of %q, while provider %s gets its assertions at provider %s, which is %q", iss, r.provider.Row.Name, idp.provider.Row.Name, at.Issuer)
	}
	e, exchange, err := b.tokenExchange(ctx, idp, at)
	if err != nil {
		return oauth.Token{}, err
	}
	e.DPoP = nil // an assertion is no token to use
	g := oauth.IDJAGGrant{TokenExchangeGrant: exchange, Issuer: at.Issuer, Audience: v.Issuer, ClientID: r.provider.Config.ClientID}
	t, err := b.vendorCall(ctx, r.agent.account, at.TokenEndpoint, at, "token_exchange", func(ctx context.Context) (oauth.Token, error) {
		return b.OAuth.ExchangeIDJAG(ctx, e, g)
	})
	if err != nil {
		b.failing(idp.provider, err)
		return oauth.Token{}, unsupported(at, err, exchangeFault(idp.provider, err))
	}
	if err := g.Check(t); err != nil {
		return oauth.Token{}, fault.Invalid("resourceCredentialProviderName", "the assertion that provider %s gave for provider %s is not used: %v", idp.provider.Row.Name, r.provider.Row.Name, err)
	}
	return t, b.Gate.NotFrozen(ctx, idp.caller, idp.allowed)
}
