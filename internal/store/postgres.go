package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"credence/internal/fault"
)

// The clock of the moment, not of the transaction's beginning: leases are held by it.
var postgresRewrite = strings.NewReplacer("{now}", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")

// Connections of one replica, for writing and for reading; those that nobody needs are closed.
const postgresConns = 16

// openPostgres opens the database at a server; with keep, only one that has a schema. A database with somebody else's tables is not touched.
// name is the database without a password, for errors.
func openPostgres(ctx context.Context, address string, keep bool) (_ *Store, name string, err error) {
	name = "at the given URL"
	cfg, err := pgx.ParseConfig(address)
	if err != nil { // the cause quotes the URL
		return nil, name, errors.New("the URL is not of the form postgres://USER@HOST:PORT/DATABASE")
	}
	name = (&url.URL{Scheme: "postgres", Host: fmt.Sprintf("%s:%d", cfg.Host, cfg.Port), Path: "/" + cfg.Database}).Redacted()
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	for setting, value := range map[string]string{
		"application_name": "credence", "statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "30s",
	} {
		if _, given := cfg.RuntimeParams[setting]; !given {
			cfg.RuntimeParams[setting] = value
		}
	}
	readerCfg := cfg.Copy()
	readerCfg.RuntimeParams["default_transaction_read_only"] = "on"
	s := &Store{writer: postgresHandle(cfg), reader: postgresHandle(readerCfg), engine: engine{
		dialect: goose.DialectPostgres, rewrite: postgresRewrite, classify: classifyPostgres, transient: transientPostgres,
		snapshot: func(context.Context, *Store, string) error {
			return errors.New("a PostgreSQL database is backed up by its own tools (pg_dump, or your provider's): keep the key-encryption key as well")
		},
		check: func(ctx context.Context, s *Store) error { return s.reader.PingContext(ctx) },
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	locker, err := lock.NewPostgresTableLocker()
	if err != nil {
		return nil, name, err
	}
	if err := lookAtPostgres(ctx, s.reader, keep); err != nil {
		return nil, name, err
	}
	s.engine.options = []goose.ProviderOption{goose.WithLocker(locker)}
	return s, name, nil
}

func postgresHandle(cfg *pgx.ConnConfig) *sql.DB {
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // so that a replaced server is found
	return db
}

// lookAtPostgres refuses a server that would forget what it confirmed, and a database with tables of which none is goose's.
func lookAtPostgres(ctx context.Context, db *sql.DB, keep bool) error {
	for _, want := range []struct{ setting, bad, do string }{
		{"synchronous_commit", "off", "confirmed writes could be lost: set it to on"},
		{"fsync", "off", "confirmed writes could be lost: set it to on"},
	} {
		var got string
		if err := db.QueryRowContext(ctx, `SELECT COALESCE(current_setting($1, true), '')`, want.setting).Scan(&got); err != nil {
			return err
		}
		if got == want.bad {
			return fmt.Errorf("%s is %s: %s", want.setting, got, want.do)
		}
	}
	var encoding string
	if err := db.QueryRowContext(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return err
	}
	if !strings.EqualFold(encoding, "UTF8") {
		return fmt.Errorf("its encoding is %s: make it with ENCODING 'UTF8'", encoding)
	}
	var tables, ours int
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*), COUNT(CASE table_name WHEN 'goose_db_version' THEN 1 END) FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_name <> $1`, lock.DefaultLockTableName).Scan(&tables, &ours); err != nil {
		return err
	}
	if ours == 0 && tables > 0 {
		return errors.New("it holds other tables: give Credence a database, or a schema (search_path), of its own")
	}
	if ours == 0 && keep {
		return errors.New("it is no database of Credence: credence serve makes it one")
	}
	return nil
}

// SQLSTATE, PostgreSQL manual appendix A.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	statementUnknown     = "40003" // CockroachDB: whether it committed is not known
	lockNotAvailable     = "55P03"
	readOnlyTransaction  = "25006"
)

func classifyPostgres(err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return fault.NotFound
	case errors.As(err, &pg) && pg.Code == uniqueViolation:
		return fault.Conflict
	}
	return err
}

// transientPostgres: the server undid it (a conflict of two transactions, a shutdown, a failover), or it was never reached.
func transientPostgres(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case pg.Code == statementUnknown:
			return false
		case pg.Code == serializationFailure, pg.Code == deadlockDetected, pg.Code == lockNotAvailable:
			return true
		case strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), pg.Code == readOnlyTransaction:
			// Stopping, starting, no connection left, or read-only because another server leads by now.
			return !errors.Is(err, errCommit)
		}
		return false
	}
	if errors.Is(err, errCommit) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, network := errors.AsType[net.Error](err)
	_, connect := errors.AsType[*pgconn.ConnectError](err)
	return network || connect || pgconn.SafeToRetry(err) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
