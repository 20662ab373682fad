package admin_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

func (b bed) createKey(t *testing.T, account string, in wire.CreateKeyInput) *wire.CreateKeyOutput {
	t.Helper()
	out, err := b.CreateKey(t.Context(), administrator(t, account), &in)
	must(t, err)
	return out
}

func forTokenVault() wire.CreateKeyInput { return wire.CreateKeyInput{KeyUsage: wire.KeyForTokenVault} }

func forAssertions(spec wire.KeySpec) wire.CreateKeyInput {
	return wire.CreateKeyInput{KeyUsage: wire.KeyForClientAssertion, KeySpec: &spec, ClientId: new("client")}
}

func TestKeys(t *testing.T) {
	b := open(t)
	ctx, c := t.Context(), administrator(t, alpha)
	k := b.createKey(t, alpha, forTokenVault())
	want := wire.KeyMetadata{
		KeyId: k.KeyId, KeyArn: "arn:aws:kms:eu-west-1:" + alpha + ":key/" + k.KeyId, KeyUsage: wire.KeyForTokenVault, KeySpec: "SYMMETRIC_DEFAULT", KeyState: "ENABLED", CreationDate: k.CreationDate,
	}
	if d := cmp.Diff(want, wire.KeyMetadata(*k)); d != "" || time.Since(k.CreationDate.Time) > time.Minute {
		t.Error(d, k.CreationDate)
	}
	b.createKey(t, beta, forTokenVault())
	signer := b.createKey(t, alpha, forAssertions("ECC_NIST_P256"))
	list, err := b.ListKeys(ctx, c, &wire.ListKeysInput{})
	must(t, err)
	if len(list.Keys) != 2 || list.Keys[0].KeyId != k.KeyId || list.Keys[1].KeyId != signer.KeyId || *list.Keys[1].ClientId != "client" {
		t.Errorf("%+v", list.Keys)
	}
	state := func(want wire.KeyState) {
		t.Helper()
		for _, id := range []string{k.KeyId, k.KeyArn} {
			if got, err := b.DescribeKey(ctx, c, &wire.DescribeKeyInput{KeyId: id}); err != nil || got.KeyState != want {
				t.Errorf("%s: %+v, %v, want %s", id, got, err, want)
			}
		}
	}
	state("ENABLED")
	for range 2 { // it may be repeated
		_, err = b.DisableKey(ctx, c, &wire.DisableKeyInput{KeyId: k.KeyArn})
		must(t, err)
		state("DISABLED")
	}
	_, err = b.EnableKey(ctx, c, &wire.EnableKeyInput{KeyId: k.KeyId})
	must(t, err)
	state("ENABLED")

	// What is destroyed leaves its name, for ever.
	_, err = b.DeleteKey(ctx, c, &wire.DeleteKeyInput{KeyId: k.KeyArn})
	must(t, err)
	state("DELETED")
	row, err := b.store.Key(ctx, alpha, k.KeyId)
	must(t, err)
	if row.Material != nil || row.State != store.KeyDeleted {
		t.Errorf("left: %+v", row)
	}
	for name, call := range b.keyCalls(t, c, k.KeyArn) {
		if name != "DescribeKey" {
			wantInvalid(t, name, call())
		}
	}
}

func wantInvalid(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, fault.Validation) {
		t.Errorf("%s: %v, want validation", what, err)
	}
}

// keyCalls are the operations on one key.
func (b bed) keyCalls(t *testing.T, c iam.Caller, key string) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"DescribeKey":  func() error { _, err := b.DescribeKey(ctx, c, &wire.DescribeKeyInput{KeyId: key}); return err },
		"GetPublicKey": func() error { _, err := b.GetPublicKey(ctx, c, &wire.GetPublicKeyInput{KeyId: key}); return err },
		"EnableKey":    func() error { _, err := b.EnableKey(ctx, c, &wire.EnableKeyInput{KeyId: key}); return err },
		"DisableKey":   func() error { _, err := b.DisableKey(ctx, c, &wire.DisableKeyInput{KeyId: key}); return err },
		"DeleteKey": func() error {
			_, err := b.DeleteKey(ctx, c, &wire.DeleteKeyInput{KeyId: key, Force: new(true)})
			return err
		},
	}
}

// A key is its account's alone: for others it is like one that never was.
func TestKeysBelongToOneAccount(t *testing.T) {
	b := open(t)
	k := b.createKey(t, alpha, forAssertions("ECC_NIST_P256"))
	c := administrator(t, beta)
	for _, id := range []string{k.KeyId, k.KeyArn, "arn:aws:kms:eu-west-1:" + beta + ":key/" + k.KeyId, "arn:aws:kms:us-east-1:" + alpha + ":key/" + k.KeyId} {
		for name, call := range b.keyCalls(t, c, id) {
			arn := id
			if id == k.KeyId {
				arn = "arn:aws:kms:eu-west-1:" + beta + ":key/" + id
			}
			if f, ok := errors.AsType[*fault.Fault](call()); !ok || f.Kind != fault.NotFound || f.Msg != "Resource not found: "+arn {
				t.Errorf("%s of %s: %v", name, id, f)
			}
		}
	}
	if got, err := b.DescribeKey(t.Context(), administrator(t, alpha), &wire.DescribeKeyInput{KeyId: k.KeyArn}); err != nil || got.KeyState != "ENABLED" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Both forms of a public key are those of the key that signs.
func TestGetPublicKey(t *testing.T) {
	b := open(t)
	for _, spec := range []wire.KeySpec{"RSA_2048", "ECC_NIST_P256"} {
		k := b.createKey(t, alpha, forAssertions(spec))
		out, err := b.GetPublicKey(t.Context(), administrator(t, alpha), &wire.GetPublicKeyInput{KeyId: k.KeyArn})
		must(t, err)
		block, rest := pem.Decode([]byte(out.Pem))
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
			t.Fatalf("no PEM: %s", out.Pem)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		must(t, err)
		text, err := json.Marshal(out.Jwk)
		must(t, err)
		var jwk jose.JSONWebKey
		must(t, json.Unmarshal(text, &jwk))
		same := false
		switch p := public.(type) {
		case *rsa.PublicKey:
			same = spec == "RSA_2048" && p.Equal(jwk.Key)
		case *ecdsa.PublicKey:
			same = spec == "ECC_NIST_P256" && p.Equal(jwk.Key)
		}
		if !same || jwk.KeyID != k.KeyId || jwk.Use != "sig" || !jwk.IsPublic() {
			t.Errorf("%s: PEM and JWK differ: %s", spec, text)
		}
	}
	k := b.createKey(t, alpha, forTokenVault())
	_, err := b.GetPublicKey(t.Context(), administrator(t, alpha), &wire.GetPublicKeyInput{KeyId: k.KeyArn})
	wantInvalid(t, "of a symmetric key", err)
}

func TestCreateKeyRefuses(t *testing.T) {
	b := open(t)
	for _, test := range []struct {
		field string
		edit  func(*wire.CreateKeyInput)
	}{
		{"keySpec", func(in *wire.CreateKeyInput) { in.KeySpec = new(wire.KeySpec("RSA_2048")) }},
		{"clientId", func(in *wire.CreateKeyInput) { in.ClientId = new("client") }},
		{"keySpec", func(in *wire.CreateKeyInput) { *in = forAssertions("SYMMETRIC_DEFAULT") }},
		{"keySpec", func(in *wire.CreateKeyInput) { *in = forAssertions("RSA_2048"); in.KeySpec = nil }},
		{"clientId", func(in *wire.CreateKeyInput) { *in = forAssertions("RSA_2048"); in.ClientId = nil }},
		{"uri", func(in *wire.CreateKeyInput) { in.Uri = new("openbao://bao.example/transit/keys/k") }},
	} {
		in := forTokenVault()
		test.edit(&in)
		_, err := b.CreateKey(t.Context(), administrator(t, alpha), &in)
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != test.field {
			t.Errorf("%+v: %v, want %s", in, err, test.field)
		}
	}
	list, err := b.ListKeys(t.Context(), administrator(t, alpha), &wire.ListKeysInput{})
	must(t, err)
	if len(list.Keys) != 0 {
		t.Errorf("made all the same: %+v", list.Keys)
	}
}

// Each operation asks for its own action on the key's own ARN.
func TestKeysNeedRights(t *testing.T) {
	b := open(t)
	mine, other := b.createKey(t, alpha, forAssertions("ECC_NIST_P256")), b.createKey(t, alpha, forAssertions("ECC_NIST_P256"))
	for name := range b.keyCalls(t, iam.Caller{}, "") {
		policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"credence:%s","Resource":"%s"}]}`, name, mine.KeyArn)
		c := caller(t, alpha, policy)
		for other, call := range b.keyCalls(t, c, mine.KeyId) {
			if name == "DeleteKey" && other == name {
				continue
			}
			_, err := b.EnableKey(t.Context(), administrator(t, alpha), &wire.EnableKeyInput{KeyId: mine.KeyId}) // DisableKey may have come before
			must(t, err)
			err = call()
			if allowed := !errors.Is(err, fault.AccessDenied); allowed != (other == name) || allowed && err != nil {
				t.Errorf("who may %s calls %s: %v", name, other, err)
			}
		}
		if err := b.keyCalls(t, c, other.KeyId)[name](); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("%s of another key: %v", name, err)
		}
		must(t, b.keyCalls(t, administrator(t, alpha), mine.KeyId)["EnableKey"]()) // what was disabled
		_, createErr := b.CreateKey(t.Context(), c, new(forTokenVault()))
		_, listErr := b.ListKeys(t.Context(), c, &wire.ListKeysInput{})
		if !errors.Is(createErr, fault.AccessDenied) || !errors.Is(listErr, fault.AccessDenied) {
			t.Errorf("%v, %v", createErr, listErr)
		}
	}
	wild := caller(t, alpha, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["bedrock-agentcore:*","kms:*"],"Resource":"*"}]}`)
	for name, call := range b.keyCalls(t, wild, mine.KeyId) {
		if err := call(); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("%s by wildcards of AWS: %v", name, err)
		}
	}
}
