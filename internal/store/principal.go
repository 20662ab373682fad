package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"credence/internal/fault"
)

// How many an account may have: as many as a list answers at once.
const (
	usersPerAccount      = 1000
	rolesPerAccount      = 1000
	policiesPerPrincipal = 10
	keysPerUser          = 2 // one to use, one to come
)

// User is a user of an account.
type User struct {
	Account   string
	Name      string
	ID        string // random per creation
	Tags      map[string]string
	CreatedAt time.Time
}

// Policy is a policy document of a principal.
type Policy struct {
	Account   string
	Principal string // UserPrincipal or RolePrincipal
	Name      string
	Document  string
	UpdatedAt time.Time
}

// UserPrincipal is how policies name a user.
func UserPrincipal(name string) string { return "user/" + name }

// RolePrincipal is how policies name a role.
func RolePrincipal(name string) string { return "role/" + name }

// newID is an id of the form that AWS gives principals, whose kind its prefix says.
func newID(prefix string) string { return prefix + rand.Text()[:17] }

// ErrLastAdministrator: nobody with an access key could give rights any more.
var ErrLastAdministrator = errors.New("nobody with an access key would administer the account any more")

// Administers tells whether somebody may give rights, to judge by the documents of a user who has an access key in use.
type Administers func(user string, documents []Policy) bool

// changePrincipals runs a change that takes rights or keys away. With administers, one that leaves nobody who administers the account, while there was somebody, is undone
// with ErrLastAdministrator. The account's row is held, so that two such changes see each other.
func (s *Store) changePrincipals(account string, administers Administers, change func(*tx) error) error {
	return s.write(func(t *tx) error {
		if err := t.hold(account, KindDirectory, "default"); err != nil {
			return err
		}
		had, err := t.administered(account, administers)
		if err != nil {
			return err
		}
		if err := change(t); err != nil {
			return err
		}
		if had {
			if has, err := t.administered(account, administers); err != nil || !has {
				return errors.Join(err, ErrLastAdministrator)
			}
		}
		return t.bumpEpoch(account)
	})
}

func (t *tx) administered(account string, administers Administers) (bool, error) {
	if administers == nil {
		return false, nil
	}
	documents, err := all(t, scanPolicy, `SELECT `+policyColumns+` FROM principal_policies p WHERE p.account = $1
		AND EXISTS (SELECT 1 FROM access_keys k WHERE k.account = p.account AND 'user/' || k.user_name = p.principal AND k.active) ORDER BY p.principal`, account)
	if err != nil {
		return false, err
	}
	for len(documents) > 0 {
		n := 1
		for n < len(documents) && documents[n].Principal == documents[0].Principal {
			n++
		}
		if administers(documents[0].Principal[len("user/"):], documents[:n]) {
			return true, nil
		}
		documents = documents[n:]
	}
	return false, nil
}

const userColumns = `account, name, id, tags, created_at`

func scanUser(r scanner) (u User, err error) {
	return u, r.Scan(&u.Account, &u.Name, &u.ID, dictionary{&u.Tags}, moment{&u.CreatedAt})
}

// InsertUser adds a user and fills its ID; fault.Conflict when the name is taken, fault.Quota when the account has as many as it may.
func (s *Store) InsertUser(u User) (User, error) {
	u.ID = newID("AIDA")
	return u, s.write(func(t *tx) error {
		if err := t.insertUser(u); err != nil {
			return err
		}
		return t.within(u.Account, "users", usersPerAccount)
	})
}

func (t *tx) insertUser(u User) error {
	return t.exec(`INSERT INTO users (`+userColumns+`) VALUES ($1, $2, $3, $4, $5)`, u.Account, u.Name, u.ID, dictionaryText(u.Tags), millis(u.CreatedAt))
}

// ensureUser makes a user who is missing.
func (t *tx) ensureUser(account, name string, at time.Time) error {
	return t.exec(`INSERT INTO users (`+userColumns+`) VALUES ($1, $2, $3, '{}', $4) ON CONFLICT (account, name) DO NOTHING`, account, name, newID("AIDA"), millis(at))
}

// within ends the creation of a row of a table: one too many is undone. Of two who create the last one the second counts the first's.
func (t *tx) within(account, table string, most int) error {
	if err := t.hold(account, KindDirectory, "default"); err != nil {
		return err
	}
	var n int
	if err := t.get([]any{&n}, `SELECT COUNT(*) FROM `+table+` WHERE account = $1`, account); err != nil {
		return err
	}
	if n > most {
		return fault.New(fault.Quota, "Account %s may have %d %s, and has them: delete one", account, most, strings.ReplaceAll(table, "_", " "))
	}
	return nil
}

// User finds a user.
func (s *Store) User(ctx context.Context, account, name string) (User, error) {
	return readOne(ctx, s, scanUser, `SELECT `+userColumns+` FROM users WHERE account = $1 AND name = $2`, account, name)
}

// Users lists the users of an account.
func (s *Store) Users(ctx context.Context, account string) ([]User, error) {
	return readAll(ctx, s, scanUser, `SELECT `+userColumns+` FROM users WHERE account = $1 ORDER BY name COLLATE "C"`, account)
}

// TagUser replaces the tags of a user.
func (s *Store) TagUser(account, name string, tags map[string]string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `UPDATE users SET tags = $3 WHERE account = $1 AND name = $2`, account, name, dictionaryText(tags)); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// DeleteUser removes a user with all keys and policies.
func (s *Store) DeleteUser(account, name string, administers Administers) error {
	return s.changePrincipals(account, administers, func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM users WHERE account = $1 AND name = $2`, account, name); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM principal_policies WHERE account = $1 AND principal = $2`, account, UserPrincipal(name)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM access_keys WHERE account = $1 AND user_name = $2`, account, name)
	})
}

const policyColumns = `account, principal, name, document, updated_at`

func scanPolicy(r scanner) (p Policy, err error) {
	return p, r.Scan(&p.Account, &p.Principal, &p.Name, &p.Document, moment{&p.UpdatedAt})
}

// PutPolicy adds a policy to a principal, or replaces the one of that name; fault.NotFound without the principal, fault.Quota when it has as many as it may.
func (s *Store) PutPolicy(p Policy, administers Administers) error {
	return s.changePrincipals(p.Account, administers, func(t *tx) error {
		if err := t.holdPrincipal(p.Account, p.Principal); err != nil {
			return err
		}
		if err := t.putPolicy(p); err != nil {
			return err
		}
		var n int
		if err := t.get([]any{&n}, `SELECT COUNT(*) FROM principal_policies WHERE account = $1 AND principal = $2`, p.Account, p.Principal); err != nil {
			return err
		}
		if n > policiesPerPrincipal {
			return fault.New(fault.Quota, "%s may have %d policies, and has them: delete one, or put more statements into one", p.Principal, policiesPerPrincipal)
		}
		return nil
	})
}

// holdPrincipal keeps a principal from being deleted until the transaction ends: a policy that outlived it would be its next namesake's.
func (t *tx) holdPrincipal(account, principal string) error {
	// user/NAME is a row of users, role/NAME of roles.
	return t.change(fault.NotFound, fmt.Sprintf(`UPDATE %ss SET account = account WHERE account = $1 AND name = $2`, principal[:4]), account, principal[5:])
}

func (t *tx) putPolicy(p Policy) error {
	return t.exec(`INSERT INTO principal_policies (`+policyColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account, principal, name) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at`, p.Account, p.Principal, p.Name, p.Document, millis(p.UpdatedAt))
}

// PutUserPolicy is PutPolicy for a beginning: the user is made when missing.
func (s *Store) PutUserPolicy(account, user, name, document string, at time.Time) error {
	return s.write(func(t *tx) error {
		if err := t.ensureUser(account, user, at); err != nil {
			return err
		}
		if err := t.putPolicy(Policy{account, UserPrincipal(user), name, document, at}); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// ReplaceUserPolicies is PutUserPolicy, and ends the user's other policies.
func (s *Store) ReplaceUserPolicies(account, user, name, document string, at time.Time) error {
	return s.write(func(t *tx) error {
		if err := t.ensureUser(account, user, at); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM principal_policies WHERE account = $1 AND principal = $2`, account, UserPrincipal(user)); err != nil {
			return err
		}
		if err := t.putPolicy(Policy{account, UserPrincipal(user), name, document, at}); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// Policies lists the policies of a principal.
func (s *Store) Policies(ctx context.Context, account, principal string) ([]Policy, error) {
	return readAll(ctx, s, scanPolicy, `SELECT `+policyColumns+` FROM principal_policies WHERE account = $1 AND principal = $2 ORDER BY name COLLATE "C"`, account, principal)
}

// DeletePolicy removes a policy of a principal.
func (s *Store) DeletePolicy(account, principal, name string, administers Administers) error {
	return s.changePrincipals(account, administers, func(t *tx) error {
		return t.change(fault.NotFound, `DELETE FROM principal_policies WHERE account = $1 AND principal = $2 AND name = $3`, account, principal, name)
	})
}

// dictionary scans a JSON object of strings.
type dictionary struct{ d *map[string]string }

func (d dictionary) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a column of tags holds %T", v)
	}
	*d.d = nil
	return json.Unmarshal([]byte(text), d.d)
}

func dictionaryText(d map[string]string) string {
	if len(d) == 0 {
		return "{}"
	}
	b, _ := json.Marshal(d) // strings always marshal
	return string(b)
}
