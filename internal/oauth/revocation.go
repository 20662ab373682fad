package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"credence/internal/secret"
)

// TokenKind tells a refresh token from an access token, by the names of RFC 7009 section 2.1.
type TokenKind string

// The kinds.
const (
	AccessToken  TokenKind = "access_token"
	RefreshToken TokenKind = "refresh_token"
)

// Ways to authenticate a revocation beside those of a token request. Only None is registered. None and Anonymous are for token requests, too.
const (
	None      AuthMethod = "none"      // the client says its id: public clients, and clients whose secret is gone
	Bearer    AuthMethod = "bearer"    // the token that is to be revoked authenticates the request, and stands nowhere else in it
	Anonymous AuthMethod = "anonymous" // the request says nothing of the client: whoever has a token may revoke it, or exchange it
)

// Revocation is where and how a vendor ends a token. URL and Auth alone are RFC 7009; the rest is for vendors with ways of their own.
type Revocation struct {
	URL       string
	Auth      ClientAuth  // a method that needs a secret is None without one
	Header    http.Header // of a preset; may not replace Accept, Content-Type and Authorization
	Method    string      // "" is POST
	Parameter string      // that holds the token; "" is token
	NoHint    bool        // token_type_hint is not sent
	JSON      bool        // it takes a JSON object of the parameters instead of a form
	// GoneStatus is the HTTP status by which the vendor says that it does not know the token; 0: it has none.
	GoneStatus int
}

// gone are error codes of vendors that mind when a token is not alive any more, though RFC 7009 section 2.2 tells them not to.
var gone = []string{"invalid_token", "token_revoked", "token_expired", "account_inactive"}

// Revoke ends a token at the vendor. It returns what the vendor answered, in a few words without any secret; the token is dead then, whether it was this
// request that ended it or something before. The error is an *Error; whatever its Outcome, the request may be sent again.
func (c *Client) Revoke(ctx context.Context, r Revocation, kind TokenKind, token secret.String) (answer string, err error) {
	header, form := newHeader(r.Header), url.Values{}
	header.Del("Authorization")
	auth := r.Auth
	if auth.Secret.IsZero() && (auth.Method == ClientSecretBasic || auth.Method == ClientSecretPost) ||
		auth.Assertion.IsZero() && (auth.Method == PrivateKeyJWT || auth.Method == ClientSecretJWT) || auth.Certificate == nil && auth.Method == TLSClientAuth {
		auth.Method = None
	}
	if auth.Method != Bearer {
		parameter := r.Parameter
		if parameter == "" {
			parameter = "token"
		}
		form.Set(parameter, token.Reveal())
		if !r.NoHint {
			form.Set("token_type_hint", string(kind))
		}
	}
	switch auth.Method {
	case None:
		form.Set("client_id", auth.ID)
	case Bearer:
		header.Set("Authorization", "Bearer "+token.Reveal())
	case Anonymous:
	default:
		if err := auth.apply(header, form); err != nil {
			return "", &Error{Outcome: NotSent, Err: err}
		}
	}
	if ctx, err = auth.over(ctx, r.URL); err != nil {
		return "", &Error{Outcome: NotSent, Err: err}
	}
	text := ""
	if len(form) > 0 {
		var contentType string
		contentType, text = encode(form, r.JSON)
		header.Set("Content-Type", contentType)
	}
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	call := newCall(ctx, "revocation request", r.URL)
	defer func() { done(call, err) }()
	answered, err := c.send(ctx, call, method, r.URL, header, text, []secret.String{token, auth.Secret, auth.Assertion})
	if err != nil {
		return "", err
	}
	return readRevocation(answered, auth.Method == Bearer, r.GoneStatus)
}

// readRevocation takes a token that is not known any more for a revoked one.
func readRevocation(r response, bearer bool, goneStatus int) (answer string, _ error) {
	m, _ := parseMembers(r.header.Get("Content-Type"), r.body)
	success := r.status >= 200 && r.status <= 299
	switch {
	case success && m["ok"] != false && !m.hasError():
		return fmt.Sprintf("HTTP %d", r.status), nil
	case r.status >= 300 && r.status <= 399:
		return "", &Error{Outcome: Refused, Status: r.status, Err: fmt.Errorf("the revocation endpoint redirected (%d)", r.status)}
	}
	e := m.refusal(r)
	if e.Outcome == Refused && (slices.Contains(gone, e.Code) || bearer && r.status == http.StatusUnauthorized || goneStatus != 0 && r.status == goneStatus) {
		return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", r.status, e.Code)) + ": the token was not alive any more", nil
	}
	return "", e
}
