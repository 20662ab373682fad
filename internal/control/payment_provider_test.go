package control_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/payment"
	"credence/internal/secret"
	"credence/internal/wire"
)

// Keys of the test vendors.
var (
	edKey, edKey2 = newEd(), newEd()
	ecKey, ecKey2 = newEC(elliptic.P256()), newEC(elliptic.P256())
)

func newEd() string {
	_, k, _ := ed25519.GenerateKey(rand.Reader) // never fails
	return base64.StdEncoding.EncodeToString(k)
}

func newEC(curve elliptic.Curve) string {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// given is a secret of a request; "" leaves it out.
func given(text string) *secret.String {
	if text == "" {
		return nil
	}
	return new(secret.New(text))
}

func coinbase(id, apiKeySecret, walletSecret string) *wire.PaymentProviderConfigurationInput {
	return &wire.PaymentProviderConfigurationInput{CoinbaseCdpConfiguration: &wire.CoinbaseCdpConfigurationInput{
		ApiKeyId: id, ApiKeySecret: given(apiKeySecret), WalletSecret: given(walletSecret),
	}}
}

func privy(app, appSecret, authorization, key string) *wire.PaymentProviderConfigurationInput {
	return &wire.PaymentProviderConfigurationInput{StripePrivyConfiguration: &wire.StripePrivyConfigurationInput{
		AppId: app, AppSecret: given(appSecret), AuthorizationId: authorization, AuthorizationPrivateKey: given(key),
	}}
}

func (b *bed) createPayment(t *testing.T, name string, vendor wire.PaymentVendor, in *wire.PaymentProviderConfigurationInput) (*wire.CreatePaymentCredentialProviderOutput, error) {
	return b.CreatePaymentCredentialProvider(t.Context(), administrator(t, alpha), &wire.CreatePaymentCredentialProviderInput{
		Name: name, CredentialProviderVendor: vendor, ProviderConfigurationInput: in, Tags: map[string]string{"team": "x"},
	})
}

func (b *bed) updatePayment(t *testing.T, name string, vendor wire.PaymentVendor, in *wire.PaymentProviderConfigurationInput) (*wire.UpdatePaymentCredentialProviderOutput, error) {
	return b.UpdatePaymentCredentialProvider(t.Context(), administrator(t, alpha), &wire.UpdatePaymentCredentialProviderInput{
		Name: name, CredentialProviderVendor: vendor, ProviderConfigurationInput: in,
	})
}

func (b *bed) getPayment(t *testing.T, name string) *wire.GetPaymentCredentialProviderOutput {
	t.Helper()
	out, err := b.GetPaymentCredentialProvider(t.Context(), administrator(t, alpha), &wire.GetPaymentCredentialProviderInput{Name: name})
	must(t, err)
	must(t, wire.Validate(out))
	wantNoKeys(t, out)
	return out
}

// wantNoKeys looks for the keys of these tests in an answer, or in an error.
func wantNoKeys(t *testing.T, out any) {
	t.Helper()
	text, err := json.Marshal(out)
	must(t, err)
	said := string(text)
	if err, ok := out.(error); ok {
		said += err.Error()
	}
	for _, key := range []string{edKey, edKey2, ecKey, ecKey2, planted, secret.Redacted} {
		if strings.Contains(said, key[:min(len(key), 60)]) {
			t.Errorf("a key is told: %s", said)
		}
	}
}

// wantCoinbase wants a provider that signs with one API key, and has a wallet or not.
func (b *bed) wantCoinbase(t *testing.T, name, id, key string, wallet bool) {
	t.Helper()
	p, err := b.Vault.PaymentProvider(t.Context(), alpha, name)
	must(t, err)
	s, err := b.Vault.Coinbase(t.Context(), p)
	must(t, err)
	token, err := s.Bearer(payment.Request{Method: wire.HttpGet, Host: "h", Path: "/p"}, time.Now())
	must(t, err)
	parts := strings.Split(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	must(t, err)
	raw, err := base64.StdEncoding.DecodeString(key)
	must(t, err)
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	must(t, err)
	if !ed25519.Verify(raw[32:], []byte(parts[0]+"."+parts[1]), signature) || !strings.Contains(string(header), `"kid":"`+id+`"`) || s.HasWallet() != wallet {
		t.Errorf("signed with another key than %s, or with%s a wallet", id, map[bool]string{true: "out"}[wallet])
	}
}

func TestPaymentProvider(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := openIn(t, dir, egress.Config{})
		created, err := b.createPayment(t, "wallet", wire.VendorCoinbaseCDP, coinbase("key-1", edKey, ecKey))
		must(t, err)
		must(t, wire.Validate(created))
		wantNoKeys(t, created)
		noon := time.Now()
		p, err := b.Vault.PaymentProvider(t.Context(), alpha, "wallet")
		must(t, err)
		want := &wire.GetPaymentCredentialProviderOutput{
			Name: "wallet", CredentialProviderArn: paymentARN, CredentialProviderVendor: wire.VendorCoinbaseCDP,
			ProviderConfigurationOutput: &wire.PaymentProviderConfigurationOutput{CoinbaseCdpConfiguration: &wire.CoinbaseCdpConfigurationOutput{
				ApiKeyId:        "key-1",
				ApiKeySecretArn: &wire.Secret{SecretArn: b.ARNs.PaymentSecret(alpha, "coinbasecdp", "wallet", "apikeysecret", p.Row.Incarnation)}, ApiKeySecretJsonKey: new("api_key_secret"), ApiKeySecretSource: new(wire.SourceManaged),
				WalletSecretArn: &wire.Secret{SecretArn: b.ARNs.PaymentSecret(alpha, "coinbasecdp", "wallet", "walletsecret", p.Row.Incarnation)}, WalletSecretJsonKey: new("wallet_secret"), WalletSecretSource: new(wire.SourceManaged),
			}},
			CreatedTime: wire.Time{Time: noon}, LastUpdatedTime: wire.Time{Time: noon}, Tags: map[string]string{"team": "x"},
		}
		if d := cmp.Diff(want, b.getPayment(t, "wallet")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(want.ProviderConfigurationOutput, created.ProviderConfigurationOutput); d != "" || created.Name != "wallet" || created.CredentialProviderArn != paymentARN || created.CredentialProviderVendor != want.CredentialProviderVendor {
			t.Errorf("%+v %s", created, d)
		}
		b.wantTags(t, "token-vault/default/paymentcredentialprovider/wallet", map[string]string{"team": "x"})
		b.wantCoinbase(t, "wallet", "key-1", edKey, true)

		time.Sleep(time.Hour)
		before := b.rows(t)
		for _, same := range []*wire.PaymentProviderConfigurationInput{coinbase("key-1", "", ""), {CoinbaseCdpConfiguration: &wire.CoinbaseCdpConfigurationInput{ApiKeyId: "key-1", ApiKeySecret: new(secret.String), WalletSecret: new(secret.String)}}} {
			out, err := b.updatePayment(t, "wallet", wire.VendorCoinbaseCDP, same)
			if err != nil || !out.LastUpdatedTime.Equal(noon) || b.rows(t) != before {
				t.Errorf("an update that changes nothing: %+v, %v", out, err)
			}
		}
		out, err := b.updatePayment(t, "wallet", wire.VendorCoinbaseCDP, coinbase("key-2", edKey2, "")) // the wallet stays
		must(t, err)
		must(t, wire.Validate(out))
		wantNoKeys(t, out)
		want.ProviderConfigurationOutput.CoinbaseCdpConfiguration.ApiKeyId, want.LastUpdatedTime = "key-2", wire.Time{Time: noon.Add(time.Hour)}
		if d := cmp.Diff(want, b.getPayment(t, "wallet")); d != "" {
			t.Error(d)
		}
		b.wantCoinbase(t, "wallet", "key-2", edKey2, true)
		_, err = b.updatePayment(t, "wallet", wire.VendorCoinbaseCDP, coinbase("key-2", "", ecKey2)) // the API key stays
		must(t, err)
		b.wantCoinbase(t, "wallet", "key-2", edKey2, true)
	})
}

func TestPrivyProvider(t *testing.T) {
	b := open(t)
	created, err := b.createPayment(t, "wallet", wire.VendorStripePrivy, privy("app-1", planted, "quorum-1", "wallet-auth:"+ecKey))
	must(t, err)
	wantNoKeys(t, created)
	got := b.getPayment(t, "wallet")
	c := got.ProviderConfigurationOutput.StripePrivyConfiguration
	if got.CredentialProviderVendor != wire.VendorStripePrivy || c == nil || c.AppId != "app-1" || c.AuthorizationId != "quorum-1" || *c.AppSecretJsonKey != "app_secret" ||
		*c.AuthorizationPrivateKeyJsonKey != "authorization_private_key" || *c.AppSecretSource != wire.SourceManaged || *c.AuthorizationPrivateKeySource != wire.SourceManaged ||
		!strings.Contains(c.AppSecretArn.SecretArn, "!default/payment/stripeprivy/wallet/appsecret-") || !strings.Contains(c.AuthorizationPrivateKeyArn.SecretArn, "/authorizationprivatekey-") {
		t.Errorf("%+v", c)
	}
	p, err := b.Vault.PaymentProvider(t.Context(), alpha, "wallet")
	must(t, err)
	s, err := b.Vault.Privy(t.Context(), p)
	must(t, err)
	if want := base64.StdEncoding.EncodeToString([]byte("app-1:" + planted)); s.BasicAuth() != want {
		t.Error("another app secret is stored")
	}
	// An id comes with its secret; what is not given stays.
	for _, step := range []struct {
		in                 *wire.PaymentProviderConfigurationInput
		app, authorization string
		basic              string
	}{
		{privy("app-2", "one", "quorum-2", ecKey2), "app-2", "quorum-2", "app-2:one"},
		{privy("app-2", "", "quorum-3", ecKey), "app-2", "quorum-3", "app-2:one"},
		{privy("app-2", "two", "quorum-3", ""), "app-2", "quorum-3", "app-2:two"},
	} {
		out, err := b.updatePayment(t, "wallet", wire.VendorStripePrivy, step.in)
		must(t, err)
		wantNoKeys(t, out)
		p, err := b.Vault.PaymentProvider(t.Context(), alpha, "wallet")
		must(t, err)
		s, err := b.Vault.Privy(t.Context(), p)
		must(t, err)
		c := out.ProviderConfigurationOutput.StripePrivyConfiguration
		if got, err := base64.StdEncoding.DecodeString(s.BasicAuth()); c.AppId != step.app || c.AuthorizationId != step.authorization || err != nil || string(got) != step.basic {
			t.Errorf("%+v, basic %q", c, got)
		}
	}
}

func TestPaymentProviderNameIsTaken(t *testing.T) {
	b := open(t)
	_, err := b.createPayment(t, "wallet", wire.VendorCoinbaseCDP, coinbase("key-1", edKey, ""))
	must(t, err)
	before, first := b.rows(t), b.getPayment(t, "wallet").ProviderConfigurationOutput.CoinbaseCdpConfiguration.ApiKeySecretArn.SecretArn
	_, err = b.createPayment(t, "wallet", wire.VendorStripePrivy, privy("app", planted, "q", ecKey))
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "already exists") || b.rows(t) != before {
		t.Errorf("%v, want a conflict that changes nothing", err)
	}
	_, err = b.DeletePaymentCredentialProvider(t.Context(), administrator(t, alpha), &wire.DeletePaymentCredentialProviderInput{Name: "wallet"})
	must(t, err)
	b.wantTags(t, "token-vault/default/paymentcredentialprovider/wallet", map[string]string{})
	if rows := b.rows(t); strings.Contains(rows, "payment_providers") {
		t.Errorf("something is left of it: %s", rows)
	}
	_, err = b.createPayment(t, "wallet", wire.VendorCoinbaseCDP, coinbase("key-3", edKey2, ""))
	must(t, err)
	b.wantCoinbase(t, "wallet", "key-3", edKey2, false)
	if again := b.getPayment(t, "wallet").ProviderConfigurationOutput.CoinbaseCdpConfiguration.ApiKeySecretArn.SecretArn; again == first {
		t.Errorf("the ARN of the secret is that of the deleted one, %s", again)
	}
}

// What cannot be done is refused by name, at creation and at update, and nothing is written.
func TestPaymentProviderRefusals(t *testing.T) {
	b := open(t)
	_, err := b.createPayment(t, "coinbase", wire.VendorCoinbaseCDP, coinbase("key-1", edKey, ecKey))
	must(t, err)
	_, err = b.createPayment(t, "privy", wire.VendorStripePrivy, privy("app-1", planted, "quorum-1", ecKey))
	must(t, err)
	before := b.rows(t)
	const (
		root, cdp, stripe = "providerConfigurationInput", "providerConfigurationInput.coinbaseCdpConfiguration.", "providerConfigurationInput.stripePrivyConfiguration."
		p256              = "secret format: Expected base64-encoded EC P-256 private key"
		both              = ""
	)
	external, reference := new(wire.SourceExternal), &wire.SecretReference{SecretId: "mine", JsonKey: "key"}
	edit := func(in *wire.PaymentProviderConfigurationInput, change func(*wire.CoinbaseCdpConfigurationInput, *wire.StripePrivyConfigurationInput)) *wire.PaymentProviderConfigurationInput {
		change(in.CoinbaseCdpConfiguration, in.StripePrivyConfiguration)
		return in
	}
	fullCDP, fullPrivy := func() *wire.PaymentProviderConfigurationInput { return coinbase("key-1", edKey, ecKey) }, func() *wire.PaymentProviderConfigurationInput { return privy("app-1", planted, "quorum-1", ecKey) }
	type (
		cIn = wire.CoinbaseCdpConfigurationInput
		pIn = wire.StripePrivyConfigurationInput
	)
	for name, test := range map[string]struct {
		vendor       wire.PaymentVendor
		in           *wire.PaymentProviderConfigurationInput
		member, says string
		only         string // create or update
	}{
		"the other vendor's configuration": {wire.VendorCoinbaseCDP, fullPrivy(), root, "must have coinbaseCdpConfiguration", both},
		"the other way round":              {wire.VendorStripePrivy, fullCDP(), root, "must have stripePrivyConfiguration", both},

		"an API key that is none":       {wire.VendorCoinbaseCDP, coinbase("key-1", planted, ""), cdp + "apiKeySecret", "Expected base64-encoded Ed25519 private key", both},
		"an API key for the wallet":     {wire.VendorCoinbaseCDP, coinbase("key-1", edKey, edKey2), cdp + "walletSecret", p256, both},
		"a wallet secret of P-384":      {wire.VendorCoinbaseCDP, coinbase("key-1", edKey, newEC(elliptic.P384())), cdp + "walletSecret", p256, both},
		"a wallet secret that is none":  {wire.VendorCoinbaseCDP, coinbase("key-1", edKey, planted), cdp + "walletSecret", p256, both},
		"an authorization key of P-521": {wire.VendorStripePrivy, privy("app-1", planted, "quorum-1", newEC(elliptic.P521())), stripe + "authorizationPrivateKey", p256, both},
		"only the prefix of a key":      {wire.VendorStripePrivy, privy("app-1", planted, "quorum-1", "wallet-auth:"), stripe + "authorizationPrivateKey", p256, both},

		"no API key secret":        {wire.VendorCoinbaseCDP, coinbase("key-1", "", ecKey), cdp + "apiKeySecret", "is required", "create"},
		"no app secret":            {wire.VendorStripePrivy, privy("app-1", "", "quorum-1", ecKey), stripe + "appSecret", "is required", "create"},
		"no authorization key":     {wire.VendorStripePrivy, privy("app-1", planted, "quorum-1", ""), stripe + "authorizationPrivateKey", "is required", "create"},
		"another API key id":       {wire.VendorCoinbaseCDP, coinbase("key-2", "", ecKey), cdp + "apiKeySecret", "when the id that it belongs to changes", "update"},
		"another app id":           {wire.VendorStripePrivy, privy("app-2", "", "quorum-1", ecKey), stripe + "appSecret", "when the id", "update"},
		"another app's old key":    {wire.VendorStripePrivy, privy("app-2", planted, "quorum-1", ""), stripe + "authorizationPrivateKey", "when the id", "update"},
		"another authorization id": {wire.VendorStripePrivy, privy("app-1", planted, "quorum-2", ""), stripe + "authorizationPrivateKey", "when the id", "update"},

		"external API key": {wire.VendorCoinbaseCDP, edit(fullCDP(), func(c *cIn, _ *pIn) {
			c.ApiKeySecret, c.ApiKeySecretSource, c.ApiKeySecretConfig = nil, external, reference
		}), cdp + "apiKeySecretConfig", `Access denied when retrieving secret "mine"`, both},
		"external wallet": {wire.VendorCoinbaseCDP, edit(fullCDP(), func(c *cIn, _ *pIn) { c.WalletSecretSource = external }), cdp + "walletSecretConfig", "is required when", both},
		"API key by name": {wire.VendorCoinbaseCDP, edit(fullCDP(), func(c *cIn, _ *pIn) { c.ApiKeySecretConfig = reference }), cdp + "apiKeySecretConfig", "cannot be given together with", both},
		"wallet by name":  {wire.VendorCoinbaseCDP, edit(fullCDP(), func(c *cIn, _ *pIn) { c.WalletSecretConfig = reference }), cdp + "walletSecretConfig", "cannot be given together with", both},
		"external app":    {wire.VendorStripePrivy, edit(fullPrivy(), func(_ *cIn, p *pIn) { p.AppSecretSource = external }), stripe + "appSecretConfig", "is required when", both},
		"external key":    {wire.VendorStripePrivy, edit(fullPrivy(), func(_ *cIn, p *pIn) { p.AuthorizationPrivateKeySource = external }), stripe + "authorizationPrivateKeyConfig", "is required when", both},
		"app by name":     {wire.VendorStripePrivy, edit(fullPrivy(), func(_ *cIn, p *pIn) { p.AppSecretConfig = reference }), stripe + "appSecretConfig", "cannot be given together with", both},
		"key by name":     {wire.VendorStripePrivy, edit(fullPrivy(), func(_ *cIn, p *pIn) { p.AuthorizationPrivateKeyConfig = reference }), stripe + "authorizationPrivateKeyConfig", "cannot be given together with", both},
	} {
		t.Run(name, func(t *testing.T) {
			if test.only != "update" {
				_, err := b.createPayment(t, "another", test.vendor, test.in)
				wantInvalid(t, err, test.member, test.says)
				wantNoKeys(t, err)
			}
			if test.only != "create" {
				name := map[wire.PaymentVendor]string{wire.VendorCoinbaseCDP: "coinbase", wire.VendorStripePrivy: "privy"}[test.vendor]
				_, err := b.updatePayment(t, name, test.vendor, test.in)
				wantInvalid(t, err, test.member, test.says)
				wantNoKeys(t, err)
			}
			if b.rows(t) != before {
				t.Error("rows changed")
			}
		})
	}
	t.Run("another vendor", func(t *testing.T) {
		_, err := b.updatePayment(t, "coinbase", wire.VendorStripePrivy, fullPrivy())
		wantInvalid(t, err, "credentialProviderVendor", "delete it and create it anew")
		if b.rows(t) != before {
			t.Error("rows changed")
		}
	})
}

// Updates at the same time do not undo each other.
func TestPaymentUpdatesTogether(t *testing.T) {
	b := open(t)
	_, err := b.createPayment(t, "wallet", wire.VendorCoinbaseCDP, coinbase("key-1", edKey, ""))
	must(t, err)
	c := administrator(t, alpha)
	var group sync.WaitGroup
	for _, in := range []*wire.PaymentProviderConfigurationInput{coinbase("key-1", edKey2, ""), coinbase("key-1", "", ecKey)} {
		group.Go(func() {
			if _, err := b.UpdatePaymentCredentialProvider(context.Background(), c, &wire.UpdatePaymentCredentialProviderInput{
				Name: "wallet", CredentialProviderVendor: wire.VendorCoinbaseCDP, ProviderConfigurationInput: in,
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	b.wantCoinbase(t, "wallet", "key-1", edKey2, true)
}
