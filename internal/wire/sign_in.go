package wire

import "credence/internal/secret"

// The operations on sign-in providers are extensions: where people of an account sign in to the console.

// PutSignInProviderInput is the request of PutSignInProvider: a new provider, or another one in place of that of the name, which is replaced as a whole. Issuer is an
// OpenID Connect issuer as its ID tokens write it (iss). Without ClientSecret the client is a public one. Scopes are openid, profile and email unless they are said.
type PutSignInProviderInput struct {
	Name         string         `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	Issuer       string         `json:"issuer" wire:"required,len=1..2048"`
	ClientId     string         `json:"clientId" wire:"required,len=1..256"`
	ClientSecret *secret.String `json:"clientSecret" wire:"len=1..2048"`
	Scopes       []string       `json:"scopes,omitzero" wire:"items=1..20,each.len=1..128"`
}

// PutSignInProviderOutput is the answer of PutSignInProvider.
type PutSignInProviderOutput SignInProvider

// SignInProvider is where people of an account sign in, without its secret.
type SignInProvider struct {
	Name              string   `json:"name" wire:"required"`
	SignInProviderArn string   `json:"signInProviderArn" wire:"required"`
	Issuer            string   `json:"issuer" wire:"required"`
	ClientId          string   `json:"clientId" wire:"required"`
	PublicClient      *bool    `json:"publicClient" wire:"required"` // it has no secret
	Scopes            []string `json:"scopes" wire:"required"`
	RedirectUri       string   `json:"redirectUri" wire:"required"` // to register at the issuer
	SignInUrl         string   `json:"signInUrl" wire:"required"`   // where people begin
	CreatedTime       Time     `json:"createdTime" wire:"required"`
	LastUpdatedTime   Time     `json:"lastUpdatedTime" wire:"required"`
}

// ListSignInProvidersInput is the request of ListSignInProviders.
type ListSignInProvidersInput struct{}

// ListSignInProvidersOutput is the answer of ListSignInProviders.
type ListSignInProvidersOutput struct {
	SignInProviders []SignInProvider `json:"signInProviders" wire:"required"`
}

// DeleteSignInProviderInput is the request of DeleteSignInProvider.
type DeleteSignInProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// DeleteSignInProviderOutput is the answer of DeleteSignInProvider.
type DeleteSignInProviderOutput struct{}
