package control

import (
	"context"
	"errors"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

// given is a secret as a request gives it: as a value, which the vault keeps, or by a reference to where it is kept. It is empty when the request gives none.
type given struct {
	path   string // of the value's member
	prefix string // of the members Source and Config
	value  secret.String
	at     store.Reference
	here   bool // the request says that the vault shall keep it
}

func (g given) isZero() bool { return g.value.IsZero() && g.at == (store.Reference{}) }

// member is the one that gives the secret.
func (g given) member() string {
	if g.at != (store.Reference{}) {
		return g.prefix + "Config"
	}
	return g.path
}

// giveSecret reads the three members by which a request gives a secret.
func giveSecret(path, prefix string, value *secret.String, source *wire.SecretSource, config *wire.SecretReference) (given, error) {
	g := given{path: path, prefix: prefix}
	if value != nil {
		g.value = *value
	}
	external := source != nil && *source == wire.SourceExternal
	g.here = source != nil && !external
	switch {
	case config != nil && !g.value.IsZero():
		return given{}, fault.Invalid(prefix+"Config", "cannot be given together with %s: give the secret itself, or where it is kept", path)
	case external && config == nil:
		return given{}, fault.Invalid(prefix+"Config", "is required when %sSource is %s", prefix, wire.SourceExternal)
	case !external && config != nil:
		return given{}, fault.Invalid(prefix+"Source", "must be %s when %sConfig is given", wire.SourceExternal, prefix)
	case config != nil:
		g.at = store.Reference{ID: config.SecretId, JSONKey: config.JsonKey}
	}
	return g, nil
}

// look gets a secret that a request names by a reference, so that one that cannot be used is refused now, and hands out what the request means.
func (c *Control) look(ctx context.Context, account string, g given) (secret.String, error) {
	if g.at == (store.Reference{}) {
		return g.value, nil
	}
	value, err := c.Vault.External(ctx, account, g.at)
	if f, ok := errors.AsType[*fault.Fault](err); ok && f.Kind == fault.AccessDenied {
		invalid := fault.Invalid(g.member(), "%s", f.Msg)
		invalid.Err = f.Err
		return value, invalid
	}
	return value, err
}

// checkKept refuses a request by which the vault would have to keep a secret that it does not have.
func (g given) checkKept(stored store.Reference) error {
	if g.here && g.isZero() && stored != (store.Reference{}) {
		return fault.Invalid(g.path, "is required when %sSource is %s, since the stored secret is kept elsewhere", g.prefix, wire.SourceManaged)
	}
	return nil
}

// described is what answers tell of a stored secret. One that is kept elsewhere has the ARN that it was given by; one that was given otherwise has that of a managed
// secret, since the API demands one.
func described(managedARN, managedKey string, at store.Reference) (*wire.Secret, *string, *wire.SecretSource) {
	if at == (store.Reference{}) {
		return &wire.Secret{SecretArn: managedARN}, &managedKey, new(wire.SourceManaged)
	}
	if wire.IsSecretARN(at.ID) {
		managedARN = at.ID
	}
	return &wire.Secret{SecretArn: managedARN}, &at.JSONKey, new(wire.SourceExternal)
}
