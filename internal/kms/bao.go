package kms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"credence/internal/openbao"
)

// baoKey is a key of the Transit engine of OpenBao or Vault.
type baoKey struct {
	mount, name string
	api         *openbao.Client
}

func openBao(address, mount, name string) (backend, error) {
	c, err := openbao.FromEnv(address)
	if err != nil {
		return nil, err
	}
	api, err := openbao.New(c)
	if err != nil {
		return nil, err
	}
	return &baoKey{mount, name, api}, nil
}

func (k *baoKey) do(ctx context.Context, method, path string, in, out any) error {
	err := k.api.Do(ctx, method, k.mount+"/"+path, in, out)
	if _, refused := errors.AsType[*openbao.Error](err); refused {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// baoInfo is what Transit says of a key.
type baoInfo struct {
	Type    string                     `json:"type"`
	Derived bool                       `json:"derived"`
	Soft    bool                       `json:"soft_deleted"`
	Latest  int                        `json:"latest_version"`
	Keys    map[string]json.RawMessage `json:"keys"`
}

func (k *baoKey) info(ctx context.Context) (baoInfo, error) {
	var i baoInfo
	err := k.do(ctx, http.MethodGet, "keys/"+k.name, nil, &i)
	return i, err
}

var baoSpecs = map[string]Spec{
	"aes128-gcm96": Symmetric, "aes256-gcm96": Symmetric, "chacha20-poly1305": Symmetric, "xchacha20-poly1305": Symmetric,
	"rsa-2048": RSA2048, "rsa-3072": RSA3072, "rsa-4096": RSA4096, "ecdsa-p256": P256,
}

func (i baoInfo) spec() (Spec, error) {
	spec, ok := baoSpecs[i.Type]
	if !ok || i.Derived {
		return "", refuse("it is of type %s (derived: %v); supported are aes256-gcm96, aes128-gcm96, chacha20-poly1305, xchacha20-poly1305, rsa-2048, rsa-3072, rsa-4096 and ecdsa-p256, not derived", i.Type, i.Derived)
	}
	return spec, nil
}

func (k *baoKey) spec(ctx context.Context) (Spec, error) {
	i, err := k.info(ctx)
	if err != nil {
		return "", err
	}
	return i.spec()
}

// wrap puts the digest of bound before the plaintext: Transit's own associated_data is passed over in silence by the versions that do not know it.
func (k *baoKey) wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error) {
	// Transit makes a key that it does not have when it is asked to encrypt with it.
	if spec, err := k.spec(ctx); err != nil {
		return nil, err
	} else if spec != Symmetric {
		return nil, refuse("it is of kind %s now, which does not wrap", spec)
	}
	sum := sha256.Sum256(bound)
	var out struct {
		Ciphertext string `json:"ciphertext"`
	}
	err := k.do(ctx, http.MethodPost, "encrypt/"+k.name, map[string][]byte{"plaintext": append(sum[:], plaintext...)}, &out)
	if err == nil && !strings.HasPrefix(out.Ciphertext, "vault:v") {
		err = errors.New("openbao: Transit's ciphertext is not of the documented form")
	}
	return []byte(out.Ciphertext), err
}

func (k *baoKey) unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error) {
	var out struct {
		Plaintext []byte `json:"plaintext"`
	}
	if err := k.do(ctx, http.MethodPost, "decrypt/"+k.name, map[string]string{"ciphertext": string(sealed)}, &out); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bound)
	plaintext, ok := bytes.CutPrefix(out.Plaintext, sum[:])
	if !ok {
		return nil, refuse("what it should unwrap was wrapped for something else")
	}
	return plaintext, nil
}

func (k *baoKey) sign(ctx context.Context, alg string, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	in := map[string]any{"input": sum[:], "prehashed": true, "marshaling_algorithm": "asn1"}
	switch alg {
	case "RS256":
		in["signature_algorithm"] = "pkcs1v15"
	case "PS256":
		in["signature_algorithm"], in["salt_length"] = "pss", "hash"
	}
	var out struct {
		Signature string `json:"signature"` // vault:vN:BASE64
	}
	if err := k.do(ctx, http.MethodPost, "sign/"+k.name+"/sha2-256", in, &out); err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.DecodeString(out.Signature[strings.LastIndexByte(out.Signature, ':')+1:])
	if err != nil || len(signature) == 0 {
		return nil, errors.New("openbao: Transit's signature is not of the documented form")
	}
	if alg == "ES256" {
		return joseForm(signature)
	}
	return signature, nil
}

func (k *baoKey) public(ctx context.Context) (crypto.PublicKey, error) {
	i, err := k.info(ctx)
	if err != nil {
		return nil, err
	}
	var version struct {
		PublicKey string `json:"public_key"`
	}
	if json.Unmarshal(i.Keys[fmt.Sprint(i.Latest)], &version) != nil {
		return nil, errors.New("openbao: Transit's answer holds no public key")
	}
	return parsePEM(version.PublicKey)
}

// state says Deleted when there is a Transit engine, which does not know the key, nor lists it. All else that ends in "not found" may be a wrong path.
func (k *baoKey) state(ctx context.Context) (State, error) {
	i, err := k.info(ctx)
	switch {
	case err == nil && i.Soft:
		return PendingDeletion, nil
	case err == nil:
		return Enabled, nil
	case !notFound(err):
		return "", err
	}
	m, err := k.api.Mount(ctx, k.mount)
	if err != nil {
		return "", fmt.Errorf("whether there is a Transit engine at %s: %w", k.mount, err)
	}
	if m.Type != "transit" {
		return "", fmt.Errorf("the engine at %s is of type %q, not transit", k.mount, m.Type)
	}
	var list struct {
		Keys []string `json:"keys"`
	}
	// An engine without any keys says "not found", as the documentation of LIST has it.
	if err := k.do(ctx, "LIST", "keys", nil, &list); err != nil && !notFound(err) {
		return "", fmt.Errorf("the list of keys, which tells whether it is deleted: %w", err)
	}
	if slices.Contains(list.Keys, k.name) {
		return "", errors.New("openbao: Transit lists it, but does not know it")
	}
	return Deleted, nil
}

// notFound is the server's own "there is no such thing here". With a text it means that the path as such is wrong.
func notFound(err error) bool {
	e, ok := errors.AsType[*openbao.Error](err)
	return ok && e.Status == http.StatusNotFound && len(e.Text) == 0
}
