package server

import (
	"bytes"
	"database/sql"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"credence/internal/audit"
	"credence/internal/store"
)

// ill are the findings that are not well, one line each, of a look that changes nothing.
func ill(t *testing.T, cfg Config) []string {
	t.Helper()
	before := tree(t, filepath.Dir(cfg.DataDir))
	lines := look(t, cfg)
	if after := tree(t, filepath.Dir(cfg.DataDir)); after != before {
		t.Errorf("a look changed something\nbefore:\n%safter:\n%s", before, after)
	}
	return lines
}

func look(t *testing.T, cfg Config) (lines []string) {
	t.Helper()
	for _, f := range Examine(t.Context(), cfg) {
		if f.Err == nil {
			continue
		}
		kind := "✗ "
		if f.Warning {
			kind = "! "
		}
		lines = append(lines, kind+f.What+": "+f.Err.Error())
	}
	return lines
}

// finds expects exactly these findings, by words that each has.
func finds(t *testing.T, got []string, want ...[]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d: %q", len(got), len(want), got)
	}
	for i, words := range want {
		for _, word := range words {
			if !strings.Contains(got[i], word) {
				t.Errorf("%q does not say %q", got[i], word)
			}
		}
	}
}

// A look at an installation finds what is wrong and nothing else, running or not, and leaves all as it is.
func TestExamine(t *testing.T) {
	away := []string{"! public URL: nothing answers at http://", "start credence serve, or give the right --public-url"}

	t.Run("a running server", func(t *testing.T) {
		cfg := settings(t)
		s, _ := run(t, cfg)
		cfg.PublicURL = s.URL()
		finds(t, look(t, cfg)) // which asks it whether it is ready, so it writes
	})
	t.Run("a stopped server", func(t *testing.T) {
		cfg := settings(t)
		installed(t, cfg)
		cfg.PublicURL = "http://" + freeAddress(t)
		finds(t, ill(t, cfg), away)
	})
	t.Run("nothing yet", func(t *testing.T) {
		finds(t, ill(t, settings(t)), []string{"! data directory", "has no database yet: credence serve makes it"})
	})
	t.Run("unfinished", func(t *testing.T) {
		cfg := settings(t)
		installed(t, cfg)
		put(t, filepath.Join(cfg.DataDir, beginningFile), "")
		finds(t, ill(t, cfg), []string{"✗ data directory", "is unfinished", "run that again"})
	})
	t.Run("credentials moved away", func(t *testing.T) {
		cfg := settings(t)
		installed(t, cfg)
		must(t, os.Remove(filepath.Join(cfg.DataDir, credentialsFile)))
		cfg.PublicURL = "http://" + freeAddress(t)
		finds(t, ill(t, cfg), []string{"! credentials", "if nobody has it", "credence admin reset-key"}, away)
	})
	t.Run("a clock that was set back", func(t *testing.T) {
		cfg := settings(t)
		installed(t, cfg)
		st, err := store.Open(t.Context(), store.Config{Path: filepath.Join(cfg.DataDir, databaseFile)})
		must(t, err)
		must(t, st.AppendAudit([]audit.Batch{{Account: account, ID: "01900000-0000-7000-8000-000000000000", Time: time.Now().Add(time.Hour), Events: []byte("{}\n")}}))
		must(t, st.Close())
		cfg.PublicURL = "http://" + freeAddress(t)
		finds(t, ill(t, cfg), []string{"✗ clock", "behind what the database has seen", "timedatectl"}, away)
	})
	t.Run("another program at the URL", func(t *testing.T) {
		cfg := settings(t)
		installed(t, cfg)
		cfg.PublicURL = answering(t, http.NotFound)
		finds(t, ill(t, cfg), []string{"! public URL", "/readyz answered 404", "the proxy if there is one"})
	})
	t.Run("another clock at the URL", func(t *testing.T) {
		cfg := settings(t)
		installed(t, cfg)
		cfg.PublicURL = answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
		})
		finds(t, ill(t, cfg), []string{"! public URL", "the clock there differs by 10m", "synchronise both"})
	})
}

// freeAddress is one where nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

// answering serves for the test's lifetime and gives the URL.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// A database that no first start of ours has made is not taken for a new one: a key would be bound to it, and its vault be empty.
func TestForeignDatabase(t *testing.T) {
	cfg := settings(t)
	installed(t, cfg, masterKeyFile)
	path := filepath.Join(cfg.DataDir, databaseFile)
	db, err := sql.Open("sqlite3", "file:"+path)
	must(t, err)
	_, err = db.Exec(`CREATE TABLE bookmarks (url TEXT)`)
	must(t, err)
	must(t, db.Close())
	must(t, os.Chmod(path, 0o600))

	before, err := os.ReadFile(path)
	must(t, err)
	for range 2 {
		_, err := New(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), "is no database of Credence: restore it from your backup") {
			t.Errorf("%v", err)
		}
		if absent, err := missing(filepath.Join(cfg.DataDir, credentialsFile)); err != nil || !absent {
			t.Errorf("credentials were made: %v", err)
		}
	}
	_ = Examine(t.Context(), cfg)
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("it was written to")
	}
}

// A reset ends every key of the administrator, and nobody else's, and puts the new one where the old one was.
func TestResetKey(t *testing.T) {
	cfg := settings(t)
	installed(t, cfg)
	credentials := filepath.Join(cfg.DataDir, credentialsFile)
	old := fileKey(t, credentials)
	in := begin(t, cfg)
	user, err := in.vault.CreateAccessKey(t.Context(), account, "agent", false)
	must(t, err)
	second, err := in.vault.CreateAccessKey(t.Context(), account, "admin", false)
	must(t, err)
	must(t, in.close())
	master := read(t, filepath.Join(cfg.DataDir, masterKeyFile))

	for _, there := range []bool{true, false} {
		if !there {
			must(t, os.Remove(credentials))
		}
		put(t, credentials+".new", "left by a reset that a crash ended")
		made, err := ResetKey(t.Context(), cfg)
		must(t, err)
		if made.Account != account || made.Credentials != credentials {
			t.Errorf("%+v", made)
		}
		fresh := fileKey(t, credentials)
		if info, err := os.Stat(credentials); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		if absent, _ := missing(credentials + ".new"); !absent {
			t.Error("it left a file behind")
		}
		in := begin(t, cfg)
		for name, k := range map[string]struct {
			key
			want bool
		}{
			"first": {old, false}, "second": {key{second.ID, second.Secret.Reveal()}, false}, "user's": {key{user.ID, user.Secret.Reveal()}, true}, "new": {fresh, true},
		} {
			if works(t, in, k.key) != k.want {
				t.Errorf("the %s key works: %v", name, !k.want)
			}
		}
		must(t, in.close())
		old = fresh
	}
	if read(t, filepath.Join(cfg.DataDir, masterKeyFile)) != master {
		t.Error("the master key was changed")
	}
}

func TestResetKeyMakesNoInstallation(t *testing.T) {
	cfg := settings(t)
	if _, err := ResetKey(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "has no database: start credence serve first") {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(cfg.DataDir)); len(entries) > 0 {
		t.Errorf("it made %v", entries)
	}
	cfg.Region = "us-east-1\naws_session_token = x"
	installed(t, cfg)
	before := tree(t, cfg.DataDir)
	if _, err := ResetKey(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--region") {
		t.Errorf("%v", err)
	}
	if after := tree(t, cfg.DataDir); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}
