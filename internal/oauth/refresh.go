package oauth

import (
	"context"
	"net/url"

	"credence/internal/secret"
)

// RefreshGrant asks for a new access token, and with a vendor that rotates for a new refresh token (RFC 6749 section 6).
type RefreshGrant struct {
	RefreshToken         secret.String
	Scopes               []string // none keeps those of the grant
	ScopeSeparator       string   // "" is a space
	Resources, Audiences []string
	Extra                url.Values // parameters for which IsProtected is true are dropped
}

// Refresh uses a refresh token. Token.RefreshToken is empty when the vendor keeps the old one valid. The error is an *Error; when its
// Outcome is Unknown, a rotating refresh token may be spent.
func (c *Client) Refresh(ctx context.Context, e Endpoint, g RefreshGrant) (Token, error) {
	form := parameters(g.Extra, g.Resources, g.Audiences)
	form.Set("grant_type", "refresh_token")
	form.Set("refresh_token", g.RefreshToken.Reveal())
	if err := setScope(form, g.Scopes, g.ScopeSeparator); err != nil {
		return Token{}, &Error{Outcome: NotSent, Err: err}
	}
	return c.post(ctx, e, form, g.RefreshToken)
}
