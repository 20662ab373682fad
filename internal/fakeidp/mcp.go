package fakeidp

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
)

// serveMCP is a protected resource that lets nobody in, but says where its metadata is (RFC 9728 section 5.1).
func (v *Vendor) serveMCP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="fakeidp", resource_metadata="`+v.base+`/mcp/metadata"`)
	http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
}

// serveMCPMetadata is what that resource says of itself (RFC 9728 section 2).
func (v *Vendor) serveMCPMetadata(w http.ResponseWriter, _ *http.Request) {
	metadata := map[string]any{"resource": v.MCP(), "authorization_servers": []string{v.issuer}}
	override(metadata, v.snapshot().ExtraResourceMetadata)
	writeJSON(w, http.StatusOK, metadata)
}

// MCP is the URL of a protected resource whose authorization server the vendor is.
func (v *Vendor) MCP() string { return v.base + "/mcp" }

// serveRegister makes a client for everybody who asks (RFC 7591 section 3).
func (v *Vendor) serveRegister(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		RedirectURIs []string `json:"redirect_uris"`
		AuthMethod   string   `json:"token_endpoint_auth_method"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &asked) != nil || len(asked.RedirectURIs) == 0 || asked.AuthMethod != Basic && asked.AuthMethod != Post {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_client_metadata", "error_description": "redirect_uris and a token_endpoint_auth_method are required"})
		return
	}
	v.mu.Lock()
	c := Client{ID: "registered-" + rand.Text(), Secret: v.secretValue("client"), AuthMethods: []string{asked.AuthMethod}, RedirectURIs: asked.RedirectURIs}
	v.clients[c.ID] = c
	v.mu.Unlock()
	writeJSON(w, http.StatusCreated, map[string]any{
		"client_id": c.ID, "client_secret": c.Secret, "client_secret_expires_at": 0, "token_endpoint_auth_method": asked.AuthMethod, "redirect_uris": asked.RedirectURIs,
	})
}

// Forget removes a client, as vendors do with those that registered themselves.
func (v *Vendor) Forget(clientID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.clients, clientID)
}
