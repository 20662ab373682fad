package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/payment"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// addPayment adds a payment provider with new keys; it returns the text of its signing key.
func (f *fixture) addPayment(name string, vendor wire.PaymentVendor, wallet bool) string {
	f.t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	f.must(err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	f.must(err)
	key := base64.StdEncoding.EncodeToString(der)
	secrets := vault.PaymentSecrets{Secret: secret.New(base64.StdEncoding.EncodeToString(ed))}
	if wallet {
		secrets.SigningKey = secret.New(key)
	}
	now := time.Now()
	f.must(f.Vault.InsertPaymentProvider(context.Background(), vault.PaymentProvider{
		Config: payment.Config{Vendor: vendor, APIKeyID: "key-1", AppID: "app-1", AuthorizationID: "quorum-1"},
		Row:    store.PaymentProvider{Account: account, Name: name, Incarnation: rand.Text(), CreatedAt: now, UpdatedAt: now},
	}, secrets, store.Tags{}))
	return key
}

func (f *fixture) pay(name string, in *wire.PaymentTokenRequestInput) (*wire.PaymentTokenResponseOutput, error) {
	out, err := f.GetResourcePaymentToken(context.Background(), f.caller, &wire.GetResourcePaymentTokenInput{
		WorkloadIdentityToken: f.wat(""), ResourceCredentialProviderName: name, PaymentTokenRequest: in,
	})
	if err != nil {
		return nil, err
	}
	f.must(wire.Validate(out))
	return out.PaymentTokenResponse, nil
}

func toCoinbase(edit ...func(*wire.CoinbaseCdpTokenRequestInput)) *wire.PaymentTokenRequestInput {
	in := &wire.CoinbaseCdpTokenRequestInput{RequestMethod: wire.HttpGet, RequestPath: "/platform/v2/x"}
	for _, e := range edit {
		e(in)
	}
	return &wire.PaymentTokenRequestInput{CoinbaseCdpTokenRequest: in}
}

func toPrivy(edit ...func(*wire.StripePrivyTokenRequestInput)) *wire.PaymentTokenRequestInput {
	in := &wire.StripePrivyTokenRequestInput{RequestPath: "/v1/wallets", RequestBody: secret.New(`{"a":1}`)}
	for _, e := range edit {
		e(in)
	}
	return &wire.PaymentTokenRequestInput{StripePrivyTokenRequest: in}
}

// What was not asked for is not signed, and hosts are the vendors' own unless the request says another.
func TestPaymentTokensAreWhatWasAskedFor(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.addPayment("coinbase", wire.VendorCoinbaseCDP, true)
	f.addPayment("privy", wire.VendorStripePrivy, true)
	uris := func(token string) string {
		body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		f.must(err)
		var claims struct{ URIs []string }
		f.must(json.Unmarshal(body, &claims))
		return strings.Join(claims.URIs, " | ")
	}

	out, err := f.pay("coinbase", toCoinbase(func(in *wire.CoinbaseCdpTokenRequestInput) { in.RequestBody = new("no JSON, but nothing covers it") }))
	f.must(err)
	if c := out.CoinbaseCdpTokenResponse; out.StripePrivyTokenResponse != nil || c.WalletAuthToken != "" || uris(c.BearerToken) != "GET api.cdp.coinbase.com/platform/v2/x" {
		t.Errorf("%+v", c)
	}
	out, err = f.pay("coinbase", toCoinbase(func(in *wire.CoinbaseCdpTokenRequestInput) {
		in.RequestHost, in.IncludeWalletAuthToken, in.RequestMethod, in.RequestPath = new("sandbox.example"), new(true), wire.HttpDelete, "/x?y=1"
	}))
	f.must(err)
	if c := out.CoinbaseCdpTokenResponse; uris(c.WalletAuthToken) != "DELETE sandbox.example/x?y=1" || uris(c.BearerToken) != uris(c.WalletAuthToken) {
		t.Errorf("%+v", c)
	}

	out, err = f.pay("privy", toPrivy(func(in *wire.StripePrivyTokenRequestInput) {
		in.RequestBody = secret.New("no JSON, but nothing covers it")
	}))
	f.must(err)
	if p := out.StripePrivyTokenResponse; out.CoinbaseCdpTokenResponse != nil || p.AuthorizationSignature != "" || p.RequestExpiry != nil || p.AppId != "app-1" || p.BasicAuthToken == "" {
		t.Errorf("%+v", p)
	}
	out, err = f.pay("privy", toPrivy(func(in *wire.StripePrivyTokenRequestInput) { in.IncludeAuthorizationSignature = new(true) }))
	f.must(err)
	if p := out.StripePrivyTokenResponse; p.AuthorizationSignature == "" || time.Until(time.UnixMilli(*p.RequestExpiry)).Round(time.Minute) != 5*time.Minute {
		t.Errorf("%+v", p)
	}
}

// What cannot be signed is refused by name, without a word of body or key.
func TestPaymentTokenRefusals(t *testing.T) {
	f := newFixture(t, t.TempDir())
	keys := []string{f.addPayment("coinbase", wire.VendorCoinbaseCDP, true), f.addPayment("privy", wire.VendorStripePrivy, true)}
	f.addPayment("no wallet", wire.VendorCoinbaseCDP, false)
	wallet := func(body string) *wire.PaymentTokenRequestInput {
		return toCoinbase(func(in *wire.CoinbaseCdpTokenRequestInput) {
			in.IncludeWalletAuthToken, in.RequestBody = new(true), &body
		})
	}
	signed := func(body string) *wire.PaymentTokenRequestInput {
		return toPrivy(func(in *wire.StripePrivyTokenRequestInput) {
			in.IncludeAuthorizationSignature, in.RequestBody = new(true), secret.New(body)
		})
	}
	const cdp, stripe = "paymentTokenRequest.coinbaseCdpTokenRequest.", "paymentTokenRequest.stripePrivyTokenRequest."
	for name, c := range map[string]struct {
		provider     string
		in           *wire.PaymentTokenRequestInput
		member, says string
	}{
		"Privy's request to Coinbase": {"coinbase", toPrivy(), "paymentTokenRequest", "must have coinbaseCdpTokenRequest"},
		"Coinbase's request to Privy": {"privy", toCoinbase(), "paymentTokenRequest", "must have stripePrivyTokenRequest"},
		"no wallet secret":            {"no wallet", wallet("{}"), cdp + "includeWalletAuthToken", "update it with walletSecret"},
		"a body that is no JSON":      {"coinbase", wallet(`{"planted":`), cdp + "requestBody", "must be JSON"},
		"a body that is no object":    {"coinbase", wallet(`["planted"]`), cdp + "requestBody", "must be a JSON object"},
		"a name twice":                {"coinbase", wallet(`{"planted":1,"planted":2}`), cdp + "requestBody", "a name twice"},
		"a number too long":           {"coinbase", wallet(`{"planted":12345678901234567890}`), cdp + "requestBody", "write it as a string"},
		"Privy, no JSON":              {"privy", signed(`{"planted":`), stripe + "requestBody", "must be JSON"},
		"Privy, a name twice":         {"privy", signed(`{"planted":1,"planted":2}`), stripe + "requestBody", "a name twice"},
		"Privy, a number too long":    {"privy", signed(`{"planted":0.12345678901234567890123}`), stripe + "requestBody", "write it as a string"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := f.pay(c.provider, c.in)
			e, ok := errors.AsType[*fault.Fault](err)
			if out != nil || !ok || e.Kind != fault.Validation || len(e.Fields) != 1 || e.Fields[0].Name != c.member || !strings.Contains(e.Msg, c.says) {
				t.Fatalf("%+v, %v", out, err)
			}
			for _, s := range append(keys, "planted", "1234567890") {
				if strings.Contains(e.Error(), s) {
					t.Errorf("%v tells %s", e, s)
				}
			}
		})
	}
	_, err := f.pay("nobody", toPrivy())
	is(t, err, fault.NotFound, "Resource not found: arn:aws:bedrock-agentcore:us-east-1:"+account+":token-vault/default/paymentcredentialprovider/nobody")
}

// A policy must allow the provider, the vault, the workload and the directory.
func TestPaymentTokenNeedsItsRights(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.addPayment("coinbase", wire.VendorCoinbaseCDP, true)
	root := "arn:aws:bedrock-agentcore:us-east-1:" + account + ":"
	all := []string{root + "token-vault/default/paymentcredentialprovider/coinbase", root + "token-vault/default", root + "workload-identity-directory/default/workload-identity/agent", root + "workload-identity-directory/default"}
	ask := func(resources []string) error {
		list, err := json.Marshal(resources)
		f.must(err)
		p, err := iam.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:GetResourcePaymentToken","Resource":` + string(list) + `}]}`))
		f.must(err)
		f.caller.Policies = []*iam.Policy{p}
		_, err = f.pay("coinbase", toCoinbase())
		return err
	}
	f.must(ask(all))
	for i := range all {
		some := append(append([]string{}, all[:i]...), all[i+1:]...)
		is(t, ask(some), fault.AccessDenied, all[i])
	}
}

// A key that was replaced or whose provider was deleted signs nothing more.
func TestPaymentProviderComesAndGoes(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.addPayment("coinbase", wire.VendorCoinbaseCDP, false)
	_, err := f.pay("coinbase", toCoinbase())
	f.must(err)
	f.must(f.Vault.DeletePaymentProvider(account, "coinbase", ""))
	_, err = f.pay("coinbase", toCoinbase())
	is(t, err, fault.NotFound, "Resource not found")
	f.addPayment("coinbase", wire.VendorStripePrivy, true)
	_, err = f.pay("coinbase", toCoinbase())
	is(t, err, fault.Validation, "stripePrivyTokenRequest")
	_, err = f.pay("coinbase", toPrivy())
	f.must(err)
}
