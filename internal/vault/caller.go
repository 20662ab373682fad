package vault

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/sigv4"
	"credence/internal/store"
)

// AdminUser is the first administrator of an account.
const AdminUser = "admin"

// caller is an access key with its user's policies; its secret stays sealed.
type caller struct {
	key      store.AccessKey
	arn      string
	policies []*iam.Policy

	mu      sync.Mutex
	signing map[signingScope][]byte
}

type signingScope struct{ date, region, service string }

// A caller signs for one region and service, today and, around midnight, for two days; others are not kept.
const maxSigningKeys = 8

// Caller finds who a credential names and the signing key derived for its scope; fault.UnknownCaller when there is nobody.
// It is the lookup of sigv4.Verify.
func (v *Vault) Caller(ctx context.Context, c sigv4.Credential) (iam.Caller, []byte, error) {
	if !c.SessionToken.IsZero() {
		return iam.Caller{}, nil, unknownCaller() // long-term keys have none
	}
	found, err := v.callers.get(ctx, c.AccessKeyID, func(ctx context.Context) (*caller, error) { return v.loadCaller(ctx, c.AccessKeyID) })
	if errors.Is(err, fault.NotFound) {
		return iam.Caller{}, nil, unknownCaller()
	}
	if err != nil {
		return iam.Caller{}, nil, err
	}
	signing, err := v.signingKey(ctx, found, signingScope{c.Date, c.Region, c.Service})
	if err != nil {
		return iam.Caller{}, nil, err
	}
	return iam.Caller{Account: found.key.Account, ARN: found.arn, AccessKeyID: found.key.ID, Policies: found.policies, Kind: iam.KindUser, Name: found.key.User}, signing, nil
}

func unknownCaller() error {
	return fault.New(fault.UnknownCaller, "The security token included in the request is invalid.")
}

func (v *Vault) loadCaller(ctx context.Context, id string) (*caller, error) {
	k, err := v.store.AccessKey(ctx, id)
	if err != nil {
		return nil, err
	}
	docs, err := v.store.UserPolicies(ctx, k.Account, k.User)
	if err != nil {
		return nil, err
	}
	c := &caller{key: k, arn: iam.User(k.Account, k.User), signing: map[signingScope][]byte{}}
	for _, d := range docs {
		p, err := iam.ParsePolicy([]byte(d))
		if err != nil {
			return nil, fmt.Errorf("a stored policy of %s: %w", c.arn, err)
		}
		c.policies = append(c.policies, p)
	}
	return c, nil
}

func (v *Vault) signingKey(ctx context.Context, c *caller, scope signingScope) ([]byte, error) {
	c.mu.Lock()
	k, ok := c.signing[scope]
	c.mu.Unlock()
	if ok {
		return k, v.kekHolds(ctx, c.key.Account)
	}
	plaintext, err := v.open(ctx, accessKeyPlace(c.key), c.key.Secret)
	if err != nil {
		return nil, err
	}
	k = sigv4.Derive(secret.New(string(plaintext)), scope.date, scope.region, scope.service)
	c.mu.Lock()
	if len(c.signing) >= maxSigningKeys {
		clear(c.signing)
	}
	c.signing[scope] = k
	c.mu.Unlock()
	return k, nil
}

func accessKeyPlace(k store.AccessKey) place { return place{"access_keys", "secret", k.Account, k.ID} }

// AccessKey is a key as its owner needs it; the secret is shown once.
type AccessKey struct {
	ID     string
	Secret secret.String
}

// CreateAccount makes an account with keysets of its own; fault.Conflict when it exists.
func (v *Vault) CreateAccount(account string) error {
	if !iam.ValidAccount(account) {
		return fmt.Errorf("account id %q: must be 12 digits and not 000000000000", account)
	}
	keysets, err := newKeysets(context.Background(), v.kek, account)
	if err != nil {
		return err
	}
	return v.store.InsertAccount(account, time.Now(), keysets)
}

// PutUserPolicy gives a user a policy document, or replaces the one of that name; the user is made when missing.
func (v *Vault) PutUserPolicy(account, user, name, document string) error {
	if _, err := iam.ParsePolicy([]byte(document)); err != nil {
		return err
	}
	if err := v.store.PutUserPolicy(account, user, name, document, time.Now()); err != nil {
		return err
	}
	v.callers.forgetAll() // keyed by access key; policy writes are rare
	return nil
}

// NewAccessKey makes an access key that nobody has yet.
func NewAccessKey() AccessKey {
	random := make([]byte, 10+30)
	_, _ = rand.Read(random) // never fails
	return AccessKey{
		ID:     "AKIA" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:10]),
		Secret: secret.New(base64.StdEncoding.EncodeToString(random[10:])),
	}
}

// InsertAccessKey gives an access key to a user; with replace, every other key of the user ends.
func (v *Vault) InsertAccessKey(ctx context.Context, account, user string, k AccessKey, replace bool) (err error) {
	row := store.AccessKey{ID: k.ID, Account: account, User: user, CreatedAt: time.Now()}
	if row.Secret, err = v.seal(ctx, accessKeyPlace(row), []byte(k.Secret.Reveal())); err != nil {
		return err
	}
	if err := v.store.InsertAccessKey(row, replace); err != nil {
		return err
	}
	v.callers.forgetAll()
	return nil
}

// CreateAccessKey makes an access key for a user; with replace, every other key of the user ends.
func (v *Vault) CreateAccessKey(ctx context.Context, account, user string, replace bool) (AccessKey, error) {
	k := NewAccessKey()
	return k, v.InsertAccessKey(ctx, account, user, k, replace)
}
