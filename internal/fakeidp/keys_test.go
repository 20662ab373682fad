package fakeidp_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/fakeidp"
)

// verify checks the token against the JWKS as it is now.
func verify(t *testing.T, v bed, token string) (claims map[string]any, kid string, err error) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(get(t, v, v.at("/jwks")).wantOK(t).body), &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if !key.IsPublic() {
			t.Fatalf("the JWKS publishes the private key %s", key.KeyID)
		}
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return claims, parsed.Headers[0].KeyID, parsed.Claims(&set, &claims)
}

func TestSign(t *testing.T) {
	v := start(t)
	now := float64(time.Now().Unix())

	claims, _, err := verify(t, v, v.Sign(map[string]any{"sub": "alice", "aud": []string{"credence"}}))
	if err != nil {
		t.Fatal(err)
	}
	if claims["iss"] != v.Issuer() || claims["sub"] != "alice" || claims["aud"].([]any)[0] != "credence" {
		t.Errorf("claims %v", claims)
	}
	if iat, exp := claims["iat"].(float64), claims["exp"].(float64); iat < now || iat > now+60 || exp != iat+300 {
		t.Errorf("iat %v, exp %v, want now and five minutes later", iat, exp)
	}

	claims, _, err = verify(t, v, v.Sign(map[string]any{"iss": "https://evil.example", "iat": nil, "exp": nil}))
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Collect(maps.Keys(claims)); len(names) != 1 || claims["iss"] != "https://evil.example" {
		t.Errorf("claims %v, want only the issuer that was given", claims)
	}
}

func TestRotateKeys(t *testing.T) {
	v := start(t)
	v.RotateKeys()
	old := v.Sign(nil)
	v.RotateKeys()
	fresh := v.Sign(nil)
	_, oldKid, err := verify(t, v, old)
	if err != nil {
		t.Errorf("a token of the old key: %v", err)
	}
	_, freshKid, err := verify(t, v, fresh)
	if err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if oldKid != "key-2" || freshKid != "key-3" {
		t.Errorf("kids %s and %s, want key-2 and key-3", oldKid, freshKid)
	}

	v.Set(func(b *fakeidp.Behaviour) { b.DropOldKeys = true })
	if _, _, err := verify(t, v, old); err == nil {
		t.Error("a dropped key still verifies")
	}
	if _, _, err := verify(t, v, fresh); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	v := start(t)
	for _, address := range []string{v.at("/.well-known/openid-configuration"), v.at("/.well-known/oauth-authorization-server")} {
		metadata := get(t, v, address).wantOK(t).json
		for member, want := range map[string]any{
			"issuer": v.Issuer(), "authorization_endpoint": v.at("/authorize"), "token_endpoint": v.at("/token"),
			"revocation_endpoint": v.at("/revoke"), "jwks_uri": v.at("/jwks"), "authorization_response_iss_parameter_supported": true,
		} {
			if metadata[member] != want {
				t.Errorf("%s: %s is %v, want %v", address, member, metadata[member], want)
			}
		}
	}
	discover := func(change func(*fakeidp.Behaviour)) answer {
		v.Set(func(b *fakeidp.Behaviour) {
			*b = fakeidp.Behaviour{}
			change(b)
		})
		return get(t, v, v.at("/.well-known/openid-configuration"))
	}
	t.Run("DiscoveryStatus", func(t *testing.T) {
		if a := discover(func(b *fakeidp.Behaviour) { b.DiscoveryStatus = http.StatusBadGateway }); a.status != http.StatusBadGateway {
			t.Errorf("answer %d, want 502", a.status)
		}
	})
	t.Run("LieInDiscovery", func(t *testing.T) {
		a := discover(func(b *fakeidp.Behaviour) { b.LieInDiscovery = "https://evil.example" })
		if a.json["issuer"] != "https://evil.example" || a.json["token_endpoint"] != v.at("/token") {
			t.Errorf("metadata %v", a.json)
		}
	})
	t.Run("ExtraMetadata", func(t *testing.T) {
		a := discover(func(b *fakeidp.Behaviour) {
			b.ExtraMetadata = map[string]any{"token_endpoint": "http://10.0.0.1/", "authorization_response_iss_parameter_supported": nil}
		})
		if _, promised := a.json["authorization_response_iss_parameter_supported"]; promised || a.json["token_endpoint"] != "http://10.0.0.1/" {
			t.Errorf("metadata %v", a.json)
		}
	})
}
