package awsapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"credence/internal/testenv"
)

// The whole way: an application that verifies with the library of Standard Webhooks learns of a consent and of its end, and no token or secret is in what it gets.
func TestWebhookJourney(t *testing.T) {
	e := testenv.Start(t)
	var mu sync.Mutex
	var bodies, problems []string
	var verifier *standardwebhooks.Webhook
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = verifier.Verify(body, r.Header)
		}
		if err != nil {
			problems = append(problems, err.Error())
		}
		bodies = append(bodies, string(body))
	}))
	t.Cleanup(receiver.Close)
	var hook struct{ Secret string }
	a := e.Admin.Call("/credence/PutWebhook", `{"name":"app","url":"`+receiver.URL+`/in","eventTypes":["consent.completed","grant.revoked"]}`)
	if err := json.Unmarshal([]byte(a.Body), &hook); err != nil || hook.Secret == "" {
		t.Fatal(a.Body)
	}
	e.Plant(hook.Secret, strings.TrimPrefix(hook.Secret, "whsec_"))
	var err error
	if verifier, err = standardwebhooks.NewWebhook(hook.Secret); err != nil {
		t.Fatal(err)
	}

	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	wat := e.Admin.WAT("agent", "alice")
	out, err := e.Admin.Token(wat, "vendor", data.Oauth2FlowTypeUserFederation)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Admin.Complete(testenv.NewBrowser(t).Visit(*out.AuthorizationUrl).Get("session_id"), "alice"); err != nil {
		t.Fatal(err)
	}
	token, err := e.Admin.Token(wat, "vendor", data.Oauth2FlowTypeUserFederation)
	if err != nil || token.AccessToken == nil {
		t.Fatal(err)
	}
	if a := e.Admin.Call("/credence/RevokeGrants", `{"user":{"userId":"alice"}}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	seen := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string{}, bodies...)
	}
	for deadline := time.Now().Add(time.Minute); len(seen()) < 2 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
	}
	all := strings.Join(seen(), "\n")
	for _, want := range []string{`"type":"consent.completed"`, `"type":"grant.revoked"`, `"workloadName":"agent"`, `"resourceCredentialProviderName":"vendor"`, `"user":"id:\"alice\""`, `"reason":"grant_revoked"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not in\n%s", want, all)
		}
	}
	for _, secret := range []string{e.Vendor.Mark, *token.AccessToken, *wat, testenv.ClientSecret, hook.Secret} {
		if strings.Contains(all, secret) {
			t.Errorf("a webhook is told a secret (%.6s…)", secret)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if problems != nil {
		t.Error(problems)
	}
}
