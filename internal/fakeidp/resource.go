package fakeidp

import (
	"cmp"
	"net/http"
	"strings"
)

// serveResource is the API that access tokens are for (RFC 6750): it says whose token it got.
func (v *Vendor) serveResource(w http.ResponseWriter, r *http.Request) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	b := v.snapshot()
	v.mu.Lock()
	t, ok := v.accessTokens[value]
	wanted, code := "Bearer", "invalid_token"
	if ok = ok && t.live(); ok && t.thumbprint != "" {
		wanted = "DPoP"
	}
	ok = ok && strings.EqualFold(scheme, wanted)
	if ok && wanted == "DPoP" {
		thumbprint, err := v.verifyProof(r, b, value)
		if ok = err == nil && thumbprint == t.thumbprint; err != nil {
			code = err.code
		}
	}
	v.mu.Unlock()
	v.giveNonce(w, b)
	if !ok {
		refuseResource(w, wanted, code)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"sub": t.family.subject, "scope": strings.Join(t.scopes, " "), "client_id": t.family.clientID})
}

// serveRevoke is the revocation endpoint (RFC 7009). A refresh token takes its family along, an access token only itself; an unknown token is
// no error. token_type_hint is not needed.
func (v *Vendor) serveRevoke(w http.ResponseWriter, r *http.Request, b Behaviour) {
	if b.RevokeStatus != 0 {
		if b.RetryAfter != "" {
			w.Header().Set("Retry-After", b.RetryAfter)
		}
		http.Error(w, http.StatusText(b.RevokeStatus), b.RevokeStatus)
		return
	}
	if err := v.revoke(r, b.Revoking); err != nil {
		b.refuse(w, err)
		return
	}
	if b.CutAfterRevoke {
		panic(http.ErrAbortHandler)
	}
	if b.OKMember {
		writeJSON(w, http.StatusOK, map[string]bool{"ok": true, "revoked": true})
		return
	}
	w.WriteHeader(cmp.Or(b.Revoking.Status, http.StatusOK))
}

func (v *Vendor) revoke(r *http.Request, q Revoking) *refusal {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := checkUnique(r.PostForm); err != nil {
		return err
	}
	value, clientID, err := q.token(v, r)
	if err != nil {
		return err
	}
	if value == "" {
		return &refusal{code: "invalid_request", description: "the token is missing"}
	}
	access, isAccess := v.accessTokens[value]
	refresh, isRefresh := v.refreshTokens[value]
	switch {
	case isAccess && q.Only == "refresh_token", isRefresh && q.Only == "access_token":
		return &refusal{code: "unsupported_token_type", description: "only a " + q.Only + " can be revoked"}
	case isAccess && (clientID == "" || access.family.clientID == clientID):
		access.revoked = true
		access.family.revoked = access.family.revoked || q.Family
	case isRefresh && q.Forgets && refresh.successor != "":
	case isRefresh && (clientID == "" || refresh.family.clientID == clientID):
		refresh.family.revoked = true
	case isAccess || isRefresh:
		return &refusal{code: "invalid_grant", description: "the token belongs to another client"}
	}
	return nil
}
