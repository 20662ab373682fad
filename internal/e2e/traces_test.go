package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/server"
	"credence/internal/testenv"
)

// A caller's own trace.
const (
	callersTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersParent = "00f067aa0ba902b7"
)

// carry sends a trace along, with what may not be taken over.
func carry(flags string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Traceparent", "00-"+callersTrace+"-"+callersParent+"-"+flags)
		r.Header.Set("Tracestate", "vendor=planted-in-tracestate")
		r.Header.Set("Baggage", "user=planted-in-baggage")
	}
}

// traces are the spans of a server, by name.
type traces map[string][]testenv.Span

func spansOf(e *testenv.Env) traces {
	e.T.Helper()
	all := traces{}
	for _, s := range e.Spans() {
		all[s.Name] = append(all[s.Name], s)
	}
	return all
}

// last is the last span of a name; it has at least these attributes.
func (a traces) last(t *testing.T, name string, want map[string]any) testenv.Span {
	t.Helper()
	if len(a[name]) == 0 {
		t.Fatalf("no span %q among %q", name, slices.Sorted(maps.Keys(a)))
	}
	s := a[name][len(a[name])-1]
	for key, value := range want {
		if fmt.Sprint(s.Attributes[key]) != fmt.Sprint(value) {
			t.Errorf("%s: %s is %v, want %v", name, key, s.Attributes[key], value)
		}
	}
	return s
}

const arn = "arn:aws:bedrock-agentcore:us-east-1:" + testenv.Account + ":"

// A whole life of a grant is told in spans: who, what, with whom at the vendor's, and how it ended; and never a token, code, state, query or body: what was
// planted is looked for in all that was exported when the test ends.
func TestTraces(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	e.Plant("planted-in-tracestate", "planted-in-baggage")
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Second })
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	jwt := e.Vendor.Sign(map[string]any{"sub": "alice", "aud": "app"})
	e.Plant(jwt)
	minted := e.Admin.Call("/identities/GetWorkloadAccessTokenForJWT", `{"workloadName":"agent","userToken":"`+jwt+`"}`)
	if minted.Status != 200 {
		t.Fatal(minted.Body)
	}

	// A consent, link by link, so that each of its secrets is known.
	wat := e.Admin.WAT("agent", "bob")
	asked, err := e.Admin.Token(wat, "vendor", data.Oauth2FlowTypeUserFederation)
	if err != nil {
		t.Fatal(err)
	}
	b := testenv.NewBrowser(t)
	back := b.Visit(*asked.AuthorizationUrl)
	for _, address := range append(b.Seen, "?"+back.Encode()) {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"state", "code", "code_challenge", "nonce"} {
			e.Plant(u.Query().Get(name))
		}
	}
	for _, uri := range []string{*asked.SessionUri, back.Get("session_id")} {
		e.Plant(handle(uri))
	}
	for _, c := range b.Client.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(e.URL, "http://"), Path: "/"}) {
		e.Plant(c.Value)
	}
	if err := e.Admin.Complete(back.Get("session_id"), "bob"); err != nil {
		t.Fatal(err)
	}

	body := fmt.Sprintf(`{"workloadIdentityToken":%q,"resourceCredentialProviderName":"vendor","scopes":["read"],"oauth2Flow":"USER_FEDERATION","resourceOauth2ReturnUrl":%q}`, *wat, testenv.ReturnURL)
	time.Sleep(time.Second) // the token's end
	traced := e.Admin.Call("/identities/oauth2/token", body, carry("01"))
	if traced.Status != 200 {
		t.Fatal(traced.Body)
	}
	spans := spansOf(e)

	spans.last(t, "CreateOauth2CredentialProvider", map[string]any{"credential.provider.type": "oauth2credentialprovider", "credential.provider.name": "vendor", "http.response.status_code": 201})
	spans.last(t, "GetWorkloadAccessTokenForJWT", map[string]any{
		"issuer": e.Vendor.Issuer(), "user_sub": "alice", "workload.identity.id": "agent", "workload.identity.directory": "default",
		"aws.resource.arn": arn + "workload-identity-directory/default/workload-identity/agent",
	})
	if s := spans.last(t, "GetWorkloadAccessTokenForUserId", nil); s.Attributes["user_sub"] != nil {
		t.Errorf("a user whom nobody verified stands in a span: %v", s.Attributes)
	}
	for _, name := range []string{"authorize", "callback"} {
		s := spans.last(t, name, map[string]any{"workload.identity.id": "agent", "credential.provider.name": "vendor", "aws.account.id": testenv.Account})
		if s.Kind != "SPAN_KIND_SERVER" || s.Parent != "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
	asking := spans["GetResourceOauth2Token"][0]
	if asking.Attributes["credence.outcome"] != "consent_needed" {
		t.Errorf("the first request for a token: %v", asking.Attributes)
	}

	refreshed := spans.last(t, "GetResourceOauth2Token", map[string]any{
		"aws.operation.name": "GetResourceOauth2Token", "aws.resource.arn": arn + "token-vault/default/oauth2credentialprovider/vendor",
		"aws.request_id": traced.Header.Get("X-Amzn-Requestid"), "aws.account.id": testenv.Account, "aws.region": "us-east-1",
		"workload.identity.id": "agent", "workload.identity.directory": "default", "token.vault.name": "default",
		"credential.provider.name": "vendor", "credential.provider.type": "oauth2credentialprovider",
		"oauth2.flow": "USER_FEDERATION", "credence.outcome": "refreshed", "http.response.status_code": 200,
	})
	if refreshed.TraceID != callersTrace || refreshed.Parent != callersParent || refreshed.Kind != "SPAN_KIND_SERVER" || refreshed.Resource["service.name"] != "credence" {
		t.Errorf("the caller's trace is not continued: %+v", refreshed)
	}
	if ms, ok := refreshed.Attributes["latency_ms"].(float64); !ok || ms <= 0 || refreshed.Attributes["error_type"] != nil {
		t.Errorf("how it went: %v", refreshed.Attributes)
	}
	vendor := strings.TrimPrefix(e.Vendor.Issuer(), "http://")
	call := spans.last(t, "token request", map[string]any{"server.address": vendor, "http.response.status_code": 200, "oauth2.grant_type": "refresh_token"})
	if call.Parent != refreshed.SpanID || call.TraceID != refreshed.TraceID || call.Kind != "SPAN_KIND_CLIENT" {
		t.Errorf("the call to the vendor: %+v", call)
	}
	spans.last(t, "discovery document", map[string]any{"server.address": vendor, "http.response.status_code": 200})
	spans.last(t, "JWK Set", map[string]any{"server.address": vendor, "http.response.status_code": 200})

	for _, r := range e.Vendor.Requests() {
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage"} {
			if r.Header.Get(name) != "" {
				t.Errorf("the vendor was sent %s at %s", name, r.Path)
			}
		}
	}
	events := slices.DeleteFunc(e.Audit(testenv.Account), func(e audit.Event) bool { return e.Action != "bedrock-agentcore:GetResourceOauth2Token" })
	if last := events[len(events)-1]; last.TraceID != callersTrace || last.RequestID != traced.Header.Get("X-Amzn-Requestid") {
		t.Errorf("the audit event: %+v", last)
	}
	if !strings.Contains(e.Log(), "trace_id="+callersTrace) {
		t.Error("the log does not have the trace")
	}
}

// How requests fail is told in the words of the managed service; a vendor's fault is one of the call to it.
func TestTracesOfErrors(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	ask := func(provider, wat string) testenv.Answer {
		return e.Admin.Call("/identities/oauth2/token", fmt.Sprintf(`{"workloadIdentityToken":%q,"resourceCredentialProviderName":%q,"scopes":["read"],"oauth2Flow":"M2M"}`, wat, provider))
	}
	wat := *e.Admin.WAT("agent", "")
	const forged = "a-planted-token-that-never-was-one"
	e.Plant(forged)
	e.NewUser(testenv.Account, "nobody", "").Call("/identities/GetWorkloadAccessToken", `{"workloadName":"agent"}`)
	ask("nowhere", wat)
	ask("vendor", forged)
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.Status, b.Times = 503, 1 })
	ask("vendor", wat)
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode, b.Times = "invalid_client", 1 })
	ask("vendor", wat)
	link := e.URL + "/identities/oauth2/authorize?request_uri=urn:ietf:params:oauth:request_uri:PLANTEDINALINK"
	e.Plant("PLANTEDINALINK")
	_ = testenv.NewBrowser(t).Get(link).Body.Close()

	spans := spansOf(e)
	spans.last(t, "GetWorkloadAccessToken", map[string]any{"error_type": "user", "error.type": "access_denied", "http.response.status_code": 403})
	tokens := spans["GetResourceOauth2Token"]
	if len(tokens) != 4 {
		t.Fatalf("%d requests for tokens", len(tokens))
	}
	for i, want := range []struct{ whose, what string }{{"user", "not_found"}, {"user", "unauthorized"}, {"throttle", "throttled"}, {"user", "validation"}} {
		if a := tokens[i].Attributes; a["error_type"] != want.whose || a["error.type"] != want.what || tokens[i].Error {
			t.Errorf("request %d: %v", i, a)
		}
	}
	calls := spans["token request"]
	if len(calls) != 2 || !calls[0].Error || calls[0].Attributes["error.type"] != "temporary" || calls[0].Attributes["http.response.status_code"] != int64(503) ||
		calls[1].Error || calls[1].Attributes["error.type"] != "refused" {
		t.Errorf("the calls to the vendor: %+v", calls)
	}
	spans.last(t, "authorize", map[string]any{"error_type": "user", "error.type": "unknown"})
}

// Who cannot sign makes no spans, and who wants none of its own sampled gets none. What a caller says of its trace need not be signed.
func TestTracesOfStrangers(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	const path, body = "/identities/ListWorkloadIdentities", `{}`
	stranger := e.Admin.Sign(path, body, "bedrock-agentcore", time.Now(), carry("01"))
	stranger.Header.Set("Authorization", strings.Replace(stranger.Header.Get("Authorization"), "Signature=", "Signature=0", 1))
	if a := e.Do(stranger); a.Status != 403 {
		t.Errorf("a wrong signature: %d", a.Status)
	}
	if a := e.Admin.Call(path, body, carry("00")); a.Status != 200 {
		t.Errorf("not sampled: %d", a.Status)
	}
	if spans := e.Spans(); len(spans) > 0 {
		t.Errorf("exported %+v", spans)
	}
	unsigned := e.Admin.Sign(path, body, "bedrock-agentcore", time.Now())
	carry("01")(unsigned)
	if a := e.Do(unsigned); a.Status != 200 {
		t.Errorf("an unsigned traceparent: %d %s", a.Status, a.Body)
	}
	doubled := e.Admin.Sign(path, body, "bedrock-agentcore", time.Now())
	doubled.Header["Traceparent"] = []string{"00-" + callersTrace + "-" + callersParent + "-01", "00-" + callersTrace + "-" + callersParent + "-00"}
	e.Do(doubled)
	spans := spansOf(e)["ListWorkloadIdentities"]
	if len(spans) != 2 || spans[0].TraceID != callersTrace || spans[1].Parent != "" {
		t.Errorf("exported %+v", spans)
	}
}

// A receiver that is away holds up nothing.
func TestTracesWithoutReceiver(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, func(c *server.Config) { c.TraceEndpoint = "http://127.0.0.1:1" })
	e.Admin.CreateWorkload("agent")
	begun := time.Now()
	e.Restart()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if !strings.Contains(e.Log(), "traces were not exported") {
		t.Error("nobody is told")
	}
}
