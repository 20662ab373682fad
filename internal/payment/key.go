package payment

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/secret"
)

// What is wrong with a key, in the words of the managed service. No error tells anything of the key itself.
var (
	ErrWalletKey = errors.New("invalid secret format: Expected base64-encoded EC P-256 private key")
	ErrAPIKey    = errors.New("invalid secret format: Expected base64-encoded Ed25519 private key, seed and public half, or EC P-256 private key in PEM")
)

// Key is a private key that signs.
type Key struct {
	algorithm jose.SignatureAlgorithm
	// A function, since fmt walks into fields that are not exported without asking their methods. The address of one tells nothing.
	signer func() crypto.Signer
}

// ParseWalletKey reads a wallet secret of Coinbase CDP or an authorization key of Privy: the base64 of a P-256 key in DER. Privy writes wallet-auth: before it.
func ParseWalletKey(text secret.String) (Key, error) {
	der, ok := decode(strings.TrimPrefix(text.Reveal(), "wallet-auth:"))
	if !ok {
		return Key{}, ErrWalletKey
	}
	k, ok := parseEC(der)
	if !ok {
		return Key{}, ErrWalletKey
	}
	return Key{jose.ES256, func() crypto.Signer { return k }}, nil
}

// ParseAPIKey reads the secret of an API key of Coinbase CDP: the base64 of an Ed25519 key, seed and public half, or a P-256 key in PEM.
func ParseAPIKey(text secret.String) (Key, error) {
	if block, _ := pem.Decode([]byte(text.Reveal())); block != nil {
		if k, ok := parseEC(block.Bytes); ok {
			return Key{jose.ES256, func() crypto.Signer { return k }}, nil
		}
		return Key{}, ErrAPIKey
	}
	raw, ok := decode(text.Reveal())
	if !ok || len(raw) != ed25519.PrivateKeySize {
		return Key{}, ErrAPIKey
	}
	// A signature under a public half that is not the seed's gives the seed away.
	k := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	if !bytes.Equal(k, raw) {
		return Key{}, ErrAPIKey
	}
	return Key{jose.EdDSA, func() crypto.Signer { return k }}, nil
}

// parseEC reads PKCS #8, and SEC 1 as openssl writes it.
func parseEC(der []byte) (*ecdsa.PrivateKey, bool) {
	var k *ecdsa.PrivateKey
	if parsed, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		k, _ = parsed.(*ecdsa.PrivateKey)
	} else if parsed, err := x509.ParseECPrivateKey(der); err == nil {
		k = parsed
	}
	return k, k != nil && k.Curve == elliptic.P256()
}

// decode reads base64 in either alphabet, padded or not, in lines or not: the forms in which vendors' own clients take keys.
func decode(text string) ([]byte, bool) {
	text = strings.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		case ' ', '\t', '\r', '\n', '\f':
			return -1
		}
		return r
	}, text)
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	return raw, err == nil
}

// jwt signs a JWT (RFC 7519).
func (k Key) jwt(claims any, header map[jose.HeaderKey]any) (string, error) {
	options := (&jose.SignerOptions{ExtraHeaders: header}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: k.signer()}, options)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}
