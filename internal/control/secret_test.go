package control_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
)

// keep writes a secret elsewhere and gives its id.
func (b *bed) keep(t *testing.T, name, text string) (id string) {
	t.Helper()
	path := filepath.Join(b.elsewhere, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return "file://" + path
}

var isExternal = new(wire.SourceExternal)

func at(id, jsonKey string) *wire.SecretReference {
	return &wire.SecretReference{SecretId: id, JsonKey: jsonKey}
}

func externalSecret(id, jsonKey string) func(*customInput) {
	return func(in *customInput) {
		in.ClientSecret, in.ClientSecretSource, in.ClientSecretConfig = nil, isExternal, at(id, jsonKey)
	}
}

// wantDescribed holds what an answer tells of a secret.
func wantDescribed(t *testing.T, arn *wire.Secret, jsonKey *string, source *wire.SecretSource, wantARN, wantKey string, wantSource wire.SecretSource) {
	t.Helper()
	if !strings.HasPrefix(arn.SecretArn, wantARN) || *jsonKey != wantKey || *source != wantSource {
		t.Errorf("told %s, %s, %s", arn.SecretArn, *jsonKey, *source)
	}
	must(t, wire.Validate(arn))
}

// managedARN is how ARNs of secrets begin that no AWS knows.
const managedARN = "arn:aws:secretsmanager:eu-west-1:" + alpha + ":secret:bedrock-agentcore-identity!"

// A client secret goes from here to elsewhere and back; what was kept before is gone, and an update without a secret changes nothing about it.
func TestClientSecretElsewhere(t *testing.T) {
	b := open(t)
	id := b.keep(t, "vendor", `{"client_secret":"`+planted+`"}`)
	created, err := b.createProvider(t, "vendor", wire.VendorCustomOauth2, custom(externalSecret(id, "client_secret")))
	must(t, err)
	wantNoSecrets(t, created)
	wantDescribed(t, created.ClientSecretArn, created.ClientSecretJsonKey, created.ClientSecretSource, managedARN, "client_secret", wire.SourceExternal)
	wantStored := func(value string, here bool) {
		t.Helper()
		if s, _ := b.storedSecret(t, "vendor"); s != value {
			t.Errorf("the secret is %q, want %q", s, value)
		}
		p, err := b.Vault.OAuth2Provider(t.Context(), alpha, "vendor")
		must(t, err)
		if (p.Row.ClientSecret != nil) != here || (p.Row.ClientSecretAt == store.Reference{}) != here {
			t.Errorf("stored %v and %v", p.Row.ClientSecret, p.Row.ClientSecretAt)
		}
		if rows := b.rows(t); strings.Contains(rows, value) || strings.Contains(rows, id) == here {
			t.Errorf("the rows are\n%s", rows)
		}
		got := b.getProvider(t, "vendor")
		source := map[bool]wire.SecretSource{true: wire.SourceManaged, false: wire.SourceExternal}[here]
		wantDescribed(t, got.ClientSecretArn, got.ClientSecretJsonKey, got.ClientSecretSource, managedARN, "client_secret", source)
	}
	wantStored(planted, false)
	b.keep(t, "vendor", `{"client_secret":"planted-rotated"}`)
	wantStored("planted-rotated", false)

	_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(withoutSecret))
	must(t, err)
	wantStored("planted-rotated", false)
	_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(withoutSecret, func(in *customInput) { in.ClientSecretSource = new(wire.SourceManaged) }))
	wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecret", "is required when")
	_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(withSecret("planted-here")))
	must(t, err)
	wantStored("planted-here", true)
	_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(withoutSecret, func(in *customInput) { in.ClientSecretSource = new(wire.SourceManaged) }))
	must(t, err)
	wantStored("planted-here", true)
	_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(externalSecret(id, "client_secret")))
	must(t, err)
	wantStored("planted-rotated", false)

	// Another generation needs its secret in the same request, by a value or by a reference.
	other := func(in *customInput) { in.ClientId = new("client-2") }
	_, before := b.storedSecret(t, "vendor")
	_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(withoutSecret, other))
	wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecret", "is required when")
	_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(externalSecret(id, "client_secret"), other))
	must(t, err)
	wantStored("planted-rotated", false)
	if _, after := b.storedSecret(t, "vendor"); after == before {
		t.Error("the generation is the same")
	}
}

// An API key goes from here to elsewhere and back.
func TestAPIKeyElsewhere(t *testing.T) {
	b, c := open(t), administrator(t, alpha)
	id := b.keep(t, "weather/api_key", planted+"\n")
	created, err := b.CreateApiKeyCredentialProvider(t.Context(), c, &wire.CreateApiKeyCredentialProviderInput{Name: "weather", ApiKeySecretSource: isExternal, ApiKeySecretConfig: at(id, "api_key")})
	must(t, err)
	wantDescribed(t, created.ApiKeySecretArn, created.ApiKeySecretJsonKey, created.ApiKeySecretSource, managedARN, "api_key", wire.SourceExternal)
	wantStored := func(value string, here bool) {
		t.Helper()
		if got := b.storedAPIKey(t, "weather"); got != value {
			t.Errorf("the key is %q, want %q", got, value)
		}
		p, err := b.Vault.APIKeyProvider(t.Context(), alpha, "weather")
		must(t, err)
		if (p.APIKey != nil) != here || (p.APIKeyAt == store.Reference{}) != here || strings.Contains(b.rows(t), value) {
			t.Errorf("stored %v and %v", p.APIKey, p.APIKeyAt)
		}
		b.getAPIKeyProvider(t, "weather")
	}
	wantStored(planted, false)
	update := func(in wire.UpdateApiKeyCredentialProviderInput) error {
		in.Name = "weather"
		_, err := b.UpdateApiKeyCredentialProvider(t.Context(), c, &in)
		return err
	}
	must(t, update(wire.UpdateApiKeyCredentialProviderInput{}))
	wantStored(planted, false)
	wantInvalid(t, update(wire.UpdateApiKeyCredentialProviderInput{ApiKeySecretSource: new(wire.SourceManaged)}), "apiKey", "is required when")
	must(t, update(wire.UpdateApiKeyCredentialProviderInput{ApiKey: new(secret.New("planted-here"))}))
	wantStored("planted-here", true)
	must(t, update(wire.UpdateApiKeyCredentialProviderInput{ApiKeySecretSource: isExternal, ApiKeySecretConfig: at(id, "api_key")}))
	wantStored(planted, false)
}

// All four payment secrets may be elsewhere, and are looked at all the same.
func TestPaymentSecretsElsewhere(t *testing.T) {
	b := open(t)
	cdp := b.keep(t, "cdp", `{"key":"`+edKey+`","wallet":"`+ecKey+`","other":"`+edKey2+`","broken":"x"}`)
	stripe := b.keep(t, "privy", `{"app":"`+planted+`","key":"`+ecKey+`","wrong":"`+edKey+`"}`)
	coinbaseAt := func(key, wallet string) *wire.PaymentProviderConfigurationInput {
		in := &wire.CoinbaseCdpConfigurationInput{ApiKeyId: "key-1", ApiKeySecretSource: isExternal, ApiKeySecretConfig: at(cdp, key)}
		if wallet != "" {
			in.WalletSecretSource, in.WalletSecretConfig = isExternal, at(cdp, wallet)
		}
		return &wire.PaymentProviderConfigurationInput{CoinbaseCdpConfiguration: in}
	}
	privyAt := func(app, key string) *wire.PaymentProviderConfigurationInput {
		return &wire.PaymentProviderConfigurationInput{StripePrivyConfiguration: &wire.StripePrivyConfigurationInput{
			AppId: "app-1", AppSecretSource: isExternal, AppSecretConfig: at(stripe, app),
			AuthorizationId: "quorum-1", AuthorizationPrivateKeySource: isExternal, AuthorizationPrivateKeyConfig: at(stripe, key),
		}}
	}
	const coinbasePath, privyPath = "providerConfigurationInput.coinbaseCdpConfiguration.", "providerConfigurationInput.stripePrivyConfiguration."
	_, err := b.createPayment(t, "coinbase", wire.VendorCoinbaseCDP, coinbaseAt("broken", ""))
	wantInvalid(t, err, coinbasePath+"apiKeySecretConfig")
	_, err = b.createPayment(t, "coinbase", wire.VendorCoinbaseCDP, coinbaseAt("key", "key"))
	wantInvalid(t, err, coinbasePath+"walletSecretConfig", "EC P-256")
	_, err = b.createPayment(t, "privy", wire.VendorStripePrivy, privyAt("none", "key"))
	wantInvalid(t, err, privyPath+"appSecretConfig", `no text under the key "none"`)
	_, err = b.createPayment(t, "privy", wire.VendorStripePrivy, privyAt("app", "wrong"))
	wantInvalid(t, err, privyPath+"authorizationPrivateKeyConfig", "EC P-256")

	_, err = b.createPayment(t, "coinbase", wire.VendorCoinbaseCDP, coinbaseAt("key", "wallet"))
	must(t, err)
	b.wantCoinbase(t, "coinbase", "key-1", edKey, true)
	_, err = b.createPayment(t, "privy", wire.VendorStripePrivy, privyAt("app", "key"))
	must(t, err)
	p, err := b.Vault.PaymentProvider(t.Context(), alpha, "privy")
	must(t, err)
	s, err := b.Vault.Privy(t.Context(), p)
	must(t, err)
	if !strings.HasPrefix(s.BasicAuth(), "YXBwLTE6") { // app-1:
		t.Error(s.BasicAuth())
	}
	got := b.getPayment(t, "privy").ProviderConfigurationOutput.StripePrivyConfiguration
	wantDescribed(t, got.AppSecretArn, got.AppSecretJsonKey, got.AppSecretSource, managedARN, "app", wire.SourceExternal)
	wantDescribed(t, got.AuthorizationPrivateKeyArn, got.AuthorizationPrivateKeyJsonKey, got.AuthorizationPrivateKeySource, managedARN, "key", wire.SourceExternal)

	// One comes here, the other stays elsewhere; one goes elsewhere, the other stays here.
	_, err = b.updatePayment(t, "coinbase", wire.VendorCoinbaseCDP, coinbase("key-1", edKey2, ""))
	must(t, err)
	b.wantCoinbase(t, "coinbase", "key-1", edKey2, true)
	row, err := b.Store.PaymentProvider(t.Context(), alpha, "coinbase")
	must(t, err)
	if row.Secret == nil || row.SecretAt != (store.Reference{}) || row.SigningKey != nil || row.SigningKeyAt != (store.Reference{ID: cdp, JSONKey: "wallet"}) {
		t.Errorf("stored %+v", row)
	}
	_, err = b.updatePayment(t, "coinbase", wire.VendorCoinbaseCDP, coinbaseAt("other", ""))
	must(t, err)
	b.wantCoinbase(t, "coinbase", "key-1", edKey2, true)
	_, err = b.updatePayment(t, "coinbase", wire.VendorCoinbaseCDP, coinbase("key-1", "", ecKey2))
	must(t, err)
	row, err = b.Store.PaymentProvider(t.Context(), alpha, "coinbase")
	must(t, err)
	if row.Secret != nil || row.SecretAt.JSONKey != "other" || row.SigningKey == nil || row.SigningKeyAt != (store.Reference{}) {
		t.Errorf("stored %+v", row)
	}
}

// A reference that cannot be used is refused when it is given, with the member that it stands in, and nothing is stored.
func TestReferencesThatAreRefused(t *testing.T) {
	b := open(t)
	good := b.keep(t, "good", `{"k":"`+planted+`"}`)
	b.keep(t, "text", planted)
	b.keep(t, "../elsewhere-beta/good", `{"k":"`+planted+`"}`)
	b.keep(t, "../elsewhereplus/good", `{"k":"`+planted+`"}`)
	must(t, os.Symlink("../elsewhere-beta/good", filepath.Join(b.elsewhere, "link")))
	_, err := b.createProvider(t, "vendor", wire.VendorCustomOauth2, custom(externalSecret(good, "k")))
	must(t, err)
	before := b.rows(t)
	dir := strings.TrimSuffix(good, "good")
	for id, says := range map[string]string{
		dir + "none":                                             "does not exist",
		dir + "text":                                             "no text under the key",
		dir + "link":                                             "leads out",
		dir + "../elsewhere-beta/good":                           `".."`,
		dir + "%2e%2e/elsewhere-beta/good":                       `".."`,
		dir + "%252e%252e/elsewhere-beta/good":                   "escape that leads to another",
		strings.TrimSuffix(dir, "/") + "-beta/good":              "no prefix",
		strings.TrimSuffix(dir, "/") + "plus/good":               "no prefix",
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:x": "--external",
		"name":               "--external",
		"http://127.0.0.1/x": `"http" is none of`,
	} {
		says = strings.Replace(says, "no prefix", "not below a prefix that the operator configured for account "+alpha, 1)
		_, err := b.createProvider(t, "new", wire.VendorCustomOauth2, custom(externalSecret(id, "k")))
		wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecretConfig", id, says)
		wantNoSecrets(t, err)
		_, err = b.updateProvider(t, "vendor", wire.VendorCustomOauth2, custom(externalSecret(id, "k")))
		wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecretConfig", id, says)
	}
	if b.rows(t) != before {
		t.Error("rows changed")
	}
	// What is another's may become ours by no update of the row: each use looks again.
	p, err := b.Store.OAuth2Provider(t.Context(), alpha, "vendor")
	must(t, err)
	p.ClientSecretAt.ID = strings.TrimSuffix(dir, "/") + "-beta/good"
	must(t, b.Store.UpdateOAuth2Provider(p))
	row, err := b.Vault.OAuth2ProviderByCallback(t.Context(), p.CallbackID)
	must(t, err)
	if s, err := b.Vault.ClientSecret(t.Context(), row); !s.IsZero() || !errors.Is(err, fault.AccessDenied) {
		t.Errorf("%v, %v", s, err)
	}
}

// A secret that was given by its ARN is told by it, since clients hold it against what they asked for. ARNs that the API cannot tell are not.
func TestDescribedARN(t *testing.T) {
	b := open(t)
	_, err := b.createProvider(t, "vendor", wire.VendorCustomOauth2, custom(externalSecret(b.keep(t, "good", `{"k":"`+planted+`"}`), "k")))
	must(t, err)
	for id, want := range map[string]string{
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:agents/x-AbCdEf":     "arn:aws:secretsmanager:us-east-1:123456789012:secret:agents/x-AbCdEf",
		"arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x":        "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x",
		"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:agents/x-AbCdEf": managedARN,
		"agents/x":                              managedARN,
		"openbao://bao.example.com/kv/agents/x": managedARN,
	} {
		p, err := b.Store.OAuth2Provider(t.Context(), alpha, "vendor")
		must(t, err)
		p.ClientSecretAt = store.Reference{ID: id, JSONKey: "k"}
		must(t, b.Store.UpdateOAuth2Provider(p))
		b.Vault, err = vault.New(t.Context(), vault.Config{Store: b.Store, KEK: b.kek, Metrics: telemetry.New()}) // without what it cached
		must(t, err)
		got := b.getProvider(t, "vendor")
		wantDescribed(t, got.ClientSecretArn, got.ClientSecretJsonKey, got.ClientSecretSource, want, "k", wire.SourceExternal)
	}
}
