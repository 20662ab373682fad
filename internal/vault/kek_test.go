package vault

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fault"
	"credence/internal/kms"
	"credence/internal/store"
	"credence/internal/telemetry"
)

// A key-encryption key at a service is opened by its URI, and known by the name that is the same for all spellings.
func TestOpenKEKElsewhere(t *testing.T) {
	t.Setenv("BAO_TOKEN", "token")
	for uri, name := range map[string]string{
		"awskms:///arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef": "awskms:///arn:aws:kms:eu-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
		"openbao://bao.example/transit/keys/k":                                                  "openbao://bao.example:8200/transit/keys/k",
	} {
		if kek, err := OpenKEK(uri); err != nil || kek.resource != name {
			t.Errorf("%s: %+v, %v", uri, kek, err)
		}
	}
	for _, uri := range []string{"awskms:///alias/canary", "openbao://canary@bao.example/transit/keys/k", "gcpkms://canary", "azurekeyvault://canary.example/keys/k"} {
		if kek, err := OpenKEK(uri); err == nil || kek != nil || !strings.Contains(err.Error(), "is not of a known kind: use file:PATH") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// A key-encryption key at a service closes everything within a minute when that refuses it, after five minutes when that is away, and heals.
func TestKEKElsewhereBitesAndHeals(t *testing.T) {
	material, err := kms.NewLocal(kms.Symmetric)
	must(t, err)
	local, err := kms.OpenLocal(material)
	must(t, err)
	s, err := store.Open(context.Background(), store.Config{Path: filepath.Join(t.TempDir(), "credence.db")})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	synctest.Test(t, func(t *testing.T) {
		there := &service{Key: local}
		b := &bed{kek: &KEK{elsewhere{there}, "openbao://bao.example/transit/keys/kek"}, keys: map[string]AccessKey{}}
		v, err := New(t.Context(), Config{Store: s, KEK: b.kek, Metrics: telemetry.New()})
		must(t, err)
		b.Vault = v
		must(t, v.CreateAccount(alpha))
		must(t, v.CreateAccount(beta))
		b.fill(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go v.Watch(ctx)
		open := func(when string) {
			t.Helper()
			b.wantOpen(t, v, alpha, when)
			if _, _, err := v.Caller(ctx, credential(b.keys[keyOf(alpha, 1)].ID)); err != nil {
				t.Errorf("%s, a caller: %v", when, err)
			}
		}
		closed := func(when string) {
			t.Helper()
			for what, err := range use(v, alpha) {
				if !errors.Is(err, fault.Decryption) {
					t.Errorf("%s, %s: %v", when, what, err)
				}
			}
			if _, _, err := v.Caller(ctx, credential(b.keys[keyOf(alpha, 1)].ID)); !errors.Is(err, fault.Decryption) {
				t.Errorf("%s, a caller: %v", when, err)
			}
		}
		open("at first")
		time.Sleep(time.Hour)
		open("an hour later")
		there.says(kms.ErrRefused)
		time.Sleep(time.Minute)
		closed("refused")
		there.says(nil)
		time.Sleep(flawTime)
		open("enabled")
		there.says(errOutage)
		time.Sleep(4 * time.Minute)
		open("four minutes into an outage")
		time.Sleep(time.Minute + flawTime)
		closed("after five minutes")
		if _, err := New(t.Context(), Config{Store: s, KEK: b.kek, Metrics: telemetry.New()}); !errors.Is(err, errOutage) || errors.Is(err, errWrongKEK) {
			t.Errorf("a start in an outage: %v", err)
		}
		there.says(nil)
		time.Sleep(flawTime)
		open("when the outage is over")
	})
}
