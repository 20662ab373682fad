package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Workload is a workload identity.
type Workload struct {
	Account              string
	Name                 string
	Incarnation          string
	ReturnURLs           []string
	CompleteBySessionURI bool
	CreatedAt, UpdatedAt time.Time
}

const workloadColumns = `account, name, incarnation, return_urls, complete_by_session_uri, created_at, updated_at`

func scanWorkload(r scanner) (w Workload, err error) {
	return w, r.Scan(&w.Account, &w.Name, &w.Incarnation, list{&w.ReturnURLs}, &w.CompleteBySessionURI, moment{&w.CreatedAt}, moment{&w.UpdatedAt})
}

// InsertWorkload adds a workload identity with its tags; fault.Conflict when the name is taken.
func (s *Store) InsertWorkload(w Workload, tags Tags) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO workload_identities (`+workloadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			w.Account, w.Name, w.Incarnation, listText(w.ReturnURLs), w.CompleteBySessionURI, millis(w.CreatedAt), millis(w.UpdatedAt)); err != nil {
			return err
		}
		if err := t.withinQuota(w.Account, KindWorkload); err != nil {
			return err
		}
		return t.putTags(w.Account, tags)
	})
}

// Workload finds a workload identity.
func (s *Store) Workload(ctx context.Context, account, name string) (Workload, error) {
	return readOne(ctx, s, scanWorkload, `SELECT `+workloadColumns+` FROM workload_identities WHERE account = $1 AND name = $2`, account, name)
}

// Workloads lists a page by name and says whether there is more.
func (s *Store) Workloads(ctx context.Context, account string, p Page) ([]Workload, bool, error) {
	rows, err := readAll(ctx, s, scanWorkload, `SELECT `+workloadColumns+` FROM workload_identities
		WHERE account = $1 AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`, account, p.After, p.Limit+1)
	rows, more := paged(rows, p.Limit)
	return rows, more, err
}

// UpdateWorkload replaces the changeable columns of the incarnation that w names.
func (s *Store) UpdateWorkload(w Workload) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `UPDATE workload_identities SET return_urls = $4, complete_by_session_uri = $5, updated_at = $6
			WHERE account = $1 AND name = $2 AND incarnation = $3`,
			w.Account, w.Name, w.Incarnation, listText(w.ReturnURLs), w.CompleteBySessionURI, millis(w.UpdatedAt)); err != nil {
			return err
		}
		return t.bumpEpoch(w.Account)
	})
}

// DeleteWorkload removes a workload identity with its tags, grants, which are to be revoked at their vendors, and authorization sessions.
func (s *Store) DeleteWorkload(account, name, resource string) error {
	return s.write(func(t *tx) error {
		var incarnation string
		if err := t.get([]any{&incarnation}, `DELETE FROM workload_identities WHERE account = $1 AND name = $2 RETURNING incarnation`, account, name); err != nil {
			return err
		}
		if err := t.revokeGrants(CauseWorkloadDeleted, account, `g.workload_incarnation = $2`, incarnation); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM authorization_sessions WHERE account = $1 AND workload_incarnation = $2`, account, incarnation); err != nil {
			return err
		}
		return t.deleted(account, resource)
	})
}
