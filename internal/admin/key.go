package admin

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// allowKey is the first call of every operation on keys.
func (a *Admin) allowKey(c iam.Caller, operation, arn string) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{arn}})
}

// keyARN is the ARN of what a request names by id or ARN.
func (a *Admin) keyARN(c iam.Caller, keyID string) string {
	if len(keyID) == 36 { // of a UUID
		return a.ARNs.Key(c.Account, keyID)
	}
	return keyID
}

// key finds the key of an ARN. One of another account is as unknown as one that never was.
func (a *Admin) key(ctx context.Context, c iam.Caller, arn string) (store.Key, error) {
	id, ok := a.ARNs.KeyID(c.Account, arn)
	k, err := a.Store.Key(ctx, c.Account, id)
	if !ok || errors.Is(err, fault.NotFound) {
		return store.Key{}, fault.New(fault.NotFound, "Resource not found: %s", arn)
	}
	return k, err
}

// CreateKey makes a key, or registers one that is elsewhere: for one account and one use, an assertion key for one client.
func (a *Admin) CreateKey(ctx context.Context, c iam.Caller, in *wire.CreateKeyInput) (*wire.CreateKeyOutput, error) {
	if err := a.allowKey(c, "CreateKey", a.ARNs.Key(c.Account, "*")); err != nil {
		return nil, err
	}
	k := store.Key{Account: c.Account, Usage: store.KeyUsage(in.KeyUsage), Spec: string(or(in.KeySpec, "")), URI: or(in.Uri, ""), ClientID: or(in.ClientId, "")}
	k, err := a.Vault.CreateKey(ctx, k)
	if err != nil {
		return nil, err
	}
	return (*wire.CreateKeyOutput)(new(a.describeKey(k))), nil
}

// or is what p points to, or the default.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func (a *Admin) describeKey(k store.Key) wire.KeyMetadata {
	m := wire.KeyMetadata{
		KeyId: k.ID, KeyArn: a.ARNs.Key(k.Account, k.ID), KeyUsage: wire.KeyUsage(k.Usage), KeySpec: wire.KeySpec(k.Spec), KeyState: wire.KeyState(k.State),
		CreationDate: wire.Time{Time: k.CreatedAt},
	}
	if k.URI != "" {
		m.Uri = &k.URI
	}
	if k.ClientID != "" {
		m.ClientId = &k.ClientID
	}
	return m
}

// DescribeKey tells a key, with its state as its key management service has it now.
func (a *Admin) DescribeKey(ctx context.Context, c iam.Caller, in *wire.DescribeKeyInput) (*wire.DescribeKeyOutput, error) {
	arn := a.keyARN(c, in.KeyId)
	if err := a.allowKey(c, "DescribeKey", arn); err != nil {
		return nil, err
	}
	k, err := a.key(ctx, c, arn)
	if err != nil {
		return nil, err
	}
	m := a.describeKey(k)
	m.KeyState = wire.KeyState(a.Vault.KeyState(ctx, k))
	return (*wire.DescribeKeyOutput)(&m), nil
}

// ListKeys lists the keys of the account, oldest first.
func (a *Admin) ListKeys(ctx context.Context, c iam.Caller, _ *wire.ListKeysInput) (*wire.ListKeysOutput, error) {
	if err := a.allowKey(c, "ListKeys", a.ARNs.Key(c.Account, "*")); err != nil {
		return nil, err
	}
	rows, err := a.Store.Keys(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListKeysOutput{Keys: make([]wire.KeyMetadata, len(rows))}
	for i, k := range rows {
		out.Keys[i] = a.describeKey(k)
	}
	return out, nil
}

// GetPublicKey tells the public half of a key that signs: what is to be registered at the vendor.
func (a *Admin) GetPublicKey(ctx context.Context, c iam.Caller, in *wire.GetPublicKeyInput) (*wire.GetPublicKeyOutput, error) {
	arn := a.keyARN(c, in.KeyId)
	if err := a.allowKey(c, "GetPublicKey", arn); err != nil {
		return nil, err
	}
	k, err := a.key(ctx, c, arn)
	if err != nil {
		return nil, err
	}
	public, err := a.Vault.PublicKey(ctx, k)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	text, err := (&jose.JSONWebKey{Key: public, KeyID: k.ID, Use: "sig"}).MarshalJSON()
	if err != nil {
		return nil, err
	}
	out := &wire.GetPublicKeyOutput{KeyArn: a.ARNs.Key(k.Account, k.ID), Pem: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Jwk: &wire.JSONWebKey{},
		JwksUri: vault.IssuerURL(a.PublicURL, k.Account) + "/keys/" + k.ID + "/jwks"}
	return out, json.Unmarshal(text, out.Jwk)
}

// EnableKey has a disabled key used again.
func (a *Admin) EnableKey(ctx context.Context, c iam.Caller, in *wire.EnableKeyInput) (*wire.EnableKeyOutput, error) {
	return &wire.EnableKeyOutput{}, a.changeKey(ctx, c, "EnableKey", in.KeyId, func(k store.Key) error { return a.Vault.SetKeyEnabled(k, true) })
}

// DisableKey has a key used no more until it is enabled. A token vault that it seals is closed at once.
func (a *Admin) DisableKey(ctx context.Context, c iam.Caller, in *wire.DisableKeyInput) (*wire.DisableKeyOutput, error) {
	return &wire.DisableKeyOutput{}, a.changeKey(ctx, c, "DisableKey", in.KeyId, func(k store.Key) error { return a.Vault.SetKeyEnabled(k, false) })
}

// DeleteKey destroys the material of a key that is kept here, for ever, or forgets a key that is elsewhere, which stays there.
func (a *Admin) DeleteKey(ctx context.Context, c iam.Caller, in *wire.DeleteKeyInput) (*wire.DeleteKeyOutput, error) {
	force := or(in.Force, false)
	err := a.changeKey(ctx, c, "DeleteKey", in.KeyId, func(k store.Key) error {
		err := a.Vault.DeleteKey(k, force)
		switch {
		case !errors.Is(err, fault.Conflict):
			return err
		case k.URI != "" && k.Usage == store.KeyForTokenVault:
			return fault.New(fault.Conflict, "Key %s seals the token vault: give the vault another key first (SetTokenVaultCMK), or, if this one was deleted at its key management service, ResetTokenVaultKeyMaterial", k.ID)
		}
		return fault.New(fault.Conflict, "Key %s is in use, by the token vault or by a credential provider: with force it is deleted all the same, and what needs it works no more", k.ID)
	})
	return &wire.DeleteKeyOutput{}, err
}

// changeKey has a key changed, again if somebody else was faster.
func (a *Admin) changeKey(ctx context.Context, c iam.Caller, operation, keyID string, change func(store.Key) error) error {
	arn := a.keyARN(c, keyID)
	if err := a.allowKey(c, operation, arn); err != nil {
		return err
	}
	var err error
	for range 5 {
		var k store.Key
		if k, err = a.key(ctx, c, arn); err != nil {
			return err
		}
		if k.State == store.KeyDeleted {
			return fault.Invalid("keyId", "key %s was deleted: its material is destroyed", k.ID)
		}
		if err = change(k); !errors.Is(err, fault.ConcurrentModification) {
			return err
		}
	}
	return fault.Wrap(fault.Conflict, err, "The key is being changed by others: try again")
}
