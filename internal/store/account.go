package store

import (
	"context"
	"fmt"
	"time"

	"credence/internal/fault"
)

// Keyset is a keyset of an account, sealed by a key.
type Keyset struct {
	Account string
	Purpose string
	ID      string // random, of the key material: it stays when the keyset is sealed anew
	KeyID   string // of the Key that seals it; "" for the key-encryption key
	Sealed  []byte
	Version int64
}

// Meta is a value of the whole installation.
func (s *Store) Meta(ctx context.Context, name string) ([]byte, error) {
	return readOne(ctx, s, func(r scanner) (v []byte, err error) { return v, r.Scan(&v) }, `SELECT value FROM meta WHERE name = $1`, name)
}

// InsertMeta sets a value of the whole installation once.
func (s *Store) InsertMeta(name string, value []byte) error {
	return s.write(func(t *tx) error { return t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2)`, name, value) })
}

// InsertAccount adds an account with its keysets.
func (s *Store) InsertAccount(account string, at time.Time, keysets []Keyset) error {
	return s.write(func(t *tx) error {
		var deleted int
		if err := t.get([]any{&deleted}, `SELECT COUNT(*) FROM account_deletions WHERE account = $1`, account); err != nil {
			return err
		}
		if deleted > 0 {
			return fmt.Errorf("account %s was deleted, and its id does not come back: take another", account)
		}
		if err := t.exec(`INSERT INTO accounts (account, epoch, created_at) VALUES ($1, 1, $2)`, account, millis(at)); err != nil {
			return err
		}
		for _, k := range keysets {
			if err := t.exec(`INSERT INTO keysets (account, purpose, id, key_id, sealed, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, 1)`,
				account, k.Purpose, k.ID, k.KeyID, k.Sealed, millis(at)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Accounts lists all account ids.
func (s *Store) Accounts(ctx context.Context) ([]string, error) {
	return readAll(ctx, s, func(r scanner) (a string, err error) { return a, r.Scan(&a) }, `SELECT account FROM accounts ORDER BY account COLLATE "C"`)
}

// Epochs are the epochs of all accounts.
func (s *Store) Epochs(ctx context.Context) (map[string]int64, error) {
	type row struct {
		account string
		epoch   int64
	}
	rows, err := readAll(ctx, s, func(r scanner) (e row, err error) { return e, r.Scan(&e.account, &e.epoch) }, `SELECT account, epoch FROM accounts`)
	epochs := make(map[string]int64, len(rows))
	for _, r := range rows {
		epochs[r.account] = r.epoch
	}
	return epochs, err
}

// Keyset finds an account's keyset of one purpose.
func (s *Store) Keyset(ctx context.Context, account, purpose string) (Keyset, error) {
	return readOne(ctx, s, func(r scanner) (k Keyset, err error) {
		return k, r.Scan(&k.Account, &k.Purpose, &k.ID, &k.KeyID, &k.Sealed, &k.Version)
	}, `SELECT account, purpose, id, key_id, sealed, version FROM keysets WHERE account = $1 AND purpose = $2`, account, purpose)
}

// PutUserPolicy adds or replaces a policy document of a user, whom it adds when missing.
func (s *Store) PutUserPolicy(account, user, name, document string, at time.Time) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO users (account, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (account, name) DO NOTHING`, account, user, millis(at)); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO user_policies (account, user_name, name, document, updated_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account, user_name, name) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at`,
			account, user, name, document, millis(at)); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// BumpEpoch tells every replica that what it remembers of the account may be gone.
func (s *Store) BumpEpoch(account string) error {
	return s.write(func(t *tx) error { return t.bumpEpoch(account) })
}

// UserPolicies lists the policy documents of a user.
func (s *Store) UserPolicies(ctx context.Context, account, user string) ([]string, error) {
	return readAll(ctx, s, func(r scanner) (d string, err error) { return d, r.Scan(&d) },
		`SELECT document FROM user_policies WHERE account = $1 AND user_name = $2 ORDER BY name COLLATE "C"`, account, user)
}

// AccessKey is one key of a user; Secret is sealed.
type AccessKey struct {
	ID        string
	Account   string
	User      string
	Secret    []byte
	CreatedAt time.Time
}

// InsertAccessKey adds a key; with replace, it is the user's only one from now on.
func (s *Store) InsertAccessKey(k AccessKey, replace bool) error {
	return s.write(func(t *tx) error {
		if replace {
			if err := t.exec(`DELETE FROM access_keys WHERE account = $1 AND user_name = $2`, k.Account, k.User); err != nil {
				return err
			}
		}
		if err := t.exec(`INSERT INTO access_keys (access_key_id, account, user_name, secret, created_at) VALUES ($1, $2, $3, $4, $5)`,
			k.ID, k.Account, k.User, k.Secret, millis(k.CreatedAt)); err != nil {
			return err
		}
		return t.bumpEpoch(k.Account)
	})
}

// HasAccessKey reports whether a user has any access key.
func (s *Store) HasAccessKey(ctx context.Context, account, user string) (bool, error) {
	return readOne(ctx, s, func(r scanner) (has bool, err error) { return has, r.Scan(&has) },
		`SELECT EXISTS (SELECT 1 FROM access_keys WHERE account = $1 AND user_name = $2)`, account, user)
}

// AccessKey finds a key by its id, whatever its account.
func (s *Store) AccessKey(ctx context.Context, id string) (AccessKey, error) {
	return readOne(ctx, s, func(r scanner) (k AccessKey, err error) {
		return k, r.Scan(&k.ID, &k.Account, &k.User, &k.Secret, moment{&k.CreatedAt})
	}, `SELECT access_key_id, account, user_name, secret, created_at FROM access_keys WHERE access_key_id = $1`, id)
}

// TrustedIssuer is an issuer of user JWTs that an account accepts.
type TrustedIssuer struct {
	Account   string
	Issuer    string
	Audiences []string
	CreatedAt time.Time
}

// PutTrustedIssuer adds an issuer or replaces the audiences of the one that is there, and returns what is there then.
func (s *Store) PutTrustedIssuer(i TrustedIssuer) (TrustedIssuer, error) {
	err := s.write(func(t *tx) error {
		if err := t.get([]any{moment{&i.CreatedAt}}, `INSERT INTO trusted_issuers (account, issuer, audiences, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account, issuer) DO UPDATE SET audiences = excluded.audiences RETURNING created_at`,
			i.Account, i.Issuer, listText(i.Audiences), millis(i.CreatedAt)); err != nil {
			return err
		}
		return t.bumpEpoch(i.Account)
	})
	return i, err
}

const trustedIssuerColumns = `account, issuer, audiences, created_at`

func scanTrustedIssuer(r scanner) (i TrustedIssuer, err error) {
	return i, r.Scan(&i.Account, &i.Issuer, list{&i.Audiences}, moment{&i.CreatedAt})
}

// TrustedIssuer finds one issuer of an account.
func (s *Store) TrustedIssuer(ctx context.Context, account, issuer string) (TrustedIssuer, error) {
	return readOne(ctx, s, scanTrustedIssuer, `SELECT `+trustedIssuerColumns+` FROM trusted_issuers WHERE account = $1 AND issuer = $2`, account, issuer)
}

// Audiences are those that an account accepts from a trusted issuer.
func (s *Store) Audiences(ctx context.Context, account, issuer string) ([]string, error) {
	i, err := s.TrustedIssuer(ctx, account, issuer)
	return i.Audiences, err
}

// TrustedIssuers lists the issuers of an account.
func (s *Store) TrustedIssuers(ctx context.Context, account string) ([]TrustedIssuer, error) {
	return readAll(ctx, s, scanTrustedIssuer, `SELECT `+trustedIssuerColumns+` FROM trusted_issuers WHERE account = $1 ORDER BY issuer COLLATE "C"`, account)
}

// DeleteTrustedIssuer removes an issuer.
func (s *Store) DeleteTrustedIssuer(account, issuer string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM trusted_issuers WHERE account = $1 AND issuer = $2`, account, issuer); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}
