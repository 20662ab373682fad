package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"credence/internal/audit"
	"credence/internal/testpostgres"
)

// Every table is copied, and read in the order of its primary key.
func TestCopyKnowsEveryTable(t *testing.T) {
	s := open(t)
	names, err := readAll(t.Context(), s, func(r scanner) (n string, err error) { return n, r.Scan(&n) },
		`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%' ORDER BY name`)
	must(t, err)
	var known []string
	for _, tab := range tables {
		known = append(known, tab.name)
		key, err := readAll(t.Context(), s, func(r scanner) (n string, err error) { return n, r.Scan(&n) },
			`SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk`, tab.name)
		must(t, err)
		same(t, tab.key, key)
	}
	slices.Sort(known)
	same(t, known, names)
}

func empty(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// fill puts rows of every kind into a new store, among them empty, large and unusual values.
func fill(t *testing.T, s *Store, grants int) {
	t.Helper()
	must(t, s.InsertMeta("key_check", []byte("sealed")))
	must(t, s.PutUserPolicy(alpha, "admin", "all", "{}", noon))
	must(t, s.InsertAccessKey(AccessKey{ID: "AKIAONE", Account: alpha, User: "admin", Secret: []byte{0, 255}, Active: true, CreatedAt: noon}, false))
	_, err := s.InsertRole(Role{Account: alpha, Name: "agent", TrustPolicy: "{}", MaxSession: time.Hour, Tags: map[string]string{"k": "ü"}, CreatedAt: noon, UpdatedAt: noon})
	must(t, err)
	_, err = s.PutTrustedIssuer(TrustedIssuer{alpha, "https://idp/é", []string{"a"}, []string{"tid", "oid"}, noon})
	must(t, err)
	_, err = s.PutTrustBundle(TrustBundle{alpha, "acme.example", []byte{48, 0}, noon, noon})
	must(t, err)
	must(t, s.InsertIssuerKey(issuerKey(alpha, "RS256", 1), false))
	w, p := withParents(t, s)
	for _, name := range []string{"B", "a", "_", "ä", "Z-1", "z.1"} {
		extra := workload(beta, name)
		extra.CompleteBySessionURI = name == "a"
		must(t, s.InsertWorkload(extra, Tags{"r/" + name, map[string]string{"k": "", "ü": "v"}}))
	}
	must(t, s.InsertSession(session(w, p, "s1")))
	_, err = s.AcquireLease(alpha, "x", 1)
	must(t, err)
	must(t, s.AppendAudit([]audit.Batch{{Account: alpha, ID: "1", Time: noon, Events: []byte("e\n")}}))
	const many = 1000
	for n := 0; n < grants; n += many {
		must(t, s.write(func(tx *tx) error {
			for i := n; i < min(grants, n+many); i++ {
				g := grant(w, p, fmt.Sprintf("k%d", i))
				if i%3 == 0 {
					g.RefreshToken, g.UserName = nil, nil
				}
				if _, err := tx.putGrant(g); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

var copyGrants = flag.Int("copy-grants", 3000, "how many grants TestCopyOfManyGrants copies")

// Many grants, there and back again: nothing is lost or changed.
func TestCopyOfManyGrants(t *testing.T) {
	from := open(t)
	fill(t, from, *copyGrants)
	on, back := empty(t, Config{URL: testpostgres.Database(t)}), empty(t, Config{Path: filepath.Join(t.TempDir(), "back.db")})
	for _, way := range []struct {
		name     string
		from, to *Store
	}{{"SQLite to PostgreSQL", from, on}, {"PostgreSQL to SQLite", on, back}} {
		start, grants := time.Now(), 0
		must(t, way.from.Copy(t.Context(), way.to, func(table string, rows int) {
			if table == "grants" {
				grants += rows
			}
		}))
		if grants != *copyGrants {
			t.Errorf("%s: %d grants copied of %d", way.name, grants, *copyGrants)
		}
		t.Logf("%s: %d grants in %s", way.name, grants, time.Since(start).Round(time.Millisecond))
	}
	must(t, from.same(t.Context(), back))
	n, digest, err := back.digest(t.Context(), table{"grants", []string{"account", "grant_key"}})
	must(t, err)
	t.Logf("SQLite and its copy compare equal: %d grants, SHA-256 %x", n, digest)
}

// There and back again, nothing is lost or changed, wherever the copy was broken off in between.
func TestCopy(t *testing.T) {
	ctx := t.Context()
	from := open(t)
	fill(t, from, 2*copyRows+copyRows/2)
	on := empty(t, Config{URL: testpostgres.Database(t)})

	broken := errors.New("broken off")
	for stop := 1; ; stop++ {
		batches := 0
		err := func() (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = r.(error)
				}
			}()
			return from.Copy(ctx, on, func(string, int) {
				if batches++; batches == stop {
					panic(broken)
				}
			})
		}()
		if err == nil {
			break
		}
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if err := on.Whole(ctx); !errors.Is(err, ErrHalfCopy) {
			t.Fatalf("broken off after %d batches, the copy calls itself whole: %v", stop, err)
		}
	}
	must(t, on.Whole(ctx))
	back := empty(t, Config{Path: filepath.Join(t.TempDir(), "back.db")})
	must(t, on.Copy(ctx, back, func(string, int) {}))
	must(t, from.same(ctx, back))
	for _, s := range []*Store{on, back} {
		g, err := s.Grant(ctx, alpha, "k1")
		must(t, err)
		original, err := from.Grant(ctx, alpha, "k1")
		must(t, err)
		same(t, g, original)
	}
}

func TestCopyFindsWhatDiffers(t *testing.T) {
	ctx := context.Background()
	for name, change := range map[string]func(*tx) error{
		"a row more": func(t *tx) error { return t.exec(`INSERT INTO meta (name, value) VALUES ('x', $1)`, []byte{1}) },
		"a row less": func(t *tx) error { return t.exec(`DELETE FROM grants WHERE grant_key = 'k1'`) },
		"another value": func(t *tx) error {
			return t.exec(`UPDATE grants SET access_token = $1 WHERE grant_key = 'k1'`, []byte("x"))
		},
		"another flag": func(t *tx) error {
			return t.exec(`UPDATE workload_identities SET complete_by_session_uri = $1 WHERE name = 'a'`, false)
		},
		"NULL": func(t *tx) error { return t.exec(`UPDATE grants SET refresh_token = NULL WHERE grant_key = 'k1'`) },
	} {
		t.Run(name, func(t *testing.T) {
			from := open(t)
			fill(t, from, 3)
			to := empty(t, Config{URL: testpostgres.Database(t)})
			err := from.Copy(ctx, to, func(table string, _ int) {
				if table == "audit_batches" { // the last
					must(t, to.write(change))
				}
			})
			if err == nil {
				t.Error("the copy is told to be the same")
			}
			if err := to.Whole(ctx); !errors.Is(err, ErrHalfCopy) {
				t.Errorf("and whole: %v", err)
			}
		})
	}
}

// A database in use, or half a copy of another one, is not written to.
func TestCopyOverNothing(t *testing.T) {
	ctx := t.Context()
	from, other := open(t), open(t)
	fill(t, from, 3)
	if err := from.Copy(ctx, other, func(string, int) {}); err == nil {
		t.Error("copied over a database in use")
	}
	if err := other.Copy(ctx, empty(t, Config{Path: filepath.Join(t.TempDir(), "x.db")}), func(string, int) {}); err == nil {
		t.Error("copied what is no installation")
	}
	half := empty(t, Config{Path: filepath.Join(t.TempDir(), "half.db")})
	must(t, half.InsertMeta(copying, []byte("of another")))
	if err := from.Copy(ctx, half, func(string, int) {}); err == nil {
		t.Error("went on with the copy of another database")
	}
}
