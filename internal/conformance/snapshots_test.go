package conformance

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"credence/internal/testenv"
)

// snapshots say how each request that the AWS SDK for Go keeps as a snapshot is answered here: the status, then the exception or the members that are wrong.
// The SDK fills every member with its own name, as in "__Name__": most of these are no values of their members, and for this they are refused.
var snapshots = map[string]string{
	"GetWorkloadAccessToken":          "200",
	"GetWorkloadAccessTokenForJWT":    "401 UnauthorizedException",
	"GetWorkloadAccessTokenForUserId": "200",
	"GetResourceOauth2Token":          "400 sessionUri resourceOauth2ReturnUrl",
	"GetResourceApiKey":               "401 UnauthorizedException",
	"GetResourcePaymentToken":         "400 paymentTokenRequest.coinbaseCdpTokenRequest.requestHost paymentTokenRequest.coinbaseCdpTokenRequest.requestPath",
	"CompleteResourceTokenAuth":       "400 sessionUri",

	"CreateWorkloadIdentity": "400 allowedResourceOauth2ReturnUrls[0] allowedResourceOauth2ReturnUrls[1]",
	"GetWorkloadIdentity":    "200",
	"ListWorkloadIdentities": "400 nextToken",
	"UpdateWorkloadIdentity": "400 allowedResourceOauth2ReturnUrls[0] allowedResourceOauth2ReturnUrls[1]",
	"DeleteWorkloadIdentity": "204",

	"CreateOauth2CredentialProvider": "400 " + oauth2Snapshot,
	"GetOauth2CredentialProvider":    "200",
	"ListOauth2CredentialProviders":  "400 nextToken",
	"UpdateOauth2CredentialProvider": "400 " + oauth2Snapshot,
	"DeleteOauth2CredentialProvider": "204",

	// A secret that is kept here, and says where it is kept elsewhere.
	"CreateApiKeyCredentialProvider": "400 apiKeySecretConfig",
	"GetApiKeyCredentialProvider":    "200",
	"ListApiKeyCredentialProviders":  "400 nextToken",
	"UpdateApiKeyCredentialProvider": "400 apiKeySecretConfig",
	"DeleteApiKeyCredentialProvider": "204",

	"CreatePaymentCredentialProvider": "400 providerConfigurationInput.coinbaseCdpConfiguration.apiKeySecretConfig",
	"GetPaymentCredentialProvider":    "200",
	"ListPaymentCredentialProviders":  "400 nextToken",
	"UpdatePaymentCredentialProvider": "400 providerConfigurationInput.coinbaseCdpConfiguration.apiKeySecretConfig",
	"DeletePaymentCredentialProvider": "204",

	"GetTokenVault":              "404 ResourceNotFoundException",
	"SetTokenVaultCMK":           "400 kmsConfiguration.kmsKeyArn",
	"ResetTokenVaultKeyMaterial": "404 ResourceNotFoundException",

	"CreateConsentPortal": "400 executionRoleArn idpConfig.credentialProviderArn sources", // it has two of them
	"GetConsentPortal":    "404 ResourceNotFoundException",
	"ListConsentPortals":  "400 nextToken",
	"UpdateConsentPortal": "400 executionRoleArn idpConfig.credentialProviderArn",
	"DeleteConsentPortal": "404 ResourceNotFoundException",

	"TagResource":         "400 resourceArn",
	"UntagResource":       "400 resourceArn",
	"ListTagsForResource": "400 resourceArn",
}

// oauth2Snapshot are the members of an OAuth2 provider's snapshot that have patterns.
var oauth2Snapshot = strings.ReplaceAll("~oauthDiscovery.discoveryUrl ~privateKeyJwtConfig.privateKeySource.kmsKeySource.kmsKeyArn "+
	"~privateEndpoint.selfManagedLatticeResource.resourceConfigurationIdentifier "+
	"~privateEndpointOverrides[0].privateEndpoint.selfManagedLatticeResource.resourceConfigurationIdentifier "+
	"~privateEndpointOverrides[1].privateEndpoint.selfManagedLatticeResource.resourceConfigurationIdentifier", "~", "oauth2ProviderConfigInput.customOauth2ProviderConfig.")

// Every request snapshot of the AWS SDK for Go for these operations is accepted, or refused for the right reason.
func TestConformanceWithSnapshots(t *testing.T) {
	w := newWorld(t)
	names := map[string]any{"name": "__Name__"}
	w.must(t, "CreateWorkloadIdentity", obj{"name": "__WorkloadName__"})
	w.must(t, "CreateWorkloadIdentity", with(names))
	w.must(t, "CreateOauth2CredentialProvider", with(w.custom(), names))
	w.must(t, "CreateApiKeyCredentialProvider", with(apiKey(), names))
	w.must(t, "CreatePaymentCredentialProvider", with(coinbase(), names))

	inOrder := operations()
	slices.SortStableFunc(inOrder, func(a, b string) int { return deletes(a) - deletes(b) })
	for _, name := range inOrder {
		method, path, body := snapshot(t, name)
		op, served := table[name]
		if !served {
			a := w.caller.Call(path, body, testenv.By(method))
			if a.Type() != "UnknownOperationException" {
				t.Errorf("%s is not served, but answers %d %s", name, a.Status, a.Body)
			}
			continue
		}
		if method != op.Method {
			t.Errorf("%s: %s, not %s", name, op.Method, method)
		}
		a := w.sendBody(t, op, path, body, func(r *http.Request) {
			if body == "" {
				r.Header.Del("Content-Type")
			}
		})
		if got := outcome(t, a); got != snapshots[name] {
			t.Errorf("%s: %q, want %q\n%s\n%s", name, got, snapshots[name], body, a.Body)
		}
	}
}

func deletes(operation string) int {
	if strings.HasPrefix(operation, "Delete") {
		return 1
	}
	return 0
}

// snapshot reads a file of the SDK's module: the request line, headers and the body, with empty lines between them.
func snapshot(t *testing.T, operation string) (method, path, body string) {
	t.Helper()
	for _, dir := range sdkModules(t) {
		text, err := os.ReadFile(filepath.Join(dir, "request_snapshot", operation+".request.snap"))
		if err != nil {
			continue
		}
		line, rest, _ := strings.Cut(string(text), "\n")
		method, path, _ = strings.Cut(line, " ")
		if _, after, ok := strings.Cut(rest, "{"); ok {
			body = "{" + after
		}
		return method, path, body
	}
	t.Fatalf("the SDK has no snapshot of %s", operation)
	return
}

// sdkModules are where the modules of the SDK lie.
func sdkModules(t *testing.T) []string {
	t.Helper()
	const sdk = "github.com/aws/aws-sdk-go-v2/service/"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", sdk+"bedrockagentcore", sdk+"bedrockagentcorecontrol").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// outcome is an answer in short.
func outcome(t *testing.T, a testenv.Answer) string {
	t.Helper()
	short := fmt.Sprint(a.Status)
	switch a.Type() {
	case "":
	case "ValidationException":
		for _, f := range errorOf(t, a).FieldList {
			short += " " + f.Name
		}
	default:
		short += " " + a.Type()
	}
	return short
}
