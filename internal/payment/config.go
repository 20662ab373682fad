package payment

import "credence/internal/wire"

// Config is what is stored of a payment credential provider, apart from its secrets.
type Config struct {
	Vendor          wire.PaymentVendor `json:"vendor"`
	APIKeyID        string             `json:"apiKeyId,omitempty"`        // CoinbaseCDP
	AppID           string             `json:"appId,omitempty"`           // StripePrivy
	AuthorizationID string             `json:"authorizationId,omitempty"` // StripePrivy: the key quorum, or its signer, that the private key is registered for
}

// Request is what a token is for.
type Request struct {
	Method wire.PaymentHttpMethod
	Host   string
	Path   string // with its query
}
