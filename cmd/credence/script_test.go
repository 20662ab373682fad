package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/rogpeppe/go-internal/testscript"

	"credence/internal/edge/awsapi"
	"credence/internal/fakeidp"
)

// The scripts run this test's own binary as credence: the whole program, each command in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"credence": main})
}

// patience is for conditions that only a broken program or a standing machine keeps from coming about.
const patience = 40 * time.Second

func TestScripts(t *testing.T) {
	idp := fakeidp.Start(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("idp", idp.Issuer())
			env.Values[servers{}] = map[string]*process{}
			env.Values[snapshots{}] = map[string]string{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": up, "down": down, "remember": remember, "same": same, "mode": mode, "agekey": agekey, "count": count, "variable": variable, "awaitlog": awaitLog, "api": api,
		},
	})
}

type servers struct{}
type snapshots struct{}

// process is a running credence serve.
type process struct {
	cmd   *exec.Cmd
	ended chan error

	mu       sync.Mutex
	out, err bytes.Buffer
}

// stream is one of the outputs of a process.
type stream struct {
	p   *process
	buf *bytes.Buffer
}

func (s stream) Write(p []byte) (int, error) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.buf.Write(p)
}

func (s stream) String() string {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.buf.String()
}

var listening = regexp.MustCompile(`(?m)^listening on (\S+)$`)

// up NAME FLAG… starts credence serve, on a free port unless the flags have one, and waits until it listens. NAME.out, NAME.err and $NAME (its URL) tell of it.
func up(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: up name [flag…]")
	}
	name, flags := args[0], append([]string{"serve"}, args[1:]...)
	if !strings.Contains(strings.Join(flags, " ")+ts.Getenv("CREDENCE_LISTEN"), "127.0.0.1:") {
		flags = append(flags, "--listen", "127.0.0.1:0")
	}
	p := &process{ended: make(chan error, 1)}
	path, err := lookPath(ts, "credence")
	ts.Check(err)
	p.cmd = exec.Command(path, flags...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), stream{p, &p.out}, stream{p, &p.err}
	for _, v := range os.Environ() { // what Go's coverage wants
		if strings.HasPrefix(v, "GOCOVERDIR=") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	p.cmd.Env = append(p.cmd.Env, "HOME="+ts.Getenv("HOME"), "PATH="+ts.Getenv("PATH"))
	for _, v := range []string{
		"LISTEN", "DATA_DIR", "KEK", "ACCOUNT_ID", "REGION", "LOG_FORMAT", "LOG_LEVEL", "DEV", "ADMIN_LISTEN", "PUBLIC_URL", "TRUSTED_PROXIES", "ALLOW_PRIVATE_HOSTS", "TLS_CERT", "TLS_KEY",
	} {
		if value := ts.Getenv("CREDENCE_" + v); value != "" {
			p.cmd.Env = append(p.cmd.Env, "CREDENCE_"+v+"="+value)
		}
	}
	ts.Check(p.cmd.Start())
	go func() { p.ended <- p.cmd.Wait() }()
	ts.Defer(func() { _ = p.cmd.Process.Kill() })
	ts.Value(servers{}).(map[string]*process)[name] = p
	out, log := stream{p, &p.out}, stream{p, &p.err}
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if m := listening.FindStringSubmatch(out.String()); m != nil {
			ts.Setenv(name, m[1])
			break
		}
		select {
		case err := <-p.ended:
			ts.Fatalf("it ended: %v\n%s%s", err, out, log)
		default:
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it does not listen\n%s%s", out, log)
		}
	}
	keep(ts, name, p)
}

func keep(ts *testscript.TestScript, name string, p *process) {
	ts.Check(os.WriteFile(ts.MkAbs(name+".out"), []byte(stream{p, &p.out}.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(name+".err"), []byte(stream{p, &p.err}.String()), 0o600))
}

func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); exec.Command(path, "version").Run() == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// down NAME [SIGNAL] sends TERM, INT or KILL and waits. Whatever is asked to end must do so with exit code 0.
func down(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: down name [TERM|INT|KILL]")
	}
	signal := syscall.SIGTERM
	if len(args) > 1 {
		signal = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[1]]
	}
	p := ts.Value(servers{}).(map[string]*process)[args[0]]
	ts.Check(p.cmd.Process.Signal(signal))
	select {
	case err := <-p.ended:
		keep(ts, args[0], p)
		if err != nil && signal != syscall.SIGKILL {
			ts.Fatalf("it ended with %v\n%s", err, stream{p, &p.err})
		}
	case <-time.After(patience):
		ts.Fatalf("it does not end")
	}
}

// remember NAME FOLDER keeps what is in a folder: names, kinds, modes, owners, contents, and the times of files but the database's.
func remember(ts *testscript.TestScript, _ bool, args []string) {
	ts.Value(snapshots{}).(map[string]string)[args[0]] = snapshot(ts, ts.MkAbs(args[1]))
}

// same NAME FOLDER compares it with what was remembered.
func same(ts *testscript.TestScript, neg bool, args []string) {
	before, after := ts.Value(snapshots{}).(map[string]string)[args[0]], snapshot(ts, ts.MkAbs(args[1]))
	if (before == after) == neg {
		ts.Fatalf("before:\n%safter:\n%s", before, after)
	}
}

func snapshot(ts *testscript.TestScript, root string) string {
	var out strings.Builder
	ts.Check(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, path)
		fmt.Fprintf(&out, "%s %s %d", relative, info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %x", sha256.Sum256(content))
			if !strings.HasPrefix(e.Name(), "credence.db") {
				out.WriteString(info.ModTime().Format(" 15:04:05.000000000"))
			}
		}
		out.WriteByte('\n')
		return nil
	}))
	return out.String()
}

// mode MODE PATH… compares permissions, in octal.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, path := range args[1:] {
		info, err := os.Lstat(ts.MkAbs(path))
		ts.Check(err)
		if info.Mode().Perm() != fs.FileMode(want) {
			ts.Fatalf("%s has mode %o", path, info.Mode().Perm())
		}
	}
}

// agekey FILE makes an age key, its public part in $RECIPIENT.
func agekey(ts *testscript.TestScript, _ bool, args []string) {
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(id.String()+"\n"), 0o600))
	ts.Setenv("RECIPIENT", id.Recipient().String())
}

// variable NAME makes the last output a variable.
func variable(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// awaitlog ACTION waits until the audit log has an entry of an action.
func awaitLog(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ts.Check(ts.Exec("credence", "audit", "list", "--action", args[0]))
		if ts.ReadFile("stdout") != "" {
			return
		}
	}
	ts.Fatalf("the log has no entry of %s", args[0])
}

// api PATH BODY [MEMBER] makes a call as an SDK does, by the administrator's credentials; the answer, or a member of it, is the output.
func api(ts *testscript.TestScript, neg bool, args []string) {
	aws, err := config.LoadDefaultConfig(context.Background(), config.WithSharedCredentialsFiles([]string{ts.Getenv("AWS_SHARED_CREDENTIALS_FILE")}))
	ts.Check(err)
	credentials, err := aws.Credentials.Retrieve(context.Background())
	ts.Check(err)
	req, err := http.NewRequest(http.MethodPost, ts.Getenv("CREDENCE_ENDPOINT")+args[0], strings.NewReader(args[1]))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	ts.Check(v4.NewSigner().SignHTTP(context.Background(), credentials, req, fmt.Sprintf("%x", sha256.Sum256([]byte(args[1]))), awsapi.SigningName, "us-east-1", time.Now()))
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if (resp.StatusCode/100 != 2) != neg {
		ts.Fatalf("%s: %s %s", args[0], resp.Status, text)
	}
	if len(args) > 2 {
		var answer map[string]any
		ts.Check(json.Unmarshal(text, &answer))
		text = []byte(fmt.Sprint(answer[args[2]]))
	}
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
}

// count N TEXT FILE counts lines that have a text.
func count(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[2])) {
		if strings.Contains(line, args[1]) {
			n++
		}
	}
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d lines of %s have %q:\n%s", n, args[2], args[1], ts.ReadFile(args[2]))
	}
}
