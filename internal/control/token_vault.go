package control

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

// GetTokenVault tells the account's token vault. There is one, named default, from the first credential provider on.
func (c *Control) GetTokenVault(ctx context.Context, caller iam.Caller, in *wire.GetTokenVaultInput) (*wire.GetTokenVaultOutput, error) {
	id := cmp.Or(value(in.TokenVaultId), iam.DefaultVault)
	arn := c.ARNs.Vault(caller.Account, id)
	if err := c.allow(caller, "GetTokenVault", arn); err != nil {
		return nil, err
	}
	return c.describeTokenVault(ctx, caller.Account, id)
}

// describeTokenVault is the vault as the database has it now.
func (c *Control) describeTokenVault(ctx context.Context, account, id string) (*wire.GetTokenVaultOutput, error) {
	v, err := c.Store.TokenVault(ctx, account, id)
	if err != nil {
		return nil, notFound(err, c.ARNs.Vault(account, id))
	}
	kms := &wire.KmsConfiguration{KeyType: wire.KeyServiceManaged}
	if v.KeyID != "" {
		kms.KeyType, kms.KmsKeyArn = wire.KeyCustomerManaged, new(c.ARNs.Key(account, v.KeyID))
	}
	return &wire.GetTokenVaultOutput{TokenVaultId: v.ID, KmsConfiguration: kms, LastModifiedDate: wire.Time{Time: v.ModifiedAt}}, nil
}

// SetTokenVaultCMK has the tokens of the vault sealed by a key of the account, or by the server's own again.
func (c *Control) SetTokenVaultCMK(ctx context.Context, caller iam.Caller, in *wire.SetTokenVaultCMKInput) (*wire.SetTokenVaultCMKOutput, error) {
	id := cmp.Or(value(in.TokenVaultId), iam.DefaultVault)
	if err := c.allow(caller, "SetTokenVaultCMK", c.ARNs.Vault(caller.Account, id)); err != nil {
		return nil, err
	}
	const member = "kmsConfiguration.kmsKeyArn"
	arn, keyID := value(in.KmsConfiguration.KmsKeyArn), ""
	switch {
	case in.KmsConfiguration.KeyType == wire.KeyServiceManaged && arn != "":
		return nil, fault.Invalid(member, "is for keyType %s", wire.KeyCustomerManaged)
	case in.KmsConfiguration.KeyType == wire.KeyCustomerManaged:
		if arn == "" {
			return nil, fault.Invalid(member, "is required for keyType %s", wire.KeyCustomerManaged)
		}
		var ok bool
		if keyID, ok = c.ARNs.KeyID(caller.Account, arn); !ok {
			return nil, fault.Invalid(member, "key %s is not registered", keyIDOf(arn))
		}
	}
	if _, err := c.describeTokenVault(ctx, caller.Account, id); err != nil {
		return nil, err
	}
	if err := c.Vault.SetTokenVaultKey(ctx, caller.Account, keyID); err != nil {
		return nil, changedMeanwhile(err)
	}
	out, err := c.describeTokenVault(ctx, caller.Account, id)
	return (*wire.SetTokenVaultCMKOutput)(out), err
}

// keyIDOf is the id in the ARN of a key, whosever it is.
func keyIDOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// changedMeanwhile gives a lost race its text.
func changedMeanwhile(err error) error {
	if errors.Is(err, fault.ConcurrentModification) {
		return fault.Wrap(fault.ConcurrentModification, err, "The token vault, or its key, is being changed by others: try again")
	}
	return err
}

// ResetTokenVaultKeyMaterial makes a vault usable again whose key was deleted: without its tokens, which nobody can open any more. Providers stay.
func (c *Control) ResetTokenVaultKeyMaterial(ctx context.Context, caller iam.Caller, in *wire.ResetTokenVaultKeyMaterialInput) (*wire.ResetTokenVaultKeyMaterialOutput, error) {
	if err := c.allow(caller, "ResetTokenVaultKeyMaterial", c.ARNs.Vault(caller.Account, in.TokenVaultId)); err != nil {
		return nil, err
	}
	if _, err := c.describeTokenVault(ctx, caller.Account, in.TokenVaultId); err != nil {
		return nil, err
	}
	if err := c.Vault.ResetTokenVault(ctx, caller.Account); err != nil {
		return nil, changedMeanwhile(err)
	}
	out, err := c.describeTokenVault(ctx, caller.Account, in.TokenVaultId)
	return (*wire.ResetTokenVaultKeyMaterialOutput)(out), err
}

// value is what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
