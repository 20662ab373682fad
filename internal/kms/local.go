package kms

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
)

// material is a local key as it is kept, sealed, by whoever made it.
type material struct {
	Spec Spec   `json:"spec"`
	Key  []byte `json:"key"` // 32 bytes for AES-256-GCM, or PKCS #8
}

// NewLocal makes a key that we hold ourselves. The material is the key: seal it.
func NewLocal(spec Spec) ([]byte, error) {
	m := material{Spec: spec}
	var private any
	var err error
	switch spec {
	case Symmetric:
		m.Key = make([]byte, 32)
		_, _ = rand.Read(m.Key) // never fails
		return json.Marshal(m)
	case RSA2048:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		private, err = rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		private, err = rsa.GenerateKey(rand.Reader, 4096)
	case P256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("%q is not a kind of key", spec)
	}
	if err != nil {
		return nil, err
	}
	if m.Key, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

// OpenLocal makes a Key of what NewLocal made. Its State is always Enabled: who holds the material knows better.
func OpenLocal(text []byte) (Key, error) {
	bad := errors.New("the material of a local key is damaged") // the cause could quote it
	var m material
	if json.Unmarshal(text, &m) != nil {
		return nil, bad
	}
	if m.Spec == Symmetric {
		block, err := aes.NewCipher(m.Key)
		if err != nil || len(m.Key) != 32 {
			return nil, bad
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		return &guarded{&local{aead: aead}, "local", Symmetric}, err
	}
	private, err := x509.ParsePKCS8PrivateKey(m.Key)
	if err != nil {
		return nil, bad
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, bad
	}
	if spec, err := specOf(signer.Public()); err != nil || spec != m.Spec {
		return nil, bad
	}
	return &guarded{&local{signer: signer}, "local", m.Spec}, nil
}

type local struct {
	aead   cipher.AEAD
	signer crypto.Signer
}

func (k *local) wrap(_ context.Context, plaintext, bound []byte) ([]byte, error) {
	return k.aead.Seal(nil, nil, plaintext, bound), nil
}

func (k *local) unwrap(_ context.Context, sealed, bound []byte) ([]byte, error) {
	plaintext, err := k.aead.Open(nil, nil, sealed, bound)
	if err != nil {
		return nil, refuse("what it should unwrap was not wrapped by it, or for something else")
	}
	return plaintext, nil
}

func (k *local) sign(_ context.Context, alg string, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	var o crypto.SignerOpts = crypto.SHA256
	if alg == "PS256" {
		o = &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	}
	signature, err := k.signer.Sign(rand.Reader, sum[:], o)
	if err == nil && alg == "ES256" {
		return joseForm(signature)
	}
	return signature, err
}

func (k *local) public(context.Context) (crypto.PublicKey, error) { return k.signer.Public(), nil }
func (k *local) state(context.Context) (State, error)             { return Enabled, nil }
func (k *local) spec(context.Context) (Spec, error)               { return specOf(k.signer.Public()) }
