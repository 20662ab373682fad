package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"credence/internal/secret"
)

// AuthorizationRequest is what a user's browser takes to a vendor's authorization endpoint (RFC 6749 section 4.1.1, RFC 7636, RFC 8707).
type AuthorizationRequest struct {
	Endpoint, ClientID, RedirectURI, State string
	Nonce                                  string // OpenID Connect; "" sends none
	Scopes                                 []string
	ScopeSeparator                         string // "" is a space
	Verifier                               secret.String
	Resources, Audiences                   []string
	ProofKey                               *ProofKey  // that the tokens will be bound to, and so is the code (RFC 9449 section 10); nil: none is said
	Extra                                  url.Values // parameters for which IsProtected is true are dropped
	// Sign makes the parameters a request object (RFC 9101), which is sent in their place; nil: they are sent as they are.
	Sign func(url.Values) (secret.String, error)
}

// URL is the address to send the browser to. A query of the endpoint is kept, except for the parameters set here. The challenge method
// is always S256. The error names what is missing or malformed.
func (r AuthorizationRequest) URL() (string, error) {
	params, err := r.parameters()
	if err != nil {
		return "", err
	}
	return r.at(params)
}

// at is the authorization endpoint with parameters.
func (r AuthorizationRequest) at(params url.Values) (string, error) {
	u, err := url.Parse(r.Endpoint)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Fragment != "" {
		return "", fmt.Errorf("authorization endpoint %q is not an absolute URL without a fragment", r.Endpoint)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", fmt.Errorf("authorization endpoint %q has a malformed query", r.Endpoint)
	}
	for name, values := range params {
		query[name] = values
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// parameters are what the request says.
func (r AuthorizationRequest) parameters() (url.Values, error) {
	if r.ClientID == "" || r.RedirectURI == "" || r.State == "" || r.Verifier.IsZero() {
		return nil, errors.New("an authorization request needs a client id, a redirect URI, a state and a verifier")
	}
	params := parameters(r.Extra, r.Resources, r.Audiences)
	if err := setScope(params, r.Scopes, r.ScopeSeparator); err != nil {
		return nil, err
	}
	params.Set("response_type", "code")
	params.Set("client_id", r.ClientID)
	params.Set("redirect_uri", r.RedirectURI)
	params.Set("state", r.State)
	if r.Nonce != "" {
		params.Set("nonce", r.Nonce)
	}
	challenge := sha256.Sum256([]byte(r.Verifier.Reveal()))
	params.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	params.Set("code_challenge_method", "S256")
	if r.ProofKey != nil {
		params.Set("dpop_jkt", r.ProofKey.Thumbprint())
	}
	if r.Sign == nil {
		return params, nil
	}
	object, err := r.Sign(params)
	if err != nil {
		return nil, err
	}
	signed := url.Values{"client_id": {r.ClientID}, "request": {object.Reveal()}}
	if slices.Contains(r.Scopes, "openid") { // OpenID Connect Core section 6.1 wants these outside, too
		signed.Set("response_type", "code")
		signed.Set("scope", params.Get("scope"))
	}
	return signed, nil
}

// NewVerifier makes a code verifier of 43 characters, 256 bits (RFC 7636 section 4.1).
func NewVerifier() secret.String {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return secret.New(base64.RawURLEncoding.EncodeToString(b))
}

// CodeGrant is the code of one callback with what belonged to its request (RFC 6749 section 4.1.3).
type CodeGrant struct {
	Code, Verifier       secret.String
	RedirectURI          string // as in the authorization request
	Resources, Audiences []string
	Extra                url.Values // parameters for which IsProtected is true are dropped
}

// ExchangeCode turns a code into a token. The error is an *Error; unless its Outcome is NotSent, the code may be spent.
func (c *Client) ExchangeCode(ctx context.Context, e Endpoint, g CodeGrant) (Token, error) {
	form := parameters(g.Extra, g.Resources, g.Audiences)
	form.Set("grant_type", "authorization_code")
	form.Set("code", g.Code.Reveal())
	form.Set("redirect_uri", g.RedirectURI)
	form.Set("code_verifier", g.Verifier.Reveal())
	return c.post(ctx, e, form, g.Code, g.Verifier)
}
