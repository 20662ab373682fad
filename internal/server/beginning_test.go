package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
)

// steps are what a first start does, one by one.
var steps = []struct {
	name string
	do   func(ctx context.Context, in *installation, cfg Config) error
}{
	{"the folder and its lock", func(_ context.Context, in *installation, cfg Config) (err error) {
		in.dir, err = openDataDir(cfg.DataDir, kekPath(cfg.kek()))
		return err
	}},
	{"the mark", func(_ context.Context, in *installation, _ Config) error { return in.dir.begin() }},
	{"the master key", func(_ context.Context, _ *installation, cfg Config) error { return makeKey(cfg.kek()) }},
	{"an empty database", func(_ context.Context, in *installation, _ Config) error {
		return writeNew(in.dir.file(databaseFile), nil)
	}},
	{"the schema", func(ctx context.Context, in *installation, _ Config) (err error) {
		in.store, err = store.Open(ctx, store.Config{Path: in.dir.file(databaseFile)})
		return err
	}},
	{"the key check", func(ctx context.Context, in *installation, cfg Config) error {
		kek, err := vault.OpenKEK(cfg.kek())
		if err != nil {
			return err
		}
		in.vault, err = vault.New(ctx, vault.Config{Store: in.store, KEK: kek, Metrics: telemetry.New()})
		return err
	}},
	{"the account", func(_ context.Context, in *installation, cfg Config) error {
		return in.vault.CreateAccount(cfg.AccountID)
	}},
	{"the policy", func(_ context.Context, in *installation, cfg Config) error {
		return in.vault.PutUserPolicy(cfg.AccountID, vault.AdminUser, "administrator", iam.AllowAll)
	}},
	{"the administrator's key and file", func(ctx context.Context, in *installation, cfg Config) error {
		text, err := in.newAdminKey(ctx, cfg)
		if err != nil {
			return err
		}
		return writeNew(in.dir.file(credentialsFile), text)
	}},
}

// image copies a data directory as a machine that loses power would leave it.
func image(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	must(t, err)
	folder(t, to)
	for _, e := range entries {
		put(t, filepath.Join(to, e.Name()), read(t, filepath.Join(from, e.Name())))
	}
}

// A first start that stopped anywhere is done anew: nobody has been served from it, and nothing of it is in use afterwards. Until then nothing takes it for an installation.
func TestUnfinishedFirstStartIsDoneAnew(t *testing.T) {
	for _, key := range []string{"in the folder", "elsewhere"} {
		t.Run("key "+key, func(t *testing.T) {
			live := settings(t)
			if key == "elsewhere" {
				live.KEK = "file:" + filepath.Join(t.TempDir(), "kek")
			}
			first := &installation{}
			for i, step := range steps {
				must(t, step.do(t.Context(), first, live))
				t.Run(step.name, func(t *testing.T) {
					cfg := settings(t)
					cfg.KEK = live.KEK
					image(t, live.DataDir, cfg.DataDir)
					if i > 0 {
						before := tree(t, cfg.DataDir)
						refusesUnfinished(t, cfg)
						if after := tree(t, cfg.DataDir); after != before {
							t.Errorf("before:\n%safter:\n%s", before, after)
						}
					}
					startsAnew(t, cfg)
				})
			}
			must(t, first.close())
		})
	}
}

// refusesUnfinished expects of every program but serve that it finds no installation.
func refusesUnfinished(t *testing.T, cfg Config) {
	t.Helper()
	for _, f := range Examine(t.Context(), cfg) {
		if f.Err == nil && f.What != "data directory" {
			t.Errorf("doctor is content with its %s: %s", f.What, f.Found)
		}
	}
	if _, err := ResetKey(t.Context(), cfg); err == nil {
		t.Error("reset-key takes it for an installation")
	}
	if err := Backup(t.Context(), cfg, filepath.Join(t.TempDir(), "backup"), []string{recipient}); err == nil {
		t.Error("backup takes it for an installation")
	}
}

// startsAnew starts on what is left of a first start, and expects an installation that owes nothing to it.
func startsAnew(t *testing.T, cfg Config) {
	t.Helper()
	credentials, master := filepath.Join(cfg.DataDir, credentialsFile), filepath.Join(cfg.DataDir, masterKeyFile)
	var oldKey *key
	if absent, err := missing(credentials); err == nil && !absent {
		k := fileKey(t, credentials)
		oldKey = &k
	}
	oldMaster, _ := os.ReadFile(master)

	in := open(t, cfg)
	if in.first == nil {
		t.Error("it does not tell what a first start tells")
	}
	if !works(t, in, fileKey(t, credentials)) {
		t.Error("the credentials file holds no key of the administrator")
	}
	if oldKey != nil && works(t, in, *oldKey) {
		t.Error("the key of the unfinished start works")
	}
	if len(oldMaster) > 0 && read(t, master) == string(oldMaster) {
		t.Error("the master key of the unfinished start is in use")
	}
	if absent, err := missing(filepath.Join(cfg.DataDir, beginningFile)); err != nil || !absent {
		t.Errorf("the mark is still there: %v", err)
	}
}

// Removing what an unfinished start left may itself stop anywhere, so every part may be gone when the next start comes, but not the mark.
func TestUnfinishedFirstStartInEveryState(t *testing.T) {
	parts := []string{databaseFile, masterKeyFile, credentialsFile, gitignoreFile, lockFile}
	for set := range 1 << len(parts) {
		names := []string{}
		for i, name := range parts {
			if set&(1<<i) != 0 {
				names = append(names, name)
			}
		}
		t.Run("mark "+strings.Join(names, " "), func(t *testing.T) {
			t.Parallel()
			cfg := settings(t)
			folder(t, cfg.DataDir)
			if len(names) > 0 {
				installed(t, cfg, names...)
			}
			put(t, filepath.Join(cfg.DataDir, beginningFile), "")
			put(t, filepath.Join(cfg.DataDir, databaseFile+"-wal"), "what a crash left")
			startsAnew(t, cfg)
		})
	}
}

// One of many first starts at once makes the installation; the others are told that it is taken, whenever they look.
func TestFirstStartsAtOnce(t *testing.T) {
	cfg := settings(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []*installation
	for range 12 {
		wg.Go(func() {
			in, err := install(t.Context(), cfg, telemetry.New())
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, in) // open until all are done
			} else if !strings.Contains(err.Error(), "another credence is using it: stop that one first") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d hold the data directory at once", len(won))
	}
	if !works(t, won[0], fileKey(t, won[0].first.Credentials)) {
		t.Error("the key does not work")
	}
	must(t, won[0].close())
}

// While an installation is in use, nothing else opens it, finished or not; only looks and backups are taken beside it.
func TestLockIsHeld(t *testing.T) {
	cfg := settings(t)
	open(t, cfg)
	for range 2 {
		before := tree(t, cfg.DataDir)
		_, serveErr := New(t.Context(), cfg)
		_, resetErr := ResetKey(t.Context(), cfg)
		for _, err := range []error{serveErr, resetErr} {
			if err == nil {
				t.Error("it is opened twice")
			}
		}
		if serveErr != nil && !strings.Contains(serveErr.Error(), "another credence is using it: stop that one first") {
			t.Error(serveErr)
		}
		if after := tree(t, cfg.DataDir); after != before {
			t.Errorf("before:\n%safter:\n%s", before, after)
		}
		put(t, filepath.Join(cfg.DataDir, beginningFile), "") // the second time: a first start that is under way
	}
}
