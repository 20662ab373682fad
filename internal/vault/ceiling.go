package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// Ceiling is what may be had at most, whatever policies allow and users consent to.
type Ceiling struct {
	Kind store.CeilingKind
	Name string
	wire.Ceiling
	UpdatedBy string
	UpdatedAt time.Time

	userKeys []string // of Users
}

// String says whose ceiling it is.
func (c *Ceiling) String() string {
	if c.Kind == store.CeilingWorkload {
		return fmt.Sprintf("ceiling of workload identity %q", c.Name)
	}
	return fmt.Sprintf("ceiling of credential provider %q", c.Name)
}

// HasUser reports whether anybody may act for a user, by key and, of a JWT, issuer.
func (c *Ceiling) HasUser(key, issuer string) bool {
	return c.Users == nil && c.UserIssuers == nil || slices.Contains(c.userKeys, key) || issuer != "" && slices.Contains(c.UserIssuers, issuer)
}

type ceilingKey struct {
	kind store.CeilingKind
	name string
}

func ceilingPlace(c store.Ceiling) place {
	return place{"ceilings", "document", c.Account, string(c.Kind) + "/" + c.Name}
}

// Ceilings are those that concern what a workload identity gets of a provider; what is "" takes no part.
func (v *Vault) Ceilings(ctx context.Context, account, workload, provider string) ([]Ceiling, error) {
	all, err := v.ceilings.get(ctx, key(account, ""), func(ctx context.Context) (map[ceilingKey]Ceiling, error) {
		list, err := v.AllCeilings(ctx, account)
		all := make(map[ceilingKey]Ceiling, len(list))
		for _, c := range list {
			all[ceilingKey{c.Kind, c.Name}] = c
		}
		return all, err
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	var out []Ceiling
	for _, k := range []ceilingKey{{store.CeilingProvider, provider}, {store.CeilingWorkload, workload}} {
		if c, ok := all[k]; ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// AllCeilings lists the ceilings of an account, as the database has them now.
func (v *Vault) AllCeilings(ctx context.Context, account string) ([]Ceiling, error) {
	rows, err := v.store.Ceilings(ctx, account)
	if err != nil {
		return nil, err
	}
	out := make([]Ceiling, len(rows))
	for i, r := range rows {
		text, err := v.open(ctx, ceilingPlace(r), r.Document)
		if err != nil {
			return nil, err
		}
		c := Ceiling{Kind: r.Kind, Name: r.Name, UpdatedBy: r.UpdatedBy, UpdatedAt: r.UpdatedAt}
		if err := json.Unmarshal(text, &c.Ceiling); err != nil {
			return nil, fmt.Errorf("the %s: %w", &c, err)
		}
		for _, u := range c.Users {
			c.userKeys = append(c.userKeys, workload.UserNamed(&u).Key())
		}
		out[i] = c
	}
	return out, nil
}

// PutCeiling sets a ceiling, or replaces it as a whole.
func (v *Vault) PutCeiling(ctx context.Context, account string, c Ceiling) error {
	text, err := json.Marshal(c.Ceiling)
	if err != nil {
		return err
	}
	row := store.Ceiling{Account: account, Kind: c.Kind, Name: c.Name, UpdatedBy: c.UpdatedBy, UpdatedAt: c.UpdatedAt}
	if row.Document, err = v.seal(ctx, ceilingPlace(row), text); err != nil {
		return err
	}
	defer v.ceilings.forget(key(account, ""))
	return v.store.PutCeiling(row)
}

// DeleteCeiling ends a ceiling.
func (v *Vault) DeleteCeiling(account string, kind store.CeilingKind, name string) error {
	defer v.ceilings.forget(key(account, ""))
	return v.store.DeleteCeiling(account, kind, name)
}
