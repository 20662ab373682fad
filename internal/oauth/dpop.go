package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/secret"
)

// TokenTypeDPoP is the token_type of an access token that is bound to a key (RFC 9449 section 5).
const TokenTypeDPoP = "DPoP"

// ProofKey is a key of ES256 by which a client proves that a token is its own (RFC 9449). It prints nothing of itself.
type ProofKey struct {
	text   secret.String // a private JWK
	signer jose.Signer

	thumbprint string
}

// NewProofKey makes a key.
func NewProofKey() (*ProofKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newProofKey(jose.JSONWebKey{Key: private})
}

// ParseProofKey reads what Text wrote.
func ParseProofKey(text secret.String) (*ProofKey, error) {
	var key jose.JSONWebKey
	if err := json.Unmarshal([]byte(text.Reveal()), &key); err != nil {
		return nil, errors.New("the proof key is no JWK")
	}
	return newProofKey(key)
}

func newProofKey(key jose.JSONWebKey) (*ProofKey, error) {
	private, ok := key.Key.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("the proof key is no private key of P-256")
	}
	text, err := key.MarshalJSON()
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
	if err != nil {
		return nil, err
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	return &ProofKey{secret.New(string(text)), signer, base64.RawURLEncoding.EncodeToString(thumbprint)}, err
}

// Thumbprint names the public key (RFC 7638), as dpop_jkt has it.
func (k *ProofKey) Thumbprint() string { return k.thumbprint }

// Text is the key as it is kept.
func (k *ProofKey) Text() secret.String { return k.text }

// String keeps the key out of logs.
func (k *ProofKey) String() string { return secret.Redacted }

// Proof is one request for which possession of a key is proven.
type Proof struct {
	Method, URL string        // of the request; the query and the fragment of the URL do not count
	Nonce       string        // that the server wants; "" when it wants none
	AccessToken secret.String // that goes with the request; empty at a token endpoint
}

// Sign makes the proof: a JWT that is good for this request, about now (section 4.2). The error says what is wrong with the request.
func (k *ProofKey) Sign(p Proof) (secret.String, error) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return secret.String{}, fmt.Errorf("%q is not an absolute http or https URL", p.URL)
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	claims := map[string]any{"jti": rand.Text(), "htm": p.Method, "htu": u.String(), "iat": time.Now().Unix()}
	if p.Nonce != "" {
		claims["nonce"] = p.Nonce
	}
	if !p.AccessToken.IsZero() {
		sum := sha256.Sum256([]byte(p.AccessToken.Reveal()))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return secret.String{}, err
	}
	signed, err := k.signer.Sign(text)
	if err != nil {
		return secret.String{}, err
	}
	compact, err := signed.CompactSerialize()
	return secret.New(compact), err
}

// DPoP is how token requests prove possession of a key.
type DPoP struct {
	Key      *ProofKey
	OnDemand bool // only when the vendor has refused a request without a proof
}

// The refusals that ask for a proof, or for another one (sections 5 and 8).
const (
	invalidProof = "invalid_dpop_proof"
	useNonce     = "use_dpop_nonce"
)

// refusedWith is the error code of a vendor that has refused a request.
func refusedWith(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Outcome == Refused {
		return e.Code
	}
	return ""
}

// checkBound refuses a token that is not what was asked for: whoever got it as a bearer token could not use it, or anybody could.
func checkBound(t Token, key *ProofKey) (Token, error) {
	switch bound := strings.EqualFold(t.TokenType, TokenTypeDPoP); {
	case bound && key != nil:
		t.TokenType, t.ProofKey = TokenTypeDPoP, key
	case bound:
		return Token{}, &Error{Outcome: Refused, Err: errors.New("its token is of the type DPoP, bound to a key that was not asked for")}
	case key != nil:
		return Token{}, &Error{Outcome: Refused, Err: fmt.Errorf("its token is of the type %s, though the request proved possession of a key, which it must be bound to", t.TokenType)}
	}
	return t, nil
}

// nonces are the last that each server has given (section 8.2).
type nonces struct {
	mu    sync.Mutex
	known map[string]string // by scheme and host
}

const (
	maxNonce  = 1 << 10
	maxNonces = 10_000
)

func serverOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	return u.Scheme + "://" + u.Host
}

func (n *nonces) of(target string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[serverOf(target)]
}

// keep takes the nonce of an answer, if it has one of the form that section 8.1 allows.
func (n *nonces) keep(target string, h http.Header) {
	nonce := h.Get("DPoP-Nonce")
	if nonce == "" || len(nonce) > maxNonce || strings.ContainsFunc(nonce, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= maxNonces { // they are asked for anew
		n.known = map[string]string{}
	}
	n.known[serverOf(target)] = nonce
}
