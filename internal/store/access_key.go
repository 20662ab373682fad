package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// AccessKey is one key of a user; Secret is sealed.
type AccessKey struct {
	ID          string
	Account     string
	User        string
	Secret      []byte
	Active      bool
	UsedAt      time.Time // a minute or so behind; zero: never
	UsedService string    // signing name of the last request
	CreatedAt   time.Time
}

const accessKeyColumns = `access_key_id, account, user_name, secret, active, used_at, used_service, created_at`

func scanAccessKey(r scanner) (k AccessKey, err error) {
	return k, r.Scan(&k.ID, &k.Account, &k.User, &k.Secret, &k.Active, moment{&k.UsedAt}, &k.UsedService, moment{&k.CreatedAt})
}

func (t *tx) insertAccessKey(k AccessKey) error {
	return t.exec(`INSERT INTO access_keys (`+accessKeyColumns+`) VALUES ($1, $2, $3, $4, $5, 0, '', $6)`, k.ID, k.Account, k.User, k.Secret, k.Active, millis(k.CreatedAt))
}

// bootstrapped is a mark of a database whose first administrator had an access key once.
const bootstrapped = "bootstrapped"

// InsertAccessKey adds a key for a beginning: the user is made when missing. With replace, it is the user's only one from now on.
func (s *Store) InsertAccessKey(k AccessKey, replace bool) error {
	return s.write(func(t *tx) error {
		if err := t.ensureUser(k.Account, k.User, k.CreatedAt); err != nil {
			return err
		}
		if replace {
			if err := t.exec(`DELETE FROM access_keys WHERE account = $1 AND user_name = $2`, k.Account, k.User); err != nil {
				return err
			}
		}
		if err := t.insertAccessKey(k); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, bootstrapped, []byte{1}); err != nil {
			return err
		}
		return t.bumpEpoch(k.Account)
	})
}

// Bootstrapped reports whether anybody was ever given an access key for a beginning: a key that was deleted since is not made anew.
func (s *Store) Bootstrapped(ctx context.Context) (bool, error) {
	return readOne(ctx, s, func(r scanner) (has bool, err error) { return has, r.Scan(&has) }, `SELECT EXISTS (SELECT 1 FROM meta WHERE name = $1)`, bootstrapped)
}

// AddAccessKey gives a user another key; fault.NotFound without the user, fault.Quota when there are as many as may be.
func (s *Store) AddAccessKey(k AccessKey) error {
	return s.write(func(t *tx) error {
		if err := t.holdPrincipal(k.Account, UserPrincipal(k.User)); err != nil {
			return err
		}
		if err := t.insertAccessKey(k); err != nil {
			return err
		}
		var n int
		if err := t.get([]any{&n}, `SELECT COUNT(*) FROM access_keys WHERE account = $1 AND user_name = $2`, k.Account, k.User); err != nil {
			return err
		}
		if n > keysPerUser {
			return fault.New(fault.Quota, "The user %q has %d access keys, which is as many as a user may have: delete the one that nobody uses any more", k.User, keysPerUser)
		}
		return t.bumpEpoch(k.Account)
	})
}

// AccessKey finds a key by its id, whatever its account.
func (s *Store) AccessKey(ctx context.Context, id string) (AccessKey, error) {
	return readOne(ctx, s, scanAccessKey, `SELECT `+accessKeyColumns+` FROM access_keys WHERE access_key_id = $1`, id)
}

// AccessKeys lists the keys of a user, the oldest first.
func (s *Store) AccessKeys(ctx context.Context, account, user string) ([]AccessKey, error) {
	return readAll(ctx, s, scanAccessKey, `SELECT `+accessKeyColumns+` FROM access_keys WHERE account = $1 AND user_name = $2 ORDER BY created_at, access_key_id COLLATE "C"`, account, user)
}

// SetAccessKeyActive has a key used, or used no more until it is set active again.
func (s *Store) SetAccessKeyActive(account, user, id string, active bool, administers Administers) error {
	return s.changePrincipals(account, administers, func(t *tx) error {
		return t.change(fault.NotFound, `UPDATE access_keys SET active = $4 WHERE account = $1 AND user_name = $2 AND access_key_id = $3`, account, user, id, active)
	})
}

// DeleteAccessKey removes a key of a user.
func (s *Store) DeleteAccessKey(account, user, id string, administers Administers) error {
	return s.changePrincipals(account, administers, func(t *tx) error {
		return t.change(fault.NotFound, `DELETE FROM access_keys WHERE account = $1 AND user_name = $2 AND access_key_id = $3`, account, user, id)
	})
}

// KeyUse is when an access key was last used, and for which service.
type KeyUse struct {
	ID      string
	At      time.Time
	Service string
}

// MarkKeysUsed writes down uses of access keys, unless later ones are known. Keys that are gone are passed over.
func (s *Store) MarkKeysUsed(uses []KeyUse) error {
	return s.write(func(t *tx) error {
		for _, u := range uses {
			if err := t.exec(`UPDATE access_keys SET used_at = $2, used_service = $3 WHERE access_key_id = $1 AND used_at < $4`, u.ID, millis(u.At), u.Service, millis(u.At)); err != nil {
				return err
			}
		}
		return nil
	})
}
