package control

import (
	"credence/internal/fault"
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
