package conformance

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/testenv"
)

// A refusal is a member, or a value of an enum, that operations of the API take and that is refused here, by its name.
type refusal struct {
	places   *regexp.Regexp
	how, why string
	found    []string // the operations in which the run has met it
}

// refusals are all members and values that no sample has.
var refusals = []*refusal{
	{
		places: regexp.MustCompile(`privateEndpoint`),
		how:    "`privateEndpoint` and `privateEndpointOverrides` are refused.", why: "They are things of AWS networks; here `--allow-private-hosts` opens hosts in private networks.",
	},
}

// refusalOf is the departure that a place belongs to; nil when it is none.
func refusalOf(place string) *refusal {
	for _, r := range refusals {
		if r.places.MatchString(place) {
			return r
		}
	}
	return nil
}

// A difference is what operations do otherwise than the managed service on purpose, or where its documentation is silent.
type difference struct {
	operations []string
	how        string
	why        string
	// prove fails when it is not so. dev is a server with --dev, strict one without.
	prove func(t *testing.T, dev, strict *world)
}

// everywhere are the operations of both planes.
var everywhere []string

var differs = []difference{
	{
		operations: []string{"CreateWorkloadIdentity"},
		how:        "A taken name is a `ValidationException` with the reason `ResourceConflict` and the words “already exists”.",
		why:        "The API has no `ConflictException` here, and says nothing else.",
		prove: func(t *testing.T, dev, _ *world) {
			a := dev.send(t, "CreateWorkloadIdentity", obj{"name": dev.workload(t)})
			if e := errorOf(t, a); e.Reason != "ResourceConflict" || !strings.Contains(e.Message, "already exists") || len(e.FieldList) != 1 || e.FieldList[0].Name != "name" {
				t.Error(a.Body)
			}
		},
	},
	{
		operations: []string{"CreateWorkloadIdentity", "UpdateWorkloadIdentity", "GetResourceOauth2Token"},
		how: "The scheme of a return URL may have dots, as a native app's has (`com.example.app:/done`). What a session must not be given to is refused when it is registered: http beyond this machine, " +
			"schemes without a dot, fragments, users, and parameters that the return URL is given.",
		why: "RFC 8252 sections 7.1 and 7.3. The API's own pattern refuses the former and takes the latter.",
		prove: func(t *testing.T, dev, _ *world) {
			dev.must(t, "CreateWorkloadIdentity", obj{"name": dev.name("agent"), "allowedResourceOauth2ReturnUrls": []any{"com.example.app:/done", "http://127.0.0.1:3000/"}})
			for _, u := range []string{"http://app.example/", "myapp:/done", "javascript:alert(1)", "https://app.example/#x", "https://me@app.example/", "https://app.example/?session_id=x"} {
				for _, operation := range []string{"CreateWorkloadIdentity", "UpdateWorkloadIdentity"} {
					in := obj{"name": dev.name("agent"), "allowedResourceOauth2ReturnUrls": []any{u}}
					if operation == "UpdateWorkloadIdentity" {
						in["name"] = dev.workload(t)
					}
					wantField(t, dev.send(t, operation, in), "allowedResourceOauth2ReturnUrls[0]")
					if operation == "UpdateWorkloadIdentity" {
						if urls := dev.must(t, "GetWorkloadIdentity", obj{"name": in["name"]})["allowedResourceOauth2ReturnUrls"]; !reflect.DeepEqual(urls, []any{testenv.ReturnURL}) {
							t.Errorf("after a refusal: %v", urls)
						}
					}
				}
			}
		},
	},
	{
		operations: []string{
			"CreateOauth2CredentialProvider", "GetOauth2CredentialProvider", "UpdateOauth2CredentialProvider",
			"CreateApiKeyCredentialProvider", "GetApiKeyCredentialProvider", "UpdateApiKeyCredentialProvider",
			"CreatePaymentCredentialProvider", "GetPaymentCredentialProvider", "UpdatePaymentCredentialProvider",
		},
		how: "`clientSecretArn`, `apiKeySecretArn` and the like are always there: names of the form `bedrock-agentcore-identity!…` that no Secrets Manager has.",
		why: "The API demands them; secrets are in the vault.",
		prove: func(t *testing.T, dev, _ *world) {
			for kind, in := range map[string]obj{"Oauth2": dev.custom(), "ApiKey": apiKey(), "Payment": coinbase()} {
				in = with(in, obj{"name": dev.name("secret")})
				for _, operation := range []string{"Create", "Get", "Update"} {
					got := dev.must(t, operation+kind+"CredentialProvider", in)
					if config, ok := got["providerConfigurationOutput"].(obj); ok {
						got = config["coinbaseCdpConfiguration"].(obj)
						wantSecret(t, got["walletSecretArn"])
					}
					if kind == "Oauth2" {
						wantSecret(t, got["clientSecretArn"])
					} else {
						wantSecret(t, got["apiKeySecretArn"])
					}
				}
			}
		},
	},
	{
		operations: []string{"UpdateOauth2CredentialProvider", "UpdatePaymentCredentialProvider"},
		how:        "A secret that is left out stays, but must be given when the client id (or the id that it belongs to), the issuer or the host of an endpoint changes.",
		why:        "Secrets and refresh tokens of one client or vendor are never sent to another.",
		prove: func(t *testing.T, dev, _ *world) {
			const union, member = "oauth2ProviderConfigInput", "customOauth2ProviderConfig"
			in := with(obj{"name": dev.provider(t)}, dev.custom())
			config := with(in[union].(obj)[member].(obj))
			delete(config, "clientSecret")
			in[union] = obj{member: config}
			dev.must(t, "UpdateOauth2CredentialProvider", in)
			config["clientId"] = "another"
			wantField(t, dev.send(t, "UpdateOauth2CredentialProvider", in), union+"."+member+".clientSecret")
			in = obj{"name": dev.wallet(t, coinbase()), "credentialProviderVendor": "CoinbaseCDP", "providerConfigurationInput": obj{"coinbaseCdpConfiguration": obj{"apiKeyId": "another"}}}
			wantField(t, dev.send(t, "UpdatePaymentCredentialProvider", in), "providerConfigurationInput.coinbaseCdpConfiguration.apiKeySecret")
		},
	},
	{
		operations: []string{"CreateOauth2CredentialProvider", "GetOauth2CredentialProvider", "UpdateOauth2CredentialProvider", "CreateWorkloadIdentity", "GetWorkloadIdentity", "UpdateWorkloadIdentity", "GetResourceOauth2Token"},
		how: "More members than the API has: `confirm`, `scopeMatch`, `vendorHost`, `refreshTokenGraceSeconds`, `refreshTokenIdleSeconds`, `minimumValiditySeconds`, `dpopBoundAccessTokens`, `tokenEndpointAuthMethod`, `resourceIndicators`, `requireSignedRequestObject`, `identityAssertionProvider`, `clientAssertionAudience`, `deviceAuthorization`, `resource`, `registration` of OAuth2 providers and `minimumValiditySeconds`, `deviceAuthorization` of requests for access tokens (inputs also as signed headers `X-Credence-…`), `completeBySessionUri` of workload identities, " +
			"`accessTokenExpiresAt`, `grantedScopes`, `tokenType` of access tokens.",
		why: "SDKs pass over members that they do not know; who wants them can have them.",
		prove: func(t *testing.T, dev, _ *world) {
			name := dev.name("idp")
			a := dev.send(t, "CreateOauth2CredentialProvider", with(obj{"name": name}, dev.custom()), func(r *http.Request) { r.Header.Set("X-Credence-Confirm", "always") })
			got := dev.must(t, "GetOauth2CredentialProvider", obj{"name": name})
			if a.Status != 201 || got["confirm"] != "always" {
				t.Error(a.Body, got)
			}
			token := dev.must(t, "GetResourceOauth2Token", obj{"workloadIdentityToken": dev.wat(t, ""), "resourceCredentialProviderName": name, "scopes": []any{"read"}, "oauth2Flow": "M2M"})
			if token["accessTokenExpiresAt"] == nil || token["grantedScopes"] == nil || token["tokenType"] == nil {
				t.Error(token)
			}
		},
	},
	{
		operations: []string{"GetWorkloadAccessTokenForJWT", "CompleteResourceTokenAuth"},
		how:        "A user's JWT is taken when its issuer is listed for the account, with an audience that the JWT has (`credence issuer add`); with `--dev` of any issuer.",
		why:        "Whoever can publish a discovery document could be anybody otherwise.",
		prove: func(t *testing.T, dev, strict *world) {
			dev.must(t, "GetWorkloadAccessTokenForJWT", obj{"workloadName": dev.workload(t), "userToken": dev.jwt("alice")})
			a := strict.send(t, "GetWorkloadAccessTokenForJWT", obj{"workloadName": strict.workload(t), "userToken": dev.jwt("alice")})
			if a.Type() != "UnauthorizedException" || !strings.Contains(a.Message(), "credence issuer add") {
				t.Error(a.Body)
			}
		},
	},
	{
		operations: []string{"CompleteResourceTokenAuth"},
		how: "`sessionUri` is the one-time `session_id` that the return URL was given. The `sessionUri` that GetResourceOauth2Token answered completes a session only with `--dev`, " +
			"or for a workload identity with `completeBySessionUri`.",
		why: "Whoever began a session could finish it in another person's name.",
		prove: func(t *testing.T, _, strict *world) {
			for _, allowed := range []bool{false, true} {
				asked := strict.strictlyAsked(t, allowed)
				a := strict.send(t, "CompleteResourceTokenAuth", obj{"sessionUri": asked["sessionUri"], "userIdentifier": obj{"userId": "alice"}})
				known := strings.Contains(a.Message(), "has not consented yet")
				if a.Type() != "AccessDeniedException" || known != allowed {
					t.Error(allowed, a.Body)
				}
			}
		},
	},
	{
		operations: []string{"CompleteResourceTokenAuth"},
		how:        "It may be repeated by the same user.",
		why:        "An application that got no answer has to be able to ask again.",
		prove: func(t *testing.T, dev, _ *world) {
			in := obj{"sessionUri": dev.consent(t, dev.wat(t, "alice")).Get("session_id"), "userIdentifier": obj{"userId": "alice"}}
			dev.must(t, "CompleteResourceTokenAuth", in)
			dev.must(t, "CompleteResourceTokenAuth", in)
			in["userIdentifier"] = obj{"userId": "mallory"}
			if a := dev.send(t, "CompleteResourceTokenAuth", in); a.Type() != "AccessDeniedException" {
				t.Error(a.Body)
			}
		},
	},
	{
		operations: []string{"GetResourceOauth2Token"},
		how: "Outside `--dev`, a page names agent, account, provider, scopes and return host before a user goes to the vendor for the first time (`confirm`). " +
			"Opening `authorizationUrl` does not use it up.",
		why: "Users see what they agree to; link previews and second tabs break nothing.",
		prove: func(t *testing.T, _, strict *world) {
			asked := strict.strictlyAsked(t, false)
			for range 2 {
				resp := testenv.NewBrowser(t).Get(asked["authorizationUrl"].(string))
				page, err := io.ReadAll(resp.Body)
				if _ = resp.Body.Close(); err != nil || resp.StatusCode != 200 || !strings.Contains(string(page), "app.example") {
					t.Errorf("%d %s", resp.StatusCode, page)
				}
			}
		},
	},
	{
		operations: []string{"GetResourceOauth2Token"},
		how:        "A poll needs `sessionUri` alone, without the return URL. Polls of sessions that are unknown, foreign or another user's get one answer.",
		why:        "Clients had to change when the managed service began to demand more.",
		prove: func(t *testing.T, dev, _ *world) {
			wat := dev.wat(t, "alice")
			asked := dev.asked(t, wat)
			poll := obj{"workloadIdentityToken": wat, "resourceCredentialProviderName": dev.provider(t), "scopes": []any{}, "oauth2Flow": "USER_FEDERATION", "sessionUri": asked["sessionUri"]}
			foreign, unknown := dev.send(t, "GetResourceOauth2Token", poll), ""
			poll["sessionUri"] = "urn:ietf:params:oauth:request_uri:unknown"
			unknown = dev.send(t, "GetResourceOauth2Token", poll).Body
			if foreign.Type() == "" || foreign.Body != unknown {
				t.Errorf("%s\n%s", foreign.Body, unknown)
			}
		},
	},
	{
		operations: []string{"GetResourceApiKey", "GetResourceOauth2Token", "GetResourcePaymentToken"},
		how:        "The permission for the operation suffices; none for Secrets Manager is needed.",
		why:        "The server owns its secrets.",
		prove: func(t *testing.T, dev, _ *world) {
			in := obj{"workloadIdentityToken": dev.wat(t, ""), "resourceCredentialProviderName": dev.create(t, "CreateApiKeyCredentialProvider", "keys", apiKey())}
			one := *dev
			one.caller = dev.NewUser(testenv.Account, dev.name("user"), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:GetResourceApiKey","Resource":"*"}]}`)
			one.must(t, "GetResourceApiKey", in)
		},
	},
	{
		operations: []string{"CreateConsentPortal", "UpdateConsentPortal"},
		how: "The caller needs the operation on the provider and the workload identity, too; the role is one of the same account; names, lengths and patterns are those of the documentation. " +
			"A portal is `ACTIVE` at once. Its page is not there yet.",
		why: "A portal acts with them for everyone who signs in. The API's model says nothing about these members.",
		prove: func(t *testing.T, dev, _ *world) {
			in := dev.portals(t)[1].in
			in["executionRoleArn"] = "arn:aws:iam::222222222222:role/portal"
			wantField(t, dev.send(t, "CreateConsentPortal", in), "executionRoleArn")
			in["executionRoleArn"] = "arn:aws:iam::" + testenv.Account + ":role/portal"
			if got := dev.must(t, "CreateConsentPortal", in); got["status"] != "ACTIVE" {
				t.Error(got)
			}
			portals := *dev
			portals.caller = dev.NewUser(testenv.Account, dev.name("user"), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:*","Resource":"arn:aws:bedrock-agentcore:*:*:consent-portal/*"}]}`)
			in["name"] = dev.name("portal")
			if a := portals.send(t, "CreateConsentPortal", in); a.Type() != "AccessDeniedException" {
				t.Error(a.Body)
			}
		},
	},
	{
		operations: []string{"TagResource", "UntagResource", "ListTagsForResource"},
		how:        "ARNs of OAuth2 providers are taken.",
		why:        "The API's pattern has no digit in it, and so refuses `oauth2credentialprovider`, which its documentation lists.",
		prove: func(t *testing.T, dev, _ *world) {
			dev.must(t, "TagResource", obj{"resourceArn": dev.arn("token-vault/default/oauth2credentialprovider/" + dev.provider(t)), "tags": tags})
		},
	},
	{
		operations: everywhere,
		how:        "ARNs have the service name `bedrock-agentcore`.",
		why:        "The API's patterns for providers still say `acps`; the service answers as here.",
		prove: func(t *testing.T, dev, _ *world) {
			name := dev.provider(t)
			if got := dev.must(t, "GetOauth2CredentialProvider", obj{"name": name})["credentialProviderArn"]; got != dev.arn("token-vault/default/oauth2credentialprovider/"+name) {
				t.Error(got)
			}
		},
	},
	{
		operations: everywhere,
		how:        "Lists that the API leaves open have an end: 100 return URLs, 100 scopes, 20 resources, 20 audiences, 50 custom parameters.",
		why:        "Somebody has to say how long a request may be; these are far beyond use.",
		prove: func(t *testing.T, dev, _ *world) { // that one more is refused is among the breaches
			urls := slices.Repeat([]any{testenv.ReturnURL}, 100)
			dev.must(t, "CreateWorkloadIdentity", obj{"name": dev.name("agent"), "allowedResourceOauth2ReturnUrls": urls})
			parameters := obj{}
			for i := range 50 {
				parameters[fmt.Sprint("p", i)] = "v"
			}
			dev.must(t, "GetResourceOauth2Token", obj{
				"workloadIdentityToken": dev.wat(t, ""), "resourceCredentialProviderName": dev.provider(t), "oauth2Flow": "M2M", "customParameters": parameters,
				"scopes": slices.Repeat([]any{"read"}, 100), "resources": slices.Repeat([]any{"https://api.example"}, 20), "audiences": slices.Repeat([]any{"api"}, 20),
			})
		},
	},
	{
		operations: everywhere,
		how:        "A `ValidationException` always has a `fieldList`; a body that cannot be parsed is named `body`. Members given twice and halves of surrogate pairs are refused.",
		why:        "People and tools look there for what is wrong; one request must not mean two things.",
		prove: func(t *testing.T, dev, _ *world) {
			op := table["GetWorkloadIdentity"]
			for body, name := range map[string]string{`{`: "body", `{"name":"abc","name":"abd"}`: "name", `{"name":"a\ud800bc"}`: "name"} {
				wantField(t, dev.sendBody(t, op, op.Path, body), name)
			}
		},
	},
	{
		operations: []string{"GetResourceOauth2Token", "CompleteResourceTokenAuth"},
		how:        "The `sub` of tokens by `AWS_IAM_ID_TOKEN_JWT` is the ARN of the workload identity, not of the caller; the issuer is the account's own, and the caller needs no right to `sts:GetWebIdentityToken`.",
		why:        "Grants belong to agents, and are renewed when no caller is there. One permission per operation.",
		prove: func(t *testing.T, dev, _ *world) {
			agent := dev.workload(t)
			idp := dev.create(t, "CreateOauth2CredentialProvider", "idp", obj{"credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": obj{"customOauth2ProviderConfig": obj{
				"clientAuthenticationMethod": "AWS_IAM_ID_TOKEN_JWT", "oauthDiscovery": obj{"discoveryUrl": dev.Vendor.Issuer() + "/.well-known/openid-configuration"},
			}}})
			issuer, subject := dev.URL+"/issuer/"+dev.caller.Account, dev.arn(fmt.Sprintf("workload-identity-directory/default/workload-identity/%v", agent))
			dev.Vendor.Trust(issuer, nil)
			dev.Vendor.AddClient(fakeidp.Client{ID: "vouched", Issuer: issuer, Subject: subject})
			wat := dev.must(t, "GetWorkloadAccessToken", obj{"workloadName": agent})["workloadAccessToken"]
			out := dev.must(t, "GetResourceOauth2Token", obj{"workloadIdentityToken": wat, "resourceCredentialProviderName": idp, "scopes": []any{}, "oauth2Flow": "M2M"})
			if info, _ := dev.Vendor.Introspect(fmt.Sprint(out["accessToken"])); info.ClientID != "vouched" {
				t.Errorf("the vendor takes it for one of %+v", info)
			}
		},
	},
	{
		operations: everywhere,
		how:        "A signature may be five minutes old, and covers the body: `UNSIGNED-PAYLOAD` and presigned URLs are refused.",
		why:        "A request that is seen by others is good for nothing else, and not for long.",
		prove: func(t *testing.T, dev, _ *world) {
			for _, at := range []time.Duration{-6 * time.Minute, 6 * time.Minute} {
				a := dev.Do(dev.caller.Sign("/identities/ListWorkloadIdentities", "{}", "bedrock-agentcore", time.Now().Add(at)))
				if a.Type() != "InvalidSignatureException" || a.Status != 403 {
					t.Error(at, a.Status, a.Body)
				}
			}
			a := dev.caller.Call("/identities/ListWorkloadIdentities", "{}", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") })
			if a.Status != 403 {
				t.Error(a.Status, a.Body)
			}
		},
	},
}

// strictlyAsked is a consent that a user is asked for where vendors must be on https.
func (w *world) strictlyAsked(t *testing.T, completeBySessionURI bool) obj {
	agent := w.create(t, "CreateWorkloadIdentity", "agent", obj{"allowedResourceOauth2ReturnUrls": []any{testenv.ReturnURL}, "completeBySessionUri": completeBySessionURI})
	wat := w.must(t, "GetWorkloadAccessTokenForUserId", obj{"workloadName": agent, "userId": "alice"})["workloadAccessToken"]
	idp := w.create(t, "CreateOauth2CredentialProvider", "idp", obj{"credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": obj{"customOauth2ProviderConfig": obj{
		"clientId": "client-1", "clientSecret": testenv.ClientSecret, "oauthDiscovery": obj{"authorizationServerMetadata": obj{
			"issuer": "https://idp.example", "authorizationEndpoint": "https://idp.example/authorize", "tokenEndpoint": "https://idp.example/token",
		}},
	}}})
	return w.must(t, "GetResourceOauth2Token", obj{
		"workloadIdentityToken": wat, "resourceCredentialProviderName": idp, "scopes": []any{"read"}, "oauth2Flow": "USER_FEDERATION", "resourceOauth2ReturnUrl": testenv.ReturnURL,
	})
}

// wantField wants a refusal that names one member.
func wantField(t *testing.T, a testenv.Answer, name string) {
	t.Helper()
	if a.Type() != "ValidationException" {
		t.Errorf("want a ValidationException about %s: %d %s", name, a.Status, a.Body)
		return
	}
	if fields := errorOf(t, a).FieldList; len(fields) != 1 || fields[0].Name != name {
		t.Errorf("want %s: %s", name, a.Body)
	}
}

func wantSecret(t *testing.T, secret any) {
	t.Helper()
	o, _ := secret.(obj)
	if arn, _ := o["secretArn"].(string); !strings.HasPrefix(arn, "arn:aws:secretsmanager:us-east-1:"+testenv.Account+":secret:bedrock-agentcore-identity!") {
		t.Error(secret)
	}
}
