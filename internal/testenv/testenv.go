// Package testenv runs the whole server in process, for tests: real SQLite or PostgreSQL, real HTTP, real AWS SDK clients, and a vendor that misbehaves on request.
//
// At the end of every test it looks for planted secrets in all that the server leaves behind: rows, logs, audit events, metrics and spans.
package testenv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"credence/internal/fakeidp"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/server"
	"credence/internal/testpostgres"
	"credence/internal/vault"
)

// Account is that of the first administrator.
const Account = "123456789012"

// Env is one running server.
type Env struct {
	T      testing.TB
	Server *server.Server
	URL    string
	Config server.Config
	// Vendor is a vendor with the client ClientID and ClientSecret.
	Vendor *fakeidp.Vendor
	// Client reaches the server; http.DefaultClient, which no certificate of a test convinces, unless it is changed.
	Client *http.Client
	// Admin is the first administrator.
	Admin Principal

	traces  *receiver
	log     syncBuffer
	stop    func()
	mu      sync.Mutex
	planted []string
}

// The client that Vendor knows.
const (
	ClientID     = "credence-client"
	ClientSecret = "planted-client-secret/with:odd+chars%20and spaces"
)

// Start runs a server with --dev for the test's lifetime; edit may change its configuration.
func Start(t testing.TB, edit ...func(*server.Config)) *Env {
	t.Helper()
	e := &Env{T: t, Vendor: fakeidp.Start(t), Client: http.DefaultClient, traces: newReceiver(t)}
	e.Vendor.AddClient(fakeidp.Client{ID: ClientID, Secret: ClientSecret})
	e.Plant(e.Vendor.Mark, ClientSecret)
	e.Config = server.Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data"), Region: "us-east-1", AccountID: Account, Dev: true,
		TraceEndpoint: e.traces.URL,
		// Tests count what their requests cause.
		NoBackgroundRefresh: true,
		Log:                 slog.New(slog.NewTextHandler(&e.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range edit {
		f(&e.Config)
	}
	if e.Config.Quotas == nil { // tests are quicker than any account should be
		e.Config.Quotas = []string{"rate.*=off"}
	}
	e.start()
	e.Admin = Principal{Account: e.Config.AccountID, env: e, provider: e.fileCredentials()}
	t.Cleanup(func() {
		e.lookForSecrets()
		e.stop()
		e.lookForSecrets() // and what stopping wrote
		if t.Failed() {
			t.Logf("server log:\n%s", e.log.String())
		}
	})
	return e
}

// OnPostgreSQL has Start run the server on a new PostgreSQL database.
func OnPostgreSQL(t testing.TB) func(*server.Config) {
	t.Helper()
	key := filepath.Join(t.TempDir(), "master.key")
	if err := server.NewMasterKey(key); err != nil {
		t.Fatal(err)
	}
	url := testpostgres.Database(t)
	return func(c *server.Config) { c.Database, c.KEK = url, "file:"+key }
}

func (e *Env) start() {
	e.T.Helper()
	s, err := server.New(context.Background(), e.Config)
	if err != nil {
		e.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	e.Server, e.URL = s, s.URL()
	e.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			e.T.Errorf("server: %v", err)
		}
	})
}

// Restart stops the server and starts it again on the same data and address.
func (e *Env) Restart() {
	e.T.Helper()
	e.stop()
	http.DefaultClient.CloseIdleConnections() // else one to the server that is gone may be used again
	e.Config.Listen = strings.TrimPrefix(strings.TrimPrefix(e.URL, "http://"), "https://")
	e.start()
}

// Log is what the server has logged.
func (e *Env) Log() string { return e.log.String() }

// Principal is somebody with an access key.
type Principal struct {
	Account  string
	env      *Env
	provider aws.CredentialsProvider
}

func (e *Env) fileCredentials() aws.CredentialsProvider {
	text, err := os.ReadFile(filepath.Join(e.Config.DataDir, "credentials"))
	if err != nil {
		e.T.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, "="); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return credentials.NewStaticCredentialsProvider(values["aws_access_key_id"], values["aws_secret_access_key"], "")
}

// NewAccount makes another account and its administrator.
func (e *Env) NewAccount(id string) Principal {
	e.T.Helper()
	if err := e.Server.Vault.CreateAccount(id); err != nil {
		e.T.Fatal(err)
	}
	return e.NewUser(id, vault.AdminUser, iam.AllowAll)
}

// NewUser makes a user with a policy document; "" gives no rights.
func (e *Env) NewUser(account, name, policy string) Principal {
	e.T.Helper()
	if policy != "" {
		if err := e.Server.Vault.PutUserPolicy(account, name, "test", policy); err != nil {
			e.T.Fatal(err)
		}
	}
	k, err := e.Server.Vault.CreateAccessKey(context.Background(), account, name, false)
	if err != nil {
		e.T.Fatal(err)
	}
	e.Plant(k.Secret.Reveal())
	return Principal{Account: account, env: e, provider: credentials.NewStaticCredentialsProvider(k.ID, k.Secret.Reveal(), "")}
}

// As is whoever has these credentials.
func (e *Env) As(account, id, secretKey, sessionToken string) Principal {
	return Principal{Account: account, env: e, provider: credentials.NewStaticCredentialsProvider(id, secretKey, sessionToken)}
}

// Data is the AWS SDK's client of the data plane. It never repeats a request, so that tests see every answer.
func (p Principal) Data() *bedrockagentcore.Client {
	return bedrockagentcore.New(bedrockagentcore.Options{
		BaseEndpoint: aws.String(p.env.URL), Region: "us-east-1", Credentials: p.provider, RetryMaxAttempts: 1, HTTPClient: &http.Client{},
	})
}

// Control is the AWS SDK's client of the control plane.
func (p Principal) Control() *bedrockagentcorecontrol.Client {
	return bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{
		BaseEndpoint: aws.String(p.env.URL), Region: "us-east-1", Credentials: p.provider, RetryMaxAttempts: 1, HTTPClient: &http.Client{},
	})
}

// STS is the AWS SDK's client of STS.
func (p Principal) STS() *sts.Client {
	return sts.New(sts.Options{BaseEndpoint: aws.String(p.env.URL), Region: "us-east-1", Credentials: p.provider, RetryMaxAttempts: 1, HTTPClient: &http.Client{}})
}

// Retrieve gives the access key to an SDK.
func (p Principal) Retrieve(ctx context.Context) (aws.Credentials, error) {
	return p.provider.Retrieve(ctx)
}

// Credentials are the access key.
func (p Principal) Credentials() aws.Credentials {
	c, err := p.provider.Retrieve(context.Background())
	if err != nil {
		p.env.T.Fatal(err)
	}
	return c
}

// Plant names secrets that must be found nowhere when the test ends.
func (e *Env) Plant(values ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range values {
		if len(v) >= 8 {
			e.planted = append(e.planted, v)
		}
	}
}

// lookForSecrets fails the test when a planted secret stands in clear in a file of the data directory (but the administrator's credentials), in
// a table of the database, in the log, in the metrics, or in a span.
func (e *Env) lookForSecrets() {
	e.mu.Lock()
	planted := append([]string{}, e.planted...)
	e.mu.Unlock()
	check := func(where string, content []byte) {
		for _, p := range planted {
			if i := bytes.Index(content, []byte(p)); i >= 0 {
				e.T.Errorf("a planted secret (%s…) stands in %s near %q", p[:6], where, content[max(0, i-60):i])
			}
		}
	}
	check("the log", []byte(e.log.String()))
	check("the spans", e.traces.exported())
	if resp, err := e.Client.Get(e.URL + "/metrics"); err == nil {
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		check("the metrics", text)
	}
	if e.Config.Database != "" {
		dump, err := testpostgres.Dump(context.Background(), e.Config.Database)
		if err != nil {
			e.T.Error(err)
		}
		check("the database", dump)
	}
	entries, err := os.ReadDir(e.Config.DataDir)
	if err != nil {
		e.T.Error(err)
	}
	for _, f := range entries {
		if f.IsDir() || f.Name() == "credentials" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(e.Config.DataDir, f.Name()))
		if err != nil {
			e.T.Error(err)
		}
		check(f.Name(), content)
	}
}

// syncBuffer is a log that tests may read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Secret wraps a text for inputs of planes.
func Secret(format string, args ...any) secret.String {
	return secret.New(fmt.Sprintf(format, args...))
}
