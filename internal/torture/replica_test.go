package torture

import (
	"bytes"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"credence/internal/server"
	"credence/internal/testpostgres"
)

// installation is PostgreSQL and the replicas on it, as an operator has them.
type installation struct {
	t        testing.TB
	postgres *testpostgres.Server
	rows     *sql.DB // past the proxies
	replicas []*replica
	creds    aws.CredentialsProvider
}

// replica is one process of the real program.
type replica struct {
	t       testing.TB
	url     string
	proxy   *proxy
	program []string
	client  *http.Client

	cmd  *exec.Cmd
	said bytes.Buffer
	mu   sync.Mutex // guards said
}

// built is where the program is, once it is asked for.
var built string

var program = sync.OnceValues(func() (string, error) {
	file := filepath.Join(built, "credence")
	if out, err := exec.Command("go", "build", "-o", file, "credence/cmd/credence").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "torture"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// install starts n replicas of the program with flags on a new database; the first of them makes the administrator. Browsers come to the first.
func install(t testing.TB, n int, flags ...string) *installation {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	program, err := program()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.NewMasterKey(key); err != nil {
		t.Fatal(err)
	}
	in := &installation{t: t, postgres: testpostgres.Start(t)}
	database := in.postgres.Database(t)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if in.rows, err = sql.Open("pgx", database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.rows.Close() })
	public := ""
	for i := range n {
		r := &replica{t: t, url: "http://" + freeAddress(t), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
			proxy: startProxy(t, filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"))}
		if i == 0 {
			public = r.url
		}
		r.program = []string{program, "serve", "--dev", "--listen", strings.TrimPrefix(r.url, "http://"), "--public-url", public,
			"--data-dir", filepath.Join(dir, fmt.Sprint("data", i)), "--kek", "file:" + key, "--log-level", "warn",
			"--database", fmt.Sprintf("postgres://credence@%s%s?sslmode=disable", r.proxy.listener.Addr(), u.Path)}
		r.program = append(r.program, flags...)
		in.replicas = append(in.replicas, r)
		r.start()
		r.ready()
		t.Cleanup(func() {
			r.kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", r.url, r)
			}
		})
	}
	in.creds = administrator(t, filepath.Join(dir, "data0", "credentials"))
	return in
}

// freeAddress is one that a replica keeps over its restarts.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func administrator(t testing.TB, file string) aws.CredentialsProvider {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, "="); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return credentials.NewStaticCredentialsProvider(values["aws_access_key_id"], values["aws_secret_access_key"], "")
}

// data is the SDK's client of the data plane at one replica; it repeats nothing by itself.
func (in *installation) data(r *replica) *bedrockagentcore.Client {
	return bedrockagentcore.New(bedrockagentcore.Options{BaseEndpoint: &r.url, Region: "us-east-1", Credentials: in.creds, RetryMaxAttempts: 1, HTTPClient: r.client})
}

func (in *installation) control() *bedrockagentcorecontrol.Client {
	return bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{BaseEndpoint: &in.replicas[0].url, Region: "us-east-1", Credentials: in.creds, RetryMaxAttempts: 1})
}

// begun are the keys of the grants whose refresh has been begun and not finished.
func (in *installation) begun() []string {
	return in.keys(`SELECT grant_key FROM grants WHERE intent_at <> 0`)
}

// keys waits for the database, which may be restarting.
func (in *installation) keys(query string) (keys []string) {
	in.t.Helper()
	read := func() error {
		found, err := in.rows.Query(query)
		if err != nil {
			return err
		}
		defer func() { _ = found.Close() }()
		for keys = nil; found.Next(); {
			var key string
			if err := found.Scan(&key); err != nil {
				return err
			}
			keys = append(keys, key)
		}
		return found.Err()
	}
	var err error
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		if err = read(); err == nil {
			return keys
		}
	}
	in.t.Errorf("the database does not come back: %v", err)
	return nil
}

func (r *replica) start() {
	r.cmd = exec.Command(r.program[0], r.program[1:]...)
	r.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir()}
	r.cmd.Stdout, r.cmd.Stderr = r, r
	if err := r.cmd.Start(); err != nil {
		r.t.Error(err)
	}
}

// ready waits until the replica serves; one that could not reach the database when it started has ended, and is started again, as an operator's supervisor does.
func (r *replica) ready() {
	r.t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(50 * time.Millisecond) {
		resp, err := r.client.Get(r.url + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		var status syscall.WaitStatus
		if pid, err := syscall.Wait4(r.cmd.Process.Pid, &status, syscall.WNOHANG, nil); err == nil && pid != 0 {
			r.start()
		}
	}
	r.t.Errorf("%s does not become ready", r.url)
}

// kill is SIGKILL: nothing is finished.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

func (r *replica) signal(s syscall.Signal) { _ = r.cmd.Process.Signal(s) }

// Write takes what the program says, the last of it.
func (r *replica) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said.Len() > 64<<10 {
		r.said.Reset()
	}
	return r.said.Write(p)
}

func (r *replica) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}
