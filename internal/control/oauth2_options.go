package control

import (
	"context"

	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/wire"
)

// options takes over what a provider is told beyond the API. What is left out stays as current has it; a new provider has no current.
func (c *Control) options(ctx context.Context, caller iam.Caller, name string, cfg *provider.Config, o wire.Oauth2ProviderOptions, current *provider.Config) error {
	if current != nil {
		cfg.Confirm, cfg.ScopeMatch = current.Confirm, current.ScopeMatch
		cfg.RefreshTokenGraceSeconds, cfg.RefreshTokenIdleSeconds, cfg.MinimumValiditySeconds = current.RefreshTokenGraceSeconds, current.RefreshTokenIdleSeconds, current.MinimumValiditySeconds
		cfg.DPoPBound, cfg.ResourceIndicators, cfg.DeviceAuthorization, cfg.Resource = current.DPoPBound, current.ResourceIndicators, current.DeviceAuthorization, current.Resource
	}
	take(&cfg.Confirm, o.Confirm)
	take(&cfg.ScopeMatch, o.ScopeMatch)
	take(&cfg.RefreshTokenGraceSeconds, o.RefreshTokenGraceSeconds)
	take(&cfg.RefreshTokenIdleSeconds, o.RefreshTokenIdleSeconds)
	take(&cfg.MinimumValiditySeconds, o.MinimumValiditySeconds)
	take(&cfg.DPoPBound, o.DpopBoundAccessTokens)
	take(&cfg.DeviceAuthorization, o.DeviceAuthorization)
	if o.ResourceIndicators != nil {
		cfg.ResourceIndicators = o.ResourceIndicators
	}
	if err := authMethod(cfg, o.TokenEndpointAuthMethod, current); err != nil {
		return err
	}
	if err := signedRequests(cfg, o.RequireSignedRequestObject, current); err != nil {
		return err
	}
	if err := assertionAudience(cfg, o.ClientAssertionAudience, current); err != nil {
		return err
	}
	return c.identityAssertions(ctx, caller, name, cfg, o.IdentityAssertionProvider, current)
}

// take sets what is told.
func take[T any](into, told *T) {
	if told != nil {
		*into = *told
	}
}

// describeOptions tells the options that a provider has.
func describeOptions(c *provider.Config) wire.Oauth2ProviderOptions {
	out := wire.Oauth2ProviderOptions{
		Confirm: set(&c.Confirm), ScopeMatch: set(&c.ScopeMatch), VendorHost: set(&c.Host), RefreshTokenGraceSeconds: set(&c.RefreshTokenGraceSeconds),
		RefreshTokenIdleSeconds: set(&c.RefreshTokenIdleSeconds), MinimumValiditySeconds: set(&c.MinimumValiditySeconds), DpopBoundAccessTokens: set(&c.DPoPBound),
		TokenEndpointAuthMethod: set(&c.TokenEndpointAuthMethod), ResourceIndicators: c.ResourceIndicators, RequireSignedRequestObject: set(&c.SignedRequests),
		DeviceAuthorization: set(&c.DeviceAuthorization), ClientAssertionAudience: set(&c.AssertionAudience),
	}
	if c.OnBehalfOf != nil {
		out.IdentityAssertionProvider = set(&c.OnBehalfOf.AssertionProvider)
	}
	return out
}

// set is p, or nil for what is not set.
func set[T comparable](p *T) *T {
	var zero T
	if *p == zero {
		return nil
	}
	return p
}
