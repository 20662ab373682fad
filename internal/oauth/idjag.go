package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Token types of identity assertions (RFC 8693 section 3, draft-ietf-oauth-identity-assertion-authz-grant).
const (
	TokenTypeIDToken = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeIDJAG   = "urn:ietf:params:oauth:token-type:id-jag"
)

// idJAGType is the typ of an ID-JAG.
const idJAGType = "oauth-id-jag+jwt"

// IDJAGGrant asks a user's identity provider for an assertion that is good at one authorization server, for one of its clients.
type IDJAGGrant struct {
	TokenExchangeGrant        // without Audiences; Extra says no requested_token_type
	Issuer             string // of the identity provider
	Audience           string // issuer of the authorization server
	ClientID           string // at that server
}

// ExchangeIDJAG gets an ID-JAG, which is the AccessToken of the answer. Check it before it is sent anywhere. The error is an *Error.
func (c *Client) ExchangeIDJAG(ctx context.Context, e Endpoint, g IDJAGGrant) (Token, error) {
	x := g.TokenExchangeGrant
	x.Audiences = []string{g.Audience}
	x.Extra = parameters(x.Extra, nil, nil)
	x.Extra.Set("requested_token_type", TokenTypeIDJAG)
	if !x.Extra.Has("subject_token_type") {
		x.Extra.Set("subject_token_type", TokenTypeIDToken)
	}
	return c.ExchangeToken(ctx, e, x)
}

// Check refuses an answer that is no ID-JAG of that issuer, for that audience alone and that client. Its signature is for the audience to verify: here it came over
// the identity provider's own connection. The error is what is wrong with it, and holds nothing of it but names.
func (g IDJAGGrant) Check(t Token) error {
	switch {
	case t.IssuedTokenType != TokenTypeIDJAG:
		return fmt.Errorf("its issued_token_type is %q, not %q", t.IssuedTokenType, TokenTypeIDJAG)
	case !strings.EqualFold(t.TokenType, "N_A"):
		return fmt.Errorf("its token_type is %q, as of a token to use, not %q", t.TokenType, "N_A")
	}
	parsed, err := jwt.ParseSigned(t.AccessToken.Reveal(), []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	})
	if err != nil {
		return errors.New("it is no JWT with a signature that others can verify")
	}
	if typ, _ := parsed.Headers[0].ExtraHeaders[jose.HeaderType].(string); typ != idJAGType {
		return fmt.Errorf("its typ is %.60q, not %q", typ, idJAGType)
	}
	var c jwt.Claims
	var more struct {
		ClientID string `json:"client_id"`
	}
	switch err := parsed.UnsafeClaimsWithoutVerification(&c, &more); {
	case err != nil:
		return errors.New("its claims are not a JSON object of the right types")
	case c.Issuer != g.Issuer:
		return fmt.Errorf("its issuer is %.200q, not %q", c.Issuer, g.Issuer)
	case len(c.Audience) != 1 || c.Audience[0] != g.Audience:
		return fmt.Errorf("it is for %.200q, not for %q alone", []string(c.Audience), g.Audience)
	case more.ClientID != g.ClientID:
		return fmt.Errorf("it is for the client %.200q, not %q", more.ClientID, g.ClientID)
	case c.Subject == "":
		return errors.New("it names no subject")
	case c.Expiry == nil || !time.Now().Before(c.Expiry.Time()):
		return errors.New("it has ended, or never ends")
	}
	return nil
}
