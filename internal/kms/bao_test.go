package kms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"credence/internal/openbao"
	"credence/internal/secret"
)

// The server is what startBao starts: without a build tag one that answers as the documentation says, with the tag `full` a real HashiCorp Vault, for the
// same tests.

// bao is that server as its administrator sees it.
type bao struct {
	t       *testing.T
	address string
	root    *openbao.Client
	made    atomic.Int64
}

func newBao(t *testing.T) *bao {
	address, token := startBao(t)
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "BAO_") || strings.HasPrefix(name, "VAULT_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("BAO_TOKEN", token)
	root, err := openbao.New(openbao.Config{Address: address, Login: openbao.Login{Token: secret.New(token)}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bao{t: t, address: address, root: root}
	b.do(http.MethodPost, "sys/mounts/transit", map[string]string{"type": "transit"})
	return b
}

func (b *bao) do(method, path string, in any) {
	b.t.Helper()
	if err := b.root.Do(context.Background(), method, path, in, nil); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bao) uri(path string) string {
	return "openbao://" + strings.TrimPrefix(b.address, "http://") + "/" + path + "?tls=off"
}

func (b *bao) create(t *testing.T, typ string) (Key, string) {
	t.Helper()
	name := fmt.Sprint("k", b.made.Add(1))
	b.do(http.MethodPost, "transit/keys/"+name, map[string]string{"type": typ})
	k, err := Open(t.Context(), b.uri("transit/keys/"+name), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return k, name
}

func (b *bao) remove(name string) {
	b.do(http.MethodPost, "transit/keys/"+name+"/config", map[string]bool{"deletion_allowed": true})
	b.do(http.MethodDelete, "transit/keys/"+name, nil)
}

// token makes one with a policy of its own, and is what the next Open uses.
func (b *bao) token(t *testing.T, policy string) {
	t.Helper()
	b.do(http.MethodPost, "sys/policies/acl/p", map[string]string{"policy": policy})
	var out struct {
		ID string `json:"id"`
	}
	b.do(http.MethodPost, "auth/token/create", map[string]any{"id": "token-of-the-test", "policies": []string{"p"}})
	out.ID = "token-of-the-test"
	t.Setenv("BAO_TOKEN", out.ID)
}

func TestBao(t *testing.T) {
	b := newBao(t)
	for _, typ := range []string{"aes256-gcm96", "chacha20-poly1305"} {
		contract(t, func(t *testing.T, spec Spec) Key {
			k, _ := b.create(t, map[Spec]string{Symmetric: typ, RSA2048: "rsa-2048", P256: "ecdsa-p256"}[spec])
			return k
		}, "RS256", "PS256")
	}
	for _, typ := range []string{"ed25519", "ecdsa-p384"} {
		b.do(http.MethodPost, "transit/keys/"+typ, map[string]string{"type": typ})
		if _, err := Open(t.Context(), b.uri("transit/keys/"+typ), Options{}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), typ) {
			t.Errorf("%s opens: %v", typ, err)
		}
	}
}

// A key that rotates still opens what it sealed before, and signs with its newest version, which Public shows.
func TestBaoRotation(t *testing.T) {
	b := newBao(t)
	k, name := b.create(t, "aes256-gcm96")
	sealed, err := k.Wrap(t.Context(), []byte("p"), []byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	b.do(http.MethodPost, "transit/keys/"+name+"/rotate", nil)
	if opened, err := k.Unwrap(t.Context(), sealed, []byte("b")); err != nil || string(opened) != "p" {
		t.Errorf("after rotation: %q, %v", opened, err)
	}
	k, name = b.create(t, "ecdsa-p256")
	b.do(http.MethodPost, "transit/keys/"+name+"/rotate", nil)
	signs(t, k, P256, "ES256")
}

// What is wrapped by a key that is gone does not come back by itself, though Transit would make a new one of that name.
func TestBaoDeleted(t *testing.T) {
	b := newBao(t)
	k, name := b.create(t, "aes256-gcm96")
	_, other := b.create(t, "aes256-gcm96")
	sealed, err := k.Wrap(t.Context(), []byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.remove(name)
	if s, err := k.State(t.Context()); s != Deleted || err != nil {
		t.Errorf("deleted: %s, %v", s, err)
	}
	if _, err := k.Unwrap(t.Context(), sealed, nil); !errors.Is(err, ErrRefused) {
		t.Errorf("deleted: unwrap: %v", err)
	}
	if _, err := k.Wrap(t.Context(), []byte("p"), nil); !errors.Is(err, ErrRefused) {
		t.Errorf("deleted: wrap: %v", err)
	}
	b.remove(other)
	if s, err := k.State(t.Context()); s != Deleted || err != nil {
		t.Errorf("deleted, and no other key is left: %s, %v", s, err)
	}
}

// All these end in "not found" or "denied", and none of them is "deleted".
func TestBaoNotDeleted(t *testing.T) {
	b := newBao(t)
	b.do(http.MethodPost, "sys/mounts/kv1", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
	b.do(http.MethodPost, "kv1/keys/x", map[string]string{"a": "b"})
	_, name := b.create(t, "aes256-gcm96")
	unknown := func(what, path string) {
		t.Helper()
		k, err := Open(t.Context(), b.uri(path), Options{Spec: Symmetric})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := k.State(t.Context()); err == nil {
			t.Errorf("%s: %s", what, s)
		}
		if _, err := k.Wrap(t.Context(), []byte("p"), nil); err == nil {
			t.Errorf("%s: wraps", what)
		}
	}
	unknown("no such engine", "trans/keys/"+name)
	unknown("another engine", "kv1/keys/y")
	unknown("below an engine", "transit/deeper/keys/"+name)

	const all = `path "transit/*" { capabilities = ["create", "read", "update", "list"] } `
	b.token(t, all+`path "transit/keys/hidden" { capabilities = ["deny"] }`)
	b.do(http.MethodPost, "transit/keys/hidden", nil)
	unknown("denied", "transit/keys/hidden")
	b.remove("hidden")
	unknown("denied and deleted", "transit/keys/hidden")
	b.do(http.MethodPost, "sys/policies/acl/p", map[string]string{"policy": all + `path "transit/keys" { capabilities = ["deny"] } path "transit/keys/" { capabilities = ["deny"] }`})
	unknown("deleted, but the list is denied", "transit/keys/hidden")
	b.do(http.MethodPost, "sys/policies/acl/p", map[string]string{"policy": all})
	k, err := Open(t.Context(), b.uri("transit/keys/hidden"), Options{Spec: Symmetric})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := k.State(t.Context()); s != Deleted || err != nil {
		t.Errorf("with a token that may see that it is deleted: %s, %v", s, err)
	}
	b.do(http.MethodPost, "auth/token/revoke", map[string]string{"token": "token-of-the-test"})
	unknown("token revoked", "transit/keys/hidden")
	if _, err := k.Unwrap(t.Context(), []byte("vault:v1:x"), nil); !errors.Is(err, ErrRefused) {
		t.Errorf("token revoked: %v", err)
	}

	t.Setenv("BAO_TOKEN", "")
	if _, err := Open(t.Context(), b.uri("transit/keys/"+name), Options{}); err == nil || !strings.Contains(err.Error(), "BAO_TOKEN") {
		t.Errorf("no login: %v", err)
	}
	b.do(http.MethodPut, "sys/seal", nil)
	t.Setenv("BAO_TOKEN", "any")
	unknown("sealed", "transit/keys/hidden")
	k, err = Open(t.Context(), b.uri("transit/keys/hidden"), Options{Spec: Symmetric})
	if err != nil {
		t.Fatal(err)
	}
	outage(t, "sealed", k)
	k, err = Open(t.Context(), "openbao://"+nobody(t)+"/transit/keys/k?tls=off", Options{Spec: Symmetric})
	if err != nil {
		t.Fatal(err)
	}
	outage(t, "nobody listens", k)
}

// "Not found" with a reason is about the path, not about the key.
func TestBaoNotFound(t *testing.T) {
	for want, err := range map[bool]error{
		true:  fmt.Errorf("state: %w", &openbao.Error{Status: 404}),
		false: fmt.Errorf("state: %w", &openbao.Error{Status: 404, Text: []string{"no handler for route"}}),
	} {
		if notFound(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
