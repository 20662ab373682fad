package wire

// Secret is the ARN of a secret in outputs.
type Secret struct {
	SecretArn string `json:"secretArn" wire:"required,pattern=secretArn"`
}

// IsSecretARN reports whether the API can name a secret so in its answers.
func IsSecretARN(s string) bool { return patterns["secretArn"].matches(s) }

// SecretReference names a secret outside the vault: SecretId is its name or ARN, or a URI, JsonKey the key inside its JSON text.
type SecretReference struct {
	SecretId string `json:"secretId" wire:"required,len=1..2048"`
	JsonKey  string `json:"jsonKey" wire:"required,len=1..128"`
}

// SecretSource says who keeps a client secret or API key.
type SecretSource string

// The secret sources.
const (
	SourceManaged  SecretSource = "MANAGED"  // the vault
	SourceExternal SecretSource = "EXTERNAL" // where a SecretReference points
)

// Values are the values of the enum SecretSourceType.
func (SecretSource) Values() []string { return texts(SourceManaged, SourceExternal) }

// texts are the values of an enum as strings.
func texts[E ~string](values ...E) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}
