package fakeidp

import (
	"net/http"
	"strings"
)

// serveResource is the API that access tokens are for (RFC 6750): it says whose token it got.
func (v *Vendor) serveResource(w http.ResponseWriter, r *http.Request) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	v.mu.Lock()
	t, ok := v.accessTokens[value]
	ok = ok && t.live() && strings.EqualFold(scheme, "Bearer")
	v.mu.Unlock()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fakeidp", error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"sub": t.family.subject, "scope": strings.Join(t.scopes, " "), "client_id": t.family.clientID})
}

// serveRevoke is the revocation endpoint (RFC 7009). A refresh token takes its family along, an access token only itself; an unknown token is
// no error. token_type_hint is not needed.
func (v *Vendor) serveRevoke(w http.ResponseWriter, r *http.Request) {
	b := v.snapshot()
	if b.RevokeStatus != 0 {
		http.Error(w, http.StatusText(b.RevokeStatus), b.RevokeStatus)
		return
	}
	if err := v.revoke(r); err != nil {
		b.refuse(w, err)
	}
}

func (v *Vendor) revoke(r *http.Request) *refusal {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := checkUnique(r.PostForm); err != nil {
		return err
	}
	client, err := v.authenticate(r)
	if err != nil {
		return err
	}
	value := r.PostForm.Get("token")
	if value == "" {
		return &refusal{code: "invalid_request", description: "token is missing"}
	}
	access, isAccess := v.accessTokens[value]
	refresh, isRefresh := v.refreshTokens[value]
	switch {
	case isAccess && access.family.clientID == client.ID:
		access.revoked = true
	case isRefresh && refresh.family.clientID == client.ID:
		refresh.family.revoked = true
	case isAccess || isRefresh:
		return &refusal{code: "invalid_grant", description: "the token belongs to another client"}
	}
	return nil
}
