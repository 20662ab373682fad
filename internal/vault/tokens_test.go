package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fault"
	"credence/internal/kms"
	"credence/internal/secret"
	"credence/internal/store"
)

// service is a key management service that does as it is told; what it wraps is really wrapped.
type service struct {
	kms.Key
	trouble atomic.Pointer[error] // of wrap and unwrap; nil when all is well
	state   func() (kms.State, error)
	asked   atomic.Int64
}

func (s *service) says(err error) { s.trouble.Store(&err) }

func (s *service) answer() error {
	s.asked.Add(1)
	if e := s.trouble.Load(); e != nil {
		return *e
	}
	return nil
}

func (s *service) Wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error) {
	if err := s.answer(); err != nil {
		return nil, err
	}
	return s.Key.Wrap(ctx, plaintext, bound)
}

func (s *service) Unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error) {
	if err := s.answer(); err != nil {
		return nil, err
	}
	return s.Key.Unwrap(ctx, sealed, bound)
}

func (s *service) State(context.Context) (kms.State, error) {
	if s.state != nil {
		return s.state()
	}
	return kms.Enabled, nil
}

var errOutage = errors.New("the network is down")

// below allows every URI below a prefix, per account.
type below map[string]string

func (b below) Allow(account, uri string) error {
	if p, ok := b[account]; ok && strings.HasPrefix(uri, p) {
		return nil
	}
	return errors.New("is not below a prefix")
}

// changing is a configuration that an operator changes.
type changing struct{ atomic.Pointer[below] }

func (c *changing) Allow(account, uri string) error { return c.Load().Allow(account, uri) }

const elsewhereURI = "openbao://bao.example/transit/keys/k"

// sealElsewhere has alpha's vault sealed by a key at a service.
func (b *bed) sealElsewhere(t *testing.T) (*service, store.Key) {
	t.Helper()
	material, err := kms.NewLocal(kms.Symmetric)
	must(t, err)
	local, err := kms.OpenLocal(material)
	must(t, err)
	s := &service{Key: local}
	b.allowed = below{alpha: "openbao://bao.example/transit/keys/"}
	b.backends.Store(string(kms.Symmetric)+" "+elsewhereURI, s)
	k, err := b.CreateKey(t.Context(), store.Key{Account: alpha, Usage: store.KeyForTokenVault, URI: elsewhereURI})
	must(t, err)
	must(t, b.SetTokenVaultKey(t.Context(), alpha, k.ID))
	return s, k
}

func (b *bed) vaultKey(t *testing.T, account string) store.Key {
	t.Helper()
	k, err := b.CreateKey(t.Context(), store.Key{Account: account, Usage: store.KeyForTokenVault})
	must(t, err)
	return k
}

// row is a key as the database has it now.
func (b *bed) row(t *testing.T, k store.Key) store.Key {
	t.Helper()
	k, err := b.store.Key(t.Context(), k.Account, k.ID)
	must(t, err)
	return k
}

// uses are all that a closed vault refuses, in the account that fill filled.
func (b *bed) uses(t *testing.T, v *Vault, account string) map[string]error {
	t.Helper()
	ctx := t.Context()
	uses := map[string]error{}
	var err error
	_, uses["access token"] = ofGrant(v, account, grantKey(1), v.AccessToken)
	_, uses["refresh token"] = ofGrant(v, account, grantKey(1), v.RefreshToken)
	_, uses["proof key"] = ofGrant(v, account, grantKey(1), v.ProofKey)
	_, uses["code"] = ofSession(v, sessionID(account, 1), v.OpenCode)
	_, uses["client secret"] = readClientSecret(v, account, providerName(1))
	_, uses["API key"] = readAPIKey(v, account, providerName(1))
	p, err := v.PaymentProvider(ctx, account, providerName(1))
	must(t, err)
	_, uses["payment secrets"] = v.paymentSecrets(ctx, p.Row)
	g := grantOf(account, 1)
	uses["seal tokens"] = v.SealTokens(ctx, &g, secret.New("x"), secret.String{})
	uses["create OAuth2 provider"] = v.sealOAuth2Provider(ctx, new(b.providerOf(t, account, 3)), secret.String{})
	uses["create payment provider"] = v.sealPaymentProvider(ctx, new(paymentOf(account, 3)), PaymentSecrets{})
	k := apiKeyOf(account, 3)
	uses["create API key provider"] = v.keep(ctx, apiKeyPlace(k), secret.New("x"), &k.APIKey, &k.APIKeyAt)
	return uses
}

func (b *bed) wantOpen(t *testing.T, v *Vault, account, when string) {
	t.Helper()
	for what, err := range b.uses(t, v, account) {
		if err != nil {
			t.Errorf("%s, %s: %v", when, what, err)
		}
	}
}

// wantClosed wants every use refused, in words that tell what to do; who may come in, and what travels, does not depend on the vault.
func (b *bed) wantVaultClosed(t *testing.T, v *Vault, account, when, says string) {
	t.Helper()
	for what, err := range b.uses(t, v, account) {
		kind := fault.Decryption
		if strings.HasPrefix(what, "create") || strings.HasPrefix(what, "seal") {
			kind = fault.Encryption
		}
		if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Kind != kind || !strings.Contains(f.Msg, says) {
			t.Errorf("%s, %s: %v, want %s: …%s", when, what, err, kind, says)
		}
	}
	if _, _, err := v.Caller(t.Context(), credential(b.keys[keyOf(account, 1)].ID)); err != nil {
		t.Errorf("%s, a caller is locked out: %v", when, err)
	}
	if _, err := v.SealHandle(t.Context(), account, "kind", nil); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// The vault of an account opens with its key and nothing else, also after a restart; what was in it is still there, whatever key it gets.
func TestSetTokenVaultKey(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	one, two := b.vaultKey(t, alpha), b.vaultKey(t, alpha)
	for _, id := range []string{one.ID, two.ID, two.ID, "", one.ID} {
		must(t, b.SetTokenVaultKey(t.Context(), alpha, id))
		vault, err := b.store.TokenVault(t.Context(), alpha, vaultID)
		if err != nil || vault.KeyID != id {
			t.Errorf("%+v, %v, want key %q", vault, err, id)
		}
		b.wantOpen(t, b.Vault, alpha, "with "+id)
		b.wantOpen(t, b.restart(t), alpha, "restarted with "+id)
	}
	// The keyset is sealed by that key alone.
	row, err := b.store.Keyset(t.Context(), alpha, purposeTokens)
	must(t, err)
	if _, err := openKeyset(t.Context(), row, b.kek.aead); err == nil {
		t.Error("the key-encryption key opens it, too")
	}
	must(t, b.DeleteKey(b.row(t, one), true))
	b.wantVaultClosed(t, b.Vault, alpha, "its key is destroyed", "was deleted")
	b.wantVaultClosed(t, b.restart(t), alpha, "its key is destroyed, restarted", "was deleted")
	b.wantOpen(t, b.Vault, beta, "the other account")
}

// A key of another account, of another use, disabled, deleted, or none at all seals no vault, and nothing changes.
func TestSetTokenVaultKeyRefuses(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	foreign, disabled, deleted := b.vaultKey(t, beta), b.vaultKey(t, alpha), b.vaultKey(t, alpha)
	must(t, b.SetKeyEnabled(disabled, false))
	must(t, b.DeleteKey(deleted, false))
	signer, err := b.CreateKey(t.Context(), store.Key{Account: alpha, Usage: store.KeyForAssertions, Spec: "ECC_NIST_P256", ClientID: "c"})
	must(t, err)
	before := b.dump(t)
	for says, id := range map[string]string{"is not registered": foreign.ID, "is disabled": disabled.ID, "was deleted": deleted.ID, "is for CLIENT_ASSERTION": signer.ID} {
		f, ok := errors.AsType[*fault.Fault](b.SetTokenVaultKey(t.Context(), alpha, id))
		if !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != "kmsConfiguration.kmsKeyArn" || !strings.Contains(f.Msg, says) {
			t.Errorf("%s: %v", says, f)
		}
	}
	if b.dump(t) != before {
		t.Error("rows changed")
	}
	b.wantOpen(t, b.Vault, alpha, "afterwards")
}

// Of many who set the key at once each is told whether it was he, and the vault opens.
func TestSetTokenVaultKeyAtOnce(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	done := make(chan error)
	for range 8 {
		id := b.vaultKey(t, alpha).ID
		go func() { done <- b.SetTokenVaultKey(context.Background(), alpha, id) }()
	}
	won := 0
	for range 8 {
		if err := <-done; err == nil {
			won++
		} else if !errors.Is(err, fault.ConcurrentModification) {
			t.Error(err)
		}
	}
	row, err := b.store.Keyset(t.Context(), alpha, purposeTokens)
	must(t, err)
	if won == 0 || row.Version != int64(won)+1 {
		t.Errorf("%d were told that they won, the row was written %d times", won, row.Version-1)
	}
	b.wantOpen(t, b.Vault, alpha, "afterwards")
	b.wantOpen(t, b.restart(t), alpha, "restarted")
}

// What cannot be sealed, or not be opened again, is not written.
func TestSetTokenVaultKeyWritesOnlyWhatOpens(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	s, k := b.sealElsewhere(t)
	must(t, b.SetTokenVaultKey(t.Context(), alpha, ""))
	before := b.dump(t)
	for kind, trouble := range map[fault.Kind]error{fault.Validation: kms.ErrRefused, fault.Throttled: errOutage} {
		s.says(trouble)
		if err := b.SetTokenVaultKey(t.Context(), alpha, k.ID); fault.KindOf(err) != kind {
			t.Errorf("%v: %v, want %s", trouble, err, kind)
		}
	}
	if b.dump(t) != before {
		t.Error("rows changed")
	}
	b.wantOpen(t, b.restart(t), alpha, "afterwards")
}

// Disabled here, a key bites at once where that was done, within a minute on another replica, and heals the same way, without a restart.
func TestDisabledKeyBitesAndHeals(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	k := b.vaultKey(t, alpha)
	must(t, b.SetTokenVaultKey(t.Context(), alpha, k.ID))
	synctest.Test(t, func(t *testing.T) {
		v := b.restart(t) // its clock is the bubble's
		replica := b.restart(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go replica.Watch(ctx)
		b.wantOpen(t, replica, alpha, "at first")
		must(t, v.SetKeyEnabled(b.row(t, k), false))
		b.wantVaultClosed(t, v, alpha, "disabled here", "is disabled: enable it")
		b.wantOpen(t, v, beta, "the other account")
		time.Sleep(time.Minute)
		b.wantVaultClosed(t, replica, alpha, "disabled elsewhere", "is disabled: enable it")
		must(t, v.SetKeyEnabled(b.row(t, k), true))
		b.wantOpen(t, v, alpha, "enabled here")
		time.Sleep(flawTime)
		b.wantOpen(t, replica, alpha, "enabled elsewhere")
	})
}

// What its service refuses closes within a minute; what it does not answer, after five, and one answer is enough for the next five.
func TestServiceBitesAndHeals(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	s, _ := b.sealElsewhere(t)
	synctest.Test(t, func(t *testing.T) {
		v := b.restart(t)
		operator := &changing{}
		operator.Store(new(b.allowed.(below)))
		v.allowed = operator
		v.backends.Store(string(kms.Symmetric)+" "+elsewhereURI, s)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go v.Watch(ctx)
		b.wantOpen(t, v, alpha, "at first")
		time.Sleep(time.Hour)
		b.wantOpen(t, v, alpha, "an hour later")

		s.says(fmt.Errorf("disabled there: %w", kms.ErrRefused))
		time.Sleep(time.Minute)
		b.wantVaultClosed(t, v, alpha, "refused", "is refused by its key management service")
		asked := s.asked.Load()
		for range 100 {
			b.wantVaultClosed(t, v, alpha, "again", "is refused")
		}
		if n := s.asked.Load() - asked; n > 1 {
			t.Errorf("a key that is refused is asked for every request: %d times", n)
		}
		s.says(nil)
		time.Sleep(flawTime)
		b.wantOpen(t, v, alpha, "enabled there")

		s.says(errOutage)
		time.Sleep(outageTime - proofPeriod - time.Second)
		b.wantOpen(t, v, alpha, "four minutes into an outage")
		time.Sleep(time.Minute)
		b.wantVaultClosed(t, v, alpha, "after five minutes", "cannot be used now")
		s.says(nil)
		time.Sleep(flawTime)
		b.wantOpen(t, v, alpha, "when the outage is over")

		// The operator may change his mind, too.
		operator.Store(&below{})
		time.Sleep(time.Minute)
		b.wantVaultClosed(t, v, alpha, "its prefix is gone", "is not below a prefix")
	})
}

// Without Watch nothing is used for longer than an outage may last.
func TestNobodyProves(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	s, _ := b.sealElsewhere(t)
	synctest.Test(t, func(t *testing.T) {
		v := b.restart(t)
		v.allowed = b.allowed
		v.backends.Store(string(kms.Symmetric)+" "+elsewhereURI, s)
		b.wantOpen(t, v, alpha, "at first")
		s.says(kms.ErrRefused)
		time.Sleep(outageTime)
		b.wantVaultClosed(t, v, alpha, "later", "is refused")
		s.says(nil)
	})
}

// A vault is reset only when its key is deleted by the word of who keeps it. Everything else is refused, and changes nothing.
func TestResetTokenVaultRefuses(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	refused := func(what, says string) {
		t.Helper()
		before := b.dump(t)
		f, ok := errors.AsType[*fault.Fault](b.ResetTokenVault(t.Context(), alpha))
		if !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != "tokenVaultId" || !strings.Contains(f.Msg, says) {
			t.Errorf("%s: %v", what, f)
		}
		if b.dump(t) != before {
			t.Errorf("%s: rows changed", what)
		}
	}
	refused("no key of the account", "the service's own")
	here := b.vaultKey(t, alpha)
	must(t, b.SetTokenVaultKey(t.Context(), alpha, here.ID))
	refused("enabled here", "is ENABLED")
	must(t, b.SetKeyEnabled(here, false))
	refused("disabled here", "is DISABLED")
	must(t, b.SetKeyEnabled(b.row(t, here), true))

	s, k := b.sealElsewhere(t)
	for _, state := range []kms.State{kms.Enabled, kms.Disabled, kms.PendingDeletion} {
		s.state = func() (kms.State, error) { return state, nil }
		refused("elsewhere", "is "+string(state))
	}
	for _, trouble := range []string{"wrong path", "sealed", "token revoked", "denied", "timeout"} {
		for _, err := range []error{errors.New(trouble), fmt.Errorf("%s: %w", trouble, kms.ErrRefused)} {
			s.state = func() (kms.State, error) { return kms.Deleted, err } // the state of an error counts for nothing
			refused(trouble, "cannot be told")
		}
	}
	s.state = func() (kms.State, error) { return kms.Deleted, nil }
	b.allowed = below{}
	refused("no prefix", "cannot be told")
	b.allowed = below{alpha: "openbao:"}
	must(t, b.SetKeyEnabled(k, false))
	s.state = nil
	refused("disabled here, enabled there", "is ENABLED")
	must(t, b.SetKeyEnabled(b.row(t, k), true))
	b.wantOpen(t, b.restart2(t, s), alpha, "afterwards")
}

// restart2 is restart, with the service where it was.
func (b *bed) restart2(t *testing.T, s *service) *Vault {
	v := b.restart(t)
	v.allowed = b.allowed
	v.backends.Store(string(kms.Symmetric)+" "+elsewhereURI, s)
	return v
}

// After a reset the vault is empty, and takes tokens again; providers, with their secrets, are still there.
func TestResetTokenVault(t *testing.T) {
	for _, where := range []string{"here", "elsewhere"} {
		t.Run(where, func(t *testing.T) {
			b := openBed(t)
			b.fill(t)
			if where == "here" {
				k := b.vaultKey(t, alpha)
				must(t, b.SetTokenVaultKey(t.Context(), alpha, k.ID))
				must(t, b.DeleteKey(k, true))
			} else {
				s, _ := b.sealElsewhere(t)
				s.says(fmt.Errorf("deleted: %w", kms.ErrRefused))
				s.state = func() (kms.State, error) { return kms.Deleted, nil }
			}
			b.wantVaultClosed(t, b.restart(t), alpha, "before", "")
			late := grantOf(alpha, 2) // sealed before, written after
			g, err := b.store.Grant(t.Context(), alpha, grantKey(2))
			must(t, err)
			late.Keyset, late.AccessToken = g.Keyset, g.AccessToken

			must(t, b.ResetTokenVault(t.Context(), alpha))
			for name, v := range map[string]*Vault{"at once": b.Vault, "after a restart": b.restart(t)} {
				for n := 1; n <= 2; n++ {
					if _, err := v.Grant(t.Context(), alpha, grantKey(n)); !errors.Is(err, fault.NotFound) {
						t.Errorf("%s, a grant: %v", name, err)
					}
					if _, err := v.Session(t.Context(), sessionID(alpha, n)); !errors.Is(err, fault.NotFound) {
						t.Errorf("%s, a session: %v", name, err)
					}
				}
				if got, err := readClientSecret(v, alpha, providerName(1)); err != nil || got != planted("client secret", alpha, 1) {
					t.Errorf("%s, a client secret: %q, %v", name, got, err)
				}
			}
			if _, err := b.PutGrant(late); !errors.Is(err, fault.NotFound) {
				t.Errorf("what was sealed before is written after: %v", err)
			}
			if err := b.SealTokens(t.Context(), &late, secret.New("x"), secret.String{}); !errors.Is(err, fault.ConcurrentModification) {
				t.Errorf("a row of before is sealed anew: %v", err)
			}
			fresh := grantOf(alpha, 1)
			must(t, b.SealTokens(t.Context(), &fresh, secret.New("new consent"), secret.String{}))
			_, err = b.PutGrant(fresh)
			must(t, err)
			if got, err := ofGrant(b.restart(t), alpha, grantKey(1), b.AccessToken); err != nil || got != "new consent" {
				t.Errorf("%q, %v", got, err)
			}
			b.wantOpen(t, b.Vault, beta, "the other account")
			if v, err := b.store.TokenVault(t.Context(), alpha, vaultID); err != nil || v.KeyID != "" {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

// A replica that did not hear of a reset notices when its first write is refused.
func TestResetOnAnotherReplica(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	k := b.vaultKey(t, alpha)
	must(t, b.SetTokenVaultKey(t.Context(), alpha, k.ID))
	replica := b.restart(t)
	b.wantOpen(t, replica, alpha, "at first")
	must(t, b.DeleteKey(k, true))
	must(t, b.ResetTokenVault(t.Context(), alpha))
	for i, want := range []error{fault.NotFound, nil} {
		g := grantOf(alpha, 1)
		must(t, replica.SealTokens(t.Context(), &g, secret.New("x"), secret.String{}))
		if _, err := replica.PutGrant(g); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i, err, want)
		}
	}
}

// One resource has one account and one use, and an account only what its operator allows; that counts at every use.
func TestKeysElsewhere(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	s, k := b.sealElsewhere(t)
	b.allowed = below{alpha: "openbao://bao.example/", beta: "openbao://bao.example/"}
	for _, other := range []store.Key{
		{Account: beta, Usage: store.KeyForTokenVault}, {Account: alpha, Usage: store.KeyForTokenVault}, {Account: alpha, Usage: store.KeyForTokenVault, Spec: "SYMMETRIC_DEFAULT"},
	} {
		other.URI = elsewhereURI
		if _, err := b.CreateKey(t.Context(), other); !errors.Is(err, fault.Conflict) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	asked := s.asked.Load()
	b.allowed = below{alpha: "openbao://bao.example/other/"}
	if _, err := b.CreateKey(t.Context(), store.Key{Account: alpha, Usage: store.KeyForTokenVault, URI: elsewhereURI}); !errors.Is(err, fault.Validation) {
		t.Errorf("not below its prefix: %v", err)
	}
	if _, _, err := b.useKey(t.Context(), alpha, k.ID, store.KeyForTokenVault); !errors.Is(err, kms.ErrRefused) {
		t.Errorf("used outside its prefix: %v", err)
	}
	if s.asked.Load() != asked {
		t.Error("the service was asked")
	}
	b.kek.resource = "openbao://bao.example:8200/transit/keys/kek"
	b.allowed = below{alpha: "openbao:"}
	if _, err := b.CreateKey(t.Context(), store.Key{Account: alpha, Usage: store.KeyForTokenVault, URI: b.kek.resource}); !errors.Is(err, fault.Conflict) {
		t.Errorf("the key-encryption key: %v", err)
	}
	b.kek.resource = ""
	// One that seals a vault is not forgotten, not even by force.
	if err := b.DeleteKey(b.row(t, k), true); !errors.Is(err, fault.Conflict) {
		t.Errorf("deleted in use: %v", err)
	}
	must(t, b.SetTokenVaultKey(t.Context(), alpha, ""))
}
