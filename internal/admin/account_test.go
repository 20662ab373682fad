package admin_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/audit"
	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/wire"
)

// A deleted account is frozen at once; later nothing of its keysets stands in the database's files, an older row that is put back does not open, its id does not come back, and
// another account goes on.
func TestDeleteAccount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credence.db")
	synctest.Test(t, func(t *testing.T) {
		b := openAt(t, path, egress.Config{})
		ctx, stop := context.WithCancel(t.Context())
		var worker sync.WaitGroup
		worker.Go(func() { b.ShredAccounts(ctx) })
		defer func() { stop(); worker.Wait() }()
		b.hook(t, "hook")
		old, err := b.store.Webhook(ctx, alpha, "hook")
		must(t, err)
		var sealed [][]byte
		for _, purpose := range []string{"rows", "tokens", "handles", "names"} {
			k, err := b.store.Keyset(ctx, alpha, purpose)
			must(t, err)
			sealed = append(sealed, k.Sealed)
		}
		handle, err := b.Vault.SealHandle(ctx, alpha, "cursor", []byte("x"))
		must(t, err)
		found := func() (n int) {
			for _, suffix := range []string{"", "-wal"} {
				content, err := os.ReadFile(path + suffix)
				must(t, err)
				n += len(slices.DeleteFunc(slices.Clone(sealed), func(s []byte) bool { return !bytes.Contains(content, s) }))
			}
			return n
		}
		if found() == 0 {
			t.Fatal("the keysets are not found before")
		}

		c := administrator(t, alpha)
		if keys, err := b.Vault.IssuerKeys(ctx, alpha); len(keys) == 0 || err != nil {
			t.Fatal(keys, err)
		}
		if _, err := b.DeleteAccount(ctx, c, &wire.DeleteAccountInput{AccountId: beta}); !errors.Is(err, fault.Validation) {
			t.Error(err)
		}
		if _, err := b.DeleteAccount(ctx, c, &wire.DeleteAccountInput{AccountId: alpha}); !errors.Is(err, fault.Validation) {
			t.Errorf("the operator's account was deleted without force: %v", err)
		}
		out, err := b.DeleteAccount(ctx, c, &wire.DeleteAccountInput{AccountId: alpha, Force: new(true)})
		must(t, err)
		if f, err := b.Vault.Frozen(ctx, alpha, "", "", ""); f == nil || err != nil || *out.PendingRevocations != 0 {
			t.Errorf("not frozen at once: %v, %+v", err, out)
		}
		if err := b.Vault.DeleteFreeze(alpha, store.FreezeAccount, ""); !errors.Is(err, fault.Validation) {
			t.Errorf("unfrozen: %v", err)
		}
		if _, err := b.DeleteAccount(ctx, administrator(t, beta), &wire.DeleteAccountInput{AccountId: beta}); !errors.Is(err, fault.Validation) {
			t.Errorf("the last account was deleted without force: %v", err)
		}
		time.Sleep(30 * time.Second)
		if _, err := b.DeleteAccount(ctx, c, &wire.DeleteAccountInput{AccountId: alpha}); err != nil {
			t.Errorf("asked again: %v", err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()

		if n := found(); n != 0 {
			t.Errorf("%d keysets stand in the files", n)
		}
		if _, err := b.Vault.WebhookSecrets(ctx, old); err == nil {
			t.Error("an older row opens")
		}
		if _, ok, _ := b.Vault.OpenHandle(ctx, alpha, "cursor", handle); ok {
			t.Error("a handle opens")
		}
		if keys, err := b.Vault.IssuerKeys(ctx, alpha); err == nil {
			t.Errorf("it is an issuer: %v", keys)
		}
		if rows, err := b.store.IssuerKeys(ctx, alpha); len(rows) != 0 || err != nil {
			t.Error("it has keys of an issuer", err)
		}
		if b.Vault.CreateAccount(alpha) == nil {
			t.Error("the account came back")
		}
		if accounts, err := b.store.Accounts(ctx); !slices.Equal(accounts, []string{beta}) || err != nil {
			t.Error(accounts, err)
		}
		if all := b.outcomes(t); all[len(all)-1] != audit.Performed {
			t.Errorf("recorded %v", all)
		}
		if _, err := b.Vault.SealHandle(ctx, beta, "cursor", []byte("x")); err != nil {
			t.Error(err)
		}
	})
}
