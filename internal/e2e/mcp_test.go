package e2e

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"credence/internal/audit"
	"credence/internal/server"
	"credence/internal/testenv"
)

// mcpServer is a resource in the manner of the Model Context Protocol, with an authorization server of its own (testdata/js/mcp.mjs).
type mcpServer struct {
	t                testing.TB
	issuer, resource string
	program          *program

	mu     sync.Mutex
	events []mcpEvent
}

// mcpEvent is something that happened there.
type mcpEvent struct {
	Event        string `json:"event"` // listening done registered token refused failed
	Issuer       string `json:"issuer"`
	Resource     string `json:"resource"`
	Client       string `json:"client"`
	GrantType    string `json:"grantType"`
	AccessToken  string `json:"accessToken"` // of a registration, that which manages it
	RefreshToken string `json:"refreshToken"`
	Secret       string `json:"secret"`
	Error        string `json:"error"`
	Description  string `json:"description"`
}

// startMCP starts one. Its secrets are looked for when the test of e ends.
func startMCP(e *testenv.Env, kind string, env ...string) *mcpServer {
	e.T.Helper()
	m := &mcpServer{t: e.T}
	var err error
	m.program, err = node("mcp.mjs", append(os.Environ(), env...), func(line []byte) {
		var happened mcpEvent
		if err := json.Unmarshal(line, &happened); err != nil {
			e.T.Errorf("the MCP server wrote %q: %v", line, err)
			return
		}
		e.Plant(happened.AccessToken, happened.RefreshToken, happened.Secret)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.events = append(m.events, happened)
	}, kind, "6")
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() {
		if said, err := m.program.stop(); err != nil || e.T.Failed() {
			e.T.Logf("MCP server: %v\n%s\n%+v", err, said, m.seen("refused"))
		}
	})
	await(e.T, "the MCP server to listen", func() bool { return len(m.seen("listening")) == 1 })
	m.issuer, m.resource = m.seen("listening")[0].Issuer, m.seen("listening")[0].Resource
	return m
}

// seen are the events of a kind so far.
func (m *mcpServer) seen(kind string) []mcpEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.events), func(e mcpEvent) bool { return e.Event != kind })
}

// tell gives an order and waits until it is done.
func (m *mcpServer) tell(order object) {
	m.t.Helper()
	before := len(m.seen("done"))
	if err := m.program.tell(order); err != nil {
		m.t.Fatal(err)
	}
	await(m.t, "the MCP server to do as it is told", func() bool { return len(m.seen("done")) > before })
}

// user is whom the resource takes a token for; "" when it takes it for nobody.
func (m *mcpServer) user(token string) string {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.resource, strings.NewReader("{}"))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var said struct{ User string }
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		m.t.Fatal(err)
	}
	return said.User
}

// person goes through the pages of an oidc-provider without looking at them: signs in, agrees, and follows wherever that leads.
type person struct {
	t    testing.TB
	name string
	code string // to enter where a device authorization asks for it
	http *http.Client
}

func newPerson(t testing.TB, name string) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// Servers of these tests vouch for themselves.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &person{t, name, "", &http.Client{Jar: jar, Transport: transport}}
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// visit goes from an address to wherever there are no more questions, and gives what that says.
func (p *person) visit(address string) (last *url.URL, page string) {
	p.t.Helper()
	request := func() (*http.Response, error) { return p.http.Get(address) }
	for range 10 {
		resp, err := request()
		if err != nil {
			p.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			p.t.Fatal(err)
		}
		action := formAction.FindSubmatch(text)
		if action == nil {
			return resp.Request.URL, string(text)
		}
		to, err := resp.Request.URL.Parse(string(action[1]))
		if err != nil {
			p.t.Fatal(err)
		}
		form := url.Values{"login": {p.name}, "password": {"any"}, "user_code": {p.code}}
		for _, hidden := range formHidden.FindAllSubmatch(text, -1) {
			form.Set(string(hidden[1]), string(hidden[2]))
		}
		request = func() (*http.Response, error) { return p.http.PostForm(to.String(), form) }
	}
	p.t.Fatal("the server asks for ever")
	return nil, ""
}

// commands is the credence command line for the administrator of a server.
type commands struct {
	t    testing.TB
	path string
	env  []string
}

func commandLine(e *testenv.Env) *commands {
	e.T.Helper()
	c := &commands{e.T, filepath.Join(e.T.TempDir(), "credence"), append(environment(e.T, e.URL), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(e.Config.DataDir, "credentials"))}
	if out, err := exec.Command("go", "build", "-o", c.path, "credence/cmd/credence").CombinedOutput(); err != nil {
		e.T.Fatalf("go build: %v\n%s", err, out)
	}
	return c
}

// run runs a command with what is typed, and gives what it says.
func (c *commands) run(typed string, args ...string) (said string, err error) {
	cmd := exec.Command(c.path, args...)
	cmd.Env, cmd.Stdin = c.env, strings.NewReader(typed)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// forUser prepares everything for a user of a provider for the MCP server.
func (m *mcpServer) forUser(a *agent, app *application, provider, user string) *federation {
	return &federation{a, app, user, object{
		"workloadIdentityToken": a.wat("agent", user), "resourceCredentialProviderName": provider, "oauth2Flow": "USER_FEDERATION",
		"scopes": []string{"openid", "offline_access", "read"}, "resourceOauth2ReturnUrl": app.ReturnURL, "customParameters": object{"prompt": "consent"},
	}}
}

// connect gives a consent, and is the token that comes of it.
func (m *mcpServer) connect(c *federation) string {
	m.t.Helper()
	c.begin()
	if _, page := newPerson(m.t, c.user).visit(c.app.link); !strings.Contains(page, "connected") {
		m.t.Fatalf("the journey of %s ended at %s", c.user, page)
	}
	return c.poll().AccessToken
}

// One command makes a provider from the URL of an MCP server, when the operator agrees, and agents get tokens that it takes. When its authorization server has forgotten the
// client, nobody loses a token that is still good, and the next consent is given to a new client.
func TestFromMCPFlow(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	m := startMCP(e, "registration")
	a, app, cli := administrator(e), startApplication(t), commandLine(e)
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent", "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})

	from := []string{"provider", "from-mcp", m.resource, "--name", "tools", "--endpoint", e.URL}
	if said, err := cli.run("n\n", from...); err == nil || !strings.Contains(said, "resource       "+m.resource) || !strings.Contains(said, "issuer         "+m.issuer) || len(m.seen("registered")) > 0 {
		t.Fatalf("not confirmed: %v\n%s", err, said)
	}
	if got := a.refusal("GetOauth2CredentialProvider", object{"name": "tools"}); got.Name != "ResourceNotFoundException" {
		t.Fatalf("it was not confirmed, and there is %+v", got)
	}
	if said, err := cli.run("y\n", from...); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	registered := m.seen("registered")
	if len(registered) != 1 {
		t.Fatalf("%d clients were registered", len(registered))
	}
	if said, err := cli.run("", "provider", "test", "tools", "--endpoint", e.URL); err != nil || strings.Count(said, "ok ") != 4 {
		t.Errorf("%v\n%s", err, said)
	}

	short, long := m.forUser(a, app, "tools", "short-bob"), m.forUser(a, app, "tools", "ann")
	kept, first := m.connect(long), m.connect(short)
	if m.user(kept) != "ann" || m.user(first) != "short-bob" {
		t.Fatalf("the resource takes the tokens for %q and %q", m.user(kept), m.user(first))
	}
	m.tell(object{"forget": registered[0].Client})
	delete(short.request, "sessionUri")
	delete(long.request, "sessionUri")
	await(t, "the user of the short token to be asked again", func() bool {
		got := call[token](a, "GetResourceOauth2Token", short.request)
		return got.AuthorizationURL != "" && got.AccessToken == ""
	})
	if again := call[token](a, "GetResourceOauth2Token", long.request); again.AccessToken != kept || m.user(kept) != "ann" {
		t.Errorf("a token that is still good was lost: %+v", again)
	}
	if registered = m.seen("registered"); len(registered) != 2 {
		t.Fatalf("%d clients were registered", len(registered))
	}
	if next := m.connect(short); m.user(next) != "short-bob" {
		t.Errorf("the new client's token is taken for %q", m.user(next))
	}
	if got := call[oauth2Provider](a, "GetOauth2CredentialProvider", object{"name": "tools"}); got.Config.Custom.ClientID != registered[1].Client {
		t.Errorf("the provider has client %q", got.Config.Custom.ClientID)
	}
	receipts := slices.DeleteFunc(e.Audit(testenv.Account), func(e audit.Event) bool { return e.Action != "credence:RegisterClient" })
	if len(receipts) != 1 || !strings.Contains(receipts[0].Reason, registered[0].Client) {
		t.Errorf("receipts: %+v", receipts)
	}
}

// A person is not sent to a vendor that has forgotten the client: it is registered anew first.
func TestFromMCPForgottenBeforeConsent(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	m := startMCP(e, "registration")
	a, app := administrator(e), startApplication(t)
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent", "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	m.create(e, "tools")
	m.tell(object{"forget": m.seen("registered")[0].Client})
	if got := m.user(m.connect(m.forUser(a, app, "tools", "ann"))); got != "ann" || len(m.seen("registered")) != 2 {
		t.Errorf("the token is taken for %q; %d registrations", got, len(m.seen("registered")))
	}
}

// create makes a provider for the MCP server with what it says of itself.
func (m *mcpServer) create(e *testenv.Env, name string) testenv.Answer {
	body, _ := json.Marshal(object{"name": name, "url": m.resource, "resource": m.resource, "issuer": m.issuer})
	return e.Admin.Call("/credence/CreateOauth2CredentialProviderFromMcpServer", string(body))
}

// Where a server takes the URL of a client's document for its id, Credence serves one for each account and provider, and nothing has to be registered.
func TestFromMCPClientMetadataDocument(t *testing.T) {
	t.Parallel()
	cert, key, authority := certificate(t)
	e := testenv.Start(t, func(cfg *server.Config) { cfg.TLSCert, cfg.TLSKey = cert, key })
	m := startMCP(e, "documents", "NODE_EXTRA_CA_CERTS="+authority)
	a, app := administrator(e, "NODE_EXTRA_CA_CERTS="+authority), startApplication(t)
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent", "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	cli := commandLine(e)
	cli.env = append(cli.env, "SSL_CERT_FILE="+authority)
	from := []string{"provider", "from-mcp", m.resource, "--name", "tools", "--endpoint", e.URL, "--yes"}
	if said, err := cli.run("", from...); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if got := m.user(m.connect(m.forUser(a, app, "tools", "ann"))); got != "ann" {
		t.Errorf("the token is taken for %q", got)
	}
	id := call[oauth2Provider](a, "GetOauth2CredentialProvider", object{"name": "tools"})
	client := id.Config.Custom.ClientID
	if tokens := m.seen("token"); len(tokens) != 1 || tokens[0].Client != client || len(m.seen("registered")) > 0 {
		t.Errorf("client %q, at the server %+v", client, tokens)
	}
	_, text := newPerson(t, "anybody").visit(client)
	var document struct {
		ClientID     string   `json:"client_id"`
		RedirectURIs []string `json:"redirect_uris"`
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil || document.ClientID != client || !slices.Equal(document.RedirectURIs, []string{id.CallbackURL}) {
		t.Errorf("the document of %s is %s", client, text)
	}
	// Other accounts have other documents, and a provider that was made otherwise has none.
	other := e.NewAccount("222222222222").Credentials()
	cli.env = append(cli.env, "AWS_ACCESS_KEY_ID="+other.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+other.SecretAccessKey)
	if said, err := cli.run("", from...); err != nil || !strings.Contains(said, ":222222222222:") || !strings.Contains(said, "/identities/oauth2/client/") || strings.Contains(said, client) {
		t.Errorf("another account's: %v\n%s", err, said)
	}
	byHand := call[oauth2Provider](a, "CreateOauth2CredentialProvider", customProvider("by-hand", m.issuer, "client", "a secret of nobody", "CLIENT_SECRET_BASIC"))
	if _, page := newPerson(t, "anybody").visit(strings.Replace(byHand.CallbackURL, "/callback/", "/client/", 1)); strings.Contains(page, "redirect_uris") {
		t.Errorf("a document of a client that was entered by hand: %s", page)
	}
}
