package control_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/wire"
)

func onBehalf(grantType wire.OnBehalfOfTokenExchangeGrantType, actor wire.ActorTokenContent, scopes ...string) func(*customInput) {
	return func(in *customInput) {
		in.OnBehalfOfTokenExchangeConfig = &wire.OnBehalfOfTokenExchangeConfigType{
			GrantType: grantType, TokenExchangeGrantTypeConfig: &wire.TokenExchangeGrantTypeConfigType{ActorTokenContent: actor, ActorTokenScopes: scopes},
		}
	}
}

// What is said of trading JWTs is answered as it was given, and goes with the update that leaves it out.
func TestOnBehalfOfConfig(t *testing.T) {
	noClient := &wire.OnBehalfOfAuthenticationConfig{ClientAuthenticationMethod: wire.MethodNoClient}
	b := open(t)
	_, err := b.createProvider(t, "idp", wire.VendorCustomOauth2, custom())
	must(t, err)
	stored := func() *wire.OnBehalfOfTokenExchangeConfigType {
		return b.getProvider(t, "idp").Oauth2ProviderConfigOutput.CustomOauth2ProviderConfig.OnBehalfOfTokenExchangeConfig
	}
	for name, test := range map[string]struct {
		given, want wire.OnBehalfOfTokenExchangeConfigType
	}{
		"smallest":  {wire.OnBehalfOfTokenExchangeConfigType{GrantType: wire.GrantTypeTokenExchange}, wire.OnBehalfOfTokenExchangeConfigType{GrantType: wire.GrantTypeTokenExchange}},
		"JWT grant": {wire.OnBehalfOfTokenExchangeConfigType{GrantType: wire.GrantTypeJwtAuthorizationGrant}, wire.OnBehalfOfTokenExchangeConfigType{GrantType: wire.GrantTypeJwtAuthorizationGrant}},
		"an actor": {
			wire.OnBehalfOfTokenExchangeConfigType{GrantType: wire.GrantTypeTokenExchange, TokenExchangeGrantTypeConfig: &wire.TokenExchangeGrantTypeConfigType{ActorTokenContent: wire.ActorM2M, ActorTokenScopes: []string{"act"}}},
			wire.OnBehalfOfTokenExchangeConfigType{GrantType: wire.GrantTypeTokenExchange, TokenExchangeGrantTypeConfig: &wire.TokenExchangeGrantTypeConfigType{ActorTokenContent: wire.ActorM2M, ActorTokenScopes: []string{"act"}}},
		},
		"no client, no actor, an empty list": {
			wire.OnBehalfOfTokenExchangeConfigType{
				GrantType: wire.GrantTypeTokenExchange, OnBehalfOfAuthenticationConfig: noClient,
				TokenExchangeGrantTypeConfig: &wire.TokenExchangeGrantTypeConfigType{ActorTokenContent: wire.ActorNone, ActorTokenScopes: []string{}},
			},
			wire.OnBehalfOfTokenExchangeConfigType{
				GrantType: wire.GrantTypeTokenExchange, OnBehalfOfAuthenticationConfig: noClient,
				TokenExchangeGrantTypeConfig: &wire.TokenExchangeGrantTypeConfigType{ActorTokenContent: wire.ActorNone},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, generation := b.storedSecret(t, "idp")
			out, err := b.updateProvider(t, "idp", wire.VendorCustomOauth2, custom(func(in *customInput) { in.OnBehalfOfTokenExchangeConfig = &test.given }))
			must(t, err)
			if d := cmp.Diff(&test.want, out.Oauth2ProviderConfigOutput.CustomOauth2ProviderConfig.OnBehalfOfTokenExchangeConfig); d != "" {
				t.Errorf("answered: %s", d)
			}
			if d := cmp.Diff(&test.want, stored()); d != "" {
				t.Errorf("stored: %s", d)
			}
			if _, now := b.storedSecret(t, "idp"); now != generation {
				t.Error("a new generation begins, though codes and secrets go nowhere else")
			}
			_, err = b.updateProvider(t, "idp", wire.VendorCustomOauth2, custom())
			must(t, err)
			if got := stored(); got != nil {
				t.Errorf("after an update without it: %+v", got)
			}
		})
	}
}
