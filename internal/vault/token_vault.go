package vault

import (
	"context"
	"errors"
	"time"

	"credence/internal/fault"
	"credence/internal/kms"
	"credence/internal/store"
)

// SetTokenVaultKey has the tokens' keyset of an account sealed by another key: an enabled one of the account for this use, or the key-encryption key for the
// id "". The keys in it stay, so nothing else is written anew. fault.ConcurrentModification when somebody else did the like meanwhile; errors about the key
// name the member kmsConfiguration.kmsKeyArn.
func (v *Vault) SetTokenVaultKey(ctx context.Context, account, keyID string) error {
	row, err := v.store.Keyset(ctx, account, purposeTokens)
	if err != nil {
		return err
	}
	key, err := v.wrapper(ctx, account, keyID)
	if err != nil {
		return keyOfRequest(keyID, err)
	}
	handle, err := v.openTokensRow(ctx, row)
	if err != nil {
		return unusable(account, fault.Decryption, err)
	}
	row.KeyID = keyID
	if err := sealKeyset(ctx, &row, handle, key); err != nil {
		return keyOfRequest(keyID, err)
	}
	if _, err := openKeyset(ctx, row, key); err != nil { // what is written must open
		return keyOfRequest(keyID, err)
	}
	defer v.slot(account).forget()
	return v.store.RewrapKeyset(row, vaultID, time.Now())
}

// keyOfRequest is what is wrong with the key that a request names. Only an outage may be over when it is repeated.
func keyOfRequest(keyID string, err error) error {
	if keyID == "" {
		return err
	}
	err = ofService(keyID, err)
	if e, _ := errors.AsType[*keyError](err); errors.Is(err, kms.ErrRefused) {
		f := fault.Invalid("kmsConfiguration.kmsKeyArn", "key %s %s", keyID, e.reason)
		f.Err = err
		return f
	}
	return &fault.Fault{Kind: fault.Throttled, Msg: "Key " + keyID + " cannot be used now: its key management service does not answer as it should; try again", RetryAfter: time.Second, Err: err}
}

// ResetTokenVault gives an account whose token vault can never be opened again a new keyset, sealed by the key-encryption key. All of its grants and
// authorization sessions end: nobody can read them any more. It is refused unless the key is deleted for certain: its service says so itself, or for a key that
// was kept here we destroyed it. Errors name the member tokenVaultId.
func (v *Vault) ResetTokenVault(ctx context.Context, account string) error {
	old, err := v.store.Keyset(ctx, account, purposeTokens)
	if err != nil {
		return err
	}
	if err := v.deleted(ctx, old); err != nil {
		return err
	}
	fresh, err := newKeyset(ctx, v.kek, account, purposeTokens)
	if err != nil {
		return err
	}
	defer v.grants.forgetAll()
	defer v.slot(account).forget()
	return v.store.ResetKeyset(old, fresh, vaultID, time.Now())
}

// deleted answers nil when the key of a keyset is no more.
func (v *Vault) deleted(ctx context.Context, row store.Keyset) error {
	const member = "tokenVaultId"
	if row.KeyID == "" {
		return fault.Invalid(member, "its key is the service's own, which is not deleted: there is nothing to reset")
	}
	k, err := v.store.Key(ctx, row.Account, row.KeyID)
	if err != nil {
		return err
	}
	state := kms.State(k.State)
	if k.URI != "" {
		if state, err = v.askState(ctx, k); err != nil {
			f := fault.Invalid(member, "whether its key %s is deleted cannot be told: its key management service does not say so; nothing was reset", k.ID)
			f.Err = err
			return f
		}
	}
	if state != kms.Deleted {
		return fault.Invalid(member, "its key %s is %s, not %s: nothing was reset, since a reset destroys all stored tokens", k.ID, state, kms.Deleted)
	}
	return nil
}

func (v *Vault) askState(ctx context.Context, k store.Key) (kms.State, error) {
	key, err := v.openKey(ctx, k)
	if err != nil {
		return "", err
	}
	return key.State(ctx)
}
