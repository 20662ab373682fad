package control_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"credence/internal/wire"
)

// clientCertificate is a certificate that ends so long from now, and its key, in PEM.
func clientCertificate(t *testing.T, life time.Duration) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// Every method with every secret: what does not go together is refused when the provider is created, and the refusal names both.
func TestMethodAndSecret(t *testing.T) {
	b := open(t)
	const metadata = "oauth2ProviderConfigInput.customOauth2ProviderConfig"
	secrets := map[string]string{
		"none": "", "short": "hunter2-hunter2", "long": strings.Repeat("hunter2-", 5), "certificate": clientCertificate(t, time.Hour), "ended": clientCertificate(t, -time.Hour),
		"certificate alone": strings.Split(clientCertificate(t, time.Hour), "-----BEGIN PRIVATE")[0],
	}
	takes := map[wire.TokenEndpointAuthMethod][]string{
		"": {"short", "long", "certificate", "ended", "certificate alone"}, wire.AuthMethodClientSecretJWT: {"long", "certificate", "ended", "certificate alone"},
		wire.AuthMethodTLSClientAuth: {"certificate"}, wire.AuthMethodNone: {"none"},
	}
	for method, taken := range takes {
		for what, s := range secrets {
			name := strings.ReplaceAll(string(method)+"-"+what, " ", "-")
			in := &wire.CreateOauth2CredentialProviderInput{Name: name, CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: custom(withoutSecret)}
			if s != "" {
				in.Oauth2ProviderConfigInput = custom(withSecret(s))
			}
			if method != "" {
				in.TokenEndpointAuthMethod = &method
			}
			out, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), in)
			if strings.Contains(" "+strings.Join(taken, " , ")+" ", " "+what+" ") {
				must(t, err)
				if got := b.getProvider(t, name).TokenEndpointAuthMethod; (got == nil) != (method == "") || got != nil && *got != method || (out.TokenEndpointAuthMethod == nil) != (method == "") {
					t.Errorf("%s: it says the method %v", name, got)
				}
				continue
			}
			wantInvalid(t, err, metadata+".clientSecret")
			if method != "" && s != "" && !strings.Contains(err.Error(), "tokenEndpointAuthMethod "+string(method)) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name, in := range map[string]*wire.CreateOauth2CredentialProviderInput{
		"clientAuthenticationMethod CLIENT_SECRET_POST": {CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: custom(func(in *customInput) {
			in.ClientAuthenticationMethod = new(wire.MethodClientSecretPost)
		})},
		"tokenEndpointAuthMethods": {CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: custom(func(in *customInput) {
			in.OauthDiscovery.AuthorizationServerMetadata.TokenEndpointAuthMethods = []string{"client_secret_post"}
		})},
		"GithubOauth2": {CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github("client", plantedSecret())},
	} {
		in.Name, in.TokenEndpointAuthMethod = "both", new(wire.AuthMethodClientSecretJWT)
		_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), in)
		wantInvalid(t, err, "tokenEndpointAuthMethod")
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stored secret is used as what it was given for, whatever the method becomes: what was a certificate's key is never sent as a password.
func TestChangeOfMethodNeedsASecret(t *testing.T) {
	b := open(t)
	pem := clientCertificate(t, time.Hour)
	secrets := map[wire.TokenEndpointAuthMethod]string{"": "password", wire.AuthMethodClientSecretJWT: strings.Repeat("h", 40), wire.AuthMethodTLSClientAuth: pem, wire.AuthMethodNone: ""}
	input := func(s string) *configInput {
		if s == "" {
			return custom(withoutSecret)
		}
		return custom(withSecret(s))
	}
	for from, stored := range secrets {
		for to, next := range secrets {
			name := "from-" + string(from) + "-to-" + string(to)
			create := &wire.CreateOauth2CredentialProviderInput{Name: name, CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: input(stored)}
			if from != "" {
				create.TokenEndpointAuthMethod = &from
			}
			_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), create)
			must(t, err)
			change := func(s string) error {
				update := &wire.UpdateOauth2CredentialProviderInput{Name: name, CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: input(s), Oauth2ProviderOptions: wire.Oauth2ProviderOptions{TokenEndpointAuthMethod: &to}}
				if to == "" {
					update.TokenEndpointAuthMethod = nil
					update.Oauth2ProviderConfigInput.CustomOauth2ProviderConfig.ClientAuthenticationMethod = new(wire.MethodClientSecretBasic)
				}
				_, err := b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), update)
				return err
			}
			err = change("")
			if ok := from == to || to == wire.AuthMethodNone; ok != (err == nil) {
				t.Errorf("%s without a secret: %v", name, err)
			}
			if err == nil {
				next = map[bool]string{true: stored, false: ""}[from == to]
			} else {
				wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecret")
				must(t, change(next))
			}
			if got, _ := b.storedSecret(t, name); got != next {
				t.Errorf("%s: another secret is stored", name)
			}
			// A request that says nothing of the method leaves it.
			_, err = b.updateProvider(t, name, wire.VendorCustomOauth2, custom(withoutSecret))
			must(t, err)
			if got := b.getProvider(t, name).TokenEndpointAuthMethod; (got == nil) != (to == "") || got != nil && *got != to {
				t.Errorf("%s: after an update without it, the method is %v", name, got)
			}
		}
	}
}

// Requests are signed by the key of PRIVATE_KEY_JWT, so no other method goes with it; the switch for resources stays as it was set.
func TestRequestOptions(t *testing.T) {
	b := open(t)
	in := &wire.CreateOauth2CredentialProviderInput{Name: "options", CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: custom(), Oauth2ProviderOptions: wire.Oauth2ProviderOptions{RequireSignedRequestObject: new(true)}}
	_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), in)
	wantInvalid(t, err, "requireSignedRequestObject", "PRIVATE_KEY_JWT")
	in.RequireSignedRequestObject, in.ResourceIndicators = nil, new(false)
	_, err = b.CreateOauth2CredentialProvider(t.Context(), administrator(t, alpha), in)
	must(t, err)
	for _, step := range []struct {
		given *bool
		want  bool
	}{{nil, false}, {new(true), true}, {nil, true}, {new(false), false}} {
		_, err = b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
			Name: "options", CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: custom(), Oauth2ProviderOptions: wire.Oauth2ProviderOptions{ResourceIndicators: step.given},
		})
		must(t, err)
		if got := b.getProvider(t, "options").ResourceIndicators; got == nil || *got != step.want {
			t.Errorf("after %v: %v", step.given, got)
		}
	}
	_, err = b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.UpdateOauth2CredentialProviderInput{
		Name: "options", CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: custom(), Oauth2ProviderOptions: wire.Oauth2ProviderOptions{RequireSignedRequestObject: new(true)},
	})
	wantInvalid(t, err, "requireSignedRequestObject", "PRIVATE_KEY_JWT")
}
