package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// azureService answers as the public reference of the Key Vault REST API says, the challenge for a token included. It is not Azure.
type azureService struct {
	mu     sync.Mutex
	server *httptest.Server
	keys   map[string]*azureTestKey
	answer func(w http.ResponseWriter, r *http.Request) bool // instead of its own
	seen   []string
}

type azureTestKey struct {
	signer        crypto.Signer
	disabled      bool
	deleted       bool
	getOnDisabled bool // answers GET of a disabled key
}

const (
	azureHost    = "mine.vault.azure.net"
	azureVersion = "0123456789abcdef0123456789abcdef"
)

func newAzureService(t *testing.T) *azureService {
	s := &azureService{keys: map[string]*azureTestKey{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// Do is the transport of the SDK: what is for the vault comes to the service.
func (s *azureService) Do(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.URL.Host != azureHost || r.URL.Scheme != "https" {
		return nil, fmt.Errorf("a request to %s", r.URL)
	}
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(s.server.URL, "http://")
	return httpClient().Do(r)
}

func (s *azureService) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token for " + strings.Join(o.Scopes, " "), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (s *azureService) open(t *testing.T, uri string, o Options) (Key, error) {
	t.Helper()
	m := azureForm.FindStringSubmatch(uri)
	b, err := newAzure(m[1], m[2], m[3], s, azcore.ClientOptions{Transport: s, Retry: policy.RetryOptions{MaxRetries: -1}})
	if err != nil {
		t.Fatal(err)
	}
	return open(t.Context(), b, uri, o)
}

func (s *azureService) create(t *testing.T, spec Spec) Key {
	t.Helper()
	k := &azureTestKey{}
	switch spec {
	case Symmetric: // each has its own
		k.signer, _ = rsa.GenerateKey(rand.Reader, 2048)
	default:
		k.signer = keyPair[spec]()
	}
	s.mu.Lock()
	name := fmt.Sprint("k", len(s.keys))
	s.keys[name] = k
	s.mu.Unlock()
	var o Options
	if spec == Symmetric {
		o.Spec = Symmetric
	}
	key, err := s.open(t, "azurekeyvault://"+azureHost+"/keys/"+name, o)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func azureFail(w http.ResponseWriter, status int, code, inner string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	text := fmt.Sprintf(`"code":%q,"message":"says the service"`, code)
	if inner != "" {
		text += fmt.Sprintf(`,"innererror":{"code":%q}`, inner)
	}
	fmt.Fprintf(w, `{"error":{%s}}`, text)
}

func (s *azureService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Header.Get("Authorization") {
	case "":
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"`)
		azureFail(w, 401, "Unauthorized", "")
		return
	case "Bearer token for https://vault.azure.net/.default":
	default:
		azureFail(w, 401, "Unauthorized", "")
		return
	}
	s.seen = append(s.seen, r.Method+" "+r.URL.EscapedPath())
	if s.answer != nil && s.answer(w, r) {
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // keys|deletedkeys NAME [VERSION] [ACTION]
	k := s.keys[parts[1]]
	if k == nil || k.deleted != (parts[0] == "deletedkeys") {
		azureFail(w, 404, "KeyNotFound", "")
		return
	}
	version, action := "", ""
	for _, p := range parts[2:] {
		switch {
		case len(p) == 32:
			version = p
		case p != "":
			action = p
		}
	}
	if version != "" && version != azureVersion {
		azureFail(w, 404, "KeyNotFound", "")
		return
	}
	if k.disabled && (action != "" || !k.getOnDisabled) {
		azureFail(w, 403, "Forbidden", "KeyDisabled")
		return
	}
	kid := "https://" + azureHost + "/keys/" + parts[1] + "/" + azureVersion
	b64 := base64.RawURLEncoding.EncodeToString
	write := func(v any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(v)
	}
	if action == "" {
		jwk := map[string]any{"kid": kid}
		switch public := k.signer.Public().(type) {
		case *rsa.PublicKey:
			jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(public.N.Bytes()), b64(big.NewInt(int64(public.E)).Bytes())
		case *ecdsa.PublicKey:
			point, _ := public.Bytes()
			jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
		}
		write(map[string]any{"key": jwk, "attributes": map[string]any{"enabled": !k.disabled}})
		return
	}
	var in struct{ Alg, Value string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	value, _ := base64.RawURLEncoding.DecodeString(in.Value)
	private, _ := k.signer.(*rsa.PrivateKey)
	var out []byte
	var err error
	switch {
	case action == "wrapkey" && in.Alg == "RSA-OAEP-256" && private != nil:
		out, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, &private.PublicKey, value, nil)
	case action == "unwrapkey" && in.Alg == "RSA-OAEP-256" && private != nil:
		out, err = rsa.DecryptOAEP(sha256.New(), nil, private, value, nil)
	case action == "sign" && in.Alg == "ES256" && private == nil: // r||s
		var sig struct{ R, S *big.Int }
		_, err = asn1.Unmarshal(signWith(k.signer, in.Alg, value), &sig)
		out = append(sig.R.FillBytes(make([]byte, 32)), sig.S.FillBytes(make([]byte, 32))...)
	case action == "sign" && (in.Alg == "RS256" || in.Alg == "PS256") && private != nil:
		out = signWith(k.signer, in.Alg, value)
	default:
		err = errors.New("no such operation")
	}
	if err != nil {
		azureFail(w, 400, "BadParameter", "")
		return
	}
	write(map[string]any{"kid": kid, "value": b64(out)})
}

func TestAzure(t *testing.T) {
	s := newAzureService(t)
	contract(t, s.create, "RS256", "PS256")
}

// Whoever knows the public key can encrypt for an RSA key: without the key's signature that opens nothing.
func TestAzureForgedEnvelope(t *testing.T) {
	s := newAzureService(t)
	k := s.create(t, Symmetric)
	bound := []byte("b")
	sealed, err := k.Wrap(t.Context(), []byte("p"), bound)
	if err != nil {
		t.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	aead, _ := seal(key)
	e.Text = aead.Seal(nil, nil, []byte("chosen"), bound)
	e.Key, _ = rsa.EncryptOAEP(sha256.New(), rand.Reader, s.keys["k0"].signer.Public().(*rsa.PublicKey), key, nil)
	forged, _ := json.Marshal(e)
	if opened, err := k.Unwrap(t.Context(), forged, bound); !errors.Is(err, ErrRefused) {
		t.Errorf("a forged envelope opens: %q, %v", opened, err)
	}
	s.seen = nil
	e.Version = "../../secrets/x?y=z#"
	crooked, _ := json.Marshal(e)
	if _, err := k.Unwrap(t.Context(), crooked, bound); err == nil {
		t.Error("a crooked version opens")
	}
	for _, path := range s.seen {
		if !strings.HasPrefix(path, "GET /keys/k0/..%2F..%2Fsecrets") {
			t.Errorf("the service saw %s", path)
		}
	}
}

func TestAzureStates(t *testing.T) {
	s := newAzureService(t)
	k := s.create(t, Symmetric)
	sealed, err := k.Wrap(t.Context(), []byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	there := s.keys["k0"]
	state := func(what string, want State) {
		t.Helper()
		if got, err := k.State(t.Context()); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", what, got, err, want)
		}
		if want == Enabled {
			return
		}
		if _, err := k.Unwrap(t.Context(), sealed, nil); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: unwrap: %v", what, err)
		}
	}
	there.disabled = true
	state("disabled", Disabled)
	there.getOnDisabled = true
	state("disabled, but shown", Disabled)
	there.disabled, there.deleted = false, true
	state("deleted", PendingDeletion)
	delete(s.keys, "k0")
	state("purged", Deleted)

	s.answer = func(w http.ResponseWriter, r *http.Request) bool { // may not list deleted keys
		if strings.HasPrefix(r.URL.Path, "/deletedkeys/") {
			azureFail(w, 403, "Forbidden", "ForbiddenByRbac")
			return true
		}
		return false
	}
	state("not found, deleted keys denied", "")
	asked := 0
	s.answer = func(w http.ResponseWriter, r *http.Request) bool { // recovered meanwhile
		if asked++; asked == 3 {
			s.keys["k0"] = there
			there.deleted = false
		}
		return false
	}
	if got, err := k.State(t.Context()); err == nil {
		t.Errorf("recovered meanwhile: %s", got)
	}
	delete(s.keys, "k0")
	for code, status := range map[string]int{"Forbidden": 403, "VaultNotFound": 404, "SecretNotFound": 404, "BadParameter": 400} {
		s.answer = func(w http.ResponseWriter, r *http.Request) bool {
			azureFail(w, status, code, "ForbiddenByFirewall")
			return true
		}
		state(code, "")
	}
	s.answer = nil
	pinned, err := s.open(t, k.(*guarded).name+"/"+strings.Repeat("f", 32), Options{Spec: Symmetric})
	if err != nil {
		t.Fatal(err)
	}
	s.keys["k0"] = there
	if got, err := pinned.State(t.Context()); err == nil {
		t.Errorf("a version that the key does not have: %s", got)
	}
}

func TestAzureOutages(t *testing.T) {
	s := newAzureService(t)
	k := s.create(t, Symmetric)
	for name, answer := range map[string]func(w http.ResponseWriter){
		"throttled":   func(w http.ResponseWriter) { azureFail(w, 429, "Throttled", "") },
		"internal":    func(w http.ResponseWriter) { azureFail(w, 500, "InternalError", "") },
		"token":       func(w http.ResponseWriter) { azureFail(w, 401, "Unauthorized", "") },
		"proxy's 404": func(w http.ResponseWriter) { http.Error(w, "<h1>no such page</h1>", 404) },
		"proxy's 403": func(w http.ResponseWriter) { http.Error(w, "no", http.StatusForbidden) },
		"elsewhere":   func(w http.ResponseWriter) { w.Header().Set("Location", "/keys/k1"); w.WriteHeader(307) },
		"not JSON":    func(w http.ResponseWriter) { fmt.Fprint(w, "hello") },
		"empty":       func(w http.ResponseWriter) { fmt.Fprint(w, "{}") },
		"too large": func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"attributes":{"enabled":true},"key":{"kid":"https://mine.vault.azure.net/keys/k0/0123","kty":%q}}`, strings.Repeat("x", maxBody))
		},
	} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true }
		outage(t, name, k)
	}
	s.server.Close()
	outage(t, "nobody listens", k)
}
