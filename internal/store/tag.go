package store

import (
	"context"

	"credence/internal/fault"
)

// Tags are the tags of one resource (an ARN without region and account).
type Tags struct {
	Resource string
	Values   map[string]string
}

func (t *tx) putTags(account string, tags Tags) error {
	for name, value := range tags.Values {
		if err := t.exec(`INSERT INTO tags (account, resource, name, value) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account, resource, name) DO UPDATE SET value = excluded.value`, account, tags.Resource, name, value); err != nil {
			return err
		}
	}
	return nil
}

// Tags lists the tags of a resource, whether it exists or not.
func (s *Store) Tags(ctx context.Context, account, resource string) (map[string]string, error) {
	rows, err := readAll(ctx, s, func(r scanner) (kv [2]string, err error) { return kv, r.Scan(&kv[0], &kv[1]) },
		`SELECT name, value FROM tags WHERE account = $1 AND resource = $2`, account, resource)
	tags := make(map[string]string, len(rows))
	for _, kv := range rows {
		tags[kv[0]] = kv[1]
	}
	return tags, err
}

// Kind says where a resource that may have tags has its row.
type Kind struct{ table, key, many string }

// The kinds. An account has one workload identity directory, which has no row of its own.
var (
	KindDirectory       = Kind{"accounts", `'default'`, ""}
	KindWorkload        = Kind{"workload_identities", "name", "workload identities"}
	KindTokenVault      = Kind{"token_vaults", "id", ""}
	KindOAuth2Provider  = Kind{"oauth2_providers", "name", "OAuth2 credential providers"}
	KindAPIKeyProvider  = Kind{"apikey_providers", "name", "API key credential providers"}
	KindPaymentProvider = Kind{"payment_providers", "name", "payment credential providers"}
	KindConsentPortal   = Kind{"consent_portals", "id", "consent portals"}
)

// Exists answers fault.NotFound when there is no resource of that kind and name.
func (s *Store) Exists(ctx context.Context, account string, k Kind, name string) error {
	_, err := readOne(ctx, s, func(r scanner) (found string, err error) { return found, r.Scan(&found) },
		`SELECT account FROM `+k.table+` WHERE account = $1 AND `+k.key+` = $2`, account, name)
	return err
}

// hold keeps a row from being deleted, and from being held by others, until the transaction ends: tags never outlive their resource, whose
// next namesake would inherit them.
func (t *tx) hold(account string, k Kind, name string) error {
	return t.change(fault.NotFound, `UPDATE `+k.table+` SET account = account WHERE account = $1 AND `+k.key+` = $2`, account, name)
}

// withinQuota ends every creation of a resource that has a quota: a row too many is undone. The account's row is held from here on, so that of two who create the
// last one, the second counts the first's.
func (t *tx) withinQuota(account string, k Kind) error {
	if t.most == nil || t.most(account, k) == 0 {
		return nil
	}
	if err := t.hold(account, KindDirectory, "default"); err != nil {
		return err
	}
	var n int
	if err := t.get([]any{&n}, `SELECT COUNT(*) FROM `+k.table+` WHERE account = $1`, account); err != nil {
		return err
	}
	if most := t.most(account, k); n > most {
		return fault.New(fault.Quota, "Account %s may have %d %s, and has them: delete one, or have the operator raise the quota", account, most, k.many)
	}
	return nil
}

// PutTags adds tags to a resource and replaces those of the same name; fault.Quota when it would have more than most.
func (s *Store) PutTags(account string, k Kind, name string, tags Tags, most int) error {
	return s.write(func(t *tx) error {
		if err := t.hold(account, k, name); err != nil {
			return err
		}
		if err := t.putTags(account, tags); err != nil {
			return err
		}
		var n int
		if err := t.get([]any{&n}, `SELECT COUNT(*) FROM tags WHERE account = $1 AND resource = $2`, account, tags.Resource); err != nil {
			return err
		}
		if n > most {
			return fault.Quota
		}
		return nil
	})
}

// RemoveTags removes those tags of a resource that it has.
func (s *Store) RemoveTags(account string, k Kind, name, resource string, names []string) error {
	return s.write(func(t *tx) error {
		if err := t.hold(account, k, name); err != nil {
			return err
		}
		for _, n := range names {
			if err := t.exec(`DELETE FROM tags WHERE account = $1 AND resource = $2 AND name = $3`, account, resource, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// deleted ends every deletion of a resource: its tags go, and replicas are told.
func (t *tx) deleted(account, resource string) error {
	if err := t.exec(`DELETE FROM tags WHERE account = $1 AND resource = $2`, account, resource); err != nil {
		return err
	}
	return t.bumpEpoch(account)
}
