// Package kms reaches keys that never leave their key management service.
//
// It protects the line between what Credence may use and what it may hold: a key is asked to wrap, to unwrap or to sign, and is never exported. It tells a
// refusal (disabled, deleted, denied) from an outage, because the first must bite at once and the second must not.
package kms

import (
	"context"
	"crypto"
	"errors"
)

// Key is one key at a key management service.
type Key interface {
	// Wrap seals plaintext (at most 4 KiB) so that only Unwrap with the same bound opens it. bound is authenticated, not secret.
	Wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error)
	Unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error)
	// Sign signs a message with an asymmetric key: alg is RS256, PS256 or ES256 (RFC 7518 §3.1), the signature has the form of JWS.
	Sign(ctx context.Context, alg string, message []byte) ([]byte, error)
	// Public is the public half of an asymmetric key.
	Public(ctx context.Context) (crypto.PublicKey, error)
	// State asks the service now. An error means that the state is not known: an outage, a denial, a wrong path. Deleted is only said when the service
	// itself said so.
	State(ctx context.Context) (State, error)
	// Spec is what kind of key it is.
	Spec() Spec
}

// State is what a service says of a key.
type State string

// The states of a key.
const (
	Enabled         State = "ENABLED"
	Disabled        State = "DISABLED"
	PendingDeletion State = "PENDING_DELETION" // may still be brought back
	Deleted         State = "DELETED"
)

// Spec is the kind of a key, in AWS KMS's words.
type Spec string

// The kinds of keys.
const (
	Symmetric Spec = "SYMMETRIC_DEFAULT"
	RSA2048   Spec = "RSA_2048"
	RSA3072   Spec = "RSA_3072"
	RSA4096   Spec = "RSA_4096"
	P256      Spec = "ECC_NIST_P256"
)

// ErrRefused is in the chain of every error by which a service said no: the key is disabled, deleted, of another kind, or not ours to use. An error
// without it is an outage: the service was not reached, or failed, or asked to come again.
var ErrRefused = errors.New("refused by the key management service")
