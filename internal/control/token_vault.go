package control

import (
	"context"

	"credence/internal/iam"
	"credence/internal/wire"
)

// GetTokenVault tells the account's token vault. There is one, named default, from the first credential provider on.
func (c *Control) GetTokenVault(ctx context.Context, caller iam.Caller, in *wire.GetTokenVaultInput) (*wire.GetTokenVaultOutput, error) {
	id := iam.DefaultVault
	if in.TokenVaultId != nil {
		id = *in.TokenVaultId
	}
	arn := c.ARNs.Vault(caller.Account, id)
	if err := c.allow(caller, "GetTokenVault", arn); err != nil {
		return nil, err
	}
	v, err := c.Store.TokenVault(ctx, caller.Account, id)
	if err != nil {
		return nil, notFound(err, arn)
	}
	return &wire.GetTokenVaultOutput{
		TokenVaultId: v.ID, KmsConfiguration: &wire.KmsConfiguration{KeyType: wire.KeyServiceManaged}, LastModifiedDate: wire.Time{Time: v.ModifiedAt},
	}, nil
}
