package vault

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"credence/internal/fault"
	"credence/internal/kms"
	"credence/internal/store"
	"credence/internal/worker"
)

// The keyset of the purpose tokens seals what vendors gave: tokens, codes, and what a consent in flight remembers. It is sealed by the key-encryption key or
// by a key of the account, which somebody may disable at any time. So an opened one is proved again and again, by opening its sealed form anew: a refusal
// drops it at once, and one that could not be proved for a while counts no more.
const (
	// proofPeriod leaves time to ask before 60 s are over: by then a key that was disabled anywhere must bite everywhere.
	proofPeriod = 45 * time.Second
	// outageTime is how long an opened keyset is used while nobody can say whether its key still may be.
	outageTime = 5 * time.Minute
	// flawTime is how long a key that did not open is not asked again.
	flawTime = 5 * time.Second
	// provers bounds the keys that are asked at the same time.
	provers = 8
)

// slot is where an account's opened keyset stands.
type slot struct {
	writes atomic.Uint64 // what was opened before the last of them does not count
	opened atomic.Pointer[openedTokens]
	flaw   atomic.Pointer[flaw]
}

type openedTokens struct {
	row    store.Keyset
	aead   tink.AEAD
	proof  time.Duration // when its key was asked, since the vault's beginning
	writes uint64
}

// flaw is why a key did not open, and until when that is taken for granted.
type flaw struct {
	err    error
	until  time.Duration
	writes uint64
}

// forget follows whatever may change which key opens the keyset, or whether it does.
func (s *slot) forget() {
	s.writes.Add(1)
	s.opened.Store(nil)
	s.flaw.Store(nil)
}

func (v *Vault) slot(account string) *slot {
	if s, ok := v.slots.Load(account); ok {
		return s.(*slot)
	}
	s, _ := v.slots.LoadOrStore(account, &slot{})
	return s.(*slot)
}

func (v *Vault) clock() time.Duration { return time.Since(v.began) }

// tokens is the opened keyset of an account. When its key cannot be used, the answer is a fault of the given kind.
func (v *Vault) tokens(ctx context.Context, account string, kind fault.Kind) (*openedTokens, error) {
	s := v.slot(account)
	writes := s.writes.Load()
	if o := s.opened.Load(); o != nil && o.writes == writes {
		if o.row.KeyID == "" {
			return o, v.kekHolds(ctx, account)
		}
		if v.clock()-o.proof < outageTime {
			return o, nil
		}
	}
	if f := s.flaw.Load(); f != nil && f.writes == writes && v.clock() < f.until {
		return nil, unusable(account, kind, f.err)
	}
	opened, err, _ := v.openings.Do("tokens "+account+" "+strconv.FormatUint(writes, 10), func() (any, error) {
		o, err := v.openTokensKeyset(context.WithoutCancel(ctx), account, writes)
		if err != nil {
			if !errors.Is(err, fault.NotFound) { // of an account that is not
				s.flaw.Store(&flaw{err, v.clock() + flawTime, writes})
			}
			return nil, err
		}
		s.opened.Store(o)
		return o, nil
	})
	if err != nil {
		return nil, unusable(account, kind, err)
	}
	return opened.(*openedTokens), nil
}

// unusable says what to do about a key that does not open.
func unusable(account string, kind fault.Kind, err error) error {
	if e, ok := errors.AsType[*keyError](err); ok {
		return fault.Wrap(kind, err, "The token vault of account %s cannot be used: its key %s %s", account, e.id, e.reason)
	}
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Decryption) {
		return err
	}
	return fault.Wrap(kind, err, "the keys of account %s cannot be opened", account)
}

func (v *Vault) openTokensKeyset(ctx context.Context, account string, writes uint64) (*openedTokens, error) {
	o := &openedTokens{proof: v.clock(), writes: writes} // the time before the question counts
	var err error
	if o.row, err = v.store.Keyset(ctx, account, purposeTokens); err != nil {
		return nil, err
	}
	handle, err := v.openTokensRow(ctx, o.row)
	if err != nil {
		return nil, err
	}
	o.aead, err = aead.New(handle)
	return o, err
}

func (v *Vault) openTokensRow(ctx context.Context, row store.Keyset) (*keyset.Handle, error) {
	key, err := v.wrapper(ctx, row.Account, row.KeyID)
	if err != nil {
		return nil, err
	}
	handle, err := openKeyset(ctx, row, key)
	if err != nil && row.KeyID != "" {
		return nil, ofService(row.KeyID, err)
	}
	return handle, err
}

// wrapper is the key that seals a tokens' keyset: the key-encryption key for the id "".
func (v *Vault) wrapper(ctx context.Context, account, keyID string) (tink.AEADWithContext, error) {
	if keyID == "" {
		return v.kek.aead, v.kekHolds(ctx, account)
	}
	_, k, err := v.useKey(ctx, account, keyID, store.KeyForTokenVault)
	return elsewhere{k}, err
}

// elsewhere is a key at a key management service.
type elsewhere struct{ key kms.Key }

func (e elsewhere) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	return e.key.Wrap(ctx, plaintext, associatedData)
}

func (e elsewhere) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	return e.key.Unwrap(ctx, ciphertext, associatedData)
}

// usable demands that the key of the account's token vault opens: while it does not, the vault is closed also for what other keys seal.
func (v *Vault) usable(ctx context.Context, account string, kind fault.Kind) error {
	_, err := v.tokens(ctx, account, kind)
	return err
}

// sealTokens seals what a vendor gave, with the keyset that *id names; "" is set to that in use. When another one is in use by now, the answer is
// fault.ConcurrentModification.
func (v *Vault) sealTokens(ctx context.Context, p place, id *string, plaintext []byte) ([]byte, error) {
	o, err := v.tokens(ctx, p.account, fault.Encryption)
	if err != nil {
		return nil, err
	}
	if *id == "" {
		*id = o.row.ID
	}
	if *id != o.row.ID {
		return nil, fault.New(fault.ConcurrentModification, "The key material of the token vault was reset meanwhile: try again")
	}
	return p.seal(o.aead, plaintext)
}

func (v *Vault) openTokens(ctx context.Context, p place, sealed []byte) ([]byte, error) {
	o, err := v.tokens(ctx, p.account, fault.Decryption)
	if err != nil {
		return nil, err
	}
	return p.open(o.aead, sealed)
}

// written looks whether a write was lost because another process reset the keyset.
func (v *Vault) written(account string, err error) {
	if !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.ConcurrentModification) {
		return
	}
	s := v.slot(account)
	row, err := v.store.Keyset(context.Background(), account, purposeTokens)
	if o := s.opened.Load(); err == nil && o != nil && o.row.ID != row.ID {
		s.forget()
	}
}

// Watch proves, until ctx ends, that what is opened may still be used.
func (v *Vault) Watch(ctx context.Context) {
	worker.Every(ctx, proofPeriod, v.prove)
}

func (v *Vault) prove(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { _ = v.proveKEK(ctx) })
	places := make(chan struct{}, provers)
	v.slots.Range(func(account, s any) bool {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			v.proveTokens(ctx, account.(string), s.(*slot))
		})
		return true
	})
	wg.Wait()
}

func (v *Vault) proveTokens(ctx context.Context, account string, s *slot) {
	o := s.opened.Load()
	if o == nil {
		return
	}
	row, err := v.store.Keyset(ctx, account, purposeTokens)
	if err != nil {
		return
	}
	if row.KeyID == "" && row.Version == o.row.Version && row.ID == o.row.ID {
		return // proveKEK sees to it
	}
	fresh, err := v.openTokensKeyset(ctx, account, o.writes)
	switch {
	case err == nil:
		s.opened.CompareAndSwap(o, fresh)
	case errors.Is(err, kms.ErrRefused):
		s.flaw.Store(&flaw{err, v.clock() + flawTime, o.writes})
		s.opened.CompareAndSwap(o, nil)
	case row.KeyID != o.row.KeyID: // what is opened was proved by another key
		s.opened.CompareAndSwap(o, nil)
	}
}

// kekHolds demands that the key-encryption key opened what it sealed not long ago.
func (v *Vault) kekHolds(ctx context.Context, account string) error {
	if v.kek.resource == "" || v.clock()-time.Duration(v.kekProof.Load()) < outageTime {
		return nil
	}
	err := error(nil)
	if f := v.kekFlaw.Load(); f != nil && v.clock() < f.until {
		err = f.err
	} else {
		_, err, _ = v.openings.Do("kek", func() (any, error) { return nil, v.proveKEK(context.WithoutCancel(ctx)) })
	}
	if err != nil {
		return fault.Wrap(fault.Decryption, err, "the keys of account %s cannot be opened", account)
	}
	return nil
}

// never is a proof that does not count.
const never = -time.Hour

func (v *Vault) proveKEK(ctx context.Context) error {
	if v.kek.resource == "" {
		return nil
	}
	asked := v.clock()
	sealed, err := v.store.Meta(ctx, keyCheck)
	if err == nil {
		err = v.kek.check(ctx, sealed)
	}
	switch {
	case err == nil:
		v.kekProof.Store(int64(asked))
		v.kekFlaw.Store(nil)
	case errors.Is(err, kms.ErrRefused):
		v.kekProof.Store(int64(never))
		v.opened.Clear()
		v.signers.Clear()
		fallthrough
	default:
		v.kekFlaw.Store(&flaw{err: err, until: v.clock() + flawTime})
	}
	return err
}
