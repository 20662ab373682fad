package e2e

import (
	"testing"
	"time"

	"credence/internal/testenv"
)

// At a real vendor: a client whose secret signs and is not sent, and one that has none, whose codes are worth nothing without their verifiers.
func TestClientAuthSecretJWTAndNoneAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	v := realVendor(e)
	app := startApplication(t)
	call[object](a, "CreateWorkloadIdentity", object{"name": "clients", "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	provider := func(name, method string) oauth2Provider {
		in := customProvider(name, v.issuer, v.clients[name].ID, v.clients[name].Secret, "")
		config := in["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object)
		delete(config, "clientAuthenticationMethod")
		if v.clients[name].Secret == "" {
			delete(config, "clientSecret")
		}
		made := extended[oauth2Provider](a, "CreateOauth2CredentialProvider", in, object{"X-Credence-Token-Endpoint-Auth-Method": method})
		v.register(t, name, made.CallbackURL)
		return made
	}
	provider("hmac", "client_secret_jwt")
	m2m := object{"workloadIdentityToken": a.wat("clients", ""), "resourceCredentialProviderName": "hmac", "scopes": []string{"read"}, "oauth2Flow": "M2M"}
	got := call[token](a, "GetResourceOauth2Token", m2m)
	if issued := v.issued(t, 1, "hmac", "", "client_credentials"); issued[0].AccessToken != got.AccessToken || issued[0].Method != "client_secret_jwt" {
		t.Errorf("the agent has %+v, the vendor issued %+v", got, issued)
	}

	provider("public", "none")
	c := &federation{a, app, "paula", object{
		"workloadIdentityToken": a.wat("clients", "paula"), "resourceCredentialProviderName": "public", "oauth2Flow": "USER_FEDERATION",
		"scopes": []string{"openid", "offline_access"}, "resourceOauth2ReturnUrl": app.ReturnURL, "customParameters": object{"prompt": "consent"},
	}}
	c.begin()
	b := newTab(t)
	c.leave(b, "Sign-in")
	c.signIn(b)
	c.agree(b)
	first := c.poll().AccessToken
	time.Sleep(shortLife)
	second := c.poll().AccessToken
	for grantType, want := range map[string]string{"authorization_code": first, "refresh_token": second} {
		if issued := v.issued(t, 1, "public", "paula", grantType); issued[0].AccessToken != want || issued[0].Method != "none" {
			t.Errorf("%s: the vendor issued %+v", grantType, issued)
		}
	}
}
