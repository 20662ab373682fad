package oauth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/oauth"
)

func TestDiscoveryDocument(t *testing.T) {
	const document = `{
		"issuer": "https://idp.example", "authorization_endpoint": "https://idp.example/authorize", "token_endpoint": "https://idp.example/token",
		"jwks_uri": "https://idp.example/jwks", "revocation_endpoint": "https://idp.example/revoke", "code_challenge_methods_supported": ["S256", "plain"],
		"token_endpoint_auth_methods_supported": ["client_secret_basic"], "authorization_response_iss_parameter_supported": true, "unknown": {"a": [1]}
	}`
	want := oauth.Metadata{
		Issuer: "https://idp.example", AuthorizationEndpoint: "https://idp.example/authorize", TokenEndpoint: "https://idp.example/token",
		JWKSURI: "https://idp.example/jwks", RevocationEndpoint: "https://idp.example/revoke", CodeChallengeMethods: []string{"S256", "plain"},
		TokenEndpointAuthMethods: []string{"client_secret_basic"}, AuthorizationResponseIssParameterSupported: true,
	}
	for _, bom := range []string{"", "\ufeff"} {
		got, err := oauth.ParseMetadata([]byte(bom+document), "https://idp.example/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for body, want := range map[string]string{
		"":                              "no JSON object",
		"<html>canary</html>":           "no JSON object",
		"[]":                            "no JSON object",
		`{"issuer":["canary"]}`:         "its issuer is a JSON array",
		`{"issuer":"https://idp.examp`:  "no JSON object",
		`{}`:                            "of another issuer",
		`null`:                          "of another issuer",
		`{"token_endpoint":17,"a":"b"}`: "its token_endpoint is a JSON number",
	} {
		_, err := oauth.ParseMetadata([]byte(body), "https://idp.example/.well-known/openid-configuration")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func TestDiscoveryIssuer(t *testing.T) {
	const openID, server = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	for _, tc := range []struct {
		issuer, document string
		ok               bool
	}{
		{"https://idp.example", "https://idp.example" + openID, true},
		{"https://idp.example", "https://idp.example" + server, true},
		{"https://idp.example/", "https://idp.example" + openID, true},
		{"https://idp.example:8443", "https://idp.example:8443" + openID, true},
		{"https://idp.example/tenant", "https://idp.example/tenant" + openID, true},
		{"https://idp.example/tenant/", "https://idp.example/tenant" + openID, true},
		{"https://idp.example/tenant/v2.0", "https://idp.example/tenant/v2.0" + server, true},
		{"https://idp.example/tenant", "https://idp.example" + server + "/tenant", true},
		{"https://idp.example/tenant/", "https://idp.example" + server + "/tenant", true},
		{"https://idp.example/tenant", "https://idp.example" + openID + "/tenant", true},
		{"https://idp.example/a%2Fb", "https://idp.example" + server + "/a%2Fb", true},

		{"https://victim.example", "https://idp.example" + openID, false},
		{"https://idp.example", "https://idp.example/tenant" + openID, false},
		{"https://idp.example/tenant", "https://idp.example" + openID, false},
		{"https://idp.example/a", "https://idp.example" + server + "/b", false},
		{"https://idp.example//", "https://idp.example" + openID, false},
		{"http://idp.example", "https://idp.example" + openID, false},
		{"https://idp.example", "https://idp.example.evil.example" + openID, false},
		{"https://idp.example", "https://idp.example" + openID + "?x=1", false},
		{"https://idp.example?x=", "https://idp.example?x=" + openID, false},
		{"https://idp.example#x", "https://idp.example#x" + openID, false},
		{"https://idp.example/{tenantid}/v2.0", "https://idp.example/common/v2.0" + openID, false},
		{"", openID, false},
		{"https://", "https://" + openID, false},
	} {
		body, err := json.Marshal(map[string]string{"issuer": tc.issuer})
		if err != nil {
			t.Fatal(err)
		}
		got, err := oauth.ParseMetadata(body, tc.document)
		if (err == nil) != tc.ok {
			t.Errorf("%q at %q: %v", tc.issuer, tc.document, err)
		}
		if err != nil && (got.Issuer != "" || !strings.Contains(err.Error(), fmt.Sprintf("%q", tc.issuer)) || !strings.Contains(err.Error(), fmt.Sprintf("%q", tc.document))) {
			t.Errorf("the error does not print both: %v", err)
		}
	}
}

// What passes is the document of an issuer that owns its URL.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://idp.example"}`), "https://idp.example/.well-known/openid-configuration")
	f.Add([]byte(`{"issuer":"https://idp.example/a"}`), "https://idp.example/.well-known/oauth-authorization-server/a")
	f.Add([]byte(`{"issuer":"https://a?"}`), "https://a?/.well-known/openid-configuration")
	f.Add([]byte(`[]`), "")
	f.Fuzz(func(t *testing.T, body []byte, documentURL string) {
		m, err := oauth.ParseMetadata(body, documentURL)
		if err != nil {
			return
		}
		before, after, _ := strings.Cut(documentURL, "/.well-known/")
		_, path, _ := strings.Cut(after, "/")
		if path != "" {
			before += "/" + path
		}
		if strings.TrimSuffix(m.Issuer, "/") != before {
			t.Errorf("%q at %q", m.Issuer, documentURL)
		}
	})
}
