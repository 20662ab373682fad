package provider

import (
	"net/url"

	"credence/internal/wire"
)

// OnBehalfOf is how a user's JWT is traded for an access token: a preset's way, or that which the API gave for a CustomOauth2 provider.
type OnBehalfOf struct {
	GrantType   wire.OnBehalfOfTokenExchangeGrantType `json:"grantType"`
	Actor       wire.ActorTokenContent                `json:"actor,omitempty"`       // of TOKEN_EXCHANGE: which actor token it sends; "" is NONE
	ActorScopes []string                              `json:"actorScopes,omitempty"` // of an actor token that is M2M
	NoClient    bool                                  `json:"noClient,omitempty"`    // the client does not authenticate
	// AssertionProvider names the provider of the user's identity provider, where the JWT is traded for the assertion of JWT_AUTHORIZATION_GRANT; "": it is the assertion.
	AssertionProvider string     `json:"assertionProvider,omitempty"`
	Parameters        url.Values `json:"parameters,omitempty"` // always sent, unless the request's customParameters give their own
}

// CannotAssert says why a provider is none at which other providers get their assertions; "" when it is one.
func (c Config) CannotAssert() string {
	switch o := c.OnBehalfOf; {
	case o == nil || o.GrantType != wire.GrantTypeTokenExchange:
		return "has no onBehalfOfTokenExchangeConfig with the grantType " + string(wire.GrantTypeTokenExchange) + ", by which it would give assertions"
	case o.NoClient:
		return "has an onBehalfOfAuthenticationConfig of " + string(wire.MethodNoClient) + ", while an identity provider gives assertions only to clients that it knows"
	}
	return ""
}
