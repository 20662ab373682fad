package openbao

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/secret"
)

// documented answers as the public API documentation of OpenBao and Vault says. It is no OpenBao; the tests with the build tag `full` talk to a real server.
type documented struct {
	mu       sync.Mutex
	tokens   map[string]bool // valid ones
	secretID string
	lease    int // seconds, of new tokens
	logins   int
	renewals int
	seen     []string // METHOD path token
	handle   func(w http.ResponseWriter, r *http.Request) bool
}

func (d *documented) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	token, path := r.Header.Get("X-Vault-Token"), strings.TrimPrefix(r.URL.Path, "/v1/")
	d.seen = append(d.seen, r.Method+" "+r.URL.RequestURI()+" "+token)
	if d.handle != nil && d.handle(w, r) {
		return
	}
	var in map[string]string
	_ = json.NewDecoder(r.Body).Decode(&in)
	switch {
	case path == "auth/approle/login" && in["role_id"] == "role" && in["secret_id"] == d.secretID,
		path == "auth/cluster/login" && in["role"] == "agents" && in["jwt"] == d.secretID:
		d.logins++
		token := fmt.Sprintf("hvs.login-%d", d.logins)
		d.tokens[token] = true
		fmt.Fprintf(w, `{"auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, token, d.lease)
	case strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/login"):
		fail(w, 400, "invalid role or secret ID")
	case !d.tokens[token]:
		fail(w, 403, "permission denied")
	case path == "auth/token/renew-self":
		d.renewals++
		fmt.Fprintf(w, `{"auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, token, d.lease)
	case path == "auth/token/lookup-self":
		fmt.Fprintf(w, `{"data":{"ttl":%d,"renewable":true}}`, d.lease)
	case path == "sys/internal/ui/mounts/two":
		fmt.Fprint(w, `{"data":{"path":"two/","type":"kv","options":{"version":"2"}}}`)
	case path == "sys/internal/ui/mounts/one":
		fmt.Fprint(w, `{"data":{"path":"one/","type":"kv","options":null}}`)
	case path == "sys/internal/ui/mounts/transit":
		fmt.Fprint(w, `{"data":{"path":"transit/","type":"transit"}}`)
	case path == "two/data/app/db", path == "one/app/db" && r.Method == http.MethodGet:
		inner := `{"password":"s3cret","port":5432,"tls":{"on":true},"none":null}`
		if strings.HasPrefix(path, "two/") {
			inner = `{"data":` + inner + `,"metadata":{"version":3}}`
		}
		fmt.Fprintf(w, `{"data":%s}`, inner)
	case path == "two/data/deleted":
		w.WriteHeader(404)
		fmt.Fprint(w, `{"data":{"data":null,"metadata":{"deletion_time":"2026-01-01T00:00:00Z"}}}`)
	default:
		fail(w, 404)
	}
}

func fail(w http.ResponseWriter, status int, text ...string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]string{"errors": append([]string{}, text...)})
}

func (d *documented) update(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func start(t *testing.T, login Login) (*documented, *Client) {
	t.Helper()
	d := &documented{tokens: map[string]bool{"root": true}, secretID: "id-1", lease: 3600}
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	c, err := New(Config{Address: s.URL, Namespace: "team", Login: login})
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func reveal(members map[string]secret.String) map[string]string {
	all := map[string]string{}
	for name, value := range members {
		all[name] = value.Reveal()
	}
	return all
}

func TestReadBothVersionsOfKV(t *testing.T) {
	_, c := start(t, Login{Token: secret.New("root")})
	want := map[string]string{"password": "s3cret", "port": "5432", "tls": `{"on":true}`, "none": "null"}
	for _, mount := range []string{"one", "two"} {
		got, err := c.Read(t.Context(), mount, "app/db")
		if err != nil || !maps.Equal(reveal(got), want) {
			t.Errorf("%s: %v, %v; want %v", mount, reveal(got), err, want)
		}
		if _, err := c.Read(t.Context(), mount, "app/none"); status(err) != 404 {
			t.Errorf("%s: a secret that is not there: %v", mount, err)
		}
	}
	if _, err := c.Read(t.Context(), "two", "deleted"); status(err) != 404 {
		t.Errorf("a deleted secret: %v", err)
	}
	if _, err := c.Read(t.Context(), "transit", "app/db"); err == nil || !strings.Contains(err.Error(), "not kv") {
		t.Errorf("another engine: %v", err)
	}
}

func status(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// Each way of logging in gets a token, and gets a new one after the server has taken it away.
func TestLoginAndAgain(t *testing.T) {
	idFile := file(t, "id-1\n")
	for name, login := range map[string]Login{
		"approle":    {RoleID: "role", SecretIDFile: idFile},
		"kubernetes": {Role: "agents", JWTFile: idFile, Mount: "cluster"},
	} {
		d, c := start(t, login)
		for range 2 {
			if _, err := c.Read(t.Context(), "one", "app/db"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if d.logins != 1 {
			t.Errorf("%s: %d logins for two reads, want 1", name, d.logins)
		}
		d.update(func() { delete(d.tokens, "hvs.login-1") })
		c.session.since = time.Now().Add(-relogin)
		if _, err := c.Read(t.Context(), "one", "app/db"); err != nil || d.logins != 2 {
			t.Errorf("%s: after the token was revoked: %v, %d logins", name, err, d.logins)
		}
		// What is denied with a fresh token is denied: no login for each try.
		d.update(func() { clear(d.tokens) })
		for range 3 {
			if _, err := c.Read(t.Context(), "one", "app/db"); status(err) != 403 || d.logins != 2 {
				t.Errorf("%s: denied: %v, %d logins", name, err, d.logins)
			}
		}
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	path := file(t, "root")
	d, c := start(t, Login{TokenFile: path})
	if _, err := c.Read(t.Context(), "one", "app/db"); err != nil {
		t.Fatal(err)
	}
	d.update(func() { d.tokens = map[string]bool{"next": true} })
	if err := os.WriteFile(path, []byte("next\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.session.since = time.Now().Add(-relogin)
	if _, err := c.Read(t.Context(), "one", "app/db"); err != nil {
		t.Errorf("with the new token in the file: %v", err)
	}
}

func TestRenewal(t *testing.T) {
	for name, login := range map[string]Login{"token": {Token: secret.New("root")}, "approle": {RoleID: "role", SecretIDFile: file(t, "id-1")}} {
		d, c := start(t, login)
		for _, want := range []int{0, 1, 1} {
			if _, err := c.Read(t.Context(), "one", "app/db"); err != nil || d.renewals != want {
				t.Errorf("%s: %v, %d renewals, want %d", name, err, d.renewals, want)
			}
			if want == 0 { // two thirds of its time have passed
				c.session.renew = time.Now().Add(-time.Second)
			}
		}
	}
}

// An answer that is not the server's own word is an outage, never a refusal: callers destroy nothing because of it.
func TestOutageIsNoRefusal(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter){
		"sealed":          func(w http.ResponseWriter) { fail(w, 503, "Vault is sealed") },
		"not initialized": func(w http.ResponseWriter) { fail(w, 501, "not initialized") },
		"overloaded":      func(w http.ResponseWriter) { fail(w, 429, "rate limit") },
		"fails":           func(w http.ResponseWriter) { fail(w, 500, "internal error") },
		"proxy's 404":     func(w http.ResponseWriter) { http.Error(w, "<h1>no such page</h1>", 404) },
		"proxy's 403":     func(w http.ResponseWriter) { w.WriteHeader(403); fmt.Fprint(w, `{"message":"no"}`) },
		"not JSON":        func(w http.ResponseWriter) { fmt.Fprint(w, "hello") },
		"too large":       func(w http.ResponseWriter) { fmt.Fprintf(w, `{"data":{"a":%q}}`, strings.Repeat("x", maxBody)) },
	} {
		d, c := start(t, Login{TokenFile: file(t, "canary")})
		d.handle = func(w http.ResponseWriter, r *http.Request) bool { answer(w); return true }
		err := c.Do(t.Context(), "GET", "one/app/db", nil, &struct{}{})
		if err == nil || status(err) != 0 {
			t.Errorf("%s: %v (status %d), want an outage", name, err, status(err))
		}
		if strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: the token is in %v", name, err)
		}
	}
	_, c := start(t, Login{TokenFile: file(t, "root")})
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	l.Close()
	c.config.Address = "http://" + l.Addr().String()
	if err := c.Do(t.Context(), "GET", "one/app/db", nil, nil); err == nil || status(err) != 0 {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(other.Close)
	d, c := start(t, Login{TokenFile: file(t, "root")})
	d.handle = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		return true
	}
	if err := c.Do(t.Context(), "GET", "one/app/db", nil, nil); err == nil || !strings.Contains(err.Error(), "redirects") || reached {
		t.Errorf("redirect: %v, followed: %v", err, reached)
	}
	for _, path := range []string{"../sys/seal", "one//x", "one/./x", "one/..", "/one"} {
		d.seen = nil
		if err := c.Do(t.Context(), "GET", path, nil, nil); err == nil || len(d.seen) != 0 {
			t.Errorf("path %q: %v, the server saw %q", path, err, d.seen)
		}
	}
	d.handle = func(w http.ResponseWriter, r *http.Request) bool { fail(w, 404); return true }
	_ = c.Do(t.Context(), "LIST", "one/a?b%2e", nil, nil)
	if want := "GET /v1/one/a%3Fb%252e?list=true root"; d.seen[len(d.seen)-1] != want {
		t.Errorf("the server saw %q, want %q", d.seen, want)
	}
	for _, address := range []string{"http://10.0.0.1:8200", "https://u:p@host:8200", "https://host/path", "https://host?x=y", "ftp://host", "host:8200", ""} {
		if _, err := New(Config{Address: address, Login: Login{Token: secret.New("t")}}); err == nil {
			t.Errorf("address %q is taken", address)
		}
	}
}

func TestFromEnv(t *testing.T) {
	const address = "https://bao.example.com:8200"
	set := func(vars ...string) {
		for _, e := range os.Environ() {
			if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "BAO_") || strings.HasPrefix(name, "VAULT_") {
				t.Setenv(name, "")
			}
		}
		for _, v := range vars {
			name, value, _ := strings.Cut(v, "=")
			t.Setenv(name, value)
		}
	}
	set("VAULT_TOKEN=old", "BAO_TOKEN=new", "VAULT_NAMESPACE=ns", "BAO_ADDR="+address+"/")
	c, err := FromEnv(address)
	if err != nil || c.Login.Token.Reveal() != "new" || c.Namespace != "ns" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := FromEnv("https://evil.example.com:8200"); err == nil || !strings.Contains(err.Error(), "evil.example.com") {
		t.Errorf("a token of another address: %v", err)
	}
	set("VAULT_KUBERNETES_ROLE=agents")
	if c, err := FromEnv(address); err != nil || c.Login.JWTFile != defaultJWTFile {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range [][]string{nil, {"BAO_TOKEN=a", "VAULT_TOKEN_FILE=b"}, {"BAO_ROLE_ID=a"}} {
		set(bad...)
		if _, err := FromEnv(address); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestParseURI(t *testing.T) {
	for uri, want := range map[string]string{
		"openbao://Bao.Example.com/transit/keys/a":           "https://bao.example.com:8200 transit/keys/a",
		"openbao://bao.example.com:443/team/kv/app/db":       "https://bao.example.com:443 team/kv/app/db",
		"openbao://127.0.0.1:8200/transit/keys/a?tls=off":    "http://127.0.0.1:8200 transit/keys/a",
		"openbao://localhost/transit/keys/a?tls=off":         "http://localhost:8200 transit/keys/a",
		"openbao://[::1]:8200/transit/keys/a?tls=off":        "http://[::1]:8200 transit/keys/a",
		"openbao://[::ffff:127.0.0.1]/transit/keys/a":        "https://127.0.0.1:8200 transit/keys/a",
		"openbao://[2001:DB8:0:0::1]:8200/transit/keys/a..b": "https://[2001:db8::1]:8200 transit/keys/a..b",
	} {
		address, path, err := ParseURI(uri)
		if err != nil || address+" "+path != want {
			t.Errorf("%s: %s %s, %v; want %s", uri, address, path, err, want)
		}
	}
	for _, uri := range []string{
		"", "openbao:", "openbao:host/a", "openbao:///a", "openbao://host", "openbao://host/", "openbao://host/a//b", "openbao://host/a/../b", "openbao://host/./a",
		"openbao://host/a/", "openbao://host/a%2fb", "openbao://host/%2e%2e/b", "openbao://u@host/a", "openbao://u:p@host/a", "openbao://host/a#b", "openbao://host/a\\b",
		"openbao://host/a?tls=off", "openbao://10.0.0.1/a?tls=off", "openbao://127.0.0.1/a?tls=no", "openbao://127.0.0.1/a?tls=off&x=y", "https://host/a", "vault://host/a",
		"openbao://ho_st/a", "openbao://host./a", "openbao://[fe80::1%25eth0]/a", "openbao://host:x/a", "openbao://host/ä",
	} {
		if address, path, err := ParseURI(uri); err == nil {
			t.Errorf("%q is taken as %s %s", uri, address, path)
		}
	}
}
