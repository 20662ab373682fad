package vault

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/sigv4"
	"credence/internal/store"
)

// AdminUser is the first administrator of an account, and AdminPolicy what lets it do everything.
const (
	AdminUser   = "admin"
	AdminPolicy = "administrator"
)

// caller is whom a credential names. Its secret stays sealed: in a row, or in the session token that each request brings.
type caller struct {
	who     iam.Caller
	key     store.AccessKey // of a user
	session *sessionCaller  // of a role session

	mu      sync.Mutex
	signing map[signingScope][]byte
}

type signingScope struct{ date, region, service string }

// A caller signs for one region and service, today and, around midnight, for two days; others are not kept.
const maxSigningKeys = 8

// Caller finds who a credential names and the signing key derived for its scope; fault.UnknownCaller when there is nobody.
// It is the lookup of sigv4.Verify.
func (v *Vault) Caller(ctx context.Context, c sigv4.Credential) (iam.Caller, []byte, error) {
	load, temporary := v.loadCaller, !c.SessionToken.IsZero()
	if temporary {
		load = func(ctx context.Context, _ string) (*caller, error) { return v.loadSession(ctx, c) }
	}
	found, err := v.callers.get(ctx, c.AccessKeyID, func(ctx context.Context) (*caller, error) { return load(ctx, c.AccessKeyID) })
	if errors.Is(err, fault.NotFound) {
		return iam.Caller{}, nil, unknownCaller()
	}
	if err != nil {
		return iam.Caller{}, nil, err
	}
	if (found.session != nil) != temporary { // a key of a user has no session token, and a session's key needs it
		return iam.Caller{}, nil, unknownCaller()
	}
	if temporary {
		if err := found.session.check(c.SessionToken); err != nil {
			return iam.Caller{}, nil, err
		}
	}
	signing, err := v.signingKey(ctx, found, c)
	if err != nil {
		return iam.Caller{}, nil, err
	}
	return found.who, signing, nil
}

func unknownCaller() error {
	return fault.New(fault.UnknownCaller, "The security token included in the request is invalid.")
}

func (v *Vault) loadCaller(ctx context.Context, id string) (*caller, error) {
	k, err := v.store.AccessKey(ctx, id)
	if err != nil {
		return nil, err
	}
	if !k.Active {
		return nil, fault.NotFound // as one that never was
	}
	u, err := v.store.User(ctx, k.Account, k.User)
	if err != nil {
		return nil, err
	}
	c := &caller{key: k, who: iam.Caller{Account: k.Account, ARN: iam.User(k.Account, k.User), AccessKeyID: k.ID, Kind: iam.KindUser, Name: u.Name, UserID: u.ID, Tags: u.Tags}, signing: map[signingScope][]byte{}}
	return c, v.loadPolicies(ctx, c, store.UserPrincipal(k.User))
}

func (v *Vault) loadPolicies(ctx context.Context, c *caller, principal string) error {
	documents, err := v.store.Policies(ctx, c.who.Account, principal)
	if err != nil {
		return err
	}
	if c.who.Policies, err = parsePolicies(documents); err != nil {
		return fmt.Errorf("%s: %w", c.who.ARN, err)
	}
	return nil
}

func parsePolicies(documents []store.Policy) ([]*iam.Policy, error) {
	var policies []*iam.Policy
	for _, d := range documents {
		p, err := iam.ParsePolicy([]byte(d.Document))
		if err != nil {
			return nil, fmt.Errorf("the stored policy %q: %w", d.Name, err)
		}
		p.Name = d.Name
		policies = append(policies, p)
	}
	return policies, nil
}

func (v *Vault) signingKey(ctx context.Context, c *caller, of sigv4.Credential) ([]byte, error) {
	scope := signingScope{of.Date, of.Region, of.Service}
	c.mu.Lock()
	k, ok := c.signing[scope]
	c.mu.Unlock()
	if ok {
		return k, v.kekHolds(ctx, c.who.Account)
	}
	s, err := v.callerSecret(ctx, c, of.SessionToken)
	if err != nil {
		return nil, err
	}
	k = sigv4.Derive(s, scope.date, scope.region, scope.service)
	c.mu.Lock()
	if len(c.signing) >= maxSigningKeys {
		clear(c.signing)
	}
	c.signing[scope] = k
	c.mu.Unlock()
	return k, nil
}

func (v *Vault) callerSecret(ctx context.Context, c *caller, token secret.String) (secret.String, error) {
	if c.session != nil {
		s, err := v.openSession(ctx, token)
		return s.Secret, err
	}
	plaintext, err := v.open(ctx, accessKeyPlace(c.key), c.key.Secret)
	return secret.New(string(plaintext)), err
}

func accessKeyPlace(k store.AccessKey) place { return place{"access_keys", "secret", k.Account, k.ID} }

// AccessKey is a key as its owner needs it; the secret is shown once.
type AccessKey struct {
	ID     string
	Secret secret.String
}

// CreateAccount makes an account with keysets of its own; fault.Conflict when it exists.
func (v *Vault) CreateAccount(account string) error {
	keysets, err := v.newAccount(account)
	if err != nil {
		return err
	}
	return v.store.InsertAccount(account, time.Now(), keysets)
}

func (v *Vault) newAccount(account string) ([]store.Keyset, error) {
	if !iam.ValidAccount(account) {
		return nil, fmt.Errorf("account id %q: must be 12 digits and not 000000000000", account)
	}
	return newKeysets(context.Background(), v.kek, account)
}

// CreateAdministeredAccount makes an account whose user AdminUser has the access key that it returns, and may do everything; fault.Conflict when it exists or did.
func (v *Vault) CreateAdministeredAccount(ctx context.Context, account string) (AccessKey, error) {
	keysets, err := v.newAccount(account)
	if err != nil {
		return AccessKey{}, err
	}
	// The key becomes durable together with the account that seals it: nobody can make another one later in the operator's name.
	i := slices.IndexFunc(keysets, func(k store.Keyset) bool { return k.Purpose == purposeRows })
	handle, err := openKeyset(ctx, keysets[i], v.kek.aead)
	if err != nil {
		return AccessKey{}, fault.Wrap(fault.Decryption, err, "the new keys of account %s cannot be opened", account)
	}
	rows, err := aead.New(handle)
	if err != nil {
		return AccessKey{}, err
	}
	key, now := NewAccessKey(), time.Now()
	row := store.AccessKey{ID: key.ID, Account: account, User: AdminUser, Active: true, CreatedAt: now}
	if row.Secret, err = accessKeyPlace(row).seal(rows, []byte(key.Secret.Reveal())); err != nil {
		return AccessKey{}, err
	}
	return key, v.store.InsertAccount(account, now, keysets, store.Administrator{User: AdminUser, PolicyName: AdminPolicy, Document: iam.AllowAll, Key: row})
}

// PutUserPolicy gives a user a policy document, or replaces the one of that name; the user is made when missing.
func (v *Vault) PutUserPolicy(account, user, name, document string) error {
	if _, err := iam.ParsePolicy([]byte(document)); err != nil {
		return err
	}
	return v.ChangePrincipals(func(s *store.Store) error { return s.PutUserPolicy(account, user, name, document, time.Now()) })
}

// ChangePrincipals makes a change of users, roles, access keys or policies; the next request obeys it.
func (v *Vault) ChangePrincipals(change func(*store.Store) error) error {
	defer v.callers.forgetAll() // keyed by access key; such writes are rare
	return change(v.store)
}

// ResetAdministrator has AdminUser of an account, who is made when missing, do everything, whatever its policies say: they end.
func (v *Vault) ResetAdministrator(account string) error {
	return v.ChangePrincipals(func(s *store.Store) error {
		return s.ReplaceUserPolicies(account, AdminUser, AdminPolicy, iam.AllowAll, time.Now())
	})
}

// Administers tells whether a user may give rights, whatever else is asked of a request: store.Administers.
func Administers(user string, documents []store.Policy) bool {
	policies, err := parsePolicies(documents)
	if err != nil || len(documents) == 0 {
		return false
	}
	arn := iam.User(documents[0].Account, user)
	c := &iam.Caller{Account: documents[0].Account, ARN: arn, Kind: iam.KindUser, Name: user, Policies: policies}
	return iam.Evaluate(c, &iam.Request{Action: "credence:PutUserPolicy", Resources: []string{arn}}).Allowed
}

// keyPrefix begins the id of an access key of a user, as AWS has it; that of a session begins otherwise.
const keyPrefix = "AKIA"

// NewAccessKey makes an access key that nobody has yet.
func NewAccessKey() AccessKey {
	random := make([]byte, 10+30)
	_, _ = rand.Read(random) // never fails
	return AccessKey{
		ID:     keyPrefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:10]),
		Secret: secret.New(base64.StdEncoding.EncodeToString(random[10:])),
	}
}

// InsertAccessKey gives an access key to a user, who is made when missing; with replace, every other key of the user ends.
func (v *Vault) InsertAccessKey(ctx context.Context, account, user string, k AccessKey, replace bool) error {
	row, err := v.sealAccessKey(ctx, account, user, k)
	if err != nil {
		return err
	}
	return v.ChangePrincipals(func(s *store.Store) error { return s.InsertAccessKey(row, replace) })
}

// AddAccessKey makes an access key for a user that exists; fault.Quota when there are as many as may be.
func (v *Vault) AddAccessKey(ctx context.Context, account, user string) (AccessKey, store.AccessKey, error) {
	k := NewAccessKey()
	row, err := v.sealAccessKey(ctx, account, user, k)
	if err != nil {
		return AccessKey{}, row, err
	}
	return k, row, v.ChangePrincipals(func(s *store.Store) error { return s.AddAccessKey(row) })
}

func (v *Vault) sealAccessKey(ctx context.Context, account, user string, k AccessKey) (row store.AccessKey, err error) {
	row = store.AccessKey{ID: k.ID, Account: account, User: user, Active: true, CreatedAt: time.Now()}
	row.Secret, err = v.seal(ctx, accessKeyPlace(row), []byte(k.Secret.Reveal()))
	return row, err
}

// CreateAccessKey makes an access key for a user; with replace, every other key of the user ends.
func (v *Vault) CreateAccessKey(ctx context.Context, account, user string, replace bool) (AccessKey, error) {
	k := NewAccessKey()
	return k, v.InsertAccessKey(ctx, account, user, k, replace)
}
