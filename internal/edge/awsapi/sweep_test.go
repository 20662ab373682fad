package awsapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/audit"
	"credence/internal/broker"
	"credence/internal/control"
	"credence/internal/edge/awsapi"
	"credence/internal/fakeidp"
	"credence/internal/server"
	"credence/internal/testca"
	"credence/internal/testenv"
)

// table is every row of the door.
func table() []awsapi.Operation {
	return append(awsapi.Operations((*control.Control)(nil), (*broker.Broker)(nil)), awsapi.Extensions(nil, (*broker.Broker)(nil), nil)...)
}

// requests are the smallest valid bodies of every operation, with real handles of account's world.
type world struct {
	testenv.Principal
	wat       string // of agent and alice
	sessionID string // completable
	session   string // pollable
	cursors   map[string]string
	jwt       string
	portal    string // its id
	vaultKey  string // the ARN of a key for the token vault
	signer    string // the ARN of a key for client assertions
	grant     string // the id of one of agent's
	bound     string // an access token of provider bound that is bound to a key
	accessKey string // of user bob
	signIn    string // the ARN of a provider at which its users sign in
}

// A policy and a trust policy, the former as it stands in JSON.
const (
	anyPolicy   = `{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}`
	trustPolicy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"https://idp.example"},"Action":"sts:AssumeRoleWithWebIdentity",` +
		`"Condition":{"StringEquals":{"idp.example:aud":"credence","idp.example:sub":"agent"}}}}`
)

// newWorld makes what every operation needs: two of everything that is listed, a grant in flight.
func newWorld(t *testing.T, e *testenv.Env, p testenv.Principal) world {
	t.Helper()
	ctx := t.Context()
	w := world{Principal: p, cursors: map[string]string{}}
	p.CreateWorkload("agent")
	p.CreateWorkload("agent2")
	p.CreateProvider("vendor")
	p.CreateProvider("vendor2")
	for _, name := range []string{"keys", "keys2"} {
		if _, err := p.Control().CreateApiKeyCredentialProvider(ctx, &bedrockagentcorecontrol.CreateApiKeyCredentialProviderInput{Name: &name, ApiKey: aws.String("planted-api-key-value")}); err != nil {
			t.Fatal(err)
		}
	}
	e.Plant("planted-refresh-token-value", "planted-api-key-value", edKey, ecKey, privySecret)
	for _, name := range []string{"wallet", "wallet2"} {
		p.CreatePayment(name, &types.PaymentProviderConfigurationInputMemberCoinbaseCdpConfiguration{Value: types.CoinbaseCdpConfigurationInput{
			ApiKeyId: aws.String("key-1"), ApiKeySecret: aws.String(edKey), WalletSecret: aws.String(ecKey),
		}})
	}
	w.signIn = w.arn("token-vault/default/oauth2credentialprovider/vendor2")
	for _, name := range []string{"portal", "portal2"} {
		portal, err := p.Control().CreateConsentPortal(ctx, &bedrockagentcorecontrol.CreateConsentPortalInput{
			Name: &name, ExecutionRoleArn: aws.String("arn:aws:iam::" + p.Account + ":role/portal"),
			IdpConfig: &types.ConsentPortalIdpConfig{CredentialProviderArn: &w.signIn, Scopes: []string{"openid"}},
			Sources: []types.ConsentPortalSource{{
				Identifier: aws.String(w.arn("workload-identity-directory/default/workload-identity/agent2")), Type: types.ConsentPortalSourceTypeAgentcoreGateway,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.portal = *portal.ConsentPortalId
	}
	for to, body := range map[*string]string{
		&w.vaultKey: `{"keyUsage":"TOKEN_VAULT"}`, &w.signer: `{"keyUsage":"CLIENT_ASSERTION","keySpec":"ECC_NIST_P256","clientId":"` + testenv.ClientID + `"}`,
	} {
		var key struct{ KeyArn string }
		a := p.Call("/credence/CreateKey", body)
		if err := json.Unmarshal([]byte(a.Body), &key); err != nil || key.KeyArn == "" {
			t.Fatalf("CreateKey: %s", a.Body)
		}
		*to = key.KeyArn
	}
	trust := strings.ReplaceAll(trustPolicy, `"`, `\"`)
	for _, call := range [][2]string{
		{"CreateUser", `{"userName":"bob"}`}, {"CreateUser", `{"userName":"carol"}`},
		{"PutUserPolicy", `{"userName":"bob","policyName":"p","policyDocument":"` + anyPolicy + `"}`},
		{"CreateRole", `{"roleName":"agent","assumeRolePolicyDocument":"` + trust + `"}`}, {"CreateRole", `{"roleName":"agent2","assumeRolePolicyDocument":"` + trust + `"}`},
		{"PutRolePolicy", `{"roleName":"agent","policyName":"p","policyDocument":"` + anyPolicy + `"}`},
	} {
		if a := p.Call("/credence/"+call[0], call[1]); a.Status/100 != 2 {
			t.Fatalf("%s: %s", call[0], a.Body)
		}
	}
	var key struct{ AccessKeyId, SecretAccessKey string }
	if a := p.Call("/credence/CreateAccessKey", `{"userName":"bob"}`); json.Unmarshal([]byte(a.Body), &key) != nil || key.SecretAccessKey == "" {
		t.Fatal(a.Body)
	}
	w.accessKey = key.AccessKeyId
	e.Plant(key.SecretAccessKey)
	if a := p.Call("/credence/PutCeiling", `{"target":{"workloadName":"agent2"},"ceiling":{"maximumGrantAgeSeconds":86400}}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	e.Plant("planted-sign-in-secret")
	if a := p.Call("/credence/PutSignInProvider", `{"name":"people","issuer":"`+e.Vendor.Issuer()+`","clientId":"console","clientSecret":"planted-sign-in-secret"}`); a.Status != 200 {
		t.Fatal(a.Body)
	}
	var hook struct{ Secret string }
	if a := p.Call("/credence/PutWebhook", `{"name":"hook","url":"http://127.0.0.1:9/"}`); json.Unmarshal([]byte(a.Body), &hook) != nil || hook.Secret == "" {
		t.Fatal(a.Body)
	}
	e.Plant(hook.Secret, strings.TrimPrefix(hook.Secret, "whsec_"))
	w.wat = *p.WAT("agent", "alice")
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.Bound = true })
	made := p.Call("/identities/CreateOauth2CredentialProvider", strings.Replace(w.body(t, e, "CreateOauth2CredentialProvider"), "vendor3", "bound", 1),
		func(r *http.Request) { r.Header.Set("X-Credence-Dpop-Bound-Access-Tokens", "true") })
	if made.Status != 201 {
		t.Fatal(made.Body)
	}
	given, err := p.Token(&w.wat, "bound", data.Oauth2FlowTypeM2m)
	if err != nil {
		t.Fatal(err)
	}
	w.bound = *given.AccessToken
	e.Plant(w.bound)
	out, err := p.Token(&w.wat, "vendor", data.Oauth2FlowTypeUserFederation)
	if err != nil {
		t.Fatal(err)
	}
	w.session = *out.SessionUri
	w.sessionID = testenv.NewBrowser(t).Visit(*out.AuthorizationUrl).Get("session_id")
	for _, name := range []string{"vendor", "vendor2"} {
		if _, err := p.Token(p.WAT("agent", "alice"), name, data.Oauth2FlowTypeM2m); err != nil {
			t.Fatal(err)
		}
	}
	var grants struct {
		Grants    []struct{ GrantId string }
		NextToken string
	}
	if a := p.Call("/credence/ListGrants", `{"maxResults":1}`); json.Unmarshal([]byte(a.Body), &grants) != nil || len(grants.Grants) != 1 || grants.NextToken == "" {
		t.Fatal(a.Body)
	}
	w.cursors["ListGrants"] = grants.NextToken
	// One to revoke, which the bound token is not of.
	if a := p.Call("/credence/ListGrants", `{"resourceCredentialProviderName":"vendor"}`); json.Unmarshal([]byte(a.Body), &grants) != nil || len(grants.Grants) != 1 {
		t.Fatal(a.Body)
	}
	w.grant = grants.Grants[0].GrantId
	w.jwt = e.Vendor.Sign(map[string]any{"sub": "alice", "aud": "app"})
	e.Plant(w.jwt)
	for _, list := range []string{"ListWorkloadIdentities", "ListOauth2CredentialProviders", "ListApiKeyCredentialProviders", "ListPaymentCredentialProviders", "ListConsentPortals"} {
		var page struct{ NextToken string }
		a := p.Call("/identities/"+list, `{"maxResults":1}`)
		if err := json.Unmarshal([]byte(a.Body), &page); err != nil || page.NextToken == "" {
			t.Fatalf("%s: %s", list, a.Body)
		}
		w.cursors[list] = page.NextToken
	}
	return w
}

// request sends a valid request of an operation, signed by p.
func (w world) request(t *testing.T, e *testenv.Env, p testenv.Principal, op awsapi.Operation) testenv.Answer {
	t.Helper()
	path := strings.ReplaceAll(op.Path, "{resourceArn}", url.QueryEscape(w.arn("workload-identity-directory/default/workload-identity/agent")))
	if op.Name == "UntagResource" {
		path += "?tagKeys=team&tagKeys=none"
	}
	return p.Call(path, w.body(t, e, op.Name), testenv.By(op.Method))
}

// arn is that of a resource of the world's account.
func (w world) arn(path string) string {
	return "arn:aws:bedrock-agentcore:us-east-1:" + w.Account + ":" + path
}

// keyARN is that of a key of the world's account.
func (w world) keyARN(id string) string { return "arn:aws:kms:us-east-1:" + w.Account + ":key/" + id }

var (
	oneAuthority sync.Once
	authorityPEM string
)

// authority is a certificate of a CA, the same one for all.
func authority(t *testing.T) string {
	t.Helper()
	oneAuthority.Do(func() { authorityPEM = testca.New(t).PEM() })
	return authorityPEM
}

// body is a valid body of an operation.
func (w world) body(t *testing.T, e *testenv.Env, operation string) string {
	t.Helper()
	custom := fmt.Sprintf(`"credentialProviderVendor":"CustomOauth2","oauth2ProviderConfigInput":{"customOauth2ProviderConfig":{"clientId":%q,"clientSecret":%q,"oauthDiscovery":{"discoveryUrl":"%s/.well-known/openid-configuration"}}}`,
		testenv.ClientID, testenv.ClientSecret, e.Vendor.Issuer())
	wallet := `"credentialProviderVendor":"CoinbaseCDP","providerConfigurationInput":{"coinbaseCdpConfiguration":{"apiKeyId":"key-1","apiKeySecret":"` + edKey + `","walletSecret":"` + ecKey + `"}}`
	bodies := map[string]string{
		"GetResourcePaymentToken": `{"workloadIdentityToken":"` + w.wat + `","resourceCredentialProviderName":"wallet","paymentTokenRequest":{"coinbaseCdpTokenRequest":` +
			`{"requestMethod":"POST","requestPath":"/platform/v2/evm/accounts","includeWalletAuthToken":true,"requestBody":"{}"}}}`,
		"CreatePaymentCredentialProvider":             `{"name":"wallet3",` + wallet + `}`,
		"GetPaymentCredentialProvider":                `{"name":"wallet"}`,
		"ListPaymentCredentialProviders":              `{"nextToken":"` + w.cursors["ListPaymentCredentialProviders"] + `"}`,
		"UpdatePaymentCredentialProvider":             `{"name":"wallet",` + wallet + `}`,
		"DeletePaymentCredentialProvider":             `{"name":"wallet"}`,
		"GetWorkloadAccessToken":                      `{"workloadName":"agent"}`,
		"GetWorkloadAccessTokenForJWT":                `{"workloadName":"agent","userToken":"` + w.jwt + `"}`,
		"GetWorkloadAccessTokenForUserId":             `{"workloadName":"agent","userId":"alice"}`,
		"GetResourceOauth2Token":                      `{"workloadIdentityToken":"` + w.wat + `","resourceCredentialProviderName":"vendor","scopes":[],"oauth2Flow":"M2M"}`,
		"GetResourceApiKey":                           `{"workloadIdentityToken":"` + w.wat + `","resourceCredentialProviderName":"keys"}`,
		"CompleteResourceTokenAuth":                   `{"sessionUri":"` + w.sessionID + `","userIdentifier":{"userId":"alice"}}`,
		"CreateWorkloadIdentity":                      `{"name":"agent3"}`,
		"GetWorkloadIdentity":                         `{"name":"agent"}`,
		"ListWorkloadIdentities":                      `{"nextToken":"` + w.cursors["ListWorkloadIdentities"] + `"}`,
		"UpdateWorkloadIdentity":                      `{"name":"agent","allowedResourceOauth2ReturnUrls":[]}`,
		"DeleteWorkloadIdentity":                      `{"name":"agent"}`,
		"CreateOauth2CredentialProvider":              `{"name":"vendor3",` + custom + `}`,
		"GetOauth2CredentialProvider":                 `{"name":"vendor"}`,
		"ListOauth2CredentialProviders":               `{"nextToken":"` + w.cursors["ListOauth2CredentialProviders"] + `"}`,
		"UpdateOauth2CredentialProvider":              `{"name":"vendor",` + custom + `}`,
		"DeleteOauth2CredentialProvider":              `{"name":"vendor"}`,
		"CreateApiKeyCredentialProvider":              `{"name":"keys3","apiKey":"planted-api-key-value"}`,
		"GetApiKeyCredentialProvider":                 `{"name":"keys"}`,
		"ListApiKeyCredentialProviders":               `{"nextToken":"` + w.cursors["ListApiKeyCredentialProviders"] + `"}`,
		"UpdateApiKeyCredentialProvider":              `{"name":"keys","apiKey":"planted-api-key-value"}`,
		"DeleteApiKeyCredentialProvider":              `{"name":"keys"}`,
		"GetTokenVault":                               `{}`,
		"GetCallbackUrl":                              `{"name":"vendor"}`,
		"DiscoverMcpServer":                           `{"url":"` + e.Vendor.MCP() + `"}`,
		"CreateOauth2CredentialProviderFromMcpServer": `{"name":"tools","url":"` + e.Vendor.MCP() + `","resource":"` + e.Vendor.MCP() + `","issuer":"` + e.Vendor.Issuer() + `"}`,
		"TestOauth2CredentialProvider":                `{"name":"vendor"}`,
		"CreateConsentPortal": `{"name":"portal3","executionRoleArn":"arn:aws:iam::` + testenv.Account + `:role/portal","idpConfig":{"credentialProviderArn":"` + w.signIn +
			`","scopes":[]},"sources":[{"identifier":"gateway-0123456789","type":"agentcore-gateway"}]}`,
		"GetConsentPortal":           `{"consentPortalIdentifier":"` + w.portal + `"}`,
		"ListConsentPortals":         `{"nextToken":"` + w.cursors["ListConsentPortals"] + `"}`,
		"UpdateConsentPortal":        `{"consentPortalIdentifier":"` + w.portal + `","description":"x"}`,
		"DeleteConsentPortal":        `{"consentPortalIdentifier":"` + w.portal + `"}`,
		"TagResource":                `{"tags":{"team":"x"}}`,
		"UntagResource":              ``,
		"ListTagsForResource":        ``,
		"CreateDpopProof":            `{"workloadIdentityToken":"` + w.wat + `","resourceCredentialProviderName":"bound","accessToken":"` + w.bound + `","htm":"GET","htu":"https://api.example/x"}`,
		"PutTrustBundle":             `{"trustDomain":"acme.example","certificates":"` + strings.ReplaceAll(authority(t), "\n", `\n`) + `"}`,
		"ListTrustBundles":           `{}`,
		"DeleteTrustBundle":          `{"trustDomain":"acme.example"}`,
		"PutTrustedIssuer":           `{"issuer":"https://idp.example","audiences":["a"]}`,
		"ListTrustedIssuers":         `{}`,
		"DeleteTrustedIssuer":        `{"issuer":"https://idp.example"}`,
		"PutSignInProvider":          `{"name":"people2","issuer":"` + e.Vendor.Issuer() + `","clientId":"console","clientSecret":"planted-sign-in-secret"}`,
		"ListSignInProviders":        `{}`,
		"DeleteSignInProvider":       `{"name":"people"}`,
		"SetTokenVaultCMK":           `{"kmsConfiguration":{"keyType":"CustomerManagedKey","kmsKeyArn":"` + w.vaultKey + `"}}`,
		"ResetTokenVaultKeyMaterial": `{"tokenVaultId":"default"}`,
		"CreateKey":                  `{"keyUsage":"TOKEN_VAULT"}`,
		"DescribeKey":                `{"keyId":"` + w.vaultKey + `"}`,
		"ListKeys":                   `{}`,
		"GetPublicKey":               `{"keyId":"` + w.signer + `"}`,
		"DisableKey":                 `{"keyId":"` + w.vaultKey + `"}`,
		"EnableKey":                  `{"keyId":"` + w.vaultKey + `"}`,
		"DeleteKey":                  `{"keyId":"` + w.vaultKey + `","force":true}`,
		"ListGrants":                 `{"nextToken":"` + w.cursors["ListGrants"] + `"}`,
		"RevokeGrants":               `{"workloadName":"agent2"}`,
		"DescribeGrant":              `{"grantId":"` + w.grant + `"}`,
		"RevokeGrant":                `{"grantId":"` + w.grant + `"}`,
		"ReportBadToken":             `{"grantId":"` + w.grant + `","accessTokenSha256":"` + strings.Repeat("0", 64) + `"}`,
		"Freeze":                     `{"target":{"workloadName":"agent2"}}`,
		"Unfreeze":                   `{"target":{"workloadName":"agent2"}}`,
		"ListFreezes":                `{}`,
		"CreateAccount":              `{"accountId":"333333333333"}`,
		"ListAccounts":               `{}`,
		"CreateUser":                 `{"userName":"dora","tags":{"team":"x"}}`,
		"GetUser":                    `{"userName":"bob"}`,
		"ListUsers":                  `{}`,
		"UpdateUser":                 `{"userName":"bob","tags":{}}`,
		"DeleteUser":                 `{"userName":"carol"}`,
		"CreateAccessKey":            `{"userName":"bob"}`,
		"ListAccessKeys":             `{"userName":"bob"}`,
		"PutUserPolicy":              `{"userName":"bob","policyName":"q","policyDocument":"` + anyPolicy + `"}`,
		"GetUserPolicy":              `{"userName":"bob","policyName":"p"}`,
		"ListUserPolicies":           `{"userName":"bob"}`,
		"DeleteUserPolicy":           `{"userName":"bob","policyName":"p"}`,
		"CreateRole":                 `{"roleName":"agent3","assumeRolePolicyDocument":"` + strings.ReplaceAll(trustPolicy, `"`, `\"`) + `"}`,
		"GetRole":                    `{"roleName":"agent"}`,
		"ListRoles":                  `{}`,
		"UpdateRole":                 `{"roleName":"agent","maxSessionDuration":900}`,
		"UpdateAssumeRolePolicy":     `{"roleName":"agent","policyDocument":"` + strings.ReplaceAll(trustPolicy, `"`, `\"`) + `"}`,
		"DeleteRole":                 `{"roleName":"agent2"}`,
		"RevokeRoleSessions":         `{"roleName":"agent"}`,
		"PutRolePolicy":              `{"roleName":"agent","policyName":"q","policyDocument":"` + anyPolicy + `"}`,
		"GetRolePolicy":              `{"roleName":"agent","policyName":"p"}`,
		"ListRolePolicies":           `{"roleName":"agent"}`,
		"DeleteRolePolicy":           `{"roleName":"agent","policyName":"p"}`,
		"UpdateAccessKey":            `{"userName":"bob","accessKeyId":"` + w.accessKey + `","status":"Inactive"}`,
		"ExplainPolicy":              `{"principalArn":"arn:aws:iam::` + testenv.Account + `:user/bob","action":"credence:GetUser","resource":"*"}`,
		"DeleteAccessKey":            `{"userName":"bob","accessKeyId":"` + w.accessKey + `"}`,
		"PutCeiling":                 `{"target":{"resourceCredentialProviderName":"vendor2"},"ceiling":{"scopes":["read"]}}`,
		"GetCeiling":                 `{"target":{"workloadName":"agent2"}}`,
		"DeleteCeiling":              `{"target":{"workloadName":"agent2"}}`,
		"ListCeilings":               `{}`,
		"DeleteAccount":              `{"accountId":"` + testenv.Account + `","force":true}`,
		"ImportGrants": `{"grants":[{"workloadName":"agent","resourceCredentialProviderName":"vendor","user":{"userId":"bob"},"scopes":["read"],` +
			`"refreshToken":"planted-refresh-token-value"}]}`,
		"ExportGrants":           `{"workloadName":"agent2"}`,
		"RekeyGrants":            `{"from":{"userId":"zoe"},"to":{"userId":"zoe2"}}`,
		"DescribeIssuer":         `{}`,
		"QueryAudit":             `{"workloadName":"agent"}`,
		"GetAuditCheckpoint":     `{}`,
		"GetAuditProof":          `{"index":0}`,
		"CreateAuditToken":       `{}`,
		"RotateIssuerKeys":       `{"withdraw":true}`,
		"PutWebhook":             `{"name":"hook2","url":"http://127.0.0.1:9/"}`,
		"ListWebhooks":           `{}`,
		"DeleteWebhook":          `{"name":"hook"}`,
		"RotateWebhookSecret":    `{"name":"hook"}`,
		"TestWebhook":            `{"name":"hook"}`,
		"ListWebhookDeliveries":  `{"name":"hook"}`,
		"RetryWebhookDeliveries": `{"name":"hook"}`,
	}
	b, ok := bodies[operation]
	if !ok {
		t.Fatalf("operation %s has no request here: add one, so that no door opens unseen", operation)
	}
	return b
}

// Every operation, with real handles, by a caller without rights: AccessDenied in the words that tools know, one audit record, and nothing done.
// By one with rights: its own success.
func TestDenyAllSweep(t *testing.T) {
	recipient, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	e := testenv.Start(t, func(c *server.Config) { c.ExportRecipients = []string{recipient.Recipient().String()} })
	w := newWorld(t, e, e.Admin)
	nobody := e.NewUser(testenv.Account, "nobody", "")
	for _, op := range table() {
		t.Run(op.Name, func(t *testing.T) {
			before := len(e.Audit(testenv.Account))
			a := w.request(t, e, nobody, op)
			if a.Status != 403 || a.Type() != "AccessDeniedException" {
				t.Errorf("answered %d %s: %s", a.Status, a.Type(), a.Body)
			}
			start := "User: arn:aws:iam::" + testenv.Account + ":user/nobody is not authorized to perform: " + op.Action + " on resource: arn:aws:"
			if !strings.HasPrefix(a.Message(), start) || !strings.HasSuffix(a.Message(), " because no identity-based policy allows the "+op.Action+" action") {
				t.Errorf("it says %q", a.Message())
			}
			events := e.Audit(testenv.Account)[before:]
			if len(events) != 1 || events[0].Outcome != audit.Denied || events[0].Action != op.Action || !strings.HasSuffix(events[0].Caller, "user/nobody") ||
				events[0].RequestID != a.Header.Get("X-Amzn-Requestid") || len(events[0].Resources) == 0 {
				t.Errorf("recorded %+v", events)
			}
		})
	}
	// The refusals changed nothing: every operation succeeds for the administrator, those that delete last, then the reset, which needs a deleted key, and the account at the very end.
	ordered := table()
	rank := func(op awsapi.Operation) int {
		return slices.IndexFunc([]string{"DeleteAccount", "Reset", "Delete", ""}, func(prefix string) bool { return strings.HasPrefix(op.Name, prefix) })
	}
	slices.SortStableFunc(ordered, func(a, b awsapi.Operation) int { return rank(b) - rank(a) })
	for _, op := range ordered {
		before := len(e.Audit(testenv.Account))
		a := w.request(t, e, w.Principal, op)
		if a.Status != op.Status || a.Header.Get("X-Amzn-Requestid") == "" || (op.Status == 204) != (a.Body == "") {
			t.Errorf("%s answered %d, want %d: %s", op.Name, a.Status, op.Status, a.Body)
		}
		events := slices.DeleteFunc(e.Audit(testenv.Account)[before:], func(e audit.Event) bool { return e.Outcome == audit.Performed || e.Outcome == audit.Abandoned }) // receipts of what followed, in its own time
		if len(events) != 1 || events[0].Outcome != audit.Allowed || events[0].Action != op.Action {
			t.Errorf("%s recorded %+v", op.Name, events)
		}
	}
}

// Every resource that the specification names for an operation must be allowed: whoever is denied a single one of them is denied the operation.
func TestEveryResourceIsChecked(t *testing.T) {
	e := testenv.Start(t)
	w := newWorld(t, e, e.Admin)
	nobody, almost := e.NewUser(testenv.Account, "nobody", ""), e.NewUser(testenv.Account, "almost", "")
	directory, agent := w.arn("workload-identity-directory/default"), w.arn("workload-identity-directory/default/workload-identity/agent")
	tokenVault := w.arn("token-vault/default")
	use := func(provider string) []string {
		return []string{tokenVault + "/" + provider, tokenVault, agent, directory}
	}
	want := map[string][]string{
		"GetWorkloadAccessToken": {directory, agent}, "GetWorkloadAccessTokenForJWT": {directory, agent}, "GetWorkloadAccessTokenForUserId": {directory, agent},
		"GetResourceOauth2Token": use("oauth2credentialprovider/vendor"), "GetResourceApiKey": use("apikeycredentialprovider/keys"),
		"GetResourcePaymentToken": use("paymentcredentialprovider/wallet"), "CompleteResourceTokenAuth": use("oauth2credentialprovider/vendor"),
		"CreateWorkloadIdentity": {directory, agent + "3"}, "GetWorkloadIdentity": {directory, agent}, "UpdateWorkloadIdentity": {directory, agent}, "DeleteWorkloadIdentity": {directory, agent},
		"ListWorkloadIdentities": {directory}, "GetTokenVault": {tokenVault}, "SetTokenVaultCMK": {tokenVault}, "ResetTokenVaultKeyMaterial": {tokenVault},
		"TagResource": {agent}, "UntagResource": {agent}, "ListTagsForResource": {agent},
	}
	for kind, name := range map[string]string{"Oauth2": "oauth2credentialprovider/vendor", "ApiKey": "apikeycredentialprovider/keys", "Payment": "paymentcredentialprovider/wallet"} {
		for _, verb := range []string{"Create", "Get", "Update", "Delete"} {
			want[verb+kind+"CredentialProvider"] = []string{tokenVault + "/" + name, tokenVault}
		}
		want["Create"+kind+"CredentialProvider"][0] += "3"
		want["List"+kind+"CredentialProviders"] = []string{tokenVault}
	}
	for _, op := range table() {
		before := len(e.Audit(testenv.Account))
		w.request(t, e, nobody, op)
		resources := e.Audit(testenv.Account)[before].Resources
		if named, ok := want[op.Name]; ok && !slices.Equal(slices.Sorted(slices.Values(named)), slices.Sorted(slices.Values(resources))) {
			t.Errorf("%s is decided on %q, want %q", op.Name, resources, named)
		}
		for _, resource := range resources {
			if op.Name == "CreateConsentPortal" && strings.Contains(resource, ":consent-portal/") {
				continue // its id is made for each request
			}
			quoted, _ := json.Marshal(strings.ReplaceAll(resource, "*", "${*}"))
			err := e.Server.Vault.PutUserPolicy(testenv.Account, "almost", "test", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"Single","Effect":"Deny","Action":"*","Resource":`+string(quoted)+`}]}`)
			if err != nil {
				t.Fatal(err)
			}
			a := w.request(t, e, almost, op)
			if says := " is not authorized to perform: " + op.Action + " on resource: " + resource + " with an explicit deny in an identity-based policy"; a.Status != 403 || !strings.HasSuffix(a.Message(), says) {
				t.Errorf("%s without %s: %d %s", op.Name, resource, a.Status, a.Body)
			}
			events := e.Audit(testenv.Account)
			if last := events[len(events)-1]; !strings.HasSuffix(last.Reason, `statement 2 "Single" denies `+resource) {
				t.Errorf("%s without %s is recorded as %q", op.Name, resource, last.Reason)
			}
		}
	}
}

// Handles of another account are answered, to the byte, like random ones.
func TestForeignHandles(t *testing.T) {
	e := testenv.Start(t, func(c *server.Config) { c.Dev = true })
	mine := newWorld(t, e, e.Admin)
	theirs := newWorld(t, e, e.NewAccount("222222222222"))
	theirs.jwt = mine.jwt // a user's token is of no account

	random := world{
		Principal: mine.Principal, jwt: mine.jwt,
		wat:       theirs.wat[:len(theirs.wat)-20] + strings.Repeat("A", 20),
		session:   "urn:ietf:params:oauth:request_uri:" + strings.Repeat("R", 26),
		sessionID: "urn:ietf:params:oauth:request_uri:" + strings.Repeat("S", 26),
		cursors:   map[string]string{},
		bound:     strings.Repeat("T", 40),
		portal:    "portal-aaaaaaaaaa",
		accessKey: "AKIAAAAAAAAAAAAAAAAA",
		signIn:    mine.arn("token-vault/default/oauth2credentialprovider/none"),
		vaultKey:  mine.keyARN("00000000-0000-0000-0000-000000000000"),
		signer:    mine.keyARN("00000000-0000-0000-0000-000000000001"),
		grant:     strings.Repeat("a", 64),
	}
	for list, c := range theirs.cursors {
		random.cursors[list] = c[:len(c)-20] + strings.Repeat("A", 20)
	}
	otherList := map[string]string{
		"ListWorkloadIdentities": "ListOauth2CredentialProviders", "ListOauth2CredentialProviders": "ListApiKeyCredentialProviders", "ListApiKeyCredentialProviders": "ListPaymentCredentialProviders",
		"ListPaymentCredentialProviders": "ListConsentPortals", "ListConsentPortals": "ListGrants", "ListGrants": "ListWorkloadIdentities",
	}
	names := strings.NewReplacer(theirs.accessKey, random.accessKey, theirs.grant, random.grant, theirs.portal, random.portal, theirs.signIn, random.signIn, theirs.vaultKey, random.vaultKey, theirs.signer, random.signer,
		strings.TrimPrefix(theirs.vaultKey, theirs.keyARN("")), strings.TrimPrefix(random.vaultKey, mine.keyARN(""))) // what the request itself says is told back
	same := func(t *testing.T, path, foreign, unknown string) {
		t.Helper()
		a, b := mine.Call(path, foreign), mine.Call(path, unknown)
		a.Body = names.Replace(a.Body)
		if a.Status != b.Status || a.Body != b.Body || a.Type() != b.Type() || a.Status < 400 {
			t.Errorf("foreign: %d %s\nrandom:  %d %s", a.Status, a.Body, b.Status, b.Body)
		}
	}
	for _, op := range table() {
		foreign, unknown := theirs.body(t, e, op.Name), random.body(t, e, op.Name)
		if foreign == mine.body(t, e, op.Name) {
			continue // it takes no handle; names are checked below
		}
		t.Run(op.Name, func(t *testing.T) {
			same(t, op.Path, foreign, unknown)
			if list := otherList[op.Name]; list != "" { // a cursor of mine, but of another list
				same(t, op.Path, `{"nextToken":"`+mine.cursors[list]+`"}`, unknown)
				same(t, op.Path, `{"nextToken":"`+strings.TrimPrefix(mine.wat, "cwat1.")+`"}`, unknown)
			}
		})
	}
	t.Run("a session of another account polled", func(t *testing.T) {
		poll := func(uri string) string {
			return `{"workloadIdentityToken":"` + mine.wat + `","resourceCredentialProviderName":"vendor","scopes":["read"],"oauth2Flow":"USER_FEDERATION","sessionUri":"` + uri + `"}`
		}
		same(t, "/identities/oauth2/token", poll(theirs.session), poll(random.session))
	})
	t.Run("a session of another account completed", func(t *testing.T) {
		done := func(uri string) string { return `{"sessionUri":"` + uri + `","userIdentifier":{"userId":"alice"}}` }
		same(t, "/identities/CompleteResourceTokenAuth", done(theirs.session), done(random.session)) // --dev would take it
		same(t, "/identities/CompleteResourceTokenAuth", done(theirs.sessionID), done(random.session))
	})
	t.Run("names of another account", func(t *testing.T) {
		theirs.CreateWorkload("only-theirs")
		theirs.CreateProvider("only-theirs")
		theirs.CreatePayment("only-theirs", privyConfig())
		for _, path := range []string{"/identities/payment/token", "/identities/UpdatePaymentCredentialProvider"} {
			ask := func(name string) testenv.Answer {
				return mine.Call(path, `{"workloadIdentityToken":"`+mine.wat+`","resourceCredentialProviderName":"`+name+`","name":"`+name+`","paymentTokenRequest":{"stripePrivyTokenRequest":{"requestPath":"/v1/wallets","requestBody":"{}"}},`+
					`"credentialProviderVendor":"StripePrivy","providerConfigurationInput":{"stripePrivyConfiguration":{"appId":"a","authorizationId":"b"}}}`)
			}
			a, b := ask("only-theirs"), ask("only-nobody")
			if a.Status != 404 || strings.ReplaceAll(a.Body, "only-theirs", "only-nobody") != b.Body {
				t.Errorf("%s: %d %s\n%d %s", path, a.Status, a.Body, b.Status, b.Body)
			}
		}
		for _, path := range []string{"GetWorkloadIdentity", "UpdateWorkloadIdentity", "DeleteWorkloadIdentity", "GetOauth2CredentialProvider", "DeleteOauth2CredentialProvider",
			"GetApiKeyCredentialProvider", "DeleteApiKeyCredentialProvider", "GetPaymentCredentialProvider", "DeletePaymentCredentialProvider"} {
			a, b := mine.Call("/identities/"+path, `{"name":"only-theirs"}`), mine.Call("/identities/"+path, `{"name":"only-nobody"}`)
			if a.Status != 404 || strings.ReplaceAll(a.Body, "only-theirs", "only-nobody") != b.Body {
				t.Errorf("%s: %d %s\n%d %s", path, a.Status, a.Body, b.Status, b.Body)
			}
		}
	})
}

// A workload that was deleted and created anew does not take back what was given out for the old one.
func TestOldWATAfterRecreation(t *testing.T) {
	e := testenv.Start(t)
	w := newWorld(t, e, e.Admin)
	if a := w.Call("/identities/DeleteWorkloadIdentity", `{"name":"agent"}`); a.Status != 204 {
		t.Fatal(a.Body)
	}
	for _, state := range []string{"deleted", "created anew"} {
		for _, op := range []string{"GetResourceOauth2Token", "GetResourceApiKey", "GetResourcePaymentToken", "CreateDpopProof"} {
			for _, row := range table() {
				if row.Name == op {
					if a := w.Call(row.Path, w.body(t, e, op)); a.Status != 401 || a.Type() != "UnauthorizedException" {
						t.Errorf("%s, %s: %d %s", state, op, a.Status, a.Body)
					}
				}
			}
		}
		if state == "deleted" {
			w.CreateWorkload("agent")
		}
	}
}

// The refusal of a handle is recorded, too.
func TestRefusedHandlesAreRecorded(t *testing.T) {
	e := testenv.Start(t)
	newWorld(t, e, e.Admin)
	for path, body := range map[string]string{
		"/identities/oauth2/token":                 `{"workloadIdentityToken":"x","resourceCredentialProviderName":"vendor","scopes":[],"oauth2Flow":"M2M"}`,
		"/credence/CreateDpopProof":                `{"workloadIdentityToken":"x","resourceCredentialProviderName":"bound","accessToken":"x","htm":"GET","htu":"https://api.example/x"}`,
		"/identities/api-key":                      `{"workloadIdentityToken":"x","resourceCredentialProviderName":"vendor"}`,
		"/identities/payment/token":                `{"workloadIdentityToken":"x","resourceCredentialProviderName":"wallet","paymentTokenRequest":{"stripePrivyTokenRequest":{"requestPath":"/v1","requestBody":"{}"}}}`,
		"/identities/CompleteResourceTokenAuth":    `{"sessionUri":"urn:ietf:params:oauth:request_uri:x","userIdentifier":{"userId":"u"}}`,
		"/identities/ListWorkloadIdentities":       `{"nextToken":"x"}`,
		"/identities/GetWorkloadAccessTokenForJWT": `{"workloadName":"agent","userToken":"a.b.c"}`,
	} {
		before := len(e.Audit(testenv.Account))
		a := e.Admin.Call(path, body)
		events := e.Audit(testenv.Account)[before:]
		if a.Status < 400 || len(events) != 1 || events[0].Outcome != audit.Refused {
			t.Errorf("%s: %d %s, recorded %+v", path, a.Status, a.Body, events)
		}
	}
}

// The whole of what the audit log, the answers and the log say of a journey holds none of its secrets; testenv looks at the rest at the end of every test.
func TestCanary(t *testing.T) {
	e := testenv.Start(t)
	const state = "planted-custom-state-value"
	const parameter = "planted-custom-parameter-value"
	e.Plant(state, parameter)
	w := newWorld(t, e, e.Admin)
	ask := func(edit ...func(*bedrockagentcore.GetResourceOauth2TokenInput)) (*bedrockagentcore.GetResourceOauth2TokenOutput, error) {
		return w.Token(&w.wat, "vendor2", data.Oauth2FlowTypeUserFederation, append(edit, func(in *bedrockagentcore.GetResourceOauth2TokenInput) {
			in.CustomState, in.CustomParameters = aws.String(state), map[string]string{"tenant": parameter}
		})...)
	}
	out, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	b := testenv.NewBrowser(t)
	back := b.Visit(*out.AuthorizationUrl)
	for _, seen := range b.Seen { // vendor state, code, one-time session id
		u, err := url.Parse(seen)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range u.Query() {
			if slices.Contains([]string{"state", "code", "code_challenge", "request_uri"}, name) {
				e.Plant(strings.TrimPrefix(values[0], "urn:ietf:params:oauth:request_uri:"))
			}
		}
	}
	e.Plant(strings.TrimPrefix(back.Get("session_id"), "urn:ietf:params:oauth:request_uri:"))
	if err := w.Complete(back.Get("session_id"), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(func(in *bedrockagentcore.GetResourceOauth2TokenInput) { in.SessionUri = out.SessionUri }); err != nil {
		t.Fatal(err)
	}
	// Every secret sent where it does not belong, to be repeated in an error.
	e.Vendor.RevokeAll()
	for _, s := range []string{w.wat, w.jwt, testenv.ClientSecret, back.Get("session_id")} {
		quoted, _ := json.Marshal(s)
		for _, op := range table() {
			for _, body := range []string{`{"name":` + string(quoted) + `}`, `{"workloadName":` + string(quoted) + `,"userToken":` + string(quoted) + `}`,
				`{"workloadIdentityToken":` + string(quoted) + `,"resourceCredentialProviderName":"vendor","scopes":[],"oauth2Flow":"M2M"}`} {
				a := w.Call(op.Path, body)
				if strings.Contains(op.Name, "Oauth2Token") && strings.Contains(a.Body, s) {
					t.Errorf("%s repeats a secret: %.200s", op.Name, a.Body)
				}
			}
		}
	}
	for _, account := range []string{testenv.Account} {
		text, err := json.Marshal(e.Audit(account))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{w.wat, w.jwt, state, parameter, testenv.ClientSecret, back.Get("session_id"), e.Vendor.Mark} {
			if strings.Contains(string(text), s) {
				t.Errorf("the audit log holds a secret (%.12s…)", s)
			}
		}
	}
}
