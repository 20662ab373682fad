package fakeidp

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// issue authenticates the client and processes the grant, at one go for concurrent requests.
func (v *Vendor) issue(r *http.Request, b Behaviour) (map[string]any, *refusal) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := checkUnique(r.PostForm); err != nil {
		return nil, err
	}
	if err := b.checkToken(r); err != nil {
		return nil, err
	}
	thumbprint, err := v.proven(r, b)
	if err != nil {
		return nil, err
	}
	members, err := v.process(r, thumbprint, b)
	if err == nil {
		v.bind(members, thumbprint, b)
	}
	return members, err
}

// process answers a token request that proves possession of a key, or of none. It needs v.mu held.
func (v *Vendor) process(r *http.Request, thumbprint string, b Behaviour) (map[string]any, *refusal) {
	if b.NoClientExchange && r.PostForm.Get("grant_type") == TokenExchange {
		if err := authenticateExchange(r); err != nil {
			return nil, err
		}
		return v.exchange("", r.PostForm, b)
	}
	client, err := v.authenticate(r)
	if err != nil {
		return nil, err
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		return v.redeem(client, r.PostForm, thumbprint, b)
	case cmp.Or(b.M2MGrantType, "client_credentials"):
		return v.issueToClient(client, r.PostForm, b)
	case "refresh_token":
		return v.refresh(client, r.PostForm, thumbprint, b)
	case TokenExchange:
		return v.exchange(client.ID, r.PostForm, b)
	case DeviceCode:
		return v.poll(client, r.PostForm, thumbprint, b)
	case JWTBearer:
		return v.assert(client, r.PostForm, b)
	case "":
		return nil, &refusal{code: "invalid_request", description: "grant_type is missing"}
	default:
		return nil, &refusal{code: "unsupported_grant_type", description: "grant_type must be authorization_code, client_credentials, refresh_token, token-exchange or jwt-bearer"}
	}
}

// codeVerifier is the form of a code verifier (RFC 7636 section 4.1).
var codeVerifier = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// redeem exchanges a code (RFC 6749 section 4.1.3). It needs v.mu held, like refresh, issueToClient and newAnswer.
func (v *Vendor) redeem(client Client, form url.Values, thumbprint string, b Behaviour) (map[string]any, *refusal) {
	c, ok := v.codes[form.Get("code")]
	if !ok || c.family.clientID != client.ID {
		return nil, &refusal{code: "invalid_grant", description: "the code is unknown"}
	}
	f := c.family
	if c.used {
		v.kill(f)
		return nil, &refusal{code: "invalid_grant", description: "the code was used before; its tokens are revoked now"}
	}
	if f.revoked || !time.Now().Before(c.expiry) {
		return nil, &refusal{code: "invalid_grant", description: "the code is expired or revoked"}
	}
	if form.Get("redirect_uri") != c.redirectURI {
		return nil, &refusal{code: "invalid_grant", description: "redirect_uri differs from the authorization request"}
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !codeVerifier.MatchString(form.Get("code_verifier")) || base64.RawURLEncoding.EncodeToString(sum[:]) != c.challenge {
		return nil, &refusal{code: "invalid_grant", description: "code_verifier does not match code_challenge"}
	}
	if b.DPoP.Bound && c.thumbprint != "" && c.thumbprint != thumbprint {
		return nil, &refusal{code: "invalid_grant", description: "the code is bound to another key"}
	}
	resources, err := narrowResources(f.resources, form["resource"])
	if err != nil {
		return nil, err
	}
	c.used, f.thumbprint = true, thumbprint
	f.scopes = b.grant(f.scopes)
	next := ""
	if !b.NoRefreshToken && c.offline {
		next = v.newRefreshToken(f)
	}
	answer := v.newAnswer(f, f.scopes, resources, next, b)
	if slices.Contains(f.scopes, "openid") {
		answer["id_token"] = v.newIDToken(f, c.nonce, b)
	}
	return answer, nil
}

// newIDToken says who approved (OpenID Connect Core section 2). It needs v.mu held.
func (v *Vendor) newIDToken(f *family, nonce string, b Behaviour) string {
	now := time.Now()
	claims := map[string]any{"iss": v.issuer, "sub": f.subject, "aud": f.clientID, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	override(claims, b.IDClaims)
	if b.IDToken != nil {
		return b.IDToken(claims)
	}
	return sign(v.newestKey(), "JWT", claims)
}

// refresh answers a new access token for a refresh token and rotates it (RFC 6749 section 6).
func (v *Vendor) refresh(client Client, form url.Values, thumbprint string, b Behaviour) (map[string]any, *refusal) {
	t, ok := v.refreshTokens[form.Get("refresh_token")]
	if !ok || t.family.clientID != client.ID || t.family.revoked {
		return nil, &refusal{code: "invalid_grant", description: "the refresh token is unknown or revoked"}
	}
	f, now := t.family, time.Now()
	if f.thumbprint != thumbprint {
		return nil, &refusal{code: "invalid_grant", description: "the refresh token is bound to another key"}
	}
	if t.successor != "" && !now.Before(t.rotated.Add(b.RefreshGrace)) {
		if b.ReuseKillsFamily {
			v.kill(f)
		}
		return nil, &refusal{code: "invalid_grant", description: "the refresh token was used before"}
	}
	scopes := b.rename(f.scopes)
	if form.Get("scope") != "" {
		asked := b.rename(b.scopes(form.Get("scope")))
		if slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(scopes, s) }) {
			return nil, &refusal{code: "invalid_scope", description: "scope exceeds what was granted"}
		}
		scopes = asked
	}
	resources, err := narrowResources(f.resources, form["resource"])
	if err != nil {
		return nil, err
	}
	next := ""
	if !b.KeepRefreshToken && !b.NoRefreshToken {
		if t.successor == "" {
			t.successor, t.rotated = v.newRefreshToken(f), now
		}
		next = t.successor
	}
	return v.newAnswer(f, b.grant(scopes), resources, next, b), nil
}

// issueToClient serves the client itself (RFC 6749 section 4.4), without a refresh token.
func (v *Vendor) issueToClient(client Client, form url.Values, b Behaviour) (map[string]any, *refusal) {
	resources := form["resource"]
	if err := checkResources(resources); err != nil {
		return nil, err
	}
	if b.M2MNeeds != "" && form.Get(b.M2MNeeds) == "" {
		return nil, &refusal{code: "invalid_request", description: b.M2MNeeds + " is missing"}
	}
	f := v.newFamily(client.ID, client.ID, b.grant(b.scopes(form.Get("scope"))), resources)
	return v.newAnswer(f, f.scopes, resources, "", b), nil
}

// narrowResources is what a token request may ask of the granted resources: a part of them, or by silence all (RFC 8707 section 2.2).
func narrowResources(granted, asked []string) ([]string, *refusal) {
	if len(asked) == 0 {
		return granted, nil
	}
	if slices.ContainsFunc(asked, func(resource string) bool { return !slices.Contains(granted, resource) }) {
		return nil, &refusal{code: "invalid_target", description: "resource exceeds what was granted"}
	}
	return asked, nil
}
