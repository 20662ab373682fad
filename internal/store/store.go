// Package store keeps rows: rows in, rows out, no rule and no plaintext.
//
// It protects durability and isolation: a write that returned is on disk, concurrent writes are serialised, and every statement on
// an account's rows names that account. One SQL text serves every engine; the engines differ in engine.go and nowhere else.
// What is missing is fault.NotFound, what exists already fault.Conflict, and a row that changed meanwhile fault.ConcurrentModification.
package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/pressly/goose/v3"

	"credence/internal/batch"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the rows of one installation.
type Store struct {
	engine engine
	writer *sql.DB // one connection, where writes queue
	reader *sql.DB
	writes *batch.Group[func(*tx) error]
	most   func(account string, k Kind) int

	appendAudit *sql.Stmt // of writer, where writes queue; elsewhere the driver keeps what it parsed
}

// Config says where the rows are: in a file of SQLite, or at a server that speaks PostgreSQL's protocol.
type Config struct {
	Path string // of the SQLite file; created when missing
	URL  string // postgres://USER@HOST:PORT/DATABASE?…, as libpq takes it; instead of Path
	// Most is how many rows of a kind an account may have, 0 for any number; nil is any number of all.
	Most func(account string, k Kind) int
	// KeepSchema leaves the schema as it is, for a look beside a running server; one of another version is an error.
	KeepSchema bool
}

// A write that takes longer than this is given up; nothing in it touches the network.
const writeTimeout = 30 * time.Second

// Open opens the database and brings its schema up to date. Bad storage (no WAL, not writable) is an error that names the file.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, name, err := openEngine(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", name, err)
	}
	s.most = cfg.Most
	err = s.migrate(ctx, cfg.KeepSchema)
	if err == nil && s.engine.queue {
		s.appendAudit, err = s.writer.PrepareContext(ctx, s.engine.sql(insertAuditBatch))
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("database %s: %w", name, err)
	}
	return s, nil
}

func openEngine(ctx context.Context, cfg Config) (s *Store, name string, err error) {
	if cfg.URL != "" {
		return openPostgres(ctx, cfg.URL, cfg.KeepSchema)
	}
	s, err = openSQLite(cfg.Path, cfg.KeepSchema)
	return s, cfg.Path, err
}

// SchemaVersions are the version of a database's schema and that of this program. Nothing is changed.
func SchemaVersions(ctx context.Context, cfg Config) (has, serves int64, err error) {
	cfg.KeepSchema = true
	s, name, err := openEngine(ctx, cfg)
	if err != nil {
		return 0, 0, fmt.Errorf("database %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p, err := s.goose()
	if err != nil {
		return 0, 0, err
	}
	return p.GetVersions(ctx)
}

func (s *Store) goose() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(s.engine.dialect, s.writer, dir, append(s.engine.options, goose.WithDisableGlobalRegistry(true))...)
}

func (s *Store) migrate(ctx context.Context, keep bool) error {
	p, err := s.goose()
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("its schema has version %d, this program knows up to %d: use the newer credence again", current, target)
	}
	if keep && current != target {
		return fmt.Errorf("its schema has version %d, this program's is %d: use the version of credence that serves it", current, target)
	}
	if keep {
		return nil
	}
	_, err = p.Up(ctx)
	return err
}

// Close waits for running statements and closes the files.
func (s *Store) Close() error { return errors.Join(s.reader.Close(), s.writer.Close()) }

// Ready reports whether the database can be read and written to now.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.reader.PingContext(ctx); err != nil {
		return err
	}
	return s.write(func(t *tx) error {
		return t.exec(`INSERT INTO meta (name, value) VALUES ('ready', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, []byte{1})
	})
}

// tx is one write within a transaction that other writes may share.
type tx struct {
	ctx    context.Context
	sql    *sql.Tx
	engine *engine
	most   func(account string, k Kind) int
}

// write runs fn in a transaction, as if no other ran at that time, and returns once that is durable. fn touches nothing but rows: it may run again after a
// conflict. An error of fn undoes fn's statements and nobody else's. An error of the connection while it commits leaves open whether it did.
func (s *Store) write(fn func(*tx) error) error {
	if s.engine.queue {
		return s.writes.Do(fn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return s.again(ctx, func() error { return s.alone(ctx, fn) })
}

// again does what failed for a moment's reason again, a little later each time.
func (s *Store) again(ctx context.Context, do func() error) error {
	pause := backoff.ExponentialBackOff{InitialInterval: 5 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: 500 * time.Millisecond}
	for {
		err := do()
		if err == nil || !s.engine.transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// errCommit: the connection failed while it committed. Whether it did is not known.
var errCommit = errors.New("it is not known whether the write was committed")

// alone runs one write in a transaction of its own.
func (s *Store) alone(ctx context.Context, fn func(*tx) error) error {
	sqlTx, err := s.writer.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return err
	}
	defer func() { _ = sqlTx.Rollback() }()
	if err := fn(&tx{ctx, sqlTx, &s.engine, s.most}); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	return nil
}

// commit runs several writes in one transaction: one fsync for all.
func (s *Store) commit(fns []func(*tx) error) []error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	errs := make([]error, len(fns))
	everybody := func(err error) []error {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
		return errs
	}
	sqlTx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return everybody(err)
	}
	defer func() { _ = sqlTx.Rollback() }()
	t := &tx{ctx, sqlTx, &s.engine, s.most}
	for i, fn := range fns {
		if len(fns) == 1 {
			if errs[i] = fn(t); errs[i] != nil {
				return errs
			}
			break
		}
		if err := t.exec("SAVEPOINT one"); err != nil {
			return everybody(err)
		}
		end := "RELEASE one"
		if errs[i] = fn(t); errs[i] != nil {
			end = "ROLLBACK TO one"
		}
		if err := t.exec(end); err != nil {
			return everybody(err)
		}
	}
	if err := sqlTx.Commit(); err != nil {
		return everybody(err)
	}
	return errs
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.sql.ExecContext(t.ctx, t.engine.sql(query), nulls(args)...)
	return t.engine.classify(err)
}

// change runs a statement that must change exactly one row; otherwise it answers missing.
func (t *tx) change(missing error, query string, args ...any) error {
	n, err := t.count(query, args...)
	if err == nil && n != 1 {
		err = missing
	}
	return err
}

// count runs a statement and says how many rows it changed.
func (t *tx) count(query string, args ...any) (int, error) {
	res, err := t.sql.ExecContext(t.ctx, t.engine.sql(query), nulls(args)...)
	if err != nil {
		return 0, t.engine.classify(err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// get scans one row; fault.NotFound when there is none.
func (t *tx) get(dest []any, query string, args ...any) error {
	return t.engine.classify(t.sql.QueryRowContext(t.ctx, t.engine.sql(query), nulls(args)...).Scan(dest...))
}

// all scans every row.
func all[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := t.sql.QueryContext(t.ctx, t.engine.sql(query), nulls(args)...)
	if err != nil {
		return nil, t.engine.classify(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// nulls makes NULL of nil bytes: drivers disagree about them.
func nulls(args []any) []any {
	for i, a := range args {
		if b, ok := a.([]byte); ok && b == nil {
			args[i] = nil
		}
	}
	return args
}

// bumpEpoch tells every replica that what it remembers of the account may be gone.
func (t *tx) bumpEpoch(account string) error {
	return t.exec(`UPDATE accounts SET epoch = epoch + 1 WHERE account = $1`, account)
}

type scanner interface{ Scan(dest ...any) error }

func readOne[T any](ctx context.Context, s *Store, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	var v T
	err := s.again(ctx, func() (err error) {
		v, err = scan(s.reader.QueryRowContext(ctx, s.engine.sql(query), args...))
		return err
	})
	return v, s.engine.classify(err)
}

func readAll[T any](ctx context.Context, s *Store, scan func(scanner) (T, error), query string, args ...any) (out []T, err error) {
	err = s.again(ctx, func() (err error) {
		out = nil
		rows, err := s.reader.QueryContext(ctx, s.engine.sql(query), args...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, s.engine.classify(err)
}

// Page asks for at most Limit rows whose names come after After.
type Page struct {
	After string
	Limit int
}

// paged cuts a result that was asked for with one row too many, and says whether there is more.
func paged[T any](rows []T, limit int) ([]T, bool) {
	if len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment scans unix milliseconds into a time; 0 is the zero time.
type moment struct{ t *time.Time }

func (m moment) Scan(v any) error {
	ms, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time column holds %T", v)
	}
	*m.t = time.Time{}
	if ms != 0 {
		*m.t = time.UnixMilli(ms).UTC()
	}
	return nil
}

// list scans a JSON array of strings.
type list struct{ l *[]string }

func (l list) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list column holds %T", v)
	}
	*l.l = nil
	return json.Unmarshal([]byte(text), l.l)
}

func listText(l []string) string {
	if len(l) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(l) // strings always marshal
	return string(b)
}

// Snapshot writes a copy of the database, as it is at one moment, to a file that must not exist. PostgreSQL's own tools do that for it: there it is an error.
func (s *Store) Snapshot(ctx context.Context, path string) error {
	return s.engine.snapshot(ctx, s, path)
}

// Check has the database look itself over; the error tells the first thing that is wrong.
func (s *Store) Check(ctx context.Context) error { return s.engine.check(ctx, s) }

// Latest is the time of the newest audit event, zero when there is none.
func (s *Store) Latest(ctx context.Context) (t time.Time, err error) {
	return t, s.reader.QueryRowContext(ctx, `SELECT COALESCE(MAX(at), 0) FROM (SELECT MAX(created_at) AS at FROM audit_batches UNION ALL SELECT MAX(last_at) FROM audit_chunks) latest`).Scan(moment{&t})
}
