package vault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"credence/internal/fault"
	"credence/internal/store"
)

// The purposes of an account's keysets. What an administrator gave and what vendors gave, both at rest in rows; what travels (workload access tokens,
// cursors, cookies, states); and what only names things (callback ids) have keys of their own: they rotate and end for different reasons, the last never.
const (
	purposeRows    = "rows"
	purposeTokens  = store.PurposeTokens // tokens.go
	purposeHandles = "handles"
	purposeNames   = "names"
)

// keys are the opened keysets of one account that the key-encryption key seals always.
type keys struct {
	rows    tink.AEAD
	handles tink.AEAD
	names   *prf.Set
}

func newKeysets(ctx context.Context, kek *KEK, account string) ([]store.Keyset, error) {
	var out []store.Keyset
	for _, purpose := range []string{purposeRows, purposeTokens, purposeHandles, purposeNames} {
		k, err := newKeyset(ctx, kek, account, purpose)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// newKeyset makes a keyset, sealed by the key-encryption key.
func newKeyset(ctx context.Context, kek *KEK, account, purpose string) (store.Keyset, error) {
	template := aead.XAES256GCM192BitNonceKeyTemplate()
	if purpose == purposeNames {
		template = prf.HMACSHA256PRFKeyTemplate()
	}
	handle, err := keyset.NewHandle(template)
	if err != nil {
		return store.Keyset{}, err
	}
	k := store.Keyset{Account: account, Purpose: purpose, ID: rand.Text()}
	err = sealKeyset(ctx, &k, handle, kek.aead)
	return k, err
}

func sealKeyset(ctx context.Context, k *store.Keyset, handle *keyset.Handle, key tink.AEADWithContext) error {
	var sealed bytes.Buffer
	heard := &hearing{AEADWithContext: key}
	if err := handle.WriteWithContext(ctx, keyset.NewBinaryWriter(&sealed), heard, keysetContext(*k)); err != nil {
		return fault.Wrap(fault.Encryption, cmp.Or(heard.err, err), "the key of the keyset %s of account %s does not seal", k.Purpose, k.Account)
	}
	k.Sealed = sealed.Bytes()
	return nil
}

func openKeyset(ctx context.Context, k store.Keyset, key tink.AEADWithContext) (*keyset.Handle, error) {
	heard := &hearing{AEADWithContext: key}
	handle, err := keyset.ReadWithContext(ctx, keyset.NewBinaryReader(bytes.NewReader(k.Sealed)), heard, keysetContext(k))
	return handle, cmp.Or(heard.err, err)
}

// hearing keeps what a key said, of which Tink passes on only the text.
type hearing struct {
	tink.AEADWithContext
	err error
}

func (h *hearing) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) (sealed []byte, err error) {
	sealed, h.err = h.AEADWithContext.EncryptWithContext(ctx, plaintext, associatedData)
	return sealed, h.err
}

func (h *hearing) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) (plaintext []byte, err error) {
	plaintext, h.err = h.AEADWithContext.DecryptWithContext(ctx, ciphertext, associatedData)
	return plaintext, h.err
}

// keysetContext binds a sealed keyset to its place and to the key that seals it.
func keysetContext(k store.Keyset) []byte {
	return []byte(strings.Join([]string{"credence keyset v1", k.Account, k.Purpose, k.ID, k.KeyID}, "\x00"))
}

// keys opens the keysets of an account, once.
func (v *Vault) keys(ctx context.Context, account string) (*keys, error) {
	if err := v.kekHolds(ctx, account); err != nil {
		return nil, err
	}
	if k, ok := v.opened.Load(account); ok {
		return k.(*keys), nil
	}
	k := &keys{}
	for purpose, use := range map[string]func(*keyset.Handle) error{
		purposeRows:    func(h *keyset.Handle) (err error) { k.rows, err = aead.New(h); return err },
		purposeHandles: func(h *keyset.Handle) (err error) { k.handles, err = aead.New(h); return err },
		purposeNames:   func(h *keyset.Handle) (err error) { k.names, err = prf.NewPRFSet(h); return err },
	} {
		row, err := v.store.Keyset(ctx, account, purpose)
		if err != nil {
			return nil, fmt.Errorf("keyset %s of account %s: %w", purpose, account, err)
		}
		handle, err := openKeyset(ctx, row, v.kek.aead)
		if err == nil {
			err = use(handle)
		}
		if err != nil {
			return nil, fault.Wrap(fault.Decryption, err, "the keys of account %s cannot be opened", account)
		}
	}
	actual, _ := v.opened.LoadOrStore(account, k)
	return actual.(*keys), nil
}

// place is where a sealed value rests. It is authenticated with the value.
type place struct{ table, column, account, row string }

func (p place) context() []byte {
	b := make([]byte, 0, 64+len(p.row))
	b = append(b, "credence v1\x00"...)
	for _, s := range []string{p.table, p.column, p.account, p.row} {
		b = append(append(b, s...), 0) // names and ids hold no NUL
	}
	return b
}

func (v *Vault) seal(ctx context.Context, p place, plaintext []byte) ([]byte, error) {
	k, err := v.keys(ctx, p.account)
	if err != nil {
		return nil, err
	}
	return p.seal(k.rows, plaintext)
}

func (v *Vault) open(ctx context.Context, p place, sealed []byte) ([]byte, error) {
	k, err := v.keys(ctx, p.account)
	if err != nil {
		return nil, err
	}
	return p.open(k.rows, sealed)
}

func (p place) seal(key tink.AEAD, plaintext []byte) ([]byte, error) {
	sealed, err := key.Encrypt(plaintext, p.context())
	if err != nil {
		return nil, fault.Wrap(fault.Encryption, err, "the keys of account %s do not seal", p.account)
	}
	return sealed, nil
}

func (p place) open(key tink.AEAD, sealed []byte) ([]byte, error) {
	plaintext, err := key.Decrypt(sealed, p.context())
	if err != nil {
		return nil, fault.Wrap(fault.Decryption, err, "%s.%s of account %s does not open with the account's keys", p.table, p.column, p.account)
	}
	return plaintext, nil
}

// SealHandle seals what will travel outside and come back, as base64url: kind says what it is, and a handle opens as nothing else.
func (v *Vault) SealHandle(ctx context.Context, account, kind string, plaintext []byte) (string, error) {
	k, err := v.keys(ctx, account)
	if err != nil {
		return "", err
	}
	sealed, err := k.handles.Encrypt(plaintext, handleContext(account, kind))
	if err != nil {
		return "", fault.Wrap(fault.Encryption, err, "the keys of account %s do not seal", account)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenHandle opens what SealHandle sealed for the same account and kind; anything else is not ok, and nothing more is told. An error is
// about the account's keys: whoever gets one knows nothing of the handle.
func (v *Vault) OpenHandle(ctx context.Context, account, kind, handle string) (plaintext []byte, ok bool, err error) {
	if strings.ContainsAny(handle, "\r\n") { // the decoder passes over them; a handle has one spelling
		return nil, false, nil
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(handle)
	if err != nil {
		return nil, false, nil
	}
	k, err := v.keys(ctx, account)
	if errors.Is(err, fault.NotFound) { // no such account
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	plaintext, err = k.handles.Decrypt(sealed, handleContext(account, kind))
	return plaintext, err == nil, nil
}

func handleContext(account, kind string) []byte {
	return []byte("credence handle v1\x00" + account + "\x00" + kind)
}
