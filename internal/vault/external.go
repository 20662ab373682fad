package vault

import (
	"context"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
)

// ExternalSecrets gets secrets that are kept elsewhere. It looks at each use whether the account may use the reference; its faults may be shown to the
// account's callers.
type ExternalSecrets interface {
	Resolve(ctx context.Context, account, id, jsonKey string) (secret.String, error)
}

// External gets the secret that a reference of an account names. Nothing of it reaches a row.
func (v *Vault) External(ctx context.Context, account string, at store.Reference) (secret.String, error) {
	if v.elsewhere == nil {
		return secret.String{}, fault.New(fault.AccessDenied, "Access denied when retrieving secret %q: this server keeps no secrets elsewhere", at.ID)
	}
	return v.elsewhere.Resolve(ctx, account, at.ID, at.JSONKey)
}

// reveal is the secret of a column: sealed, kept elsewhere, or empty when there is none.
func (v *Vault) reveal(ctx context.Context, p place, sealed []byte, at store.Reference) (secret.String, error) {
	if at == (store.Reference{}) && sealed == nil {
		return secret.String{}, nil
	}
	if err := v.usable(ctx, p.account, fault.Decryption); err != nil {
		return secret.String{}, err
	}
	if at != (store.Reference{}) {
		return v.External(ctx, p.account, at)
	}
	plaintext, err := v.open(ctx, p, sealed)
	return secret.New(string(plaintext)), err
}

// keep seals a secret that is given in place of what the column has. A reference there leaves nothing sealed.
func (v *Vault) keep(ctx context.Context, p place, given secret.String, sealed *[]byte, at *store.Reference) (err error) {
	if err := v.usable(ctx, p.account, fault.Encryption); err != nil {
		return err
	}
	switch {
	case !given.IsZero():
		*at = store.Reference{}
		*sealed, err = v.seal(ctx, p, []byte(given.Reveal()))
	case *at != (store.Reference{}):
		*sealed = nil
	}
	return err
}
