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

// AssumeRoleWithWebIdentityInput is the request of AssumeRoleWithWebIdentity.
type AssumeRoleWithWebIdentityInput struct {
	RoleArn          string  `json:"RoleArn" wire:"required,len=20..2048,pattern=roleArn"`
	RoleSessionName  string  `json:"RoleSessionName" wire:"required,len=2..64,pattern=principalName"`
	WebIdentityToken string  `json:"WebIdentityToken" wire:"required,len=4..20000,sensitive"`
	Policy           *string `json:"Policy" wire:"len=1..2048"`
	DurationSeconds  *int32  `json:"DurationSeconds" wire:"range=900..43200"` // default 3600, or the role's maximum
}

// AssumeRoleWithWebIdentityOutput is the answer of AssumeRoleWithWebIdentity.
type AssumeRoleWithWebIdentityOutput struct {
	Credentials                 SessionCredentials `json:"Credentials"`
	SubjectFromWebIdentityToken string             `json:"SubjectFromWebIdentityToken"`
	AssumedRoleUser             AssumedRoleUser    `json:"AssumedRoleUser"`
	Provider                    string             `json:"Provider"`
	Audience                    string             `json:"Audience"`
	SourceIdentity              *string            `json:"SourceIdentity"`
}

// AssumeRoleWithCertificateInput is the request of AssumeRoleWithCertificate, which AWS does not have; the certificate is that of the TLS connection.
type AssumeRoleWithCertificateInput struct {
	RoleArn         string  `json:"RoleArn" wire:"required,len=20..2048,pattern=roleArn"`
	RoleSessionName string  `json:"RoleSessionName" wire:"required,len=2..64,pattern=principalName"`
	Policy          *string `json:"Policy" wire:"len=1..2048"`
	DurationSeconds *int32  `json:"DurationSeconds" wire:"range=900..43200"` // default 3600, or the role's maximum
}

// AssumeRoleWithCertificateOutput is the answer of AssumeRoleWithCertificate. SubjectFromCertificate is the SPIFFE ID.
type AssumeRoleWithCertificateOutput struct {
	Credentials            SessionCredentials `json:"Credentials"`
	SubjectFromCertificate string             `json:"SubjectFromCertificate"`
	AssumedRoleUser        AssumedRoleUser    `json:"AssumedRoleUser"`
	TrustDomain            string             `json:"TrustDomain"`
}

// AssumeRoleInput is the request of AssumeRole.
type AssumeRoleInput struct {
	RoleArn         string       `json:"RoleArn" wire:"required,len=20..2048,pattern=roleArn"`
	RoleSessionName string       `json:"RoleSessionName" wire:"required,len=2..64,pattern=principalName"`
	Policy          *string      `json:"Policy" wire:"len=1..2048"`
	DurationSeconds *int32       `json:"DurationSeconds" wire:"range=900..43200"` // default 3600, or the role's maximum
	Tags            []SessionTag `json:"Tags" wire:"items=0..50"`
	SourceIdentity  *string      `json:"SourceIdentity" wire:"len=2..64,pattern=principalName"`
}

// AssumeRoleOutput is the answer of AssumeRole.
type AssumeRoleOutput struct {
	Credentials     SessionCredentials `json:"Credentials"`
	AssumedRoleUser AssumedRoleUser    `json:"AssumedRoleUser"`
	SourceIdentity  *string            `json:"SourceIdentity"`
}

// SessionCredentials are what a session signs with (API shape Credentials).
type SessionCredentials struct {
	AccessKeyId     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey" wire:"sensitive"`
	SessionToken    string `json:"SessionToken" wire:"sensitive"`
	Expiration      Time   `json:"Expiration"`
}

// AssumedRoleUser is a session of a role.
type AssumedRoleUser struct {
	Arn           string `json:"Arn"`
	AssumedRoleId string `json:"AssumedRoleId"`
}
