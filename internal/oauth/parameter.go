package oauth

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// protected are the parameters that carry the grant, the client or the way back. Whoever may set them could ask for more than was
// authorized, or have the answer sent elsewhere.
var protected = map[string]bool{
	"actor_token": true, "actor_token_type": true, "assertion": true, "client_assertion": true, "client_assertion_type": true, "client_id": true,
	"client_secret": true, "code": true, "code_challenge": true, "code_challenge_method": true, "code_verifier": true, "dpop_jkt": true, "grant_type": true,
	"nonce": true, "redirect_uri": true, "refresh_token": true, "request": true, "request_uri": true, "response_mode": true,
	"response_type": true, "scope": true, "state": true, "subject_token": true,
}

// IsProtected reports whether an extra parameter of this name is dropped. Case does not matter, and a name counts as what a lenient
// server makes of it: PHP reads client.id as client_id and scope[] as scope.
func IsProtected(name string) bool {
	name, _, _ = strings.Cut(strings.TrimSpace(name), "[")
	return protected[strings.NewReplacer(".", "_", "-", "_", " ", "_").Replace(strings.ToLower(name))]
}

// parameters starts a request with its extra parameters. Resources (RFC 8707) and audiences replace an extra parameter of that name.
func parameters(extra url.Values, resources, audiences []string) url.Values {
	v := make(url.Values)
	for name, values := range extra {
		if !IsProtected(name) {
			v[name] = slices.Clone(values)
		}
	}
	if len(resources) > 0 {
		v["resource"] = slices.Clone(resources)
	}
	if len(audiences) > 0 {
		v["audience"] = slices.Clone(audiences)
	}
	return v
}

// setScope joins scopes with the vendor's separator. A scope that contains a separator would count as two to the vendor, but was
// authorized as one.
func setScope(v url.Values, scopes []string, separator string) error {
	if separator == "" {
		separator = " "
	}
	for _, scope := range scopes {
		unsafe := strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' })
		if scope == "" || unsafe || strings.Contains(scope, separator) {
			return fmt.Errorf("scope %q must be printable ASCII without spaces and without the vendor's separator %q", scope, separator)
		}
	}
	if len(scopes) > 0 {
		v.Set("scope", strings.Join(scopes, separator))
	}
	return nil
}
