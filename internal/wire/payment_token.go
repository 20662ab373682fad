package wire

import "credence/internal/secret"

// GetResourcePaymentTokenInput is the request of GetResourcePaymentToken. WorkloadIdentityToken is a workload access token.
type GetResourcePaymentTokenInput struct {
	WorkloadIdentityToken          secret.String             `json:"workloadIdentityToken" wire:"required,len=1..131072"`
	ResourceCredentialProviderName string                    `json:"resourceCredentialProviderName" wire:"required,len=1..128,pattern=credentialProviderName"`
	PaymentTokenRequest            *PaymentTokenRequestInput `json:"paymentTokenRequest" wire:"required"`
}

// GetResourcePaymentTokenOutput is the answer of GetResourcePaymentToken.
type GetResourcePaymentTokenOutput struct {
	PaymentTokenResponse *PaymentTokenResponseOutput `json:"paymentTokenResponse" wire:"required"`
}

// PaymentTokenRequestInput describes, by vendor, the request that the tokens are for.
type PaymentTokenRequestInput struct {
	_                       struct{}                      `wire:"union"`
	CoinbaseCdpTokenRequest *CoinbaseCdpTokenRequestInput `json:"coinbaseCdpTokenRequest"`
	StripePrivyTokenRequest *StripePrivyTokenRequestInput `json:"stripePrivyTokenRequest"`
}

// CoinbaseCdpTokenRequestInput describes one request to Coinbase CDP. RequestBody is JSON; a wallet token covers it.
type CoinbaseCdpTokenRequestInput struct {
	RequestMethod          PaymentHttpMethod `json:"requestMethod" wire:"required"`
	RequestHost            *string           `json:"requestHost" wire:"len=1..256,pattern=requestHost"`
	RequestPath            string            `json:"requestPath" wire:"required,len=1..2048,pattern=requestPath"`
	IncludeWalletAuthToken *bool             `json:"includeWalletAuthToken"`
	RequestBody            *string           `json:"requestBody" wire:"len=1..16384,pattern=requestBody"`
}

// StripePrivyTokenRequestInput describes one POST to Privy. RequestBody is JSON; an authorization signature covers it.
type StripePrivyTokenRequestInput struct {
	RequestHost                   *string       `json:"requestHost" wire:"len=1..256,pattern=requestHost"`
	RequestPath                   string        `json:"requestPath" wire:"required,len=1..2048,pattern=requestPath"`
	RequestBody                   secret.String `json:"requestBody" wire:"required,len=1..16384,pattern=requestBody"`
	IncludeAuthorizationSignature *bool         `json:"includeAuthorizationSignature"`
}

// PaymentTokenResponseOutput holds the tokens, by vendor.
type PaymentTokenResponseOutput struct {
	_                        struct{}                        `wire:"union"`
	CoinbaseCdpTokenResponse *CoinbaseCdpTokenResponseOutput `json:"coinbaseCdpTokenResponse,omitzero"`
	StripePrivyTokenResponse *StripePrivyTokenResponseOutput `json:"stripePrivyTokenResponse,omitzero"`
}

// CoinbaseCdpTokenResponseOutput holds what goes into the headers Authorization (Bearer) and X-Wallet-Auth.
type CoinbaseCdpTokenResponseOutput struct {
	BearerToken     string `json:"bearerToken" wire:"required,sensitive,len=1..8192"`
	WalletAuthToken string `json:"walletAuthToken,omitzero" wire:"sensitive,len=1..8192"`
}

// StripePrivyTokenResponseOutput holds what goes into the headers privy-authorization-signature, privy-request-expiry (unix milliseconds), privy-app-id and
// Authorization (Basic).
type StripePrivyTokenResponseOutput struct {
	AuthorizationSignature string `json:"authorizationSignature,omitzero" wire:"sensitive,len=1..8192"`
	RequestExpiry          *int64 `json:"requestExpiry,omitzero"`
	AppId                  string `json:"appId" wire:"required,len=1..512,pattern=paymentId"`
	BasicAuthToken         string `json:"basicAuthToken" wire:"required,sensitive,len=1..8192"`
}

// PaymentHttpMethod is the method of a request to a payment vendor.
type PaymentHttpMethod string

// The methods.
const (
	HttpGet    PaymentHttpMethod = "GET"
	HttpPost   PaymentHttpMethod = "POST"
	HttpPut    PaymentHttpMethod = "PUT"
	HttpDelete PaymentHttpMethod = "DELETE"
	HttpPatch  PaymentHttpMethod = "PATCH"
)

// Values are the values of the enum PaymentHttpMethodType.
func (PaymentHttpMethod) Values() []string {
	return texts(HttpGet, HttpPost, HttpPut, HttpDelete, HttpPatch)
}
