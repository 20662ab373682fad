package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/testenv"
)

func issuerOf(e *testenv.Env) string { return e.URL + "/issuer/" + testenv.Account }

func agentARN(name string) string {
	return "arn:aws:bedrock-agentcore:us-east-1:" + testenv.Account + ":workload-identity-directory/default/workload-identity/" + name
}

// A vendor is given a URL in place of a key: it reads there what the assertions of a client are verified by.
func TestClientAuthByKeysAtURLAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	v := realVendor(e)
	client := v.clients["reader"].ID
	var key struct{ KeyArn, KeyId string }
	answer := e.Admin.Call("/credence/CreateKey", `{"keyUsage":"CLIENT_ASSERTION","keySpec":"ECC_NIST_P256","clientId":"`+client+`"}`)
	if err := json.Unmarshal([]byte(answer.Body), &key); err != nil || answer.Status != 201 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	url, err := json.Marshal(issuerOf(e) + "/keys/" + key.KeyId + "/jwks")
	if err != nil {
		t.Fatal(err)
	}
	v.registerWith(t, "reader", "https://keys.example/", url)
	call[object](a, "CreateWorkloadIdentity", object{"name": "reading"})
	call[object](a, "CreateOauth2CredentialProvider", object{
		"name": "reading", "credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": object{"customOauth2ProviderConfig": object{
			"oauthDiscovery": object{"discoveryUrl": v.issuer + "/.well-known/openid-configuration"}, "clientId": client, "clientAuthenticationMethod": "PRIVATE_KEY_JWT",
			"privateKeyJwtConfig": object{"privateKeySource": object{"kmsKeySource": object{"kmsKeyArn": key.KeyArn}}, "signingAlgorithm": "ES256",
				"additionalPayloadClaims": object{"aud": v.issuer}},
		}},
	})
	got := call[token](a, "GetResourceOauth2Token", object{
		"workloadIdentityToken": a.wat("reading", ""), "resourceCredentialProviderName": "reading", "scopes": []string{"read"}, "oauth2Flow": "M2M",
	})
	if issued := v.issued(t, 1, "reader", "", "client_credentials"); got.AccessToken == "" || issued[0].AccessToken != got.AccessToken || issued[0].Method != "private_key_jwt" {
		t.Errorf("the agent has %+v, the vendor issued %+v", got, issued)
	}
}

// An agent acts for a user as itself: a real token-exchange server reads who it is from a token of the account's issuer, which it verifies by the published keys.
func TestFlowActorOfOurIssuerAtZitadel(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v, err := newZitadelTrusting(e.Vendor.Issuer(), issuerOf(e))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = v.stop() })
	v.plant(e)
	a := administrator(e)
	client := v.clients["machine"]
	in := customProvider("with-actor", v.issuer, client.ID, client.Secret, "CLIENT_SECRET_BASIC")
	in["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object)["onBehalfOfTokenExchangeConfig"] = object{
		"grantType": "TOKEN_EXCHANGE", "tokenExchangeGrantTypeConfig": object{"actorTokenContent": "AWS_IAM_ID_TOKEN_JWT"},
	}
	call[object](a, "CreateOauth2CredentialProvider", in)
	for _, agent := range []string{"one", "two"} {
		call[object](a, "CreateWorkloadIdentity", object{"name": agent})
		userToken := e.Vendor.Sign(map[string]any{"sub": "dora", "aud": "application"})
		wat := call[struct {
			WorkloadAccessToken string `json:"workloadAccessToken"`
		}](a, "GetWorkloadAccessTokenForJWT", object{"workloadName": agent, "userToken": userToken}).WorkloadAccessToken
		e.Plant(userToken, wat)
		got := call[token](a, "GetResourceOauth2Token", object{
			"workloadIdentityToken": wat, "resourceCredentialProviderName": "with-actor", "oauth2Flow": "ON_BEHALF_OF_TOKEN_EXCHANGE", "scopes": []string{"read"},
		})
		claims, err := keysOf(v.issuer).read(t.Context(), got.AccessToken, v.issuer)
		if err != nil {
			t.Fatal(err)
		}
		if actor, _ := claims["act"].(map[string]any); claims["sub"] != "dora" || actor["sub"] != agentARN(agent) {
			t.Errorf("the token is one of %v, for whom %v acts", claims["sub"], claims["act"])
		}
	}
}

// A client without a secret, whom the account's issuer vouches for: the vendor finds the issuer's keys by its discovery document. A withdrawn key is no reason to
// lose a token.
func TestClientAuthByOurIssuerAtAwkwardVendor(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	e.Vendor.Trust(issuerOf(e), nil)
	e.Vendor.AddClient(fakeidp.Client{ID: "vouched", Issuer: issuerOf(e), Subject: agentARN("agent")})
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent"})
	call[object](a, "CreateWorkloadIdentity", object{"name": "other"})
	call[object](a, "CreateOauth2CredentialProvider", object{
		"name": "vouched", "credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": object{"customOauth2ProviderConfig": object{
			"oauthDiscovery": object{"discoveryUrl": e.Vendor.Issuer() + "/.well-known/openid-configuration"}, "clientAuthenticationMethod": "AWS_IAM_ID_TOKEN_JWT",
		}},
	})
	request := func(agent, scope string) object {
		return object{"workloadIdentityToken": a.wat(agent, ""), "resourceCredentialProviderName": "vouched", "scopes": []string{scope}, "oauth2Flow": "M2M"}
	}
	for _, scope := range []string{"one", "two"} {
		got := call[token](a, "GetResourceOauth2Token", request("agent", scope))
		if info, ok := e.Vendor.Introspect(got.AccessToken); !ok || info.ClientID != "vouched" {
			t.Errorf("%s: %+v", scope, info)
		}
		if answer := e.Admin.Call("/credence/RotateIssuerKeys", `{"withdraw":true}`); answer.Status != 200 {
			t.Fatalf("%d %s", answer.Status, answer.Body)
		}
	}
	if got := a.refusal("GetResourceOauth2Token", request("other", "one")); got.Name != "ValidationException" || !strings.Contains(got.Message, "invalid_client") {
		t.Errorf("another agent: %+v", got)
	}

	// No assertion leaves for a host that is not the provider's, wherever the vendor's answer points to.
	var visits atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer elsewhere.Close()
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.RedirectTo = elsewhere.URL + "/token" })
	if got := a.ask("GetResourceOauth2Token", object{"input": request("agent", "three")}); got.Error == nil || visits.Load() != 0 {
		t.Errorf("after a redirect: %+v, %d visits elsewhere", got, visits.Load())
	}
}

// The AWS SDK for JavaScript is a client of the STS door, unchanged.
func TestJavaScriptSTS(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	type identity struct{ Arn, Account, UserId string }
	if got := call[identity](a, "GetCallerIdentity", object{}); got.Account != testenv.Account || got.Arn != "arn:aws:iam::"+testenv.Account+":user/admin" || got.UserId == "" {
		t.Errorf("%+v", got)
	}
	made := call[struct {
		WebIdentityToken string
		Expiration       date
	}](a, "GetWebIdentityToken", object{
		"Audience": []string{"https://api.example"}, "SigningAlgorithm": "RS256", "DurationSeconds": 600, "Tags": []object{{"Key": "team", "Value": "a"}},
	})
	e.Plant(made.WebIdentityToken)
	claims, err := keysOf(issuerOf(e)).read(t.Context(), made.WebIdentityToken, issuerOf(e))
	if err != nil || claims["sub"] != "arn:aws:iam::"+testenv.Account+":user/admin" || claims["aud"] != "https://api.example" || int64(claims["exp"].(float64)) != made.Expiration.Time.Unix() {
		t.Errorf("%v (%v)", claims, err)
	}
	if age := time.Until(made.Expiration.Time); age < 8*time.Minute || age > 11*time.Minute {
		t.Errorf("it ends in %s", age)
	}
	if got := a.refusal("GetWebIdentityToken", object{"Audience": []string{"a"}, "SigningAlgorithm": "HS256"}); !got.Service || got.Name != "ValidationError" || !strings.Contains(got.Message, "SigningAlgorithm") {
		t.Errorf("%+v", got)
	}
}
