package vault

import (
	"context"

	"credence/internal/store"
)

// Workload finds a workload identity.
func (v *Vault) Workload(ctx context.Context, account, name string) (store.Workload, error) {
	return v.workloads.get(ctx, key(account, name), func(ctx context.Context) (store.Workload, error) {
		return v.store.Workload(ctx, account, name)
	})
}

// UpdateWorkload replaces the changeable columns of a workload identity.
func (v *Vault) UpdateWorkload(w store.Workload) error {
	defer v.workloads.forget(key(w.Account, w.Name))
	return v.store.UpdateWorkload(w)
}

// DeleteWorkload removes a workload identity with its tags, grants and authorization sessions.
func (v *Vault) DeleteWorkload(account, name, resource string) error {
	defer v.grants.forgetAll()
	defer v.workloads.forget(key(account, name))
	return v.store.DeleteWorkload(account, name, resource)
}
