package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"credence/internal/admin"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/testpostgres"
	"credence/internal/tlog"
	"credence/internal/vault"
)

// replica is a process on a database that others may share.
type replica struct {
	*admin.Admin
	store *store.Store
}

// crashing are audit logs of a process that dies at a step, before or after it was done. Nothing that it does later happens.
type crashing struct {
	admin.AuditLogs
	step, at int
	after    bool
}

var errCrash = errors.New("the process is dead")

func (c *crashing) do(f func() error) error {
	c.step++
	switch {
	case c.step > c.at || c.step == c.at && !c.after:
		return errCrash
	case c.step == c.at:
		return errors.Join(f(), errCrash)
	}
	return f()
}

func (c *crashing) AuditInbox(ctx context.Context, account string, limit int) (b []audit.Batch, err error) {
	return b, c.do(func() error { b, err = c.AuditLogs.AuditInbox(ctx, account, limit); return err })
}

func (c *crashing) FoldAudit(f store.AuditFold) error {
	return c.do(func() error { return c.AuditLogs.FoldAudit(f) })
}

func (c *crashing) AcquireLease(account, name string, d time.Duration) (l store.Lease, err error) {
	return l, c.do(func() error { l, err = c.AuditLogs.AcquireLease(account, name, 50*time.Millisecond); return err })
}

func (c *crashing) ReleaseLease(l store.Lease) error {
	return c.do(func() error { return c.AuditLogs.ReleaseLease(l) })
}

// engines runs a test on both engines; replica makes one more process on the same database.
func engines(t *testing.T, test func(t *testing.T, replica func() replica)) {
	t.Helper()
	master, err := vault.NewMasterKey()
	must(t, err)
	file := filepath.Join(t.TempDir(), "master.key")
	must(t, os.WriteFile(file, master, 0o600))
	kek, err := vault.OpenKEK("file:" + file)
	must(t, err)
	run := func(cfg store.Config) func(t *testing.T) {
		return func(t *testing.T) {
			test(t, func() replica {
				s, err := store.Open(t.Context(), cfg)
				must(t, err)
				t.Cleanup(func() { must(t, s.Close()) })
				v, err := vault.New(t.Context(), vault.Config{Store: s, KEK: kek, Metrics: telemetry.New()})
				must(t, err)
				return replica{admin.New(admin.Config{
					Vault: v, Store: s, AuditLogs: s, PublicURL: "https://vault.example", Metrics: telemetry.New(), Log: slog.New(slog.DiscardHandler),
				}), s}
			})
		}
	}
	t.Run("SQLite", run(store.Config{Path: filepath.Join(t.TempDir(), "credence.db")}))
	t.Run("PostgreSQL", run(store.Config{URL: testpostgres.Database(t)}))
}

func (r replica) record(t *testing.T, account, id string, events ...string) {
	t.Helper()
	must(t, r.store.AppendAudit([]audit.Batch{{Account: account, ID: id, Time: time.Now(), Events: []byte(joined(events))}}))
}

func joined(events []string) string {
	var b bytes.Buffer
	for _, e := range events {
		b.WriteString(e + "\n")
	}
	return b.String()
}

// entries are those of a log; what is stored is checked against its checkpoint.
func (r replica) entries(t *testing.T, account string) (out []string) {
	t.Helper()
	l, err := r.store.AuditLog(t.Context(), account)
	must(t, err)
	key, err := tlog.ParseKey(l.VerifierKey)
	must(t, err)
	signed, err := tlog.OpenCheckpoint(l.Checkpoint, key)
	must(t, err)
	chunks, err := r.store.AuditChunks(t.Context(), account, 0, math.MaxInt64)
	must(t, err)
	tree, err := tlog.NewTree(0, nil)
	must(t, err)
	for _, c := range chunks {
		all, err := tlog.Entries(c.Entries)
		must(t, err)
		if c.Start != tree.Size() || int64(len(all)) != c.Count || c.Start/256 != (c.Start+c.Count-1)/256 {
			t.Errorf("chunk at %d of %d has %d entries after %d", c.Start, c.Count, len(all), tree.Size())
		}
		for _, e := range all {
			out = append(out, string(e))
			tree.Add(tlog.LeafHash(e))
		}
	}
	if head, err := tree.Head(); err != nil || head != signed || l.Size != signed.N {
		t.Errorf("the entries make %v, the log has %d and signed %v, %v", head, l.Size, signed, err)
	}
	for p, hashes := range tree.Changed() {
		if stored, err := r.store.AuditTile(t.Context(), account, p.Level, p.N); err != nil || !bytes.Equal(stored, hashes) {
			t.Errorf("tile %v differs, %v", p, err)
		}
	}
	return out
}

func numbered(from, to int) (out []string) {
	for n := from; n < to; n++ {
		out = append(out, fmt.Sprintf(`{"n":%d}`, n))
	}
	return out
}

// Every event is an entry once, in the order of the batches, however many there are, and those of another account are in its own log.
func TestSequence(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		r := process()
		var want []string
		for n, size := range []int{1, 3, 255, 1, 600, 512, 2} {
			events := numbered(len(want), len(want)+size)
			want = append(want, events...)
			r.record(t, alpha, fmt.Sprintf("%03d", n), events...)
			if n%2 == 0 {
				must(t, r.SequenceAll(t.Context()))
			}
		}
		r.record(t, beta, "1", "other", "not even JSON", "")
		must(t, r.SequenceAll(t.Context()))
		if got := r.entries(t, alpha); !slices.Equal(got, want) {
			t.Errorf("%d entries of %d, or not in order", len(got), len(want))
		}
		if got := r.entries(t, beta); !slices.Equal(got, []string{"other", "not even JSON", ""}) {
			t.Errorf("%q", got)
		}
		inboxes, err := r.store.AuditInboxes(t.Context())
		if must(t, err); len(inboxes) > 0 {
			t.Errorf("left in the inbox: %v", inboxes)
		}
	})
}

// A batch that becomes visible after later ones were taken is taken then: no event is skipped, and none comes twice.
func TestLateBatch(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		r := process()
		r.record(t, alpha, "0002", "second")
		must(t, r.SequenceAll(t.Context()))
		r.record(t, alpha, "0001", "first, but late")
		must(t, r.SequenceAll(t.Context()))
		if got := r.entries(t, alpha); !slices.Equal(got, []string{"second", "first, but late"}) {
			t.Errorf("%q", got)
		}
	})
}

// Wherever the process dies, the next one goes on: every event is an entry, once.
func TestSequenceCrashesAnywhere(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		r := process()
		var want []string
		for at := 1; at <= 8; at++ {
			for _, after := range []bool{false, true} {
				events := numbered(len(want), len(want)+200)
				want = append(want, events...)
				for n := 0; n < len(events); n += 20 {
					r.record(t, alpha, fmt.Sprintf("%03d %v %03d", at, after, n), events[n:n+20]...)
				}
				dead := *r.Admin
				dead.AuditLogs = &crashing{AuditLogs: r.store, at: at, after: after}
				err := dead.SequenceAll(t.Context())
				if at <= 3 && err == nil {
					t.Errorf("step %d: it did not crash", at)
				}
				deadline := time.Now().Add(time.Minute)
				for { // its lease ends by itself
					must(t, r.SequenceAll(t.Context()))
					if left, err := r.store.AuditInboxes(t.Context()); err == nil && len(left) == 0 || time.Now().After(deadline) {
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
				if got := r.entries(t, alpha); !slices.Equal(got, want) {
					t.Fatalf("after a crash at step %d (%v): %d entries of %d, or not in order", at, after, len(got), len(want))
				}
			}
		}
	})
}

// Two replicas that believe to hold the lease at once cannot make two trees of one log.
func TestTwoSequencers(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		one, two := process(), process()
		const writers, each = 4, 50
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					one.record(t, alpha, fmt.Sprintf("%d-%03d", w, n), fmt.Sprintf(`{"w":%d,"n":%d}`, w, n))
				}
			})
		}
		recorded := make(chan struct{})
		go func() { wg.Wait(); close(recorded) }()
		var sequencers sync.WaitGroup
		for _, r := range []replica{one, two} {
			fearless := *r.Admin
			fearless.AuditLogs = leaseless{r.store}
			sequencers.Go(func() {
				for done := false; ; {
					if err := fearless.SequenceAll(t.Context()); err != nil {
						t.Error(err)
					}
					if done {
						return
					}
					select {
					case <-recorded:
						done = true
					default:
					}
				}
			})
		}
		sequencers.Wait()
		must(t, one.SequenceAll(t.Context()))
		got := one.entries(t, alpha)
		seen := map[string]bool{}
		for _, e := range got {
			seen[e] = true
		}
		if len(got) != writers*each || len(seen) != len(got) {
			t.Errorf("%d entries, %d different, of %d events", len(got), len(seen), writers*each)
		}
	})
}

// leaseless gives everybody the lease.
type leaseless struct{ *store.Store }

func (leaseless) AcquireLease(account, name string, _ time.Duration) (store.Lease, error) {
	return store.Lease{Account: account, Name: name}, nil
}

func (leaseless) ReleaseLease(store.Lease) error { return nil }

// A tree that somebody changed in the database is not signed again, and nothing that was recorded is lost meanwhile.
func TestChangedTreeIsNotSigned(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		r := process()
		r.record(t, alpha, "1", "one", "two")
		must(t, r.SequenceAll(t.Context()))
		l, err := r.store.AuditLog(t.Context(), alpha)
		must(t, err)
		hashes, err := r.store.AuditTile(t.Context(), alpha, 0, 0)
		must(t, err)
		forged := bytes.Clone(hashes)
		copy(forged[32:], bytes.Repeat([]byte{7}, 32))
		// By the same door as a fold of nothing.
		must(t, r.store.FoldAudit(store.AuditFold{Account: alpha, From: 2, To: 2, Checkpoint: l.Checkpoint, Tiles: []store.AuditTile{{Hashes: forged}}, Batches: r.empty(t, alpha)}))
		r.record(t, alpha, "3", "three")
		if err := r.SequenceAll(t.Context()); err == nil {
			t.Error("signed")
		}
		left, err := r.store.AuditBatches(t.Context(), alpha)
		if must(t, err); len(left) != 1 {
			t.Errorf("%d batches in the inbox", len(left))
		}
		if now, err := r.store.AuditLog(t.Context(), alpha); err != nil || !bytes.Equal(now.Checkpoint, l.Checkpoint) {
			t.Errorf("another checkpoint: %s, %v", now.Checkpoint, err)
		}
	})
}

// empty is a batch without events.
func (r replica) empty(t *testing.T, account string) []string {
	r.record(t, account, "empty")
	return []string{"empty"}
}

// A fold that does not begin where the log ends, or whose batches are gone, leaves everything as it was.
func TestFoldIsAllOrNothing(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		r := process()
		r.record(t, alpha, "1", "one")
		must(t, r.SequenceAll(t.Context()))
		r.record(t, alpha, "2", "two")
		for name, f := range map[string]store.AuditFold{
			"a past size":          {From: 0, To: 1, Batches: []string{"2"}},
			"a batch that is gone": {From: 1, To: 2, Batches: []string{"2", "1"}},
		} {
			f.Account, f.Checkpoint = alpha, []byte("forged")
			f.Chunks = []store.AuditChunk{{Start: 1, Count: 1, Entries: []byte("x")}}
			if err := r.store.FoldAudit(f); !errors.Is(err, fault.ConcurrentModification) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, r.SequenceAll(t.Context()))
		if got := r.entries(t, alpha); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%q", got)
		}
	})
}
