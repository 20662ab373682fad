package awsapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"

	"credence/internal/server"
	"credence/internal/testenv"
)

func withQuotas(settings ...string) func(*server.Config) {
	return func(c *server.Config) { c.Quotas = settings }
}

// creations are the operations that make what has a quota, with a body for the n-th.
var creations = map[string]struct {
	quota, path, body, remove string
	exception                 string
	status                    int
}{
	"workload identity": {"workload-identities", "/identities/CreateWorkloadIdentity", `{"name":"made-%d"}`, "/identities/DeleteWorkloadIdentity", "ValidationException", 400},
	"OAuth2 provider": {"oauth2-providers", "/identities/CreateOauth2CredentialProvider",
		`{"name":"made-%d","credentialProviderVendor":"GithubOauth2","oauth2ProviderConfigInput":{"githubOauth2ProviderConfig":{"clientId":"c","clientSecret":"s"}}}`,
		"/identities/DeleteOauth2CredentialProvider", "ServiceQuotaExceededException", 402},
	"API key provider": {"api-key-providers", "/identities/CreateApiKeyCredentialProvider", `{"name":"made-%d","apiKey":"k"}`, "/identities/DeleteApiKeyCredentialProvider", "ServiceQuotaExceededException", 402},
	"payment provider": {"payment-providers", "/identities/CreatePaymentCredentialProvider",
		`{"name":"made-%d","credentialProviderVendor":"CoinbaseCDP","providerConfigurationInput":{"coinbaseCdpConfiguration":{"apiKeyId":"k","apiKeySecret":"` + edKey + `","walletSecret":"` + ecKey + `"}}}`,
		"/identities/DeletePaymentCredentialProvider", "ServiceQuotaExceededException", 402},
	"consent portal": {"consent-portals", "/identities/CreateConsentPortal",
		`{"name":"made-%d","executionRoleArn":"arn:aws:iam::123456789012:role/r","idpConfig":{"credentialProviderArn":"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/oauth2credentialprovider/sign-in","scopes":["openid"]},"sources":[{"identifier":"gateway-1","type":"agentcore-gateway"}]}`,
		"", "ServiceQuotaExceededException", 402},
}

// However many ask at once, an account gets exactly what it may have; the refusal is the modelled exception that SDKs do not repeat. What was deleted makes room;
// another account has room of its own.
func TestCountQuotasAreExact(t *testing.T) {
	for name, c := range creations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 5
			e := testenv.Start(t, withQuotas("rate.*=off", fmt.Sprintf("%s:%s=%d", testenv.Account, c.quota, most)))
			e.Admin.CreateProvider("sign-in")
			used := map[string]int{"oauth2-providers": 1}[c.quota]
			var made, refused atomic.Int64
			var all sync.WaitGroup
			for n := range 24 {
				all.Go(func() {
					a := e.Admin.Call(c.path, fmt.Sprintf(c.body, n))
					switch {
					case a.Status < 300:
						made.Add(1)
					case a.Status == c.status && a.Type() == c.exception && strings.Contains(a.Message(), "may have 5 "):
						refused.Add(1)
					default:
						t.Errorf("%d %s", a.Status, a.Body)
					}
					if a.Type() == "ValidationException" && !strings.Contains(a.Body, `"fieldList":[{"name":"name"`) {
						t.Errorf("no fieldList: %s", a.Body)
					}
				})
			}
			all.Wait()
			if int(made.Load()) != most-used || made.Load()+refused.Load() != 24 {
				t.Errorf("%d made, %d refused", made.Load(), refused.Load())
			}
			if c.remove == "" {
				return
			}
			gone := ""
			for n := range 24 { // a name that is taken stays a conflict, whether there is room or not
				if a := e.Admin.Call(c.path, fmt.Sprintf(c.body, n)); strings.Contains(a.Message(), "already exists") {
					gone = fmt.Sprintf("made-%d", n)
				}
			}
			if a := e.Admin.Call(c.remove, `{"name":"`+gone+`"}`); a.Status != 204 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if a := e.Admin.Call(c.path, fmt.Sprintf(c.body, 100)); a.Status >= 300 {
				t.Errorf("there is room, but %d %s", a.Status, a.Body)
			}
			if a := e.Admin.Call(c.path, fmt.Sprintf(c.body, 101)); a.Status < 300 {
				t.Error("one too many was made")
			}
			other := e.NewAccount("210987654321")
			for n := range most + 1 {
				if a := other.Call(c.path, fmt.Sprintf(c.body, n)); a.Status >= 300 {
					t.Errorf("another account: %d %s", a.Status, a.Body)
				}
			}
		})
	}
}

// throttled counts the requests that were refused for their rate.
func throttled(t *testing.T, e *testenv.Env, operation string) int {
	t.Helper()
	return e.Metric(`credence_throttled_requests_total{operation="` + operation + `"}`)
}

const getWorkload = "/identities/GetWorkloadIdentity"

// One request too many is answered before it is decoded or recorded, with the name and the time that clients look for; other operations and accounts go on.
func TestRateOfAnAccount(t *testing.T) {
	e := testenv.Start(t, withQuotas("rate.GetWorkloadIdentity=1"))
	e.Admin.CreateWorkload("agent")
	other := e.NewAccount("210987654321")
	if a := e.Admin.Call(getWorkload, `{`); a.Status != 400 { // a wrong one counts like any other
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a := e.Admin.Call(getWorkload, `{"name":"agent"}`)
	wait, err := strconv.Atoi(a.Header.Get("X-Amz-Retry-After"))
	if a.Status != 429 || a.Type() != "ThrottlingException" || !strings.HasPrefix(a.Message(), "Rate exceeded") || err != nil || wait < 1 || wait > 1000 || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
	var body struct {
		Type string `json:"__type"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil || body.Type != "ThrottlingException" {
		t.Errorf("%s", a.Body)
	}
	if n := throttled(t, e, "GetWorkloadIdentity"); n != 1 {
		t.Errorf("the metric says %d", n)
	}
	if strings.Contains(e.Log(), `level=INFO msg="request refused" id=`+a.Header.Get("X-Amzn-Requestid")) {
		t.Error("a flood would fill the log")
	}
	if a := other.Call(getWorkload, `{"name":"agent"}`); a.Status != 404 {
		t.Errorf("another account: %d %s", a.Status, a.Body)
	}
	if a := e.Admin.Call("/identities/ListWorkloadIdentities", `{}`); a.Status != 200 {
		t.Errorf("another operation: %d %s", a.Status, a.Body)
	}
	time.Sleep(time.Duration(wait) * time.Millisecond)
	if a := e.Admin.Call(getWorkload, `{"name":"agent"}`); a.Status != 200 {
		t.Errorf("after the wait: %d %s", a.Status, a.Body)
	}
	recorded := 0
	for _, event := range e.Audit(testenv.Account) {
		if event.Action == "bedrock-agentcore:GetWorkloadIdentity" {
			recorded++
		}
	}
	if recorded != 1 {
		t.Errorf("%d audit events, want that of the one request that was carried out", recorded)
	}
}

// Nobody uses up the rate of an account without being able to sign for it.
func TestRateCountsProvenRequestsOnly(t *testing.T) {
	e := testenv.Start(t, withQuotas("rate.GetWorkloadIdentity=1"))
	e.Admin.CreateWorkload("agent")
	spoil := map[string]func(*http.Request){
		"no signature": func(r *http.Request) { r.Header.Del("Authorization") },
		"another signature": func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:len(r.Header.Get("Authorization"))-4]+"0000")
		},
		"another body":      func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 },
		"another operation": func(r *http.Request) { r.URL.Path = "/identities/ListWorkloadIdentities" },
		"an access key unknown": func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Credential=", "Credential=X", 1))
		},
	}
	for name, change := range spoil {
		for range 10 {
			req := e.Admin.Sign(getWorkload, `{"name":"agent"}`, "bedrock-agentcore", time.Now())
			change(req)
			if a := e.Do(req); a.Status != 403 {
				t.Fatalf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	}
	if a := e.Admin.Call(getWorkload, `{"name":"agent"}`); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// The AWS SDK for Go waits and tries again by itself, as it comes.
func TestSDKRetriesOverTheRate(t *testing.T) {
	e := testenv.Start(t, withQuotas("rate.GetWorkloadIdentity=4"))
	e.Admin.CreateWorkload("agent")
	client := bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{
		BaseEndpoint: aws.String(e.URL), Region: "us-east-1", Credentials: aws.CredentialsProviderFunc(e.Admin.Retrieve),
		RetryMaxAttempts: 8, // three, its default, may all come too early by chance
	})
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if _, err := client.GetWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.GetWorkloadIdentityInput{Name: aws.String("agent")}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if throttled(t, e, "GetWorkloadIdentity") == 0 {
		t.Error("nothing was throttled, so nothing was shown")
	}
}

// Without a word of the operator, the quotas are the managed service's; with --dev there are none.
func TestDefaultQuotas(t *testing.T) {
	for dev, want := range map[bool]bool{true: false, false: true} {
		e := testenv.Start(t, func(c *server.Config) { c.Dev, c.Quotas = dev, []string{} })
		var refused atomic.Int64
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				if a := e.Admin.Call("/identities/ListWorkloadIdentities", `{}`); a.Status == 429 {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if got := refused.Load() > 0; got != want {
			t.Errorf("dev %t: %d of 200 are refused", dev, refused.Load())
		}
	}
}
