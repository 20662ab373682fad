package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Of Debian's packages.
const (
	glewlwydSchema  = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
	glewlwydPages   = "/usr/share/glewlwyd/webapp/"
	glewlwydTexts   = "/usr/share/glewlwyd/templates/config.json" // of its pages
	glewlwydModules = "/usr/lib/glewlwyd/"
)

// newGlewlwyd starts Debian's glewlwyd in a folder of its own and configures it over its API for administrators. The user alice may sign in, with the password
// "password of alice".
func newGlewlwyd() (_ *vendor, err error) {
	program, err := find("glewlwyd")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "glewlwyd")
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config-file="+filepath.Join(dir, "glewlwyd.conf"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	front := httptest.NewUnstartedServer(nil)
	v := &vendor{clients: map[string]vendorClient{
		"short":   {Name: "short", ID: "short-client", Secret: "short-client-secret"},
		"machine": {Name: "machine", ID: "machine-client", Secret: "machine-client-secret"},
	}, stop: func() (string, error) {
		cancel()
		if cmd.Process != nil {
			_ = cmd.Wait() // it was killed
		}
		front.Close()
		return said.String(), os.RemoveAll(dir)
	}}
	defer func() {
		if err != nil {
			text, _ := v.stop()
			err = fmt.Errorf("glewlwyd: %w\n%s", err, text)
		}
	}()

	port, err := freePort()
	if err != nil {
		return nil, err
	}
	origin := strings.Replace("http://"+front.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	v.issuer = origin + "/api/oidc"
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	proxy.ErrorLog = log.New(io.Discard, "", 0) // it is asked before it listens
	mux := http.NewServeMux()
	mux.Handle("/api/", v.tap(proxy))
	mux.Handle("/config/", proxy)
	// Its own file server does not follow the links that the package made of the pages; one of them is broken.
	mux.Handle("/", http.FileServer(http.Dir(glewlwydPages)))
	mux.HandleFunc("/config.json", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, glewlwydTexts) })
	front.Config.Handler = mux
	front.Start()

	schema, err := os.Open(glewlwydSchema)
	if err != nil {
		return nil, err
	}
	defer func() { _ = schema.Close() }()
	database := exec.Command("sqlite3", "glewlwyd.db")
	database.Dir, database.Stdin = dir, schema
	if out, err := database.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("sqlite3: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "glewlwyd.conf"), fmt.Appendf(nil, glewlwydConfig, port, origin, glewlwydModules), 0o600); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	admin, err := glewlwydAdministrator(origin)
	if err != nil {
		return nil, err
	}
	if err := admin.configure(v); err != nil {
		return nil, err
	}
	v.allow = func(client, redirectURI string, _ json.RawMessage) error {
		v.add(vendorEvent{Event: "registered", Client: client, RedirectURI: redirectURI})
		return admin.client(http.MethodPut, "/client/"+v.clients[client].ID, v.clients[client], redirectURI)
	}
	return v, nil
}

// glewlwydConfig has the port, the origin that browsers see, and the folder of modules.
const glewlwydConfig = `
port = %d
bind_address = "127.0.0.1"
external_url = %q
login_url = "login.html"
api_prefix = "api"
log_mode = "console"
log_level = "WARNING"
cookie_domain = "localhost"
cookie_secure = 0
session_expiration = 3600
session_key = "GLEWLWYD2_SESSION_ID"
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "%[3]suser"
client_module_path = "%[3]sclient"
user_auth_scheme_module_path = "%[3]sscheme"
plugin_module_path = "%[3]splugin"
use_secure_connection = false
secure_connection_key_file = "none"
secure_connection_pem_file = "none"
hash_algorithm = "SHA512"
database = { type = "sqlite3" path = "glewlwyd.db" };
`

// glewlwydAPI is a signed-in administrator.
type glewlwydAPI struct {
	url     string
	cookies *http.Client
}

// glewlwydAdministrator waits until the server listens, and signs in.
func glewlwydAdministrator(origin string) (*glewlwydAPI, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	a := &glewlwydAPI{origin + "/api", &http.Client{Jar: jar, Timeout: 10 * time.Second}}
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		err := a.do(http.MethodPost, "/auth", object{"username": "admin", "password": "password"})
		if err == nil || time.Now().After(deadline) {
			return a, err
		}
	}
}

func (a *glewlwydAPI) configure(v *vendor) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		a.do(http.MethodPost, "/mod/plugin/", object{"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": object{
			"iss": v.issuer, "jwt-type": "rsa", "jwt-key-size": "256", "subject-type": "public", "jwks-show": true, "name-claim": "mandatory",
			"key":                   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
			"cert":                  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
			"access-token-duration": int(shortLife.Seconds()), "refresh-token-duration": 3600, "code-duration": 600,
			"refresh-token-rolling": true, "refresh-token-one-use": "always", "auth-type-code-revoke-replayed": true,
			"auth-type-code-enabled": true, "auth-type-refresh-enabled": true, "auth-type-client-enabled": true, "allow-non-oidc": true,
			"pkce-allowed": true, "pkce-required": true, "pkce-method-plain-allowed": false,
			"oauth-par-allowed": true, "oauth-par-required": true, "oauth-par-request_uri-prefix": "urn:ietf:params:oauth:request_uri:", "oauth-par-duration": 90,
			"introspection-revocation-allowed": true, "introspection-revocation-allow-target-client": true, "oauth-rar-allowed": false,
		}}),
		a.do(http.MethodPut, "/scope/openid", object{"name": "openid", "display_name": "openid", "description": "Who you are", "password_required": true, "scheme": object{}}),
		a.do(http.MethodPost, "/scope/", object{"name": "read", "display_name": "read", "description": "Read", "password_required": true, "scheme": object{}}),
		a.do(http.MethodPost, "/user/", object{"username": "alice", "name": "alice", "password": "password of alice", "scope": []string{"openid", "read"}}),
		a.client(http.MethodPost, "/client/", v.clients["short"], "https://registered.later.example/"),
		a.client(http.MethodPost, "/client/", v.clients["machine"], "https://registered.later.example/"),
	)
}

// client writes a client. Only one that may have tokens of its own may introspect and revoke.
func (a *glewlwydAPI) client(method, path string, c vendorClient, redirectURI string) error {
	return a.do(method, path, object{
		"client_id": c.ID, "name": c.Name, "password": c.Secret, "confidential": true, "enabled": true, "scope": []string{"read"},
		"redirect_uri": []string{redirectURI}, "authorization_type": []string{"code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_method": []string{"client_secret_basic"},
	})
}

func (a *glewlwydAPI) do(method, path string, body object) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, a.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.cookies.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("%s %s: HTTP %d %s", method, path, resp.StatusCode, answer))
	}
	return nil
}

// freePort is one that nobody listens on just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
