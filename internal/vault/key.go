package vault

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"credence/internal/fault"
	"credence/internal/kms"
	"credence/internal/store"
)

// KeyState is the state of a key as its owner is told: what was done to it here, or else what its key management service says.
type KeyState string

// States that no row has.
const (
	KeyPendingDeletion KeyState = KeyState(kms.PendingDeletion)
	KeyUnavailable     KeyState = "UNAVAILABLE" // its service does not say
)

// keyError is why a key cannot be used. What a service said of it is for logs.
type keyError struct {
	id     string
	reason string // reads on after the key
	err    error
}

func (e *keyError) Error() string { return fmt.Sprintf("key %s %s: %v", e.id, e.reason, e.err) }

func (e *keyError) Unwrap() error { return e.err }

func refused(id, format string, args ...any) error {
	return &keyError{id, fmt.Sprintf(format, args...), kms.ErrRefused}
}

// ofService makes a keyError of what a key management service answered.
func ofService(id string, err error) error {
	if _, ok := errors.AsType[*keyError](err); ok {
		return err
	}
	if errors.Is(err, kms.ErrRefused) {
		return &keyError{id, "is refused by its key management service: see there whether it is enabled and ours to use", err}
	}
	return &keyError{id, "cannot be used now: its key management service does not answer as it should", err}
}

// CreateKey adds a key: a new one that is kept here, or for a k with URI one that is elsewhere, which it first tries. The answer has what k leaves open.
// Errors name the members usage, keySpec, uri and clientId.
func (v *Vault) CreateKey(ctx context.Context, k store.Key) (store.Key, error) {
	id, err := uuid.NewV7() // they list by age
	if err != nil {
		return k, err
	}
	now := time.Now()
	k.ID, k.State, k.CreatedAt, k.UpdatedAt, k.Version = id.String(), store.KeyEnabled, now, now, 1
	if k.Usage == store.KeyForAssertions && k.ClientID == "" {
		return k, fault.Invalid("clientId", "is required for usage %s: the key signs for this client and no other", k.Usage)
	}
	if k.Usage == store.KeyForTokenVault && k.ClientID != "" {
		return k, fault.Invalid("clientId", "is for usage %s", store.KeyForAssertions)
	}
	add := v.addHere
	if k.URI != "" {
		add = v.addElsewhere
	}
	if err := add(ctx, &k); err != nil {
		return k, err
	}
	err = v.store.InsertKey(k)
	if errors.Is(err, fault.Conflict) {
		return k, taken(k)
	}
	return k, err
}

func taken(k store.Key) error {
	return fault.New(fault.Conflict, "The key at uri %q is in use already: a key has one account and one use", k.URI)
}

// addHere makes the material of a key.
func (v *Vault) addHere(ctx context.Context, k *store.Key) error {
	if k.Spec == "" && k.Usage == store.KeyForTokenVault {
		k.Spec = string(kms.Symmetric)
	}
	if err := checkSpec(*k); err != nil {
		return err
	}
	material, err := kms.NewLocal(kms.Spec(k.Spec))
	if err != nil {
		return err
	}
	k.Material, err = v.seal(ctx, keyPlace(*k), material)
	return err
}

func checkSpec(k store.Key) error {
	symmetric := kms.Spec(k.Spec) == kms.Symmetric
	switch {
	case k.Spec == "":
		return fault.Invalid("keySpec", "is required for usage %s", k.Usage)
	case k.Usage == store.KeyForTokenVault && !symmetric:
		return fault.Invalid("keySpec", "is %s, but usage %s needs %s", k.Spec, k.Usage, kms.Symmetric)
	case k.Usage == store.KeyForAssertions && symmetric:
		return fault.Invalid("keySpec", "is %s, but usage %s needs %s, %s, %s or %s", k.Spec, k.Usage, kms.RSA2048, kms.RSA3072, kms.RSA4096, kms.P256)
	}
	return nil
}

func keyPlace(k store.Key) place { return place{"keys", "material", k.Account, k.ID} }

// addElsewhere looks at a key that is elsewhere, and tries it.
func (v *Vault) addElsewhere(ctx context.Context, k *store.Key) error {
	if err := v.allow(k.Account, k.URI); err != nil {
		return fault.Invalid("uri", "%v", err)
	}
	name, err := kms.Name(k.URI)
	if err != nil {
		return fault.Invalid("uri", "%v", err)
	}
	if k.Resource = name; name == v.kek.resource {
		return taken(*k)
	}
	spec := kms.Spec("")
	if k.Usage == store.KeyForTokenVault {
		spec = kms.Symmetric // try tells whether it is
	}
	key, err := v.backend(ctx, k.URI, spec)
	if err != nil {
		f := fault.Invalid("uri", "the key there cannot be used: %s", trouble(err))
		f.Err = err
		return f
	}
	if k.Spec != "" && k.Spec != string(key.Spec()) {
		return fault.Invalid("keySpec", "is %s, but the key at uri is %s", k.Spec, key.Spec())
	}
	k.Spec = string(key.Spec())
	if err := checkSpec(*k); err != nil {
		return err
	}
	if k.Usage == store.KeyForAssertions {
		_, err = key.Public(ctx)
	} else {
		err = try(ctx, key, []byte(k.ID))
	}
	if err != nil {
		f := fault.Invalid("uri", "the key there cannot be used: %s", trouble(err))
		f.Err = err
		return f
	}
	return nil
}

func trouble(err error) string {
	if errors.Is(err, kms.ErrRefused) {
		return "its key management service refuses"
	}
	return "its key management service does not answer as it should"
}

// try has a key seal and open something.
func try(ctx context.Context, key kms.Key, bound []byte) error {
	sealed, err := key.Wrap(ctx, keyCheckText, bound)
	if err != nil {
		return err
	}
	_, err = key.Unwrap(ctx, sealed, bound)
	return err
}

func (v *Vault) allow(account, uri string) error {
	if v.allowed == nil {
		return errors.New("is not below a prefix that the operator configured for this account: there is none")
	}
	return v.allowed.Allow(account, uri)
}

// backend is the key at a URI, of a kind that is known; "" asks.
func (v *Vault) backend(ctx context.Context, uri string, spec kms.Spec) (kms.Key, error) {
	name := string(spec) + " " + uri
	if k, ok := v.backends.Load(name); ok {
		return k.(kms.Key), nil
	}
	k, err := kms.Open(ctx, uri, kms.Options{Spec: spec})
	if err != nil || spec == "" {
		return k, err
	}
	actual, _ := v.backends.LoadOrStore(name, k)
	return actual.(kms.Key), nil
}

// openKey opens a key, whatever its state here.
func (v *Vault) openKey(ctx context.Context, k store.Key) (kms.Key, error) {
	if k.URI == "" {
		material, err := v.open(ctx, keyPlace(k), k.Material)
		if err != nil {
			return nil, err
		}
		return kms.OpenLocal(material)
	}
	if err := v.allow(k.Account, k.URI); err != nil { // the operator may have changed his mind
		return nil, refused(k.ID, "is elsewhere, and its uri %v", err)
	}
	key, err := v.backend(ctx, k.URI, kms.Spec(k.Spec))
	if err != nil {
		return nil, ofService(k.ID, err)
	}
	return key, nil
}

// useKey opens an enabled key of the account for its one use; otherwise the answer is a keyError, or an error of the database.
func (v *Vault) useKey(ctx context.Context, account, id string, usage store.KeyUsage) (store.Key, kms.Key, error) {
	k, err := v.store.Key(ctx, account, id)
	switch {
	case errors.Is(err, fault.NotFound):
		return k, nil, refused(id, "is not registered")
	case err != nil:
		return k, nil, &keyError{id, "cannot be looked up now", err}
	case k.Usage != usage:
		return k, nil, refused(id, "is for %s, not for %s", k.Usage, usage)
	case k.State == store.KeyDeleted:
		return k, nil, refused(id, "was deleted")
	case k.State != store.KeyEnabled:
		return k, nil, refused(id, "is disabled: enable it")
	}
	key, err := v.openKey(ctx, k)
	return k, key, err
}

// KeyState tells the state of a key, and asks its service if need be.
func (v *Vault) KeyState(ctx context.Context, k store.Key) KeyState {
	if k.State != store.KeyEnabled || k.URI == "" {
		return KeyState(k.State)
	}
	state, err := v.askState(ctx, k)
	if err != nil {
		return KeyUnavailable
	}
	return KeyState(state)
}

// PublicKey is the public half of a key that signs.
func (v *Vault) PublicKey(ctx context.Context, k store.Key) (crypto.PublicKey, error) {
	_, key, err := v.useKey(ctx, k.Account, k.ID, store.KeyForAssertions)
	if err != nil {
		return nil, keyFault(err)
	}
	public, err := key.Public(ctx)
	if err != nil {
		return nil, keyFault(ofService(k.ID, err))
	}
	return public, nil
}

// publicLife is how long the public half of a key elsewhere is believed: strangers ask for it, and its service would be asked as often.
const publicLife = 5 * time.Minute

// publicHalf is what a key management service said of a key, or why it said nothing.
type publicHalf struct {
	key   crypto.PublicKey
	err   error
	until time.Time
}

// PublishedKey is the public half of a key for its JWK Set; fault.NotFound for a key that signs nothing: unknown, disabled, deleted, or for another use.
func (v *Vault) PublishedKey(ctx context.Context, account, id string) (crypto.PublicKey, error) {
	if err := v.AccountExists(ctx, account); err != nil {
		return nil, err
	}
	k, err := v.store.Key(ctx, account, id)
	if err != nil {
		return nil, err
	}
	if k.Usage != store.KeyForAssertions || k.State != store.KeyEnabled {
		return nil, fault.NotFound
	}
	name := key(account, id)
	if known, ok := v.publics.Load(name); ok && time.Now().Before(known.(publicHalf).until) {
		return known.(publicHalf).key, known.(publicHalf).err
	}
	half, _, _ := v.openings.Do("public half "+name, func() (any, error) {
		public, err := v.PublicKey(context.WithoutCancel(ctx), k)
		p := publicHalf{public, err, time.Now().Add(publicLife)}
		if err != nil {
			p.until = time.Now().Add(publicLife / 60)
		}
		v.publics.Store(name, p)
		return p, nil
	})
	return half.(publicHalf).key, half.(publicHalf).err
}

// keyFault says to whoever named the key why it cannot be used.
func keyFault(err error) error {
	if e, ok := errors.AsType[*keyError](err); ok {
		return fault.Wrap(fault.Validation, err, "Key %s %s", e.id, e.reason)
	}
	return err
}

// SetKeyEnabled enables or disables a key. What it sealed is closed at once, or opens again.
func (v *Vault) SetKeyEnabled(k store.Key, enabled bool) error {
	state := store.KeyDisabled
	if enabled {
		state = store.KeyEnabled
	}
	defer v.slot(k.Account).forget()
	return v.store.SetKeyState(k, state, time.Now())
}

// DeleteKey destroys a key that is kept here, or forgets one that is elsewhere; fault.Conflict when it is in use (store.DeleteKey).
func (v *Vault) DeleteKey(k store.Key, force bool) error {
	defer v.slot(k.Account).forget()
	return v.store.DeleteKey(k, force, time.Now())
}
