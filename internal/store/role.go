package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Role is what somebody without an access key may become for a while.
type Role struct {
	Account              string
	Name                 string
	ID                   string // random per creation: sessions of a deleted namesake have another
	Description          string
	TrustPolicy          string // document
	EverySubject         bool   // it was said twice that the trust policy means every subject of an issuer
	MaxSession           time.Duration
	Generation           int64     // of its sessions: those of an earlier one count no more
	RevokedBefore        time.Time // sessions that were issued up to it count no more; zero: none were revoked
	Tags                 map[string]string
	CreatedAt, UpdatedAt time.Time
}

// HasSession reports whether a session of a role with that id, of a generation and issued then, counts still: the role is not another one by now, and it was not revoked.
func (r Role) HasSession(id string, generation int64, issued time.Time) bool {
	return r.ID == id && r.Generation == generation && issued.After(r.RevokedBefore)
}

const roleColumns = `account, name, id, description, trust_policy, every_subject, max_session, generation, revoked_before, tags, created_at, updated_at`

func scanRole(r scanner) (o Role, err error) {
	var seconds int64
	err = r.Scan(&o.Account, &o.Name, &o.ID, &o.Description, &o.TrustPolicy, &o.EverySubject, &seconds, &o.Generation, moment{&o.RevokedBefore}, dictionary{&o.Tags}, moment{&o.CreatedAt}, moment{&o.UpdatedAt})
	o.MaxSession = time.Duration(seconds) * time.Second
	return o, err
}

// InsertRole adds a role and fills its ID; fault.Conflict when the name is taken, fault.Quota when the account has as many as it may.
func (s *Store) InsertRole(r Role) (Role, error) {
	r.ID = newID("AROA")
	return r, s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO roles (`+roleColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			r.Account, r.Name, r.ID, r.Description, r.TrustPolicy, r.EverySubject, int64(r.MaxSession/time.Second), r.Generation, millis(r.RevokedBefore), dictionaryText(r.Tags), millis(r.CreatedAt), millis(r.UpdatedAt)); err != nil {
			return err
		}
		return t.within(r.Account, "roles", rolesPerAccount)
	})
}

// Role finds a role.
func (s *Store) Role(ctx context.Context, account, name string) (Role, error) {
	return readOne(ctx, s, scanRole, `SELECT `+roleColumns+` FROM roles WHERE account = $1 AND name = $2`, account, name)
}

// Roles lists the roles of an account.
func (s *Store) Roles(ctx context.Context, account string) ([]Role, error) {
	return readAll(ctx, s, scanRole, `SELECT `+roleColumns+` FROM roles WHERE account = $1 ORDER BY name COLLATE "C"`, account)
}

// ChangeRole reads a role, has it changed, and writes it; name, id and what was revoked stay.
func (s *Store) ChangeRole(account, name string, change func(*Role) error) (r Role, err error) {
	return r, s.write(func(t *tx) error {
		if err := t.hold(account, KindDirectory, "default"); err != nil {
			return err
		}
		if r, err = t.role(account, name); err != nil {
			return err
		}
		if err := change(&r); err != nil {
			return err
		}
		if err := t.exec(`UPDATE roles SET description = $3, trust_policy = $4, every_subject = $5, max_session = $6, tags = $7, updated_at = $8 WHERE account = $1 AND name = $2`,
			account, name, r.Description, r.TrustPolicy, r.EverySubject, int64(r.MaxSession/time.Second), dictionaryText(r.Tags), millis(r.UpdatedAt)); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// RevokeRoleSessions has sessions of a role that were issued up to a time count no more. A time before one that was set changes nothing. With all, which does not
// depend on clocks, none of those that there are counts any more.
func (s *Store) RevokeRoleSessions(account, name string, before time.Time, all bool) (r Role, err error) {
	more := 0
	if all {
		more = 1
	}
	return r, s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `UPDATE roles SET generation = generation + $3, revoked_before = CASE WHEN revoked_before < $4 THEN $5 ELSE revoked_before END WHERE account = $1 AND name = $2`,
			account, name, more, millis(before), millis(before)); err != nil {
			return err
		}
		if r, err = t.role(account, name); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

func (t *tx) role(account, name string) (Role, error) {
	found, err := all(t, scanRole, `SELECT `+roleColumns+` FROM roles WHERE account = $1 AND name = $2`, account, name)
	if err == nil && len(found) == 0 {
		err = fault.NotFound
	}
	if err != nil {
		return Role{}, err
	}
	return found[0], nil
}

// DeleteRole removes a role with its policies. Its sessions end.
func (s *Store) DeleteRole(account, name string) error {
	return s.changePrincipals(account, nil, func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM roles WHERE account = $1 AND name = $2`, account, name); err != nil {
			return err
		}
		return t.exec(`DELETE FROM principal_policies WHERE account = $1 AND principal = $2`, account, RolePrincipal(name))
	})
}
