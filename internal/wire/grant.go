package wire

import "credence/internal/secret"

// The operations on grants and freezes are extensions: who may act as whom, where, and how to stop it.

// GrantUser names a user in the way in which a workload access token does: by the application's word, as issuer and subject of a JWT, or by the claims that make the
// users of its issuer (TrustedIssuer).
type GrantUser struct {
	_         struct{}         `wire:"union"`
	UserId    *string          `json:"userId,omitzero" wire:"len=1..128"`
	Jwt       *GrantJwtUser    `json:"jwt,omitzero"`
	JwtClaims *GrantClaimsUser `json:"jwtClaims,omitzero"`
}

// GrantJwtUser is a user by the claims iss and sub, byte for byte.
type GrantJwtUser struct {
	Issuer  string `json:"issuer" wire:"required,len=1..2048"`
	Subject string `json:"subject" wire:"required,len=1..2048"`
}

// GrantClaimsUser is a user by the claim iss and others, byte for byte.
type GrantClaimsUser struct {
	Issuer string            `json:"issuer" wire:"required,len=1..2048"`
	Claims map[string]string `json:"claims" wire:"required,items=1..3,key.len=1..256,value.len=1..2048"`
}

// GrantState is how a grant stands.
type GrantState string

// The states. All but dead and revoked follow from times and the last answer of the vendor.
const (
	GrantActive       GrantState = "active"
	GrantExpired      GrantState = "expired"       // its access token is over; the next request renews it
	GrantRefreshing   GrantState = "refreshing"    // somebody renews it just now
	GrantDegraded     GrantState = "degraded"      // the vendor did not renew it; it is tried again
	GrantNeedsConsent GrantState = "needs_consent" // over, and nothing to renew it by
	GrantDead         GrantState = "dead"          // the vendor refuses it, or its refresh token may be spent
	GrantRevoked      GrantState = "revoked"
)

// Values are the values of the enum.
func (GrantState) Values() []string {
	return texts(GrantActive, GrantExpired, GrantRefreshing, GrantDegraded, GrantNeedsConsent, GrantDead, GrantRevoked)
}

// Grant is a grant as operators see it: no token is shown. User is readable: id:"NAME" or jwt:"ISSUER" "SUBJECT".
type Grant struct {
	GrantId                        string     `json:"grantId" wire:"required,pattern=sha256"`
	GrantArn                       string     `json:"grantArn" wire:"required"`
	WorkloadName                   string     `json:"workloadName" wire:"required"`
	ResourceCredentialProviderName string     `json:"resourceCredentialProviderName" wire:"required"`
	Oauth2Flow                     Oauth2Flow `json:"oauth2Flow" wire:"required"`
	User                           *string    `json:"user,omitzero"`
	State                          GrantState `json:"state" wire:"required"`
	GrantedScopes                  []string   `json:"grantedScopes,omitzero"`
	CreatedTime                    Time       `json:"createdTime" wire:"required"`
	RefreshedTime                  *Time      `json:"refreshedTime,omitzero"`       // when its access token was obtained
	ExpiresAt                      *Time      `json:"expiresAt,omitzero"`           // of its access token; of a revoked grant, when that was
	UsedTime                       *Time      `json:"usedTime,omitzero"`            // when somebody was last served, to an hour
	RenewalTime                    *Time      `json:"renewalTime,omitzero"`         // when it is refreshed in the background
	RetryTime                      *Time      `json:"retryTime,omitzero"`           // before which its vendor is not asked again
	LastError                      *string    `json:"lastError,omitzero"`           // the vendor's error code, or what we noticed
	DeviceAuthorization            *bool      `json:"deviceAuthorization,omitzero"` // the consent was given by a device authorization (RFC 8628)
	NextStep                       string     `json:"nextStep" wire:"required"`
}

// ListGrantsInput is the request of ListGrants. What is left out is any; what is given must all hold.
type ListGrantsInput struct {
	User                           *GrantUser  `json:"user,omitzero"`
	WorkloadName                   *string     `json:"workloadName,omitzero" wire:"len=3..255,pattern=workloadName"`
	ResourceCredentialProviderName *string     `json:"resourceCredentialProviderName,omitzero" wire:"len=1..128,pattern=credentialProviderName"`
	State                          *GrantState `json:"state,omitzero"`
	NextToken                      *string     `json:"nextToken,omitzero"`
	MaxResults                     *int32      `json:"maxResults,omitzero" wire:"range=1..100"`
}

// ListGrantsOutput is the answer of ListGrants. A page with a NextToken may have fewer grants than were asked for, even none.
type ListGrantsOutput struct {
	Grants    []Grant `json:"grants" wire:"required"`
	NextToken *string `json:"nextToken,omitzero"`
}

// DescribeGrantInput is the request of DescribeGrant.
type DescribeGrantInput struct {
	GrantId string `json:"grantId" wire:"required,pattern=sha256"`
}

// DescribeGrantOutput is the answer of DescribeGrant.
type DescribeGrantOutput Grant

// RevokeGrantInput is the request of RevokeGrant.
type RevokeGrantInput struct {
	GrantId string `json:"grantId" wire:"required,pattern=sha256"`
}

// RevokeGrantOutput is the answer of RevokeGrant.
type RevokeGrantOutput Grant

// RevokeGrantsInput is the request of RevokeGrants: the grants for which all that is given holds. All of an account are named by All and nothing else.
type RevokeGrantsInput struct {
	User                           *GrantUser `json:"user,omitzero"`
	WorkloadName                   *string    `json:"workloadName,omitzero" wire:"len=3..255,pattern=workloadName"`
	ResourceCredentialProviderName *string    `json:"resourceCredentialProviderName,omitzero" wire:"len=1..128,pattern=credentialProviderName"`
	All                            *bool      `json:"all,omitzero"`
}

// RevokeGrantsOutput is the answer of RevokeGrants.
type RevokeGrantsOutput struct {
	RevokedGrants *int64 `json:"revokedGrants" wire:"required"` // that were not revoked before
}

// RekeyGrantsInput is the request of RekeyGrants: the grants of one user become another's. DryRun looks and changes nothing.
type RekeyGrantsInput struct {
	From      *GrantUser `json:"from" wire:"required"`
	To        *GrantUser `json:"to" wire:"required"`
	DryRun    *bool      `json:"dryRun,omitzero"`
	NextToken *string    `json:"nextToken,omitzero"`
}

// RekeyGrantsOutput is the answer of RekeyGrants. What was skipped is as it was; with a NextToken there is more to look at.
type RekeyGrantsOutput struct {
	RekeyedGrants []RekeyedGrant `json:"rekeyedGrants" wire:"required"`
	Skipped       []SkippedGrant `json:"skipped" wire:"required"`
	DryRun        *bool          `json:"dryRun" wire:"required"`
	NextToken     *string        `json:"nextToken,omitzero"`
}

// RekeyedGrant is a grant that has another user now, and so another id. PreviousGrantId is what it had.
type RekeyedGrant struct {
	GrantId                        string `json:"grantId" wire:"required,pattern=sha256"`
	PreviousGrantId                string `json:"previousGrantId" wire:"required,pattern=sha256"`
	WorkloadName                   string `json:"workloadName" wire:"required"`
	ResourceCredentialProviderName string `json:"resourceCredentialProviderName" wire:"required"`
}

// ReportBadTokenInput is the request of ReportBadToken: an access token that its resource refused, itself or as the SHA-256 of its bytes in hex. The grant is
// named by its id, or found among those of the workload access token's workload and user at the provider.
type ReportBadTokenInput struct {
	GrantId                        *string        `json:"grantId,omitzero" wire:"pattern=sha256"`
	WorkloadIdentityToken          *secret.String `json:"workloadIdentityToken,omitzero" wire:"len=1..131072"`
	ResourceCredentialProviderName *string        `json:"resourceCredentialProviderName,omitzero" wire:"len=1..128,pattern=credentialProviderName"`
	AccessToken                    *secret.String `json:"accessToken,omitzero" wire:"len=1..131072"`
	AccessTokenSha256              *string        `json:"accessTokenSha256,omitzero" wire:"pattern=sha256"`
}

// ReportBadTokenOutput is the answer of ReportBadToken. Unless the token was the current one, nothing was done.
type ReportBadTokenOutput struct {
	WasCurrent *bool       `json:"wasCurrent" wire:"required"`
	State      *GrantState `json:"state,omitzero"` // of the grant now, when it was found
	NextStep   string      `json:"nextStep" wire:"required"`
}

// FreezeTarget is whom a freeze names.
type FreezeTarget struct {
	_                              struct{}   `wire:"union"`
	User                           *GrantUser `json:"user,omitzero"`
	WorkloadName                   *string    `json:"workloadName,omitzero" wire:"len=3..255,pattern=workloadName"`
	ResourceCredentialProviderName *string    `json:"resourceCredentialProviderName,omitzero" wire:"len=1..128,pattern=credentialProviderName"`
	Account                        *bool      `json:"account,omitzero"` // true: the whole account
}

// FreezeInput is the request of Freeze. Reason is for those who list freezes.
type FreezeInput struct {
	Target *FreezeTarget `json:"target" wire:"required"`
	Reason *string       `json:"reason,omitzero" wire:"len=1..256"`
}

// FreezeOutput is the answer of Freeze: the freeze that there is now, which may be an older one.
type FreezeOutput FreezeSummary

// FreezeSummary is one freeze. Target is readable: account, workload NAME, provider NAME, or user and its readable form.
type FreezeSummary struct {
	FreezeArn   string  `json:"freezeArn" wire:"required"`
	Target      string  `json:"target" wire:"required"`
	Reason      *string `json:"reason,omitzero"`
	CreatedBy   string  `json:"createdBy" wire:"required"`
	CreatedTime Time    `json:"createdTime" wire:"required"`
}

// UnfreezeInput is the request of Unfreeze.
type UnfreezeInput struct {
	Target *FreezeTarget `json:"target" wire:"required"`
}

// UnfreezeOutput is the answer of Unfreeze.
type UnfreezeOutput struct{}

// ListFreezesInput is the request of ListFreezes.
type ListFreezesInput struct{}

// ListFreezesOutput is the answer of ListFreezes.
type ListFreezesOutput struct {
	Freezes []FreezeSummary `json:"freezes" wire:"required"`
}
