package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// ConsentPortal is a consent portal. Provider and Workload are held by incarnation, too: a namesake does not take their place. Workload is empty
// when the source is none.
type ConsentPortal struct {
	Account             string
	ID                  string
	Name                string
	Description         string
	ExecutionRole       string
	Provider            string
	ProviderIncarnation string
	Scopes              []string
	Audience            string
	Source              string // as it was named
	Workload            string
	WorkloadIncarnation string
	CreatedAt           time.Time
	UpdatedAt           time.Time
	Version             int64

	HasProvider, HasWorkload bool // computed: they are still there
}

const (
	consentPortalColumns = `account, id, name, description, execution_role, provider, provider_incarnation, scopes, audience, source, workload, workload_incarnation,
		created_at, updated_at, version`
	selectConsentPortals = `SELECT ` + consentPortalColumns + `,
		EXISTS (SELECT 1 FROM oauth2_providers o WHERE o.account = p.account AND o.name = p.provider AND o.incarnation = p.provider_incarnation),
		EXISTS (SELECT 1 FROM workload_identities w WHERE w.account = p.account AND w.name = p.workload AND w.incarnation = p.workload_incarnation)
		FROM consent_portals p `
)

func scanConsentPortal(r scanner) (p ConsentPortal, err error) {
	return p, r.Scan(&p.Account, &p.ID, &p.Name, &p.Description, &p.ExecutionRole, &p.Provider, &p.ProviderIncarnation, list{&p.Scopes}, &p.Audience, &p.Source,
		&p.Workload, &p.WorkloadIncarnation, moment{&p.CreatedAt}, moment{&p.UpdatedAt}, &p.Version, &p.HasProvider, &p.HasWorkload)
}

// InsertConsentPortal adds a consent portal with its tags; fault.Conflict when the name is taken.
func (s *Store) InsertConsentPortal(p ConsentPortal, tags Tags) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO consent_portals (`+consentPortalColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1)`,
			p.Account, p.ID, p.Name, p.Description, p.ExecutionRole, p.Provider, p.ProviderIncarnation, listText(p.Scopes), p.Audience, p.Source,
			p.Workload, p.WorkloadIncarnation, millis(p.CreatedAt), millis(p.UpdatedAt)); err != nil {
			return err
		}
		if err := t.withinQuota(p.Account, KindConsentPortal); err != nil {
			return err
		}
		return t.putTags(p.Account, tags)
	})
}

// ConsentPortal finds a consent portal.
func (s *Store) ConsentPortal(ctx context.Context, account, id string) (ConsentPortal, error) {
	return readOne(ctx, s, scanConsentPortal, selectConsentPortals+`WHERE p.account = $1 AND p.id = $2`, account, id)
}

// ConsentPortals lists a page by name and says whether there is more.
func (s *Store) ConsentPortals(ctx context.Context, account string, page Page) ([]ConsentPortal, bool, error) {
	rows, err := readAll(ctx, s, scanConsentPortal, selectConsentPortals+`WHERE p.account = $1 AND p.name COLLATE "C" > $2 ORDER BY p.name COLLATE "C" LIMIT $3`,
		account, page.After, page.Limit+1)
	rows, more := paged(rows, page.Limit)
	return rows, more, err
}

// UpdateConsentPortal replaces the changeable columns, if the row still has the version that p was read with.
func (s *Store) UpdateConsentPortal(p ConsentPortal) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.ConcurrentModification, `UPDATE consent_portals SET description = $4, execution_role = $5, provider = $6, provider_incarnation = $7,
			scopes = $8, audience = $9, updated_at = $10, version = version + 1 WHERE account = $1 AND id = $2 AND version = $3`,
			p.Account, p.ID, p.Version, p.Description, p.ExecutionRole, p.Provider, p.ProviderIncarnation, listText(p.Scopes), p.Audience, millis(p.UpdatedAt)); err != nil {
			return err
		}
		return t.bumpEpoch(p.Account)
	})
}

// DeleteConsentPortal removes a consent portal with its tags.
func (s *Store) DeleteConsentPortal(account, id, resource string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM consent_portals WHERE account = $1 AND id = $2`, account, id); err != nil {
			return err
		}
		return t.deleted(account, resource)
	})
}
