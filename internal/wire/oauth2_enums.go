package wire

// CredentialProviderVendor is the vendor of an OAuth2 credential provider.
type CredentialProviderVendor string

// The vendors.
const (
	VendorGoogleOauth2     CredentialProviderVendor = "GoogleOauth2"
	VendorGithubOauth2     CredentialProviderVendor = "GithubOauth2"
	VendorSlackOauth2      CredentialProviderVendor = "SlackOauth2"
	VendorSalesforceOauth2 CredentialProviderVendor = "SalesforceOauth2"
	VendorMicrosoftOauth2  CredentialProviderVendor = "MicrosoftOauth2"
	VendorCustomOauth2     CredentialProviderVendor = "CustomOauth2"
	VendorAtlassianOauth2  CredentialProviderVendor = "AtlassianOauth2"
	VendorLinkedinOauth2   CredentialProviderVendor = "LinkedinOauth2"
	VendorXOauth2          CredentialProviderVendor = "XOauth2"
	VendorOktaOauth2       CredentialProviderVendor = "OktaOauth2"
	VendorOneLoginOauth2   CredentialProviderVendor = "OneLoginOauth2"
	VendorPingOneOauth2    CredentialProviderVendor = "PingOneOauth2"
	VendorFacebookOauth2   CredentialProviderVendor = "FacebookOauth2"
	VendorYandexOauth2     CredentialProviderVendor = "YandexOauth2"
	VendorRedditOauth2     CredentialProviderVendor = "RedditOauth2"
	VendorZoomOauth2       CredentialProviderVendor = "ZoomOauth2"
	VendorTwitchOauth2     CredentialProviderVendor = "TwitchOauth2"
	VendorSpotifyOauth2    CredentialProviderVendor = "SpotifyOauth2"
	VendorDropboxOauth2    CredentialProviderVendor = "DropboxOauth2"
	VendorNotionOauth2     CredentialProviderVendor = "NotionOauth2"
	VendorHubspotOauth2    CredentialProviderVendor = "HubspotOauth2"
	VendorCyberArkOauth2   CredentialProviderVendor = "CyberArkOauth2"
	VendorFusionAuthOauth2 CredentialProviderVendor = "FusionAuthOauth2"
	VendorAuth0Oauth2      CredentialProviderVendor = "Auth0Oauth2"
	VendorCognitoOauth2    CredentialProviderVendor = "CognitoOauth2"
)

// Values are the values of the enum CredentialProviderVendorType.
func (CredentialProviderVendor) Values() []string {
	return texts(
		VendorGoogleOauth2, VendorGithubOauth2, VendorSlackOauth2, VendorSalesforceOauth2, VendorMicrosoftOauth2,
		VendorCustomOauth2, VendorAtlassianOauth2, VendorLinkedinOauth2, VendorXOauth2, VendorOktaOauth2,
		VendorOneLoginOauth2, VendorPingOneOauth2, VendorFacebookOauth2, VendorYandexOauth2, VendorRedditOauth2,
		VendorZoomOauth2, VendorTwitchOauth2, VendorSpotifyOauth2, VendorDropboxOauth2, VendorNotionOauth2,
		VendorHubspotOauth2, VendorCyberArkOauth2, VendorFusionAuthOauth2, VendorAuth0Oauth2, VendorCognitoOauth2,
	)
}

// ClientAuthenticationMethod is how the server proves to a vendor that it is the client.
type ClientAuthenticationMethod string

// The client authentication methods.
const (
	MethodClientSecretBasic ClientAuthenticationMethod = "CLIENT_SECRET_BASIC"  // client_secret_basic (RFC 6749 section 2.3.1)
	MethodClientSecretPost  ClientAuthenticationMethod = "CLIENT_SECRET_POST"   // client_secret_post (RFC 6749 section 2.3.1)
	MethodAwsIamIdTokenJwt  ClientAuthenticationMethod = "AWS_IAM_ID_TOKEN_JWT" // an assertion signed by the server as issuer (RFC 7523 section 2.2)
	MethodPrivateKeyJwt     ClientAuthenticationMethod = "PRIVATE_KEY_JWT"      // an assertion signed by a KMS key (RFC 7523 section 2.2)
)

// Values are the values of the enum ClientAuthenticationMethodType.
func (ClientAuthenticationMethod) Values() []string {
	return texts(MethodClientSecretBasic, MethodClientSecretPost, MethodAwsIamIdTokenJwt, MethodPrivateKeyJwt)
}

// OnBehalfOfTokenExchangeGrantType is the grant type of the on-behalf-of flow.
type OnBehalfOfTokenExchangeGrantType string

// The grant types of the on-behalf-of flow.
const (
	GrantTypeTokenExchange         OnBehalfOfTokenExchangeGrantType = "TOKEN_EXCHANGE"          // RFC 8693
	GrantTypeJwtAuthorizationGrant OnBehalfOfTokenExchangeGrantType = "JWT_AUTHORIZATION_GRANT" // RFC 7523 section 2.1
)

// Values are the values of the enum OnBehalfOfTokenExchangeGrantTypeType.
func (OnBehalfOfTokenExchangeGrantType) Values() []string {
	return texts(GrantTypeTokenExchange, GrantTypeJwtAuthorizationGrant)
}

// OnBehalfOfClientAuthenticationMethod overrides the client authentication in the on-behalf-of flow.
type OnBehalfOfClientAuthenticationMethod string

// The overriding client authentication methods.
const (
	MethodNoClient OnBehalfOfClientAuthenticationMethod = "NO_CLIENT" // no client authentication at all
)

// Values are the values of the enum OnBehalfOfClientAuthenticationMethod.
func (OnBehalfOfClientAuthenticationMethod) Values() []string { return texts(MethodNoClient) }

// ActorTokenContent is what a token exchange sends as actor token.
type ActorTokenContent string

// The contents of an actor token.
const (
	ActorNone             ActorTokenContent = "NONE"
	ActorM2M              ActorTokenContent = "M2M"                  // an access token of the workload itself
	ActorAwsIamIdTokenJwt ActorTokenContent = "AWS_IAM_ID_TOKEN_JWT" // a JWT signed by the server as issuer
)

// Values are the values of the enum ActorTokenContentType.
func (ActorTokenContent) Values() []string { return texts(ActorNone, ActorM2M, ActorAwsIamIdTokenJwt) }

// SigningAlgorithm is the algorithm that signs client assertions (RFC 7518 section 3.1).
type SigningAlgorithm string

// The signing algorithms.
const (
	AlgorithmRS256 SigningAlgorithm = "RS256"
	AlgorithmPS256 SigningAlgorithm = "PS256"
	AlgorithmES256 SigningAlgorithm = "ES256"
)

// Values are the values of the enum SigningAlgorithm.
func (SigningAlgorithm) Values() []string {
	return texts(AlgorithmRS256, AlgorithmPS256, AlgorithmES256)
}

// EndpointIpAddressType is the IP version of a private endpoint.
type EndpointIpAddressType string

// The IP versions.
const (
	AddressIPv4 EndpointIpAddressType = "IPV4"
	AddressIPv6 EndpointIpAddressType = "IPV6"
)

// Values are the values of the enum EndpointIpAddressType.
func (EndpointIpAddressType) Values() []string { return texts(AddressIPv4, AddressIPv6) }
