package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/torchwood"
	"github.com/google/go-cmp/cmp"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/testpostgres"
)

const (
	alpha = "111111111111"
	beta  = "222222222222"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123e6, time.UTC)

// opener opens a new store with two accounts.
type opener func(*testing.T) *Store

// onEachEngine runs a test on every engine: what a row does, it does everywhere.
func onEachEngine(t *testing.T, test func(*testing.T, opener)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, open) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, openOnPostgres) })
}

func open(t *testing.T) *Store {
	t.Helper()
	return opened(t, Config{Path: filepath.Join(t.TempDir(), "credence.db")})
}

func openOnPostgres(t *testing.T) *Store {
	t.Helper()
	return opened(t, Config{URL: testpostgres.Database(t)})
}

func opened(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, account := range []string{alpha, beta} {
		must(t, s.InsertAccount(account, noon, []Keyset{{Purpose: "rows", ID: "r", Sealed: []byte(account)}, {Purpose: PurposeTokens, ID: "t", Sealed: []byte("tokens of " + account)}}))
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func workload(account, name string) Workload {
	return Workload{Account: account, Name: name, Incarnation: "w-" + account + name, ReturnURLs: []string{"https://a/b?c=d", "x:y"}, CreatedAt: noon, UpdatedAt: noon}
}

func oauth2Provider(account, name string) OAuth2Provider {
	return OAuth2Provider{Account: account, Name: name, Incarnation: "p-" + account + name, Generation: "g1", CallbackID: "cb-" + account + name,
		Vendor: "CustomOauth2", Config: `{"a":1}`, ClientSecret: []byte{0, 1, 255}, CreatedAt: noon, UpdatedAt: noon, Version: 1}
}

func grant(w Workload, p OAuth2Provider, key string) Grant {
	return Grant{Account: w.Account, Key: key, Flow: "USER_FEDERATION", Workload: w.Name, WorkloadIncarnation: w.Incarnation, Provider: p.Name,
		ProviderIncarnation: p.Incarnation, Generation: p.Generation, UserKey: "u", Keyset: "t", UserName: []byte("sealed name"), AccessToken: []byte("sealed access"),
		RefreshToken: []byte("sealed refresh"), ProofKey: []byte("sealed key"), TokenType: "Bearer", AskedScopes: []string{"a b", "c"}, GrantedScopes: []string{"c"}, TokenScopes: []string{}, Resources: []string{"r"}, Audiences: []string{}, State: GrantActive,
		ObtainedAt: noon, ExpiresAt: noon.Add(time.Hour), CreatedAt: noon, Version: 1}
}

func session(w Workload, p OAuth2Provider, id string) Session {
	return Session{Account: w.Account, ID: id, Workload: w.Name, WorkloadIncarnation: w.Incarnation, Provider: p.Name, ProviderIncarnation: p.Incarnation,
		Generation: p.Generation, UserKey: "u", GrantKey: "k", ReturnURL: "https://a/b", Keyset: "t", Request: []byte("sealed"), State: SessionPending,
		CreatedAt: noon, ExpiresAt: noon.Add(10 * time.Minute), Version: 1}
}

// The settings that durability and secrecy rest on hold on every connection, and nobody can write through a reader.
func TestSQLiteSettings(t *testing.T) {
	s := open(t)
	for pragma, value := range map[string]string{"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "foreign_keys": "1"} {
		var got string
		must(t, s.writer.QueryRow("PRAGMA "+pragma).Scan(&got))
		if got != value {
			t.Errorf("writer: %s = %s, want %s", pragma, got, value)
		}
	}
	var wg sync.WaitGroup
	for range 8 { // more than there are reader connections
		wg.Go(func() {
			if _, err := s.reader.Exec(`INSERT INTO meta (name, value) VALUES ('x', x'00')`); err == nil {
				t.Error("a reader wrote")
			}
		})
	}
	wg.Wait()
}

func TestOpenRefusesWhatItCannotKeep(t *testing.T) {
	if _, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "missing", "credence.db")}); err == nil {
		t.Error("opened a database in a folder that does not exist")
	}
	path := filepath.Join(t.TempDir(), "credence.db")
	must(t, os.WriteFile(path, []byte("this is no database, but it is long enough to be read as one, or so it hopes...............................\n"), 0o600))
	if _, err := Open(t.Context(), Config{Path: path}); err == nil {
		t.Error("opened a text file")
	}
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credence.db")
	s, err := Open(t.Context(), Config{Path: path})
	must(t, err)
	must(t, s.write(func(t *tx) error {
		return t.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 9999, true)
	}))
	must(t, s.Close())
	if _, err := Open(t.Context(), Config{Path: path}); err == nil {
		t.Error("a newer schema was opened")
	}
}

// Parameters mean their number, in whatever order the text has them.
func TestParametersAreNumbered(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		two, err := readOne(t.Context(), s, func(r scanner) (v [2]string, err error) { return v, r.Scan(&v[0], &v[1]) }, `SELECT $2, $1`, "one", "two")
		must(t, err)
		same(t, two, [2]string{"two", "one"})
	})
}

func TestWritesOfConcurrentCallersAreApart(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		boom := errors.New("boom")
		var wg sync.WaitGroup
		for n := range 200 {
			wg.Go(func() {
				err := s.write(func(t *tx) error {
					if err := t.exec(`INSERT INTO meta (name, value) VALUES ($1, $2)`, fmt.Sprintf("k%03d", n), []byte{1}); err != nil {
						return err
					}
					if n%3 == 0 {
						return boom
					}
					return nil
				})
				if (n%3 == 0) != errors.Is(err, boom) {
					t.Errorf("write %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		for n := range 200 {
			_, err := s.Meta(t.Context(), fmt.Sprintf("k%03d", n))
			if n%3 == 0 {
				want(t, err, fault.NotFound)
			} else {
				must(t, err)
			}
		}
	})
}

func TestAccountsKeysetsAndKeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		want(t, s.InsertAccount(alpha, noon, nil), fault.Conflict)
		accounts, err := s.Accounts(ctx)
		must(t, err)
		same(t, accounts, []string{alpha, beta})
		k, err := s.Keyset(ctx, beta, "rows")
		must(t, err)
		same(t, k, Keyset{beta, "rows", "r", "", []byte(beta), 1})
		_, err = s.Keyset(ctx, beta, "other")
		want(t, err, fault.NotFound)

		must(t, s.InsertMeta("m", []byte{7}))
		want(t, s.InsertMeta("m", []byte{8}), fault.Conflict)
		v, err := s.Meta(ctx, "m")
		must(t, err)
		same(t, v, []byte{7})
	})
}

func TestTrustedIssuers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		i := TrustedIssuer{alpha, "https://idp", []string{"a"}, []string{"sub"}, noon}
		put, err := s.PutTrustedIssuer(i)
		must(t, err)
		same(t, put, i)
		for _, test := range []struct{ put, then []string }{{[]string{"tid", "oid"}, []string{"tid", "oid"}}, {nil, []string{"tid", "oid"}}, {[]string{"sub"}, []string{"sub"}}} {
			put, err := s.PutTrustedIssuer(TrustedIssuer{alpha, "https://idp", []string{"a"}, test.put, noon}) // who does not name claims does not change them
			must(t, err)
			same(t, put.UserKeyClaims, test.then)
		}
		put, err = s.PutTrustedIssuer(TrustedIssuer{beta, "https://new", []string{"a"}, nil, noon})
		must(t, err)
		same(t, put.UserKeyClaims, []string{"sub"})
		i.Audiences = []string{"b", "c"}
		again := i
		again.CreatedAt = noon.Add(time.Hour) // the first time counts
		put, err = s.PutTrustedIssuer(again)
		must(t, err)
		same(t, put, i)
		got, err := s.TrustedIssuer(ctx, alpha, "https://idp")
		must(t, err)
		same(t, got, i)
		_, err = s.TrustedIssuer(ctx, beta, "https://idp")
		want(t, err, fault.NotFound)
		all, err := s.TrustedIssuers(ctx, alpha)
		must(t, err)
		same(t, all, []TrustedIssuer{i})
		want(t, s.DeleteTrustedIssuer(beta, "https://idp"), fault.NotFound)
		must(t, s.DeleteTrustedIssuer(alpha, "https://idp"))
		want(t, s.DeleteTrustedIssuer(alpha, "https://idp"), fault.NotFound)
	})
}

func TestWorkloads(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		w := workload(alpha, "agent")
		must(t, s.InsertWorkload(w, Tags{"r/agent", map[string]string{"team": "x"}}))
		want(t, s.InsertWorkload(w, Tags{}), fault.Conflict)
		must(t, s.InsertWorkload(workload(beta, "agent"), Tags{}))
		got, err := s.Workload(ctx, alpha, "agent")
		must(t, err)
		same(t, got, w)

		w.ReturnURLs, w.CompleteBySessionURI, w.UpdatedAt = []string{}, true, noon.Add(time.Second)
		must(t, s.UpdateWorkload(w))
		got, err = s.Workload(ctx, alpha, "agent")
		must(t, err)
		same(t, got, w)
		other := w
		other.Incarnation = "another"
		want(t, s.UpdateWorkload(other), fault.NotFound)

		want(t, s.DeleteWorkload(alpha, "nobody", "r/nobody"), fault.NotFound)
		must(t, s.DeleteWorkload(alpha, "agent", "r/agent"))
		_, err = s.Workload(ctx, alpha, "agent")
		want(t, err, fault.NotFound)
		tags, err := s.Tags(ctx, alpha, "r/agent")
		must(t, err)
		same(t, tags, map[string]string{})
		_, err = s.Workload(ctx, beta, "agent")
		must(t, err)
	})
}

// Pages come in byte order, whole, and of one account only.
func TestPages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		names := []string{"B", "a", "-x", "Z", "_y", "b", "a.a", "0"}
		for _, n := range names {
			must(t, s.InsertWorkload(workload(alpha, n), Tags{}))
			must(t, s.InsertWorkload(workload(beta, n+"-beta"), Tags{}))
			must(t, s.InsertOAuth2Provider(oauth2Provider(alpha, n), "default", Tags{}))
			must(t, s.InsertAPIKeyProvider(APIKeyProvider{Account: alpha, Name: n, APIKey: []byte{1}, CreatedAt: noon, UpdatedAt: noon}, "default", Tags{}))
			must(t, s.InsertPaymentProvider(PaymentProvider{Account: alpha, Name: n, Config: "{}", Secret: []byte{1}, CreatedAt: noon, UpdatedAt: noon}, "default", Tags{}))
		}
		slices.Sort(names)
		for kind, list := range map[string]func(Page) ([]string, bool, error){
			"workloads": func(p Page) (out []string, more bool, err error) {
				rows, more, err := s.Workloads(ctx, alpha, p)
				for _, r := range rows {
					out = append(out, r.Name)
				}
				return out, more, err
			},
			"oauth2": func(p Page) (out []string, more bool, err error) {
				rows, more, err := s.OAuth2Providers(ctx, alpha, p)
				for _, r := range rows {
					out = append(out, r.Name)
				}
				return out, more, err
			},
			"apikey": func(p Page) (out []string, more bool, err error) {
				rows, more, err := s.APIKeyProviders(ctx, alpha, p)
				for _, r := range rows {
					out = append(out, r.Name)
				}
				return out, more, err
			},
			"payment": func(p Page) (out []string, more bool, err error) {
				rows, more, err := s.PaymentProviders(ctx, alpha, p)
				for _, r := range rows {
					out = append(out, r.Name)
				}
				return out, more, err
			},
		} {
			t.Run(kind, func(t *testing.T) {
				for _, limit := range []int{1, 3, 8, 20} {
					var all []string
					for p := (Page{Limit: limit}); ; p.After = all[len(all)-1] {
						page, more, err := list(p)
						must(t, err)
						if len(page) > limit {
							t.Fatalf("a page of %d, asked for %d", len(page), limit)
						}
						all = append(all, page...)
						if !more {
							break
						}
					}
					same(t, all, names)
				}
			})
		}
	})
}

func withParents(t *testing.T, s *Store) (Workload, OAuth2Provider) {
	t.Helper()
	w, p := workload(alpha, "agent"), oauth2Provider(alpha, "gh")
	must(t, s.InsertWorkload(w, Tags{}))
	must(t, s.InsertOAuth2Provider(p, "default", Tags{}))
	return w, p
}

func TestDeletesCascade(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		for _, what := range []string{"workload", "provider"} {
			t.Run(what, func(t *testing.T) {
				s, ctx := open(t), t.Context()
				w, p := withParents(t, s)
				_, err := s.PutGrant(grant(w, p, "k"))
				must(t, err)
				must(t, s.InsertSession(session(w, p, "s")))
				otherW, otherP := workload(alpha, "other"), oauth2Provider(alpha, "other")
				must(t, s.InsertWorkload(otherW, Tags{}))
				must(t, s.InsertOAuth2Provider(otherP, "default", Tags{}))
				_, err = s.PutGrant(grant(otherW, otherP, "other"))
				must(t, err)
				if what == "workload" {
					must(t, s.DeleteWorkload(alpha, "agent", ""))
				} else {
					must(t, s.DeleteOAuth2Provider(alpha, "gh", ""))
				}
				_, err = s.Grant(ctx, alpha, "k")
				want(t, err, fault.NotFound)
				_, err = s.Session(ctx, "s")
				want(t, err, fault.NotFound)
				_, err = s.Grant(ctx, alpha, "other")
				must(t, err)
			})
		}
	})
}

func TestSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		w, p := withParents(t, s)
		n := session(w, p, "s1")
		must(t, s.InsertSession(n))
		got, err := s.Session(ctx, "s1")
		must(t, err)
		same(t, got, n)

		n.State, n.CompletionID, n.Code = SessionAuthorized, "c1", []byte("sealed code")
		version, err := s.UpdateSession(n)
		must(t, err)
		_, err = s.UpdateSession(n) // the second of two callbacks
		want(t, err, fault.ConcurrentModification)
		n.Version = version
		got, err = s.SessionByCompletion(ctx, alpha, "c1")
		must(t, err)
		same(t, got, n)
		_, err = s.SessionByCompletion(ctx, beta, "c1")
		want(t, err, fault.NotFound)

		n.State, n.Code = SessionCompleted, nil
		_, err = s.CompleteSession(n, grant(w, p, "k"))
		must(t, err)
		_, err = s.CompleteSession(n, grant(w, p, "k"))
		want(t, err, fault.ConcurrentModification)
		g, err := s.Grant(ctx, alpha, "k")
		must(t, err)
		if g.Version != 1 {
			t.Errorf("the grant was written %d times", g.Version)
		}
	})
}

func TestLeaseHasOneHolder(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		var mu sync.Mutex
		var held []Lease
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				l, err := s.AcquireLease(alpha, "refresh/k", time.Minute)
				if err == nil {
					mu.Lock()
					held = append(held, l)
					mu.Unlock()
				} else if !errors.Is(err, fault.ConcurrentModification) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(held) != 1 {
			t.Fatalf("%d of 32 hold the lease", len(held))
		}
		_, err := s.AcquireLease(beta, "refresh/k", time.Minute)
		must(t, err)
		must(t, s.ReleaseLease(Lease{Account: alpha, Name: "refresh/k", Fence: held[0].Fence - 1})) // not ours
		_, err = s.AcquireLease(alpha, "refresh/k", time.Minute)
		want(t, err, fault.ConcurrentModification)
		must(t, s.ReleaseLease(held[0]))
		next, err := s.AcquireLease(alpha, "refresh/k", time.Minute)
		must(t, err)
		if next.Fence <= held[0].Fence {
			t.Errorf("fence %d after %d", next.Fence, held[0].Fence)
		}
	})
}

func TestLeaseEndsByTheClockAndPurge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credence.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(context.Background(), Config{Path: path})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		first, err := s.AcquireLease(alpha, "x", time.Minute)
		must(t, err)
		time.Sleep(time.Minute - time.Millisecond)
		_, err = s.AcquireLease(alpha, "x", time.Minute)
		want(t, err, fault.ConcurrentModification)
		time.Sleep(time.Millisecond)
		second, err := s.AcquireLease(alpha, "x", time.Minute)
		must(t, err)
		must(t, s.ReleaseLease(first)) // too late to matter
		want(t, s.RenewLease(first, time.Hour), fault.ConcurrentModification)
		time.Sleep(time.Minute - time.Millisecond)
		must(t, s.RenewLease(second, time.Minute))
		time.Sleep(time.Minute - time.Millisecond)
		_, err = s.AcquireLease(alpha, "x", time.Minute)
		want(t, err, fault.ConcurrentModification)
		time.Sleep(time.Hour)
		must(t, s.Purge(time.Now()))
		third, err := s.AcquireLease(alpha, "x", time.Minute)
		must(t, err)
		if third.Fence <= second.Fence {
			t.Errorf("a purge took the fence back: %d after %d", third.Fence, second.Fence)
		}
	})
}

func TestPurgeKeepsWhatMayBeUsed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		w, p := withParents(t, s)
		put := func(key string, edit func(*Grant)) {
			g := grant(w, p, key)
			edit(&g)
			_, err := s.PutGrant(g)
			must(t, err)
		}
		put("refreshable", func(*Grant) {})
		put("forever", func(g *Grant) { g.RefreshToken, g.ExpiresAt = nil, time.Time{} })
		put("over", func(g *Grant) { g.RefreshToken = nil })
		must(t, s.InsertSession(session(w, p, "s")))
		must(t, s.Purge(noon))
		_, err := s.Session(ctx, "s")
		must(t, err)
		must(t, s.Purge(noon.Add(24*time.Hour)))
		_, err = s.Session(ctx, "s")
		want(t, err, fault.NotFound)
		for key, kept := range map[string]bool{"refreshable": true, "forever": true, "over": false} {
			if _, err := s.Grant(ctx, alpha, key); (err == nil) != kept {
				t.Errorf("%s: %v", key, err)
			}
		}
	})
}

func TestAuditBatches(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		b := []audit.Batch{{Account: alpha, ID: "1", Time: noon, Events: []byte("e\n")}, {Account: beta, ID: "2", Time: noon, Events: []byte("f\n")}}
		must(t, s.AppendAudit(b))
		again := b[1] // as after a connection that broke before the answer
		again.Events = []byte("other")
		must(t, s.AppendAudit([]audit.Batch{again}))
		must(t, s.AppendAudit(b))
		for i, account := range []string{alpha, beta} {
			got, err := s.AuditBatches(ctx, account)
			must(t, err)
			same(t, got, b[i:i+1])
		}
	})
}

// A batch that was damaged in the database is read as it stands, one that would fill the memory too; the others are as they were.
func TestDamagedAuditBatch(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		good := audit.Batch{Account: alpha, ID: "2", Time: noon, Events: bytes.Repeat([]byte("event\n"), 100)}
		for name, row := range map[string][]byte{"no block": []byte("event\n"), "a bomb": binary.AppendUvarint(nil, 1<<31), "nothing": {}} {
			bad := audit.Batch{Account: alpha, ID: "1", Time: noon, Events: row}
			must(t, s.AppendAudit([]audit.Batch{bad, good}))
			must(t, s.write(func(t *tx) error {
				return t.exec(`UPDATE audit_batches SET events = $2 WHERE account = $1 AND id = '1'`, alpha, row)
			}))
			got, err := s.AuditBatches(t.Context(), alpha)
			if err != nil || len(got) != 2 || !bytes.Equal(got[0].Events, row) || !bytes.Equal(got[1].Events, good.Events) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	})
}

// Of a chunk that was damaged in the database, the entries are none; the others are as they were.
func TestDamagedAuditChunk(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		must(t, s.InsertAuditLog(AuditLog{Account: alpha, Origin: "o", VerifierKey: "k", Signer: []byte("s"), Checkpoint: []byte("c"), CreatedAt: noon}))
		must(t, s.AppendAudit([]audit.Batch{{Account: alpha, ID: "1", Time: noon, Events: []byte("x\ny\n")}}))
		var bundles [2][]byte
		for i, entry := range []string{"x", "y"} {
			var err error
			bundles[i], err = torchwood.AppendTileEntry(nil, []byte(entry))
			must(t, err)
		}
		must(t, s.FoldAudit(AuditFold{Account: alpha, To: 2, Checkpoint: []byte("c"), Batches: []string{"1"}, Chunks: []AuditChunk{
			{Start: 0, Count: 1, From: noon, To: noon, Entries: bundles[0]}, {Start: 1, Count: 1, From: noon, To: noon, Entries: bundles[1]},
		}}))
		must(t, s.write(func(t *tx) error {
			return t.exec(`UPDATE audit_chunks SET entries = $2 WHERE account = $1 AND start = 0`, alpha, []byte("damaged row"))
		}))
		chunks, err := s.AuditChunks(t.Context(), alpha, 0, 2)
		must(t, err)
		if len(chunks) != 2 || !bytes.Equal(chunks[1].Entries, bundles[1]) {
			t.Fatalf("%+v", chunks)
		}
		if _, _, err := torchwood.ReadTileEntry(chunks[0].Entries); err == nil {
			t.Error("what is damaged has entries")
		}
	})
}

func TestReady(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "credence.db")})
	must(t, err)
	must(t, s.Ready(t.Context()))
	must(t, s.Ready(t.Context()))
	must(t, s.Close())
	if err := s.Ready(t.Context()); err == nil {
		t.Error("a closed store is ready")
	}
}
