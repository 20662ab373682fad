package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fault"
	"credence/internal/testpostgres"
)

// What would lose confirmed writes, hold somebody else's tables or not hold every text is refused, without the password.
func TestPostgresRefuses(t *testing.T) {
	server := testpostgres.Start(t)
	foreign := server.Database(t)
	s, err := Open(t.Context(), Config{URL: foreign})
	must(t, err)
	must(t, s.write(func(t *tx) error { return t.exec(`ALTER TABLE goose_db_version RENAME TO theirs`) }))
	must(t, s.Close())
	empty := server.Database(t)
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"somebody else's tables", Config{URL: foreign}, "other tables"},
		{"no schema, only looked at", Config{URL: empty, KeepSchema: true}, "no database of Credence"},
		{"asynchronous commits", Config{URL: server.Database(t) + "&synchronous_commit=off"}, "synchronous_commit"},
		{"ASCII", Config{URL: server.Database(t, "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")}, "UTF8"},
		{"nobody there", Config{URL: "postgres://u:hunter2@127.0.0.1:1/credence"}, "127.0.0.1:1"},
		{"no URL", Config{URL: "postgres://u:hunter2@127.0.0.1:port/credence"}, "form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.Context(), c.cfg)
			if err == nil {
				t.Fatal(errors.Join(errors.New("opened"), s.Close()))
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Error(err)
			}
		})
	}
	_, err = Open(t.Context(), Config{URL: empty, KeepSchema: true}) // nothing was made by the first look
	if err == nil {
		t.Error("a look made a schema")
	}
}

// Replicas that start together make one schema.
func TestPostgresMigratesOnce(t *testing.T) {
	url := testpostgres.Database(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := Open(context.Background(), Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			_, err = s.Accounts(context.Background())
			if err := errors.Join(err, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestPostgresReadersDoNotWrite(t *testing.T) {
	s := openOnPostgres(t)
	if _, err := s.reader.Exec(`INSERT INTO meta (name, value) VALUES ('x', 'y')`); err == nil {
		t.Error("a reader wrote")
	}
}

// Two replicas race: a grant is written while its workload is deleted. Whoever comes first, no grant outlives its workload.
func TestPostgresWritesAreSerialisable(t *testing.T) {
	url := testpostgres.Database(t)
	one, other := opened(t, Config{URL: url}), (*Store)(nil)
	var err error
	other, err = Open(t.Context(), Config{URL: url})
	must(t, err)
	defer func() { must(t, other.Close()) }()
	p := oauth2Provider(alpha, "gh")
	must(t, one.InsertOAuth2Provider(p, "default", Tags{}))
	kept := 0
	for n := range 60 {
		w := workload(alpha, fmt.Sprintf("agent-%d", n))
		must(t, one.InsertWorkload(w, Tags{}))
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := one.PutGrant(grant(w, p, w.Name))
			if err == nil {
				kept++
			} else if !errors.Is(err, fault.NotFound) {
				t.Errorf("grant: %v", err)
			}
		})
		wg.Go(func() {
			if err := other.DeleteWorkload(alpha, w.Name, ""); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
		wg.Wait()
		if _, err := one.Grant(t.Context(), alpha, w.Name); !errors.Is(err, fault.NotFound) {
			t.Fatalf("round %d: a grant outlived its workload: %v", n, err)
		}
	}
	t.Logf("%d of 60 grants came first", kept)
}

// The server crashes and comes back, over and over: what was confirmed is there, and what was not is refused or comes later, once.
func TestPostgresRestarts(t *testing.T) {
	server := testpostgres.Start(t)
	s := opened(t, Config{URL: server.Database(t)})
	w := workload(alpha, "agent")
	p := oauth2Provider(alpha, "gh")
	must(t, s.InsertWorkload(w, Tags{}))
	must(t, s.InsertOAuth2Provider(p, "default", Tags{}))

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var confirmed sync.Map
	var written, unknown atomic.Int64
	for i := range 8 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("%d-%d", i, n)
				_, err := s.PutGrant(grant(w, p, key))
				switch {
				case err == nil:
					confirmed.Store(key, true)
					written.Add(1)
				case errors.Is(err, errCommit):
					unknown.Add(1)
				default:
					t.Errorf("grant %s: %v", key, err)
				}
				if _, err := s.Grant(context.Background(), alpha, key); err != nil && !errors.Is(err, fault.NotFound) {
					t.Errorf("read of %s: %v", key, err)
				}
			}
		})
	}
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		must(t, server.Restart())
	}
	time.Sleep(200 * time.Millisecond)
	stop()
	wg.Wait()
	confirmed.Range(func(key, _ any) bool {
		g, err := s.Grant(t.Context(), alpha, key.(string))
		if err != nil || g.Version != 1 {
			t.Errorf("confirmed grant %s: version %d, %v", key, g.Version, err)
		}
		return true
	})
	t.Logf("%d confirmed, %d of unknown outcome", written.Load(), unknown.Load())
	if written.Load() == 0 {
		t.Error("nothing was written")
	}
}

// A lease lasts by the database's clock: a replica whose own is decades behind neither takes it early nor dates it by its own.
func TestPostgresLeaseTimeIsTheDatabases(t *testing.T) {
	url := testpostgres.Database(t)
	s := opened(t, Config{URL: url})
	first, err := s.AcquireLease(alpha, "refresh/k", time.Minute)
	must(t, err)
	real := time.Now()
	synctest.Test(t, func(t *testing.T) { // here it is the year 2000
		behind, err := Open(context.Background(), Config{URL: url})
		must(t, err)
		defer func() { must(t, behind.Close()) }()
		_, err = behind.AcquireLease(alpha, "refresh/k", time.Minute)
		want(t, err, fault.ConcurrentModification)
		must(t, s.ReleaseLease(first))
		next, err := behind.AcquireLease(alpha, "refresh/k", time.Minute)
		must(t, err)
		if next.Fence <= first.Fence || next.TakenAt.Sub(first.TakenAt).Abs() > time.Minute || first.TakenAt.Sub(real).Abs() > time.Minute {
			t.Errorf("taken at %s with fence %d, then at %s with fence %d, by a replica that reads %s", first.TakenAt, first.Fence, next.TakenAt, next.Fence, time.Now())
		}
	})
	_, err = s.AcquireLease(alpha, "refresh/k", time.Minute)
	want(t, err, fault.ConcurrentModification)
}
