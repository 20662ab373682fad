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
	b.concerns(&req, a, in.ResourceCredentialProviderName)
	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
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
	if err := b.Gate.NotFrozen(ctx, c, req); err != nil { // a key that is kept elsewhere takes its time
		return nil, err
	}
	return &wire.GetResourceApiKeyOutput{ApiKey: key.Reveal()}, nil
}
