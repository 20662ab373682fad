package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// TrustBundle is the CA certificates of a SPIFFE trust domain that an account knows. A role trusts them that names the domain.
type TrustBundle struct {
	Account              string
	Domain               string
	Certificates         []byte // DER, one behind the other
	CreatedAt, UpdatedAt time.Time
}

const (
	trustBundleColumns     = `account, domain, certificates, created_at, updated_at`
	trustBundlesPerAccount = 20
)

func scanTrustBundle(r scanner) (b TrustBundle, err error) {
	return b, r.Scan(&b.Account, &b.Domain, &b.Certificates, moment{&b.CreatedAt}, moment{&b.UpdatedAt})
}

// PutTrustBundle adds a bundle or replaces the certificates of the one that is there, and returns what is there then; fault.Quota when the account has as many as it may.
func (s *Store) PutTrustBundle(b TrustBundle) (TrustBundle, error) {
	err := s.write(func(t *tx) error {
		if err := t.get([]any{moment{&b.CreatedAt}}, `INSERT INTO trust_bundles (`+trustBundleColumns+`) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (account, domain) DO UPDATE SET certificates = excluded.certificates, updated_at = excluded.updated_at RETURNING created_at`,
			b.Account, b.Domain, b.Certificates, millis(b.CreatedAt), millis(b.UpdatedAt)); err != nil {
			return err
		}
		if err := t.within(b.Account, "trust_bundles", trustBundlesPerAccount); err != nil {
			return err
		}
		return t.bumpEpoch(b.Account)
	})
	return b, err
}

// TrustBundle finds one bundle of an account.
func (s *Store) TrustBundle(ctx context.Context, account, domain string) (TrustBundle, error) {
	return readOne(ctx, s, scanTrustBundle, `SELECT `+trustBundleColumns+` FROM trust_bundles WHERE account = $1 AND domain = $2`, account, domain)
}

// TrustBundles lists the bundles of an account.
func (s *Store) TrustBundles(ctx context.Context, account string) ([]TrustBundle, error) {
	return readAll(ctx, s, scanTrustBundle, `SELECT `+trustBundleColumns+` FROM trust_bundles WHERE account = $1 ORDER BY domain COLLATE "C"`, account)
}

// HasTrustBundles reports whether any account has one.
func (s *Store) HasTrustBundles(ctx context.Context) (bool, error) {
	n, err := readOne(ctx, s, func(r scanner) (n int, err error) { return n, r.Scan(&n) }, `SELECT COUNT(*) FROM (SELECT 1 FROM trust_bundles LIMIT 1) AS one`)
	return n > 0, err
}

// DeleteTrustBundle removes a bundle; fault.NotFound when there is none.
func (s *Store) DeleteTrustBundle(account, domain string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM trust_bundles WHERE account = $1 AND domain = $2`, account, domain); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}
