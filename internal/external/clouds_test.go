package external

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"credence/internal/fault"
)

// recorder answers each path with a status and a body, and remembers the paths.
type recorder struct {
	mu      sync.Mutex
	answers map[string]string // path → "STATUS body"
	asked   []string
}

func (d *recorder) answer(w http.ResponseWriter, path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, path)
	status, body := http.StatusNotFound, `{"errors":[]}`
	if a, ok := d.answers[path]; ok {
		_, body, _ = strings.Cut(a, " ")
		fmt.Sscan(a, &status)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func (d *recorder) seen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := strings.Join(d.asked, ", ")
	d.asked = nil
	return seen
}

// serviceAccount writes a credentials file whose tokens come from the server.
func serviceAccount(t *testing.T, name, tokenURL string) (path string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	text, err := json.Marshal(map[string]string{"type": "service_account", "client_email": name, "private_key_id": "1", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	must(t, err)
	path = t.TempDir() + "/" + name + ".json"
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// The server answers as the public REST references of Google Secret Manager and of Google's token endpoint say. It is not Google: nothing here was ever run
// against the real service.
func TestGCP(t *testing.T) {
	payload := func(text string) string {
		return `200 {"name":"x","payload":{"data":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `","dataCrc32c":"1"}}`
	}
	d := &recorder{answers: map[string]string{
		"reader /v1/projects/p/secrets/object/versions/latest:access": payload(`{"k":"` + planted + `"}`),
		"reader /v1/projects/p/secrets/object/versions/7:access":      payload(`{"k":"seven"}`),
		"reader /v1/projects/p/secrets/text/versions/latest:access":   payload(planted),
		"server /v1/projects/p/secrets/own/versions/latest:access":    payload("own"),
		"reader /v1/projects/p/secrets/denied/versions/latest:access": "403 {}",
		"reader /v1/projects/p/secrets/off/versions/latest:access":    "400 {}",
		"reader /v1/projects/p/secrets/busy/versions/latest:access":   "429 {}",
		"reader /v1/projects/p/secrets/down/versions/latest:access":   "503 {}",
		"reader /v1/projects/p/secrets/odd/versions/latest:access":    `200 {"payload":{"data":["` + planted + `"]}}`,
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			must(t, r.ParseForm())
			claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(r.Form.Get("assertion"), ".")[1])
			var c struct{ Iss string }
			must(t, json.Unmarshal(claims, &c))
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, c.Iss)
			return
		}
		d.answer(w, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+" "+r.URL.EscapedPath())
	}))
	defer s.Close()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccount(t, "server", s.URL+"/token"))
	const own = "gcp-secretmanager://projects/p/secrets/own"
	r := New(mustPrefixes(t,
		alpha+"=gcp-secretmanager://projects/p/secrets/;identity=file:"+serviceAccount(t, "reader", s.URL+"/token")+";endpoint="+s.URL,
		alpha+"="+own+";identity=server;endpoint="+s.URL,
		alpha+"=gcp-secretmanager://projects/q/secrets/;identity=file:/nowhere.json;endpoint="+s.URL,
	))
	base := "gcp-secretmanager://projects/p/secrets/"
	wantSecret(t, r, base+"object", "k", planted)
	wantSecret(t, r, base+"object/versions/7", "k", "seven")
	wantSecret(t, r, base+"text", "text", planted)
	wantSecret(t, r, own, "own", "own")
	d.seen()
	for name, test := range map[string]struct {
		kind fault.Kind
		says string
	}{
		"none":   {fault.AccessDenied, "does not exist"},
		"denied": {fault.AccessDenied, "403"},
		"off":    {fault.AccessDenied, "400"},
		"busy":   {fault.Throttled, "Google Secret Manager"},
		"down":   {fault.Throttled, "Google Secret Manager"},
		"odd":    {fault.Throttled, "Google Secret Manager"},
	} {
		_, err := r.Resolve(t.Context(), alpha, base+name, "k")
		wantFault(t, err, test.kind, base+name, test.says)
	}
	d.seen()
	_, err := r.Resolve(t.Context(), alpha, "gcp-secretmanager://projects/q/secrets/object", "k")
	wantFault(t, err, fault.AccessDenied, "has no identity file:/nowhere.json")
	for _, id := range outside {
		_, err := r.Resolve(t.Context(), alpha, id, "k")
		wantFault(t, err, fault.AccessDenied)
	}
	if got := d.seen(); got != "" {
		t.Errorf("it was asked for %s", got)
	}
}

// fixedToken is a login that always succeeds.
type fixedToken struct{}

func (fixedToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// The server answers as the public REST reference of Azure Key Vault says. It is not Azure: nothing here was ever run against the real service, and no login.
func TestAzure(t *testing.T) {
	value := func(text string) string { return fmt.Sprintf(`200 {"value":%q,"id":"x"}`, text) }
	d := &recorder{answers: map[string]string{
		"v.vault.azure.net/secrets/object/":  value(`{"k":"` + planted + `"}`),
		"v.vault.azure.net/secrets/object/7": value(`{"k":"seven"}`),
		"v.vault.azure.net/secrets/text/":    value(planted),
		"v.vault.azure.net/secrets/denied/":  `403 {"error":{"code":"Forbidden"}}`,
		"v.vault.azure.net/secrets/odd/":     `200 {"value":["` + planted + `"]}`,
	}}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.example/tenant", resource="https://vault.azure.net"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		d.answer(w, r.Host+r.URL.EscapedPath())
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	here := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
		},
	}}
	r := New(mustPrefixes(t, alpha+"=azurekeyvault://v.vault.azure.net/secrets/;identity=server", alpha+"=azurekeyvault://v.evil.example/secrets/;identity=server"))
	r.remote[azureScheme] = &azureBackend{options: azcore.ClientOptions{Transport: here, Retry: policy.RetryOptions{MaxRetries: -1}}, login: fixedToken{}}
	base := "azurekeyvault://v.vault.azure.net/secrets/"
	wantSecret(t, r, base+"object", "k", planted)
	wantSecret(t, r, base+"object/7", "k", "seven")
	wantSecret(t, r, "azurekeyvault://V.vault.azure.net/secrets/text", "text", planted)
	for name, test := range map[string]struct {
		kind fault.Kind
		says string
	}{
		"none":   {fault.AccessDenied, "does not exist"},
		"denied": {fault.AccessDenied, "refuses it"},
		"odd":    {fault.Throttled, "Azure Key Vault"},
	} {
		_, err := r.Resolve(t.Context(), alpha, base+name, "k")
		wantFault(t, err, test.kind, base+name, test.says)
	}
	d.seen()
	// A host outside the domain that the challenge names gets no token.
	_, err := r.Resolve(t.Context(), alpha, "azurekeyvault://v.evil.example/secrets/text", "text")
	wantFault(t, err, fault.Throttled)
	for _, id := range outside {
		_, err := r.Resolve(t.Context(), alpha, id, "k")
		wantFault(t, err, fault.AccessDenied)
	}
	if got := d.seen(); got != "" {
		t.Errorf("it was asked for %s", got)
	}
}

// The server answers as the public API reference of OpenBao says; package openbao's tests talk to a real one where there is one.
func TestOpenBao(t *testing.T) {
	d := &recorder{answers: map[string]string{
		"/v1/auth/token/lookup-self":         `200 {"data":{"ttl":0}}`,
		"/v1/sys/internal/ui/mounts/kv":      `200 {"data":{"path":"kv/","type":"kv","options":{"version":"2"}}}`,
		"/v1/sys/internal/ui/mounts/old":     `200 {"data":{"path":"old/","type":"kv","options":null}}`,
		"/v1/sys/internal/ui/mounts/transit": `200 {"data":{"path":"transit/","type":"transit"}}`,
		"/v1/kv/data/agents/github":          `200 {"data":{"data":{"client_secret":"` + planted + `"}}}`,
		"/v1/kv/data/agents/a%20b":           `200 {"data":{"data":{"k":"spaced"}}}`,
		"/v1/kv/data/agents/denied":          `403 {"errors":["permission denied"]}`,
		"/v1/kv/data/agents/down":            `503 {"errors":["Vault is sealed"]}`,
		"/v1/old/github":                     `200 {"data":{"client_secret":"one"}}`,
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.answer(w, r.URL.EscapedPath()) }))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	for _, name := range []string{"ADDR", "NAMESPACE", "CACERT", "TOKEN_FILE", "ROLE_ID", "KUBERNETES_ROLE"} {
		t.Setenv("BAO_"+name, "")
		t.Setenv("VAULT_"+name, "")
	}
	t.Setenv("BAO_TOKEN", "t")
	r := New(mustPrefixes(t, alpha+"=openbao://"+host+"/kv/agents/?tls=off", alpha+"=vault://"+host+"/old/?tls=off", alpha+"=openbao://"+host+"/transit/keys/?tls=off"))
	wantSecret(t, r, "openbao://"+host+"/kv/agents/github?tls=off", "client_secret", planted)
	wantSecret(t, r, "vault://"+host+"/kv/agents/github?tls=off", "client_secret", planted)
	wantSecret(t, r, "openbao://"+host+"/kv/agents/a%20b?tls=off", "k", "spaced")
	wantSecret(t, r, "vault://"+host+"/old/github?tls=off", "client_secret", "one")
	for name, test := range map[string]struct {
		kind fault.Kind
		says string
	}{
		"none":   {fault.AccessDenied, "does not exist"},
		"denied": {fault.AccessDenied, "refuses it"},
		"down":   {fault.Throttled, "OpenBao"},
	} {
		id := "openbao://" + host + "/kv/agents/" + name + "?tls=off"
		_, err := r.Resolve(t.Context(), alpha, id, "k")
		wantFault(t, err, test.kind, id, test.says)
	}
	d.seen()
	for _, id := range append(outside,
		"openbao://"+host+"/kv/agents/github", "openbao://"+host+"/kv/github?tls=off", "openbao://"+host+"/kv/agents/../github?tls=off", "openbao://"+host+"/kv/agents/%2e%2e/github?tls=off",
		"openbao://"+host+"/kv/agents/github?tls=off&x=y", "openbao://"+host+"/kv/agents/github?TLS=off", "openbao://"+host+"/transit/keys/k?tls=off", "openbao://localhost:"+host[strings.LastIndex(host, ":")+1:]+"/kv/agents/github?tls=off",
	) {
		_, err := r.Resolve(t.Context(), alpha, id, "client_secret")
		wantFault(t, err, fault.AccessDenied)
	}
	if got := d.seen(); got != "" {
		t.Errorf("it was asked for %s", got)
	}
}
