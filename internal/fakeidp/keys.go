package fakeidp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Sign makes an ES256 JWT (RFC 7519) with the newest key, for what a user brings along. Unless claims say otherwise, iss is the issuer, iat now
// and exp five minutes later; a claim that is nil is left out. Times are seconds since 1970.
func (v *Vendor) Sign(claims map[string]any) string {
	now := time.Now()
	all := map[string]any{"iss": v.issuer, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	override(all, claims)

	v.mu.Lock()
	key := v.newestKey()
	v.mu.Unlock()
	return sign(key, "JWT", all)
}

func sign(key jose.JSONWebKey, typ jose.ContentType, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		panic(fmt.Sprintf("fakeidp: sign: %v", err))
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(fmt.Sprintf("fakeidp: sign: %v", err))
	}
	return token
}

// RotateKeys makes a new signing key with its own kid. The JWKS goes on holding the old ones unless Behaviour.DropOldKeys says otherwise.
func (v *Vendor) RotateKeys() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.newestKey()
	v.addKey()
}

// newestKey needs v.mu held.
func (v *Vendor) newestKey() jose.JSONWebKey {
	if len(v.keys) == 0 {
		v.addKey()
	}
	return v.keys[len(v.keys)-1]
}

// addKey needs v.mu held. Every vendor counts its kids from key-1, so that who looks a key up by kid alone finds another issuer's.
func (v *Vendor) addKey() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // an RSA key takes a second to make
	if err != nil {
		panic(fmt.Sprintf("fakeidp: make a key: %v", err))
	}
	kid := fmt.Sprintf("key-%d", len(v.keys)+1)
	v.keys = append(v.keys, jose.JSONWebKey{Key: private, KeyID: kid, Algorithm: string(jose.ES256), Use: "sig"})
}

func (v *Vendor) serveKeys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, v.PublicKeys())
}

// PublicKeys are what the JWKS holds.
func (v *Vendor) PublicKeys() (set jose.JSONWebKeySet) {
	v.mu.Lock()
	defer v.mu.Unlock()
	newest := v.newestKey()
	keys := v.keys
	if v.behaviour.DropOldKeys {
		keys = []jose.JSONWebKey{newest}
	}
	for _, key := range keys {
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}
