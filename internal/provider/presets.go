package provider

import (
	"net/url"

	"credence/internal/oauth"
	"credence/internal/wire"
)

// Vendor is a far OAuth server, as data: a preset, or what a CustomOauth2 provider says of its own.
type Vendor struct {
	Name                  wire.CredentialProviderVendor
	Issuer                string
	AuthorizationEndpoint string
	TokenEndpoint         string
	DiscoveryURL          string // shown to clients instead of the endpoints, where the vendor has one
	IssInResponse         bool   // the vendor sends iss to the callback (RFC 9207)
	AuthMethod            oauth.AuthMethod

	ScopeSeparator         string     // in requests; "" is a space
	ResponseScopeSeparator string     // in answers; "" is a space
	AuthorizeParameters    url.Values // always sent to the authorization endpoint, unless the request gives its own
	// FrontChannelOnly are names of customParameters that change the consent but not the token, beside those that every vendor has.
	FrontChannelOnly []string
	// ScopeAliases are names under which the vendor grants what was asked by another.
	ScopeAliases map[string]string
	// RefreshTokenReusable: a refresh token stays good after use, so one that may have been spent can be tried again.
	RefreshTokenReusable bool
}

// Presets are the vendors, one literal each. Sources: the vendors' public documentation.
var Presets = []Vendor{
	{
		Name:                  wire.VendorGoogleOauth2,
		Issuer:                "https://accounts.google.com",
		AuthorizationEndpoint: "https://accounts.google.com/o/oauth2/v2/auth",
		TokenEndpoint:         "https://oauth2.googleapis.com/token",
		DiscoveryURL:          "https://accounts.google.com/.well-known/openid-configuration",
		IssInResponse:         true,
		AuthMethod:            oauth.ClientSecretPost,
		FrontChannelOnly:      []string{"access_type", "hd"},
		ScopeAliases: map[string]string{
			"email":   "https://www.googleapis.com/auth/userinfo.email",
			"profile": "https://www.googleapis.com/auth/userinfo.profile",
		},
		RefreshTokenReusable: true,
	},
	{
		Name:                   wire.VendorGithubOauth2,
		Issuer:                 "https://github.com",
		AuthorizationEndpoint:  "https://github.com/login/oauth/authorize",
		TokenEndpoint:          "https://github.com/login/oauth/access_token",
		AuthMethod:             oauth.ClientSecretPost,
		ResponseScopeSeparator: ",",
		FrontChannelOnly:       []string{"login", "allow_signup"},
	},
}
