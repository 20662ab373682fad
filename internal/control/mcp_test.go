package control_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"credence/internal/egress"
	"credence/internal/oauth"
	"credence/internal/wire"
)

// mcp is a protected resource at /mcp and its authorization server, on one https origin. What they say of themselves can be changed.
type mcp struct {
	*httptest.Server
	resource, server map[string]any
	challenge        string // of WWW-Authenticate
	registrations    atomic.Int32
}

func startMCP(t *testing.T) *mcp {
	t.Helper()
	m := &mcp{}
	say := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, _ *http.Request) {
		if m.challenge != "" {
			w.Header().Set("WWW-Authenticate", m.challenge)
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	mux.HandleFunc("/.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) { say(w, 200, m.resource) })
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) { say(w, 200, m.server) })
	mux.HandleFunc("POST /register", func(w http.ResponseWriter, _ *http.Request) {
		m.registrations.Add(1)
		say(w, 201, map[string]any{"client_id": "made", "client_secret": planted, "registration_access_token": planted + "-manages", "registration_client_uri": m.URL + "/register/made"})
	})
	m.Server = httptest.NewTLSServer(mux)
	t.Cleanup(m.Close)
	m.resource = map[string]any{"resource": m.URL + "/mcp", "authorization_servers": []string{m.URL}}
	m.server = map[string]any{
		"issuer": m.URL, "authorization_endpoint": m.URL + "/authorize", "token_endpoint": m.URL + "/token", "registration_endpoint": m.URL + "/register",
		"code_challenge_methods_supported": []string{"S256"},
	}
	return m
}

// openFor is a plane whose vendors are on this machine, on https alone.
func (m *mcp) openFor(t *testing.T) *bed {
	t.Helper()
	b := openIn(t, t.TempDir(), egress.Config{AllowPrivate: []string{"127.0.0.1"}})
	b.OAuth, b.Explorer = &oauth.Client{HTTP: m.Client()}, oauth.Explorer{HTTP: m.Client(), Check: b.CheckURL}
	return b
}

func (m *mcp) input() *wire.CreateOauth2CredentialProviderFromMcpServerInput {
	return &wire.CreateOauth2CredentialProviderFromMcpServerInput{Name: "tools", Url: m.URL + "/mcp", Resource: m.URL + "/mcp", Issuer: m.URL}
}

// What a server says of itself makes a provider only when all of it is in order: else nothing is stored, and no client is made.
func TestFromMCPRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		lie    func(*mcp)
		edit   func(*mcp, *wire.CreateOauth2CredentialProviderFromMcpServerInput)
		member string
		says   string
	}{
		"foreign resource":           {lie: func(m *mcp) { m.resource["resource"] = "https://bank.example/mcp" }, says: `another resource, "https://bank.example/mcp"`},
		"resource of parent host":    {lie: func(m *mcp) { m.resource["resource"] = "https://0.0.1" }, says: "another resource"},
		"resource of the whole host": {lie: func(m *mcp) { m.resource["resource"] = m.URL }, says: "another resource"},
		"another path":               {lie: func(m *mcp) { m.resource["resource"] = m.URL + "/mcp/" }, says: "another resource"},
		"no resource":                {lie: func(m *mcp) { delete(m.resource, "resource") }, says: "another resource"},
		"no authorization server":    {lie: func(m *mcp) { m.resource["authorization_servers"] = []string{} }, says: "names no authorization server"},
		"metadata in a file":         {lie: func(m *mcp) { m.challenge = `Bearer resource_metadata="file:///etc/passwd"` }, says: `must be an https URL, not "file"`},
		"metadata on http":           {lie: func(m *mcp) { m.challenge = `Bearer realm="x", resource_metadata=http://127.0.0.1/m` }, says: `must be an https URL, not "http"`},
		"issuer on http":             {lie: func(m *mcp) { m.resource["authorization_servers"] = []string{"http://127.0.0.1"} }, edit: issuer("http://127.0.0.1"), says: `must be an https URL, not "http"`},
		"another issuer in document": {lie: func(m *mcp) { m.server["issuer"] = "https://bank.example" }, says: `another issuer, "https://bank.example"`},
		"authorization javascript":   {lie: endpoint("authorization_endpoint", "javascript:alert(1)"), says: "authorization_endpoint that cannot be used"},
		"authorization file":         {lie: endpoint("authorization_endpoint", "file:///etc/passwd"), says: "authorization_endpoint that cannot be used"},
		"authorization http":         {lie: endpoint("authorization_endpoint", "http://127.0.0.1/authorize"), says: "authorization_endpoint that cannot be used"},
		"token http":                 {lie: endpoint("token_endpoint", "http://127.0.0.1/token"), says: "token_endpoint that cannot be used"},
		"token private":              {lie: endpoint("token_endpoint", "https://10.0.0.1/token"), says: "token_endpoint that cannot be used"},
		"registration http":          {lie: endpoint("registration_endpoint", "http://127.0.0.1/register"), says: "registration_endpoint that cannot be used"},
		"no token endpoint":          {lie: func(m *mcp) { delete(m.server, "token_endpoint") }, says: "has no authorization_endpoint or no token_endpoint"},
		"no PKCE":                    {lie: func(m *mcp) { delete(m.server, "code_challenge_methods_supported") }, says: "PKCE"},
		"no way to register":         {lie: func(m *mcp) { delete(m.server, "registration_endpoint") }, says: "register a client there by hand"},
		"no authentication of ours":  {lie: func(m *mcp) { m.server["token_endpoint_auth_methods_supported"] = []string{"tls_client_auth"} }, says: "tls_client_auth"},
		"issuer that is not listed":  {edit: issuer("https://bank.example"), member: "issuer", says: "none of the authorization servers"},
		"resource not as confirmed": {edit: func(m *mcp, in *wire.CreateOauth2CredentialProviderFromMcpServerInput) {
			in.Resource = m.URL + "/other"
		}, member: "resource", says: "was confirmed"},
		"URL on http": {edit: func(_ *mcp, in *wire.CreateOauth2CredentialProviderFromMcpServerInput) {
			in.Url = strings.Replace(in.Url, "https:", "http:", 1)
		}, says: `must be an https URL, not "http"`},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMCP(t)
			b := m.openFor(t)
			before, in := b.rows(t), m.input()
			if test.lie != nil {
				test.lie(m)
			}
			if test.edit != nil {
				test.edit(m, in)
			}
			_, err := b.CreateOauth2CredentialProviderFromMcpServer(t.Context(), administrator(t, alpha), in)
			if test.member == "" {
				test.member = "url"
			}
			wantInvalid(t, err, test.member, test.says)
			if after := b.rows(t); after != before {
				t.Errorf("something was stored: %s", after)
			}
			if n := m.registrations.Load(); n != 0 {
				t.Errorf("%d clients were registered", n)
			}
		})
	}
}

func endpoint(name, value string) func(*mcp) { return func(m *mcp) { m.server[name] = value } }

func issuer(value string) func(*mcp, *wire.CreateOauth2CredentialProviderFromMcpServerInput) {
	return func(_ *mcp, in *wire.CreateOauth2CredentialProviderFromMcpServerInput) { in.Issuer = value }
}

// What is found is told before anything is made; what is made has its secrets sealed, and two accounts share no redirect URI. A name that is taken costs no registration.
func TestFromMCP(t *testing.T) {
	m := startMCP(t)
	b := m.openFor(t)
	before := b.rows(t)
	found, err := b.DiscoverMcpServer(t.Context(), administrator(t, alpha), &wire.DiscoverMcpServerInput{Url: m.URL + "/mcp"})
	must(t, err)
	if found.Resource != m.URL+"/mcp" || found.Issuer != m.URL || found.Registration != wire.RegistrationDynamic {
		t.Errorf("found %+v", found)
	}
	if b.rows(t) != before || m.registrations.Load() != 0 {
		t.Error("looking has left something")
	}
	made, err := b.CreateOauth2CredentialProviderFromMcpServer(t.Context(), administrator(t, alpha), m.input())
	must(t, err)
	wantNoSecrets(t, made)
	if *made.Resource != found.Resource || *made.Registration != wire.RegistrationDynamic || *made.Oauth2ProviderConfigOutput.CustomOauth2ProviderConfig.ClientId != "made" {
		t.Errorf("made %+v", made)
	}
	if rows := b.rows(t); strings.Contains(rows, planted) || !strings.Contains(rows, "register/made") {
		t.Error("a secret stands in clear, or nothing is remembered of how the client is managed")
	}
	if _, err := b.CreateOauth2CredentialProviderFromMcpServer(t.Context(), administrator(t, alpha), m.input()); err == nil || m.registrations.Load() != 1 {
		t.Errorf("a taken name: %v after %d registrations", err, m.registrations.Load())
	}
	other, err := b.CreateOauth2CredentialProviderFromMcpServer(t.Context(), administrator(t, beta), m.input())
	must(t, err)
	if *other.CallbackUrl == *made.CallbackUrl {
		t.Error("two accounts share a redirect URI")
	}
	// A client of the operator's own takes the place of the registered one, and nothing is left of how that is managed.
	in := &wire.UpdateOauth2CredentialProviderInput{Name: "tools", CredentialProviderVendor: wire.VendorCustomOauth2, Oauth2ProviderConfigInput: &wire.Oauth2ProviderConfigInput{
		CustomOauth2ProviderConfig: &wire.CustomOauth2ProviderConfigInput{ClientId: new("own"), ClientSecret: plantedSecret(), OauthDiscovery: made.Oauth2ProviderConfigOutput.CustomOauth2ProviderConfig.OauthDiscovery},
	}}
	updated, err := b.UpdateOauth2CredentialProvider(t.Context(), administrator(t, alpha), in)
	must(t, err)
	if updated.Registration != nil || updated.Resource == nil {
		t.Errorf("updated %+v", updated)
	}
	if row, err := b.Store.OAuth2Provider(t.Context(), alpha, "tools"); err != nil || row.RegistrationToken != nil {
		t.Errorf("the token that manages the old client is kept: %v", err)
	}
}
