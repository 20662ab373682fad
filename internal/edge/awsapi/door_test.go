package awsapi_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"

	"credence/internal/server"
	"credence/internal/testenv"
)

// What never reaches an operation: each with the name that SDKs know and a request id.
func TestAtTheDoor(t *testing.T) {
	e := testenv.Start(t)
	const path = "/identities/GetTokenVault"
	const vault = "/identities/get-token-vault"
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	unsigned := func(path, body string, edit ...func(*http.Request)) testenv.Answer {
		req, err := http.NewRequest(http.MethodPost, e.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range edit {
			f(req)
		}
		return e.Do(req)
	}
	for name, c := range map[string]struct {
		answer testenv.Answer
		status int
		kind   string
		text   string
	}{
		"unknown path":             {e.Admin.Call(path, "{}"), 404, "UnknownOperationException", "There is no operation at POST /identities/GetTokenVault"},
		"untidy path":              {e.Admin.Call("//identities/get-token-vault", "{}"), 404, "UnknownOperationException", ""},
		"no signature":             {unsigned(vault, "{}"), 403, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		"a bearer token":           {unsigned(vault, "{}", header("Authorization", "Bearer planted-bearer-token")), 403, "IncompleteSignatureException", ""},
		"too large, announced":     {e.Admin.Call(vault, strings.Repeat("x", 512<<10+1)), 413, "RequestEntityTooLargeException", "larger than 524288 bytes"},
		"as large as may be":       {e.Admin.Call(vault, `{"x":"`+strings.Repeat("x", 512<<10-8)+`"}`), 404, "ResourceNotFoundException", ""},
		"too large, in chunks":     {unsigned(vault, strings.Repeat("x", 512<<10+1), func(r *http.Request) { r.ContentLength = -1 }), 413, "RequestEntityTooLargeException", ""},
		"not JSON":                 {e.Admin.Call(vault, `{"tokenVaultId":`), 400, "ValidationException", ""},
		"an array":                 {e.Admin.Call(vault, `[]`), 400, "ValidationException", ""},
		"no body":                  {e.Admin.Call(vault, ``), 404, "ResourceNotFoundException", "Resource not found: arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default"},
		"an unknown member":        {e.Admin.Call(vault, `{"future":[1,{"x":null}]}`), 404, "ResourceNotFoundException", ""},
		"a wrong member":           {e.Admin.Call(vault, `{"tokenVaultId":"a b"}`), 400, "ValidationException", "tokenVaultId"},
		"a read header, unsigned":  {unsignedHeader(t, e, vault), 403, "InvalidSignatureException", ""},
		"another door's signature": {e.Do(signedFor(t, e, vault, "sts")), 403, "InvalidSignatureException", "Credential should be scoped to correct service: 'bedrock-agentcore'"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.answer.Status != c.status || c.answer.Type() != c.kind || !strings.Contains(c.answer.Message(), c.text) {
				t.Errorf("%d %s %s", c.answer.Status, c.answer.Type(), c.answer.Body)
			}
			if c.answer.Header.Get("X-Amzn-Requestid") == "" || c.answer.Header.Get("Content-Type") != "application/json" || !strings.Contains(c.answer.Body, `"__type":"`+c.kind+`"`) {
				t.Errorf("headers %v, body %s", c.answer.Header, c.answer.Body)
			}
		})
	}
	e.Plant("planted-bearer-token")
}

func unsignedHeader(t *testing.T, e *testenv.Env, path string) testenv.Answer {
	t.Helper()
	req := signedFor(t, e, path, "bedrock-agentcore")
	req.Header.Set("X-Credence-Confirm", "never")
	return e.Do(req)
}

func signedFor(t *testing.T, e *testenv.Env, path, service string) *http.Request {
	t.Helper()
	return e.Admin.Sign(path, "{}", service, time.Now())
}

// A ValidationException names every wrong member by its JSON path.
func TestFieldList(t *testing.T) {
	e := testenv.Start(t)
	a := e.Admin.Call("/identities/CreateOauth2CredentialProvider", `{"name":"a b","credentialProviderVendor":"CustomOauth2","oauth2ProviderConfigInput":{"customOauth2ProviderConfig":{"clientId":"`+strings.Repeat("x", 257)+`","oauthDiscovery":{"discoveryUrl":"x"}}}}`)
	for _, part := range []string{`"reason":"FieldValidationFailed"`, `"fieldList":[`, `"name":"name"`, `"name":"oauth2ProviderConfigInput.customOauth2ProviderConfig.clientId"`, `"name":"oauth2ProviderConfigInput.customOauth2ProviderConfig.oauthDiscovery.discoveryUrl"`} {
		if !strings.Contains(a.Body, part) {
			t.Errorf("%s is not in %s", part, a.Body)
		}
	}
}

// Texts and header by which SDKs correct their clocks: a skewed SDK client succeeds by itself.
func TestSkewedClock(t *testing.T) {
	e := testenv.Start(t)
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		a := e.Do(e.Admin.Sign("/identities/get-token-vault", "{}", "bedrock-agentcore", time.Now().Add(skew)))
		want := map[bool]string{true: "Signature expired: ", false: "Signature not yet current: "}[skew < 0]
		if a.Status != 403 || a.Type() != "InvalidSignatureException" || !strings.HasPrefix(a.Message(), want) || a.Header.Get("Date") == "" {
			t.Errorf("%v: %d %s %s", skew, a.Status, a.Type(), a.Body)
		}
	}
}

// What a caller says of its address counts only when a trusted proxy says it.
func TestSourceAddress(t *testing.T) {
	forged := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.7, 198.51.100.9") }
	call := func(e *testenv.Env) string {
		t.Helper()
		if a := e.Admin.Call("/identities/ListWorkloadIdentities", "{}", forged); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		events := e.Audit(testenv.Account)
		return events[len(events)-1].SourceIP
	}
	if got := call(testenv.Start(t)); got != "127.0.0.1" {
		t.Errorf("a forged header made it %s", got)
	}
	trusted := func(cidrs ...string) func(*server.Config) {
		return func(c *server.Config) {
			for _, p := range cidrs {
				c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
			}
		}
	}
	if got := call(testenv.Start(t, trusted("127.0.0.1/32"))); got != "198.51.100.9" {
		t.Errorf("behind one proxy: %s", got)
	}
	if got := call(testenv.Start(t, trusted("127.0.0.1/32", "198.51.100.0/24"))); got != "203.0.113.7" {
		t.Errorf("behind two proxies: %s", got)
	}
	if got := call(testenv.Start(t, trusted("127.0.0.1/32", "0.0.0.0/0"))); got != "203.0.113.7" {
		t.Errorf("all trusted: %s", got)
	}
}

// An extension member reaches an operation through a signed header, since SDKs drop members that they do not know.
func TestExtensionByHeader(t *testing.T) {
	e := testenv.Start(t)
	e.Admin.CreateProvider("vendor")
	a := e.Admin.Call("/identities/CreateWorkloadIdentity", `{"name":"agent"}`, func(r *http.Request) { r.Header.Set("X-Credence-Complete-By-Session-Uri", "true") })
	if a.Status != 201 || !strings.Contains(a.Body, `"completeBySessionUri":true`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	a = e.Admin.Call("/identities/CreateWorkloadIdentity", `{"name":"agent2"}`, func(r *http.Request) { r.Header.Set("X-Credence-Complete-By-Session-Uri", "perhaps") })
	if a.Status != 400 || !strings.Contains(a.Body, `"name":"completeBySessionUri"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// The answer of an SDK call has its request id, and its audit event has the same.
func TestRequestID(t *testing.T) {
	e := testenv.Start(t)
	out, err := e.Admin.Control().CreateWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.CreateWorkloadIdentityInput{Name: aws.String("agent")})
	if err != nil {
		t.Fatal(err)
	}
	events := e.Audit(testenv.Account)
	id, ok := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	if recorded := events[len(events)-1].RequestID; !ok || id == "" || recorded != id {
		t.Errorf("the audit log has %q, the client %q", recorded, id)
	}
}
