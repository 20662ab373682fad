package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"credence/internal/iam"
	"credence/internal/telemetry"
	"credence/internal/testpostgres"
)

// shared are the settings of one replica; each has a data directory of its own.
func shared(t *testing.T, url, kek string) Config {
	t.Helper()
	cfg := settings(t)
	cfg.Database, cfg.KEK = url, kek
	return cfg
}

func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "master.key")
	must(t, NewMasterKey(path))
	return "file:" + path
}

// Replicas that start together on a new database make one account with one administrator, whose key works at all of them.
func TestReplicasStartTogether(t *testing.T) {
	url, kek := testpostgres.Database(t), keyFile(t)
	var mu sync.Mutex
	var all []*installation
	var made []*FirstStart
	var wg sync.WaitGroup
	for range 5 {
		cfg := shared(t, url, kek)
		wg.Go(func() {
			in, err := install(context.Background(), cfg, telemetry.New())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, in)
			if in.first != nil {
				made = append(made, in.first)
			} else if _, err := os.Stat(cfg.DataDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a replica that made nothing has a data directory: %v", err)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 {
		t.Fatalf("%d replicas made the administrator", len(made))
	}
	k := fileKey(t, made[0].Credentials)
	for _, in := range all {
		if !works(t, in, k) {
			t.Error("the administrator's key does not work at every replica")
		}
		must(t, in.close())
	}
}

// A bootstrap that was broken off at any of its steps is finished by the next start.
func TestSharedBootstrapIsFinished(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, in *installation){
		"key check": func(*testing.T, *installation) {},
		"account":   func(t *testing.T, in *installation) { must(t, in.vault.CreateAccount(account)) },
		"account and policy": func(t *testing.T, in *installation) {
			must(t, in.vault.CreateAccount(account))
			must(t, in.vault.PutUserPolicy(account, "admin", "x", iam.AllowAll))
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, kek := testpostgres.Database(t), keyFile(t)
			in := &installation{}
			var err error
			in.store, in.vault, err = openShared(t.Context(), shared(t, url, kek), telemetry.New())
			must(t, err)
			before(t, in)
			must(t, in.close())
			in, err = install(t.Context(), shared(t, url, kek), telemetry.New())
			must(t, err)
			defer func() { must(t, in.close()) }()
			if in.first == nil || !works(t, in, fileKey(t, in.first.Credentials)) {
				t.Errorf("%+v", in.first)
			}
		})
	}
}

// What does not belong together is refused, and nothing is written.
func TestSharedRefuses(t *testing.T) {
	url, kek := testpostgres.Database(t), keyFile(t)
	in, err := install(t.Context(), shared(t, url, kek), telemetry.New())
	must(t, err)
	must(t, in.close())
	for name, c := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"another key":      {func(c *Config) { c.KEK = keyFile(t) }, "made with another one"},
		"no key":           {func(c *Config) { c.KEK = "" }, "--kek"},
		"no key file":      {func(c *Config) { c.KEK = "file:" + filepath.Join(t.TempDir(), "none") }, "master key"},
		"another account":  {func(c *Config) { c.AccountID = "222222222222" }, account},
		"no PostgreSQL":    {func(c *Config) { c.Database = "mysql://u:hunter2@h/d" }, "postgres://"},
		"not a URL at all": {func(c *Config) { c.Database = "postgres://u:hunter2@[" }, "postgres://"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := shared(t, url, kek)
			c.edit(&cfg)
			_, err := New(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(cfg.DataDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it made a data directory: %v", err)
			}
		})
	}
}

// A credentials file that is there already is nobody's we know: it is not written over, and the start says so. A key that was lost is made anew.
func TestSharedCredentials(t *testing.T) {
	url, kek := testpostgres.Database(t), keyFile(t)
	cfg := shared(t, url, kek)
	folder(t, cfg.DataDir)
	path := filepath.Join(cfg.DataDir, credentialsFile)
	put(t, path, "of another installation")
	if _, err := install(t.Context(), cfg, telemetry.New()); err == nil || !strings.Contains(err.Error(), "move that file away") {
		t.Fatalf("%v", err)
	}
	if read(t, path) != "of another installation" {
		t.Error("it was written over")
	}
	must(t, os.Remove(path))
	in, err := install(t.Context(), cfg, telemetry.New())
	must(t, err)
	defer func() { must(t, in.close()) }()
	old := fileKey(t, path)
	if _, err := ResetKey(t.Context(), cfg); err != nil { // beside a running replica
		t.Fatal(err)
	}
	if works(t, in, old) || !works(t, in, fileKey(t, path)) {
		t.Error("the old key works, or the new one does not")
	}
}

// An installation moves to PostgreSQL and back with everything in it, and is served from there; half a copy is not.
func TestCopyDatabase(t *testing.T) {
	cfg := settings(t)
	installed(t, cfg)
	url := testpostgres.Database(t)
	master := "file:" + filepath.Join(cfg.DataDir, masterKeyFile)
	rows := 0
	must(t, CopyDatabase(t.Context(), cfg.DataDir, url, func(_ string, n int) { rows += n }))
	if rows == 0 {
		t.Error("nothing was copied")
	}
	in, err := install(t.Context(), shared(t, url, master), telemetry.New())
	must(t, err)
	k := fileKey(t, filepath.Join(cfg.DataDir, credentialsFile))
	if in.first != nil || !works(t, in, k) {
		t.Error("the administrator's key does not work on PostgreSQL")
	}
	must(t, in.close())

	back := settings(t)
	back.KEK = master
	must(t, CopyDatabase(t.Context(), url, back.DataDir, func(string, int) {}))
	in, err = install(t.Context(), back, telemetry.New())
	must(t, err)
	if !works(t, in, k) {
		t.Error("the administrator's key does not work after the way back")
	}
	if err := CopyDatabase(t.Context(), back.DataDir, testpostgres.Database(t), func(string, int) {}); err == nil || !strings.Contains(err.Error(), "another credence is using it") {
		t.Errorf("a database that is served from was copied: %v", err)
	}
	must(t, in.close())
	if err := CopyDatabase(t.Context(), cfg.DataDir, url, func(string, int) {}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("copied over an installation: %v", err)
	}

	half := settings(t)
	half.KEK = master
	func() {
		defer func() { _ = recover() }()
		_ = CopyDatabase(t.Context(), url, half.DataDir, func(string, int) { panic("a kill") })
	}()
	if _, err := install(t.Context(), half, telemetry.New()); err == nil || !strings.Contains(err.Error(), "credence db copy") {
		t.Errorf("half a copy was served: %v", err)
	}
	must(t, CopyDatabase(t.Context(), url, half.DataDir, func(string, int) {}))
	in, err = install(t.Context(), half, telemetry.New())
	must(t, err)
	must(t, in.close())
}
