package oauth

import (
	"cmp"
	"context"
	"net/url"
)

// ClientCredentialsGrant asks for a token of the client itself (RFC 6749 section 4.4).
type ClientCredentialsGrant struct {
	GrantType            string // "" is client_credentials; some vendors have one of their own
	Scopes               []string
	ScopeSeparator       string // "" is a space
	Resources, Audiences []string
	Extra                url.Values // parameters for which IsProtected is true are dropped
}

// ClientCredentials gets a token for the client itself. The error is an *Error.
func (c *Client) ClientCredentials(ctx context.Context, e Endpoint, g ClientCredentialsGrant) (Token, error) {
	form := parameters(g.Extra, g.Resources, g.Audiences)
	form.Set("grant_type", cmp.Or(g.GrantType, "client_credentials"))
	if err := setScope(form, g.Scopes, g.ScopeSeparator); err != nil {
		return Token{}, &Error{Outcome: NotSent, Err: err}
	}
	return c.post(ctx, e, form)
}
