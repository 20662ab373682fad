package kms

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"
)

// gcpService answers as the public reference of the Cloud KMS API, v1, says: REST, with checksums. It is not Google Cloud.
type gcpService struct {
	mu     sync.Mutex
	url    string
	keys   map[string]*gcpTestKey
	answer func(w http.ResponseWriter, r *http.Request) bool // instead of its own
}

type gcpTestKey struct {
	purpose, alg string
	primary      int      // version, from 1; 0 for none
	versions     []string // states
	signer       crypto.Signer
	secret       []byte
}

func newGCP(t *testing.T) *gcpService {
	s := &gcpService{keys: map[string]*gcpTestKey{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// open is Open with the service in place of Google's and a fixed access token.
func (s *gcpService) open(t *testing.T, uri string, o Options) (Key, error) {
	t.Helper()
	m := gcpForm.FindStringSubmatch(uri)
	tokens := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "ya29.token"})
	return open(t.Context(), &gcpKey{m[1], m[2], s.url + "/v1/", httpClient(), tokens}, uri, o)
}

func (s *gcpService) create(t *testing.T, alg string) Key {
	t.Helper()
	k := &gcpTestKey{purpose: "ASYMMETRIC_SIGN", alg: alg, versions: []string{"ENABLED"}, secret: make([]byte, 32)}
	version := "/cryptoKeyVersions/1"
	switch alg {
	case "GOOGLE_SYMMETRIC_ENCRYPTION":
		k.purpose, k.primary, version = "ENCRYPT_DECRYPT", 1, ""
		_, _ = rand.Read(k.secret)
	case "EC_SIGN_P256_SHA256":
		k.signer = keyPair[P256]()
	default:
		k.signer = keyPair[RSA2048]()
	}
	s.mu.Lock()
	name := fmt.Sprint("projects/p/locations/eu/keyRings/r/cryptoKeys/k", len(s.keys))
	s.keys[name] = k
	s.mu.Unlock()
	key, err := s.open(t, "gcpkms://"+name+version, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func gcpFail(w http.ResponseWriter, code int, status string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"error":{"code":%d,"status":%q,"message":"says the service"}}`, code, status)
}

var gcpPath = regexp.MustCompile(`^/v1/(projects/p/locations/eu/keyRings/r/cryptoKeys/[a-z0-9]+)(?:/cryptoKeyVersions/([0-9]+))?(/cryptoKeyVersions|/publicKey|:[a-zA-Z]+)?$`)

func (s *gcpService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil && s.answer(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer ya29.token" {
		gcpFail(w, 401, "UNAUTHENTICATED")
		return
	}
	m := gcpPath.FindStringSubmatch(r.URL.Path)
	if m == nil || s.keys[m[1]] == nil {
		gcpFail(w, 404, "NOT_FOUND")
		return
	}
	k := s.keys[m[1]]
	version, _ := strconv.Atoi(m[2])
	state := func(n int) map[string]any {
		return map[string]any{"name": fmt.Sprint(m[1], "/cryptoKeyVersions/", n), "state": k.versions[n-1], "algorithm": k.alg}
	}
	write := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	var in map[string]json.RawMessage
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &in)
	data := func(name string) []byte {
		var b []byte
		_ = json.Unmarshal(in[name], &b)
		return b
	}
	checked := func(name string, of []byte) bool {
		return string(in[name]) == fmt.Sprintf("%q", fmt.Sprint(crc32c(of))) || len(of) == 0 && in[name] == nil
	}
	aead, _ := seal(k.secret)
	switch action := m[3]; {
	case action == "" && version == 0:
		out := map[string]any{"name": m[1], "purpose": k.purpose}
		if k.primary > 0 {
			out["primary"] = state(k.primary)
		}
		write(out)
	case action == "" && version <= len(k.versions):
		write(state(version))
	case action == "/cryptoKeyVersions": // two a page
		from, _ := strconv.Atoi(r.URL.Query().Get("pageToken"))
		out := map[string]any{}
		var page []any
		for n := from + 1; n <= len(k.versions) && n <= from+2; n++ {
			page = append(page, state(n))
		}
		if from+2 < len(k.versions) {
			out["nextPageToken"] = fmt.Sprint(from + 2)
		}
		out["cryptoKeyVersions"] = page
		write(out)
	case action == ":encrypt" && k.purpose == "ENCRYPT_DECRYPT":
		n := max(version, k.primary)
		if n == 0 || k.versions[n-1] != "ENABLED" {
			gcpFail(w, 400, "FAILED_PRECONDITION")
			return
		}
		plaintext, bound := data("plaintext"), data("additionalAuthenticatedData")
		ciphertext := append([]byte{byte(n)}, aead.Seal(nil, nil, plaintext, bound)...)
		write(map[string]any{"ciphertext": ciphertext, "ciphertextCrc32c": fmt.Sprint(crc32c(ciphertext)),
			"verifiedPlaintextCrc32c": checked("plaintextCrc32c", plaintext), "verifiedAdditionalAuthenticatedDataCrc32c": checked("additionalAuthenticatedDataCrc32c", bound)})
	case action == ":decrypt" && k.purpose == "ENCRYPT_DECRYPT" && version == 0:
		ciphertext, bound := data("ciphertext"), data("additionalAuthenticatedData")
		if len(ciphertext) == 0 || int(ciphertext[0]) > len(k.versions) || ciphertext[0] == 0 || !checked("ciphertextCrc32c", ciphertext) || !checked("additionalAuthenticatedDataCrc32c", bound) {
			gcpFail(w, 400, "INVALID_ARGUMENT")
			return
		}
		if k.versions[ciphertext[0]-1] != "ENABLED" {
			gcpFail(w, 400, "FAILED_PRECONDITION")
			return
		}
		plaintext, err := aead.Open(nil, nil, ciphertext[1:], bound)
		if err != nil {
			gcpFail(w, 400, "INVALID_ARGUMENT")
			return
		}
		write(map[string]any{"plaintext": plaintext, "plaintextCrc32c": fmt.Sprint(crc32c(plaintext))})
	case action == "/publicKey" && version > 0 && k.signer != nil:
		der, _ := x509.MarshalPKIXPublicKey(k.signer.Public())
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		write(map[string]any{"pem": string(text), "pemCrc32c": fmt.Sprint(crc32c(text)), "algorithm": k.alg})
	case action == ":asymmetricSign" && version > 0 && k.signer != nil:
		var digest struct{ SHA256 []byte }
		_ = json.Unmarshal(in["digest"], &digest)
		signature := signWith(k.signer, gcpAlgs[k.alg].alg, digest.SHA256)
		write(map[string]any{"signature": signature, "signatureCrc32c": fmt.Sprint(crc32c(signature)), "verifiedDigestCrc32c": checked("digestCrc32c", digest.SHA256)})
	default:
		gcpFail(w, 400, "INVALID_ARGUMENT")
	}
}

func TestGCP(t *testing.T) {
	s := newGCP(t)
	for rsaAlg, alg := range map[string]string{"RSA_SIGN_PKCS1_2048_SHA256": "RS256", "RSA_SIGN_PSS_2048_SHA256": "PS256"} {
		contract(t, func(t *testing.T, spec Spec) Key {
			return s.create(t, map[Spec]string{Symmetric: "GOOGLE_SYMMETRIC_ENCRYPTION", RSA2048: rsaAlg, P256: "EC_SIGN_P256_SHA256"}[spec])
		}, alg)
	}
}

func TestGCPStates(t *testing.T) {
	const (
		on, off, soon, gone = "ENABLED", "DISABLED", "DESTROY_SCHEDULED", "DESTROYED"
	)
	s := newGCP(t)
	name := s.create(t, "GOOGLE_SYMMETRIC_ENCRYPTION").(*guarded).name
	k := s.keys[strings.TrimPrefix(name, "gcpkms://")]
	for _, c := range []struct {
		primary  int
		versions []string
		want     State // "" is an error
	}{
		{1, []string{on}, Enabled}, {2, []string{gone, on}, Enabled}, {1, []string{off, on}, Disabled},
		{1, []string{soon}, PendingDeletion}, {1, []string{gone}, Deleted}, {0, []string{gone, gone, gone}, Deleted},
		{3, []string{gone, gone, gone, gone, off}, Disabled}, {0, []string{gone, gone, gone, gone, on}, Disabled}, {1, []string{gone, gone, soon}, PendingDeletion},
		{0, []string{gone, "IMPORT_FAILED"}, ""}, {1, []string{"PENDING_GENERATION"}, ""}, {0, nil, ""},
	} {
		k.primary, k.versions = c.primary, c.versions
		opened, err := s.open(t, name, Options{Spec: Symmetric})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := opened.State(t.Context()); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("primary %d of %v: %q, %v; want %q", c.primary, c.versions, got, err, c.want)
		}
	}
	for i, want := range []State{Enabled, Disabled, PendingDeletion, Deleted, ""} { // of one version
		k.versions = []string{on, off, soon, gone}
		pinned, err := s.open(t, fmt.Sprint(name, "/cryptoKeyVersions/", i+1), Options{Spec: Symmetric})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pinned.State(t.Context()); got != want || (err == nil) != (want != "") {
			t.Errorf("version %d: %q, %v; want %q", i+1, got, err, want)
		}
	}
	// Nothing but the state of versions says deleted.
	opened, _ := s.open(t, name, Options{Spec: Symmetric})
	for code, status := range map[int]string{404: "NOT_FOUND", 403: "PERMISSION_DENIED", 400: "FAILED_PRECONDITION"} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) bool { gcpFail(w, code, status); return true }
		if got, err := opened.State(t.Context()); err == nil {
			t.Errorf("%s: %s", status, got)
		}
		if _, err := opened.Unwrap(t.Context(), []byte("x"), nil); !errors.Is(err, ErrRefused) {
			t.Errorf("%s is no refusal: %v", status, err)
		}
	}
}

func TestGCPOutages(t *testing.T) {
	s := newGCP(t)
	k := s.create(t, "GOOGLE_SYMMETRIC_ENCRYPTION")
	for name, answer := range map[string]func(w http.ResponseWriter){
		"overloaded":  func(w http.ResponseWriter) { gcpFail(w, 429, "RESOURCE_EXHAUSTED") },
		"internal":    func(w http.ResponseWriter) { gcpFail(w, 500, "INTERNAL") },
		"unavailable": func(w http.ResponseWriter) { gcpFail(w, 503, "UNAVAILABLE") },
		"bad token":   func(w http.ResponseWriter) { gcpFail(w, 401, "UNAUTHENTICATED") },
		"proxy's 404": func(w http.ResponseWriter) { http.Error(w, "<h1>no such page</h1>", 404) },
		"proxy's 403": func(w http.ResponseWriter) { w.WriteHeader(403); fmt.Fprint(w, `{"error":"no"}`) },
		"elsewhere":   func(w http.ResponseWriter) { w.Header().Set("Location", "/v1/x"); w.WriteHeader(307) },
		"not JSON":    func(w http.ResponseWriter) { fmt.Fprint(w, "hello") },
		"too large": func(w http.ResponseWriter) {
			fmt.Fprintf(w, `{"primary":{"state":"ENABLED"},"ciphertext":"AAAA","ciphertextCrc32c":%q,"verifiedPlaintextCrc32c":true,"name":%q}`, fmt.Sprint(crc32c(make([]byte, 3))), strings.Repeat("x", maxBody))
		},
		"garbled": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"ciphertext":"AAAA","ciphertextCrc32c":"1","primary":{"state":"?"}}`)
		},
	} {
		s.answer = func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true }
		outage(t, name, k)
	}
	s.url = "http://" + nobody(t)
	k, err := s.open(t, k.(*guarded).name, Options{Spec: Symmetric})
	if err != nil {
		t.Fatal(err)
	}
	outage(t, "nobody listens", k)
}

func TestGCPOtherKinds(t *testing.T) {
	s := newGCP(t)
	name := strings.TrimPrefix(s.create(t, "GOOGLE_SYMMETRIC_ENCRYPTION").(*guarded).name, "gcpkms://")
	for purpose, alg := range map[string]string{"MAC": "HMAC_SHA256", "ASYMMETRIC_DECRYPT": "RSA_DECRYPT_OAEP_2048_SHA256", "ASYMMETRIC_SIGN": "RSA_SIGN_PKCS1_2048_SHA512"} {
		s.keys[name] = &gcpTestKey{purpose: purpose, alg: alg, versions: []string{"ENABLED"}}
		for _, version := range []string{"", "/cryptoKeyVersions/1"} {
			if _, err := s.open(t, "gcpkms://"+name+version, Options{}); !errors.Is(err, ErrRefused) {
				t.Errorf("%s, %s%s opens: %v", purpose, alg, version, err)
			}
		}
	}
}
