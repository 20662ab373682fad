package wire

import "credence/internal/secret"

// Oauth2ProviderConfigInput is the configuration of an OAuth2 credential provider, in the member that belongs to its vendor.
type Oauth2ProviderConfigInput struct {
	_                              struct{}                            `wire:"union"`
	CustomOauth2ProviderConfig     *CustomOauth2ProviderConfigInput    `json:"customOauth2ProviderConfig"`
	GoogleOauth2ProviderConfig     *VendorOauth2ProviderConfigInput    `json:"googleOauth2ProviderConfig"`
	GithubOauth2ProviderConfig     *VendorOauth2ProviderConfigInput    `json:"githubOauth2ProviderConfig"`
	SlackOauth2ProviderConfig      *VendorOauth2ProviderConfigInput    `json:"slackOauth2ProviderConfig"`
	SalesforceOauth2ProviderConfig *VendorOauth2ProviderConfigInput    `json:"salesforceOauth2ProviderConfig"`
	MicrosoftOauth2ProviderConfig  *MicrosoftOauth2ProviderConfigInput `json:"microsoftOauth2ProviderConfig"`
	AtlassianOauth2ProviderConfig  *VendorOauth2ProviderConfigInput    `json:"atlassianOauth2ProviderConfig"`
	LinkedinOauth2ProviderConfig   *VendorOauth2ProviderConfigInput    `json:"linkedinOauth2ProviderConfig"`
	IncludedOauth2ProviderConfig   *IncludedOauth2ProviderConfigInput  `json:"includedOauth2ProviderConfig"`
}

// VendorOauth2ProviderConfigInput is the configuration for a vendor of which we know everything but the client.
type VendorOauth2ProviderConfigInput struct {
	ClientId           string           `json:"clientId" wire:"required,len=1..256"`
	ClientSecret       *secret.String   `json:"clientSecret" wire:"len=0..2048"`
	ClientSecretConfig *SecretReference `json:"clientSecretConfig"`
	ClientSecretSource *SecretSource    `json:"clientSecretSource"`
}

// MicrosoftOauth2ProviderConfigInput is the configuration for Microsoft Entra ID; TenantId is part of its endpoints.
type MicrosoftOauth2ProviderConfigInput struct {
	ClientId           string           `json:"clientId" wire:"required,len=1..256"`
	ClientSecret       *secret.String   `json:"clientSecret" wire:"len=0..2048"`
	ClientSecretConfig *SecretReference `json:"clientSecretConfig"`
	ClientSecretSource *SecretSource    `json:"clientSecretSource"`
	TenantId           *string          `json:"tenantId" wire:"len=1..2048"`
}

// IncludedOauth2ProviderConfigInput is the configuration for a vendor whose endpoints may depend on the customer.
type IncludedOauth2ProviderConfigInput struct {
	ClientId              string           `json:"clientId" wire:"required,len=1..256"`
	ClientSecret          *secret.String   `json:"clientSecret" wire:"len=0..2048"`
	ClientSecretConfig    *SecretReference `json:"clientSecretConfig"`
	ClientSecretSource    *SecretSource    `json:"clientSecretSource"`
	Issuer                *string          `json:"issuer"`
	AuthorizationEndpoint *string          `json:"authorizationEndpoint"`
	TokenEndpoint         *string          `json:"tokenEndpoint"`
}

// CustomOauth2ProviderConfigInput is the configuration for any authorization server.
type CustomOauth2ProviderConfigInput struct {
	OauthDiscovery                *Oauth2Discovery                   `json:"oauthDiscovery" wire:"required"`
	ClientId                      *string                            `json:"clientId" wire:"len=0..256"`
	ClientSecret                  *secret.String                     `json:"clientSecret" wire:"len=0..2048"`
	ClientSecretConfig            *SecretReference                   `json:"clientSecretConfig"`
	ClientSecretSource            *SecretSource                      `json:"clientSecretSource"`
	OnBehalfOfTokenExchangeConfig *OnBehalfOfTokenExchangeConfigType `json:"onBehalfOfTokenExchangeConfig"`
	ClientAuthenticationMethod    *ClientAuthenticationMethod        `json:"clientAuthenticationMethod"`
	PrivateKeyJwtConfig           *PrivateKeyJwtConfig               `json:"privateKeyJwtConfig"`
	PrivateEndpoint               *PrivateEndpoint                   `json:"privateEndpoint"`
	PrivateEndpointOverrides      []PrivateEndpointOverride          `json:"privateEndpointOverrides" wire:"items=0..5"`
}

// Oauth2ProviderConfigOutput is the stored configuration of an OAuth2 credential provider, without its secrets.
type Oauth2ProviderConfigOutput struct {
	_                              struct{}                          `wire:"union"`
	CustomOauth2ProviderConfig     *CustomOauth2ProviderConfigOutput `json:"customOauth2ProviderConfig,omitzero"`
	GoogleOauth2ProviderConfig     *VendorOauth2ProviderConfigOutput `json:"googleOauth2ProviderConfig,omitzero"`
	GithubOauth2ProviderConfig     *VendorOauth2ProviderConfigOutput `json:"githubOauth2ProviderConfig,omitzero"`
	SlackOauth2ProviderConfig      *VendorOauth2ProviderConfigOutput `json:"slackOauth2ProviderConfig,omitzero"`
	SalesforceOauth2ProviderConfig *VendorOauth2ProviderConfigOutput `json:"salesforceOauth2ProviderConfig,omitzero"`
	MicrosoftOauth2ProviderConfig  *VendorOauth2ProviderConfigOutput `json:"microsoftOauth2ProviderConfig,omitzero"`
	AtlassianOauth2ProviderConfig  *VendorOauth2ProviderConfigOutput `json:"atlassianOauth2ProviderConfig,omitzero"`
	LinkedinOauth2ProviderConfig   *VendorOauth2ProviderConfigOutput `json:"linkedinOauth2ProviderConfig,omitzero"`
	IncludedOauth2ProviderConfig   *VendorOauth2ProviderConfigOutput `json:"includedOauth2ProviderConfig,omitzero"`
}

// VendorOauth2ProviderConfigOutput is the stored configuration for a vendor whose endpoints we know; OauthDiscovery tells them.
type VendorOauth2ProviderConfigOutput struct {
	OauthDiscovery *Oauth2Discovery `json:"oauthDiscovery" wire:"required"`
	ClientId       *string          `json:"clientId,omitzero" wire:"len=1..256"`
}

// CustomOauth2ProviderConfigOutput is the stored configuration for any authorization server.
type CustomOauth2ProviderConfigOutput struct {
	OauthDiscovery                *Oauth2Discovery                   `json:"oauthDiscovery" wire:"required"`
	ClientId                      *string                            `json:"clientId,omitzero" wire:"len=1..256"`
	OnBehalfOfTokenExchangeConfig *OnBehalfOfTokenExchangeConfigType `json:"onBehalfOfTokenExchangeConfig,omitzero"`
	ClientAuthenticationMethod    *ClientAuthenticationMethod        `json:"clientAuthenticationMethod,omitzero"`
	PrivateEndpoint               *PrivateEndpoint                   `json:"privateEndpoint,omitzero"`
	PrivateEndpointOverrides      []PrivateEndpointOverride          `json:"privateEndpointOverrides,omitzero" wire:"items=0..5"`
	PrivateKeyJwtConfig           *PrivateKeyJwtConfigOutput         `json:"privateKeyJwtConfig,omitzero"`
}

// Oauth2Discovery says where the metadata of an authorization server is (OpenID Connect Discovery 1.0, RFC 8414), or what it is.
type Oauth2Discovery struct {
	_                           struct{}                           `wire:"union"`
	DiscoveryUrl                *string                            `json:"discoveryUrl,omitzero" wire:"pattern=discoveryUrl"`
	AuthorizationServerMetadata *Oauth2AuthorizationServerMetadata `json:"authorizationServerMetadata,omitzero"`
}

// Oauth2AuthorizationServerMetadata is the metadata of an authorization server (RFC 8414 section 2).
type Oauth2AuthorizationServerMetadata struct {
	Issuer                   string   `json:"issuer" wire:"required"`
	AuthorizationEndpoint    string   `json:"authorizationEndpoint" wire:"required"`
	TokenEndpoint            string   `json:"tokenEndpoint" wire:"required"`
	ResponseTypes            []string `json:"responseTypes,omitzero"`
	TokenEndpointAuthMethods []string `json:"tokenEndpointAuthMethods,omitzero" wire:"items=1..2,each.pattern=tokenEndpointAuthMethod"`
}

// OnBehalfOfTokenExchangeConfigType says how a user's JWT is traded for an access token.
type OnBehalfOfTokenExchangeConfigType struct {
	GrantType                      OnBehalfOfTokenExchangeGrantType  `json:"grantType" wire:"required"`
	TokenExchangeGrantTypeConfig   *TokenExchangeGrantTypeConfigType `json:"tokenExchangeGrantTypeConfig,omitzero"`
	OnBehalfOfAuthenticationConfig *OnBehalfOfAuthenticationConfig   `json:"onBehalfOfAuthenticationConfig,omitzero"`
}

// TokenExchangeGrantTypeConfigType says which actor token a token exchange sends (RFC 8693 section 2.1).
type TokenExchangeGrantTypeConfigType struct {
	ActorTokenContent ActorTokenContent `json:"actorTokenContent" wire:"required"`
	ActorTokenScopes  []string          `json:"actorTokenScopes,omitzero" wire:"items=0..100,each.len=1..128"`
}

// OnBehalfOfAuthenticationConfig overrides the client authentication for the on-behalf-of flow.
type OnBehalfOfAuthenticationConfig struct {
	ClientAuthenticationMethod OnBehalfOfClientAuthenticationMethod `json:"clientAuthenticationMethod" wire:"required"`
}

// PrivateKeyJwtConfig says how client assertions are signed (RFC 7523 section 2.2).
type PrivateKeyJwtConfig struct {
	PrivateKeySource        *PrivateKeySource        `json:"privateKeySource"`
	SigningAlgorithm        *SigningAlgorithm        `json:"signingAlgorithm"`
	AdditionalHeaderClaims  map[string]secret.String `json:"additionalHeaderClaims" wire:"items=1..10,key.len=1..255,key.pattern=claimName,value.len=1..2048"`
	AdditionalPayloadClaims map[string]secret.String `json:"additionalPayloadClaims" wire:"items=1..10,key.len=1..255,key.pattern=claimName,value.len=1..2048"`
}

// PrivateKeyJwtConfigOutput is a PrivateKeyJwtConfig in an answer: there the additional claims are readable.
type PrivateKeyJwtConfigOutput struct {
	PrivateKeySource        *PrivateKeySource `json:"privateKeySource,omitzero"`
	SigningAlgorithm        *SigningAlgorithm `json:"signingAlgorithm,omitzero"`
	AdditionalHeaderClaims  map[string]string `json:"additionalHeaderClaims,omitzero" wire:"items=1..10,key.len=1..255,key.pattern=claimName,value.sensitive,value.len=1..2048"`
	AdditionalPayloadClaims map[string]string `json:"additionalPayloadClaims,omitzero" wire:"items=1..10,key.len=1..255,key.pattern=claimName,value.sensitive,value.len=1..2048"`
}

// PrivateKeySource says where the private key is.
type PrivateKeySource struct {
	_            struct{}          `wire:"union"`
	KmsKeySource *KmsKeySourceType `json:"kmsKeySource,omitzero"`
}

// KmsKeySourceType names a key that was registered with the server by its ARN.
type KmsKeySourceType struct {
	KmsKeyArn string `json:"kmsKeyArn" wire:"required,len=1..2048,pattern=kmsKeyArn"`
}

// PrivateEndpoint is a way to an authorization server in a private network.
type PrivateEndpoint struct {
	_                          struct{}                    `wire:"union"`
	SelfManagedLatticeResource *SelfManagedLatticeResource `json:"selfManagedLatticeResource,omitzero"`
	ManagedVpcResource         *ManagedVpcResource         `json:"managedVpcResource,omitzero"`
}

// SelfManagedLatticeResource names a VPC Lattice resource configuration by its id or ARN.
type SelfManagedLatticeResource struct {
	_                               struct{} `wire:"union"`
	ResourceConfigurationIdentifier *string  `json:"resourceConfigurationIdentifier,omitzero" wire:"len=20..2048,pattern=resourceConfigurationIdentifier"`
}

// ManagedVpcResource says where in a VPC an endpoint is to be made.
type ManagedVpcResource struct {
	VpcIdentifier         string                `json:"vpcIdentifier" wire:"required,pattern=vpcId"`
	SubnetIds             []string              `json:"subnetIds" wire:"required,each.pattern=subnetId"`
	EndpointIpAddressType EndpointIpAddressType `json:"endpointIpAddressType" wire:"required"`
	SecurityGroupIds      []string              `json:"securityGroupIds,omitzero" wire:"items=0..5,each.pattern=securityGroupId"`
	Tags                  map[string]string     `json:"tags,omitzero" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
	RoutingDomain         *string               `json:"routingDomain,omitzero" wire:"len=3..255"`
}

// PrivateEndpointOverride is the private endpoint for one host name of the authorization server.
type PrivateEndpointOverride struct {
	Domain          string           `json:"domain" wire:"required,len=1..253"`
	PrivateEndpoint *PrivateEndpoint `json:"privateEndpoint" wire:"required"`
}
