package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"credence/internal/fault"
	"credence/internal/store"
)

// The purposes of an account's keysets. What rests in rows, what travels (workload access tokens, cursors, cookies, states), and what
// only names things (callback ids) have keys of their own: they rotate for different reasons, the last never.
const (
	purposeRows    = "rows"
	purposeHandles = "handles"
	purposeNames   = "names"
)

// keys are the opened keysets of one account.
type keys struct {
	rows    tink.AEAD
	handles tink.AEAD
	names   *prf.Set
}

func newKeysets(kek *KEK, account string) ([]store.Keyset, error) {
	var out []store.Keyset
	for purpose, template := range map[string]*tinkpb.KeyTemplate{
		purposeRows:    aead.XAES256GCM192BitNonceKeyTemplate(),
		purposeHandles: aead.XAES256GCM192BitNonceKeyTemplate(),
		purposeNames:   prf.HMACSHA256PRFKeyTemplate(),
	} {
		handle, err := keyset.NewHandle(template)
		if err != nil {
			return nil, err
		}
		var sealed bytes.Buffer
		if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&sealed), kek.aead, keysetContext(account, purpose)); err != nil {
			return nil, fault.Wrap(fault.Encryption, err, "the key-encryption key does not seal")
		}
		out = append(out, store.Keyset{Account: account, Purpose: purpose, Sealed: sealed.Bytes()})
	}
	return out, nil
}

func keysetContext(account, purpose string) []byte {
	return []byte("credence keyset v1\x00" + account + "\x00" + purpose)
}

// keys opens the keysets of an account, once.
func (v *Vault) keys(ctx context.Context, account string) (*keys, error) {
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
		handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(row.Sealed)), v.kek.aead, keysetContext(account, purpose))
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
	sealed, err := k.rows.Encrypt(plaintext, p.context())
	if err != nil {
		return nil, fault.Wrap(fault.Encryption, err, "the keys of account %s do not seal", p.account)
	}
	return sealed, nil
}

func (v *Vault) open(ctx context.Context, p place, sealed []byte) ([]byte, error) {
	k, err := v.keys(ctx, p.account)
	if err != nil {
		return nil, err
	}
	plaintext, err := k.rows.Decrypt(sealed, p.context())
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
