package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// IssuerKey is a key by which an account, as an issuer, signs ID tokens. Material is sealed; PublicKey is a JWK.
type IssuerKey struct {
	Account    string
	ID         string
	Algorithm  string // RFC 7518 section 3.1
	Generation int64  // 1, 2, … of the algorithm
	PublicKey  string
	Material   []byte
	CreatedAt  time.Time
	SignsAt    time.Time
}

const issuerKeyColumns = `account, id, algorithm, generation, public_key, material, created_at, signs_at`

// IssuerKeys lists the keys of an account by algorithm and generation.
func (s *Store) IssuerKeys(ctx context.Context, account string) ([]IssuerKey, error) {
	return readAll(ctx, s, func(r scanner) (k IssuerKey, err error) {
		return k, r.Scan(&k.Account, &k.ID, &k.Algorithm, &k.Generation, &k.PublicKey, &k.Material, moment{&k.CreatedAt}, moment{&k.SignsAt})
	}, `SELECT `+issuerKeyColumns+` FROM issuer_keys WHERE account = $1 ORDER BY algorithm COLLATE "C", generation`, account)
}

// InsertIssuerKey adds a key; fault.Conflict when its generation is there, fault.NotFound when the account is gone. alone deletes all earlier ones of its algorithm.
func (s *Store) InsertIssuerKey(k IssuerKey, alone bool) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `INSERT INTO issuer_keys (`+issuerKeyColumns+`) SELECT $1, $2, $3, $4, $5, $6, $7, $8
			WHERE EXISTS (SELECT 1 FROM accounts WHERE account = $1)`,
			k.Account, k.ID, k.Algorithm, k.Generation, k.PublicKey, k.Material, millis(k.CreatedAt), millis(k.SignsAt)); err != nil {
			return err
		}
		if alone {
			if err := t.exec(`DELETE FROM issuer_keys WHERE account = $1 AND algorithm = $2 AND generation < $3`, k.Account, k.Algorithm, k.Generation); err != nil {
				return err
			}
		}
		return t.bumpEpoch(k.Account)
	})
}

// DeleteIssuerKey removes a key; one that is not there any more is no error.
func (s *Store) DeleteIssuerKey(k IssuerKey) error {
	return s.write(func(t *tx) error {
		return t.exec(`DELETE FROM issuer_keys WHERE account = $1 AND id = $2`, k.Account, k.ID)
	})
}
