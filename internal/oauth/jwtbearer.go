package oauth

import (
	"context"
	"net/url"

	"credence/internal/secret"
)

// JWTGrant trades a JWT for a token (RFC 7523 section 2.1). Entra's on-behalf-of flow is one with requested_token_use in Extra.
type JWTGrant struct {
	Assertion            secret.String
	Scopes               []string
	ScopeSeparator       string // "" is a space
	Resources, Audiences []string
	Extra                url.Values // parameters for which IsProtected is true are dropped
}

// ExchangeJWT trades a JWT. The error is an *Error.
func (c *Client) ExchangeJWT(ctx context.Context, e Endpoint, g JWTGrant) (Token, error) {
	form := parameters(g.Extra, g.Resources, g.Audiences)
	form.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
	form.Set("assertion", g.Assertion.Reveal())
	if err := setScope(form, g.Scopes, g.ScopeSeparator); err != nil {
		return Token{}, &Error{Outcome: NotSent, Err: err}
	}
	return c.post(ctx, e, form, g.Assertion)
}
