package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Key is a key of an account: to seal its token vault, or to sign assertions of one client. Material is sealed, and nil when the key is elsewhere or deleted.
type Key struct {
	Account              string
	ID                   string
	Usage                KeyUsage
	Spec                 string // package kms's
	URI                  string // "" when Material holds it
	Resource             string // what URI names
	Material             []byte
	ClientID             string // of KeyForAssertions: the one client
	State                KeyState
	CreatedAt, UpdatedAt time.Time
	Version              int64
}

// KeyUsage is the one use of a key.
type KeyUsage string

// The uses.
const (
	KeyForTokenVault KeyUsage = "TOKEN_VAULT"
	KeyForAssertions KeyUsage = "CLIENT_ASSERTION"
)

// KeyState is what was done to a key here; its key management service may say otherwise.
type KeyState string

// The stored states.
const (
	KeyEnabled  KeyState = "ENABLED"
	KeyDisabled KeyState = "DISABLED"
	KeyDeleted  KeyState = "DELETED" // its material is destroyed
)

const keyColumns = `account, id, usage, spec, uri, resource, material, client_id, state, created_at, updated_at, version`

func scanKey(r scanner) (k Key, err error) {
	return k, r.Scan(&k.Account, &k.ID, &k.Usage, &k.Spec, &k.URI, &k.Resource, &k.Material, &k.ClientID, &k.State, moment{&k.CreatedAt}, moment{&k.UpdatedAt}, &k.Version)
}

// InsertKey adds a key; fault.Conflict when its resource is taken, by whatever account.
func (s *Store) InsertKey(k Key) error {
	return s.write(func(t *tx) error {
		return t.exec(`INSERT INTO keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)`,
			k.Account, k.ID, k.Usage, k.Spec, k.URI, k.Resource, k.Material, k.ClientID, k.State, millis(k.CreatedAt), millis(k.UpdatedAt))
	})
}

// Key finds a key.
func (s *Store) Key(ctx context.Context, account, id string) (Key, error) {
	return readOne(ctx, s, scanKey, `SELECT `+keyColumns+` FROM keys WHERE account = $1 AND id = $2`, account, id)
}

// Keys lists the keys of an account by id.
func (s *Store) Keys(ctx context.Context, account string) ([]Key, error) {
	return readAll(ctx, s, scanKey, `SELECT `+keyColumns+` FROM keys WHERE account = $1 ORDER BY id COLLATE "C"`, account)
}

// SetKeyState moves a key from one state to another, if the row still has k's version; fault.ConcurrentModification otherwise.
func (s *Store) SetKeyState(k Key, to KeyState, at time.Time) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.ConcurrentModification, `UPDATE keys SET state = $4, updated_at = $5, version = version + 1 WHERE account = $1 AND id = $2 AND version = $3`,
			k.Account, k.ID, k.Version, to, millis(at)); err != nil {
			return err
		}
		return t.bumpEpoch(k.Account)
	})
}

// DeleteKey destroys the material of a key, of which a tombstone is left, or forgets a key that is elsewhere; fault.Conflict when something uses it. With
// force a use does not count, but for a vault whose key is elsewhere: that one could not be reset afterwards.
// fault.ConcurrentModification when the row has not k's version any more.
func (s *Store) DeleteKey(k Key, force bool, at time.Time) error {
	return s.write(func(t *tx) error {
		var vaults, providers int
		if err := t.get([]any{&vaults, &providers}, `SELECT (SELECT COUNT(*) FROM keysets WHERE account = $1 AND key_id = $2),
			(SELECT COUNT(*) FROM oauth2_providers WHERE account = $1 AND assertion_key = $2)`, k.Account, k.ID); err != nil {
			return err
		}
		if (vaults > 0 || providers > 0) && !force || vaults > 0 && k.URI != "" {
			return fault.Conflict
		}
		statement, args := `UPDATE keys SET state = $4, material = NULL, updated_at = $5, version = version + 1`, []any{k.Account, k.ID, k.Version, KeyDeleted, millis(at)}
		if k.URI != "" {
			statement, args = `DELETE FROM keys`, args[:3]
		}
		if err := t.change(fault.ConcurrentModification, statement+` WHERE account = $1 AND id = $2 AND version = $3`, args...); err != nil {
			return err
		}
		return t.bumpEpoch(k.Account)
	})
}
