package broker

import (
	"context"
	"errors"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

// GetResourceApiKey hands out the key of an API key credential provider. Any workload access token will do: keys belong to the provider, not to a user.
func (b *Broker) GetResourceApiKey(ctx context.Context, c iam.Caller, in *wire.GetResourceApiKeyInput) (*wire.GetResourceApiKeyOutput, error) {
	req := access.Request{Action: "bedrock-agentcore:GetResourceApiKey", Resources: []string{b.ARNs.APIKeyProvider(c.Account, in.ResourceCredentialProviderName)}}
	a, err := b.open(ctx, c, in.WorkloadIdentityToken)
	if err != nil {
		return nil, b.Gate.Refuse(c, req, err)
	}
	req.Resources = append(req.Resources, b.agentResources(c.Account, a.row.Name)...)
	req.Workload, req.User = a.row.Name, a.token.User.String()
	if err := b.Gate.Allow(c, req); err != nil {
		return nil, err
	}
	p, err := b.Vault.APIKeyProvider(ctx, c.Account, in.ResourceCredentialProviderName)
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "Resource not found: %s", b.ARNs.APIKeyProvider(c.Account, in.ResourceCredentialProviderName))
	}
	if err != nil {
		return nil, err
	}
	key, err := b.Vault.APIKey(ctx, p)
	if err != nil {
		return nil, err
	}
	return &wire.GetResourceApiKeyOutput{ApiKey: key.Reveal()}, nil
}
