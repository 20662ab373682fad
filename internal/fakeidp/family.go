package fakeidp

import (
	"crypto/rand"
	"time"
)

// family is one grant of a user or client: the code, and every token that came of it. They die together.
type family struct {
	number    int
	clientID  string
	subject   string
	actor     string   // who acts for the subject, as an exchange said (RFC 8693); "" is nobody
	scopes    []string // asked for; what was granted once the code is redeemed
	resources []string // RFC 8707 resource indicators
	revoked   bool

	thumbprint string // of the key that its refresh tokens are bound to; "": to none
}

type code struct {
	family      *family
	redirectURI string
	challenge   string // S256
	nonce       string // OpenID Connect; "" is none
	thumbprint  string // of the key that it is bound to (RFC 9449 section 10); "" is none
	expiry      time.Time
	used        bool
	offline     bool // it brings a refresh token
}

type accessToken struct {
	family    *family
	scopes    []string
	resources []string
	expiry    time.Time
	revoked   bool

	thumbprint string // of the key that it is bound to (RFC 9449); "" for a bearer token
}

type refreshToken struct {
	family    *family
	successor string // "" until rotated
	rotated   time.Time
}

func (t *accessToken) live() bool {
	return !t.revoked && !t.family.revoked && time.Now().Before(t.expiry)
}

// TokenInfo describes a live token.
type TokenInfo struct {
	Subject   string // the client ID for client_credentials
	Actor     string // of an exchange (RFC 8693): the subject of its actor token
	ClientID  string
	Scopes    []string
	Resources []string  // RFC 8707 resource indicators
	Expiry    time.Time // zero for refresh tokens, which do not expire
	Family    int       // tokens that come of the same consent share it
}

// Introspect describes a live access token, or a refresh token that has not been rotated. It reports false for every other value.
func (v *Vendor) Introspect(token string) (TokenInfo, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t, ok := v.accessTokens[token]; ok && t.live() {
		return TokenInfo{t.family.subject, t.family.actor, t.family.clientID, t.scopes, t.resources, t.expiry, t.family.number}, true
	}
	if t, ok := v.refreshTokens[token]; ok && t.successor == "" && !t.family.revoked {
		f := t.family
		return TokenInfo{f.subject, f.actor, f.clientID, f.scopes, f.resources, time.Time{}, f.number}, true
	}
	return TokenInfo{}, false
}

// Live is the number of access tokens that are neither expired nor revoked.
func (v *Vendor) Live() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, t := range v.accessTokens {
		if t.live() {
			n++
		}
	}
	return n
}

// LiveRefresh is the number of refresh tokens that are neither rotated nor revoked.
func (v *Vendor) LiveRefresh() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, t := range v.refreshTokens {
		if t.successor == "" && !t.family.revoked {
			n++
		}
	}
	return n
}

// FamiliesKilled is the number of families revoked because a code or a refresh token was sent once too often.
func (v *Vendor) FamiliesKilled() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.killed
}

// RevokeAll revokes every grant made so far: codes and refresh tokens answer invalid_grant, access tokens 401.
func (v *Vendor) RevokeAll() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.families {
		f.revoked = true
	}
}

// The methods below need v.mu held.

// secretValue makes a value that nobody guesses and every canary test finds.
func (v *Vendor) secretValue(kind string) string { return v.Mark + kind + "-" + rand.Text() }

func (v *Vendor) newFamily(clientID, subject string, scopes, resources []string) *family {
	f := &family{number: len(v.families) + 1, clientID: clientID, subject: subject, scopes: scopes, resources: resources}
	v.families = append(v.families, f)
	return f
}

func (v *Vendor) newAccessToken(f *family, scopes, resources []string, lifetime time.Duration) string {
	value := v.secretValue("access")
	v.accessTokens[value] = &accessToken{family: f, scopes: scopes, resources: resources, expiry: time.Now().Add(lifetime)}
	return value
}

func (v *Vendor) newRefreshToken(f *family) string {
	value := v.secretValue("refresh")
	v.refreshTokens[value] = &refreshToken{family: f}
	return value
}

func (v *Vendor) kill(f *family) {
	if !f.revoked {
		f.revoked = true
		v.killed++
	}
}
