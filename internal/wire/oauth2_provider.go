package wire

// CreateOauth2CredentialProviderInput is the request of CreateOauth2CredentialProvider.
type CreateOauth2CredentialProviderInput struct {
	Name                      string                     `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor  CredentialProviderVendor   `json:"credentialProviderVendor" wire:"required"`
	Oauth2ProviderConfigInput *Oauth2ProviderConfigInput `json:"oauth2ProviderConfigInput" wire:"required"`
	Tags                      map[string]string          `json:"tags" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
	Oauth2ProviderOptions
}

// Oauth2ProviderOptions are what a provider may be told beyond the API: extensions, in the body or as headers. In an update, what is left out stays.
type Oauth2ProviderOptions struct {
	// Confirm says whether a person is asked here before going to the vendor.
	Confirm *Confirm `json:"confirm,omitzero" header:"X-Credence-Confirm"`
	// ScopeMatch says when scopes that were granted are enough for a request.
	ScopeMatch *ScopeMatch `json:"scopeMatch,omitzero" header:"X-Credence-Scope-Match"`
	// VendorHost is the host of a vendor that customers run themselves or that has several, such as github.example.com.
	VendorHost *string `json:"vendorHost,omitzero" header:"X-Credence-Vendor-Host" wire:"len=1..253,pattern=host"`
	// RefreshTokenGraceSeconds is how long the vendor still takes a refresh token that it has rotated, and answers what it answered before.
	RefreshTokenGraceSeconds *int32 `json:"refreshTokenGraceSeconds,omitzero" header:"X-Credence-Refresh-Token-Grace-Seconds" wire:"range=0..3600"`
	// RefreshTokenIdleSeconds is how long a refresh token may lie unused before the vendor forgets it; it is used in time.
	RefreshTokenIdleSeconds *int32 `json:"refreshTokenIdleSeconds,omitzero" header:"X-Credence-Refresh-Token-Idle-Seconds" wire:"range=0..63072000"`
	// MinimumValiditySeconds is that of requests for tokens which do not say any.
	MinimumValiditySeconds *int32 `json:"minimumValiditySeconds,omitzero" header:"X-Credence-Minimum-Validity-Seconds" wire:"range=0..86400"`
	// DpopBoundAccessTokens binds the tokens of this client to keys that the vault keeps (RFC 9449 section 5.2).
	DpopBoundAccessTokens *bool `json:"dpopBoundAccessTokens,omitzero" header:"X-Credence-Dpop-Bound-Access-Tokens"`
	// TokenEndpointAuthMethod is how the client authenticates, by a method that ClientAuthenticationMethod lacks.
	TokenEndpointAuthMethod *TokenEndpointAuthMethod `json:"tokenEndpointAuthMethod,omitzero" header:"X-Credence-Token-Endpoint-Auth-Method"`
	// ResourceIndicators says whether the vendor is told the resources of a request (RFC 8707); some refuse them.
	ResourceIndicators *bool `json:"resourceIndicators,omitzero" header:"X-Credence-Resource-Indicators"`
	// RequireSignedRequestObject: authorization requests are signed by the key of PRIVATE_KEY_JWT (RFC 9101 section 10.5).
	RequireSignedRequestObject *bool `json:"requireSignedRequestObject,omitzero" header:"X-Credence-Require-Signed-Request-Object"`
	// DeviceAuthorization lets requests ask for a consent by a code that the user enters at the vendor (RFC 8628), in whatever browser.
	DeviceAuthorization *bool `json:"deviceAuthorization,omitzero" header:"X-Credence-Device-Authorization"`
	// IdentityAssertionProvider is the name of the OAuth2 credential provider of the users' identity provider: there a user's JWT is exchanged for the
	// assertion of the JWT grant (draft-ietf-oauth-identity-assertion-authz-grant).
	IdentityAssertionProvider *string `json:"identityAssertionProvider,omitzero" header:"X-Credence-Identity-Assertion-Provider" wire:"len=1..128,pattern=credentialProviderName"`
	// ClientAssertionAudience is whom client assertions and ID tokens for the vendor are for (claim aud).
	ClientAssertionAudience *ClientAssertionAudience `json:"clientAssertionAudience,omitzero" header:"X-Credence-Client-Assertion-Audience"`
}

// CreateOauth2CredentialProviderOutput is the answer of CreateOauth2CredentialProvider. CallbackUrl is what to register at the vendor.
type CreateOauth2CredentialProviderOutput struct {
	ClientSecretArn            *Secret                     `json:"clientSecretArn" wire:"required"`
	ClientSecretJsonKey        *string                     `json:"clientSecretJsonKey,omitzero" wire:"len=1..128"`
	ClientSecretSource         *SecretSource               `json:"clientSecretSource,omitzero"`
	Name                       string                      `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderArn      string                      `json:"credentialProviderArn" wire:"required,pattern=oauth2CredentialProviderArn"`
	CallbackUrl                *string                     `json:"callbackUrl,omitzero"`
	Oauth2ProviderConfigOutput *Oauth2ProviderConfigOutput `json:"oauth2ProviderConfigOutput,omitzero"`
	Status                     *Status                     `json:"status,omitzero"`
	Oauth2ProviderOptions
	Resource     *string       `json:"resource,omitzero"`     // extension: of requests that name none (RFC 8707)
	Registration *Registration `json:"registration,omitzero"` // extension: of a client that nobody entered by hand
}

// GetOauth2CredentialProviderInput is the request of GetOauth2CredentialProvider.
type GetOauth2CredentialProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// GetOauth2CredentialProviderOutput is the answer of GetOauth2CredentialProvider.
type GetOauth2CredentialProviderOutput struct {
	ClientSecretArn            *Secret                     `json:"clientSecretArn" wire:"required"`
	ClientSecretJsonKey        *string                     `json:"clientSecretJsonKey,omitzero" wire:"len=1..128"`
	ClientSecretSource         *SecretSource               `json:"clientSecretSource,omitzero"`
	Name                       string                      `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderArn      string                      `json:"credentialProviderArn" wire:"required,pattern=oauth2CredentialProviderArn"`
	CredentialProviderVendor   CredentialProviderVendor    `json:"credentialProviderVendor" wire:"required"`
	CallbackUrl                *string                     `json:"callbackUrl,omitzero"`
	Oauth2ProviderConfigOutput *Oauth2ProviderConfigOutput `json:"oauth2ProviderConfigOutput" wire:"required"`
	CreatedTime                Time                        `json:"createdTime" wire:"required"`
	LastUpdatedTime            Time                        `json:"lastUpdatedTime" wire:"required"`
	Status                     *Status                     `json:"status,omitzero"`
	FailureReason              *string                     `json:"failureReason,omitzero"`
	Oauth2ProviderOptions
	Resource     *string       `json:"resource,omitzero"`     // extension: of requests that name none (RFC 8707)
	Registration *Registration `json:"registration,omitzero"` // extension: of a client that nobody entered by hand
}

// ListOauth2CredentialProvidersInput is the request of ListOauth2CredentialProviders. NextToken is that of the answer before.
type ListOauth2CredentialProvidersInput struct {
	NextToken  *string `json:"nextToken"`
	MaxResults *int32  `json:"maxResults" wire:"range=1..20"`
}

// ListOauth2CredentialProvidersOutput is the answer of ListOauth2CredentialProviders. Without NextToken it is the last page.
type ListOauth2CredentialProvidersOutput struct {
	CredentialProviders []Oauth2CredentialProviderItem `json:"credentialProviders" wire:"required"`
	NextToken           *string                        `json:"nextToken,omitzero"`
}

// Oauth2CredentialProviderItem is one OAuth2 credential provider in a list.
type Oauth2CredentialProviderItem struct {
	Name                     string                   `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor CredentialProviderVendor `json:"credentialProviderVendor" wire:"required"`
	CredentialProviderArn    string                   `json:"credentialProviderArn" wire:"required,pattern=oauth2CredentialProviderArn"`
	CreatedTime              Time                     `json:"createdTime" wire:"required"`
	LastUpdatedTime          Time                     `json:"lastUpdatedTime" wire:"required"`
}

// UpdateOauth2CredentialProviderInput is the request of UpdateOauth2CredentialProvider.
type UpdateOauth2CredentialProviderInput struct {
	Name                      string                     `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor  CredentialProviderVendor   `json:"credentialProviderVendor" wire:"required"`
	Oauth2ProviderConfigInput *Oauth2ProviderConfigInput `json:"oauth2ProviderConfigInput" wire:"required"`
	Oauth2ProviderOptions
}

// UpdateOauth2CredentialProviderOutput is the answer of UpdateOauth2CredentialProvider.
type UpdateOauth2CredentialProviderOutput struct {
	ClientSecretArn            *Secret                     `json:"clientSecretArn" wire:"required"`
	ClientSecretJsonKey        *string                     `json:"clientSecretJsonKey,omitzero" wire:"len=1..128"`
	ClientSecretSource         *SecretSource               `json:"clientSecretSource,omitzero"`
	Name                       string                      `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor   CredentialProviderVendor    `json:"credentialProviderVendor" wire:"required"`
	CredentialProviderArn      string                      `json:"credentialProviderArn" wire:"required,pattern=oauth2CredentialProviderArn"`
	CallbackUrl                *string                     `json:"callbackUrl,omitzero"`
	Oauth2ProviderConfigOutput *Oauth2ProviderConfigOutput `json:"oauth2ProviderConfigOutput" wire:"required"`
	CreatedTime                Time                        `json:"createdTime" wire:"required"`
	LastUpdatedTime            Time                        `json:"lastUpdatedTime" wire:"required"`
	Status                     *Status                     `json:"status,omitzero"`
	Oauth2ProviderOptions
	Resource     *string       `json:"resource,omitzero"`     // extension: of requests that name none (RFC 8707)
	Registration *Registration `json:"registration,omitzero"` // extension: of a client that nobody entered by hand
}

// DeleteOauth2CredentialProviderInput is the request of DeleteOauth2CredentialProvider.
type DeleteOauth2CredentialProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// DeleteOauth2CredentialProviderOutput is the answer of DeleteOauth2CredentialProvider.
type DeleteOauth2CredentialProviderOutput struct{}

// Status is the state of an OAuth2 credential provider.
type Status string

// The states of an OAuth2 credential provider.
const (
	StatusCreating     Status = "CREATING"
	StatusCreateFailed Status = "CREATE_FAILED"
	StatusUpdating     Status = "UPDATING"
	StatusUpdateFailed Status = "UPDATE_FAILED"
	StatusReady        Status = "READY"
	StatusDeleting     Status = "DELETING"
	StatusDeleteFailed Status = "DELETE_FAILED"
)

// Values are the values of the enum Status.
func (Status) Values() []string {
	return texts(StatusCreating, StatusCreateFailed, StatusUpdating, StatusUpdateFailed, StatusReady, StatusDeleting, StatusDeleteFailed)
}

// Confirm says when the consent page names agent, account, provider, scopes and return host before it sends the user to the vendor.
type Confirm string

// The values of Confirm.
const (
	ConfirmNever  Confirm = "never"
	ConfirmFirst  Confirm = "first" // at the user's first authorization for this workload and provider
	ConfirmAlways Confirm = "always"
)

// Values are the values of the extension enum Confirm.
func (Confirm) Values() []string { return texts(ConfirmNever, ConfirmFirst, ConfirmAlways) }

// ScopeMatch says which requests a stored grant satisfies.
type ScopeMatch string

// The values of ScopeMatch.
const (
	ScopeMatchSubset ScopeMatch = "subset" // those for any of its scopes
	ScopeMatchExact  ScopeMatch = "exact"  // those for all of its scopes
)

// Values are the values of the extension enum ScopeMatch.
func (ScopeMatch) Values() []string { return texts(ScopeMatchSubset, ScopeMatchExact) }

// TokenEndpointAuthMethod is how a client authenticates at a token endpoint, by the name in the IANA registry "OAuth Token Endpoint Authentication Methods". It has
// what ClientAuthenticationMethod lacks.
type TokenEndpointAuthMethod string

// The values of TokenEndpointAuthMethod.
const (
	AuthMethodClientSecretJWT TokenEndpointAuthMethod = "client_secret_jwt" // an assertion signed with the secret by HS256 (OpenID Connect Core section 9)
	AuthMethodTLSClientAuth   TokenEndpointAuthMethod = "tls_client_auth"   // the secret is a certificate with its private key, in PEM (RFC 8705)
	AuthMethodNone            TokenEndpointAuthMethod = "none"              // a public client, without a secret
)

// Values are the values of the extension enum TokenEndpointAuthMethod.
func (TokenEndpointAuthMethod) Values() []string {
	return texts(AuthMethodClientSecretJWT, AuthMethodTLSClientAuth, AuthMethodNone)
}

// Registration says what the client id of a provider is that nobody entered by hand.
type Registration string

// The values of Registration.
const (
	RegistrationMetadataDocument Registration = "CLIENT_ID_METADATA_DOCUMENT" // the URL of a document that Credence serves
	RegistrationDynamic          Registration = "DYNAMIC"                     // what the vendor answered (RFC 7591)
)

// Values are the values of the extension enum Registration.
func (Registration) Values() []string {
	return texts(RegistrationMetadataDocument, RegistrationDynamic)
}

// ClientAssertionAudience says whom client assertions and ID tokens for a vendor are for (RFC 7523 section 3: servers differ in what they take).
type ClientAssertionAudience string

// The values of ClientAssertionAudience.
const (
	AudienceTokenEndpoint ClientAssertionAudience = "token_endpoint"
	AudienceIssuer        ClientAssertionAudience = "issuer"
)

// Values are the values of the extension enum ClientAssertionAudience.
func (ClientAssertionAudience) Values() []string { return texts(AudienceTokenEndpoint, AudienceIssuer) }
