package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
)

func TestNewMasterKeys(t *testing.T) {
	one, err := NewMasterKey()
	must(t, err)
	two, err := NewMasterKey()
	must(t, err)
	if bytes.Equal(one, two) {
		t.Error("two master keys are equal")
	}
	if !bytes.HasSuffix(one, []byte("\n")) || bytes.Count(one, []byte("\n")) != 1 {
		t.Errorf("the file is not one line of %d bytes", len(one))
	}
}

// What is wrong with a master key is said without showing it, nor what else stands in a URI.
func TestOpenKEKErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return "file:" + path
	}
	handle, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	must(t, err)
	var noAEAD bytes.Buffer
	must(t, insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&noAEAD)))

	for name, test := range map[string]struct{ uri, says string }{
		"no file":           {"file:" + filepath.Join(dir, "missing"), "missing: no such file"},
		"a folder":          {"file:" + dir, "is a directory"},
		"empty":             {file("empty", ""), "empty is not a key file"},
		"some text":         {file("text", "canary-key-material\n"), "text is not a key file"},
		"broken JSON":       {file("broken", `{"primaryKeyId":1,"key":[{"keyData":{"value":"canary-key-material"`), "broken is not a key file"},
		"no keys":           {file("none", `{"primaryKeyId":1,"key":[]}`), "none is not a key file"},
		"a key that names":  {file("names", noAEAD.String()), "names holds no AEAD key"},
		"no scheme":         {filepath.Join(dir, "text"), "is not of a known kind: use file:PATH"},
		"no path":           {"file:", "is not of a known kind"},
		"another scheme":    {"vault://user:canary-key-material@vault.example/key", `"vault:…" is not of a known kind`},
		"empty URI":         {"", "is not of a known kind"},
		"upper case scheme": {"FILE:" + filepath.Join(dir, "text"), `"FILE:…" is not of a known kind`},
	} {
		t.Run(name, func(t *testing.T) {
			kek, err := OpenKEK(test.uri)
			if err == nil || kek != nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v, want an error that says %s", err, test.says)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// Another KEK is refused before anything is written, and the right one opens the vault afterwards.
func TestAnotherKEKIsRefused(t *testing.T) {
	b := openBed(t)
	b.fill(t)
	before := b.dump(t)
	v, err := New(t.Context(), Config{Store: b.store, KEK: newKEK(t), Metrics: telemetry.New()})
	if !errors.Is(err, errWrongKEK) || v != nil {
		t.Errorf("got %v, want %v", err, errWrongKEK)
	}
	if after := b.dump(t); after != before {
		t.Errorf("rows changed\nfrom %s\nto   %s", before, after)
	}
	if got, err := readAPIKey(b.restart(t), alpha, providerName(1)); err != nil || got != planted("API key", alpha, 1) {
		t.Errorf("%q, %v", got, err)
	}
	t.Run("also when the check value is bent", func(t *testing.T) {
		b.exec(t, `UPDATE meta SET value = substr(value, 1, length(value) - 1) || x'00' WHERE name = ?`, keyCheck)
		if _, err := New(t.Context(), Config{Store: b.store, KEK: b.kek, Metrics: telemetry.New()}); !errors.Is(err, errWrongKEK) {
			t.Errorf("got %v, want %v", err, errWrongKEK)
		}
	})
}

func TestCreateAccount(t *testing.T) {
	b := openBed(t)
	for _, id := range []string{"", "1", "11111111111", "1111111111111", "000000000000", "11111111111a", "１１１１１１１１１１１１", "111111111111\n"} {
		if err := b.CreateAccount(id); err == nil || !strings.Contains(err.Error(), "12 digits") {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := b.CreateAccount(alpha); !errors.Is(err, fault.Conflict) {
		t.Errorf("an account twice: %v", err)
	}
	if _, err := b.CallbackID(t.Context(), "333333333333", "github"); !errors.Is(err, fault.NotFound) {
		t.Errorf("an account that is not: %v", err)
	}
}

// use has the account's keys do everything that they are for.
func use(v *Vault, account string) map[string]error {
	ctx := context.Background()
	g := store.Grant{Account: account, Key: "k"}
	_, rows := v.seal(ctx, place{"table", "column", account, "row"}, nil)
	_, seal := v.SealHandle(ctx, account, "kind", nil)
	_, _, open := v.OpenHandle(ctx, account, "kind", "AAAA")
	_, name := v.CallbackID(ctx, account, "github")
	tokens := v.SealTokens(ctx, &g, secret.New("x"), secret.String{})
	return map[string]error{"rows": rows, "tokens": tokens, "secrets": v.usable(ctx, account, fault.Decryption), "seal handle": seal, "open handle": open, "name": name}
}

// A keyset opens for its own account and purpose only. While one of an account's does not open, the account is closed, and no other one is; without that of
// tokens, only the vault is.
func TestKeysetsAreBoundToTheirPlace(t *testing.T) {
	b := openBed(t)
	purposes := []string{purposeRows, purposeTokens, purposeHandles, purposeNames}
	blobs := map[string]bool{}
	for _, account := range []string{alpha, beta} {
		for _, purpose := range purposes {
			k, err := b.store.Keyset(t.Context(), account, purpose)
			must(t, err)
			if blobs[string(k.Sealed)] {
				t.Errorf("the keyset %s of %s is that of another place", purpose, account)
			}
			blobs[string(k.Sealed)] = true
		}
	}
	type from struct{ account, purpose string }
	for _, purpose := range purposes {
		others := []from{{beta, purpose}}
		for _, p := range purposes {
			if p != purpose {
				others = append(others, from{alpha, p})
			}
		}
		for _, other := range others {
			t.Run(purpose+" from "+other.purpose+" of "+other.account, func(t *testing.T) {
				was, err := b.store.Keyset(t.Context(), alpha, purpose)
				must(t, err)
				b.exec(t, `UPDATE keysets SET sealed = o.sealed, id = o.id FROM (SELECT sealed, id FROM keysets WHERE account = ? AND purpose = ?) o WHERE account = ? AND purpose = ?`,
					other.account, other.purpose, alpha, purpose)
				v := b.restart(t)
				for what, err := range use(v, alpha) {
					if ofTokens := what == "tokens" || what == "secrets"; ofTokens != (purpose == purposeTokens) {
						if err != nil && what != "open handle" {
							t.Errorf("%s: %v", what, err)
						}
						continue
					}
					if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Kind != fault.Decryption && what != "tokens" || f.Msg != "the keys of account 111111111111 cannot be opened" {
						t.Errorf("%s: %v, want a decryption fault", what, err)
					}
				}
				for what, err := range use(v, beta) {
					if err != nil && what != "open handle" {
						t.Errorf("the other account, %s: %v", what, err)
					}
				}
				b.exec(t, `UPDATE keysets SET sealed = ?, id = ? WHERE account = ? AND purpose = ?`, was.Sealed, was.ID, alpha, purpose)
			})
		}
	}
	for what, err := range use(b.restart(t), alpha) {
		if err != nil && what != "open handle" {
			t.Errorf("in its place again, %s: %v", what, err)
		}
	}
}

// The keysets themselves differ, not only their sealed form: with the same place, one account's keys do not open the other's values.
func TestAccountsHaveKeysOfTheirOwn(t *testing.T) {
	b := openBed(t)
	one, err := b.Vault.keys(t.Context(), alpha)
	must(t, err)
	two, err := b.Vault.keys(t.Context(), beta)
	must(t, err)
	oneTokens, err := b.tokens(t.Context(), alpha, fault.Decryption)
	must(t, err)
	twoTokens, err := b.tokens(t.Context(), beta, fault.Decryption)
	must(t, err)
	context := []byte("the same context")
	for purpose, pair := range map[string][2]interface {
		Encrypt(plaintext, context []byte) ([]byte, error)
		Decrypt(sealed, context []byte) ([]byte, error)
	}{"rows": {one.rows, two.rows}, "handles": {one.handles, two.handles}, "rows and handles": {one.rows, one.handles}, "tokens": {oneTokens.aead, twoTokens.aead}, "rows and tokens": {one.rows, oneTokens.aead}} {
		sealed, err := pair[0].Encrypt([]byte("x"), context)
		must(t, err)
		if _, err := pair[1].Decrypt(sealed, context); err == nil {
			t.Errorf("%s: one key for two", purpose)
		}
	}
	first, err := one.names.ComputePrimaryPRF(context, 16)
	must(t, err)
	second, err := two.names.ComputePrimaryPRF(context, 16)
	must(t, err)
	if bytes.Equal(first, second) {
		t.Error("names: one key for two")
	}
}

// A handle opens as what it was sealed as, in its account; anything else is the same error, which is not about keys.
func TestHandles(t *testing.T) {
	b := openBed(t)
	handle, err := b.SealHandle(t.Context(), alpha, "cursor", []byte("content"))
	must(t, err)
	for name, v := range map[string]*Vault{"the same vault": b.Vault, "after a restart": b.restart(t)} {
		if got, ok, err := v.OpenHandle(t.Context(), alpha, "cursor", handle); err != nil || !ok || string(got) != "content" {
			t.Errorf("%s: %q, %v, %v", name, got, ok, err)
		}
	}
	g := store.Grant{Account: alpha, Key: "k"}
	must(t, b.SealTokens(t.Context(), &g, secret.New("content"), secret.String{}))
	for name, test := range map[string]struct {
		account, kind, handle string
	}{
		"another account":        {beta, "cursor", handle},
		"an account that is not": {"333333333333", "cursor", handle},
		"another kind":           {alpha, "cookie", handle},
		"a kind that begins":     {alpha, "curso", handle},
		"no kind":                {alpha, "", handle},
		"account in the kind":    {alpha, "\x00cursor", handle},
		"nothing":                {alpha, "cursor", ""},
		"cut":                    {alpha, "cursor", handle[:len(handle)-1]},
		"longer":                 {alpha, "cursor", handle + "AA"},
		"padded":                 {alpha, "cursor", handle + "="},
		"a line break inside":    {alpha, "cursor", handle[:9] + "\n" + handle[9:]},
		"a line break after":     {alpha, "cursor", handle + "\r\n"},
		"no base64":              {alpha, "cursor", "content!"},
		"a sealed column":        {alpha, "cursor", base64.RawURLEncoding.EncodeToString(g.AccessToken)},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok, err := b.OpenHandle(t.Context(), test.account, test.kind, test.handle); err != nil || ok || got != nil {
				t.Errorf("%q, %v, %v, want no handle", got, ok, err)
			}
		})
	}
	again, err := b.SealHandle(t.Context(), alpha, "cursor", []byte("content"))
	must(t, err)
	if again == handle {
		t.Error("two handles of one content are equal")
	}
}

// A callback id is known before its provider exists and stays what it is; each account and name has its own, which nobody can compute.
func TestCallbackIDs(t *testing.T) {
	b := openBed(t)
	seen := map[string]string{}
	for _, account := range []string{alpha, beta} {
		for _, name := range []string{"github", "github2", "Github", "githu", providerName(1), providerName(2)} {
			id, err := b.CallbackID(t.Context(), account, name)
			must(t, err)
			parsed, err := uuid.Parse(id)
			if err != nil || parsed.Version() != 8 || parsed.Variant() != uuid.RFC4122 || parsed.String() != id {
				t.Errorf("%s is no UUID of version 8 in its usual form", id)
			}
			if other, taken := seen[id]; taken {
				t.Errorf("%s %s has the id of %s", account, name, other)
			}
			seen[id] = account + " " + name
		}
	}
	before, err := b.CallbackID(t.Context(), alpha, providerName(1))
	must(t, err)
	b.fill(t)
	must(t, b.DeleteOAuth2Provider(alpha, providerName(1), ""))
	for name, v := range map[string]*Vault{"created and deleted": b.Vault, "after a restart": b.restart(t)} {
		if id, err := v.CallbackID(t.Context(), alpha, providerName(1)); err != nil || id != before {
			t.Errorf("%s: %s, %v, was %s", name, id, err, before)
		}
	}
	found, err := b.OAuth2ProviderByCallback(t.Context(), b.providerOf(t, alpha, 2).Row.CallbackID)
	if err != nil || found.Row.Account != alpha || found.Row.Name != providerName(2) {
		t.Errorf("found by callback id: %+v, %v", found, err)
	}
	if _, err := b.OAuth2ProviderByCallback(t.Context(), before); !errors.Is(err, fault.NotFound) {
		t.Errorf("the id of a deleted provider: %v", err)
	}
}
