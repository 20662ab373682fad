package issuer_test

import (
	"crypto"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/edge/issuer"
	"credence/internal/testenv"
)

const other = "222222222222"

// page is what anybody gets, but for the date.
type page struct {
	Status int
	Cache  string
	Type   string
	Body   string
}

func read(t *testing.T, url string) page {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header.Get("Cache-Control"), resp.Header.Get("Content-Type"), string(body)}
}

var missing = page{404, "no-store", "application/json", `{"error":"not_found"}`}

// keySet are the keys of a JWK Set that is there, by kid.
func keySet(t *testing.T, p page, cache string) map[string]jose.JSONWebKey {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(p.Body), &set); err != nil || p.Status != 200 || p.Cache != cache || p.Type != "application/json" {
		t.Fatalf("%+v (%v)", p, err)
	}
	keys := map[string]jose.JSONWebKey{}
	for _, k := range set.Keys {
		if !k.IsPublic() || !k.Valid() || k.Use != "sig" {
			t.Errorf("the key %s is none to be published: %s", k.KeyID, p.Body)
		}
		keys[k.KeyID] = k
	}
	return keys
}

func TestDocumentsOfAnIssuer(t *testing.T) {
	e := testenv.Start(t)
	e.NewAccount(other)
	kids := map[string]string{}
	for _, account := range []string{testenv.Account, other} {
		url := e.URL + "/issuer/" + account
		discovery := read(t, url+"/.well-known/openid-configuration")
		var m struct {
			Issuer     string
			JWKS       string   `json:"jwks_uri"`
			Algorithms []string `json:"id_token_signing_alg_values_supported"`
		}
		if err := json.Unmarshal([]byte(discovery.Body), &m); err != nil || discovery.Status != 200 || discovery.Cache != "public, max-age=3600" {
			t.Fatalf("%+v (%v)", discovery, err)
		}
		if m.Issuer != url || m.JWKS != url+"/jwks" || strings.Join(m.Algorithms, " ") != "ES384 RS256" {
			t.Errorf("%+v", m)
		}
		if again := read(t, e.URL+"/.well-known/oauth-authorization-server/issuer/"+account); again != discovery {
			t.Errorf("by RFC 8414: %+v", again)
		}
		for kid, key := range keySet(t, read(t, m.JWKS), "public, max-age=3600") {
			if kids[kid] != "" || key.Algorithm == "" {
				t.Errorf("the key %s of %s: also %q, for %q", kid, account, kids[kid], key.Algorithm)
			}
			kids[kid] = account
		}
	}
	if len(kids) != 4 {
		t.Errorf("%d keys: %v", len(kids), kids)
	}
	resp, err := http.Head(e.URL + "/issuer/" + other + "/jwks")
	if err != nil || resp.StatusCode != 200 || resp.ContentLength <= 0 {
		t.Errorf("HEAD: %+v (%v)", resp, err)
	}
}

// What is not published is one and the same answer, whatever the reason.
func TestWhatIsNotPublished(t *testing.T) {
	e := testenv.Start(t)
	for _, op := range issuer.Operations(nil) {
		for _, account := range []string{"999999999999", "000000000000", "x", "", "%31" + testenv.Account[1:], testenv.Account + "%2f", "..%2f" + testenv.Account, testenv.Account + "/"} {
			path := strings.NewReplacer("{account}", account, "{key}", "00000000-0000-0000-0000-000000000000").Replace(op.Path)
			if got := read(t, e.URL+path); got != missing {
				t.Errorf("%s: %+v", path, got)
			}
		}
	}
	for _, path := range []string{"/issuer/", "/issuer/" + testenv.Account, "/issuer/" + testenv.Account + "/keys", "/issuer/" + testenv.Account + "/keys/x/jwks", "/issuer/" + testenv.Account + "/jwks/"} {
		if got := read(t, e.URL+path); got != missing {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// The public half of a key that signs client assertions stands at a URL of its own as long as it signs: there it is found by its kid, and nothing else.
func TestKeySetOfAClient(t *testing.T) {
	e := testenv.Start(t)
	create := func(body string) (arn, id string) {
		t.Helper()
		var key struct{ KeyArn, KeyId string }
		if a := e.Admin.Call("/credence/CreateKey", body); a.Status != 201 || json.Unmarshal([]byte(a.Body), &key) != nil {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return key.KeyArn, key.KeyId
	}
	url := func(account, id string) string { return e.URL + "/issuer/" + account + "/keys/" + id + "/jwks" }
	for _, spec := range []string{"RSA_2048", "ECC_NIST_P256"} {
		arn, id := create(`{"keyUsage":"CLIENT_ASSERTION","keySpec":"` + spec + `","clientId":"c"}`)
		here := func() {
			t.Helper()
			keys := keySet(t, read(t, url(testenv.Account, id)), "public, max-age=300")
			var public struct {
				Jwk     jose.JSONWebKey
				JwksUri string
			}
			if a := e.Admin.Call("/credence/GetPublicKey", `{"keyId":"`+arn+`"}`); json.Unmarshal([]byte(a.Body), &public) != nil {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			published := keys[id]
			one, _ := published.Thumbprint(crypto.SHA256)
			two, _ := public.Jwk.Thumbprint(crypto.SHA256)
			if len(keys) != 1 || len(one) == 0 || string(one) != string(two) || public.JwksUri != url(testenv.Account, id) {
				t.Errorf("%s: %v, the key is %v", spec, keys, public)
			}
		}
		gone := func(why string) {
			t.Helper()
			if got := read(t, url(testenv.Account, id)); got != missing {
				t.Errorf("%s %s: %+v", spec, why, got)
			}
		}
		do := func(operation string) {
			t.Helper()
			if a := e.Admin.Call("/credence/"+operation, `{"keyId":"`+arn+`"}`); a.Status != 204 {
				t.Fatalf("%s: %d %s", operation, a.Status, a.Body)
			}
		}
		here()
		do("DisableKey")
		gone("disabled")
		do("EnableKey")
		here()
		if got := read(t, url(other, id)); got != missing {
			t.Errorf("of another account: %+v", got)
		}
		do("DeleteKey")
		gone("deleted")
	}
	_, id := create(`{"keyUsage":"TOKEN_VAULT"}`)
	if got := read(t, url(testenv.Account, id)); got != missing {
		t.Errorf("a key of the token vault: %+v", got)
	}
	for kid := range keySet(t, read(t, e.URL+"/issuer/"+testenv.Account+"/jwks"), "public, max-age=3600") {
		if got := read(t, url(testenv.Account, kid)); got != missing {
			t.Errorf("a key of the issuer: %+v", got)
		}
	}
}

// By hand: new keys beside the old ones; withdrawn, none of the old ones.
func TestRotation(t *testing.T) {
	e := testenv.Start(t)
	jwks := e.URL + "/issuer/" + testenv.Account + "/jwks"
	first := keySet(t, read(t, jwks), "public, max-age=3600")
	rotate := func(body string) (states []string) {
		t.Helper()
		var out struct {
			Issuer, JwksUri string
			Keys            []struct{ KeyId, KeyState, SigningAlgorithm string }
		}
		a := e.Admin.Call("/credence/RotateIssuerKeys", body)
		if a.Status != 200 || json.Unmarshal([]byte(a.Body), &out) != nil || out.JwksUri != jwks || out.Issuer != strings.TrimSuffix(jwks, "/jwks") {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		published := keySet(t, read(t, jwks), "public, max-age=3600")
		for _, k := range out.Keys {
			if published[k.KeyId].Algorithm != k.SigningAlgorithm {
				t.Errorf("%+v is not published", k)
			}
			states = append(states, k.KeyState)
		}
		if len(published) != len(out.Keys) {
			t.Errorf("%d keys are published, of %d", len(published), len(out.Keys))
		}
		return states
	}
	if got := strings.Join(rotate(`{}`), " "); got != "ACTIVE PENDING ACTIVE PENDING" {
		t.Errorf("rotated: %s", got)
	}
	for kid := range first {
		if _, ok := keySet(t, read(t, jwks), "public, max-age=3600")[kid]; !ok {
			t.Errorf("the key %s is gone, but signs", kid)
		}
	}
	if got := strings.Join(rotate(`{"withdraw":true}`), " "); got != "ACTIVE ACTIVE" {
		t.Errorf("withdrawn: %s", got)
	}
	for kid := range keySet(t, read(t, jwks), "public, max-age=3600") {
		if _, ok := first[kid]; ok {
			t.Errorf("the key %s is still published", kid)
		}
	}
}
