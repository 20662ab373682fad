package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Freeze stops issuance to whom it names. UserName, of a user, is sealed.
type Freeze struct {
	Account   string
	Kind      FreezeKind
	ID        string // "" of an account, a name, or the key of a user
	UserName  []byte
	Reason    string
	CreatedBy string // ARN
	CreatedAt time.Time
}

// FreezeKind is what is frozen. Its values reach disk and ARNs.
type FreezeKind string

// The kinds.
const (
	FreezeAccount  FreezeKind = "account"
	FreezeWorkload FreezeKind = "workload"
	FreezeProvider FreezeKind = "provider"
	FreezeUser     FreezeKind = "user"
)

const freezeColumns = `account, kind, id, user_name, reason, created_by, created_at`

func scanFreeze(r scanner) (f Freeze, err error) {
	return f, r.Scan(&f.Account, &f.Kind, &f.ID, &f.UserName, &f.Reason, &f.CreatedBy, moment{&f.CreatedAt})
}

// PutFreeze freezes; what is frozen already stays as it is. It returns the freeze that is there then.
func (s *Store) PutFreeze(f Freeze) (now Freeze, err error) {
	err = s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO freezes (`+freezeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, kind, id) DO NOTHING`,
			f.Account, f.Kind, f.ID, f.UserName, f.Reason, f.CreatedBy, millis(f.CreatedAt)); err != nil {
			return err
		}
		if err := t.get([]any{&now.Account, &now.Kind, &now.ID, &now.UserName, &now.Reason, &now.CreatedBy, moment{&now.CreatedAt}},
			`SELECT `+freezeColumns+` FROM freezes WHERE account = $1 AND kind = $2 AND id = $3`, f.Account, f.Kind, f.ID); err != nil {
			return err
		}
		return t.bumpEpoch(f.Account)
	})
	return now, err
}

// DeleteFreeze ends a freeze; fault.NotFound when there is none.
func (s *Store) DeleteFreeze(account string, kind FreezeKind, id string) error {
	return s.write(func(t *tx) error {
		var deleting int
		if err := t.get([]any{&deleting}, `SELECT COUNT(*) FROM account_deletions WHERE account = $1`, account); err != nil {
			return err
		}
		if deleting > 0 && kind == FreezeAccount {
			return fault.Invalid("target", "account %s is being deleted: its freeze does not end", account)
		}
		if err := t.change(fault.NotFound, `DELETE FROM freezes WHERE account = $1 AND kind = $2 AND id = $3`, account, kind, id); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// Freezes lists the freezes of an account.
func (s *Store) Freezes(ctx context.Context, account string) ([]Freeze, error) {
	return readAll(ctx, s, scanFreeze, `SELECT `+freezeColumns+` FROM freezes WHERE account = $1 ORDER BY kind COLLATE "C", id COLLATE "C"`, account)
}
