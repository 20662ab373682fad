package wire

import "credence/internal/secret"

// GetWorkloadAccessTokenInput is the request of GetWorkloadAccessToken.
type GetWorkloadAccessTokenInput struct {
	WorkloadName string `json:"workloadName" wire:"required,len=3..255,pattern=workloadName"`
}

// GetWorkloadAccessTokenOutput is the answer of GetWorkloadAccessToken.
type GetWorkloadAccessTokenOutput struct {
	WorkloadAccessToken string `json:"workloadAccessToken" wire:"required,sensitive,len=1..131072"`
}

// GetWorkloadAccessTokenForJWTInput is the request of GetWorkloadAccessTokenForJWT. UserToken is a JWT in the compact form (RFC 7515 section 7.1).
type GetWorkloadAccessTokenForJWTInput struct {
	WorkloadName string        `json:"workloadName" wire:"required,len=3..255,pattern=workloadName"`
	UserToken    secret.String `json:"userToken" wire:"required,len=1..131072,pattern=userToken"`
}

// GetWorkloadAccessTokenForJWTOutput is the answer of GetWorkloadAccessTokenForJWT.
type GetWorkloadAccessTokenForJWTOutput GetWorkloadAccessTokenOutput

// GetWorkloadAccessTokenForUserIdInput is the request of GetWorkloadAccessTokenForUserId.
type GetWorkloadAccessTokenForUserIdInput struct {
	WorkloadName string `json:"workloadName" wire:"required,len=3..255,pattern=workloadName"`
	UserId       string `json:"userId" wire:"required,len=1..128"`
}

// GetWorkloadAccessTokenForUserIdOutput is the answer of GetWorkloadAccessTokenForUserId.
type GetWorkloadAccessTokenForUserIdOutput GetWorkloadAccessTokenOutput

// GetResourceOauth2TokenInput is the request of GetResourceOauth2Token. WorkloadIdentityToken is a workload access token.
type GetResourceOauth2TokenInput struct {
	WorkloadIdentityToken          secret.String            `json:"workloadIdentityToken" wire:"required,len=1..131072"`
	ResourceCredentialProviderName string                   `json:"resourceCredentialProviderName" wire:"required,len=1..128,pattern=credentialProviderName"`
	Scopes                         []string                 `json:"scopes" wire:"required,items=0..100,each.len=1..128"`
	Oauth2Flow                     Oauth2Flow               `json:"oauth2Flow" wire:"required"`
	SessionUri                     *string                  `json:"sessionUri" wire:"len=1..1024,pattern=requestUri"`
	ResourceOauth2ReturnUrl        *string                  `json:"resourceOauth2ReturnUrl" wire:"len=1..2048,pattern=returnUrl"`
	ForceAuthentication            *bool                    `json:"forceAuthentication"`
	CustomParameters               map[string]secret.String `json:"customParameters" wire:"items=0..50,key.len=1..256,key.pattern=customParameterName,value.len=1..2048"`
	CustomState                    *secret.String           `json:"customState" wire:"len=1..4096"`
	Resources                      []string                 `json:"resources" wire:"items=0..20,each.len=1..2048"`
	Audiences                      []string                 `json:"audiences" wire:"items=0..20,each.len=1..2048"`
	// MinimumValiditySeconds, an extension, is how long the token must live on: one of shorter life is refreshed first.
	MinimumValiditySeconds *int32 `json:"minimumValiditySeconds" header:"X-Credence-Minimum-Validity-Seconds" wire:"range=0..86400"`
	// DeviceAuthorization, an extension, asks for a consent by a code that the user enters at the vendor (RFC 8628); the provider must allow it.
	DeviceAuthorization *bool `json:"deviceAuthorization" header:"X-Credence-Device-Authorization"`
}

// GetResourceOauth2TokenOutput is the answer of GetResourceOauth2Token: an access token, or the authorization session that will yield one.
type GetResourceOauth2TokenOutput struct {
	AuthorizationUrl string         `json:"authorizationUrl,omitzero" wire:"sensitive,len=1.."`
	AccessToken      string         `json:"accessToken,omitzero" wire:"sensitive,len=1..131072"`
	SessionUri       *string        `json:"sessionUri,omitzero" wire:"len=1..1024,pattern=requestUri"`
	SessionStatus    *SessionStatus `json:"sessionStatus,omitzero"`
	// Extensions: what the token endpoint of the vendor said with the access token (RFC 6749 section 5.1).
	AccessTokenExpiresAt *Time    `json:"accessTokenExpiresAt,omitzero"`
	GrantedScopes        []string `json:"grantedScopes,omitzero"`
	TokenType            string   `json:"tokenType,omitzero"`
}

// GetResourceApiKeyInput is the request of GetResourceApiKey. WorkloadIdentityToken is a workload access token.
type GetResourceApiKeyInput struct {
	WorkloadIdentityToken          secret.String `json:"workloadIdentityToken" wire:"required,len=1..131072"`
	ResourceCredentialProviderName string        `json:"resourceCredentialProviderName" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// GetResourceApiKeyOutput is the answer of GetResourceApiKey.
type GetResourceApiKeyOutput struct {
	ApiKey string `json:"apiKey" wire:"required,sensitive,len=1..65536"`
}

// CompleteResourceTokenAuthInput is the request of CompleteResourceTokenAuth.
type CompleteResourceTokenAuthInput struct {
	UserIdentifier *UserIdentifier `json:"userIdentifier" wire:"required"`
	SessionUri     string          `json:"sessionUri" wire:"required,len=1..1024,pattern=requestUri"`
}

// CompleteResourceTokenAuthOutput is the answer of CompleteResourceTokenAuth.
type CompleteResourceTokenAuthOutput struct{}

// UserIdentifier names the user who completes an authorization session, in the way in which the workload access token named them.
type UserIdentifier struct {
	_         struct{}       `wire:"union"`
	UserToken *secret.String `json:"userToken" wire:"len=1..131072,pattern=userToken"`
	UserId    *string        `json:"userId" wire:"len=1..128"`
}

// Oauth2Flow is how an access token is obtained.
type Oauth2Flow string

// The flows.
const (
	FlowUserFederation          Oauth2Flow = "USER_FEDERATION"             // authorization code (RFC 6749 section 4.1)
	FlowM2M                     Oauth2Flow = "M2M"                         // client credentials (RFC 6749 section 4.4)
	FlowOnBehalfOfTokenExchange Oauth2Flow = "ON_BEHALF_OF_TOKEN_EXCHANGE" // token exchange (RFC 8693) or JWT grant (RFC 7523)
)

// Values are the values of the enum Oauth2FlowType.
func (Oauth2Flow) Values() []string {
	return texts(FlowUserFederation, FlowM2M, FlowOnBehalfOfTokenExchange)
}

// SessionStatus is the state of an authorization session.
type SessionStatus string

// The session states.
const (
	SessionInProgress SessionStatus = "IN_PROGRESS"
	SessionFailed     SessionStatus = "FAILED"
)

// Values are the values of the enum SessionStatus.
func (SessionStatus) Values() []string { return texts(SessionInProgress, SessionFailed) }
