package wire

// The operations on trusted issuers are extensions: they list the issuers whose user JWTs an account accepts.

// PutTrustedIssuerInput is the request of PutTrustedIssuer. Issuer is the iss claim, byte for byte; a JWT must name at least one of Audiences in aud. UserKeyClaims are
// the claims that, with the issuer, make its users; left out, they stay as they are, and are sub for an issuer that is new.
type PutTrustedIssuerInput struct {
	Issuer        string   `json:"issuer" wire:"required,len=1..2048"`
	Audiences     []string `json:"audiences" wire:"required,items=1..20,each.len=1..2048"`
	UserKeyClaims []string `json:"userKeyClaims,omitzero" wire:"items=1..3,each.len=1..256"`
}

// PutTrustedIssuerOutput is the answer of PutTrustedIssuer.
type PutTrustedIssuerOutput TrustedIssuer

// TrustedIssuer is one issuer whose user JWTs an account accepts, when they name one of the audiences.
type TrustedIssuer struct {
	Issuer        string   `json:"issuer" wire:"required,len=1..2048"`
	Audiences     []string `json:"audiences" wire:"required,items=1..20,each.len=1..2048"`
	UserKeyClaims []string `json:"userKeyClaims" wire:"required,items=1..3,each.len=1..256"`
	CreatedTime   Time     `json:"createdTime" wire:"required"`
}

// ListTrustedIssuersInput is the request of ListTrustedIssuers.
type ListTrustedIssuersInput struct{}

// ListTrustedIssuersOutput is the answer of ListTrustedIssuers.
type ListTrustedIssuersOutput struct {
	TrustedIssuers []TrustedIssuer `json:"trustedIssuers" wire:"required"`
}

// DeleteTrustedIssuerInput is the request of DeleteTrustedIssuer.
type DeleteTrustedIssuerInput struct {
	Issuer string `json:"issuer" wire:"required,len=1..2048"`
}

// DeleteTrustedIssuerOutput is the answer of DeleteTrustedIssuer.
type DeleteTrustedIssuerOutput struct{}
