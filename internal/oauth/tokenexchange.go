package oauth

import (
	"context"
	"net/url"

	"credence/internal/secret"
)

// Token types (RFC 8693 section 3).
const (
	TokenTypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	TokenTypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// TokenExchangeGrant trades a user's token, and that of who acts for the user, for another (RFC 8693 section 2.1).
type TokenExchangeGrant struct {
	SubjectToken         secret.String
	ActorToken           secret.String // empty: the request names no actor
	ActorTokenType       string        // of ActorToken
	Scopes               []string
	ScopeSeparator       string // "" is a space
	Resources, Audiences []string
	// Extra may say another subject_token_type than that of a JWT, and a requested_token_type; parameters for which IsProtected is true are dropped.
	Extra url.Values
}

// ExchangeToken trades tokens. The error is an *Error.
func (c *Client) ExchangeToken(ctx context.Context, e Endpoint, g TokenExchangeGrant) (Token, error) {
	form := parameters(g.Extra, g.Resources, g.Audiences)
	form.Set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
	form.Set("subject_token", g.SubjectToken.Reveal())
	if !form.Has("subject_token_type") {
		form.Set("subject_token_type", TokenTypeJWT)
	}
	if !g.ActorToken.IsZero() { // its type must not come without it
		form.Set("actor_token", g.ActorToken.Reveal())
		form.Set("actor_token_type", g.ActorTokenType)
	}
	if err := setScope(form, g.Scopes, g.ScopeSeparator); err != nil {
		return Token{}, &Error{Outcome: NotSent, Err: err}
	}
	return c.post(ctx, e, form, g.SubjectToken, g.ActorToken)
}
