package fakeidp

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// DPoP is how the vendor takes proofs of possession (RFC 9449).
type DPoP struct {
	Bound       bool          // it knows them: a token that is asked for with one is bound to its key
	Required    bool          // it gives no token without
	Nonce       bool          // a proof needs the newest nonce, which every answer has
	Storm       bool          // no nonce is ever good: each is answered with another
	SaysBearer  bool          // the token_type is Bearer although the token is bound
	SaysBound   bool          // the token_type is DPoP although nobody asked
	ClockBehind time.Duration // of the vendor's clock, as far as it looks at proofs and assertions
}

// proofWindow is how far the time of a proof may be from the vendor's.
const proofWindow = time.Minute

// proven is the key that a token request proves possession of, as its thumbprint (RFC 7638); "" without a proof. It needs v.mu held.
func (v *Vendor) proven(r *http.Request, b Behaviour) (thumbprint string, _ *refusal) {
	proofs := r.Header.Values("DPoP")
	switch {
	case !b.DPoP.Bound:
		return "", nil
	case len(proofs) == 0 && b.DPoP.Required:
		return "", &refusal{code: "invalid_dpop_proof", description: "a proof is required"}
	case len(proofs) == 0:
		return "", nil
	}
	return v.verifyProof(r, b, "")
}

// verifyProof checks the proof of a request (RFC 9449 section 4.3), for accessToken when there is one. It needs v.mu held.
func (v *Vendor) verifyProof(r *http.Request, b Behaviour, accessToken string) (thumbprint string, _ *refusal) {
	no := func(description string) (string, *refusal) {
		return "", &refusal{code: "invalid_dpop_proof", description: description}
	}
	proofs := r.Header.Values("DPoP")
	if len(proofs) != 1 {
		return no("there must be one proof")
	}
	signed, err := jose.ParseSignedCompact(proofs[0], []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return no("the proof is no JWT of ES256")
	}
	header := signed.Signatures[0].Protected
	if header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() || header.ExtraHeaders["typ"] != "dpop+jwt" {
		return no("the proof has no public key, or another type")
	}
	payload, err := signed.Verify(header.JSONWebKey)
	var claims struct {
		JTI, HTM, HTU, Ath, Nonce string
		IAT                       int64
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return no("the proof is not signed by its key")
	}
	url := v.base + r.URL.Path[len(v.path):]
	age := time.Now().Add(-b.DPoP.ClockBehind).Sub(time.Unix(claims.IAT, 0))
	ath := ""
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		ath = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	switch {
	case claims.HTM != r.Method || claims.HTU != url:
		return no("the proof is for " + claims.HTM + " " + claims.HTU)
	case age > proofWindow || age < -proofWindow:
		return no("the proof is of another time")
	case claims.Ath != ath:
		return no("the proof is for another token")
	case claims.JTI == "" || v.proofs[claims.JTI]:
		return no("the proof was seen before")
	case (b.DPoP.Nonce || b.DPoP.Storm) && (claims.Nonce != v.nonce || claims.Nonce == "" || b.DPoP.Storm):
		return "", &refusal{code: "use_dpop_nonce", description: "the proof needs the nonce"}
	}
	v.proofs[claims.JTI] = true
	sum, err := header.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		return no("the key of the proof has no thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// giveNonce puts the newest nonce into an answer; in a storm, or when there was none yet, another.
func (v *Vendor) giveNonce(w http.ResponseWriter, b Behaviour) {
	if !b.DPoP.Nonce && !b.DPoP.Storm {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.nonce == "" || b.DPoP.Storm {
		v.nonce = rand.Text()
	}
	w.Header().Set("DPoP-Nonce", v.nonce)
}

// RotateNonce makes another nonce the newest.
func (v *Vendor) RotateNonce() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nonce = rand.Text()
}

// bind binds an answer's token to a key, and says so.
func (v *Vendor) bind(members map[string]any, thumbprint string, b Behaviour) {
	if thumbprint != "" {
		v.accessTokens[members["access_token"].(string)].thumbprint = thumbprint
	}
	if (thumbprint != "" || b.DPoP.SaysBound) && !b.DPoP.SaysBearer && !b.OmitTokenType {
		members["token_type"] = "DPoP"
	}
}

// refuseResource is a resource server's refusal of a token or a proof.
func refuseResource(w http.ResponseWriter, scheme, code string) {
	w.Header().Set("WWW-Authenticate", scheme+` realm="fakeidp", error="`+code+`"`)
	writeJSON(w, http.StatusUnauthorized, map[string]string{"error": cmp.Or(code, "invalid_token")})
}
