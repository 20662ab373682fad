package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"credence/internal/audit"
	"credence/internal/secret"
	"credence/internal/sigv4"
	"credence/internal/telemetry"
)

const account = "123456789012"

// settings are those of a server on a data directory that does not exist yet.
func settings(t *testing.T) Config {
	t.Helper()
	return Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data"), Region: "us-east-1", AccountID: account, Log: slog.New(slog.DiscardHandler),
	}
}

// stopped is an installation that was started and stopped once, file by file. A first start costs many fsyncs, so tests share it.
var stopped = sync.OnceValues(func() (files map[string][]byte, err error) {
	dir, err := os.MkdirTemp("", "credence-server-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	in, err := install(context.Background(), Config{DataDir: filepath.Join(dir, "data"), Region: "us-east-1", AccountID: account}, telemetry.New())
	if err != nil {
		return nil, err
	}
	if err := in.close(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	files = map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, "data", e.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
})

// installed puts a finished installation, or only the named files of one, into the data directory of cfg.
func installed(t *testing.T, cfg Config, names ...string) {
	t.Helper()
	files, err := stopped()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(files))
	}
	folder(t, cfg.DataDir)
	for _, name := range names {
		content, ok := files[name]
		if !ok {
			t.Fatalf("an installation has no %s", name)
		}
		put(t, filepath.Join(cfg.DataDir, name), string(content))
	}
}

func folder(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree tells everything below a folder: kind, mode, owner, times and content. Folders have no times: SQLite makes and removes files beside a database that it only
// reads, which changes their times and nothing else.
func tree(t *testing.T, root string) string {
	t.Helper()
	var out bytes.Buffer
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		relative, _ := filepath.Rel(root, path)
		fmt.Fprintf(&out, "%s %s %d", relative, info.Mode(), st.Uid)
		switch {
		case strings.HasSuffix(path, "-shm"): // memory that SQLite shares, where even readers leave traces
		case info.Mode().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %d bytes %x, of %d.%09d", len(content), sha256.Sum256(content), st.Mtim.Sec, st.Mtim.Nsec)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " → %s", target)
		}
		out.WriteByte('\n')
		return nil
	})
	must(t, err)
	return out.String()
}

// begin starts an installation, which its caller closes.
func begin(t *testing.T, cfg Config) *installation {
	t.Helper()
	in, err := install(t.Context(), cfg, telemetry.New())
	must(t, err)
	return in
}

// open starts an installation, and closes it with the test.
func open(t *testing.T, cfg Config) *installation {
	t.Helper()
	in := begin(t, cfg)
	t.Cleanup(func() { must(t, in.close()) })
	return in
}

// key is what an AWS credentials file holds.
type key struct{ id, secret string }

func fileKey(t *testing.T, path string) (k key) {
	t.Helper()
	for line := range strings.Lines(read(t, path)) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), " = "); name {
		case "aws_access_key_id":
			k.id = value
		case "aws_secret_access_key":
			k.secret = value
		}
	}
	if k.id == "" || k.secret == "" {
		t.Fatalf("%s holds no access key", path)
	}
	return k
}

// works reports whether an installation knows a key: what it would verify a signature with is what the owner of the key signs with.
func works(t *testing.T, in *installation, k key) bool {
	t.Helper()
	c, signing, err := in.vault.Caller(t.Context(), sigv4.Credential{AccessKeyID: k.id, Date: "20300101", Region: "us-east-1", Service: "bedrock-agentcore"})
	if err != nil {
		return false
	}
	return c.Account == account && bytes.Equal(signing, sigv4.Derive(secret.New(k.secret), "20300101", "us-east-1", "bedrock-agentcore"))
}

// The first entry of an audit log is that there is somebody who may do everything.
func TestFirstStartIsRecorded(t *testing.T) {
	cfg := settings(t)
	in := open(t, cfg)
	batches, err := in.store.AuditBatches(t.Context(), account)
	must(t, err)
	if len(batches) != 1 || !strings.Contains(string(batches[0].Events), `"action":"credence:Bootstrap"`) || !strings.Contains(string(batches[0].Events), `"resources":["arn:aws:iam::`+account+`:user/admin"]`) {
		t.Fatalf("%s", batches)
	}
	must(t, in.vault.RotateIssuerKeys(t.Context(), account, false))
	batches, err = in.store.AuditBatches(t.Context(), account)
	must(t, err)
	keys, err := in.vault.IssuerKeys(t.Context(), account)
	must(t, err)
	for _, k := range keys {
		if !slices.ContainsFunc(batches, func(b audit.Batch) bool {
			return strings.Contains(string(b.Events), `"reason":"key `+k.Public.KeyID+`"`)
		}) {
			t.Errorf("key %s of the issuer is not recorded", k.Public.KeyID)
		}
	}
}
