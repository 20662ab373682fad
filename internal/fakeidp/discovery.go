package fakeidp

import "net/http"

// serveDiscovery answers the authorization server metadata (RFC 8414 section 2), which are also an OpenID provider's.
func (v *Vendor) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	b := v.snapshot()
	if b.DiscoveryStatus != 0 {
		http.Error(w, http.StatusText(b.DiscoveryStatus), b.DiscoveryStatus)
		return
	}
	metadata := map[string]any{
		"issuer":                                         v.issuer,
		"authorization_endpoint":                         v.base + "/authorize",
		"token_endpoint":                                 v.base + "/token",
		"revocation_endpoint":                            v.base + "/revoke",
		"registration_endpoint":                          v.base + "/register",
		"device_authorization_endpoint":                  v.base + "/device_authorization",
		"jwks_uri":                                       v.base + "/jwks",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "client_credentials", "refresh_token"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{Basic, Post},
		"revocation_endpoint_auth_methods_supported":     []string{Basic, Post},
		"authorization_response_iss_parameter_supported": true,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
	}
	if b.Pushed {
		metadata["pushed_authorization_request_endpoint"] = v.base + "/par"
	}
	if b.DPoP.Bound {
		metadata["dpop_signing_alg_values_supported"] = []string{"ES256"}
	}
	if b.PushRequired {
		metadata["require_pushed_authorization_requests"] = true
	}
	if b.LieInDiscovery != "" {
		metadata["issuer"] = b.LieInDiscovery
	}
	override(metadata, b.ExtraMetadata)
	writeJSON(w, http.StatusOK, metadata)
}
