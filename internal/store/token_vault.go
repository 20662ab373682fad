package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// TokenVault is the frame of an account's providers and tokens.
type TokenVault struct {
	Account    string
	ID         string
	KeyID      string // of the Key that seals its tokens' keyset; "" for the key-encryption key
	ModifiedAt time.Time
}

// PurposeTokens is the purpose of the keyset that seals what a token vault holds of vendors: tokens, and consents in flight.
const PurposeTokens = "tokens"

// TokenVault finds a token vault; it exists from the first provider on.
func (s *Store) TokenVault(ctx context.Context, account, id string) (TokenVault, error) {
	return readOne(ctx, s, func(r scanner) (v TokenVault, err error) {
		return v, r.Scan(&v.Account, &v.ID, &v.KeyID, moment{&v.ModifiedAt})
	}, `SELECT v.account, v.id, k.key_id, v.modified_at FROM token_vaults v JOIN keysets k ON k.account = v.account AND k.purpose = $3
		WHERE v.account = $1 AND v.id = $2`, account, id, PurposeTokens)
}

// RewrapKeyset writes the tokens' keyset as it was sealed anew, if the row still has k's version; fault.ConcurrentModification when somebody wrote it
// meanwhile, or k's key is not an enabled one of the account any more.
func (s *Store) RewrapKeyset(k Keyset, vaultID string, at time.Time) error {
	return s.write(func(t *tx) error {
		if k.KeyID != "" {
			if err := t.change(fault.ConcurrentModification, `UPDATE keys SET state = state WHERE account = $1 AND id = $2 AND usage = $3 AND state = $4`,
				k.Account, k.KeyID, KeyForTokenVault, KeyEnabled); err != nil {
				return err
			}
		}
		return t.replaceKeyset(k, k.ID, vaultID, at)
	})
}

// ResetKeyset puts a new keyset, under the key-encryption key, in the place of old, and removes whatever old sealed: every grant and authorization session
// of the account. fault.ConcurrentModification when somebody wrote the row meanwhile.
func (s *Store) ResetKeyset(old, fresh Keyset, vaultID string, at time.Time) error {
	fresh.Account, fresh.Version = old.Account, old.Version
	return s.write(func(t *tx) error {
		if err := t.replaceKeyset(fresh, old.ID, vaultID, at); err != nil {
			return err
		}
		for _, table := range []string{"grants", "authorization_sessions", "revocations"} {
			if err := t.exec(`DELETE FROM `+table+` WHERE account = $1`, old.Account); err != nil {
				return err
			}
		}
		return t.exec(`UPDATE webhook_deliveries SET user_name = NULL WHERE account = $1`, old.Account)
	})
}

// replaceKeyset swaps the tokens' keyset, and marks the vault as modified.
func (t *tx) replaceKeyset(k Keyset, oldID, vaultID string, at time.Time) error {
	if err := t.change(fault.ConcurrentModification, `UPDATE keysets SET id = $5, key_id = $6, sealed = $7, version = version + 1
		WHERE account = $1 AND purpose = $2 AND id = $3 AND version = $4`,
		k.Account, PurposeTokens, oldID, k.Version, k.ID, k.KeyID, k.Sealed); err != nil {
		return err
	}
	if err := t.change(fault.NotFound, `UPDATE token_vaults SET modified_at = $3 WHERE account = $1 AND id = $2`, k.Account, vaultID, millis(at)); err != nil {
		return err
	}
	return t.bumpEpoch(k.Account)
}
