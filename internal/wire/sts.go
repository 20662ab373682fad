package wire

// The operations of AWS STS speak the AWS query protocol: a form comes in, XML goes out under the Go names of the fields. Members, constraints and defaults are
// those of the AWS STS API Reference.

// GetCallerIdentityInput is the request of GetCallerIdentity.
type GetCallerIdentityInput struct{}

// GetCallerIdentityOutput is the answer of GetCallerIdentity.
type GetCallerIdentityOutput struct {
	Arn     string `json:"Arn"`
	UserId  string `json:"UserId"`
	Account string `json:"Account"`
}

// GetWebIdentityTokenInput is the request of GetWebIdentityToken.
type GetWebIdentityTokenInput struct {
	Audience         []string                  `json:"Audience" wire:"required,items=1..10,each.len=1..1000"`
	SigningAlgorithm WebIdentityTokenAlgorithm `json:"SigningAlgorithm" wire:"required"`
	DurationSeconds  *int32                    `json:"DurationSeconds" wire:"range=60..3600"` // default 300
	Tags             []SessionTag              `json:"Tags" wire:"items=0..50"`
}

// SessionTag is a tag of a request to STS (API shape Tag).
type SessionTag struct {
	Key   string `json:"Key" wire:"required,len=1..128"`
	Value string `json:"Value" wire:"len=0..256"`
}

// GetWebIdentityTokenOutput is the answer of GetWebIdentityToken.
type GetWebIdentityTokenOutput struct {
	WebIdentityToken string `json:"WebIdentityToken" wire:"sensitive"`
	Expiration       Time   `json:"Expiration"`
}

// WebIdentityTokenAlgorithm is how a web identity token is signed (RFC 7518 section 3.1).
type WebIdentityTokenAlgorithm string

// The algorithms.
const (
	WebIdentityTokenES384 WebIdentityTokenAlgorithm = "ES384"
	WebIdentityTokenRS256 WebIdentityTokenAlgorithm = "RS256"
)

// Values are the values of the enum.
func (WebIdentityTokenAlgorithm) Values() []string {
	return texts(WebIdentityTokenES384, WebIdentityTokenRS256)
}
