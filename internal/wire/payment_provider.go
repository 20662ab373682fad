package wire

import "credence/internal/secret"

// CreatePaymentCredentialProviderInput is the request of CreatePaymentCredentialProvider.
type CreatePaymentCredentialProviderInput struct {
	Name                       string                             `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor   PaymentVendor                      `json:"credentialProviderVendor" wire:"required"`
	ProviderConfigurationInput *PaymentProviderConfigurationInput `json:"providerConfigurationInput" wire:"required"`
	Tags                       map[string]string                  `json:"tags" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// CreatePaymentCredentialProviderOutput is the answer of CreatePaymentCredentialProvider.
type CreatePaymentCredentialProviderOutput struct {
	Name                        string                              `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor    PaymentVendor                       `json:"credentialProviderVendor" wire:"required"`
	CredentialProviderArn       string                              `json:"credentialProviderArn" wire:"required,pattern=paymentCredentialProviderArn"`
	ProviderConfigurationOutput *PaymentProviderConfigurationOutput `json:"providerConfigurationOutput" wire:"required"`
}

// GetPaymentCredentialProviderInput is the request of GetPaymentCredentialProvider.
type GetPaymentCredentialProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// GetPaymentCredentialProviderOutput is the answer of GetPaymentCredentialProvider.
type GetPaymentCredentialProviderOutput struct {
	Name                        string                              `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderArn       string                              `json:"credentialProviderArn" wire:"required,pattern=paymentCredentialProviderArn"`
	CredentialProviderVendor    PaymentVendor                       `json:"credentialProviderVendor" wire:"required"`
	ProviderConfigurationOutput *PaymentProviderConfigurationOutput `json:"providerConfigurationOutput" wire:"required"`
	CreatedTime                 Time                                `json:"createdTime" wire:"required"`
	LastUpdatedTime             Time                                `json:"lastUpdatedTime" wire:"required"`
	Tags                        map[string]string                   `json:"tags,omitzero" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// ListPaymentCredentialProvidersInput is the request of ListPaymentCredentialProviders. NextToken is that of the answer before.
type ListPaymentCredentialProvidersInput struct {
	NextToken  *string `json:"nextToken"`
	MaxResults *int32  `json:"maxResults" wire:"range=1..20"`
}

// ListPaymentCredentialProvidersOutput is the answer of ListPaymentCredentialProviders. Without NextToken it is the last page.
type ListPaymentCredentialProvidersOutput struct {
	CredentialProviders []PaymentCredentialProviderItem `json:"credentialProviders" wire:"required"`
	NextToken           *string                         `json:"nextToken,omitzero"`
}

// PaymentCredentialProviderItem is one payment credential provider in a list.
type PaymentCredentialProviderItem struct {
	Name                     string        `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor PaymentVendor `json:"credentialProviderVendor" wire:"required"`
	CredentialProviderArn    string        `json:"credentialProviderArn" wire:"required,pattern=paymentCredentialProviderArn"`
	CreatedTime              Time          `json:"createdTime" wire:"required"`
	LastUpdatedTime          Time          `json:"lastUpdatedTime" wire:"required"`
}

// UpdatePaymentCredentialProviderInput is the request of UpdatePaymentCredentialProvider.
type UpdatePaymentCredentialProviderInput struct {
	Name                       string                             `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor   PaymentVendor                      `json:"credentialProviderVendor" wire:"required"`
	ProviderConfigurationInput *PaymentProviderConfigurationInput `json:"providerConfigurationInput" wire:"required"`
}

// UpdatePaymentCredentialProviderOutput is the answer of UpdatePaymentCredentialProvider.
type UpdatePaymentCredentialProviderOutput struct {
	Name                        string                              `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderVendor    PaymentVendor                       `json:"credentialProviderVendor" wire:"required"`
	CredentialProviderArn       string                              `json:"credentialProviderArn" wire:"required,pattern=paymentCredentialProviderArn"`
	ProviderConfigurationOutput *PaymentProviderConfigurationOutput `json:"providerConfigurationOutput" wire:"required"`
	CreatedTime                 Time                                `json:"createdTime" wire:"required"`
	LastUpdatedTime             Time                                `json:"lastUpdatedTime" wire:"required"`
}

// DeletePaymentCredentialProviderInput is the request of DeletePaymentCredentialProvider.
type DeletePaymentCredentialProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// DeletePaymentCredentialProviderOutput is the answer of DeletePaymentCredentialProvider.
type DeletePaymentCredentialProviderOutput struct{}

// PaymentVendor is the vendor of a payment credential provider.
type PaymentVendor string

// The payment vendors.
const (
	VendorCoinbaseCDP PaymentVendor = "CoinbaseCDP"
	VendorStripePrivy PaymentVendor = "StripePrivy"
)

// Values are the values of the enum PaymentCredentialProviderVendorType.
func (PaymentVendor) Values() []string { return texts(VendorCoinbaseCDP, VendorStripePrivy) }

// PaymentProviderConfigurationInput is the configuration of a payment credential provider by its vendor.
type PaymentProviderConfigurationInput struct {
	_                        struct{}                       `wire:"union"`
	CoinbaseCdpConfiguration *CoinbaseCdpConfigurationInput `json:"coinbaseCdpConfiguration"`
	StripePrivyConfiguration *StripePrivyConfigurationInput `json:"stripePrivyConfiguration"`
}

// CoinbaseCdpConfigurationInput has the API key that signs bearer tokens and the wallet secret that signs wallet tokens.
type CoinbaseCdpConfigurationInput struct {
	ApiKeyId           string           `json:"apiKeyId" wire:"required,len=1..512,pattern=paymentId"`
	ApiKeySecret       *secret.String   `json:"apiKeySecret" wire:"len=0..2048,pattern=paymentSecret"`
	ApiKeySecretSource *SecretSource    `json:"apiKeySecretSource"`
	ApiKeySecretConfig *SecretReference `json:"apiKeySecretConfig"`
	WalletSecret       *secret.String   `json:"walletSecret" wire:"len=0..2048,pattern=paymentSecret"`
	WalletSecretSource *SecretSource    `json:"walletSecretSource"`
	WalletSecretConfig *SecretReference `json:"walletSecretConfig"`
}

// StripePrivyConfigurationInput has the app's secret and the private key that signs requests for the authorization id.
type StripePrivyConfigurationInput struct {
	AppId                         string           `json:"appId" wire:"required,len=1..512,pattern=paymentId"`
	AppSecret                     *secret.String   `json:"appSecret" wire:"len=0..2048,pattern=paymentSecret"`
	AppSecretSource               *SecretSource    `json:"appSecretSource"`
	AppSecretConfig               *SecretReference `json:"appSecretConfig"`
	AuthorizationPrivateKey       *secret.String   `json:"authorizationPrivateKey" wire:"len=0..2048,pattern=authorizationPrivateKey"`
	AuthorizationPrivateKeySource *SecretSource    `json:"authorizationPrivateKeySource"`
	AuthorizationPrivateKeyConfig *SecretReference `json:"authorizationPrivateKeyConfig"`
	AuthorizationId               string           `json:"authorizationId" wire:"required,len=1..512,pattern=paymentId"`
}

// PaymentProviderConfigurationOutput is the stored configuration of a payment credential provider, without its secrets.
type PaymentProviderConfigurationOutput struct {
	_                        struct{}                        `wire:"union"`
	CoinbaseCdpConfiguration *CoinbaseCdpConfigurationOutput `json:"coinbaseCdpConfiguration,omitzero"`
	StripePrivyConfiguration *StripePrivyConfigurationOutput `json:"stripePrivyConfiguration,omitzero"`
}

// CoinbaseCdpConfigurationOutput is the stored configuration for CoinbaseCDP.
type CoinbaseCdpConfigurationOutput struct {
	ApiKeyId            string        `json:"apiKeyId" wire:"required,len=1..512,pattern=paymentId"`
	ApiKeySecretArn     *Secret       `json:"apiKeySecretArn" wire:"required"`
	ApiKeySecretJsonKey *string       `json:"apiKeySecretJsonKey,omitzero" wire:"len=1..128"`
	ApiKeySecretSource  *SecretSource `json:"apiKeySecretSource,omitzero"`
	WalletSecretArn     *Secret       `json:"walletSecretArn" wire:"required"`
	WalletSecretJsonKey *string       `json:"walletSecretJsonKey,omitzero" wire:"len=1..128"`
	WalletSecretSource  *SecretSource `json:"walletSecretSource,omitzero"`
}

// StripePrivyConfigurationOutput is the stored configuration for StripePrivy.
type StripePrivyConfigurationOutput struct {
	AppId                          string        `json:"appId" wire:"required,len=1..512,pattern=paymentId"`
	AppSecretArn                   *Secret       `json:"appSecretArn" wire:"required"`
	AppSecretJsonKey               *string       `json:"appSecretJsonKey,omitzero" wire:"len=1..128"`
	AppSecretSource                *SecretSource `json:"appSecretSource,omitzero"`
	AuthorizationPrivateKeyArn     *Secret       `json:"authorizationPrivateKeyArn" wire:"required"`
	AuthorizationPrivateKeyJsonKey *string       `json:"authorizationPrivateKeyJsonKey,omitzero" wire:"len=1..128"`
	AuthorizationPrivateKeySource  *SecretSource `json:"authorizationPrivateKeySource,omitzero"`
	AuthorizationId                string        `json:"authorizationId" wire:"required,len=1..512,pattern=paymentId"`
}
