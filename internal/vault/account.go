package vault

import (
	"context"

	"credence/internal/store"
)

// DeleteAccount begins to delete an account: nothing is issued any more, and vendors are told of its grants.
func (v *Vault) DeleteAccount(account, by string, force bool) error {
	defer v.grants.forgetAll()
	defer v.freezes.forget(key(account, ""))
	return v.store.DeleteAccount(account, by, force)
}

// ShredAccount destroys the keysets of an account and whatever they sealed.
func (v *Vault) ShredAccount(ctx context.Context, d store.AccountDeletion) error {
	defer v.callers.forgetAll()
	defer v.grants.forgetAll()
	defer v.forgetKeys(d.Account)
	return v.store.ShredAccount(ctx, d.Account)
}

// forgetKeys drops what was opened of an account that is no more. Every replica does it.
func (v *Vault) forgetKeys(account string) {
	v.opened.Delete(account)
	if s, ok := v.slots.LoadAndDelete(account); ok {
		s.(*slot).forget()
	}
}
