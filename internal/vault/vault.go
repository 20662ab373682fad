package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
)

// Vault seals what goes into rows and opens what comes out of them.
type Vault struct {
	store  *store.Store
	kek    *KEK
	opened sync.Map // account → *keys
	slots  sync.Map // account → *slot
	record func(account, action, key string) error

	began     time.Time    // what proofs count from
	kekProof  atomic.Int64 // when the key-encryption key last opened, since began
	kekFlaw   atomic.Pointer[flaw]
	openings  singleflight.Group
	allowed   Allowed
	backends  sync.Map // URI → kms.Key
	elsewhere ExternalSecrets

	epochs         *epochs
	looked, missed interface{ Inc() }

	uses      keyUses
	callers   *cache[*caller]
	workloads *cache[store.Workload]
	providers *cache[*OAuth2Provider]
	apiKeys   *cache[store.APIKeyProvider]
	payments  *cache[*PaymentProvider]
	grants    *cache[store.Grant]
	freezes   *cache[map[freezeKey]store.Freeze] // all of an account
	ceilings  *cache[map[ceilingKey]Ceiling]     // all of an account
	issuers   *cache[[]store.IssuerKey]
	publics   sync.Map // account and key → publicHalf
	signers   sync.Map // of audit logs, by what is sealed
}

// Config is what a vault is made of.
type Config struct {
	Store    *store.Store
	KEK      *KEK
	External ExternalSecrets // nil: no secret is kept elsewhere
	Allowed  Allowed         // nil: no account may use a key that is elsewhere
	Metrics  *telemetry.Metrics
	// Record records, durably, what the vault is about to do with keys without being asked: the action, such as credence:CreateIssuerKey, and which key. An error is a
	// refusal. nil: nothing is recorded, by tools that do nothing of the kind.
	Record func(account, action, key string) error
	// Replicas says that others write to the same database. Then Follow must run.
	Replicas bool
}

// Allowed says which keys elsewhere each account may use.
type Allowed interface {
	// Allow answers nil for a URI that is written the one right way and below a prefix that the operator configured for the account. An error reads on after
	// the URI's name.
	Allow(account, uri string) error
}

// Sizes of the caches: entries of a few hundred bytes each, but for grants, which count their sealed bytes.
const (
	cacheEntries = 20_000
	grantBytes   = 64 << 20
)

// New makes a vault over a store. It proves that the KEK belongs to the database; a new database takes it as its own.
func New(ctx context.Context, cfg Config) (*Vault, error) {
	e := &epochs{followed: cfg.Replicas, start: time.Now().Add(-2 * epochLife)} // nothing was looked at yet
	v := &Vault{
		store: cfg.Store, kek: cfg.KEK, elsewhere: cfg.External, allowed: cfg.Allowed, began: time.Now(), epochs: e, looked: cfg.Metrics.Epochs.WithLabelValues("ok"), missed: cfg.Metrics.Epochs.WithLabelValues("failed"),
		callers:   newCache[*caller](cfg.Metrics, e, "callers", cacheEntries, nil),
		workloads: newCache[store.Workload](cfg.Metrics, e, "workloads", cacheEntries, nil),
		providers: newCache[*OAuth2Provider](cfg.Metrics, e, "oauth2_providers", cacheEntries, nil),
		apiKeys:   newCache[store.APIKeyProvider](cfg.Metrics, e, "apikey_providers", cacheEntries, nil),
		payments:  newCache[*PaymentProvider](cfg.Metrics, e, "payment_providers", cacheEntries, nil),
		freezes:   newCache[map[freezeKey]store.Freeze](cfg.Metrics, e, "freezes", cacheEntries, nil),
		ceilings:  newCache[map[ceilingKey]Ceiling](cfg.Metrics, e, "ceilings", cacheEntries, nil),
		issuers:   newCache[[]store.IssuerKey](cfg.Metrics, e, "issuer_keys", cacheEntries, nil),
		grants: newCache(cfg.Metrics, e, "grants", grantBytes, func(g store.Grant) uint32 {
			return uint32(1024 + len(g.AccessToken) + len(g.RefreshToken) + len(g.ProofKey) + len(g.UserName))
		}),
	}
	e.vanished = v.forgetKeys
	if v.record = cfg.Record; v.record == nil {
		v.record = func(string, string, string) error { return nil }
	}
	v.callers.shared = true // found by access key
	sealed, err := cfg.Store.Meta(ctx, keyCheck)
	if errors.Is(err, fault.NotFound) {
		if sealed, err = cfg.KEK.aead.EncryptWithContext(ctx, keyCheckText, []byte(keyCheck)); err != nil {
			return nil, fmt.Errorf("the key-encryption key does not seal: %w", err)
		}
		if err = cfg.Store.InsertMeta(keyCheck, sealed); errors.Is(err, fault.Conflict) { // another replica was first
			sealed, err = cfg.Store.Meta(ctx, keyCheck)
		}
	}
	if err == nil {
		err = cfg.KEK.check(ctx, sealed)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// key joins an account, which has a fixed length, and a name.
func key(account, name string) string { return account + name }

func accountOf(key string) string { return key[:12] }

// vaultID is the id of the one token vault of an account.
const vaultID = iam.DefaultVault

// Tags are those of a resource of an account, by the path of its ARN. They are read anew each time: only policies that ask for them pay for that.
func (v *Vault) Tags(ctx context.Context, account, path string) (map[string]string, error) {
	return v.store.Tags(ctx, account, path)
}
