package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Metadata is what an authorization server says about itself (RFC 8414 section 2, OpenID Connect Discovery 1.0 section 3). Its URLs
// are the server's words: check them before use.
type Metadata struct {
	Issuer                             string   `json:"issuer"`
	AuthorizationEndpoint              string   `json:"authorization_endpoint"`
	TokenEndpoint                      string   `json:"token_endpoint"`
	JWKSURI                            string   `json:"jwks_uri"`
	RevocationEndpoint                 string   `json:"revocation_endpoint"`
	RegistrationEndpoint               string   `json:"registration_endpoint"`                 // RFC 7591
	ClientIDMetadataDocumentSupported  bool     `json:"client_id_metadata_document_supported"` // draft-ietf-oauth-client-id-metadata-document
	DeviceAuthorizationEndpoint        string   `json:"device_authorization_endpoint"`         // RFC 8628
	ScopesSupported                    []string `json:"scopes_supported"`
	PushedAuthorizationRequestEndpoint string   `json:"pushed_authorization_request_endpoint"` // RFC 9126
	RequirePushedAuthorizationRequests bool     `json:"require_pushed_authorization_requests"`
	DPoPSigningAlgs                    []string `json:"dpop_signing_alg_values_supported"` // RFC 9449
	MTLSEndpointAliases                struct { // RFC 8705 section 5: for clients that show certificates
		TokenEndpoint                      string `json:"token_endpoint"`
		RevocationEndpoint                 string `json:"revocation_endpoint"`
		PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint"`
		DeviceAuthorizationEndpoint        string `json:"device_authorization_endpoint"`
	} `json:"mtls_endpoint_aliases"`
	RequireSignedRequestObject                 bool     `json:"require_signed_request_object"` // RFC 9101
	CodeChallengeMethods                       []string `json:"code_challenge_methods_supported"`
	GrantTypes                                 []string `json:"grant_types_supported"` // some servers leave out what they do support
	TokenEndpointAuthMethods                   []string `json:"token_endpoint_auth_methods_supported"`
	AuthorizationResponseIssParameterSupported bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
}

// ParseMetadata reads a discovery document that was fetched from documentURL, and checks that the issuer in it owns that URL (RFC 8414
// section 3.3): one server must not speak for another. The error is one sentence.
func ParseMetadata(body []byte, documentURL string) (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &m); err != nil {
		if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && typeErr.Field != "" {
			return Metadata{}, fmt.Errorf("%q is not a discovery document: its %s is a JSON %s", documentURL, typeErr.Field, typeErr.Value)
		}
		return Metadata{}, fmt.Errorf("%q is not a discovery document: it is no JSON object", documentURL)
	}
	if !slices.Contains(documentURLs(m.Issuer), documentURL) {
		return Metadata{}, fmt.Errorf("%q is the discovery document of another issuer, %.300q", documentURL, m.Issuer)
	}
	return m, nil
}

// documentURLs are the places where an issuer's document may be: after the issuer (OpenID Connect Discovery section 4.1), or with the
// well-known part between host and path (RFC 8414 section 3.1). None for an issuer with a query or fragment, which both forbid.
func documentURLs(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.ContainsAny(issuer, "?#") {
		return nil
	}
	issuer = strings.TrimSuffix(issuer, "/")
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := strings.TrimSuffix(issuer, path)
	var all []string
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		all = append(all, issuer+"/.well-known/"+name, origin+"/.well-known/"+name+path)
	}
	return all
}
