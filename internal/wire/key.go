package wire

// The operations on keys are extensions. They use the words of AWS KMS, whose keys the API names by ARN.

// CreateKeyInput is the request of CreateKey. Without a URI a new key is made and kept here; with one, the key there is registered.
type CreateKeyInput struct {
	KeyUsage KeyUsage `json:"keyUsage" wire:"required"`
	KeySpec  *KeySpec `json:"keySpec"`
	Uri      *string  `json:"uri" wire:"len=1..2048"`
	ClientId *string  `json:"clientId" wire:"len=1..256"` // with CLIENT_ASSERTION: the one client that the key signs for
}

// CreateKeyOutput is the answer of CreateKey.
type CreateKeyOutput KeyMetadata

// KeyMetadata is what can be told of a key.
type KeyMetadata struct {
	KeyId        string   `json:"keyId" wire:"required,pattern=kmsKeyId"`
	KeyArn       string   `json:"keyArn" wire:"required,pattern=kmsKeyArn"`
	KeyUsage     KeyUsage `json:"keyUsage" wire:"required"`
	KeySpec      KeySpec  `json:"keySpec" wire:"required"`
	KeyState     KeyState `json:"keyState" wire:"required"`
	Uri          *string  `json:"uri,omitzero"`
	ClientId     *string  `json:"clientId,omitzero"`
	CreationDate Time     `json:"creationDate" wire:"required"`
}

// KeyUsage is the one use of a key.
type KeyUsage string

// The uses.
const (
	KeyForTokenVault      KeyUsage = "TOKEN_VAULT"      // SetTokenVaultCMK
	KeyForClientAssertion KeyUsage = "CLIENT_ASSERTION" // clientAuthenticationMethod PRIVATE_KEY_JWT
)

// Values are the values of the enum.
func (KeyUsage) Values() []string { return texts(KeyForTokenVault, KeyForClientAssertion) }

// KeySpec is the kind of a key.
type KeySpec string

// Values are the values of the enum.
func (KeySpec) Values() []string {
	return []string{"SYMMETRIC_DEFAULT", "RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256"}
}

// KeyState is the state of a key: what was done to it here, or else what its key management service says.
type KeyState string

// Values are the values of the enum; UNAVAILABLE is a key whose service does not say.
func (KeyState) Values() []string {
	return []string{"ENABLED", "DISABLED", "PENDING_DELETION", "DELETED", "UNAVAILABLE"}
}

// DescribeKeyInput is the request of DescribeKey. KeyId is the id or the ARN of a key, here and below.
type DescribeKeyInput struct {
	KeyId string `json:"keyId" wire:"required,len=1..2048,pattern=kmsKeyId"`
}

// DescribeKeyOutput is the answer of DescribeKey. Its state is asked of the key management service.
type DescribeKeyOutput KeyMetadata

// ListKeysInput is the request of ListKeys.
type ListKeysInput struct{}

// ListKeysOutput is the answer of ListKeys. The states are what was done to the keys here.
type ListKeysOutput struct {
	Keys []KeyMetadata `json:"keys" wire:"required"`
}

// GetPublicKeyInput is the request of GetPublicKey.
type GetPublicKeyInput struct {
	KeyId string `json:"keyId" wire:"required,len=1..2048,pattern=kmsKeyId"`
}

// GetPublicKeyOutput is the answer of GetPublicKey: the public half of a key, in the forms in which vendors want it.
type GetPublicKeyOutput struct {
	KeyArn string      `json:"keyArn" wire:"required,pattern=kmsKeyArn"`
	Pem    string      `json:"pem" wire:"required"` // SubjectPublicKeyInfo
	Jwk    *JSONWebKey `json:"jwk" wire:"required"`
	// JwksUri is where everybody finds the key as long as it is enabled, for vendors that take a URL in place of a key.
	JwksUri string `json:"jwksUri" wire:"required"`
}

// JSONWebKey is a public key (RFC 7517).
type JSONWebKey struct {
	Kty string  `json:"kty" wire:"required"`
	Use string  `json:"use" wire:"required"`
	Kid string  `json:"kid" wire:"required"`
	N   *string `json:"n,omitzero"`
	E   *string `json:"e,omitzero"`
	Crv *string `json:"crv,omitzero"`
	X   *string `json:"x,omitzero"`
	Y   *string `json:"y,omitzero"`
}

// EnableKeyInput is the request of EnableKey.
type EnableKeyInput struct {
	KeyId string `json:"keyId" wire:"required,len=1..2048,pattern=kmsKeyId"`
}

// EnableKeyOutput is the answer of EnableKey.
type EnableKeyOutput struct{}

// DisableKeyInput is the request of DisableKey.
type DisableKeyInput struct {
	KeyId string `json:"keyId" wire:"required,len=1..2048,pattern=kmsKeyId"`
}

// DisableKeyOutput is the answer of DisableKey.
type DisableKeyOutput struct{}

// DeleteKeyInput is the request of DeleteKey. Force deletes a key that is in use.
type DeleteKeyInput struct {
	KeyId string `json:"keyId" wire:"required,len=1..2048,pattern=kmsKeyId"`
	Force *bool  `json:"force"`
}

// DeleteKeyOutput is the answer of DeleteKey.
type DeleteKeyOutput struct{}
