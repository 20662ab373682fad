package wire

// GetTokenVaultInput is the request of GetTokenVault. Without an id it asks for the vault named default.
type GetTokenVaultInput struct {
	TokenVaultId *string `json:"tokenVaultId" wire:"len=1..64,pattern=tokenVaultId"`
}

// GetTokenVaultOutput is the answer of GetTokenVault.
type GetTokenVaultOutput struct {
	TokenVaultId     string            `json:"tokenVaultId" wire:"required,len=1..64,pattern=tokenVaultId"`
	KmsConfiguration *KmsConfiguration `json:"kmsConfiguration" wire:"required"`
	LastModifiedDate Time              `json:"lastModifiedDate" wire:"required"`
}

// SetTokenVaultCMKInput is the request of SetTokenVaultCMK. Without an id it means the vault named default.
type SetTokenVaultCMKInput struct {
	TokenVaultId     *string           `json:"tokenVaultId" wire:"len=1..64,pattern=tokenVaultId"`
	KmsConfiguration *KmsConfiguration `json:"kmsConfiguration" wire:"required"`
}

// SetTokenVaultCMKOutput is the answer of SetTokenVaultCMK.
type SetTokenVaultCMKOutput GetTokenVaultOutput

// ResetTokenVaultKeyMaterialInput is the request of ResetTokenVaultKeyMaterial.
type ResetTokenVaultKeyMaterialInput struct {
	TokenVaultId string `json:"tokenVaultId" wire:"required,len=1..64,pattern=tokenVaultId"`
}

// ResetTokenVaultKeyMaterialOutput is the answer of ResetTokenVaultKeyMaterial.
type ResetTokenVaultKeyMaterialOutput GetTokenVaultOutput

// KmsConfiguration says which key seals a token vault.
type KmsConfiguration struct {
	KeyType   KeyType `json:"keyType" wire:"required"`
	KmsKeyArn *string `json:"kmsKeyArn,omitzero" wire:"len=1..2048,pattern=kmsKeyArn"`
}

// KeyType says whose the key of a token vault is.
type KeyType string

// The key types.
const (
	KeyCustomerManaged KeyType = "CustomerManagedKey" // a key that was registered with the server by its ARN
	KeyServiceManaged  KeyType = "ServiceManagedKey"  // the server's own
)

// Values are the values of the enum KeyType.
func (KeyType) Values() []string { return texts(KeyCustomerManaged, KeyServiceManaged) }
