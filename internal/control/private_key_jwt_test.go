package control_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

func (b *bed) key(t *testing.T, account string, usage store.KeyUsage, spec, client string) string {
	t.Helper()
	k, err := b.Vault.CreateKey(t.Context(), store.Key{Account: account, Usage: usage, Spec: spec, ClientID: client})
	must(t, err)
	return b.ARNs.Key(account, k.ID)
}

func claimsOf(m map[string]string) map[string]secret.String {
	out := map[string]secret.String{}
	for name, value := range m {
		out[name] = secret.New(value)
	}
	return out
}

// signed is a configuration by private_key_jwt with a key, with changes.
func signed(arn string, changes ...func(*customInput)) *configInput {
	return custom(append([]func(*customInput){func(in *customInput) {
		in.ClientSecret, in.ClientAuthenticationMethod = nil, new(wire.MethodPrivateKeyJwt)
		in.PrivateKeyJwtConfig = &wire.PrivateKeyJwtConfig{
			PrivateKeySource: &wire.PrivateKeySource{KmsKeySource: &wire.KmsKeySourceType{KmsKeyArn: arn}}, SigningAlgorithm: new(wire.AlgorithmES256),
		}
	}}, changes...)...)
}

func TestPrivateKeyJWT(t *testing.T) {
	b := open(t)
	arn, rsa := b.key(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client-1"), b.key(t, alpha, store.KeyForAssertions, "RSA_2048", "client-1")
	header, payload := map[string]string{"x5t#S256": "planted-thumbprint"}, map[string]string{"aud": "https://idp.example", "tenant": "planted-tenant"}
	created, err := b.createProvider(t, "signed", wire.VendorCustomOauth2, signed(arn, func(in *customInput) {
		in.PrivateKeyJwtConfig.AdditionalHeaderClaims, in.PrivateKeyJwtConfig.AdditionalPayloadClaims = claimsOf(header), claimsOf(payload)
	}))
	must(t, err)
	want := &wire.PrivateKeyJwtConfigOutput{
		PrivateKeySource: &wire.PrivateKeySource{KmsKeySource: &wire.KmsKeySourceType{KmsKeyArn: arn}}, SigningAlgorithm: new(wire.AlgorithmES256),
		AdditionalHeaderClaims: header, AdditionalPayloadClaims: payload,
	}
	has := func(when string, got *wire.Oauth2ProviderConfigOutput) {
		t.Helper()
		if d := cmp.Diff(want, got.CustomOauth2ProviderConfig.PrivateKeyJwtConfig); d != "" {
			t.Errorf("%s (-want +got)\n%s", when, d)
		}
	}
	has("created", created.Oauth2ProviderConfigOutput)
	got, err := b.GetOauth2CredentialProvider(t.Context(), administrator(t, alpha), &wire.GetOauth2CredentialProviderInput{Name: "signed"})
	must(t, err)
	has("got", got.Oauth2ProviderConfigOutput)
	if rows := b.rows(t); strings.Contains(rows, "planted") {
		t.Error("claims stand in clear in a row")
	}

	// An update merges field by field, also into a new generation.
	for _, endpoint := range []string{"https://idp.example/token", "https://other.example/token"} {
		updated, err := b.updateProvider(t, "signed", wire.VendorCustomOauth2, signed(rsa, func(in *customInput) {
			in.PrivateKeyJwtConfig.SigningAlgorithm = new(wire.AlgorithmPS256)
			in.OauthDiscovery.AuthorizationServerMetadata.TokenEndpoint = endpoint
		}))
		must(t, err)
		want.PrivateKeySource.KmsKeySource.KmsKeyArn, want.SigningAlgorithm = rsa, new(wire.AlgorithmPS256)
		has("updated", updated.Oauth2ProviderConfigOutput)
	}
	updated, err := b.updateProvider(t, "signed", wire.VendorCustomOauth2, signed(rsa, func(in *customInput) { in.PrivateKeyJwtConfig = nil }))
	must(t, err)
	has("nothing of it updated", updated.Oauth2ProviderConfigOutput)

	// Another method takes all of it away, and needs a secret; and the other way round.
	secretMember := "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecret"
	_, err = b.updateProvider(t, "signed", wire.VendorCustomOauth2, custom(func(in *customInput) { in.ClientSecret = nil }))
	if f, ok := errors.AsType[*fault.Fault](err); !ok || len(f.Fields) != 1 || f.Fields[0].Name != secretMember {
		t.Errorf("another method without a secret: %v", err)
	}
	_, err = b.updateProvider(t, "signed", wire.VendorCustomOauth2, custom())
	must(t, err)
	row, err := b.Store.OAuth2Provider(t.Context(), alpha, "signed")
	must(t, err)
	if row.AssertionKey != "" || row.AssertionClaims != nil || row.ClientSecret == nil {
		t.Errorf("after another method: %+v", row)
	}
	_, err = b.updateProvider(t, "signed", wire.VendorCustomOauth2, signed(arn))
	must(t, err)
	row, err = b.Store.OAuth2Provider(t.Context(), alpha, "signed")
	must(t, err)
	if row.AssertionKey == "" || row.ClientSecret != nil {
		t.Errorf("with private_key_jwt again: %+v", row)
	}
}

// A provider signs with no key but one of its account that is for its client; what does not fit is refused by name when it is given, and changes nothing.
func TestPrivateKeyJWTRefuses(t *testing.T) {
	b := open(t)
	arn := b.key(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client-1")
	_, err := b.createProvider(t, "good", wire.VendorCustomOauth2, signed(arn))
	must(t, err)
	disabled := b.key(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client-1")
	row, err := b.Store.Key(t.Context(), alpha, disabled[strings.LastIndex(disabled, "/")+1:])
	must(t, err)
	must(t, b.Vault.SetKeyEnabled(row, false))
	const key, header, payload = "privateKeySource.kmsKeySource.kmsKeyArn", "additionalHeaderClaims", "additionalPayloadClaims"
	claims := func(member, name, value string) func(*customInput) {
		return func(in *customInput) {
			c := claimsOf(map[string]string{name: value})
			if member == header {
				in.PrivateKeyJwtConfig.AdditionalHeaderClaims = c
			} else {
				in.PrivateKeyJwtConfig.AdditionalPayloadClaims = c
			}
		}
	}
	type test struct {
		what, arn, member string
		change            func(*customInput)
	}
	none := func(*customInput) {}
	tests := []test{
		{"another account's key", b.key(t, beta, store.KeyForAssertions, "ECC_NIST_P256", "client-1"), key, none},
		{"another client's key", b.key(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client-2"), key, none},
		{"a key for vaults", b.key(t, alpha, store.KeyForTokenVault, "", ""), key, none},
		{"a disabled key", disabled, key, none},
		{"no such key", b.ARNs.Key(alpha, "00000000-0000-0000-0000-000000000000"), key, none},
		{"another region", strings.Replace(arn, "eu-west-1", "us-east-1", 1), key, none},
		{"another client id", arn, key, func(in *customInput) { in.ClientId = new("client-3") }},
		{"an algorithm of another kind", arn, key, func(in *customInput) { in.PrivateKeyJwtConfig.SigningAlgorithm = new(wire.AlgorithmRS256) }},
		{"another audience", arn, payload, claims(payload, "aud", "https://evil.example/token")},
	}
	for _, name := range []string{"alg", "typ", "kid", "iss", "sub", "jti", "iat", "nbf", "exp", "ISS", "Kid"} {
		tests = append(tests, test{"header " + name, arn, header, claims(header, name, "x")}, test{"payload " + name, arn, payload, claims(payload, name, "x")})
	}
	before := b.rows(t)
	for _, test := range tests {
		config := func() *configInput { return signed(test.arn, test.change) }
		_, createErr := b.createProvider(t, "bad", wire.VendorCustomOauth2, config())
		_, updateErr := b.updateProvider(t, "good", wire.VendorCustomOauth2, config())
		for _, err := range []error{createErr, updateErr} {
			f, ok := errors.AsType[*fault.Fault](err)
			if want := "oauth2ProviderConfigInput.customOauth2ProviderConfig.privateKeyJwtConfig." + test.member; !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != want {
				t.Errorf("%s: %v, want %s", test.what, err, want)
			}
		}
	}
	for member, change := range map[string]func(*customInput){
		"privateKeySource": func(in *customInput) { in.PrivateKeyJwtConfig.PrivateKeySource = nil },
		"signingAlgorithm": func(in *customInput) { in.PrivateKeyJwtConfig.SigningAlgorithm = nil },
	} {
		_, err := b.createProvider(t, "bad", wire.VendorCustomOauth2, signed(arn, change))
		if f, ok := errors.AsType[*fault.Fault](err); !ok || len(f.Fields) != 1 || !strings.HasSuffix(f.Fields[0].Name, "privateKeyJwtConfig."+member) {
			t.Errorf("without %s: %v", member, err)
		}
	}
	if b.rows(t) != before {
		t.Error("rows changed")
	}
}

// A client whom the account's own issuer vouches for has neither secret nor key, and needs no id. What another method had goes with it; to go back, the secret must
// be given.
func TestAwsIamIdTokenJWT(t *testing.T) {
	b := open(t)
	vouched := func(changes ...func(*customInput)) *configInput {
		return custom(append([]func(*customInput){func(in *customInput) {
			in.ClientId, in.ClientSecret, in.ClientAuthenticationMethod = nil, nil, new(wire.MethodAwsIamIdTokenJwt)
		}}, changes...)...)
	}
	created, err := b.createProvider(t, "vouched", wire.VendorCustomOauth2, vouched())
	must(t, err)
	if c := created.Oauth2ProviderConfigOutput.CustomOauth2ProviderConfig; c.ClientId != nil || *c.ClientAuthenticationMethod != wire.MethodAwsIamIdTokenJwt || c.PrivateKeyJwtConfig != nil {
		t.Errorf("created %+v", c)
	}
	row := func() *vault.OAuth2Provider {
		t.Helper()
		p, err := b.Vault.OAuth2Provider(t.Context(), alpha, "vouched")
		must(t, err)
		return p
	}
	generation := row().Row.Generation
	_, err = b.updateProvider(t, "vouched", wire.VendorCustomOauth2, vouched(func(in *customInput) { in.ClientId = new("client-1") }))
	must(t, err)
	if row().Row.Generation == generation {
		t.Error("a new client id begins no generation")
	}
	_, err = b.updateProvider(t, "vouched", wire.VendorCustomOauth2, custom(func(in *customInput) { in.ClientSecret = nil }))
	wantInvalid(t, err, "oauth2ProviderConfigInput.customOauth2ProviderConfig.clientSecret", "is required")
	_, err = b.updateProvider(t, "vouched", wire.VendorCustomOauth2, custom())
	must(t, err)
	if row().Row.ClientSecret == nil {
		t.Error("no secret is stored")
	}
	_, err = b.updateProvider(t, "vouched", wire.VendorCustomOauth2, signed(b.key(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client-1")))
	must(t, err)
	_, err = b.updateProvider(t, "vouched", wire.VendorCustomOauth2, vouched(func(in *customInput) { in.ClientId = new("client-1") }))
	must(t, err)
	if r := row().Row; r.ClientSecret != nil || r.ClientSecretAt != (store.Reference{}) || r.AssertionKey != "" || r.AssertionClaims != nil {
		t.Errorf("left over: %+v", r)
	}
}
