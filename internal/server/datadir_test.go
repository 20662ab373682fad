package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"credence/internal/vault"
)

// nobody owns nothing here.
const nobody = 65534

// give makes a file somebody else's, which only root can.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test gives files to another user, so it must run as root")
	}
	must(t, os.Lchown(path, nobody, nobody))
}

// aside moves a file out of the data directory and leaves a link to it.
func aside(t *testing.T, path string) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "moved")
	must(t, os.Rename(path, target))
	must(t, os.Symlink(target, path))
}

// refusals are data directories that others could have prepared or could read, or of which a part is missing. prepare may change the configuration.
var refusals = []struct {
	name    string
	prepare func(t *testing.T, cfg *Config)
	want    []string // of the error: what is wrong, and what to do
}{
	// whose it is
	{"folder of another user", func(t *testing.T, cfg *Config) { installed(t, *cfg); give(t, cfg.DataDir) },
		[]string{"belongs to another user", "run credence as that user"}},
	{"empty folder of another user", func(t *testing.T, cfg *Config) { folder(t, cfg.DataDir); give(t, cfg.DataDir) },
		[]string{"belongs to another user", "or give another folder"}},
	{"master key of another user", foreign(masterKeyFile), []string{masterKeyFile, "belongs to another user", "chown"}},
	{"database of another user", foreign(databaseFile), []string{databaseFile, "belongs to another user", "chown"}},
	{"credentials of another user", foreign(credentialsFile), []string{credentialsFile, "belongs to another user", "chown"}},
	{"lock of another user", foreign(lockFile), []string{lockFile, "belongs to another user", "chown"}},
	{"write-ahead log of another user", func(t *testing.T, cfg *Config) {
		installed(t, *cfg)
		put(t, filepath.Join(cfg.DataDir, databaseFile+"-wal"), "")
		give(t, filepath.Join(cfg.DataDir, databaseFile+"-wal"))
	}, []string{databaseFile + "-wal", "belongs to another user"}},
	{"mark of another user", func(t *testing.T, cfg *Config) {
		folder(t, cfg.DataDir)
		put(t, filepath.Join(cfg.DataDir, beginningFile), "")
		give(t, filepath.Join(cfg.DataDir, beginningFile))
	}, []string{beginningFile, "belongs to another user"}},

	// who can enter and read
	{"folder 0755", mode("", 0o755), []string{"mode 0755", "chmod 700"}},
	{"folder 0750", mode("", 0o750), []string{"mode 0750", "chmod 700"}},
	{"folder 0701", mode("", 0o701), []string{"mode 0701", "chmod 700"}},
	{"empty folder 0755", func(t *testing.T, cfg *Config) { folder(t, cfg.DataDir); must(t, os.Chmod(cfg.DataDir, 0o755)) }, []string{"mode 0755", "chmod 700"}},
	{"master key 0644", mode(masterKeyFile, 0o644), []string{masterKeyFile, "mode 0644", "chmod 600"}},
	{"master key 0640", mode(masterKeyFile, 0o640), []string{masterKeyFile, "mode 0640", "chmod 600"}},
	{"master key 0602", mode(masterKeyFile, 0o602), []string{masterKeyFile, "mode 0602", "chmod 600"}},
	{"database 0644", mode(databaseFile, 0o644), []string{databaseFile, "mode 0644", "chmod 600"}},
	{"credentials 0644", mode(credentialsFile, 0o644), []string{credentialsFile, "mode 0644", "chmod 600"}},

	// links
	{"folder is a link", func(t *testing.T, cfg *Config) { installed(t, *cfg); aside(t, cfg.DataDir) }, []string{"is a symbolic link", "give the folder itself"}},
	{"folder is a link, with a slash", func(t *testing.T, cfg *Config) { installed(t, *cfg); aside(t, cfg.DataDir); cfg.DataDir += "/" },
		[]string{"is a symbolic link", "give the folder itself"}},
	{"folder is a link, with a dot", func(t *testing.T, cfg *Config) { installed(t, *cfg); aside(t, cfg.DataDir); cfg.DataDir += "/." },
		[]string{"is a symbolic link", "give the folder itself"}},
	{"folder is a link to nowhere", func(t *testing.T, cfg *Config) {
		must(t, os.Symlink(filepath.Join(t.TempDir(), "nowhere"), cfg.DataDir))
	},
		[]string{"is a symbolic link", "give the folder itself"}},
	{"master key is a link", link(masterKeyFile), []string{masterKeyFile, "symbolic link", "put the file itself there"}},
	{"database is a link", link(databaseFile), []string{databaseFile, "symbolic link", "put the file itself there"}},
	{"credentials are a link", link(credentialsFile), []string{credentialsFile, "symbolic link", "put the file itself there"}},
	{"lock is a link", link(lockFile), []string{lockFile, "symbolic link", "put the file itself there"}},
	{"write-ahead log is a link", func(t *testing.T, cfg *Config) {
		installed(t, *cfg)
		must(t, os.Symlink(filepath.Join(t.TempDir(), "wal"), filepath.Join(cfg.DataDir, databaseFile+"-wal")))
	}, []string{databaseFile + "-wal", "symbolic link"}},
	{"new folder whose lock is a link", planted(lockFile), []string{lockFile, "symbolic link"}},
	{"new folder whose mark is a link", planted(beginningFile), []string{beginningFile, "symbolic link"}},
	{"new folder whose .gitignore is a link", planted(gitignoreFile), []string{gitignoreFile, "symbolic link"}},
	{"new folder whose credentials are a link", planted(credentialsFile), []string{credentialsFile, "symbolic link"}},
	{"new folder whose master key is a link", planted(masterKeyFile), []string{masterKeyFile, "symbolic link"}},
	{"new folder whose database is a link", planted(databaseFile), []string{databaseFile, "symbolic link"}},

	// no files
	{"a file, no folder", func(t *testing.T, cfg *Config) { put(t, cfg.DataDir, "x") }, []string{"is not a folder"}},
	{"master key is a folder", func(t *testing.T, cfg *Config) {
		installed(t, *cfg, databaseFile)
		folder(t, filepath.Join(cfg.DataDir, masterKeyFile))
	}, []string{masterKeyFile, "no plain file"}},
	{"lock is a pipe", func(t *testing.T, cfg *Config) {
		folder(t, cfg.DataDir)
		must(t, syscall.Mkfifo(filepath.Join(cfg.DataDir, lockFile), 0o600))
	}, []string{lockFile, "no plain file"}},

	// parts that are missing, and parts that came from elsewhere
	{"no master key", without(masterKeyFile), []string{"master key", "is missing", "from your backup", "nothing can be decrypted"}},
	{"no database", without(databaseFile), []string{"a master key but no database", "restore credence.db from your backup", "move master.key away"}},
	{"credentials alone", func(t *testing.T, cfg *Config) { installed(t, *cfg, credentialsFile) },
		[]string{"a credentials file but no database", "somebody else put it there", "move credentials away"}},
	{"planted credentials", func(t *testing.T, cfg *Config) {
		folder(t, cfg.DataDir)
		put(t, filepath.Join(cfg.DataDir, credentialsFile), "[default]\naws_access_key_id = AKIAPLANTED\naws_secret_access_key = planted\n")
	}, []string{"a credentials file but no database", "somebody else put it there"}},
	{"planted master key", func(t *testing.T, cfg *Config) {
		folder(t, cfg.DataDir)
		put(t, filepath.Join(cfg.DataDir, masterKeyFile), newKey(t))
	}, []string{"a master key but no database", "move master.key away"}},
	{"somebody's folder", func(t *testing.T, cfg *Config) {
		folder(t, cfg.DataDir)
		put(t, filepath.Join(cfg.DataDir, "thesis.tex"), "x")
	},
		[]string{"holds other things (thesis.tex)", "give a new or an empty folder"}},
	{"somebody's folder of folders", func(t *testing.T, cfg *Config) { folder(t, filepath.Join(cfg.DataDir, ".ssh")) },
		[]string{"holds other things (.ssh)", "give a new or an empty folder"}},
	{"a write-ahead log alone", func(t *testing.T, cfg *Config) {
		folder(t, cfg.DataDir)
		put(t, filepath.Join(cfg.DataDir, databaseFile+"-wal"), "planted")
	}, []string{"holds other things (credence.db-wal)"}},

	// keys that do not belong to the database
	{"wrong master key", content(masterKeyFile, newKey), []string{"does not open this database", "made with another one", "give that one"}},
	{"master key is noise", content(masterKeyFile, func(*testing.T) string { return "noise" }), []string{masterKeyFile, "is not a key file", "restore it from a backup"}},
	{"master key is empty", content(masterKeyFile, func(*testing.T) string { return "" }), []string{masterKeyFile, "is not a key file", "restore it from a backup"}},
	{"empty database", content(databaseFile, func(*testing.T) string { return "" }), []string{databaseFile, "is empty", "restore it from your backup"}},
	{"database is noise", content(databaseFile, func(*testing.T) string { return strings.Repeat("noise", 1000) }), []string{databaseFile, "not a database"}},
	{"database of another account", func(t *testing.T, cfg *Config) { installed(t, *cfg); cfg.AccountID = "210987654321" },
		[]string{"--account-id 210987654321", "was made for account 123456789012", "give that one"}},

	// a master key elsewhere
	{"key elsewhere is missing", elsewhere(func(t *testing.T, path string) { must(t, os.Remove(path)) }), []string{"key", "is missing", "from your backup"}},
	{"key elsewhere 0644", elsewhere(func(t *testing.T, path string) { must(t, os.Chmod(path, 0o644)) }), []string{"mode 0644", "chmod 600"}},
	{"key elsewhere of another user", elsewhere(give), []string{"belongs to another user", "chown"}},
	{"key elsewhere is a link", elsewhere(aside), []string{"symbolic link", "put the file itself there"}},
	{"key elsewhere 0644, new folder", func(t *testing.T, cfg *Config) {
		path := filepath.Join(t.TempDir(), "key")
		put(t, path, newKey(t))
		must(t, os.Chmod(path, 0o644))
		cfg.KEK = "file:" + path
	}, []string{"mode 0644", "chmod 600"}},
	{"key of another name 0644", renamedKey(func(t *testing.T, path string) { must(t, os.Chmod(path, 0o644)) }), []string{"own.key", "mode 0644", "chmod 600"}},
	{"key of another name of another user", renamedKey(give), []string{"own.key", "belongs to another user"}},
	{"key of another name is a link", renamedKey(aside), []string{"own.key", "symbolic link"}},
	{"key of another name is missing", renamedKey(func(t *testing.T, path string) { must(t, os.Remove(path)) }), []string{"own.key", "is missing"}},
	{"key of an unknown kind", func(t *testing.T, cfg *Config) { installed(t, *cfg); cfg.KEK = "abacus:key" }, []string{"abacus:", "file:PATH"}},
	{"key of an unknown kind, new folder", func(t *testing.T, cfg *Config) { cfg.KEK = "abacus:key" }, []string{"abacus:", "file:PATH"}},
	{"path that SQLite reads otherwise", func(t *testing.T, cfg *Config) { cfg.DataDir += "#1" }, []string{"--data-dir", "must not hold ?, # or %"}},
	{"key without a path, new folder", func(t *testing.T, cfg *Config) { cfg.KEK = "file:" }, []string{"file:", "file:PATH"}},
}

func foreign(name string) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) { installed(t, *cfg); give(t, filepath.Join(cfg.DataDir, name)) }
}

func mode(name string, perm os.FileMode) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) {
		installed(t, *cfg)
		must(t, os.Chmod(filepath.Join(cfg.DataDir, name), perm))
	}
}

func link(name string) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) { installed(t, *cfg); aside(t, filepath.Join(cfg.DataDir, name)) }
}

// planted is a new folder with a link that a careless start would write through.
func planted(name string) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) {
		folder(t, cfg.DataDir)
		must(t, os.Symlink("../victim", filepath.Join(cfg.DataDir, name)))
		put(t, filepath.Join(cfg.DataDir, "../victim"), "precious")
	}
}

func without(name string) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) {
		installed(t, *cfg)
		must(t, os.Remove(filepath.Join(cfg.DataDir, name)))
	}
}

func content(name string, text func(*testing.T) string) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) { installed(t, *cfg); put(t, filepath.Join(cfg.DataDir, name), text(t)) }
}

func elsewhere(spoil func(t *testing.T, path string)) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) {
		installed(t, *cfg)
		path := filepath.Join(t.TempDir(), "key")
		must(t, os.Rename(filepath.Join(cfg.DataDir, masterKeyFile), path))
		cfg.KEK = "file:" + path
		spoil(t, path)
	}
}

func renamedKey(spoil func(t *testing.T, path string)) func(*testing.T, *Config) {
	return func(t *testing.T, cfg *Config) {
		installed(t, *cfg)
		path := filepath.Join(cfg.DataDir, "own.key")
		must(t, os.Rename(filepath.Join(cfg.DataDir, masterKeyFile), path))
		cfg.KEK = "file:" + path
		spoil(t, path)
	}
}

func newKey(t *testing.T) string {
	t.Helper()
	k, err := vault.NewMasterKey()
	must(t, err)
	return string(k)
}

// Every program that opens an installation refuses what nobody may be served from, says how to mend it, and leaves it as it was.
func TestDataDirRefuses(t *testing.T) {
	programs := map[string]func(context.Context, Config) error{
		"serve": func(ctx context.Context, cfg Config) error {
			s, err := New(ctx, cfg)
			if err == nil {
				_ = s.Close()
			}
			return err
		},
		"reset-key": func(ctx context.Context, cfg Config) error { _, err := ResetKey(ctx, cfg); return err },
		"backup": func(ctx context.Context, cfg Config) error {
			return Backup(ctx, cfg, filepath.Join(cfg.DataDir, "../backup"), []string{recipient})
		},
	}
	for _, tc := range refusals {
		for program, run := range programs {
			if program == "backup" && tc.name == "database of another account" {
				continue // a backup has them all
			}
			t.Run(tc.name+"/"+program, func(t *testing.T) {
				t.Parallel()
				cfg := settings(t)
				tc.prepare(t, &cfg)
				root := filepath.Dir(filepath.Clean(cfg.DataDir))
				before := tree(t, root)
				err := run(t.Context(), cfg)
				if err == nil {
					t.Error("no error")
				} else if program == "serve" {
					for _, want := range tc.want {
						if !strings.Contains(err.Error(), want) {
							t.Errorf("the error does not say %q: %v", want, err)
						}
					}
				}
				if after := tree(t, root); after != before {
					t.Errorf("before:\n%safter:\n%s", before, after)
				}
			})
		}
		// doctor says the same without stopping at it, and without mending it.
		t.Run(tc.name+"/doctor", func(t *testing.T) {
			t.Parallel()
			cfg := settings(t)
			tc.prepare(t, &cfg)
			root := filepath.Dir(filepath.Clean(cfg.DataDir))
			before := tree(t, root)
			var said strings.Builder
			if err := cfg.Validate(); err != nil { // as the program does
				said.WriteString(err.Error() + "\n")
			}
			for _, f := range Examine(t.Context(), cfg) {
				if f.Err != nil && !f.Warning {
					said.WriteString(f.Err.Error() + "\n")
				}
			}
			for _, want := range tc.want {
				if !strings.Contains(said.String(), want) {
					t.Errorf("doctor does not say %q: %s", want, &said)
				}
			}
			if after := tree(t, root); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}
