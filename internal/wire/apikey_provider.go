package wire

import "credence/internal/secret"

// CreateApiKeyCredentialProviderInput is the request of CreateApiKeyCredentialProvider.
type CreateApiKeyCredentialProviderInput struct {
	Name               string            `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	ApiKey             *secret.String    `json:"apiKey" wire:"len=0..65536"`
	ApiKeySecretConfig *SecretReference  `json:"apiKeySecretConfig"`
	ApiKeySecretSource *SecretSource     `json:"apiKeySecretSource"`
	Tags               map[string]string `json:"tags" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// CreateApiKeyCredentialProviderOutput is the answer of CreateApiKeyCredentialProvider.
type CreateApiKeyCredentialProviderOutput struct {
	ApiKeySecretArn       *Secret       `json:"apiKeySecretArn" wire:"required"`
	ApiKeySecretJsonKey   *string       `json:"apiKeySecretJsonKey,omitzero" wire:"len=1..128"`
	ApiKeySecretSource    *SecretSource `json:"apiKeySecretSource,omitzero"`
	Name                  string        `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderArn string        `json:"credentialProviderArn" wire:"required,pattern=apiKeyCredentialProviderArn"`
}

// GetApiKeyCredentialProviderInput is the request of GetApiKeyCredentialProvider.
type GetApiKeyCredentialProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// GetApiKeyCredentialProviderOutput is the answer of GetApiKeyCredentialProvider.
type GetApiKeyCredentialProviderOutput struct {
	ApiKeySecretArn       *Secret       `json:"apiKeySecretArn" wire:"required"`
	ApiKeySecretJsonKey   *string       `json:"apiKeySecretJsonKey,omitzero" wire:"len=1..128"`
	ApiKeySecretSource    *SecretSource `json:"apiKeySecretSource,omitzero"`
	Name                  string        `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderArn string        `json:"credentialProviderArn" wire:"required,pattern=apiKeyCredentialProviderArn"`
	CreatedTime           Time          `json:"createdTime" wire:"required"`
	LastUpdatedTime       Time          `json:"lastUpdatedTime" wire:"required"`
}

// ListApiKeyCredentialProvidersInput is the request of ListApiKeyCredentialProviders. NextToken is that of the answer before.
type ListApiKeyCredentialProvidersInput struct {
	NextToken  *string `json:"nextToken"`
	MaxResults *int32  `json:"maxResults" wire:"range=1..100"`
}

// ListApiKeyCredentialProvidersOutput is the answer of ListApiKeyCredentialProviders. Without NextToken it is the last page.
type ListApiKeyCredentialProvidersOutput struct {
	CredentialProviders []ApiKeyCredentialProviderItem `json:"credentialProviders" wire:"required"`
	NextToken           *string                        `json:"nextToken,omitzero"`
}

// ApiKeyCredentialProviderItem is one API key credential provider in a list.
type ApiKeyCredentialProviderItem struct {
	Name                  string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	CredentialProviderArn string `json:"credentialProviderArn" wire:"required,pattern=apiKeyCredentialProviderArn"`
	CreatedTime           Time   `json:"createdTime" wire:"required"`
	LastUpdatedTime       Time   `json:"lastUpdatedTime" wire:"required"`
}

// UpdateApiKeyCredentialProviderInput is the request of UpdateApiKeyCredentialProvider.
type UpdateApiKeyCredentialProviderInput struct {
	Name               string           `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	ApiKey             *secret.String   `json:"apiKey" wire:"len=0..65536"`
	ApiKeySecretConfig *SecretReference `json:"apiKeySecretConfig"`
	ApiKeySecretSource *SecretSource    `json:"apiKeySecretSource"`
}

// UpdateApiKeyCredentialProviderOutput is the answer of UpdateApiKeyCredentialProvider.
type UpdateApiKeyCredentialProviderOutput GetApiKeyCredentialProviderOutput

// DeleteApiKeyCredentialProviderInput is the request of DeleteApiKeyCredentialProvider.
type DeleteApiKeyCredentialProviderInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// DeleteApiKeyCredentialProviderOutput is the answer of DeleteApiKeyCredentialProvider.
type DeleteApiKeyCredentialProviderOutput struct{}
