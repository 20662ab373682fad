package store

import (
	"context"
	"errors"
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

// Administrator is the first user of an account.
type Administrator struct {
	User, PolicyName, Document string
	Key                        AccessKey
}

// InsertAccount adds an account with its keysets; fault.Conflict when it exists or did. The first of all is the operator's. It may have an administrator from the beginning.
func (s *Store) InsertAccount(account string, at time.Time, keysets []Keyset, administrators ...Administrator) error {
	return s.write(func(t *tx) error {
		var deleted, all int
		if err := t.get([]any{&deleted}, `SELECT COUNT(*) FROM account_deletions WHERE account = $1`, account); err != nil {
			return err
		}
		if deleted > 0 {
			return fault.New(fault.Conflict, "Account %s was deleted, and its id does not come back: take another", account)
		}
		if err := t.get([]any{&all}, `SELECT (SELECT COUNT(*) FROM accounts) + (SELECT COUNT(*) FROM account_deletions)`); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO accounts (account, operator, epoch, created_at) VALUES ($1, $2, 1, $3)`, account, all == 0, millis(at)); err != nil {
			return err
		}
		for _, k := range keysets {
			if err := t.exec(`INSERT INTO keysets (account, purpose, id, key_id, sealed, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, 1)`,
				account, k.Purpose, k.ID, k.KeyID, k.Sealed, millis(at)); err != nil {
				return err
			}
		}
		for _, a := range administrators {
			if err := t.ensureUser(account, a.User, at); err != nil {
				return err
			}
			if err := t.putPolicy(Policy{account, UserPrincipal(a.User), a.PolicyName, a.Document, at}); err != nil {
				return err
			}
			if err := t.insertAccessKey(a.Key); err != nil {
				return err
			}
		}
		return nil
	})
}

// Account is an account of the installation.
type Account struct {
	ID          string
	Operator    bool // it makes other accounts
	CreatedAt   time.Time
	DeletedFrom time.Time // zero: it is not being deleted
}

// EveryAccount lists the accounts that are there, with those that are being deleted.
func (s *Store) EveryAccount(ctx context.Context) ([]Account, error) {
	return readAll(ctx, s, func(r scanner) (a Account, err error) {
		return a, r.Scan(&a.ID, &a.Operator, moment{&a.CreatedAt}, moment{&a.DeletedFrom})
	}, `SELECT a.account, a.operator, a.created_at, COALESCE(d.requested_at, 0) FROM accounts a LEFT JOIN account_deletions d ON d.account = a.account ORDER BY a.account COLLATE "C"`)
}

// Operates tells whether an account is the operator's.
func (s *Store) Operates(ctx context.Context, account string) (bool, error) {
	is, err := readOne(ctx, s, func(r scanner) (is bool, err error) { return is, r.Scan(&is) }, `SELECT operator FROM accounts WHERE account = $1`, account)
	if errors.Is(err, fault.NotFound) {
		err = nil
	}
	return is, err
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

// BumpEpoch tells every replica that what it remembers of the account may be gone.
func (s *Store) BumpEpoch(account string) error {
	return s.write(func(t *tx) error { return t.bumpEpoch(account) })
}

// TrustedIssuer is an issuer of user JWTs that an account accepts.
type TrustedIssuer struct {
	Account       string
	Issuer        string
	Audiences     []string
	UserKeyClaims []string // that, with the issuer, make its users
	CreatedAt     time.Time
}

// PutTrustedIssuer adds an issuer or replaces what is known of the one that is there, and returns what is there then. Without UserKeyClaims those stay; of a new
// one they are sub.
func (s *Store) PutTrustedIssuer(i TrustedIssuer) (TrustedIssuer, error) {
	err := s.write(func(t *tx) error {
		if err := t.get([]any{list{&i.UserKeyClaims}, moment{&i.CreatedAt}}, `INSERT INTO trusted_issuers (`+trustedIssuerColumns+`)
			VALUES ($1, $2, $3, CASE CAST($4 AS TEXT) WHEN '[]' THEN '["sub"]' ELSE CAST($4 AS TEXT) END, $5)
			ON CONFLICT (account, issuer) DO UPDATE SET audiences = excluded.audiences,
				user_key_claims = CASE CAST($4 AS TEXT) WHEN '[]' THEN trusted_issuers.user_key_claims ELSE excluded.user_key_claims END
			RETURNING user_key_claims, created_at`,
			i.Account, i.Issuer, listText(i.Audiences), listText(i.UserKeyClaims), millis(i.CreatedAt)); err != nil {
			return err
		}
		return t.bumpEpoch(i.Account)
	})
	return i, err
}

const trustedIssuerColumns = `account, issuer, audiences, user_key_claims, created_at`

func scanTrustedIssuer(r scanner) (i TrustedIssuer, err error) {
	return i, r.Scan(&i.Account, &i.Issuer, list{&i.Audiences}, list{&i.UserKeyClaims}, moment{&i.CreatedAt})
}

// TrustedIssuer finds one issuer of an account.
func (s *Store) TrustedIssuer(ctx context.Context, account, issuer string) (TrustedIssuer, error) {
	return readOne(ctx, s, scanTrustedIssuer, `SELECT `+trustedIssuerColumns+` FROM trusted_issuers WHERE account = $1 AND issuer = $2`, account, issuer)
}

// Trust is what an account accepts from a trusted issuer, and which claims make its users.
func (s *Store) Trust(ctx context.Context, account, issuer string) (audiences, userKeyClaims []string, err error) {
	i, err := s.TrustedIssuer(ctx, account, issuer)
	return i.Audiences, i.UserKeyClaims, err
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
