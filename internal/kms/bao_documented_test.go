//go:build !full

package kms

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// transit answers as the public API documentation of OpenBao and Vault says: mounts, tokens, policies and the Transit engine. It is neither of them; the
// same tests run against a real Vault with the build tag `full`.
type transit struct {
	mu       sync.Mutex
	mounts   map[string]string      // path → type
	keys     map[string]*transitKey // MOUNT/NAME
	tokens   map[string]string      // → policy
	policies map[string]string
	sealed   bool
}

type transitKey struct {
	typ       string
	deletable bool
	versions  []transitVersion
}

type transitVersion struct {
	secret []byte
	signer crypto.Signer
}

func startBao(t *testing.T) (address, token string) {
	s := &transit{mounts: map[string]string{}, keys: map[string]*transitKey{}, tokens: map[string]string{"root": "root"}, policies: map[string]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL, "root"
}

func baoFail(w http.ResponseWriter, status int, text ...string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]string{"errors": append([]string{}, text...)})
}

var policyRule = regexp.MustCompile(`path "([^"]+)" \{ capabilities = \[([^\]]*)\] \}`)

// allowed: the exact rule decides, otherwise the longest one that ends in *.
func (s *transit) allowed(policy, path, capability string) bool {
	if policy == "root" {
		return true
	}
	best, found := -1, ""
	for _, rule := range policyRule.FindAllStringSubmatch(s.policies[policy], -1) {
		prefix, glob := strings.CutSuffix(rule[1], "*")
		if rule[1] == path {
			best, found = 1<<20, rule[2]
		} else if glob && strings.HasPrefix(path, prefix) && len(prefix) > best {
			best, found = len(prefix), rule[2]
		}
	}
	return strings.Contains(found, `"`+capability+`"`)
}

func (s *transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	capability := map[string]string{"GET": "read", "POST": "update", "PUT": "update", "DELETE": "delete"}[r.Method]
	if r.URL.Query().Get("list") == "true" {
		capability, path = "list", path+"/"
	}
	policy, known := s.tokens[r.Header.Get("X-Vault-Token")]
	var in map[string]any
	_ = json.NewDecoder(r.Body).Decode(&in)
	text := func(name string) string { v, _ := in[name].(string); return v }
	switch {
	case s.sealed:
		baoFail(w, 503, "Vault is sealed")
	case !known:
		baoFail(w, 403, "permission denied")
	case path == "auth/token/lookup-self":
		fmt.Fprint(w, `{"data":{"ttl":0,"renewable":false}}`)
	case strings.HasPrefix(path, "sys/internal/ui/mounts/"):
		s.mount(w, policy, strings.TrimPrefix(path, "sys/internal/ui/mounts/"))
	case !s.allowed(policy, path, capability):
		baoFail(w, 403, "1 error occurred:\n\t* permission denied\n\n")
	case path == "sys/seal":
		s.sealed = true
		w.WriteHeader(204)
	case strings.HasPrefix(path, "sys/mounts/"):
		s.mounts[strings.TrimPrefix(path, "sys/mounts/")] = text("type")
		w.WriteHeader(204)
	case strings.HasPrefix(path, "sys/policies/acl/"):
		s.policies[strings.TrimPrefix(path, "sys/policies/acl/")] = text("policy")
		w.WriteHeader(204)
	case path == "auth/token/create":
		s.tokens[text("id")] = in["policies"].([]any)[0].(string)
		fmt.Fprintf(w, `{"auth":{"client_token":%q}}`, text("id"))
	case path == "auth/token/revoke":
		delete(s.tokens, text("token"))
		w.WriteHeader(204)
	default:
		mount, rest, _ := strings.Cut(path, "/")
		switch s.mounts[mount] {
		case "transit":
			s.engine(w, mount, rest, r.Method, in)
		case "kv":
			if r.Method == http.MethodGet {
				baoFail(w, 404)
				return
			}
			w.WriteHeader(204)
		default:
			baoFail(w, 404, fmt.Sprintf("no handler for route %q. route entry not found.", path))
		}
	}
}

// mount: what lies below a path may be known to whom any rule below it allows something.
func (s *transit) mount(w http.ResponseWriter, policy, path string) {
	mount, _, _ := strings.Cut(path, "/")
	if s.mounts[mount] == "" || policy != "root" && !strings.Contains(s.policies[policy], `path "`+mount+`/`) {
		baoFail(w, 403, "preflight capability check returned 403, please ensure client's policies grant access to path \""+path+"/\"")
		return
	}
	fmt.Fprintf(w, `{"data":{"path":%q,"type":%q,"options":{}}}`, mount+"/", s.mounts[mount])
}

var transitSpecs = map[string]Spec{"rsa-2048": RSA2048, "ecdsa-p256": P256}

func (s *transit) engine(w http.ResponseWriter, mount, path, method string, in map[string]any) {
	data := func(v any) { _ = json.NewEncoder(w).Encode(map[string]any{"data": v}) }
	bytes := func(name string) []byte {
		v, _ := in[name].(string)
		b, _ := base64.StdEncoding.DecodeString(v)
		return b
	}
	parts := strings.Split(path, "/")
	if path == "keys/" {
		var names []string
		for id := range s.keys {
			if name, ok := strings.CutPrefix(id, mount+"/"); ok {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			baoFail(w, 404)
			return
		}
		data(map[string]any{"keys": names})
		return
	}
	if len(parts) < 2 {
		baoFail(w, 404, "unsupported path")
		return
	}
	id := mount + "/" + parts[1]
	k := s.keys[id]
	version := func() {
		v := transitVersion{secret: make([]byte, 32)}
		_, _ = rand.Read(v.secret)
		if spec, ok := transitSpecs[k.typ]; ok {
			v.signer = keyPair[spec]()
		}
		k.versions = append(k.versions, v)
	}
	create := func(typ string) {
		if typ == "" {
			typ = "aes256-gcm96"
		}
		k = &transitKey{typ: typ}
		s.keys[id] = k
		version()
	}
	action := parts[0]
	if action == "keys" && len(parts) == 3 {
		action = parts[2]
	}
	switch {
	case action == "keys" && method == http.MethodPost:
		typ, _ := in["type"].(string)
		create(typ)
		w.WriteHeader(204)
	case action == "encrypt" && k == nil: // an upsert
		create("")
		fallthrough
	case action == "encrypt" && k.versions[0].signer == nil:
		n := len(k.versions)
		aead, _ := seal(k.versions[n-1].secret)
		data(map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", n, base64.StdEncoding.EncodeToString(aead.Seal(nil, nil, bytes("plaintext"), nil)))})
	case action == "keys" && k == nil:
		baoFail(w, 404)
	case k == nil:
		baoFail(w, 400, "encryption key not found")
	case action == "rotate":
		version()
		w.WriteHeader(204)
	case action == "config":
		k.deletable, _ = in["deletion_allowed"].(bool)
		w.WriteHeader(204)
	case action == "keys" && method == http.MethodDelete && k.deletable:
		delete(s.keys, id)
		w.WriteHeader(204)
	case action == "keys" && method == http.MethodGet:
		keys := map[string]any{}
		for i, v := range k.versions {
			keys[fmt.Sprint(i+1)] = 1700000000
			if v.signer != nil {
				der, _ := x509.MarshalPKIXPublicKey(v.signer.Public())
				keys[fmt.Sprint(i+1)] = map[string]string{"public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
			}
		}
		data(map[string]any{"name": parts[1], "type": k.typ, "derived": false, "latest_version": len(k.versions), "keys": keys})
	case action == "decrypt" && k.versions[0].signer == nil:
		ciphertext, _ := in["ciphertext"].(string)
		fields := strings.SplitN(ciphertext, ":", 3)
		if len(fields) != 3 || fields[0] != "vault" {
			baoFail(w, 400, "invalid ciphertext: no prefix")
			return
		}
		n, _ := strconv.Atoi(strings.TrimPrefix(fields[1], "v"))
		sealed, _ := base64.StdEncoding.DecodeString(fields[2])
		if n < 1 || n > len(k.versions) {
			baoFail(w, 400, "invalid ciphertext: version is too new")
			return
		}
		aead, _ := seal(k.versions[n-1].secret)
		plaintext, err := aead.Open(nil, nil, sealed, nil)
		if err != nil {
			baoFail(w, 400, "cipher: message authentication failed")
			return
		}
		data(map[string]any{"plaintext": plaintext})
	case action == "sign" && k.versions[0].signer != nil && slices.Equal(parts[2:], []string{"sha2-256"}) && in["prehashed"] == true:
		alg := "ES256"
		if k.typ != "ecdsa-p256" {
			alg = map[string]string{"pkcs1v15": "RS256", "pss": "PS256"}[in["signature_algorithm"].(string)]
		}
		n := len(k.versions)
		data(map[string]any{"signature": fmt.Sprintf("vault:v%d:%s", n, base64.StdEncoding.EncodeToString(signWith(k.versions[n-1].signer, alg, bytes("input"))))})
	default:
		baoFail(w, 400, "unsupported operation")
	}
}
