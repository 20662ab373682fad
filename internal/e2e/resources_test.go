package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/testenv"
)

const vaultARN = "arn:aws:bedrock-agentcore:us-east-1:" + testenv.Account + ":token-vault/default"

func paymentProviders(t *testing.T, a *agent, e *testenv.Env) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(der)
	e.Plant(key, "planted-app-secret")
	type provider struct {
		Name    string `json:"name"`
		ARN     string `json:"credentialProviderArn"`
		Created date   `json:"createdTime"`
	}
	input := object{"name": "wallet", "credentialProviderVendor": "StripePrivy", "providerConfigurationInput": object{"stripePrivyConfiguration": object{
		"appId": "app-1", "appSecret": "planted-app-secret", "authorizationPrivateKey": "wallet-auth:" + key, "authorizationId": "auth-1",
	}}}
	created := call[provider](a, "CreatePaymentCredentialProvider", input)
	if created.ARN != vaultARN+"/paymentcredentialprovider/wallet" {
		t.Errorf("created %+v", created)
	}
	isNow(t, "createdTime", call[provider](a, "GetPaymentCredentialProvider", object{"name": "wallet"}).Created)
	call[provider](a, "UpdatePaymentCredentialProvider", input)
	if got := listed(a, "ListPaymentCredentialProviders"); !slices.Equal(got, []string{"wallet"}) {
		t.Errorf("listed %q", got)
	}
	type output struct {
		Response struct {
			Privy struct {
				Signature string `json:"authorizationSignature"`
				AppID     string `json:"appId"`
				Basic     string `json:"basicAuthToken"`
			} `json:"stripePrivyTokenResponse"`
		} `json:"paymentTokenResponse"`
	}
	got := call[output](a, "GetResourcePaymentToken", object{
		"workloadIdentityToken": a.wat("agent", ""), "resourceCredentialProviderName": "wallet",
		"paymentTokenRequest": object{"stripePrivyTokenRequest": object{"requestPath": "/v1/wallets/w/rpc", "requestBody": `{"a":1}`, "includeAuthorizationSignature": true}},
	}).Response.Privy
	if got.AppID != "app-1" || got.Signature == "" || got.Basic != base64.StdEncoding.EncodeToString([]byte("app-1:planted-app-secret")) {
		t.Error("the payment token is not that of the app")
	}
	e.Plant(got.Basic, got.Signature)
	deletes(t, a, "PaymentCredentialProvider", "wallet")
}

func consentPortals(t *testing.T, a *agent) {
	type portal struct {
		ID     string `json:"consentPortalId"`
		URL    string `json:"portalUrl"`
		Status string `json:"status"`
	}
	created := call[portal](a, "CreateConsentPortal", object{
		"name": "portal", "executionRoleArn": "arn:aws:iam::" + testenv.Account + ":role/portal",
		"idpConfig": object{"credentialProviderArn": vaultARN + "/oauth2credentialprovider/vendor", "scopes": []string{"openid"}},
		"sources":   []object{{"identifier": "gateway-0123456789", "type": "agentcore-gateway"}},
	})
	if !strings.HasPrefix(created.ID, "portal-") || created.URL == "" {
		t.Errorf("created %+v", created)
	}
	if got := call[portal](a, "GetConsentPortal", object{"consentPortalIdentifier": created.ID}); got.Status != "ACTIVE" {
		t.Errorf("it is %+v", got)
	}
	call[portal](a, "UpdateConsentPortal", object{"consentPortalIdentifier": created.ID, "description": "for everybody"})
	type page struct {
		Portals []portal `json:"consentPortals"`
	}
	if got := pages[page](a, "ListConsentPortals", object{"maxResults": 1}); len(got) != 1 || len(got[0].Portals) != 1 || got[0].Portals[0].ID != created.ID {
		t.Errorf("listed %+v", got)
	}
	call[object](a, "DeleteConsentPortal", object{"consentPortalIdentifier": created.ID})
	if got := a.refusal("GetConsentPortal", object{"consentPortalIdentifier": created.ID}); got.Name != "ResourceNotFoundException" {
		t.Errorf("after it was deleted: %+v", got)
	}
}

func tags(t *testing.T, a *agent) {
	arn := vaultARN + "/oauth2credentialprovider/vendor"
	call[object](a, "TagResource", object{"resourceArn": arn, "tags": object{"team": "a", "with space/and+more": "a@b"}})
	call[object](a, "UntagResource", object{"resourceArn": arn, "tagKeys": []string{"team", "never there"}})
	type output struct {
		Tags map[string]string `json:"tags"`
	}
	if got := call[output](a, "ListTagsForResource", object{"resourceArn": arn}).Tags; len(got) != 1 || got["with space/and+more"] != "a@b" {
		t.Errorf("the tags are %q", got)
	}
}

// A token vault under a key of its account: closed while that is disabled, and after it was destroyed usable again without the tokens. Providers stay.
func vaultKeys(t *testing.T, a *agent, e *testenv.Env) {
	type vault struct {
		KMS struct {
			Type string `json:"keyType"`
			ARN  string `json:"kmsKeyArn"`
		} `json:"kmsConfiguration"`
	}
	var key struct{ KeyArn string }
	answer := e.Admin.Call("/credence/CreateKey", `{"keyUsage":"TOKEN_VAULT"}`)
	if err := json.Unmarshal([]byte(answer.Body), &key); err != nil || answer.Status != 201 {
		t.Fatalf("CreateKey: %d %s", answer.Status, answer.Body)
	}
	change := func(operation string) {
		t.Helper()
		if got := e.Admin.Call("/credence/"+operation, `{"keyId":"`+key.KeyArn+`","force":true}`); got.Status != 204 {
			t.Fatalf("%s: %d %s", operation, got.Status, got.Body)
		}
	}
	call[object](a, "CreateOauth2CredentialProvider", customProvider("sealed", e.Vendor.Issuer(), testenv.ClientID, testenv.ClientSecret, "CLIENT_SECRET_BASIC"))
	call[object](a, "CreateApiKeyCredentialProvider", object{"name": "sealed", "apiKey": "planted-sealed-api-key"})
	token := object{"workloadIdentityToken": a.wat("agent", ""), "resourceCredentialProviderName": "sealed", "oauth2Flow": "M2M", "scopes": []string{"read"}}
	apiKey := object{"workloadIdentityToken": a.wat("agent", ""), "resourceCredentialProviderName": "sealed"}
	type output struct {
		Token string `json:"accessToken"`
	}
	before := call[output](a, "GetResourceOauth2Token", token).Token

	custom := object{"kmsConfiguration": object{"keyType": "CustomerManagedKey", "kmsKeyArn": key.KeyArn}}
	if got := call[vault](a, "SetTokenVaultCMK", custom).KMS; got.Type != "CustomerManagedKey" || got.ARN != key.KeyArn {
		t.Errorf("set: %+v", got)
	}
	if got := call[vault](a, "GetTokenVault", object{}).KMS; got.ARN != key.KeyArn {
		t.Errorf("it has %+v", got)
	}
	if got := call[output](a, "GetResourceOauth2Token", token).Token; got != before {
		t.Error("the stored token was lost when the key was set")
	}
	// This version of the SDK for JavaScript has no ResetTokenVaultKeyMaterial: the one for Go calls it.
	reset := func() error {
		out, err := e.Admin.Control().ResetTokenVaultKeyMaterial(t.Context(), &bedrockagentcorecontrol.ResetTokenVaultKeyMaterialInput{TokenVaultId: aws.String("default")})
		if err == nil && (out.KmsConfiguration.KeyType != types.KeyTypeServiceManagedKey || out.KmsConfiguration.KmsKeyArn != nil) {
			t.Errorf("reset: %+v", out.KmsConfiguration)
		}
		return err
	}
	notReset := func(when string) {
		t.Helper()
		if _, ok := errors.AsType[*types.ValidationException](reset()); !ok {
			t.Errorf("a reset with a key that is %s is not refused", when)
		}
	}
	notReset("enabled")

	change("DisableKey")
	for operation, test := range map[string]struct {
		in   object
		name string
	}{
		"GetResourceOauth2Token":         {token, "AccessDeniedException"},
		"GetResourceApiKey":              {apiKey, "AccessDeniedException"},
		"CreateApiKeyCredentialProvider": {object{"name": "another", "apiKey": "planted-sealed-api-key"}, "EncryptionFailure"},
		"UpdateApiKeyCredentialProvider": {object{"name": "sealed", "apiKey": "planted-sealed-api-key"}, "EncryptionFailure"},
	} {
		if got := a.refusal(operation, test.in); got.Name != test.name {
			t.Errorf("%s with a disabled key: %+v, want %s", operation, got, test.name)
		}
	}
	notReset("disabled")
	change("EnableKey")
	if got := call[output](a, "GetResourceOauth2Token", token).Token; got != before {
		t.Error("the stored token was lost when the key was disabled")
	}

	change("DeleteKey")
	if got := a.refusal("GetResourceOauth2Token", token); got.Name != "AccessDeniedException" {
		t.Errorf("with a key that is destroyed: %+v", got)
	}
	if err := reset(); err != nil {
		t.Error(err)
	}
	if got := call[output](a, "GetResourceOauth2Token", token).Token; got == before || got == "" {
		t.Error("the provider gives no new token after the reset")
	}
	if got := call[object](a, "GetResourceApiKey", apiKey); got["apiKey"] != "planted-sealed-api-key" {
		t.Error("the API key is lost")
	}
	deletes(t, a, "Oauth2CredentialProvider", "sealed")
	deletes(t, a, "ApiKeyCredentialProvider", "sealed")
}
