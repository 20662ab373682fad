package server

import (
	"archive/tar"
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// backupKey opens what is encrypted to recipient.
var backupKey, _ = age.GenerateX25519Identity()
var recipient = backupKey.Recipient().String()

func identityFile(t *testing.T, id *age.X25519Identity) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity")
	put(t, path, "# a comment, as age-keygen writes one\n"+id.String()+"\n")
	return path
}

// sealed encrypts an archive to us, as anybody can who knows our public key.
func sealed(t *testing.T, entries ...[2]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	var out bytes.Buffer
	w, err := age.Encrypt(&out, backupKey.Recipient())
	must(t, err)
	archive := tar.NewWriter(w)
	for _, e := range entries {
		must(t, archive.WriteHeader(&tar.Header{Name: e[0], Mode: 0o644, Size: int64(len(e[1]))}))
		_, err := archive.Write([]byte(e[1]))
		must(t, err)
	}
	must(t, archive.Close())
	must(t, w.Close())
	put(t, path, out.String())
	return path
}

// rows are what a database holds, table by table.
func rows(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	list := func(query string) (lines []string) {
		found, err := db.QueryContext(t.Context(), query)
		must(t, err)
		defer func() { must(t, found.Close()) }()
		columns, err := found.Columns()
		must(t, err)
		for found.Next() {
			values := make([]sql.RawBytes, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			must(t, found.Scan(into...))
			lines = append(lines, fmt.Sprintf("%q", values))
		}
		must(t, found.Err())
		return lines
	}
	var out strings.Builder
	for _, table := range list(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`) {
		table = strings.Trim(table, `["]`)
		fmt.Fprintln(&out, table, list(`SELECT * FROM `+table+` ORDER BY 1, 2`))
	}
	if !strings.Contains(out.String(), "accounts [[") {
		t.Fatalf("%s has no account:\n%s", path, &out)
	}
	return out.String()
}

// A backup of a running server holds all that is needed to open it again, in no readable form, and restores to the same bytes.
func TestBackupAndRestore(t *testing.T) {
	for _, where := range []string{"in the folder", "elsewhere"} {
		t.Run("key "+where, func(t *testing.T) {
			cfg := settings(t)
			if where == "elsewhere" {
				cfg.KEK = "file:" + filepath.Join(t.TempDir(), "kek")
			}
			in := open(t, cfg)
			to := filepath.Join(t.TempDir(), "backup")
			before := tree(t, cfg.DataDir)
			must(t, Backup(t.Context(), cfg, to, []string{recipient}))
			if after := tree(t, cfg.DataDir); after != before {
				t.Errorf("a backup changed what it was made of:\n%safter:\n%s", before, after)
			}

			text := read(t, to)
			k := fileKey(t, in.first.Credentials)
			master := read(t, kekPath(cfg.kek()))
			for what, secret := range map[string]string{
				"administrator's key": k.secret, "its id": k.id, "master key": strings.TrimSpace(master), "a database": "SQLite format 3", "names of files": databaseFile,
			} {
				if strings.Contains(text, secret) {
					t.Errorf("%s in clear", what)
				}
			}
			if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}

			again := settings(t)
			if where == "elsewhere" {
				again.KEK = "file:" + filepath.Join(t.TempDir(), "kek of the other machine")
			}
			must(t, Restore(t.Context(), again, to, identityFile(t, backupKey)))
			for _, f := range []string{kekPath(again.kek()), filepath.Join(again.DataDir, credentialsFile), filepath.Join(again.DataDir, databaseFile)} {
				if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", f, info, err)
				}
			}
			if read(t, kekPath(again.kek())) != master {
				t.Error("another master key")
			}
			if read(t, filepath.Join(again.DataDir, credentialsFile)) != read(t, in.first.Credentials) {
				t.Error("other credentials")
			}
			if rows(t, filepath.Join(again.DataDir, databaseFile)) != rows(t, filepath.Join(cfg.DataDir, databaseFile)) {
				t.Error("other rows")
			}
			restored := open(t, again)
			if restored.first != nil {
				t.Error("a restored installation had a first start")
			}
			if !works(t, restored, k) {
				t.Error("the key does not work")
			}
		})
	}
}

// What is written since the backup began is in the next one; what was durable before is in this one, also while it rests in the write-ahead log.
func TestBackupHasWhatTheLogHas(t *testing.T) {
	cfg := settings(t)
	in := open(t, cfg)
	another, err := in.vault.CreateAccessKey(t.Context(), account, "admin", false)
	must(t, err)
	if info, err := os.Stat(filepath.Join(cfg.DataDir, databaseFile+"-wal")); err != nil || info.Size() == 0 {
		t.Fatalf("nothing is in the write-ahead log: %v", err)
	}
	to := filepath.Join(t.TempDir(), "backup")
	must(t, Backup(t.Context(), cfg, to, []string{recipient}))
	again := settings(t)
	must(t, Restore(t.Context(), again, to, identityFile(t, backupKey)))
	if !works(t, open(t, again), key{another.ID, another.Secret.Reveal()}) {
		t.Error("the newest key is not in the backup")
	}
}

func TestBackupRefuses(t *testing.T) {
	cfg := settings(t)
	installed(t, cfg)
	there := filepath.Join(t.TempDir(), "there")
	put(t, there, "precious")
	for _, tc := range []struct {
		name       string
		edit       func(*Config)
		to         string
		recipients []string
		want       string
	}{
		{"over a file", nil, there, []string{recipient}, "file exists"},
		{"to no folder", nil, filepath.Join(t.TempDir(), "no", "backup"), []string{recipient}, "no such file"},
		{"to nobody", nil, filepath.Join(t.TempDir(), "b"), nil, "recipient"},
		{"to a secret key", nil, filepath.Join(t.TempDir(), "b"), []string{backupKey.String()}, "--recipient is a secret key: give the public key"},
		{"to one that is none", nil, filepath.Join(t.TempDir(), "b"), []string{recipient, "age1oops"}, `"age1oops" is not an age public key`},
		{"of nothing", func(c *Config) { c.DataDir += "-not" }, filepath.Join(t.TempDir(), "b"), []string{recipient}, "no database to back up"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := cfg
			if tc.edit != nil {
				tc.edit(&c)
			}
			before := tree(t, filepath.Dir(cfg.DataDir))
			err := Backup(t.Context(), c, tc.to, tc.recipients)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), backupKey.String()) {
				t.Error("the error shows a secret key")
			}
			if after := tree(t, filepath.Dir(cfg.DataDir)); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			if absent, _ := missing(tc.to); !absent && tc.to != there {
				t.Error("a backup was left")
			}
		})
	}
	if read(t, there) != "precious" {
		t.Error("it was overwritten")
	}
}

// A restore writes to new folders only, takes nothing but what a backup has, and calls done only what can be served.
func TestRestoreRefuses(t *testing.T) {
	source := settings(t)
	installed(t, source)
	good := filepath.Join(t.TempDir(), "good")
	must(t, Backup(t.Context(), source, good, []string{recipient}))
	files, err := stopped()
	must(t, err)
	file := func(name string) [2]string { return [2]string{name, string(files[name])} }

	stranger, err := age.GenerateX25519Identity()
	must(t, err)
	mine := identityFile(t, backupKey)
	cut := filepath.Join(t.TempDir(), "cut")
	put(t, cut, read(t, good)[:len(read(t, good))/2])
	flipped := []byte(read(t, good))
	flipped[len(flipped)/2] ^= 1
	broken := filepath.Join(t.TempDir(), "broken")
	put(t, broken, string(flipped))

	for _, tc := range []struct {
		name           string
		prepare        func(t *testing.T, cfg *Config)
		from, identity string
		want           string
		untouched      bool // nothing is written at all; else a mark is left, and nobody is served
	}{
		{"over an installation", func(t *testing.T, cfg *Config) { installed(t, *cfg) }, good, mine, "has a database already: restore to a new folder", true},
		{"over a lone master key", func(t *testing.T, cfg *Config) { installed(t, *cfg, masterKeyFile) }, good, mine, "a master key but no database", true},
		{"over somebody's files", func(t *testing.T, cfg *Config) {
			folder(t, cfg.DataDir)
			put(t, filepath.Join(cfg.DataDir, "thesis"), "x")
		}, good, mine, "holds other things", true},
		{"into an open folder", func(t *testing.T, cfg *Config) { folder(t, cfg.DataDir); must(t, os.Chmod(cfg.DataDir, 0o755)) }, good, mine, "chmod 700", true},
		{"with another's key", nil, good, identityFile(t, stranger), "cannot be opened with", true},
		{"with no key", nil, good, good, "is not a file of age secret keys", true},
		{"of no backup", nil, mine, mine, "cannot be opened with", true},
		{"of half a backup", nil, cut, mine, "failed to decrypt", false},
		{"of a broken backup", nil, broken, mine, "failed to decrypt", false},
		{"of an empty archive", nil, sealed(t), mine, "holds no database", false},
		{"without a database", nil, sealed(t, file(masterKeyFile)), mine, "holds no database", false},
		{"with an empty database", nil, sealed(t, file(masterKeyFile), [2]string{databaseFile, ""}), mine, "no database", false},
		{"without a master key", nil, sealed(t, file(databaseFile)), mine, "master key", false},
		{"with another master key", nil, sealed(t, file(databaseFile), [2]string{masterKeyFile, newKey(t)}), mine, "made with another one", false},
		{"that writes elsewhere", nil, sealed(t, file(databaseFile), [2]string{"../victim", "x"}), mine, `"../victim", which no backup has`, false},
		{"that plants a file", nil, sealed(t, file(databaseFile), [2]string{"authorized_keys", "x"}), mine, "which no backup has", false},
		{"that writes twice", nil, sealed(t, file(databaseFile), file(databaseFile)), mine, "file exists", false},
		{"that takes the mark away", nil, sealed(t, file(databaseFile), [2]string{beginningFile, "x"}), mine, "which no backup has", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := settings(t)
			if tc.prepare != nil {
				tc.prepare(t, &cfg)
			}
			root := filepath.Dir(cfg.DataDir)
			before := tree(t, root)
			err := Restore(t.Context(), cfg, tc.from, tc.identity)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if tc.untouched {
				if after := tree(t, root); after != before {
					t.Errorf("before:\n%safter:\n%s", before, after)
				}
				return
			}
			if entries, _ := os.ReadDir(root); len(entries) != 1 {
				t.Errorf("it wrote beside the data directory: %v", entries)
			}
			if err := finished(cfg.DataDir); err == nil {
				t.Error("it is taken for an installation")
			}
			must(t, Restore(t.Context(), cfg, good, mine)) // the right one may follow
			if !works(t, open(t, cfg), fileKey(t, filepath.Join(cfg.DataDir, credentialsFile))) {
				t.Error("the key does not work")
			}
		})
	}
}

// The archive holds these files and no others, each for its owner alone.
func TestBackupHolds(t *testing.T) {
	cfg := settings(t)
	installed(t, cfg)
	to := filepath.Join(t.TempDir(), "backup")
	must(t, Backup(t.Context(), cfg, to, []string{recipient}))
	opened, err := age.Decrypt(strings.NewReader(read(t, to)), backupKey)
	must(t, err)
	var names []string
	for archive := tar.NewReader(opened); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		if h.Mode != 0o600 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "credence.db master.key credentials" {
		t.Errorf("it holds %s", got)
	}
}
