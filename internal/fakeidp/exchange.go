package fakeidp

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Grant types that trade one token for another.
const (
	TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693
	JWTBearer     = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // RFC 7523
)

const (
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// exchange trades a token of a user, and of who acts for the user (RFC 8693 section 2). It needs v.mu held, like trade.
func (v *Vendor) exchange(clientID string, form url.Values, b Behaviour) (map[string]any, *refusal) {
	if form.Get("requested_token_type") == typeIDJAG {
		return v.assertion(clientID, form, b)
	}
	subject, err := v.whose("subject_token", form)
	if err != nil {
		return nil, err
	}
	actor := ""
	if form.Has("actor_token") || form.Has("actor_token_type") {
		if actor, err = v.whose("actor_token", form); err != nil {
			return nil, err
		}
	}
	members, err := v.trade(clientID, subject, actor, form, b)
	if err == nil {
		members["issued_token_type"] = typeAccessToken
	}
	return members, err
}

// whose is the subject of a token in a form: a JWT of ours, or one that we handed out.
func (v *Vendor) whose(parameter string, form url.Values) (string, *refusal) {
	token := form.Get(parameter)
	switch form.Get(parameter + "_type") {
	case typeJWT:
		claims, err := v.verify(token)
		if err != nil && parameter == "actor_token" {
			claims, err = v.verifyForeign(token)
		}
		if err != nil {
			return "", &refusal{code: "invalid_request", description: parameter + " is no JWT of this issuer, or has expired"}
		}
		return claims.Subject, nil
	case typeAccessToken:
		if t, ok := v.accessTokens[token]; ok && t.live() {
			return t.family.subject, nil
		}
		if claims, err := v.verify(token); err == nil {
			return claims.Subject, nil
		}
		return "", &refusal{code: "invalid_request", description: parameter + " is unknown or dead"}
	}
	return "", &refusal{code: "invalid_request", description: parameter + "_type is missing or not supported"}
}

// assert trades a JWT (RFC 7523 section 2.1). It needs v.mu held.
func (v *Vendor) assert(client Client, form url.Values, b Behaviour) (map[string]any, *refusal) {
	if isIDJAG(form.Get("assertion")) {
		return v.redeemAssertion(client, form, b)
	}
	claims, err := v.verify(form.Get("assertion"))
	if err != nil {
		return nil, &refusal{code: "invalid_grant", description: "assertion is no JWT of this issuer, or has expired"}
	}
	if b.OnBehalfOf {
		switch {
		case form.Get("requested_token_use") != "on_behalf_of":
			return nil, &refusal{code: "invalid_request", description: "AADSTS900144: requested_token_use is missing"}
		case form.Has("resource"):
			return nil, &refusal{code: "invalid_request", description: "AADSTS901002: resource is not supported"}
		case !slices.Contains(claims.Audience, client.ID):
			return nil, &refusal{code: "invalid_grant", description: "AADSTS50013: the assertion is not meant for this client"}
		}
	}
	return v.trade(client.ID, claims.Subject, "", form, b)
}

// trade makes tokens for the subject of others.
func (v *Vendor) trade(clientID, subject, actor string, form url.Values, b Behaviour) (map[string]any, *refusal) {
	resources := form["resource"]
	if err := checkResources(resources); err != nil {
		return nil, err
	}
	f := v.newFamily(clientID, subject, b.grant(b.scopes(form.Get("scope"))), resources)
	f.actor = actor
	next := ""
	if !b.NoRefreshToken {
		next = v.newRefreshToken(f)
	}
	return v.newAnswer(f, f.scopes, resources, next, b), nil
}

// verify reads a JWT that Sign made and that has not expired.
func (v *Vendor) verify(token string) (claims jwt.Claims, _ error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return claims, err
	}
	v.newestKey()
	var set jose.JSONWebKeySet
	for _, key := range v.keys {
		set.Keys = append(set.Keys, key.Public())
	}
	if err := parsed.Claims(set, &claims); err != nil {
		return claims, err
	}
	return claims, claims.ValidateWithLeeway(jwt.Expected{Issuer: v.issuer, Time: time.Now()}, 0)
}

// authenticateExchange is the client of an exchange at a vendor that wants to know of none, and takes it amiss to be told.
func authenticateExchange(r *http.Request) *refusal {
	if r.Header.Get("Authorization") != "" || r.PostForm.Has("client_id") || r.PostForm.Has("client_secret") {
		return &refusal{http.StatusUnauthorized, "invalid_client", "an exchange has no client"}
	}
	return nil
}
