package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/testenv"
)

// agent is a program that uses the AWS SDK for JavaScript (testdata/js/agent.mjs).
type agent struct {
	t testing.TB
	*calls
}

// calls are those of one agent so far.
type calls struct {
	program *program

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	called  map[string]bool // operations
	secrets []string        // that it was given and no vendor knows
}

// in is the same agent for a subtest.
func (a *agent) in(t testing.TB) *agent { return &agent{t, a.calls} }

// object is an input as JavaScript has it.
type object = map[string]any

type answer struct {
	ID     int             `json:"id"`
	Output json.RawMessage `json:"output"`
	Error  *awsError       `json:"error"`
}

// metadata is what the SDK tells of an answer beside its members.
type metadata struct {
	HTTPStatusCode int    `json:"httpStatusCode"`
	RequestID      string `json:"requestId"`
	Attempts       int    `json:"attempts"`
}

// awsError is an error as a JavaScript program sees it.
type awsError struct {
	Name    string `json:"name"`
	Typed   bool   `json:"typed"`   // an instance of the SDK's class of that name
	Service bool   `json:"service"` // an instance of the SDK's base class
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Fields  []struct {
		Name    string `json:"name"`
		Message string `json:"message"`
	} `json:"fieldList"`
	Fault    string   `json:"fault"`
	Metadata metadata `json:"metadata"`
}

func (e *awsError) Error() string { return e.Name + ": " + e.Message }

// date is set from a JavaScript Date and from nothing else.
type date struct {
	Time time.Time `json:"$date"`
}

// environment is what an AWS program needs to use a server, and nothing of this machine's.
func environment(t testing.TB, url string) []string {
	return []string{
		"HOME=" + t.TempDir(), "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL_BEDROCK_AGENTCORE=" + url, "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL=" + url, "AWS_ENDPOINT_URL_STS=" + url,
	}
}

// administrator is an agent with the credentials file that the server wrote at its first start.
func administrator(e *testenv.Env, extra ...string) *agent {
	file := "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(e.Config.DataDir, "credentials")
	a := startAgent(e.T, append(append(environment(e.T, e.URL), file), extra...))
	e.T.Cleanup(func() { e.Plant(a.secrets...) })
	return a
}

// startAgent runs an agent until the test ends.
func startAgent(t testing.TB, env []string) *agent {
	t.Helper()
	a := &agent{t, &calls{waiting: map[int]chan answer{}, called: map[string]bool{}}}
	var err error
	a.program, err = node("agent.mjs", env, func(line []byte) {
		var out answer
		if err := json.Unmarshal(line, &out); err != nil {
			t.Errorf("the agent wrote %q: %v", line, err)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.waiting[out.ID] <- out
		delete(a.waiting, out.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if said, err := a.program.stop(); err != nil || t.Failed() {
			t.Logf("agent: %v\n%s", err, said)
		}
	})
	return a
}

// ask makes one call; it may be used by many goroutines.
func (a *agent) ask(operation string, request object) answer {
	a.t.Helper()
	reply := make(chan answer, 1)
	a.mu.Lock()
	a.next++
	request["id"], request["operation"] = a.next, operation
	a.waiting[a.next], a.called[operation] = reply, true
	a.mu.Unlock()
	if err := a.program.tell(request); err != nil {
		a.t.Error(err)
		return answer{}
	}
	select {
	case out := <-reply:
		return out
	case <-time.After(patience):
		a.t.Errorf("%s: the agent did not answer", operation)
		return answer{}
	}
}

// call makes one call that must succeed; T is the output as the program sees it.
func call[T any](a *agent, operation string, input object) (out T) {
	a.t.Helper()
	return finish[T](a, operation, a.ask(operation, object{"input": input}))
}

// extended is call with headers, for Credence's own members.
func extended[T any](a *agent, operation string, input, headers object) T {
	a.t.Helper()
	return finish[T](a, operation, a.ask(operation, object{"input": input, "headers": headers}))
}

// pages is call through the SDK's paginator: the output of every page.
func pages[T any](a *agent, operation string, input object) []T {
	a.t.Helper()
	return finish[[]T](a, operation, a.ask(operation, object{"input": input, "pages": true}))
}

func finish[T any](a *agent, operation string, reply answer) (out T) {
	a.t.Helper()
	if reply.Error != nil {
		a.t.Fatalf("%s: %+v", operation, *reply.Error)
	}
	if err := json.Unmarshal(reply.Output, &out); err != nil {
		a.t.Fatalf("%s: %s: %v", operation, reply.Output, err)
	}
	return out
}

// refusal makes one call that must fail.
func (a *agent) refusal(operation string, input object) awsError {
	a.t.Helper()
	reply := a.ask(operation, object{"input": input})
	if reply.Error == nil {
		a.t.Fatalf("%s did not fail: %s", operation, reply.Output)
	}
	return *reply.Error
}

// token is the output of GetResourceOauth2Token.
type token struct {
	AuthorizationURL string   `json:"authorizationUrl"`
	AccessToken      string   `json:"accessToken"`
	SessionURI       string   `json:"sessionUri"`
	SessionStatus    string   `json:"sessionStatus"`
	Metadata         metadata `json:"$metadata"`
}

// wat is a workload access token of a workload; user "" is nobody.
func (a *agent) wat(workload, user string) string {
	a.t.Helper()
	type output struct {
		WorkloadAccessToken string `json:"workloadAccessToken"`
	}
	var out output
	if user == "" {
		out = call[output](a, "GetWorkloadAccessToken", object{"workloadName": workload})
	} else {
		out = call[output](a, "GetWorkloadAccessTokenForUserId", object{"workloadName": workload, "userId": user})
	}
	a.secrets = append(a.secrets, out.WorkloadAccessToken)
	return out.WorkloadAccessToken
}

// complete completes a session for a user, as the application does who knows whose browser came back.
func (a *agent) complete(sessionURI, user string) error {
	reply := a.ask("CompleteResourceTokenAuth", object{"input": object{"sessionUri": sessionURI, "userIdentifier": object{"userId": user}}})
	if reply.Error != nil {
		return reply.Error
	}
	return nil
}

// customProvider is the input of CreateOauth2CredentialProvider for a vendor's client.
func customProvider(name, issuer, clientID, clientSecret, method string) object {
	return object{
		"name": name, "credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": object{"customOauth2ProviderConfig": object{
			"oauthDiscovery": object{"discoveryUrl": strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"},
			"clientId":       clientID, "clientSecret": clientSecret, "clientAuthenticationMethod": method,
		}},
	}
}
