package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/pressly/goose/v3"

	"credence/internal/batch"
	"credence/internal/fault"
)

// SQLite numbers $1 by first appearance, so $2, $1 would swap; ?1 means what it says. Its text compares bytewise as it is.
var sqliteRewrite = strings.NewReplacer("$", "?", ` COLLATE "C"`, "", "{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)")

// openSQLite opens the database in a file; with keep, only one that has a schema. A file that is somebody else's is not touched.
func openSQLite(path string, keep bool) (*Store, error) {
	if strings.ContainsAny(path, "?#%") {
		return nil, errors.New("the path must not hold ?, # or %")
	}
	common := []string{"busy_timeout(10000)", "foreign_keys(1)", "trusted_schema(0)"}
	if err := lookAtSQLite(path, keep, append(common, "query_only(1)")); err != nil {
		return nil, err
	}
	writer, err := sqliteHandle(path, 1, append(common, "journal_mode(wal)", "synchronous(full)", "secure_delete(1)"), "immediate")
	if err != nil {
		return nil, err
	}
	for _, want := range []struct{ pragma, value string }{{"journal_mode", "wal"}, {"synchronous", "2"}, {"secure_delete", "1"}} {
		var got string
		if err := writer.QueryRow("PRAGMA " + want.pragma).Scan(&got); err != nil || got != want.value {
			return nil, errors.Join(fmt.Errorf("PRAGMA %s is %q, needs %q (is it on a network file system?)", want.pragma, got, want.value), err, writer.Close())
		}
	}
	reader, err := sqliteHandle(path, min(max(2, runtime.GOMAXPROCS(0)), 4), append(common, "query_only(1)"), "deferred")
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	s := &Store{writer: writer, reader: reader, engine: engine{
		dialect: goose.DialectSQLite3, rewrite: sqliteRewrite, classify: classifySQLite, transient: func(error) bool { return false }, queue: true,
		snapshot: snapshotSQLite, scrub: scrubSQLite, check: checkSQLite,
	}}
	s.writes = batch.New(256, nil, s.commit)
	return s, nil
}

// lookAtSQLite refuses a database with tables of which none is goose's. The pragmas must not write, as that of the journal does.
func lookAtSQLite(path string, keep bool, pragmas []string) (err error) {
	db, err := sqliteHandle(path, 1, pragmas, "deferred")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var tables, ours int
	if err := db.QueryRow(`SELECT COUNT(*), COUNT(CASE name WHEN 'goose_db_version' THEN 1 END) FROM sqlite_schema WHERE type = 'table'`).Scan(&tables, &ours); err != nil {
		return err
	}
	if ours == 0 && (tables > 0 || keep) {
		return errors.New("it is no database of Credence: restore it from your backup")
	}
	return nil
}

func sqliteHandle(path string, conns int, pragmas []string, txlock string) (*sql.DB, error) {
	query := url.Values{"_txlock": {txlock}, "_pragma": pragmas}
	db, err := driver.Open("file:" + path + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(context.Background()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func classifySQLite(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fault.NotFound
	case errors.Is(err, sqlite3.CONSTRAINT_PRIMARYKEY), errors.Is(err, sqlite3.CONSTRAINT_UNIQUE):
		return fault.Conflict
	}
	return err
}

func snapshotSQLite(ctx context.Context, s *Store, path string) error {
	_, err := s.writer.ExecContext(ctx, `VACUUM INTO ?1`, path)
	return err
}

// scrubSQLite empties the write-ahead log, which has pages as they were; secure_delete has seen to the database. Readers may hold it up for a moment.
func scrubSQLite(ctx context.Context, s *Store) error {
	for try := 0; ; try++ {
		var busy, pages, moved int
		if err := s.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
			return err
		}
		if busy == 0 {
			return nil
		}
		if try == 20 {
			return errors.New("the write-ahead log cannot be emptied: a reader holds it; it is emptied when the server stops")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func checkSQLite(ctx context.Context, s *Store) error {
	var found string
	if err := s.reader.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("the database is damaged (%s): restore a backup", found)
	}
	return nil
}
