package control_test

import (
	"strings"
	"testing"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

func jwtGrant(in *customInput) {
	in.OnBehalfOfTokenExchangeConfig = &wire.OnBehalfOfTokenExchangeConfigType{GrantType: wire.GrantTypeJwtAuthorizationGrant}
}

func noClient(in *customInput) {
	in.OnBehalfOfTokenExchangeConfig.OnBehalfOfAuthenticationConfig = &wire.OnBehalfOfAuthenticationConfig{ClientAuthenticationMethod: wire.MethodNoClient}
}

// An identity provider for assertions is kept with the grant type that needs it; what does not go together is refused at once, and the refusal names both.
func TestIdentityAssertionProvider(t *testing.T) {
	b := open(t)
	for name, config := range map[string]*configInput{
		"idp": custom(onBehalf(wire.GrantTypeTokenExchange, wire.ActorNone)), "plain": custom(), "grants": custom(jwtGrant),
		"open": custom(onBehalf(wire.GrantTypeTokenExchange, wire.ActorNone), noClient),
	} {
		_, err := b.createProvider(t, name, wire.VendorCustomOauth2, config)
		must(t, err)
	}
	create := func(name, idp string, config *configInput, edit ...func(*wire.CreateOauth2CredentialProviderInput)) error {
		in := &wire.CreateOauth2CredentialProviderInput{Name: name, CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: config, Oauth2ProviderOptions: wire.Oauth2ProviderOptions{IdentityAssertionProvider: &idp}}
		for _, e := range edit {
			e(in)
		}
		_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), in)
		return err
	}
	for _, c := range []struct {
		idp    string
		config *configInput
		edit   func(*wire.CreateOauth2CredentialProviderInput)
		want   string
	}{
		{idp: "idp", config: custom(), want: "grantType JWT_AUTHORIZATION_GRANT"},
		{idp: "idp", config: custom(onBehalf(wire.GrantTypeTokenExchange, wire.ActorNone)), want: "grantType JWT_AUTHORIZATION_GRANT"},
		{idp: "idp", config: custom(jwtGrant, noClient), want: "onBehalfOfAuthenticationConfig NO_CLIENT"},
		{idp: "idp", config: custom(jwtGrant, withoutSecret), edit: func(in *wire.CreateOauth2CredentialProviderInput) {
			in.TokenEndpointAuthMethod = new(wire.AuthMethodNone)
		}, want: "tokenEndpointAuthMethod none"},
		{idp: "idp", config: custom(jwtGrant, withoutSecret, func(in *customInput) {
			in.ClientId, in.ClientAuthenticationMethod = nil, new(wire.MethodAwsIamIdTokenJwt)
		}), want: "clientId"},
		{idp: "idp", config: custom(jwtGrant, func(in *customInput) {
			in.OauthDiscovery.AuthorizationServerMetadata.TokenEndpoint = "https://elsewhere.example/token"
		}), want: "https://elsewhere.example/token"},
		{idp: "api", config: custom(jwtGrant), want: "is this provider itself"},
		{idp: "none", config: custom(jwtGrant), want: `"none" is no OAuth2 credential provider`},
		{idp: "plain", config: custom(jwtGrant), want: `"plain" has no onBehalfOfTokenExchangeConfig`},
		{idp: "grants", config: custom(jwtGrant), want: `"grants" has no onBehalfOfTokenExchangeConfig with the grantType TOKEN_EXCHANGE`},
		{idp: "open", config: custom(jwtGrant), want: `"open" has an onBehalfOfAuthenticationConfig of NO_CLIENT`},
	} {
		if c.edit == nil {
			c.edit = func(*wire.CreateOauth2CredentialProviderInput) {}
		}
		err := create("api", c.idp, c.config, c.edit)
		wantInvalid(t, err, "identityAssertionProvider", c.want, `"`+c.idp+`"`)
	}
	must(t, create("api", "idp", custom(jwtGrant)))
	stored := func() string {
		if p := b.getProvider(t, "api").IdentityAssertionProvider; p != nil {
			return *p
		}
		return ""
	}
	update := func(idp *string, config *configInput) error {
		_, err := b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
			Name: "api", CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: config, Oauth2ProviderOptions: wire.Oauth2ProviderOptions{IdentityAssertionProvider: idp},
		})
		return err
	}
	for i, step := range []struct {
		idp    *string
		config *configInput
		want   string
	}{{nil, custom(jwtGrant), "idp"}, {nil, custom(), ""}, {nil, custom(jwtGrant), ""}, {new("idp"), custom(jwtGrant), "idp"}, {nil, custom(), ""}, {nil, custom(jwtGrant), ""}} {
		must(t, update(step.idp, step.config))
		if got := stored(); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	wantInvalid(t, update(new("idp"), custom()), "identityAssertionProvider")
	// What is kept must still go with the rest.
	must(t, update(new("idp"), custom(jwtGrant)))
	elsewhere := custom(jwtGrant, withSecret("another"), func(in *customInput) {
		in.OauthDiscovery.AuthorizationServerMetadata.TokenEndpoint = "https://elsewhere.example/token"
	})
	wantInvalid(t, update(nil, elsewhere), "identityAssertionProvider", "https://elsewhere.example/token")
	wantInvalid(t, update(nil, custom(jwtGrant, noClient)), "identityAssertionProvider", "NO_CLIENT")
}

// Nobody learns by an assertion provider whether a provider exists that he may not look at.
func TestIdentityAssertionProviderOfOthers(t *testing.T) {
	b := open(t)
	_, err := b.createProvider(t, "secret-idp", wire.VendorCustomOauth2, custom(onBehalf(wire.GrantTypeTokenExchange, wire.ActorNone)))
	must(t, err)
	caller := administrator(t, alpha)
	policy, err := iam.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:CreateOauth2CredentialProvider","Resource":"*"}]}`))
	must(t, err)
	caller.Policies = []*iam.Policy{policy}
	for _, name := range []string{"secret-idp", "none"} {
		_, err := b.CreateOauth2CredentialProvider(t.Context(), caller, &wire.CreateOauth2CredentialProviderInput{
			Name: "api", CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: custom(jwtGrant), Oauth2ProviderOptions: wire.Oauth2ProviderOptions{IdentityAssertionProvider: &name},
		})
		if fault.KindOf(err) != fault.AccessDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whom assertions are for can be said where something is signed, once; it stays while something is signed.
func TestClientAssertionAudience(t *testing.T) {
	b := open(t)
	hmac := func(in *wire.CreateOauth2CredentialProviderInput) {
		in.TokenEndpointAuthMethod = new(wire.AuthMethodClientSecretJWT)
	}
	vouched := custom(withoutSecret, func(in *customInput) { in.ClientAuthenticationMethod = new(wire.MethodAwsIamIdTokenJwt) })
	for name, c := range map[string]struct {
		config *configInput
		edit   func(*wire.CreateOauth2CredentialProviderInput)
		want   string
	}{
		"hmac":    {config: custom(withSecret(strings.Repeat("h", 32))), edit: hmac},
		"vouched": {config: vouched},
		"actor":   {config: custom(onBehalf(wire.GrantTypeTokenExchange, wire.ActorAwsIamIdTokenJwt))},
		"secret":  {config: custom(), want: "nothing is signed"},
		"preset": {config: github("client", plantedSecret()), edit: func(in *wire.CreateOauth2CredentialProviderInput) {
			in.CredentialProviderVendor = wire.VendorGithubOauth2
		}, want: "nothing is signed with GithubOauth2"},
	} {
		in := &wire.CreateOauth2CredentialProviderInput{Name: name, CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: c.config, Oauth2ProviderOptions: wire.Oauth2ProviderOptions{ClientAssertionAudience: new(wire.AudienceIssuer)}}
		if c.edit != nil {
			c.edit(in)
		}
		_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), in)
		if c.want != "" {
			wantInvalid(t, err, "clientAssertionAudience", c.want)
			continue
		}
		must(t, err)
		if got := b.getProvider(t, name).ClientAssertionAudience; got == nil || *got != wire.AudienceIssuer {
			t.Errorf("%s: %v", name, got)
		}
	}
	key := b.key(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client-1")
	both := signed(key, func(in *customInput) {
		in.PrivateKeyJwtConfig.AdditionalPayloadClaims = claimsOf(map[string]string{"aud": "https://idp.example"})
	})
	_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.CreateOauth2CredentialProviderInput{
		Name: "both", CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: both, Oauth2ProviderOptions: wire.Oauth2ProviderOptions{ClientAssertionAudience: new(wire.AudienceIssuer)},
	})
	wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.privateKeyJwtConfig.additionalPayloadClaims", `"aud"`, "clientAssertionAudience issuer")
	for i, step := range []struct {
		config *configInput
		kept   bool
	}{{vouched, true}, {custom(), false}, {vouched, false}} {
		_, err := b.updateProvider(t, "vouched", wire.VendorCustomOauth2, step.config)
		must(t, err)
		if got := b.getProvider(t, "vouched").ClientAssertionAudience; (got != nil) != step.kept {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
