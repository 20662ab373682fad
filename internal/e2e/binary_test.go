package e2e

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/fakeidp"
	"credence/internal/testenv"
)

// binary is a running credence serve.
type binary struct {
	url    string
	env    []string // what it says to paste
	folder string   // where it was started
	cmd    *exec.Cmd
	ended  chan error

	mu   sync.Mutex
	said bytes.Buffer
}

// serve builds the program and starts it in an empty folder, as a newcomer does.
func serve(t *testing.T) *binary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credence")
	if out, err := exec.Command("go", "build", "-o", path, "credence/cmd/credence").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	b := &binary{folder: t.TempDir(), ended: make(chan error, 1), env: []string{"HOME=" + t.TempDir(), "AWS_EC2_METADATA_DISABLED=true"}}
	b.cmd = exec.Command(path, "serve", "--dev", "--listen", "127.0.0.1:0", "--log-level", "debug", "--no-background-refresh")
	b.cmd.Dir, b.cmd.Env = b.folder, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.folder}
	b.cmd.Stdout, b.cmd.Stderr = b, b
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("credence serve said:\n%s", b)
		}
	})
	go func() { b.ended <- b.cmd.Wait() }()
	await(t, "credence serve to listen", func() bool {
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSpace(line)
			if exports, ok := strings.CutPrefix(line, "export "); ok {
				b.env = append(b.env, strings.Fields(exports)...)
			}
			if url, ok := strings.CutPrefix(line, "listening on "); ok {
				b.url = url
			}
		}
		return b.url != ""
	})
	return b
}

// Write takes what the program says.
func (b *binary) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.Write(p)
}

func (b *binary) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.said.String()
}

// A newcomer starts the program in an empty folder, pastes what it says, and has the whole journey, with the AWS SDK for JavaScript and with that for Go: a key,
// a token for the agent, a token for a user who goes through a browser, and the next one when it has expired. Told to stop, the program ends what is under way.
// Of all the secrets of that journey, none stands in clear in what it leaves behind.
func TestBinary(t *testing.T) {
	server := serve(t)
	v, err := startVendor()
	if err != nil {
		t.Fatal(err)
	}
	browser := newTab(t)
	// The SDK for Go reads the environment of this process; the vendor and Chromium, which outlive this test, have theirs already.
	for _, was := range os.Environ() {
		if name, _, _ := strings.Cut(was, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	for _, is := range server.env {
		name, value, _ := strings.Cut(is, "=")
		t.Setenv(name, value)
	}
	if path := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); !strings.HasSuffix(path, "/credence-data/credentials") {
		t.Errorf("what it says to paste names no credentials file: %q", server.env)
	}
	a := startAgent(t, server.env)

	type key struct {
		APIKey string `json:"apiKey"`
	}
	const apiKey, customState = "planted-api-key-of-the-binary", "planted-custom-state"
	call[object](a, "CreateWorkloadIdentity", object{"name": "newcomer"})
	call[object](a, "CreateApiKeyCredentialProvider", object{"name": "weather", "apiKey": apiKey})
	wat := a.wat("newcomer", "")
	if got := call[key](a, "GetResourceApiKey", object{"workloadIdentityToken": wat, "resourceCredentialProviderName": "weather"}); got.APIKey != apiKey {
		t.Errorf("the key is %q", got.APIKey)
	}

	c := atVendor(a, v, "short", "CLIENT_SECRET_BASIC", "nils")
	c.request["customState"] = customState
	c.begin()
	c.leave(browser, "Sign-in")
	c.signIn(browser)
	c.agree(browser)
	got := c.poll()
	if issued := v.issued(t, 1, "short", c.user, "authorization_code"); len(issued) != 1 || got.AccessToken == "" || got.AccessToken != issued[0].AccessToken {
		t.Errorf("the agent has %+v, the vendor issued %+v", got, issued)
	}
	inGo := journeyInGo(t, v)
	delete(c.request, "sessionUri")
	await(t, "the token to be renewed", func() bool {
		next := c.poll()
		return next.AccessToken != "" && next.AccessToken != got.AccessToken
	})
	if issued := v.issued(t, 1, "short", c.user, "refresh_token"); issued[0].RefreshToken == "" {
		t.Errorf("the vendor does not rotate: %+v", issued)
	}

	slow := fakeidp.Start(t)
	slow.AddClient(fakeidp.Client{ID: testenv.ClientID, Secret: testenv.ClientSecret})
	slow.Set(func(b *fakeidp.Behaviour) { b.Stall = 2 * time.Second })
	call[object](a, "CreateOauth2CredentialProvider", customProvider("slow", slow.Issuer(), testenv.ClientID, testenv.ClientSecret, "CLIENT_SECRET_POST"))
	reply := make(chan answer, 1)
	go func() {
		reply <- a.ask("GetResourceOauth2Token", object{"input": object{"workloadIdentityToken": wat, "resourceCredentialProviderName": "slow", "scopes": []string{"read"}, "oauth2Flow": "M2M"}})
	}()
	await(t, "the slow vendor to be asked", func() bool { return slow.Count("client_credentials") == 1 })
	if err := server.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := finish[token](a, "GetResourceOauth2Token", <-reply); got.AccessToken == "" {
		t.Errorf("the request under way got %+v", got)
	}
	select {
	case err := <-server.ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	nothingLeftBehind(t, server, slices.Concat(a.secrets, inGo, v.secrets(), browser.secrets(), []string{apiKey, customState, slow.Mark, testenv.ClientSecret}))
}

// secrets are those of the addresses that a browser was sent to.
func (b *tab) secrets() (all []string) {
	b.t.Helper()
	requests, _ := b.seen.take()
	names := map[string]int{}
	for _, address := range requests {
		u, err := url.Parse(address)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, name := range []string{"state", "code", "request_uri", "session_id"} {
			if value := u.Query().Get(name); value != "" {
				all = append(all, handle(value))
				names[name]++
			}
		}
	}
	if len(names) != 4 {
		b.t.Errorf("the browser was not sent to all that it should: %v", names)
	}
	return all
}

// journeyInGo is the journey of a workload and of a user with the AWS SDK for Go, which finds everything in the environment. It gives the secrets that were seen.
func journeyInGo(t *testing.T, v *vendor) (secrets []string) {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plane, tokens := bedrockagentcorecontrol.NewFromConfig(cfg), bedrockagentcore.NewFromConfig(cfg)
	app := startApplication(t)
	name, user, flow := "in-go", "greta", data.Oauth2FlowTypeUserFederation
	if _, err := plane.CreateWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.CreateWorkloadIdentityInput{Name: &name, AllowedResourceOauth2ReturnUrls: []string{app.ReturnURL}}); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"post", "robot"} {
		c := v.clients[client]
		made, err := plane.CreateOauth2CredentialProvider(t.Context(), &bedrockagentcorecontrol.CreateOauth2CredentialProviderInput{
			Name: &client, CredentialProviderVendor: control.CredentialProviderVendorTypeCustomOauth2,
			Oauth2ProviderConfigInput: &control.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: control.CustomOauth2ProviderConfigInput{
				ClientId: &c.ID, ClientSecret: &c.Secret, OauthDiscovery: &control.Oauth2DiscoveryMemberDiscoveryUrl{Value: v.issuer + "/.well-known/openid-configuration"},
				ClientAuthenticationMethod: control.ClientAuthenticationMethodTypeClientSecretPost,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		v.register(t, client, *made.CallbackUrl)
	}

	own, err := tokens.GetWorkloadAccessToken(t.Context(), &bedrockagentcore.GetWorkloadAccessTokenInput{WorkloadName: &name})
	if err != nil {
		t.Fatal(err)
	}
	ownToken, err := tokens.GetResourceOauth2Token(t.Context(), &bedrockagentcore.GetResourceOauth2TokenInput{
		WorkloadIdentityToken: own.WorkloadAccessToken, ResourceCredentialProviderName: new("robot"), Scopes: []string{"read"}, Oauth2Flow: data.Oauth2FlowTypeM2m,
	})
	if err != nil {
		t.Fatal(err)
	}
	if issued := v.issued(t, 1, "robot", "", "client_credentials"); !slices.ContainsFunc(issued, func(e vendorEvent) bool { return e.AccessToken == *ownToken.AccessToken }) {
		t.Error("the vendor did not issue the workload's token")
	}

	hers, err := tokens.GetWorkloadAccessTokenForUserId(t.Context(), &bedrockagentcore.GetWorkloadAccessTokenForUserIdInput{WorkloadName: &name, UserId: &user})
	if err != nil {
		t.Fatal(err)
	}
	request := &bedrockagentcore.GetResourceOauth2TokenInput{
		WorkloadIdentityToken: hers.WorkloadAccessToken, ResourceCredentialProviderName: new("post"), Oauth2Flow: flow, ResourceOauth2ReturnUrl: &app.ReturnURL,
		Scopes: []string{"openid", "offline_access"}, CustomParameters: map[string]string{"prompt": "consent"},
	}
	began, err := tokens.GetResourceOauth2Token(t.Context(), request)
	if err != nil || began.AuthorizationUrl == nil {
		t.Fatalf("%+v, %v", began, err)
	}
	app.offer(*began.AuthorizationUrl, func(sessionURI string) error {
		_, err := tokens.CompleteResourceTokenAuth(t.Context(), &bedrockagentcore.CompleteResourceTokenAuthInput{SessionUri: &sessionURI, UserIdentifier: &data.UserIdentifierMemberUserId{Value: user}})
		return err
	})
	c, b := &federation{app: app, user: user}, newTab(t)
	c.leave(b, "Sign-in")
	c.signIn(b)
	c.agree(b)
	request.SessionUri = began.SessionUri
	done, err := tokens.GetResourceOauth2Token(t.Context(), request)
	if err != nil || done.AccessToken == nil || *done.AccessToken != v.issued(t, 1, "post", user, "authorization_code")[0].AccessToken {
		t.Fatalf("after the consent: %+v, %v", done, err)
	}
	return append(b.secrets(), *own.WorkloadAccessToken, *hers.WorkloadAccessToken, handle(*began.SessionUri))
}

// nothingLeftBehind reads every byte of a data directory that must be there, and of what the program said. The administrator's key and the master key stand in
// their own files and nowhere else.
func nothingLeftBehind(t *testing.T, server *binary, secrets []string) {
	t.Helper()
	files := map[string][]byte{"the output": []byte(server.String())}
	err := filepath.WalkDir(server.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[entry.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"credence.db", "master.key", "credentials"} {
		if len(files[name]) == 0 {
			t.Errorf("the data directory has no %s", name)
		}
	}
	_, accessKey, _ := strings.Cut(string(files["credentials"]), "aws_secret_access_key")
	accessKey, _, _ = strings.Cut(strings.TrimLeft(accessKey, " ="), "\n")
	master := strings.TrimSpace(string(files["master.key"]))
	for _, s := range append(secrets, accessKey, master) {
		if len(s) < 8 {
			t.Fatalf("%q is too short to look for", s)
		}
		for where, content := range files {
			if bytes.Contains(content, []byte(s)) && !(s == accessKey && where == "credentials") && !(s == master && where == "master.key") {
				t.Errorf("%s has %s… in clear", where, s[:6])
			}
		}
	}
	t.Logf("looked for %d secrets in %d files", len(secrets)+2, len(files))
}
