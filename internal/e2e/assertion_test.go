package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"credence/internal/testenv"
)

// A client without a secret: its assertions are signed by a key that is registered at a real vendor by its public half. It gets tokens of its own and of a user, and
// refreshes them; with its key disabled it is nobody. The vendor takes this client's authorization requests only by its back channel,
// and signed.
func TestClientAuthPrivateKeyJWTAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	v := realVendor(e)
	client := v.clients["signer"].ID

	var key struct{ KeyArn string }
	answer := e.Admin.Call("/credence/CreateKey", `{"keyUsage":"CLIENT_ASSERTION","keySpec":"RSA_2048","clientId":"`+client+`"}`)
	if err := json.Unmarshal([]byte(answer.Body), &key); err != nil || answer.Status != 201 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	var public struct{ Jwk json.RawMessage }
	answer = e.Admin.Call("/credence/GetPublicKey", `{"keyId":"`+key.KeyArn+`"}`)
	if err := json.Unmarshal([]byte(answer.Body), &public); err != nil || answer.Status != 200 {
		t.Fatalf("%d %s", answer.Status, answer.Body)
	}
	app := startApplication(t)
	call[object](a, "CreateWorkloadIdentity", object{"name": "signing", "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	made := extended[oauth2Provider](a, "CreateOauth2CredentialProvider", object{
		"name": "signed", "credentialProviderVendor": "CustomOauth2", "oauth2ProviderConfigInput": object{"customOauth2ProviderConfig": object{
			"oauthDiscovery": object{"discoveryUrl": v.issuer + "/.well-known/openid-configuration"}, "clientId": client, "clientAuthenticationMethod": "PRIVATE_KEY_JWT",
			"privateKeyJwtConfig": object{"privateKeySource": object{"kmsKeySource": object{"kmsKeyArn": key.KeyArn}}, "signingAlgorithm": "PS256",
				"additionalPayloadClaims": object{"aud": v.issuer}},
		}},
	}, object{"X-Credence-Require-Signed-Request-Object": "true"})
	v.registerWith(t, "signer", made.CallbackURL, public.Jwk)

	m2m := object{"workloadIdentityToken": a.wat("signing", ""), "resourceCredentialProviderName": "signed", "scopes": []string{"read"}, "oauth2Flow": "M2M"}
	if got := call[token](a, "GetResourceOauth2Token", m2m); got.AccessToken == "" {
		t.Errorf("M2M: %+v", got)
	}
	for _, event := range v.issued(t, 1, "signer", "", "client_credentials") {
		if event.Method != "private_key_jwt" {
			t.Errorf("the vendor saw %+v", event)
		}
	}

	c := &federation{a, app, "sigrid", object{
		"workloadIdentityToken": a.wat("signing", "sigrid"), "resourceCredentialProviderName": "signed", "oauth2Flow": "USER_FEDERATION",
		"scopes": []string{"openid", "offline_access"}, "resourceOauth2ReturnUrl": app.ReturnURL, "customParameters": object{"prompt": "consent"},
	}}
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	direct, err := stay.Get(v.issuer + "/auth?" + url.Values{"client_id": {client}, "response_type": {"code"}, "redirect_uri": {made.CallbackURL}, "scope": {"openid"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = direct.Body.Close()
	if !strings.Contains(direct.Header.Get("Location"), "error=invalid_request") {
		t.Fatalf("the vendor takes a request that was not pushed: %d %s", direct.StatusCode, direct.Header.Get("Location"))
	}
	c.begin()
	b := newTab(t)
	c.leave(b, "Sign-in")
	c.signIn(b)
	c.agree(b)
	first := c.poll()
	if issued := v.issued(t, 1, "signer", "sigrid", "authorization_code"); issued[0].AccessToken != first.AccessToken || issued[0].Method != "private_key_jwt" {
		t.Fatalf("the agent has %+v, the vendor issued %+v", first, issued)
	}
	time.Sleep(shortLife)
	second := c.poll()
	if issued := v.issued(t, 1, "signer", "sigrid", "refresh_token"); second.AccessToken == first.AccessToken || issued[0].AccessToken != second.AccessToken {
		t.Errorf("after the token ended: %+v, the vendor issued %+v", second, issued)
	}

	if got := e.Admin.Call("/credence/DisableKey", `{"keyId":"`+key.KeyArn+`"}`); got.Status != 204 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	m2m["scopes"] = []string{} // another grant
	if got := a.refusal("GetResourceOauth2Token", m2m); got.Name != "AccessDeniedException" {
		t.Errorf("with its key disabled: %+v", got)
	}
	if got := e.Admin.Call("/credence/DeleteKey", `{"keyId":"`+key.KeyArn+`"}`); got.Status != 409 {
		t.Errorf("a key that a provider uses is deleted: %d %s", got.Status, got.Body)
	}
}
