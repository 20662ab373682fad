package kms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"
)

// contract holds for the keys of every service. create makes a new key there and opens it; rsaAlgs are what its RSA keys sign.
func contract(t *testing.T, create func(t *testing.T, spec Spec) Key, rsaAlgs ...string) {
	t.Run("wrap", func(t *testing.T) {
		k, other := create(t, Symmetric), create(t, Symmetric)
		if k.Spec() != Symmetric {
			t.Fatalf("its kind is %s", k.Spec())
		}
		some := rapid.SliceOfN(rapid.Byte(), 1, 300)
		rapid.Check(t, func(r *rapid.T) {
			plaintext, bound, elsewhere := some.Draw(r, "plaintext"), some.Draw(r, "bound"), some.Draw(r, "elsewhere")
			sealed, err := k.Wrap(t.Context(), plaintext, bound)
			if err != nil {
				r.Fatal(err)
			}
			if opened, err := k.Unwrap(t.Context(), sealed, bound); err != nil || !bytes.Equal(opened, plaintext) {
				r.Fatalf("unwrapped %x, %v; wrapped %x", opened, err, plaintext)
			}
			if len(plaintext) > 8 && bytes.Contains(sealed, plaintext) {
				r.Fatal("the plaintext is in what is sealed")
			}
			if opened, err := k.Unwrap(t.Context(), sealed, elsewhere); !bytes.Equal(bound, elsewhere) && (!errors.Is(err, ErrRefused) || opened != nil) {
				r.Fatalf("unwrapped %x for another place: %v", opened, err)
			}
			if opened, err := other.Unwrap(t.Context(), sealed, bound); !errors.Is(err, ErrRefused) || opened != nil {
				r.Fatalf("another key unwrapped %x: %v", opened, err)
			}
			at := rapid.IntRange(0, len(sealed)-1).Draw(r, "at")
			broken := slices.Clone(sealed)
			broken[at] ^= 1
			if opened, err := k.Unwrap(t.Context(), broken, bound); err == nil && !bytes.Equal(opened, plaintext) { // base64 has bits that mean nothing
				r.Fatalf("unwrapped %x of a damaged %x", opened, plaintext)
			}
		})
		if sealed, err := k.Wrap(t.Context(), make([]byte, maxPlaintext), []byte("b")); err != nil {
			t.Errorf("4 KiB: %v", err)
		} else if opened, err := k.Unwrap(t.Context(), sealed, []byte("b")); err != nil || len(opened) != maxPlaintext {
			t.Errorf("4 KiB: %d bytes, %v", len(opened), err)
		}
		for _, n := range []int{0, maxPlaintext + 1} {
			if _, err := k.Wrap(t.Context(), make([]byte, n), nil); err == nil {
				t.Errorf("%d bytes are wrapped", n)
			}
		}
		for _, alg := range []string{"RS256", "PS256", "ES256", "HS256", "none", ""} {
			if _, err := k.Sign(t.Context(), alg, []byte("m")); !errors.Is(err, ErrRefused) {
				t.Errorf("it signs %q: %v", alg, err)
			}
		}
		if _, err := k.Public(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("it has a public half: %v", err)
		}
		if s, err := k.State(t.Context()); s != Enabled || err != nil {
			t.Errorf("state %s, %v", s, err)
		}
	})
	t.Run("sign RSA", func(t *testing.T) { signs(t, create(t, RSA2048), RSA2048, rsaAlgs...) })
	t.Run("sign P-256", func(t *testing.T) { signs(t, create(t, P256), P256, "ES256") })
}

// signs: what it signs, go-jose verifies; what it does not, it refuses.
func signs(t *testing.T, k Key, spec Spec, can ...string) {
	t.Helper()
	if k.Spec() != spec {
		t.Fatalf("its kind is %s", k.Spec())
	}
	public, err := k.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signed := 0
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "HS256", "none", ""} {
		for range 3 { // the integers of ES256 have leading zeros now and then
			message := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"me"}`))
			signature, err := k.Sign(t.Context(), alg, []byte(message))
			if !slices.Contains(can, alg) {
				if !errors.Is(err, ErrRefused) {
					t.Errorf("it signs %q: %v", alg, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			jws, err := jose.ParseSignedCompact(message+"."+base64.RawURLEncoding.EncodeToString(signature), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jws.Verify(public); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
			if alg == "PS256" { // RFC 7518 §3.5 fixes the salt; go-jose takes any
				sum := sha256.Sum256([]byte(message))
				if err := rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: 32}); err != nil {
					t.Errorf("PS256 with another salt: %v", err)
				}
			}
			signed++
		}
	}
	if signed == 0 {
		t.Error("it signs nothing")
	}
	if _, err := k.Wrap(t.Context(), []byte("p"), nil); !errors.Is(err, ErrRefused) {
		t.Errorf("it wraps: %v", err)
	}
	if _, err := k.Unwrap(t.Context(), []byte("p"), nil); !errors.Is(err, ErrRefused) {
		t.Errorf("it unwraps: %v", err)
	}
}

// keyPair is the private key of one test service; the same for all, since making one is slow.
var keyPair = map[Spec]func() crypto.Signer{
	RSA2048: sync.OnceValue(func() crypto.Signer { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k }),
	P256:    sync.OnceValue(func() crypto.Signer { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k }),
}

// signWith signs as services do: ECDSA in DER.
func signWith(k crypto.Signer, alg string, digest []byte) []byte {
	var o crypto.SignerOpts = crypto.SHA256
	if alg == "PS256" {
		o = &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 32}
	}
	signature, err := k.Sign(rand.Reader, digest, o)
	if err != nil {
		panic(err)
	}
	return signature
}

func TestLocal(t *testing.T) {
	create := func(t *testing.T, spec Spec) Key {
		material, err := NewLocal(spec)
		if err != nil {
			t.Fatal(err)
		}
		k, err := OpenLocal(material)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	contract(t, create, "RS256", "PS256")
	for _, spec := range []Spec{RSA3072, RSA4096} {
		signs(t, create(t, spec), spec, "RS256", "PS256")
	}
	if _, err := NewLocal("RSA_1024"); err == nil {
		t.Error("a key of 1024 bits is made")
	}
}

// A damaged or foreign material opens nothing, and is not quoted.
func TestLocalDamaged(t *testing.T) {
	material, _ := NewLocal(P256)
	swapped := bytes.Replace(material, []byte(P256), []byte(RSA2048), 1)
	for _, m := range [][]byte{nil, []byte("{}"), material[:len(material)/2], swapped, []byte(`{"spec":"SYMMETRIC_DEFAULT","key":"c2VjcmV0"}`)} {
		if k, err := OpenLocal(m); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%.40q opens %v, %v", m, k, err)
		}
	}
}

func TestURIs(t *testing.T) {
	const version = "0123456789abcdef0123456789abcdef"
	for uri, name := range map[string]string{
		"awskms:///arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab":    "",
		"awskms:///arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234":                            "",
		"gcpkms://projects/p-1/locations/eu/keyRings/r/cryptoKeys/k":                               "",
		"gcpkms://projects/p-1/locations/eu/keyRings/r/cryptoKeys/k/cryptoKeyVersions/7":           "gcpkms://projects/p-1/locations/eu/keyRings/r/cryptoKeys/k",
		"azurekeyvault://Mine.vault.azure.net/keys/Some-Key":                                       "azurekeyvault://mine.vault.azure.net/keys/some-key",
		"azurekeyvault://mine.vault.azure.net/keys/some-key/" + version:                            "azurekeyvault://mine.vault.azure.net/keys/some-key",
		"openbao://BAO.example.com/transit/keys/k":                                                 "openbao://bao.example.com:8200/transit/keys/k",
		"openbao://127.0.0.1:8200/team/transit/keys/k?tls=off":                                     "openbao://127.0.0.1:8200/team/transit/keys/k",
		"awskms:///arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234": "",
	} {
		if name == "" {
			name = uri
		}
		if got, err := Name(uri); err != nil || got != name {
			t.Errorf("%s: %q, %v; want %q", uri, got, err, name)
		}
	}
	for _, uri := range []string{
		"", "file:/etc/passwd", "base64key://", "awskms:///alias/a", "awskms:///arn:aws:kms:eu-west-1:111122223333:alias/a", "awskms://evil.example.com/arn:aws:kms:eu-west-1:111122223333:key/1",
		"awskms:///arn:aws:kms:eu-west-1:111122223333:key/1?endpoint=https://evil.example.com", "awskms:///arn:aws:kms:eu.evil.com/:111122223333:key/1", "awskms:///arn:aws:kms:eu-west-1:1111:key/1",
		"gcpkms://projects/p/locations/eu/keyRings/r/cryptoKeys/../k", "gcpkms://projects/p/locations/eu/keyRings/r/cryptoKeys/k%2fx", "gcpkms://projects/p/locations/eu/keyRings/r/cryptoKeys/k:decrypt",
		"gcpkms://projects/p/locations/eu/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1/../2", "gcpkms://projects/p/locations/eu/keyRings/r/cryptoKeys/k?x=y",
		"azurekeyvault://evil.example.com/keys/k", "azurekeyvault://vault.azure.net/keys/k", "azurekeyvault://a.vault.azure.net.evil.com/keys/k", "azurekeyvault://a.vault.azure.net:8443/keys/k",
		"azurekeyvault://a.vault.azure.net/secrets/k", "azurekeyvault://a.vault.azure.net/keys/k/1", "azurekeyvault://u@a.vault.azure.net/keys/k", "azurekeyvault://a.b.vault.azure.net/keys/k",
		"openbao://host/transit/k", "openbao://host/keys/k", "openbao://host/transit/keys/k/x", "openbao://host/transit/keys/../k", "openbao://host/transit/keys/k?tls=off", "openbao://host/transit/keys/",
	} {
		if name, err := Name(uri); err == nil {
			t.Errorf("%q is taken for %s", uri, name)
		}
		if _, err := Open(t.Context(), uri, Options{Spec: Symmetric}); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%q opens: %v", uri, err)
		}
	}
}

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// outage: an answer that is none of the service's words, or no answer, is no refusal and no state.
func outage(t *testing.T, name string, k Key) {
	t.Helper()
	if s, err := k.State(t.Context()); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("%s: state %q, %v; want an outage", name, s, err)
	}
	if _, err := k.Wrap(t.Context(), []byte("p"), nil); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("%s: wrap: %v; want an outage", name, err)
	}
}

// A service that never answers is given up after ten seconds, and that is an outage.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, start := &guarded{slow{}, "slow", Symmetric}, time.Now()
		if _, err := k.State(t.Context()); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrRefused) || time.Since(start) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

// slow answers when its time is over.
type slow struct{ backend }

func (slow) state(ctx context.Context) (State, error) { <-ctx.Done(); return "", ctx.Err() }

// With a known kind, Open takes credentials from where each service's clients look for them, and asks nobody.
func TestOpenAsksNobody(t *testing.T) {
	private, err := x509.MarshalPKCS8PrivateKey(keyPair[RSA2048]())
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "token_uri": "http://" + nobody(t),
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	t.Setenv("BAO_TOKEN", "token")
	for _, uri := range []string{
		"awskms:///arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
		"gcpkms://projects/p/locations/eu/keyRings/r/cryptoKeys/k",
		"azurekeyvault://mine.vault.azure.net/keys/k",
		"openbao://" + nobody(t) + "/transit/keys/k?tls=off",
	} {
		k, err := Open(t.Context(), uri, Options{Spec: Symmetric})
		if err != nil || k.Spec() != Symmetric {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if strings.HasPrefix(uri, "gcpkms:") { // its token endpoint does not answer
			outage(t, uri, k)
		}
	}
}
