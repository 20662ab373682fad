package broker

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/payment"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// elsewhere moves the client secret of the provider "vendor" into a file, and gives its path.
func (f *fixture) elsewhere() (path string) {
	f.t.Helper()
	dir := filepath.Join(filepath.Dir(f.path), "elsewhere")
	f.must(os.MkdirAll(dir, 0o700))
	path = filepath.Join(dir, "vendor")
	f.must(os.WriteFile(path, []byte(`{"client_secret":"client-secret"}`), 0o600))
	f.external = []string{account + "=file://" + dir + "/"}
	f.crash() // the configuration is read at the start
	current, err := f.Vault.OAuth2Provider(context.Background(), account, "vendor")
	f.must(err)
	p := *current
	p.Row.ClientSecretAt = store.Reference{ID: "file://" + path, JSONKey: "client_secret"}
	f.must(f.Vault.UpdateOAuth2Provider(context.Background(), p, secret.String{}))
	return path
}

// Whatever is sent to a vendor is sent with the secret as it is elsewhere at that moment. While it cannot be had nothing is sent, and nothing is lost: no
// code, no refresh token.
func TestClientSecretElsewhere(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime, b.ReuseKillsFamily = time.Minute, true })
		path := f.elsewhere()
		away, back := func() { f.must(os.Rename(path, path+".away")) }, func() { f.must(os.Rename(path+".away", path)) }
		sent := func() int {
			return f.vendor.Count("client_credentials") + f.vendor.Count("authorization_code") + f.vendor.Count("refresh_token")
		}

		away()
		_, err := f.ask("")
		is(t, err, fault.AccessDenied, `Access denied when retrieving secret "file://`+path+`": it does not exist`)
		out := f.needsConsent("alice")
		returned := f.consent(browser{}, out.AuthorizationUrl)
		is(t, f.complete(returned.Get("session_id"), "alice"), fault.AccessDenied, path)
		if n := sent(); n != 0 {
			t.Errorf("%d requests without a secret", n)
		}
		back()
		f.token("")
		f.must(f.complete(returned.Get("session_id"), "alice"))
		first := f.token("alice")

		away()
		time.Sleep(untilMargin)
		if f.token("alice") != first {
			t.Error("a token that is still valid is not served")
		}
		time.Sleep(untilEnd - untilMargin)
		_, err = f.ask("alice")
		is(t, err, fault.AccessDenied, path)
		back()
		if f.token("alice") == first || f.vendor.Count("refresh_token") != 1 || f.vendor.FamiliesKilled() != 0 {
			t.Error("the grant did not live on")
		}

		// Rotated at the vendor and on disk; nobody tells Credence.
		f.vendor.AddClient(fakeidp.Client{ID: "client", Secret: "rotated"})
		f.must(os.WriteFile(path, []byte(`{"client_secret":"rotated"}`), 0o600))
		time.Sleep(untilEnd)
		f.token("alice")

		// A prefix that the operator took away bites after a restart; nothing is sent.
		f.external = nil
		f.crash()
		time.Sleep(untilEnd)
		n := sent()
		_, err = f.ask("alice")
		is(t, err, fault.AccessDenied, "is not below a prefix that the operator configured for account "+account)
		if sent() != n {
			t.Error("a request was sent")
		}
	})
}

// API keys and all four payment secrets are read where they are.
func TestKeysElsewhere(t *testing.T) {
	f := newFixture(t, t.TempDir())
	key := f.addPayment("local", wire.VendorStripePrivy, true)
	path := f.elsewhere()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	f.must(err)
	text, err := json.Marshal(map[string]string{"api_key": "the-key", "ed": base64.StdEncoding.EncodeToString(ed), "ec": key, "app": "the-app-secret"})
	f.must(err)
	f.must(os.WriteFile(path, text, 0o600))
	at := func(member string) store.Reference { return store.Reference{ID: "file://" + path, JSONKey: member} }
	ctx, now := context.Background(), time.Now()
	f.must(f.Vault.InsertAPIKeyProvider(ctx, store.APIKeyProvider{Account: account, Name: "weather", Incarnation: "i", APIKeyAt: at("api_key"), CreatedAt: now, UpdatedAt: now}, secret.String{}, store.Tags{}))
	for name, p := range map[string]struct {
		vendor wire.PaymentVendor
		secret string
	}{"coinbase": {wire.VendorCoinbaseCDP, "ed"}, "privy": {wire.VendorStripePrivy, "app"}} {
		f.must(f.Vault.InsertPaymentProvider(ctx, vault.PaymentProvider{
			Config: payment.Config{Vendor: p.vendor, APIKeyID: "key-1", AppID: "app-1", AuthorizationID: "quorum-1"},
			Row:    store.PaymentProvider{Account: account, Name: name, Incarnation: rand.Text(), SecretAt: at(p.secret), SigningKeyAt: at("ec"), CreatedAt: now, UpdatedAt: now},
		}, vault.PaymentSecrets{}, store.Tags{}))
	}
	get := func() (string, error) {
		out, err := f.GetResourceApiKey(ctx, f.caller, &wire.GetResourceApiKeyInput{WorkloadIdentityToken: f.wat(""), ResourceCredentialProviderName: "weather"})
		if err != nil {
			return "", err
		}
		return out.ApiKey, nil
	}
	all := func() (errs []error) {
		k, err := get()
		if err == nil && k != "the-key" {
			t.Errorf("the key is %q", k)
		}
		errs = append(errs, err)
		out, err := f.pay("coinbase", toCoinbase(func(in *wire.CoinbaseCdpTokenRequestInput) { in.IncludeWalletAuthToken = new(true) }))
		if err == nil && (out.CoinbaseCdpTokenResponse.BearerToken == "" || out.CoinbaseCdpTokenResponse.WalletAuthToken == "") {
			t.Errorf("%+v", out)
		}
		errs = append(errs, err)
		out, err = f.pay("privy", toPrivy(func(in *wire.StripePrivyTokenRequestInput) { in.IncludeAuthorizationSignature = new(true) }))
		if basic := base64.StdEncoding.EncodeToString([]byte("app-1:the-app-secret")); err == nil && (out.StripePrivyTokenResponse.BasicAuthToken != basic || out.StripePrivyTokenResponse.AuthorizationSignature == "") {
			t.Errorf("%+v", out)
		}
		return append(errs, err)
	}
	for _, err := range all() {
		f.must(err)
	}
	f.must(os.Remove(path))
	for _, err := range all() {
		is(t, err, fault.AccessDenied, path)
		if strings.Contains(err.Error(), "the-key") {
			t.Error(err)
		}
	}
}
