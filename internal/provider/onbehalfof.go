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
	Parameters  url.Values                            `json:"parameters,omitempty"`  // always sent, unless the request's customParameters give their own
}
