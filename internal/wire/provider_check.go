package wire

// TestOauth2CredentialProviderInput is the request of TestOauth2CredentialProvider.
type TestOauth2CredentialProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// TestOauth2CredentialProviderOutput is the answer of TestOauth2CredentialProvider: what was looked at, in the order in which one thing needs the other.
type TestOauth2CredentialProviderOutput struct {
	Checks []ProviderCheck `json:"checks" wire:"required"`
}

// ProviderCheck is one thing that was looked at. Message is one sentence: what is so, or what is wrong and what to do.
type ProviderCheck struct {
	Name    ProviderCheckName   `json:"name" wire:"required"`
	Status  ProviderCheckStatus `json:"status" wire:"required"`
	Message string              `json:"message" wire:"required"`
}

// ProviderCheckName says what was looked at.
type ProviderCheckName string

// The checks.
const (
	CheckDiscovery            ProviderCheckName = "DISCOVERY"
	CheckClientAuthentication ProviderCheckName = "CLIENT_AUTHENTICATION"
	CheckPkce                 ProviderCheckName = "PKCE"
	CheckRedirectUri          ProviderCheckName = "REDIRECT_URI"
)

// Values are the values of the enum ProviderCheckName.
func (ProviderCheckName) Values() []string {
	return texts(CheckDiscovery, CheckClientAuthentication, CheckPkce, CheckRedirectUri)
}

// ProviderCheckStatus is how a check went.
type ProviderCheckStatus string

// The states of a check.
const (
	CheckOk      ProviderCheckStatus = "OK"
	CheckFailed  ProviderCheckStatus = "FAILED"
	CheckUnknown ProviderCheckStatus = "UNKNOWN" // it cannot be told without a user, or the vendor did not say
)

// Values are the values of the enum ProviderCheckStatus.
func (ProviderCheckStatus) Values() []string { return texts(CheckOk, CheckFailed, CheckUnknown) }
