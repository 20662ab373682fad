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
	"errors"
	"fmt"
)

// Options of Open.
type Options struct{ Spec Spec }

// Name is the one name of the key that a URI reaches.
func Name(uri string) (string, error) { return uri, nil }

// Open is yet to come.
func Open(_ context.Context, uri string, _ Options) (Key, error) {
	return nil, fmt.Errorf("%q is not a known backend", uri)
}

// NewLocal makes the material of a new key.
func NewLocal(spec Spec) ([]byte, error) {
	var k any
	var err error
	switch spec {
	case Symmetric:
		b := make([]byte, 33)
		_, _ = rand.Read(b)
		b[0] = 0
		return b, nil
	case RSA2048:
		k, err = rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		k, err = rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		k, err = rsa.GenerateKey(rand.Reader, 4096)
	case P256:
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("spec %q", spec)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(k)
}

type local struct {
	aead   cipher.AEAD
	signer crypto.Signer
	spec   Spec
}

// OpenLocal opens what NewLocal made.
func OpenLocal(material []byte) (Key, error) {
	if len(material) == 33 && material[0] == 0 {
		b, err := aes.NewCipher(material[1:])
		if err != nil {
			return nil, err
		}
		a, err := cipher.NewGCMWithRandomNonce(b)
		return &local{aead: a, spec: Symmetric}, err
	}
	k, err := x509.ParsePKCS8PrivateKey(material)
	if err != nil {
		return nil, err
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return &local{signer: k, spec: Spec(fmt.Sprintf("RSA_%d", k.N.BitLen()))}, nil
	case *ecdsa.PrivateKey:
		return &local{signer: k, spec: P256}, nil
	}
	return nil, errors.New("not a key")
}

func (l *local) Wrap(_ context.Context, plaintext, bound []byte) ([]byte, error) {
	if l.aead == nil {
		return nil, ErrRefused
	}
	return l.aead.Seal(nil, nil, plaintext, bound), nil
}

func (l *local) Unwrap(_ context.Context, sealed, bound []byte) ([]byte, error) {
	if l.aead == nil {
		return nil, ErrRefused
	}
	return l.aead.Open(nil, nil, sealed, bound)
}

func (l *local) Sign(_ context.Context, alg string, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	switch k := l.signer.(type) {
	case *rsa.PrivateKey:
		if alg == "RS256" {
			return rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		}
		if alg == "PS256" {
			return rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case *ecdsa.PrivateKey:
		if alg == "ES256" {
			r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
			if err != nil {
				return nil, err
			}
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
		}
	}
	return nil, ErrRefused
}

func (l *local) Public(context.Context) (crypto.PublicKey, error) {
	if l.signer == nil {
		return nil, ErrRefused
	}
	return l.signer.Public(), nil
}

func (l *local) State(context.Context) (State, error) { return Enabled, nil }
func (l *local) Spec() Spec                           { return l.spec }
