package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/edge/awsapi"
	"credence/internal/fakeidp"
	"credence/internal/testenv"
)

// The AWS SDK for JavaScript is a client of every operation that this version serves, unchanged: outputs arrive in its types, lists page, errors are of its classes.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	t.Run("workload identities", func(t *testing.T) { workloadIdentities(t, a.in(t)) })
	t.Run("OAuth2 credential providers", func(t *testing.T) { oauth2Providers(t, a.in(t), e) })
	t.Run("API key credential providers", func(t *testing.T) { apiKeyProviders(t, a.in(t), e) })
	t.Run("payment credential providers", func(t *testing.T) { paymentProviders(t, a.in(t), e) })
	t.Run("consent portals", func(t *testing.T) { consentPortals(t, a.in(t)) })
	t.Run("tags", func(t *testing.T) { tags(t, a.in(t)) })
	t.Run("tokens of a workload", func(t *testing.T) { workloadTokens(t, a.in(t), e) })
	t.Run("tokens of a user", func(t *testing.T) { userTokens(t, a.in(t), e) })
	t.Run("keys of the token vault", func(t *testing.T) { vaultKeys(t, a.in(t), e) })
	t.Run("errors", func(t *testing.T) { errorClasses(t, a.in(t), e) })
	for _, op := range awsapi.Operations(nil, nil) {
		if !a.called[op.Name] && op.Name != "ResetTokenVaultKeyMaterial" { // which this version of the SDK does not know (vaultKeys)
			t.Errorf("%s is served, and was not called", op.Name)
		}
	}
}

type workloadIdentity struct {
	Name       string   `json:"name"`
	ARN        string   `json:"workloadIdentityArn"`
	ReturnURLs []string `json:"allowedResourceOauth2ReturnUrls"`
	Created    date     `json:"createdTime"`
	Updated    date     `json:"lastUpdatedTime"`
	Metadata   metadata `json:"$metadata"`
}

func workloadIdentities(t *testing.T, a *agent) {
	created := call[workloadIdentity](a, "CreateWorkloadIdentity", object{
		"name": "agent", "allowedResourceOauth2ReturnUrls": []string{testenv.ReturnURL}, "tags": object{"team": "a"},
	})
	want := workloadIdentity{
		Name: "agent", ARN: "arn:aws:bedrock-agentcore:us-east-1:" + testenv.Account + ":workload-identity-directory/default/workload-identity/agent",
		ReturnURLs: []string{testenv.ReturnURL},
	}
	if created.Metadata.HTTPStatusCode != 201 || created.Metadata.RequestID == "" || created.Metadata.Attempts != 1 {
		t.Errorf("metadata: %+v", created.Metadata)
	}
	created.Metadata = metadata{}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}

	got := call[workloadIdentity](a, "GetWorkloadIdentity", object{"name": "agent"})
	isNow(t, "createdTime", got.Created)
	isNow(t, "lastUpdatedTime", got.Updated)
	updated := call[workloadIdentity](a, "UpdateWorkloadIdentity", object{"name": "agent", "allowedResourceOauth2ReturnUrls": []string{testenv.ReturnURL, "https://other.example/"}})
	if len(updated.ReturnURLs) != 2 || !updated.Created.Time.Equal(got.Created.Time) || updated.Updated.Time.Before(got.Updated.Time) {
		t.Errorf("updated: %+v, before: %+v", updated, got)
	}

	for i := range 4 {
		call[object](a, "CreateWorkloadIdentity", object{"name": fmt.Sprintf("listed-%d", i)})
	}
	var names [][]string
	type page struct {
		WorkloadIdentities []workloadIdentity `json:"workloadIdentities"`
	}
	for _, p := range pages[page](a, "ListWorkloadIdentities", object{"maxResults": 2}) {
		var of []string
		for _, w := range p.WorkloadIdentities {
			of = append(of, w.Name)
		}
		names = append(names, of)
	}
	if diff := cmp.Diff([][]string{{"agent", "listed-0"}, {"listed-1", "listed-2"}, {"listed-3"}}, names); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	deletes(t, a, "WorkloadIdentity", "listed-3")
}

// isNow wants a Date of a moment ago.
func isNow(t *testing.T, what string, d date) {
	t.Helper()
	if age := time.Since(d.Time); age < -time.Minute || age > patience {
		t.Errorf("%s is %s, and not a Date of now", what, d.Time)
	}
}

// deletes wants a resource to be gone after it was deleted.
func deletes(t *testing.T, a *agent, kind, name string) {
	t.Helper()
	type output struct {
		Metadata metadata `json:"$metadata"`
	}
	if got := call[output](a, "Delete"+kind, object{"name": name}); got.Metadata.HTTPStatusCode != 204 {
		t.Errorf("Delete%s answered %d", kind, got.Metadata.HTTPStatusCode)
	}
	if got := a.refusal("Get"+kind, object{"name": name}); got.Name != "ResourceNotFoundException" {
		t.Errorf("Get%s after it was deleted: %+v", kind, got)
	}
}

type oauth2Provider struct {
	Name            string `json:"name"`
	ARN             string `json:"credentialProviderArn"`
	Vendor          string `json:"credentialProviderVendor"`
	CallbackURL     string `json:"callbackUrl"`
	Status          string `json:"status"`
	ClientSecretARN struct {
		SecretARN string `json:"secretArn"`
	} `json:"clientSecretArn"`
	Created date `json:"createdTime"`
	Updated date `json:"lastUpdatedTime"`
	Config  struct {
		Custom struct {
			ClientID  string `json:"clientId"`
			Method    string `json:"clientAuthenticationMethod"`
			Discovery struct {
				URL string `json:"discoveryUrl"`
			} `json:"oauthDiscovery"`
		} `json:"customOauth2ProviderConfig"`
		GitHub struct {
			ClientID  string `json:"clientId"`
			Discovery struct {
				Metadata struct {
					TokenEndpoint string `json:"tokenEndpoint"`
				} `json:"authorizationServerMetadata"`
			} `json:"oauthDiscovery"`
		} `json:"githubOauth2ProviderConfig"`
	} `json:"oauth2ProviderConfigOutput"`
}

func oauth2Providers(t *testing.T, a *agent, e *testenv.Env) {
	if got := a.refusal("GetTokenVault", object{}); got.Name != "ResourceNotFoundException" {
		t.Errorf("GetTokenVault before there is a provider: %+v", got)
	}
	input := customProvider("vendor", e.Vendor.Issuer(), testenv.ClientID, testenv.ClientSecret, "CLIENT_SECRET_BASIC")
	created := call[oauth2Provider](a, "CreateOauth2CredentialProvider", input)
	if created.Status != "READY" || !strings.HasPrefix(created.CallbackURL, e.URL+"/identities/oauth2/callback/") || !strings.Contains(created.ClientSecretARN.SecretARN, ":secret:bedrock-agentcore-identity!") {
		t.Errorf("created: %+v", created)
	}
	got := call[oauth2Provider](a, "GetOauth2CredentialProvider", object{"name": "vendor"})
	isNow(t, "createdTime", got.Created)
	isNow(t, "lastUpdatedTime", got.Updated)
	if c := got.Config.Custom; c.ClientID != testenv.ClientID || c.Method != "CLIENT_SECRET_BASIC" || c.Discovery.URL != e.Vendor.Issuer()+"/.well-known/openid-configuration" {
		t.Errorf("configuration: %+v", c)
	}
	if got.CallbackURL != created.CallbackURL || got.ARN != created.ARN || got.Vendor != "CustomOauth2" {
		t.Errorf("got %+v, created %+v", got, created)
	}
	input["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object)["clientAuthenticationMethod"] = "CLIENT_SECRET_POST"
	updated := call[oauth2Provider](a, "UpdateOauth2CredentialProvider", input)
	if updated.Config.Custom.Method != "CLIENT_SECRET_POST" || updated.CallbackURL != created.CallbackURL || updated.Updated.Time.Before(got.Updated.Time) {
		t.Errorf("updated: %+v", updated)
	}
	preset := call[oauth2Provider](a, "CreateOauth2CredentialProvider", object{
		"name": "github", "credentialProviderVendor": "GithubOauth2",
		"oauth2ProviderConfigInput": object{"githubOauth2ProviderConfig": object{"clientId": "our-client", "clientSecret": "planted-github-secret"}},
	})
	e.Plant("planted-github-secret")
	if c := preset.Config.GitHub; c.ClientID != "our-client" || c.Discovery.Metadata.TokenEndpoint != "https://github.com/login/oauth/access_token" {
		t.Errorf("preset: %+v", c)
	}
	if got := listed(a, "ListOauth2CredentialProviders"); !slices.Equal(got, []string{"github", "vendor"}) {
		t.Errorf("listed %q", got)
	}
	type vault struct {
		ID  string `json:"tokenVaultId"`
		KMS struct {
			KeyType string `json:"keyType"`
		} `json:"kmsConfiguration"`
		Modified date `json:"lastModifiedDate"`
	}
	v := call[vault](a, "GetTokenVault", object{})
	isNow(t, "lastModifiedDate", v.Modified)
	if v.ID != "default" || v.KMS.KeyType != "ServiceManagedKey" {
		t.Errorf("token vault: %+v", v)
	}
	deletes(t, a, "Oauth2CredentialProvider", "github")
}

// listed goes through the pages of a list, one resource a page.
func listed(a *agent, operation string) (names []string) {
	a.t.Helper()
	type page struct {
		Providers []struct {
			Name    string `json:"name"`
			Created date   `json:"createdTime"`
		} `json:"credentialProviders"`
	}
	for _, p := range pages[page](a, operation, object{"maxResults": 1}) {
		for _, item := range p.Providers {
			if item.Created.Time.IsZero() {
				a.t.Errorf("%s: %s has no Date createdTime", operation, item.Name)
			}
			names = append(names, item.Name)
		}
	}
	return names
}

func apiKeyProviders(t *testing.T, a *agent, e *testenv.Env) {
	const first, second = "planted-api-key-one", "planted-api-key-two"
	e.Plant(first, second)
	type provider struct {
		Name      string `json:"name"`
		ARN       string `json:"credentialProviderArn"`
		SecretARN struct {
			SecretARN string `json:"secretArn"`
		} `json:"apiKeySecretArn"`
		Created date `json:"createdTime"`
		Updated date `json:"lastUpdatedTime"`
	}
	apiKey := func() string {
		type output struct {
			APIKey string `json:"apiKey"`
		}
		return call[output](a, "GetResourceApiKey", object{"workloadIdentityToken": a.wat("agent", ""), "resourceCredentialProviderName": "weather"}).APIKey
	}
	created := call[provider](a, "CreateApiKeyCredentialProvider", object{"name": "weather", "apiKey": first})
	got := call[provider](a, "GetApiKeyCredentialProvider", object{"name": "weather"})
	isNow(t, "createdTime", got.Created)
	if got.ARN != created.ARN || got.SecretARN != created.SecretARN || got.SecretARN.SecretARN == "" {
		t.Errorf("got %+v, created %+v", got, created)
	}
	if key := apiKey(); key != first {
		t.Errorf("the key is %q", key)
	}
	updated := call[provider](a, "UpdateApiKeyCredentialProvider", object{"name": "weather", "apiKey": second})
	if updated.Updated.Time.Before(got.Updated.Time) {
		t.Errorf("updated %s, before %s", updated.Updated.Time, got.Updated.Time)
	}
	if key := apiKey(); key != second {
		t.Errorf("the key is %q after the update", key)
	}
	call[provider](a, "CreateApiKeyCredentialProvider", object{"name": "maps", "apiKey": first})
	if got := listed(a, "ListApiKeyCredentialProviders"); !slices.Equal(got, []string{"maps", "weather"}) {
		t.Errorf("listed %q", got)
	}
	deletes(t, a, "ApiKeyCredentialProvider", "maps")
}

func workloadTokens(t *testing.T, a *agent, e *testenv.Env) {
	request := object{"workloadIdentityToken": a.wat("agent", ""), "resourceCredentialProviderName": "vendor", "scopes": []string{"read"}, "oauth2Flow": "M2M"}
	got := call[token](a, "GetResourceOauth2Token", request)
	if info, ok := e.Vendor.Introspect(got.AccessToken); !ok || info.ClientID != testenv.ClientID {
		t.Errorf("the vendor does not know %+v", got)
	}
	// What an agent gets is its own: the same workload for a user asks the vendor no second time.
	request["workloadIdentityToken"] = a.wat("agent", "alice")
	if again := call[token](a, "GetResourceOauth2Token", request); again.AccessToken != got.AccessToken || e.Vendor.Count("client_credentials") != 1 {
		t.Errorf("%d requests at the vendor", e.Vendor.Count("client_credentials"))
	}
}

func userTokens(t *testing.T, a *agent, e *testenv.Env) {
	jwt := e.Vendor.Sign(map[string]any{"sub": "bob", "aud": "application"})
	e.Plant(jwt)
	type output struct {
		WAT string `json:"workloadAccessToken"`
	}
	for name, who := range map[string]struct {
		wat        string
		identifier object
	}{
		"by name": {a.wat("agent", "alice"), object{"userId": "alice"}},
		"by JWT":  {call[output](a, "GetWorkloadAccessTokenForJWT", object{"workloadName": "agent", "userToken": jwt}).WAT, object{"userToken": jwt}},
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			request := object{
				"workloadIdentityToken": who.wat, "resourceCredentialProviderName": "vendor", "scopes": []string{"read"}, "oauth2Flow": "USER_FEDERATION",
				"resourceOauth2ReturnUrl": testenv.ReturnURL, "customState": "state of " + name,
			}
			began := call[token](a, "GetResourceOauth2Token", request)
			if began.AccessToken != "" || began.AuthorizationURL == "" || began.SessionURI == "" || began.SessionStatus != "IN_PROGRESS" {
				t.Fatalf("began: %+v", began)
			}
			request["sessionUri"] = began.SessionURI
			if polled := call[token](a, "GetResourceOauth2Token", request); polled.AccessToken != "" || polled.SessionStatus != "IN_PROGRESS" || polled.AuthorizationURL != began.AuthorizationURL {
				t.Errorf("polled before the consent: %+v", polled)
			}
			back := testenv.NewBrowser(t).Visit(began.AuthorizationURL)
			if got := back.Get("state"); got != "state of "+name {
				t.Errorf("the return URL has the state %q", got)
			}
			if polled := call[token](a, "GetResourceOauth2Token", request); polled.AccessToken != "" || polled.SessionStatus != "IN_PROGRESS" {
				t.Errorf("polled before the completion: %+v", polled)
			}
			complete := object{"sessionUri": back.Get("session_id"), "userIdentifier": who.identifier}
			call[object](a, "CompleteResourceTokenAuth", complete)
			call[object](a, "CompleteResourceTokenAuth", complete) // may be repeated
			done := call[token](a, "GetResourceOauth2Token", request)
			if info, ok := e.Vendor.Introspect(done.AccessToken); !ok || info.Subject != "alice" || done.AuthorizationURL != "" {
				t.Errorf("after the completion: %+v, at the vendor %+v", done, info)
			}
			delete(request, "sessionUri")
			if again := call[token](a, "GetResourceOauth2Token", request); again.AccessToken != done.AccessToken {
				t.Error("a new request is not served from the vault")
			}
		})
	}
	if e.Vendor.Count("authorization_code") != 2 {
		t.Errorf("%d codes were sent for two consents", e.Vendor.Count("authorization_code"))
	}
}

// Programs branch on the class of an error; each must be the SDK's own, with the request id for whoever runs the server.
func errorClasses(t *testing.T, a *agent, e *testenv.Env) {
	nobody := e.NewUser(testenv.Account, "nobody", "").Credentials()
	without := startAgent(t, append(environment(t, e.URL), "AWS_ACCESS_KEY_ID="+nobody.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+nobody.SecretAccessKey))
	stranger := startAgent(t, append(environment(t, e.URL), "AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA", "AWS_SECRET_ACCESS_KEY=unknown"))
	federation := func(change object) object {
		in := object{"workloadIdentityToken": a.wat("agent", "carol"), "resourceCredentialProviderName": "vendor", "scopes": []string{"read"}, "oauth2Flow": "USER_FEDERATION", "resourceOauth2ReturnUrl": testenv.ReturnURL}
		for name, value := range change {
			in[name] = value
		}
		return in
	}
	m2m := federation(object{"oauth2Flow": "M2M", "scopes": []string{"never", "asked", "before"}})
	for name, test := range map[string]struct {
		agent     *agent
		operation string
		input     object
		before    func(*fakeidp.Behaviour)
		class     string
		status    int
		reason    string
		field     string
		says      string
		untyped   bool // the SDK has no class for it
	}{
		"a malformed member": {
			operation: "CreateWorkloadIdentity", input: object{"name": "no spaces here"},
			class: "ValidationException", status: 400, reason: "FieldValidationFailed", field: "name", says: "name",
		},
		"a name that is taken, on the data plane": {
			operation: "CreateWorkloadIdentity", input: object{"name": "agent"},
			class: "ValidationException", status: 400, reason: "ResourceConflict", field: "name", says: "already exists",
		},
		"a name that is taken": {
			operation: "CreateApiKeyCredentialProvider", input: object{"name": "weather", "apiKey": "any-key"},
			class: "ConflictException", status: 409, says: "already exists",
		},
		"nothing of that name": {
			operation: "GetOauth2CredentialProvider", input: object{"name": "missing"},
			class: "ResourceNotFoundException", status: 404, says: "missing",
		},
		"no rights": {
			agent: without, operation: "GetWorkloadAccessToken", input: object{"workloadName": "agent"},
			class: "AccessDeniedException", status: 403, says: "bedrock-agentcore:GetWorkloadAccessToken",
		},
		"a workload access token that is none": {
			operation: "GetResourceOauth2Token", input: federation(object{"workloadIdentityToken": "made-up"}),
			class: "UnauthorizedException", status: 401, says: "token",
		},
		"a return URL that is not registered": {
			operation: "GetResourceOauth2Token", input: federation(object{"resourceOauth2ReturnUrl": "https://evil.example/"}),
			class: "ValidationException", status: 400, reason: "FieldValidationFailed", field: "resourceOauth2ReturnUrl", says: "not registered",
		},
		"a session of nobody": {
			operation: "GetResourceOauth2Token", input: federation(object{"sessionUri": "urn:ietf:params:oauth:request_uri:AAAAAAAAAAAAAAAAAAAAAAAAAA"}),
			class: "AccessDeniedException", status: 403, says: "Invalid or expired session",
		},
		"a vendor that refuses": {
			operation: "GetResourceOauth2Token", input: m2m, before: func(b *fakeidp.Behaviour) { b.ErrorCode = "invalid_scope" },
			class: "ValidationException", status: 400, reason: "FieldValidationFailed", field: "resourceCredentialProviderName", says: "invalid_scope",
		},
		"a vendor that is down": {
			operation: "GetResourceOauth2Token", input: m2m, before: func(b *fakeidp.Behaviour) { b.Status, b.RetryAfter = 503, "7" },
			class: "ThrottlingException", status: 429, says: "503",
		},
		"an access key that is unknown": {
			agent: stranger, operation: "ListWorkloadIdentities", input: object{},
			class: "UnrecognizedClientException", status: 403, untyped: true,
		},
		"an operation that is not served": {
			operation: "ListAgentRuntimes", input: object{},
			class: "UnknownOperationException", status: 404, untyped: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.agent == nil {
				test.agent = a
			}
			if test.before != nil {
				e.Vendor.Set(test.before)
				defer e.Vendor.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{} })
			}
			got := test.agent.in(t).refusal(test.operation, test.input)
			if got.Name != test.class || got.Metadata.HTTPStatusCode != test.status || !got.Service || got.Typed == test.untyped || got.Metadata.RequestID == "" {
				t.Errorf("got %+v", got)
			}
			var field string
			if len(got.Fields) > 0 {
				field = got.Fields[0].Name
			}
			if got.Reason != test.reason || field != test.field {
				t.Errorf("reason %q, fields %+v", got.Reason, got.Fields)
			}
			if !strings.Contains(got.Message, test.says) {
				t.Errorf("message %q does not say %q", got.Message, test.says)
			}
			if !strings.Contains(e.Log(), got.Metadata.RequestID) {
				t.Errorf("the server's log does not have request %s", got.Metadata.RequestID)
			}
		})
	}
}
