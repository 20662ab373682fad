package control

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

// apiKeyJSONKey is where an API key that the vault keeps stands in what clients take for a Secrets Manager secret.
const apiKeyJSONKey = "api_key_value"

// CreateApiKeyCredentialProvider keeps an API key.
func (c *Control) CreateApiKeyCredentialProvider(ctx context.Context, caller iam.Caller, in *wire.CreateApiKeyCredentialProviderInput) (*wire.CreateApiKeyCredentialProviderOutput, error) {
	arn := c.ARNs.APIKeyProvider(caller.Account, in.Name)
	if err := c.allowTagged(caller, "CreateApiKeyCredentialProvider", in.Tags, arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	key, err := giveSecret("apiKey", "apiKeySecret", in.ApiKey, in.ApiKeySecretSource, in.ApiKeySecretConfig)
	if err != nil {
		return nil, err
	}
	if key.isZero() {
		return nil, fault.Invalid("apiKey", "is required")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if _, err := c.look(ctx, caller.Account, key); err != nil {
		return nil, err
	}
	now := time.Now()
	p := store.APIKeyProvider{Account: caller.Account, Name: in.Name, Incarnation: rand.Text(), APIKeyAt: key.at, CreatedAt: now, UpdatedAt: now}
	err = c.Vault.InsertAPIKeyProvider(ctx, p, key.value, store.Tags{Resource: apiKeyProviderResource(in.Name), Values: in.Tags})
	if errors.Is(err, fault.Conflict) {
		return nil, fault.New(fault.Conflict, "An API key credential provider named %q already exists", in.Name)
	}
	if err != nil {
		return nil, err
	}
	out := &wire.CreateApiKeyCredentialProviderOutput{Name: p.Name, CredentialProviderArn: arn}
	out.ApiKeySecretArn, out.ApiKeySecretJsonKey, out.ApiKeySecretSource = c.describeAPIKey(p)
	return out, nil
}

func (c *Control) describeAPIKey(p store.APIKeyProvider) (*wire.Secret, *string, *wire.SecretSource) {
	return described(c.ARNs.Secret(p.Account, "apikey", p.Name, p.Incarnation), apiKeyJSONKey, p.APIKeyAt)
}

// GetApiKeyCredentialProvider tells a provider, without its key.
func (c *Control) GetApiKeyCredentialProvider(ctx context.Context, caller iam.Caller, in *wire.GetApiKeyCredentialProviderInput) (*wire.GetApiKeyCredentialProviderOutput, error) {
	arn := c.ARNs.APIKeyProvider(caller.Account, in.Name)
	if err := c.allow(caller, "GetApiKeyCredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	p, err := c.Store.APIKeyProvider(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, notFound(err, arn)
	}
	return (*wire.GetApiKeyCredentialProviderOutput)(c.describeAPIKeyProvider(p)), nil
}

func (c *Control) describeAPIKeyProvider(p store.APIKeyProvider) *wire.UpdateApiKeyCredentialProviderOutput {
	out := &wire.UpdateApiKeyCredentialProviderOutput{
		Name: p.Name, CredentialProviderArn: c.ARNs.APIKeyProvider(p.Account, p.Name), CreatedTime: wire.Time{Time: p.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.UpdatedAt},
	}
	out.ApiKeySecretArn, out.ApiKeySecretJsonKey, out.ApiKeySecretSource = c.describeAPIKey(p)
	return out
}

// ListApiKeyCredentialProviders lists the providers of the account by name, at most 100 at a time.
func (c *Control) ListApiKeyCredentialProviders(ctx context.Context, caller iam.Caller, in *wire.ListApiKeyCredentialProvidersInput) (*wire.ListApiKeyCredentialProvidersOutput, error) {
	const operation = "ListApiKeyCredentialProviders"
	page, err := c.page(ctx, caller, operation, in.NextToken, in.MaxResults, 100)
	if err != nil {
		return nil, err
	}
	if err := c.allow(caller, operation, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	rows, more, err := c.Store.APIKeyProviders(ctx, caller.Account, page)
	if err != nil {
		return nil, err
	}
	out := &wire.ListApiKeyCredentialProvidersOutput{CredentialProviders: make([]wire.ApiKeyCredentialProviderItem, len(rows))}
	for i, p := range rows {
		out.CredentialProviders[i] = wire.ApiKeyCredentialProviderItem{
			Name: p.Name, CredentialProviderArn: c.ARNs.APIKeyProvider(p.Account, p.Name), CreatedTime: wire.Time{Time: p.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.UpdatedAt},
		}
		page.After = p.Name
	}
	out.NextToken, err = c.nextToken(ctx, caller.Account, operation, page.After, more)
	return out, err
}

// UpdateApiKeyCredentialProvider replaces the key of a provider, when one is given, by itself or by a reference.
func (c *Control) UpdateApiKeyCredentialProvider(ctx context.Context, caller iam.Caller, in *wire.UpdateApiKeyCredentialProviderInput) (*wire.UpdateApiKeyCredentialProviderOutput, error) {
	arn := c.ARNs.APIKeyProvider(caller.Account, in.Name)
	if err := c.allow(caller, "UpdateApiKeyCredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	key, err := giveSecret("apiKey", "apiKeySecret", in.ApiKey, in.ApiKeySecretSource, in.ApiKeySecretConfig)
	if err != nil {
		return nil, err
	}
	p, err := c.Store.APIKeyProvider(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, notFound(err, arn)
	}
	if err := key.checkKept(p.APIKeyAt); err != nil {
		return nil, err
	}
	if _, err := c.look(ctx, caller.Account, key); err != nil {
		return nil, err
	}
	if !key.isZero() {
		p.APIKeyAt, p.UpdatedAt = key.at, time.Now()
		if err := c.Vault.UpdateAPIKeyProvider(ctx, p, key.value); err != nil {
			return nil, notFound(err, arn)
		}
	}
	return c.describeAPIKeyProvider(p), nil
}

// DeleteApiKeyCredentialProvider removes a provider with its key.
func (c *Control) DeleteApiKeyCredentialProvider(_ context.Context, caller iam.Caller, in *wire.DeleteApiKeyCredentialProviderInput) (*wire.DeleteApiKeyCredentialProviderOutput, error) {
	arn := c.ARNs.APIKeyProvider(caller.Account, in.Name)
	if err := c.allow(caller, "DeleteApiKeyCredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	return &wire.DeleteApiKeyCredentialProviderOutput{}, notFound(c.Vault.DeleteAPIKeyProvider(caller.Account, in.Name, apiKeyProviderResource(in.Name)), arn)
}
