package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Ceiling is what may be had at most, whatever policies and consents say. Document is sealed.
type Ceiling struct {
	Account   string
	Kind      CeilingKind
	Name      string // of the provider or workload identity; it need not exist
	Document  []byte
	UpdatedBy string // ARN
	UpdatedAt time.Time
}

// CeilingKind is what a ceiling is of. Its values reach disk and ARNs.
type CeilingKind string

// The kinds.
const (
	CeilingProvider CeilingKind = "provider"
	CeilingWorkload CeilingKind = "workload"
)

const (
	ceilingColumns     = `account, kind, name, document, updated_by, updated_at`
	ceilingsPerAccount = 1000
)

func scanCeiling(r scanner) (c Ceiling, err error) {
	return c, r.Scan(&c.Account, &c.Kind, &c.Name, &c.Document, &c.UpdatedBy, moment{&c.UpdatedAt})
}

// PutCeiling sets a ceiling, or replaces it; fault.Quota when the account has as many as it may. Every replica obeys within a second.
func (s *Store) PutCeiling(c Ceiling) error {
	return s.write(func(t *tx) error {
		if err := t.bumpEpoch(c.Account); err != nil { // who adds another waits
			return err
		}
		if err := t.exec(`INSERT INTO ceilings (`+ceilingColumns+`) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, kind, name) DO UPDATE SET
			document = excluded.document, updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
			c.Account, c.Kind, c.Name, c.Document, c.UpdatedBy, millis(c.UpdatedAt)); err != nil {
			return err
		}
		var n int
		if err := t.get([]any{&n}, `SELECT COUNT(*) FROM ceilings WHERE account = $1`, c.Account); err != nil {
			return err
		}
		if n > ceilingsPerAccount {
			return fault.New(fault.Quota, "Account %s may have %d ceilings, and has them: delete one", c.Account, ceilingsPerAccount)
		}
		return nil
	})
}

// DeleteCeiling ends a ceiling; fault.NotFound when there is none.
func (s *Store) DeleteCeiling(account string, kind CeilingKind, name string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM ceilings WHERE account = $1 AND kind = $2 AND name = $3`, account, kind, name); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// Ceilings lists the ceilings of an account.
func (s *Store) Ceilings(ctx context.Context, account string) ([]Ceiling, error) {
	return readAll(ctx, s, scanCeiling, `SELECT `+ceilingColumns+` FROM ceilings WHERE account = $1 ORDER BY kind COLLATE "C", name COLLATE "C"`, account)
}
