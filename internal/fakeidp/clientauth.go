package fakeidp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authenticate finds the client by HTTP Basic or by form parameters (RFC 6749 section 2.3.1), by one of its own methods. It needs v.mu held.
func (v *Vendor) authenticate(r *http.Request) (Client, *refusal) {
	if r.PostForm.Has("client_assertion") {
		return v.federated(r)
	}
	client, method, err := v.identify(r)
	if err == nil && len(client.AuthMethods) > 0 && !slices.Contains(client.AuthMethods, method) {
		return Client{}, &refusal{http.StatusUnauthorized, "invalid_client", "this client must authenticate by " + strings.Join(client.AuthMethods, " or ")}
	}
	return client, err
}

// identify finds the client and says by which method. It needs v.mu held.
func (v *Vendor) identify(r *http.Request) (_ Client, method string, _ *refusal) {
	method = Post
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		if secret != "" {
			return Client{}, "", &refusal{code: "invalid_request", description: "two client authentication methods in one request"}
		}
		formID := id
		var ok bool
		if id, secret, ok = basicCredentials(r); !ok {
			return Client{}, "", &refusal{http.StatusUnauthorized, "invalid_client", "the Authorization header holds no form-encoded Basic credentials"}
		}
		if formID != "" && formID != id {
			return Client{}, "", &refusal{code: "invalid_request", description: "client_id differs from the Authorization header"}
		}
		method = Basic
	}
	client, ok := v.clients[id]
	if !ok || client.Secret == "" || client.Secret != secret {
		return Client{}, "", &refusal{http.StatusUnauthorized, "invalid_client", "the client is unknown or its secret is wrong"}
	}
	return client, method, nil
}

func basicCredentials(r *http.Request) (id, secret string, ok bool) {
	encodedID, encodedSecret, ok := r.BasicAuth()
	id, idErr := url.QueryUnescape(encodedID)
	secret, secretErr := url.QueryUnescape(encodedSecret)
	return id, secret, ok && idErr == nil && secretErr == nil
}
