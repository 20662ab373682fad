package payment

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/secret"
)

// CoinbaseHost is where Coinbase CDP is, when a request does not say.
const CoinbaseHost = "api.cdp.coinbase.com"

// bearerLifetime is what Coinbase's own clients use, and the most that the vendor takes.
const bearerLifetime = 2 * time.Minute

// Coinbase makes the tokens of Coinbase CDP (docs.cdp.coinbase.com, API v2, authentication).
type Coinbase struct {
	keyID  string
	apiKey Key
	wallet Key
}

// NewCoinbase takes the API key and the wallet secret, which may be empty.
func NewCoinbase(keyID string, apiKeySecret, walletSecret secret.String) (*Coinbase, error) {
	c := &Coinbase{keyID: keyID}
	var err error
	if c.apiKey, err = ParseAPIKey(apiKeySecret); err != nil {
		return nil, fmt.Errorf("the API key secret: %w", err)
	}
	if walletSecret.IsZero() {
		return c, nil
	}
	if c.wallet, err = ParseWalletKey(walletSecret); err != nil {
		return nil, fmt.Errorf("the wallet secret: %w", err)
	}
	return c, nil
}

// HasWallet reports whether there is a wallet secret.
func (c *Coinbase) HasWallet() bool { return c.wallet.signer != nil }

// claims of both tokens. A wallet token has no expiry; the vendor counts from iat.
type claims struct {
	jwt.Claims
	URIs    []string `json:"uris"`
	ReqHash string   `json:"reqHash,omitempty"`
}

func claimsFor(r Request, now time.Time) claims {
	return claims{Claims: jwt.Claims{IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now)}, URIs: []string{string(r.Method) + " " + r.Host + r.Path}}
}

// Bearer is the token for the header Authorization, good for one request, two minutes from now.
func (c *Coinbase) Bearer(r Request, now time.Time) (string, error) {
	body := claimsFor(r, now)
	body.Issuer, body.Subject, body.Expiry = "cdp", c.keyID, jwt.NewNumericDate(now.Add(bearerLifetime))
	return c.apiKey.jwt(body, map[jose.HeaderKey]any{"kid": c.keyID, "nonce": random()})
}

var errNoWallet = errors.New("there is no wallet secret")

// WalletAuth is the token for the header X-Wallet-Auth. It covers requestBody, which is a JSON object, or "" when the request has none; errors about it are
// ErrNotJSON, ErrNotObject and ErrNumber.
func (c *Coinbase) WalletAuth(r Request, requestBody string, now time.Time) (string, error) {
	if !c.HasWallet() {
		return "", errNoWallet
	}
	body := claimsFor(r, now)
	body.ID = random()
	if requestBody != "" {
		text, err := canonical(requestBody)
		if err != nil {
			return "", err
		}
		if text.Kind() != '{' {
			return "", ErrNotObject
		}
		if string(text) != "{}" { // as if there were none, to the vendor
			sum := sha256.Sum256(text)
			body.ReqHash = hex.EncodeToString(sum[:])
		}
	}
	return c.wallet.jwt(body, nil)
}

// ErrNotObject is about a body that a wallet token should cover.
var ErrNotObject = errors.New("must be a JSON object")

// random is 128 bits in hex.
func random() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
