package fakeidp

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
)

const (
	typeIDToken = "urn:ietf:params:oauth:token-type:id_token"
	typeIDJAG   = "urn:ietf:params:oauth:token-type:id-jag"
	idJAG       = "oauth-id-jag+jwt" // typ
)

// IDJAG is how a vendor, as the identity provider of other authorization servers, gives assertions for them (draft-ietf-oauth-identity-assertion-authz-grant).
type IDJAG struct {
	// Clients are, by issuer of the other server, the ids that clients of this vendor have there.
	Clients map[string]string
	Typ     string         // instead of the right one
	Claims  map[string]any // override; nil leaves one out
}

// assertion makes an ID-JAG. It needs v.mu held.
func (v *Vendor) assertion(clientID string, form url.Values, b Behaviour) (map[string]any, *refusal) {
	subject, err := v.verify(form.Get("subject_token"))
	switch {
	case form.Get("subject_token_type") != typeIDToken && form.Get("subject_token_type") != typeJWT:
		return nil, &refusal{code: "invalid_request", description: "subject_token_type must be that of an ID token"}
	case err != nil:
		return nil, &refusal{code: "invalid_request", description: "subject_token is no JWT of this issuer, or has expired"}
	case !slices.Contains(subject.Audience, clientID):
		return nil, &refusal{code: "invalid_request", description: "subject_token is not meant for this client"}
	case b.IDJAG.Clients[form.Get("audience")] == "":
		return nil, &refusal{code: "invalid_target", description: "audience is no server that this one vouches to"}
	}
	scopes := b.grant(b.scopes(form.Get("scope")))
	claims := map[string]any{
		"iss": v.issuer, "sub": subject.Subject, "aud": form.Get("audience"), "client_id": b.IDJAG.Clients[form.Get("audience")], "jti": uuid.NewString(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(), "scope": strings.Join(scopes, " "), "resource": form["resource"],
	}
	if form.Has("actor_token") {
		actor, err := v.whose("actor_token", form)
		if err != nil {
			return nil, err
		}
		claims["act"] = map[string]any{"sub": actor}
	}
	override(claims, b.IDJAG.Claims)
	return map[string]any{
		"access_token": sign(v.newestKey(), jose.ContentType(cmp.Or(b.IDJAG.Typ, idJAG)), claims), "issued_token_type": typeIDJAG, "token_type": "N_A", "expires_in": 300, "scope": strings.Join(scopes, " "),
	}, nil
}

// isIDJAG reports whether a JWT says that it is an ID-JAG.
func isIDJAG(token string) bool {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	return err == nil && parsed.Headers[0].ExtraHeaders[jose.HeaderType] == idJAG
}

// redeemAssertion trades an ID-JAG of an issuer that the vendor trusts, once, for a token of the client that it names. It needs v.mu held.
func (v *Vendor) redeemAssertion(client Client, form url.Values, b Behaviour) (map[string]any, *refusal) {
	refuse := func(why string) (map[string]any, *refusal) {
		return nil, &refusal{code: "invalid_grant", description: "assertion " + why}
	}
	var claims struct {
		jwt.Claims
		ClientID string   `json:"client_id"`
		Scope    string   `json:"scope"`
		Resource []string `json:"resource"`
		Actor    struct {
			Subject string `json:"sub"`
		} `json:"act"`
	}
	parsed, err := jwt.ParseSigned(form.Get("assertion"), []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err == nil {
		err = parsed.UnsafeClaimsWithoutVerification(&claims)
	}
	keys := v.trusted[claims.Issuer]
	if err != nil || keys == nil || claims.Issuer == v.issuer {
		return refuse("is of an issuer that nobody trusts")
	}
	set, err := keys()
	if err == nil {
		err = parsed.Claims(set, &claims)
	}
	switch {
	case err != nil:
		return refuse("has a bad signature")
	case claims.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, 0) != nil || claims.Expiry == nil:
		return refuse("has expired")
	case len(claims.Audience) != 1 || claims.Audience[0] != v.issuer:
		return refuse("is not for this issuer")
	case claims.ClientID != client.ID:
		return refuse("is for another client")
	case claims.ID == "" || v.proofs[idJAG+claims.ID]:
		return refuse("was used before")
	}
	v.proofs[idJAG+claims.ID] = true
	form = url.Values{"scope": {claims.Scope}, "resource": claims.Resource}
	return v.trade(client.ID, claims.Subject, claims.Actor.Subject, form, b)
}
