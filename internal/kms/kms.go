// Package kms reaches keys that never leave their key management service.
//
// It protects the line between what Credence may use and what it may hold: a key is asked to wrap, to unwrap or to sign, and is never exported. It tells a
// refusal (disabled, deleted, denied) from an outage, because the first must bite at once and the second must not; and "deleted" it says only when the service
// itself did, because what a deleted key sealed may be thrown away.
package kms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"
)

// Key is one key at a key management service. Every call ends within ten seconds.
type Key interface {
	// Wrap seals plaintext (1 byte to 4 KiB) so that only Unwrap with the same bound opens it. bound is authenticated, not secret.
	Wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error)
	Unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error)
	// Sign signs a message with an asymmetric key: alg is RS256, PS256 or ES256 (RFC 7518 §3.1), the signature has the form of JWS.
	Sign(ctx context.Context, alg string, message []byte) ([]byte, error)
	// Public is the public half of an asymmetric key: an *rsa.PublicKey or *ecdsa.PublicKey.
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

// algs are the signatures that a kind of key can make.
var algs = map[Spec][]string{Symmetric: nil, RSA2048: {"RS256", "PS256"}, RSA3072: {"RS256", "PS256"}, RSA4096: {"RS256", "PS256"}, P256: {"ES256"}}

// ErrRefused is in the chain of every error by which a service said no: the key is disabled, deleted, of another kind, or not ours to use, or what it should
// unwrap is not its own. An error without it is an outage: the service was not reached, or failed, or asked to come again.
var ErrRefused = errors.New("refused by the key management service")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}

// Options of Open.
type Options struct {
	// Spec is the kind of the key as it was when it was registered: with it, Open does not ask the service, so that a key that is gone can still be asked for
	// its State. Without it, Open asks.
	//
	// An Azure Key Vault has no symmetric keys. An RSA key there is asked to wrap when Spec is Symmetric, and is found to be an RSA key otherwise.
	Spec Spec
}

const (
	timeout      = 10 * time.Second
	maxPlaintext = 4096
	maxBody      = 1 << 20 // of a service's answers
)

// Open makes a Key of a URI:
//
//	awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]    (a signing key needs the version)
//	azurekeyvault://VAULT.vault.azure.net/keys/NAME[/VERSION]
//	openbao://HOST[:PORT]/MOUNT/keys/NAME[?tls=off]                                   (Transit of OpenBao or Vault)
//
// Who we are there comes from the environment, by each service's own rules. Errors without ErrRefused are of the URI, of those credentials, or an outage.
func Open(ctx context.Context, uri string, o Options) (Key, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := parse(uri)
	if err != nil {
		return nil, err
	}
	if _, known := algs[o.Spec]; !known && o.Spec != "" {
		return nil, fmt.Errorf("%q is not a kind of key", o.Spec)
	}
	b, err := r.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", r.name, err)
	}
	return open(ctx, b, r.name, o)
}

func open(ctx context.Context, b backend, name string, o Options) (Key, error) {
	if o.Spec == "" {
		var err error
		if o.Spec, err = b.spec(ctx); err != nil {
			return nil, fmt.Errorf("key %s: %w", name, err)
		}
	}
	return &guarded{b, name, o.Spec}, nil
}

// Name is the one name of the key that a URI reaches, for telling whether two URIs reach the same: in canonical form, without version and options.
func Name(uri string) (string, error) {
	r, err := parse(uri)
	return r.name, err
}

// backend is a service's side of a Key.
type backend interface {
	wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error)
	unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error)
	sign(ctx context.Context, alg string, message []byte) ([]byte, error)
	public(ctx context.Context) (crypto.PublicKey, error)
	state(ctx context.Context) (State, error)
	spec(ctx context.Context) (Spec, error)
}

// guarded is what holds for every service: deadlines, limits, one kind of use, and errors that name the key.
type guarded struct {
	backend backend
	name    string
	kind    Spec
}

func call[T any](ctx context.Context, k *guarded, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, err := f(ctx)
	if err != nil {
		var none T
		return none, fmt.Errorf("key %s: %w", k.name, err)
	}
	return v, nil
}

func (k *guarded) Wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error) {
	return call(ctx, k, func(ctx context.Context) ([]byte, error) {
		if k.kind != Symmetric {
			return nil, refuse("it is of kind %s, which does not wrap", k.kind)
		}
		if n := len(plaintext); n == 0 || n > maxPlaintext {
			return nil, fmt.Errorf("%d bytes cannot be wrapped: from 1 to %d can", n, maxPlaintext)
		}
		return k.backend.wrap(ctx, plaintext, bound)
	})
}

func (k *guarded) Unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error) {
	return call(ctx, k, func(ctx context.Context) ([]byte, error) {
		if k.kind != Symmetric {
			return nil, refuse("it is of kind %s, which does not unwrap", k.kind)
		}
		return k.backend.unwrap(ctx, sealed, bound)
	})
}

func (k *guarded) Sign(ctx context.Context, alg string, message []byte) ([]byte, error) {
	return call(ctx, k, func(ctx context.Context) ([]byte, error) {
		if err := fits(k.kind, alg); err != nil {
			return nil, err
		}
		return k.backend.sign(ctx, alg, message)
	})
}

func (k *guarded) Public(ctx context.Context) (crypto.PublicKey, error) {
	return call(ctx, k, func(ctx context.Context) (crypto.PublicKey, error) {
		if k.kind == Symmetric {
			return nil, refuse("it is symmetric: it has no public half")
		}
		return k.backend.public(ctx)
	})
}

func (k *guarded) State(ctx context.Context) (State, error) { return call(ctx, k, k.backend.state) }

func (k *guarded) Spec() Spec { return k.kind }
