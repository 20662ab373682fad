package vault

import (
	"context"

	"credence/internal/store"
)

// freezeKey is what a freeze names within its account.
type freezeKey struct {
	kind store.FreezeKind
	id   string
}

func freezePlace(f store.Freeze) place {
	return place{"freezes", "user_name", f.Account, string(f.Kind) + "/" + f.ID}
}

// Frozen finds a freeze that forbids to issue anything to a workload identity, for a user (by key), at a provider; nil when there is none. What is "" takes
// no part.
func (v *Vault) Frozen(ctx context.Context, account, workload, provider, userKey string) (*store.Freeze, error) {
	all, err := v.freezes.get(ctx, key(account, ""), func(ctx context.Context) (map[freezeKey]store.Freeze, error) {
		rows, err := v.store.Freezes(ctx, account)
		all := make(map[freezeKey]store.Freeze, len(rows))
		for _, f := range rows {
			all[freezeKey{f.Kind, f.ID}] = f
		}
		return all, err
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	for _, k := range []freezeKey{{store.FreezeAccount, ""}, {store.FreezeWorkload, workload}, {store.FreezeProvider, provider}, {store.FreezeUser, userKey}} {
		if f, frozen := all[k]; frozen {
			return &f, nil
		}
	}
	return nil, nil
}

// PutFreeze freezes, unless that is done already, and answers the freeze that is there then. userName is the readable form of a user.
func (v *Vault) PutFreeze(ctx context.Context, f store.Freeze, userName string) (_ store.Freeze, err error) {
	if f.Kind == store.FreezeUser {
		if f.UserName, err = v.seal(ctx, freezePlace(f), []byte(userName)); err != nil {
			return f, err
		}
	}
	defer v.freezes.forget(key(f.Account, ""))
	return v.store.PutFreeze(f)
}

// DeleteFreeze ends a freeze.
func (v *Vault) DeleteFreeze(account string, kind store.FreezeKind, id string) error {
	defer v.freezes.forget(key(account, ""))
	return v.store.DeleteFreeze(account, kind, id)
}

// Freezes lists the freezes of an account, as the database has them now.
func (v *Vault) Freezes(ctx context.Context, account string) ([]store.Freeze, error) {
	return v.store.Freezes(ctx, account)
}

// FrozenUser opens the readable form of a frozen user; empty of what is no user.
func (v *Vault) FrozenUser(ctx context.Context, f store.Freeze) (string, error) {
	if f.UserName == nil {
		return "", nil
	}
	plaintext, err := v.open(ctx, freezePlace(f), f.UserName)
	return string(plaintext), err
}
