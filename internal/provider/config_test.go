package provider_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/wire"
)

func discovered() provider.Config {
	return provider.Config{
		Vendor: wire.VendorCustomOauth2, ClientID: "client-1", DiscoveryURL: "https://idp.example/.well-known/openid-configuration",
		AuthMethod: wire.MethodClientSecretPost, Confirm: wire.ConfirmFirst, ScopeMatch: wire.ScopeMatchSubset,
	}
}

func explicit() provider.Config {
	c := discovered()
	c.DiscoveryURL = ""
	c.Metadata = &provider.Metadata{
		Issuer: "https://idp.example", AuthorizationEndpoint: "https://idp.example/authorize", TokenEndpoint: "https://idp.example/token",
		ResponseTypes: []string{"code"}, TokenEndpointAuthMethods: []string{"client_secret_post"},
	}
	return c
}

// A generation ends when a secret, code or token of before would go to somebody else. The table names every field there is: what a new
// field means for the generation must be decided here.
func TestSameGeneration(t *testing.T) {
	type change = func(*provider.Config)
	tests := []struct {
		name   string
		from   provider.Config
		change change
		same   bool
	}{
		{"nothing", discovered(), func(*provider.Config) {}, true},
		{"nothing explicit", explicit(), func(*provider.Config) {}, true},
		{"Vendor", discovered(), func(c *provider.Config) { c.Vendor = wire.VendorOktaOauth2 }, false},
		{"ClientID", discovered(), func(c *provider.Config) { c.ClientID = "client-2" }, false},
		{"ClientID case", discovered(), func(c *provider.Config) { c.ClientID = "Client-1" }, false},
		{"DiscoveryURL host", discovered(), func(c *provider.Config) { c.DiscoveryURL = "https://evil.example/.well-known/openid-configuration" }, false},
		{"DiscoveryURL path", discovered(), func(c *provider.Config) { c.DiscoveryURL = "https://idp.example/t2/.well-known/openid-configuration" }, false},
		{"DiscoveryURL for Metadata", explicit(), func(c *provider.Config) { *c = discovered() }, false},
		{"Metadata for DiscoveryURL", discovered(), func(c *provider.Config) { *c = explicit() }, false},
		{"AuthMethod", discovered(), func(c *provider.Config) { c.AuthMethod = "" }, true},
		{"OnBehalfOf", discovered(), func(c *provider.Config) { c.OnBehalfOf = &provider.OnBehalfOf{NoClient: true} }, true},
		{"Confirm", discovered(), func(c *provider.Config) { c.Confirm = wire.ConfirmNever }, true},
		{"Tenant", discovered(), func(c *provider.Config) { c.Tenant = "contoso" }, false},
		{"Host", discovered(), func(c *provider.Config) { c.Host = "github.example" }, false},
		{"ScopeMatch", discovered(), func(c *provider.Config) { c.ScopeMatch = wire.ScopeMatchExact }, true},
		{"signing algorithm", discovered(), func(c *provider.Config) { c.SigningAlgorithm = wire.AlgorithmES256 }, true},
		{"Resource", discovered(), func(c *provider.Config) { c.Resource = "https://mcp.example/mcp" }, true},
		{"Registration", discovered(), func(c *provider.Config) { c.Registration = &provider.Registration{} }, true},
		{"DeviceAuthorization", discovered(), func(c *provider.Config) { c.DeviceAuthorization = true }, true},
		{"AssertionAudience", discovered(), func(c *provider.Config) { c.AssertionAudience = wire.AudienceIssuer }, true},
		{"RefreshTokenGraceSeconds", discovered(), func(c *provider.Config) { c.RefreshTokenGraceSeconds = 30 }, true},
		{"RefreshTokenIdleSeconds", discovered(), func(c *provider.Config) { c.RefreshTokenIdleSeconds = 30 }, true},
		{"MinimumValiditySeconds", discovered(), func(c *provider.Config) { c.MinimumValiditySeconds = 30 }, true},

		{"ClientID with Metadata", explicit(), func(c *provider.Config) { c.ClientID = "client-2" }, false},
		{"Metadata.Issuer", explicit(), func(c *provider.Config) { c.Metadata.Issuer = "https://other.example" }, false},
		{"Metadata.Issuer path", explicit(), func(c *provider.Config) { c.Metadata.Issuer += "/tenant" }, false},
		{"TokenEndpointAuthMethod", explicit(), func(c *provider.Config) { c.TokenEndpointAuthMethod = "none" }, true},
		{"ResourceIndicators", explicit(), func(c *provider.Config) { c.ResourceIndicators = new(bool) }, true},
		{"SignedRequests", explicit(), func(c *provider.Config) { c.SignedRequests = true }, true},
		{"DPoPBound", explicit(), func(c *provider.Config) { c.DPoPBound = true }, true},
		{"Metadata.ResponseTypes", explicit(), func(c *provider.Config) { c.Metadata.ResponseTypes = nil }, true},
		{"Metadata.TokenEndpointAuthMethods", explicit(), func(c *provider.Config) { c.Metadata.TokenEndpointAuthMethods = nil }, true},
	}
	for endpoint, set := range map[string]func(*provider.Config, string){
		"Metadata.AuthorizationEndpoint": func(c *provider.Config, u string) { c.Metadata.AuthorizationEndpoint = u },
		"Metadata.TokenEndpoint":         func(c *provider.Config, u string) { c.Metadata.TokenEndpoint = u },
	} {
		for url, same := range map[string]bool{
			"https://idp.example/v2":                     true, // another path at the same server
			"https://idp.example/token?tenant=1":         true,
			"https://IDP.Example/token":                  true, // DNS ignores case
			"https://idp.example:443/token":              true, // the default port
			"HTTPS://idp.example/token":                  true,
			"http://idp.example/token":                   false,
			"http://idp.example:443/token":               false,
			"https://idp.example:80/token":               false,
			"https://idp.example:8443/token":             false,
			"https://evil.example/token":                 false,
			"https://idp.example.evil.example/token":     false,
			"https://evil.example/https://idp.example/":  false,
			"https://idp.example@evil.example/token":     false,
			"https://evil.example:443?h=idp.example:443": false,
			"%": false,
			"":  false,
		} {
			tests = append(tests, struct {
				name   string
				from   provider.Config
				change change
				same   bool
			}{endpoint + " " + url, explicit(), func(c *provider.Config) { set(c, url) }, same})
		}
	}

	changed := map[string]bool{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			next := test.from
			if next.Metadata != nil {
				next.Metadata = new(*next.Metadata)
			}
			test.change(&next)
			if test.from.SameGeneration(next) != test.same || next.SameGeneration(test.from) != test.same {
				t.Errorf("same = %v one way, %v the other, want %v", test.from.SameGeneration(next), next.SameGeneration(test.from), test.same)
			}
			noteChanges(changed, "", reflect.ValueOf(test.from), reflect.ValueOf(next))
			if test.from.Metadata != nil && next.Metadata != nil {
				noteChanges(changed, "Metadata.", reflect.ValueOf(*test.from.Metadata), reflect.ValueOf(*next.Metadata))
			}
		})
	}
	for prefix, shape := range map[string]reflect.Type{"": reflect.TypeFor[provider.Config](), "Metadata.": reflect.TypeFor[provider.Metadata]()} {
		for f := range shape.Fields() {
			if !changed[prefix+f.Name] {
				t.Errorf("no test changes %s%s; those that do: %v", prefix, f.Name, slices.Sorted(maps.Keys(changed)))
			}
		}
	}
}

func noteChanges(changed map[string]bool, prefix string, a, b reflect.Value) {
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			changed[prefix+a.Type().Field(i).Name] = true
		}
	}
}

func TestCallbackURL(t *testing.T) {
	const id = "01234567-89ab-8def-8123-456789abcdef"
	if got := provider.CallbackURL("https://credence.example", id); got != "https://credence.example/identities/oauth2/callback/"+id {
		t.Error(got)
	}
}

// A registered client has a secret only when its server gave it one, whatever methods are the default.
func TestSecretKindOfRegisteredClient(t *testing.T) {
	for method, want := range map[oauth.AuthMethod]provider.SecretKind{
		oauth.None: provider.NoSecret, oauth.ClientSecretBasic: provider.Password, oauth.ClientSecretPost: provider.Password,
	} {
		c := provider.Config{Vendor: wire.VendorCustomOauth2, Registration: &provider.Registration{Method: provider.Dynamic, AuthMethod: method}}
		if got := c.SecretKind(); got != want {
			t.Errorf("%s: %s, want %s", method, got, want)
		}
	}
}
