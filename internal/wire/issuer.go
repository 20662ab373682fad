package wire

// The operations on the account as an issuer of ID tokens are extensions.

// DescribeIssuerInput is the request of DescribeIssuer.
type DescribeIssuerInput struct{}

// DescribeIssuerOutput is the answer of DescribeIssuer: what whoever shall trust the account's ID tokens has to know.
type DescribeIssuerOutput struct {
	Issuer  string      `json:"issuer" wire:"required"`  // the claim iss
	JwksUri string      `json:"jwksUri" wire:"required"` // as its discovery document says
	Keys    []IssuerKey `json:"keys" wire:"required"`
}

// IssuerKey is a published key of an issuer.
type IssuerKey struct {
	KeyId            string                    `json:"keyId" wire:"required"` // kid
	SigningAlgorithm WebIdentityTokenAlgorithm `json:"signingAlgorithm" wire:"required"`
	KeyState         IssuerKeyState            `json:"keyState" wire:"required"`
	CreationDate     Time                      `json:"creationDate" wire:"required"`
	SigningDate      Time                      `json:"signingDate" wire:"required"` // when it signs first
	RemovalDate      *Time                     `json:"removalDate,omitzero"`        // when it leaves the document, if another follows it
}

// IssuerKeyState is what a key of an issuer does now.
type IssuerKeyState string

// The states.
const (
	IssuerKeyPending IssuerKeyState = "PENDING" // published, but does not sign yet
	IssuerKeyActive  IssuerKeyState = "ACTIVE"  // signs
	IssuerKeyRetired IssuerKeyState = "RETIRED" // signs no more, but its tokens may still live
)

// Values are the values of the enum.
func (IssuerKeyState) Values() []string {
	return texts(IssuerKeyPending, IssuerKeyActive, IssuerKeyRetired)
}

// RotateIssuerKeysInput is the request of RotateIssuerKeys. Without withdraw, new keys are published now and sign in a day. With it they sign at once, and the
// earlier ones are withdrawn with all that they signed.
type RotateIssuerKeysInput struct {
	Withdraw *bool `json:"withdraw"`
}

// RotateIssuerKeysOutput is the answer of RotateIssuerKeys: the issuer as it is then.
type RotateIssuerKeysOutput DescribeIssuerOutput
