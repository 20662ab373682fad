package vault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

const (
	tokenEndpoint = "https://idp.example/token"
	idpIssuer     = "https://idp.example"
)

var idp = provider.Vendor{TokenEndpoint: tokenEndpoint, Issuer: idpIssuer}

func (b *bed) signer(t *testing.T, account string, usage store.KeyUsage, spec, client string) store.Key {
	t.Helper()
	k, err := b.CreateKey(t.Context(), store.Key{Account: account, Usage: usage, Spec: spec, ClientID: client})
	must(t, err)
	return k
}

// signedBy is a provider of alpha, whose client is "client", that names a key.
func (b *bed) signedBy(t *testing.T, k store.Key, alg wire.SigningAlgorithm, claims AssertionClaims) *OAuth2Provider {
	t.Helper()
	p := b.providerOf(t, alpha, 1)
	p.Config.ClientID, p.Config.SigningAlgorithm, p.Row.AssertionKey = "client", alg, k.ID
	must(t, b.SealAssertionClaims(t.Context(), &p.Row, claims))
	return &p
}

// Of the matrix use × account × client id × aud one cell signs.
func TestOneCellSigns(t *testing.T) {
	b := openBed(t)
	signed := 0
	for _, usage := range []store.KeyUsage{store.KeyForAssertions, store.KeyForTokenVault} {
		for _, account := range []string{alpha, beta} {
			for _, client := range []string{"client", "Client", "client2", ""} {
				spec := "ECC_NIST_P256"
				if usage == store.KeyForTokenVault {
					spec = "SYMMETRIC_DEFAULT"
				}
				k := store.Key{Account: account, Usage: usage, Spec: spec, ClientID: client}
				if (usage == store.KeyForAssertions) == (client != "") {
					k = b.signer(t, account, usage, spec, client)
				} else { // a row that CreateKey does not make
					k.ID, k.State = fmt.Sprint(usage, account, client), store.KeyEnabled
					material := b.signer(t, account, store.KeyForAssertions, "ECC_NIST_P256", "x")
					plaintext, err := b.open(t.Context(), keyPlace(material), material.Material)
					must(t, err)
					k.Material, err = b.seal(t.Context(), keyPlace(k), plaintext)
					must(t, err)
					must(t, b.store.InsertKey(k))
				}
				for _, aud := range []string{tokenEndpoint, tokenEndpoint + "/", "https://IDP.example/token", "https://other.example/token", "https://idp.example/authorize", tokenEndpoint + "?x"} {
					assertion, err := b.SignClientAssertion(t.Context(), b.signedBy(t, k, wire.AlgorithmES256, AssertionClaims{Payload: map[string]string{"aud": aud}}), idp, tokenEndpoint)
					if err == nil {
						signed++
					} else if !assertion.IsZero() {
						t.Error("an error with an assertion")
					}
					if want := usage == store.KeyForAssertions && account == alpha && client == "client" && aud == tokenEndpoint; want != (err == nil) {
						t.Errorf("%s of %s for %q to %q: %v", usage, account, client, aud, err)
					}
				}
			}
		}
	}
	// Nor does an assertion go to a host that is not the vendor's.
	k := b.signer(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client")
	for target, want := range map[string]bool{
		tokenEndpoint: true, "https://idp.example/par": true, "https://IDP.example:443/revoke": true,
		"https://idp.example:8443/par": false, "http://idp.example/par": false, "https://idp.example.evil/par": false, "https://par.idp.example/par": false, "": false,
	} {
		if _, err := b.SignClientAssertion(t.Context(), b.signedBy(t, k, wire.AlgorithmES256, AssertionClaims{}), idp, target); (err == nil) != want {
			t.Errorf("to %q: %v", target, err)
		}
	}
	if signed != 1 {
		t.Errorf("%d cells sign", signed)
	}
}

// What is signed is an assertion of the client to its vendor, verifiable with the key's public half; additional claims replace nothing of it.
func TestSignClientAssertion(t *testing.T) {
	b := openBed(t)
	evil := map[string]string{}
	for _, name := range []string{"alg", "typ", "kid", "iss", "sub", "jti", "iat", "nbf", "exp", "ISS", "Sub", "Alg"} {
		evil[name] = "evil"
	}
	evil["x5t#S256"], evil["tenant"] = "thumbprint", "mine"
	for alg, spec := range map[wire.SigningAlgorithm]string{wire.AlgorithmRS256: "RSA_2048", wire.AlgorithmPS256: "RSA_2048", wire.AlgorithmES256: "ECC_NIST_P256"} {
		k := b.signer(t, alpha, store.KeyForAssertions, spec, "client")
		for _, aud := range []string{"", tokenEndpoint, idpIssuer} {
			claims := AssertionClaims{Header: evil, Payload: map[string]string{}}
			for name, value := range evil {
				claims.Payload[name] = value
			}
			want := tokenEndpoint
			if aud != "" {
				claims.Payload["aud"], want = aud, aud
			}
			text, err := b.SignClientAssertion(t.Context(), b.signedBy(t, k, alg, claims), idp, tokenEndpoint)
			must(t, err)
			signed, err := jose.ParseSignedCompact(text.Reveal(), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			must(t, err)
			public, err := b.PublicKey(t.Context(), k)
			must(t, err)
			payload, err := signed.Verify(public)
			must(t, err)
			var got map[string]any
			must(t, json.Unmarshal(payload, &got))
			h := signed.Signatures[0].Protected
			if h.Algorithm != string(alg) || h.KeyID != k.ID || h.ExtraHeaders["typ"] != "JWT" || h.ExtraHeaders["x5t#S256"] != "thumbprint" || h.ExtraHeaders["Alg"] != nil {
				t.Errorf("header %+v", h)
			}
			if got["iss"] != "client" || got["sub"] != "client" || got["aud"] != want || got["tenant"] != "mine" || got["ISS"] != nil || got["jti"] == "evil" || got["jti"] == "" {
				t.Errorf("payload %s", payload)
			}
			now := float64(time.Now().Unix())
			if iat, exp := got["iat"].(float64), got["exp"].(float64); exp != iat+300 || got["nbf"] != iat || now-iat > 60 {
				t.Errorf("times %s", payload)
			}
		}
		// A key that is disabled, or an algorithm that is not its own, signs nothing.
		other := wire.AlgorithmES256
		if alg == other {
			other = wire.AlgorithmRS256
		}
		if _, err := b.SignClientAssertion(t.Context(), b.signedBy(t, k, other, AssertionClaims{}), idp, tokenEndpoint); !errors.Is(err, fault.Decryption) {
			t.Errorf("%s with %s: %v", other, spec, err)
		}
		must(t, b.SetKeyEnabled(k, false))
		if _, err := b.SignClientAssertion(t.Context(), b.signedBy(t, k, alg, AssertionClaims{}), idp, tokenEndpoint); !errors.Is(err, fault.Decryption) {
			t.Errorf("disabled: %v", err)
		}
	}
	if _, err := b.SignClientAssertion(t.Context(), b.signedBy(t, store.Key{}, wire.AlgorithmES256, AssertionClaims{}), idp, tokenEndpoint); !errors.Is(err, fault.Decryption) {
		t.Errorf("without a key: %v", err)
	}
}

// A client whose secret is the key: the assertion is signed with it by HS256, and goes nowhere but to the vendor.
func TestSignWithSecret(t *testing.T) {
	b := openBed(t)
	p := b.providerOf(t, alpha, 1)
	const key = "a client secret of more than 32 bytes"
	must(t, b.sealOAuth2Provider(t.Context(), &p, secret.New(key)))
	vendor := idp
	vendor.AuthMethod = oauth.ClientSecretJWT
	text, err := b.SignClientAssertion(t.Context(), &p, vendor, tokenEndpoint)
	must(t, err)
	signed, err := jose.ParseSignedCompact(text.Reveal(), []jose.SignatureAlgorithm{jose.HS256})
	must(t, err)
	payload, err := signed.Verify([]byte(key))
	must(t, err)
	var got map[string]any
	must(t, json.Unmarshal(payload, &got))
	now := float64(time.Now().Unix())
	if got["iss"] != p.Config.ClientID || got["sub"] != p.Config.ClientID || got["aud"] != tokenEndpoint || got["jti"] == "" || got["exp"].(float64) > now+300 || got["nbf"].(float64) > now-5 {
		t.Errorf("payload %s", payload)
	}
	if _, err := b.SignClientAssertion(t.Context(), &p, vendor, "https://evil.example/token"); err == nil {
		t.Error("it goes to another host")
	}
}

// A signed authorization request is for the issuer alone, says nothing that its parameters could not, and can pass for no client assertion.
func TestSignRequestObject(t *testing.T) {
	b := openBed(t)
	k := b.signer(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client")
	p := b.signedBy(t, k, wire.AlgorithmES256, AssertionClaims{Payload: map[string]string{"aud": tokenEndpoint, "tenant": "mine"}})
	parameters := url.Values{"client_id": {"client"}, "scope": {"read"}, "resource": {"https://a", "https://b"}, "sub": {"client"}, "aud": {tokenEndpoint}, "iss": {"evil"}, "exp": {"9999999999"}}
	text, err := b.SignRequestObject(t.Context(), p, idp, parameters)
	must(t, err)
	signed, err := jose.ParseSignedCompact(text.Reveal(), []jose.SignatureAlgorithm{jose.ES256})
	must(t, err)
	public, err := b.PublicKey(t.Context(), k)
	must(t, err)
	payload, err := signed.Verify(public)
	must(t, err)
	var got map[string]any
	must(t, json.Unmarshal(payload, &got))
	if typ := signed.Signatures[0].Protected.ExtraHeaders["typ"]; typ != "oauth-authz-req+jwt" {
		t.Errorf("type %v", typ)
	}
	if got["iss"] != "client" || got["client_id"] != "client" || got["aud"] != idpIssuer || got["sub"] != nil || got["scope"] != "read" || len(got["resource"].([]any)) != 2 || got["tenant"] != nil || got["exp"] == "9999999999" {
		t.Errorf("payload %s", payload)
	}
	if _, err := b.SignRequestObject(t.Context(), b.signedBy(t, store.Key{}, wire.AlgorithmES256, AssertionClaims{}), idp, parameters); !errors.Is(err, fault.Decryption) {
		t.Errorf("without a key: %v", err)
	}
	nobody := idp
	nobody.Issuer = ""
	if _, err := b.SignRequestObject(t.Context(), p, nobody, parameters); err == nil {
		t.Error("for no issuer")
	}
}

// Whatever signs, an assertion is for the vendor's token endpoint, or for its issuer where the provider says so, and for nobody when that is not known.
func TestAssertionAudience(t *testing.T) {
	b := openBed(t)
	key := b.signer(t, alpha, store.KeyForAssertions, "ECC_NIST_P256", "client")
	for what, sign := range map[string]func(*OAuth2Provider, provider.Vendor) (secret.String, error){
		"private_key_jwt": func(p *OAuth2Provider, v provider.Vendor) (secret.String, error) {
			return b.SignClientAssertion(t.Context(), p, v, tokenEndpoint)
		},
		"client_secret_jwt": func(p *OAuth2Provider, v provider.Vendor) (secret.String, error) {
			v.AuthMethod = oauth.ClientSecretJWT
			return b.SignClientAssertion(t.Context(), p, v, tokenEndpoint)
		},
		"ID token": func(p *OAuth2Provider, v provider.Vendor) (secret.String, error) {
			return b.SignWorkloadToken(t.Context(), p, v, tokenEndpoint, "https://us.example/issuer/"+alpha, "arn:aws:iam::"+alpha+":user/a", "us-east-1")
		},
	} {
		p := b.signedBy(t, key, wire.AlgorithmES256, AssertionClaims{})
		for audience, want := range map[wire.ClientAssertionAudience]string{"": tokenEndpoint, wire.AudienceTokenEndpoint: tokenEndpoint, wire.AudienceIssuer: idpIssuer} {
			p.Config.AssertionAudience = audience
			signed, err := sign(p, idp)
			must(t, err)
			var claims struct {
				Audience string `json:"aud"`
			}
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(signed.Reveal(), ".")[1])
			must(t, err)
			must(t, json.Unmarshal(payload, &claims))
			if claims.Audience != want {
				t.Errorf("%s, %q: for %q, want %q", what, audience, claims.Audience, want)
			}
		}
		p.Config.AssertionAudience = wire.AudienceIssuer
		if signed, err := sign(p, provider.Vendor{TokenEndpoint: tokenEndpoint}); !errors.Is(err, fault.AccessDenied) || !signed.IsZero() {
			t.Errorf("%s, without an issuer: %v", what, err)
		}
	}
}
