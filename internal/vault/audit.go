package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/tlog"
)

// AuditLog is the transparency log of an account, at first use made: origin names it then, and for ever. Its key is sealed by the key-encryption key, not by the
// account's keysets, for it signs what becomes of these, too.
func (v *Vault) AuditLog(ctx context.Context, account, origin string) (store.AuditLog, error) {
	l, err := v.store.AuditLog(ctx, account)
	if !errors.Is(err, fault.NotFound) {
		return l, err
	}
	skey, vkey, err := tlog.NewSigner(rand.Reader, origin)
	if err != nil {
		return l, err
	}
	l = store.AuditLog{Account: account, Origin: origin, VerifierKey: vkey, CreatedAt: time.Now()}
	if l.Signer, err = v.kek.aead.EncryptWithContext(ctx, []byte(skey), auditSignerContext(l)); err != nil {
		return l, fault.Wrap(fault.Encryption, err, "the key-encryption key does not seal")
	}
	signer, err := tlog.ParseSigner(skey)
	if err != nil {
		return l, err
	}
	if l.Checkpoint, err = signer.Checkpoint(tlog.Empty()); err != nil {
		return l, err
	}
	err = v.store.InsertAuditLog(l)
	if errors.Is(err, fault.Conflict) { // another replica was first
		return v.store.AuditLog(ctx, account)
	}
	return l, err
}

// auditSignerContext binds a sealed signer to its log.
func auditSignerContext(l store.AuditLog) []byte {
	return []byte(strings.Join([]string{"credence audit signer v1", l.Account, l.Origin, l.VerifierKey}, "\x00"))
}

// SignCheckpoint signs a head of a log. That is all that its key ever signs.
func (v *Vault) SignCheckpoint(ctx context.Context, l store.AuditLog, h tlog.Head) ([]byte, error) {
	if err := v.kekHolds(ctx, l.Account); err != nil {
		return nil, err
	}
	signer, err := v.auditSigner(ctx, l)
	if err != nil {
		return nil, err
	}
	return signer.Checkpoint(h)
}

func (v *Vault) auditSigner(ctx context.Context, l store.AuditLog) (tlog.Signer, error) {
	name := string(l.Signer) + string(auditSignerContext(l))
	if s, ok := v.signers.Load(name); ok {
		return s.(tlog.Signer), nil
	}
	skey, err := v.kek.aead.DecryptWithContext(ctx, l.Signer, auditSignerContext(l))
	if err != nil {
		return tlog.Signer{}, fault.Wrap(fault.Decryption, err, "the key of the audit log of account %s cannot be opened", l.Account)
	}
	s, err := tlog.ParseSigner(string(skey))
	if err != nil {
		return tlog.Signer{}, fmt.Errorf("audit log of account %s: %w", l.Account, err)
	}
	v.signers.Store(name, s)
	return s, nil
}
