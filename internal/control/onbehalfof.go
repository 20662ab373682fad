package control

import (
	"context"
	"errors"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/wire"
)

// onBehalfOf reads how a provider trades a user's JWT. What only one of its ways has is refused with the others: it would be ignored.
func onBehalfOf(path string, in *wire.OnBehalfOfTokenExchangeConfigType) (*provider.OnBehalfOf, error) {
	if in == nil {
		return nil, nil
	}
	out := &provider.OnBehalfOf{GrantType: in.GrantType, NoClient: in.OnBehalfOfAuthenticationConfig != nil}
	exchange := in.TokenExchangeGrantTypeConfig
	if exchange == nil {
		return out, nil
	}
	path += ".tokenExchangeGrantTypeConfig"
	switch {
	case in.GrantType != wire.GrantTypeTokenExchange:
		return nil, fault.Invalid(path, "is for the grant type %s: with %s there is no actor token", wire.GrantTypeTokenExchange, in.GrantType)
	case len(exchange.ActorTokenScopes) > 0 && exchange.ActorTokenContent != wire.ActorM2M:
		return nil, fault.Invalid(path+".actorTokenScopes", "is for the actorTokenContent %s, not %s", wire.ActorM2M, exchange.ActorTokenContent)
	}
	out.Actor, out.ActorScopes = exchange.ActorTokenContent, append([]string(nil), exchange.ActorTokenScopes...) // none is nil
	return out, nil
}

func describeOnBehalfOf(o *provider.OnBehalfOf) *wire.OnBehalfOfTokenExchangeConfigType {
	if o == nil {
		return nil
	}
	out := &wire.OnBehalfOfTokenExchangeConfigType{GrantType: o.GrantType}
	if o.Actor != "" {
		out.TokenExchangeGrantTypeConfig = &wire.TokenExchangeGrantTypeConfigType{ActorTokenContent: o.Actor, ActorTokenScopes: o.ActorScopes}
	}
	if o.NoClient {
		out.OnBehalfOfAuthenticationConfig = &wire.OnBehalfOfAuthenticationConfig{ClientAuthenticationMethod: wire.MethodNoClient}
	}
	return out
}

const identityAssertionMember = "identityAssertionProvider"

// identityAssertions takes over at which identity provider the assertion of a JWT grant is got. What is left out stays as long as the grant type does. The caller must be allowed
// to look at a provider that is named anew.
func (c *Control) identityAssertions(ctx context.Context, caller iam.Caller, own string, cfg *provider.Config, named *string, current *provider.Config) error {
	how, jwtGrant := cfg.OnBehalfOf, cfg.OnBehalfOf != nil && cfg.OnBehalfOf.GrantType == wire.GrantTypeJwtAuthorizationGrant
	kept := named == nil
	if kept {
		if !jwtGrant || current == nil || current.OnBehalfOf == nil || current.OnBehalfOf.AssertionProvider == "" {
			return nil
		}
		named = &current.OnBehalfOf.AssertionProvider
	}
	refuse := func(format string, args ...any) error {
		return fault.Invalid(identityAssertionMember, "%q "+format, append([]any{*named}, args...)...)
	}
	switch m := cfg.Metadata; {
	case !jwtGrant:
		return refuse("needs onBehalfOfTokenExchangeConfig with the grantType %s, whose assertion it gives", wire.GrantTypeJwtAuthorizationGrant)
	case how.NoClient:
		return refuse("cannot be given together with onBehalfOfAuthenticationConfig %s: an assertion is good for one client, which proves that it is the one", wire.MethodNoClient)
	case cfg.TokenEndpointAuthMethod == wire.AuthMethodNone:
		return refuse("cannot be given together with %s %s: an assertion is good for one client, which proves that it is the one", authMethodMember, wire.AuthMethodNone)
	case cfg.ClientID == "":
		return refuse("needs a clientId: the assertion names the client that it is for")
	case m != nil && !provider.SameOrigin(m.Issuer, m.TokenEndpoint):
		return refuse("needs a discoveryUrl, or a tokenEndpoint on the host of the issuer: an assertion for %q would go to %q", m.Issuer, m.TokenEndpoint)
	case *named == own:
		return refuse("is this provider itself: the user's identity provider has a provider of its own")
	}
	with := *how
	with.AssertionProvider = *named
	cfg.OnBehalfOf = &with
	if kept {
		return nil
	}
	arn := c.ARNs.OAuth2Provider(caller.Account, *named)
	if err := c.allow(caller, "GetOauth2CredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return err
	}
	idp, err := c.Vault.OAuth2Provider(ctx, caller.Account, *named)
	switch {
	case errors.Is(err, fault.NotFound):
		return refuse("is no OAuth2 credential provider of account %s: create it first", caller.Account)
	case err != nil:
		return err
	}
	if why := idp.Config.CannotAssert(); why != "" {
		return refuse("%s", why)
	}
	return nil
}
