package control_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/wire"
)

func github(clientID string, clientSecret *secret.String) *configInput {
	return &configInput{GithubOauth2ProviderConfig: &vendorInput{ClientId: clientID, ClientSecret: clientSecret}}
}

func google(clientID string, clientSecret *secret.String) *configInput {
	return &configInput{GoogleOauth2ProviderConfig: &vendorInput{ClientId: clientID, ClientSecret: clientSecret}}
}

type (
	vendor      = wire.CredentialProviderVendor
	configInput = wire.Oauth2ProviderConfigInput
	customInput = wire.CustomOauth2ProviderConfigInput
	vendorInput = wire.VendorOauth2ProviderConfigInput
)

const discoveryURL = "https://idp.example/tenant/.well-known/openid-configuration"

func metadata() *wire.Oauth2AuthorizationServerMetadata {
	return &wire.Oauth2AuthorizationServerMetadata{
		Issuer: "https://idp.example", AuthorizationEndpoint: "https://idp.example/authorize", TokenEndpoint: "https://idp.example/token",
	}
}

// custom is a good CustomOauth2 configuration by explicit metadata, with changes.
func custom(changes ...func(*customInput)) *configInput {
	in := &customInput{
		OauthDiscovery: &wire.Oauth2Discovery{AuthorizationServerMetadata: metadata()}, ClientId: new("client-1"), ClientSecret: plantedSecret(),
	}
	for _, change := range changes {
		change(in)
	}
	return &configInput{CustomOauth2ProviderConfig: in}
}

func byDiscovery(in *customInput) {
	in.OauthDiscovery = &wire.Oauth2Discovery{DiscoveryUrl: new(discoveryURL)}
}

func withoutSecret(in *customInput) { in.ClientSecret = nil }

func withSecret(s string) func(*customInput) {
	return func(in *customInput) { in.ClientSecret = new(secret.New(s)) }
}

func (b *bed) createProvider(t *testing.T, name string, vendor vendor, config *configInput) (*wire.CreateOauth2CredentialProviderOutput, error) {
	t.Helper()
	return b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.CreateOauth2CredentialProviderInput{
		Name: name, CredentialProviderVendor: vendor, Oauth2ProviderConfigInput: config,
	})
}

func (b *bed) updateProvider(t *testing.T, name string, vendor vendor, config *configInput) (*wire.UpdateOauth2CredentialProviderOutput, error) {
	t.Helper()
	return b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
		Name: name, CredentialProviderVendor: vendor, Oauth2ProviderConfigInput: config,
	})
}

func (b *bed) getProvider(t *testing.T, name string) *wire.GetOauth2CredentialProviderOutput {
	t.Helper()
	out, err := b.GetOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.GetOauth2CredentialProviderInput{Name: name})
	must(t, err)
	wantNoSecrets(t, out)
	must(t, wire.Validate(out))
	return out
}

// storedSecret is what would be sent to the vendor, with the generation that it belongs to.
func (b *bed) storedSecret(t *testing.T, name string) (clientSecret, generation string) {
	t.Helper()
	p, err := b.Vault.OAuth2Provider(t.Context(), alpha, name)
	must(t, err)
	s, err := b.Vault.ClientSecret(t.Context(), p)
	must(t, err)
	return s.Reveal(), p.Row.Generation
}

func TestOAuth2Provider(t *testing.T) {
	for name, test := range map[string]struct {
		vendor vendor
		config *configInput
		want   *wire.Oauth2ProviderConfigOutput
	}{
		"Google": {wire.VendorGoogleOauth2, google("client-1", plantedSecret()), &wire.Oauth2ProviderConfigOutput{
			GoogleOauth2ProviderConfig: &wire.VendorOauth2ProviderConfigOutput{
				ClientId: new("client-1"), OauthDiscovery: &wire.Oauth2Discovery{DiscoveryUrl: new("https://accounts.google.com/.well-known/openid-configuration")},
			}}},
		"GitHub": {wire.VendorGithubOauth2, github("client-1", plantedSecret()), &wire.Oauth2ProviderConfigOutput{
			GithubOauth2ProviderConfig: &wire.VendorOauth2ProviderConfigOutput{
				ClientId: new("client-1"), OauthDiscovery: &wire.Oauth2Discovery{AuthorizationServerMetadata: &wire.Oauth2AuthorizationServerMetadata{
					Issuer: "https://github.com", AuthorizationEndpoint: "https://github.com/login/oauth/authorize", TokenEndpoint: "https://github.com/login/oauth/access_token",
				}},
			}}},
		"custom by discovery": {wire.VendorCustomOauth2, custom(byDiscovery, func(in *customInput) {
			in.ClientAuthenticationMethod = new(wire.MethodClientSecretPost)
			in.ClientSecretSource = new(wire.SourceManaged)
		}), &wire.Oauth2ProviderConfigOutput{CustomOauth2ProviderConfig: &wire.CustomOauth2ProviderConfigOutput{
			ClientId: new("client-1"), OauthDiscovery: &wire.Oauth2Discovery{DiscoveryUrl: new(discoveryURL)}, ClientAuthenticationMethod: new(wire.MethodClientSecretPost),
		}}},
		"custom by metadata": {wire.VendorCustomOauth2, custom(func(in *customInput) {
			in.OauthDiscovery.AuthorizationServerMetadata.ResponseTypes = []string{"code"}
			in.OauthDiscovery.AuthorizationServerMetadata.TokenEndpointAuthMethods = []string{"client_secret_post", "client_secret_basic"}
		}), &wire.Oauth2ProviderConfigOutput{CustomOauth2ProviderConfig: &wire.CustomOauth2ProviderConfigOutput{
			ClientId: new("client-1"), OauthDiscovery: &wire.Oauth2Discovery{AuthorizationServerMetadata: &wire.Oauth2AuthorizationServerMetadata{
				Issuer: "https://idp.example", AuthorizationEndpoint: "https://idp.example/authorize", TokenEndpoint: "https://idp.example/token",
				ResponseTypes: []string{"code"}, TokenEndpointAuthMethods: []string{"client_secret_post", "client_secret_basic"},
			}},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := openIn(t, dir, egress.Config{})
				callback, err := b.Vault.CallbackID(t.Context(), alpha, "github") // known before it exists
				must(t, err)
				created, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.CreateOauth2CredentialProviderInput{
					Name: "github", CredentialProviderVendor: test.vendor, Oauth2ProviderConfigInput: test.config, Tags: map[string]string{"team": "x"},
					Oauth2ProviderOptions: wire.Oauth2ProviderOptions{Confirm: new(wire.ConfirmAlways), ScopeMatch: new(wire.ScopeMatchExact)},
				})
				must(t, err)
				wantNoSecrets(t, created)
				must(t, wire.Validate(created))
				p, err := b.Vault.OAuth2Provider(t.Context(), alpha, "github")
				must(t, err)
				noon := time.Now()
				want := &wire.GetOauth2CredentialProviderOutput{
					ClientSecretArn: &wire.Secret{SecretArn: b.ARNs.Secret(alpha, "oauth2", "github", p.Row.Incarnation)}, ClientSecretJsonKey: new("client_secret"),
					ClientSecretSource: new(wire.SourceManaged), Name: "github", CredentialProviderArn: oauth2ARN, CredentialProviderVendor: test.vendor,
					CallbackUrl: new(publicURL + "/identities/oauth2/callback/" + callback), Oauth2ProviderConfigOutput: test.want,
					CreatedTime: wire.Time{Time: noon}, LastUpdatedTime: wire.Time{Time: noon}, Status: new(wire.StatusReady),
					Oauth2ProviderOptions: wire.Oauth2ProviderOptions{Confirm: new(wire.ConfirmAlways), ScopeMatch: new(wire.ScopeMatchExact)},
				}
				if d := cmp.Diff(want, b.getProvider(t, "github")); d != "" {
					t.Error(d)
				}
				wantCreated := &wire.CreateOauth2CredentialProviderOutput{
					ClientSecretArn: want.ClientSecretArn, ClientSecretJsonKey: want.ClientSecretJsonKey, ClientSecretSource: want.ClientSecretSource, Name: "github",
					CredentialProviderArn: oauth2ARN, CallbackUrl: want.CallbackUrl, Oauth2ProviderConfigOutput: test.want, Status: want.Status,
					Oauth2ProviderOptions: wire.Oauth2ProviderOptions{Confirm: want.Confirm, ScopeMatch: want.ScopeMatch},
				}
				if d := cmp.Diff(wantCreated, created); d != "" {
					t.Error(d)
				}
				if got, _ := b.storedSecret(t, "github"); got != planted {
					t.Errorf("stored secret %q", got)
				}
				b.wantTags(t, "token-vault/default/oauth2credentialprovider/github", map[string]string{"team": "x"})

				time.Sleep(time.Hour)
				out, err := b.updateProvider(t, "github", test.vendor, test.config)
				must(t, err)
				wantNoSecrets(t, out)
				must(t, wire.Validate(out))
				want.LastUpdatedTime = wire.Time{Time: noon.Add(time.Hour)}
				wantUpdated := &wire.UpdateOauth2CredentialProviderOutput{
					ClientSecretArn: want.ClientSecretArn, ClientSecretJsonKey: want.ClientSecretJsonKey, ClientSecretSource: want.ClientSecretSource, Name: "github",
					CredentialProviderVendor: test.vendor, CredentialProviderArn: oauth2ARN, CallbackUrl: want.CallbackUrl, Oauth2ProviderConfigOutput: test.want,
					CreatedTime: want.CreatedTime, LastUpdatedTime: want.LastUpdatedTime, Status: want.Status, Oauth2ProviderOptions: wire.Oauth2ProviderOptions{Confirm: want.Confirm, ScopeMatch: want.ScopeMatch},
				}
				if d := cmp.Diff(wantUpdated, out); d != "" {
					t.Error(d)
				}
				if d := cmp.Diff(want, b.getProvider(t, "github")); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// What the request does not say about the extensions stays; what it says replaces.
func TestUpdateOAuth2ProviderExtensions(t *testing.T) {
	b := open(t)
	_, err := b.createProvider(t, "github", wire.VendorGithubOauth2, github("client", plantedSecret()))
	must(t, err)
	if out := b.getProvider(t, "github"); out.Confirm != nil || out.ScopeMatch != nil {
		t.Errorf("without options it has %v, %v", out.Confirm, out.ScopeMatch)
	}
	for _, step := range []struct {
		confirm    *wire.Confirm
		scopeMatch *wire.ScopeMatch
		bound      *bool
		want       string
	}{
		{new(wire.ConfirmFirst), nil, nil, "first, , false"}, {nil, new(wire.ScopeMatchExact), new(true), "first, exact, true"}, {nil, nil, nil, "first, exact, true"},
		{new(wire.ConfirmNever), new(wire.ScopeMatchSubset), new(false), "never, subset, false"},
	} {
		_, err := b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
			Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github("client", nil),
			Oauth2ProviderOptions: wire.Oauth2ProviderOptions{Confirm: step.confirm, ScopeMatch: step.scopeMatch, DpopBoundAccessTokens: step.bound},
		})
		must(t, err)
		p, err := b.Vault.OAuth2Provider(t.Context(), alpha, "github")
		must(t, err)
		if got := fmt.Sprintf("%s, %s, %t", p.Config.Confirm, p.Config.ScopeMatch, b.getProvider(t, "github").DpopBoundAccessTokens != nil); got != step.want {
			t.Errorf("%s, want %s", got, step.want)
		}
	}
}

// A secret stays with the server and client that it was given for. Where tokens could go elsewhere, a new generation begins with a secret of its own.
func TestUpdateOAuth2ProviderGenerations(t *testing.T) {
	b := open(t)
	change := func(f func(m *wire.Oauth2AuthorizationServerMetadata)) func(*customInput) {
		return func(in *customInput) { f(in.OauthDiscovery.AuthorizationServerMetadata) }
	}
	for name, test := range map[string]struct {
		change func(*customInput)
		ends   bool
	}{
		"nothing": {func(*customInput) {}, false},
		"authentication method": {func(in *customInput) {
			in.ClientAuthenticationMethod = new(wire.MethodClientSecretPost)
		}, false},
		"token endpoint path":         {change(func(m *wire.Oauth2AuthorizationServerMetadata) { m.TokenEndpoint = "https://idp.example/v2/token" }), false},
		"token endpoint host case":    {change(func(m *wire.Oauth2AuthorizationServerMetadata) { m.TokenEndpoint = "https://IDP.example:443/token" }), false},
		"authorization endpoint path": {change(func(m *wire.Oauth2AuthorizationServerMetadata) { m.AuthorizationEndpoint = "https://idp.example/a" }), false},
		"token endpoint host":         {change(func(m *wire.Oauth2AuthorizationServerMetadata) { m.TokenEndpoint = "https://evil.example/token" }), true},
		"token endpoint port":         {change(func(m *wire.Oauth2AuthorizationServerMetadata) { m.TokenEndpoint = "https://idp.example:8443/token" }), true},
		"authorization endpoint host": {change(func(m *wire.Oauth2AuthorizationServerMetadata) { m.AuthorizationEndpoint = "https://evil.example/a" }), true},
		"issuer":                      {change(func(m *wire.Oauth2AuthorizationServerMetadata) { m.Issuer = "https://evil.example" }), true},
		"client id":                   {func(in *customInput) { in.ClientId = new("client-2") }, true},
		"discovery instead":           {byDiscovery, true},
	} {
		t.Run(name, func(t *testing.T) {
			idp := strings.ReplaceAll(name, " ", "-")
			_, err := b.createProvider(t, idp, wire.VendorCustomOauth2, custom())
			must(t, err)
			_, generation := b.storedSecret(t, idp)
			created, before := b.getProvider(t, idp), b.rows(t)

			_, err = b.updateProvider(t, idp, wire.VendorCustomOauth2, custom(test.change, withoutSecret))
			if test.ends {
				wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecret", "is required when")
				if b.rows(t) != before {
					t.Error("rows changed")
				}
				_, err = b.updateProvider(t, idp, wire.VendorCustomOauth2, custom(test.change, withSecret("")))
				wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecret", "is required when")
			} else {
				must(t, err)
			}
			if got, g := b.storedSecret(t, idp); got != planted || g != generation {
				t.Errorf("stored secret %q of generation %s, want the old ones, %s", got, g, generation)
			}

			_, err = b.updateProvider(t, idp, wire.VendorCustomOauth2, custom(test.change, withSecret("new secret")))
			must(t, err)
			if got, g := b.storedSecret(t, idp); got != "new secret" || (g == generation) == test.ends {
				t.Errorf("stored secret %q, generation %s, was %s", got, g, generation)
			}
			after := b.getProvider(t, idp)
			if *after.CallbackUrl != *created.CallbackUrl || *after.ClientSecretArn != *created.ClientSecretArn || !after.CreatedTime.Equal(created.CreatedTime.Time) {
				t.Errorf("an update made another provider: %+v, was %+v", after, created)
			}
			// Back again is yet another generation: what was made for the first one stays there.
			_, err = b.updateProvider(t, idp, wire.VendorCustomOauth2, custom())
			must(t, err)
			if _, g := b.storedSecret(t, idp); (g == generation) == test.ends {
				t.Errorf("back again: generation %s, was %s", g, generation)
			}
		})
	}
}

func TestUpdateOAuth2ProviderVendor(t *testing.T) {
	b := open(t)
	_, err := b.createProvider(t, "github", wire.VendorGithubOauth2, github("client", plantedSecret()))
	must(t, err)
	before := b.rows(t)
	_, err = b.updateProvider(t, "github", wire.VendorGoogleOauth2, google("client", plantedSecret()))
	wantInvalid(t, err, "credentialProviderVendor", "is GoogleOauth2", "created with GithubOauth2")
	_, err = b.updateProvider(t, "github", wire.VendorCustomOauth2, custom())
	wantInvalid(t, err, "credentialProviderVendor", "is CustomOauth2")
	if b.rows(t) != before {
		t.Error("rows changed")
	}
}

func TestOAuth2ProviderNameIsTaken(t *testing.T) {
	b := open(t)
	create := func(clientID string) error {
		_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.CreateOauth2CredentialProviderInput{
			Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github(clientID, plantedSecret()),
			Tags: map[string]string{"k": clientID},
		})
		return err
	}
	must(t, create("one"))
	before, first := b.rows(t), b.getProvider(t, "github")
	_, generation := b.storedSecret(t, "github")
	if err := create("two"); fault.KindOf(err) != fault.Conflict || b.rows(t) != before {
		t.Errorf("%v, want a conflict that changes nothing", err)
	}
	_, err := b.DeleteOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.DeleteOauth2CredentialProviderInput{Name: "github"})
	must(t, err)
	_, err = b.GetOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.GetOauth2CredentialProviderInput{Name: "github"})
	wantNotFound(t, err, oauth2ARN)
	must(t, create("one")) // as it was, and yet another
	again := b.getProvider(t, "github")
	if *again.CallbackUrl != *first.CallbackUrl {
		t.Errorf("callback URL %s, was %s: it is registered at the vendor", *again.CallbackUrl, *first.CallbackUrl)
	}
	if _, g := b.storedSecret(t, "github"); g == generation || *again.ClientSecretArn == *first.ClientSecretArn {
		t.Error("it has the generation or the secret of the deleted one")
	}
}

// inVain is a configuration that this version cannot serve, with the member that the refusal names, below the union, and what it says.
type inVain struct {
	vendor       vendor
	config       *configInput
	member, says string
}

// customInVain are changes that spoil a good custom configuration.
var customInVain = map[string]struct {
	change       func(*customInput)
	member, says string
}{
	"EXTERNAL secret": {func(in *customInput) { in.ClientSecretSource = new(wire.SourceExternal) }, "clientSecretConfig", "is required when"},
	"EXTERNAL secret and no other": {func(in *customInput) {
		in.ClientSecret, in.ClientSecretSource = nil, new(wire.SourceExternal)
	}, "clientSecretConfig", "is required when"},
	"reference to a secret": {func(in *customInput) {
		in.ClientSecretConfig = &wire.SecretReference{SecretId: "x", JsonKey: "y"}
	}, "clientSecretConfig", "cannot be given together with"},
	"actor of a JWT grant": {onBehalf(wire.GrantTypeJwtAuthorizationGrant, wire.ActorNone), "onBehalfOfTokenExchangeConfig.tokenExchangeGrantTypeConfig", "is for the grant type TOKEN_EXCHANGE"},
	"scopes of an actor AWS_IAM_ID_TOKEN_JWT": {
		onBehalf(wire.GrantTypeTokenExchange, wire.ActorAwsIamIdTokenJwt, "act"), "onBehalfOfTokenExchangeConfig.tokenExchangeGrantTypeConfig.actorTokenScopes",
		"is for the actorTokenContent M2M, not AWS_IAM_ID_TOKEN_JWT",
	},
	"scopes of no actor": {
		onBehalf(wire.GrantTypeTokenExchange, wire.ActorNone, "act"), "onBehalfOfTokenExchangeConfig.tokenExchangeGrantTypeConfig.actorTokenScopes", "is for the actorTokenContent M2M, not NONE",
	},
	"private_key_jwt with a client secret": {func(in *customInput) { in.PrivateKeyJwtConfig = &wire.PrivateKeyJwtConfig{} }, "privateKeyJwtConfig", "is for clientAuthenticationMethod PRIVATE_KEY_JWT"},
	"a client secret with PRIVATE_KEY_JWT": {func(in *customInput) {
		in.ClientAuthenticationMethod = new(wire.MethodPrivateKeyJwt)
	}, "clientSecret", "is not used with PRIVATE_KEY_JWT"},
	"a client secret with AWS_IAM_ID_TOKEN_JWT": {func(in *customInput) {
		in.ClientAuthenticationMethod = new(wire.MethodAwsIamIdTokenJwt)
	}, "clientSecret", "is not used with AWS_IAM_ID_TOKEN_JWT"},
	"private_key_jwt with AWS_IAM_ID_TOKEN_JWT": {func(in *customInput) {
		in.ClientSecret, in.ClientAuthenticationMethod, in.PrivateKeyJwtConfig = nil, new(wire.MethodAwsIamIdTokenJwt), &wire.PrivateKeyJwtConfig{}
	}, "privateKeyJwtConfig", "is for clientAuthenticationMethod PRIVATE_KEY_JWT"},
	"private endpoint": {func(in *customInput) { in.PrivateEndpoint = &wire.PrivateEndpoint{} }, "privateEndpoint", "--allow-private-hosts"},
	"private endpoint of one host": {func(in *customInput) {
		in.PrivateEndpointOverrides = []wire.PrivateEndpointOverride{{Domain: "idp.example", PrivateEndpoint: &wire.PrivateEndpoint{}}}
	}, "privateEndpointOverrides", "--allow-private-hosts"},
	"both authentication method members": {func(in *customInput) {
		in.ClientAuthenticationMethod = new(wire.MethodClientSecretBasic)
		in.OauthDiscovery.AuthorizationServerMetadata.TokenEndpointAuthMethods = []string{"client_secret_basic"}
	}, "clientAuthenticationMethod", "cannot be given together with oauthDiscovery.authorizationServerMetadata.tokenEndpointAuthMethods"},
	"no client id":    {func(in *customInput) { in.ClientId = nil }, "clientId", "is required"},
	"empty client id": {func(in *customInput) { in.ClientId = new("") }, "clientId", "is required"},
}

// What cannot be done is refused by name, at creation and at update, and nothing is written.
func TestOAuth2ProviderRefusals(t *testing.T) {
	b := open(t)
	there := map[vendor]string{wire.VendorCustomOauth2: "a-custom", wire.VendorGithubOauth2: "a-github", wire.VendorGoogleOauth2: "a-google"}
	for vendor, config := range map[vendor]*configInput{
		wire.VendorCustomOauth2: custom(), wire.VendorGithubOauth2: github("c", plantedSecret()), wire.VendorGoogleOauth2: google("c", plantedSecret()),
	} {
		_, err := b.createProvider(t, there[vendor], vendor, config)
		must(t, err)
	}
	before := b.rows(t)
	refused := func(t *testing.T, err error, member string, says ...string) {
		t.Helper()
		wantInvalid(t, err, member, says...)
		if b.rows(t) != before {
			t.Fatal("rows changed")
		}
	}

	tests := map[string]inVain{
		"GitHub: EXTERNAL secret": {wire.VendorGithubOauth2, &configInput{GithubOauth2ProviderConfig: &vendorInput{
			ClientId: "c", ClientSecret: plantedSecret(), ClientSecretSource: new(wire.SourceExternal),
		}}, ".githubOauth2ProviderConfig.clientSecretConfig", "is required when"},
		"Google: reference to a secret": {wire.VendorGoogleOauth2, &configInput{GoogleOauth2ProviderConfig: &vendorInput{
			ClientId: "c", ClientSecretConfig: &wire.SecretReference{SecretId: "x", JsonKey: "y"},
		}}, ".googleOauth2ProviderConfig.clientSecretSource", "must be EXTERNAL when"},
		"custom: GitHub's member": {wire.VendorCustomOauth2, github("c", plantedSecret()), "", "customOauth2ProviderConfig for vendor CustomOauth2"},
		"GitHub: Google's member": {wire.VendorGithubOauth2, google("c", plantedSecret()), "", "githubOauth2ProviderConfig for vendor GithubOauth2"},
		"Google: custom's member": {wire.VendorGoogleOauth2, custom(), "", "googleOauth2ProviderConfig for vendor GoogleOauth2"},
		"Google: the member for other vendors": {wire.VendorGoogleOauth2, &configInput{
			IncludedOauth2ProviderConfig: &wire.IncludedOauth2ProviderConfigInput{ClientId: "c", ClientSecret: plantedSecret()},
		}, "", "googleOauth2ProviderConfig for vendor GoogleOauth2"},
	}
	for name, c := range customInVain {
		tests["custom: "+name] = inVain{wire.VendorCustomOauth2, custom(c.change), ".customOauth2ProviderConfig." + c.member, c.says}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := b.createProvider(t, "new", test.vendor, test.config)
			refused(t, err, union+test.member, test.says)
			_, err = b.updateProvider(t, there[test.vendor], test.vendor, test.config)
			refused(t, err, union+test.member, test.says)
		})
	}
	for name, test := range map[string]inVain{
		"custom":            {wire.VendorCustomOauth2, custom(withoutSecret), "customOauth2ProviderConfig", ""},
		"custom, discovery": {wire.VendorCustomOauth2, custom(withoutSecret, byDiscovery), "customOauth2ProviderConfig", ""},
		"GitHub":            {wire.VendorGithubOauth2, github("c", nil), "githubOauth2ProviderConfig", ""},
		"Google":            {wire.VendorGoogleOauth2, google("c", new(secret.String)), "googleOauth2ProviderConfig", ""},
	} {
		t.Run("creation without a secret: "+name, func(t *testing.T) {
			_, err := b.createProvider(t, "new", test.vendor, test.config)
			refused(t, err, union+"."+test.member+".clientSecret", "is required")
		})
	}
}

// closed are addresses that no token may go to, as a URL's scheme and host.
var closed = []string{
	"http://idp.example", "https://10.0.0.1", "https://192.168.1.1:8443", "https://[::ffff:10.0.0.1]", "https://[64:ff9b::a00:1]", "https://0.0.0.0",
	"https://167772161", "https://0xa000001",
	"https://127.0.0.1", "https://[::1]", "https://localhost", "https://169.254.169.254", "https://[fd00:ec2::254]", "https://[fe80::1]", "https://100.100.100.200",
	"ftp://idp.example", "javascript://idp.example", "//idp.example", "https://user:password@idp.example", "https://idp.example\\@10.0.0.1", "https://",
}

// members are the URLs of a custom configuration.
var members = map[string]func(in *customInput, base string){
	"discoveryUrl": func(in *customInput, base string) {
		in.OauthDiscovery = &wire.Oauth2Discovery{DiscoveryUrl: new(base + "/.well-known/openid-configuration")}
	},
	"authorizationServerMetadata.issuer": func(in *customInput, base string) {
		in.OauthDiscovery.AuthorizationServerMetadata.Issuer = base
	},
	"authorizationServerMetadata.authorizationEndpoint": func(in *customInput, base string) {
		in.OauthDiscovery.AuthorizationServerMetadata.AuthorizationEndpoint = base + "/authorize"
	},
	"authorizationServerMetadata.tokenEndpoint": func(in *customInput, base string) {
		in.OauthDiscovery.AuthorizationServerMetadata.TokenEndpoint = base + "/token?x=1"
	},
}

func TestURLsOfOAuth2Providers(t *testing.T) {
	b := open(t)
	_, err := b.createProvider(t, "there", wire.VendorCustomOauth2, custom())
	must(t, err)
	for member, set := range members {
		before := b.rows(t)
		for _, base := range closed {
			t.Run(member+" "+base, func(t *testing.T) {
				config := custom(func(in *customInput) { set(in, base) })
				path := "oauth2ProviderConfigInput.customOauth2ProviderConfig.oauthDiscovery." + member
				_, err := b.createProvider(t, "new", wire.VendorCustomOauth2, config)
				wantInvalid(t, err, path)
				_, err = b.updateProvider(t, "there", wire.VendorCustomOauth2, config)
				wantInvalid(t, err, path)
				if b.rows(t) != before {
					t.Fatal("rows changed")
				}
			})
		}
		t.Run(member+" public", func(t *testing.T) {
			config := custom(func(in *customInput) { set(in, "https://login.example:8443/tenant") })
			_, err := b.createProvider(t, "good", wire.VendorCustomOauth2, config)
			must(t, err)
			_, err = b.DeleteOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.DeleteOauth2CredentialProviderInput{Name: "good"})
			must(t, err)
		})
	}
}

// A URL with a password in it is refused without repeating the password: messages end in logs and on screens.
func TestPasswordsInURLsAreNotRepeated(t *testing.T) {
	b := open(t)
	const base = "https://user:" + planted + "@idp.example"
	for member, set := range members {
		_, err := b.createProvider(t, "new", wire.VendorCustomOauth2, custom(func(in *customInput) { set(in, base) }))
		wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.oauthDiscovery."+member, "user name or password")
	}
	in := &wire.CreateWorkloadIdentityInput{Name: "agent", AllowedResourceOauth2ReturnUrls: []string{base}}
	_, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, alpha), in)
	wantInvalid(t, err, "allowedResourceOauth2ReturnUrls[0]", "user")
}

// With --dev vendors may be on this machine and in private networks, but metadata services stay closed.
func TestURLsOfOAuth2ProvidersInDevelopment(t *testing.T) {
	b := openIn(t, t.TempDir(), egress.Config{Dev: true})
	for member, set := range members {
		for n, base := range []string{"http://127.0.0.1:9000", "http://localhost:9000", "https://10.0.0.1", "http://[::1]:9000"} {
			name := fmt.Sprintf("p%d-%s", n, strings.ReplaceAll(member, ".", "-"))
			_, err := b.createProvider(t, name, wire.VendorCustomOauth2, custom(func(in *customInput) { set(in, base) }))
			if err != nil {
				t.Errorf("%s %s: %v", member, base, err)
			}
		}
		for _, base := range []string{"http://169.254.169.254", "http://[fd00:ec2::254]", "https://0.0.0.0"} {
			_, err := b.createProvider(t, "new", wire.VendorCustomOauth2, custom(func(in *customInput) { set(in, base) }))
			wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.oauthDiscovery."+member)
		}
	}
}

// Whatever updates race: each that is answered well was made whole, and a client id never gets another one's secret.
func TestConcurrentUpdates(t *testing.T) {
	b := open(t)
	_, err := b.createProvider(t, "github", wire.VendorGithubOauth2, github("0", new(secret.New("secret of 0"))))
	must(t, err)
	var mu sync.Mutex
	var done []string
	var all sync.WaitGroup
	for n := 1; n <= 12; n++ {
		all.Go(func() {
			id := strconv.Itoa(n)
			_, err := b.UpdateOauth2CredentialProvider(context.Background(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
				Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github(id, new(secret.New("secret of "+id))),
			})
			switch {
			case err == nil:
				mu.Lock()
				done = append(done, id)
				mu.Unlock()
			case !errors.Is(err, fault.Conflict):
				t.Errorf("update %s: %v", id, err)
			}
		})
	}
	all.Wait()
	id := *b.getProvider(t, "github").Oauth2ProviderConfigOutput.GithubOauth2ProviderConfig.ClientId
	if got, _ := b.storedSecret(t, "github"); got != "secret of "+id || !slices.Contains(done, id) {
		t.Errorf("client id %s has the secret %q; answered well were %v", id, got, done)
	}
	p, err := b.Store.OAuth2Provider(t.Context(), alpha, "github")
	if err != nil || p.Version != int64(len(done))+1 {
		t.Errorf("version %d, %v, after %d updates", p.Version, err, len(done))
	}
}

// A provider that is deleted while it is updated is gone.
func TestUpdateAndDeleteRace(t *testing.T) {
	b := open(t)
	for range 10 {
		_, err := b.createProvider(t, "github", wire.VendorGithubOauth2, github("c", plantedSecret()))
		must(t, err)
		var both sync.WaitGroup
		both.Go(func() {
			_, err := b.UpdateOauth2CredentialProvider(context.Background(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
				Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github("d", plantedSecret()),
			})
			if err != nil && !errors.Is(err, fault.NotFound) {
				t.Errorf("update: %v", err)
			}
		})
		both.Go(func() {
			_, err := b.DeleteOauth2CredentialProvider(context.Background(), administrator(t, alpha), &wire.DeleteOauth2CredentialProviderInput{Name: "github"})
			if err != nil {
				t.Errorf("delete: %v", err)
			}
		})
		both.Wait()
		_, err = b.GetOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.GetOauth2CredentialProviderInput{Name: "github"})
		wantNotFound(t, err, oauth2ARN)
	}
}
