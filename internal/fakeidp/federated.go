package fakeidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Trust has the vendor take JWTs of another issuer, that are for its token endpoint: of clients (RFC 7521 section 4.2), and of who acts for a user. keys reads the
// issuer's JWK Set; nil finds it by the issuer's discovery document.
func (v *Vendor) Trust(issuer string, keys func() (jose.JSONWebKeySet, error)) {
	if keys == nil {
		keys = func() (jose.JSONWebKeySet, error) { return discoverKeys(issuer) }
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.trusted == nil {
		v.trusted = map[string]func() (jose.JSONWebKeySet, error){}
	}
	v.trusted[issuer] = keys
}

func discoverKeys(issuer string) (set jose.JSONWebKeySet, err error) {
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := readDocument(issuer+"/.well-known/openid-configuration", &document); err != nil {
		return set, err
	}
	if document.Issuer != issuer {
		return set, fmt.Errorf("the document of %s is of %s", issuer, document.Issuer)
	}
	return set, readDocument(document.JWKS, &set)
}

func readDocument(url string, out any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// verifyForeign reads a JWT of a trusted issuer that is for the token endpoint and has not expired. Whoever reads it has no other key than those published. It
// needs v.mu held.
func (v *Vendor) verifyForeign(token string) (claims jwt.Claims, _ error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES384})
	if err != nil {
		return claims, err
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return claims, err
	}
	keys, ok := v.trusted[claims.Issuer]
	if !ok {
		return claims, errors.New("nobody trusts this issuer")
	}
	set, err := keys()
	if err != nil {
		return claims, err
	}
	if err := parsed.Claims(set, &claims); err != nil {
		return claims, err
	}
	if !slices.Contains(claims.Audience, v.base+"/token") || claims.Expiry == nil {
		return claims, errors.New("it is for somebody else, or for ever")
	}
	return claims, claims.ValidateWithLeeway(jwt.Expected{Time: time.Now().Add(-v.behaviour.DPoP.ClockBehind)}, 0)
}

// federated finds the client that a trusted issuer vouches for. It needs v.mu held.
func (v *Vendor) federated(r *http.Request) (Client, *refusal) {
	form := r.PostForm
	claims, err := v.verifyForeign(form.Get("client_assertion"))
	if err == nil && (form.Get("client_assertion_type") != assertionType || r.Header.Get("Authorization") != "" || form.Has("client_secret")) {
		return Client{}, &refusal{code: "invalid_request", description: "client_assertion needs its type, and no other client authentication beside it"}
	}
	for _, c := range v.clients {
		if err == nil && c.Subject != "" && c.Subject == claims.Subject && c.Issuer == claims.Issuer && (!form.Has("client_id") || form.Get("client_id") == c.ID) {
			return c, nil
		}
	}
	return Client{}, &refusal{http.StatusUnauthorized, "invalid_client", "client_assertion proves no client"}
}
