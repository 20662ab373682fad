package provider_test

import (
	"testing"

	"credence/internal/provider"
	"credence/internal/wire"
)

// A token is revoked where it is from: the endpoint follows the provider's own host, and there is none when a preset's would be another server's.
func TestRevocationEndpoint(t *testing.T) {
	metadata := func(tokenEndpoint string) *provider.Metadata {
		return &provider.Metadata{Issuer: "https://i.example", AuthorizationEndpoint: "https://i.example/authorize", TokenEndpoint: tokenEndpoint}
	}
	for name, test := range map[string]struct {
		config provider.Config
		want   string
	}{
		"GitHub":                   {provider.Config{Vendor: wire.VendorGithubOauth2, ClientID: "Iv1.a/b"}, "https://api.github.com/applications/Iv1.a%2Fb/grant"},
		"GitHub Enterprise Server": {provider.Config{Vendor: wire.VendorGithubOauth2, ClientID: "c", Host: "git.example:8443"}, "https://git.example:8443/api/v3/applications/c/grant"},
		"Salesforce":               {provider.Config{Vendor: wire.VendorSalesforceOauth2}, "https://login.salesforce.com/services/oauth2/revoke"},
		"Salesforce, My Domain":    {provider.Config{Vendor: wire.VendorSalesforceOauth2, Host: "a.my.salesforce.com"}, "https://a.my.salesforce.com/services/oauth2/revoke"},
		"Google at other endpoints, which are not Google's": {provider.Config{Vendor: wire.VendorGoogleOauth2, Metadata: metadata("https://i.example/token")}, ""},
		"Okta":                                   {provider.Config{Vendor: wire.VendorOktaOauth2, Metadata: metadata("https://e.okta.com/oauth2/default/v1/token")}, "https://e.okta.com/oauth2/default/v1/revoke"},
		"OneLogin":                               {provider.Config{Vendor: wire.VendorOneLoginOauth2, Metadata: metadata("https://e.onelogin.com/oidc/2/token")}, "https://e.onelogin.com/oidc/2/token/revocation"},
		"CyberArk":                               {provider.Config{Vendor: wire.VendorCyberArkOauth2, Metadata: metadata("https://e.id.cyberark.cloud/OAuth2/Token/app")}, "https://e.id.cyberark.cloud/OAuth2/revoke/app"},
		"a host that is called like the segment": {provider.Config{Vendor: wire.VendorOktaOauth2, Metadata: metadata("https://token/x")}, ""},
		"a path that only begins like the segment":            {provider.Config{Vendor: wire.VendorOktaOauth2, Metadata: metadata("https://e.example/tokens")}, ""},
		"an encoded path stays as it is":                      {provider.Config{Vendor: wire.VendorOktaOauth2, Metadata: metadata("https://e.example/a%2Fb/token")}, "https://e.example/a%2Fb/revoke"},
		"a user before the host is no part of it":             {provider.Config{Vendor: wire.VendorOktaOauth2, Metadata: metadata("https://evil.example@e.example/token")}, "https://e.example/revoke"},
		"a custom one with explicit metadata, which say none": {provider.Config{Vendor: wire.VendorCustomOauth2, Metadata: metadata("https://i.example/token")}, ""},
		"Microsoft has none":                                  {provider.Config{Vendor: wire.VendorMicrosoftOauth2}, ""},
	} {
		if got := newResolver(t).Located(test.config).Revocation.Endpoint; got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
