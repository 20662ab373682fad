package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"credence/internal/store"
	"credence/internal/vault"
)

// errShared: what is asked for is the database's own business.
var errShared = errors.New("a PostgreSQL database is backed up and restored by its own tools (pg_dump, or your provider's); keep the key-encryption key as well")

func isURL(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// openPlace opens the database of a data directory, which nobody may be serving from, or at a URL.
func openPlace(ctx context.Context, place string, keep bool) (_ *store.Store, closing func() error, err error) {
	if isURL(place) {
		u, err := url.Parse(place)
		if err != nil {
			return nil, nil, errors.New("the database's URL is not of the form postgres://USER@HOST:PORT/DATABASE")
		}
		if q := u.Query(); !q.Has("statement_timeout") { // a whole table is read in one
			q.Set("statement_timeout", "0")
			u.RawQuery = q.Encode()
		}
		st, err := store.Open(ctx, store.Config{URL: u.String(), KeepSchema: keep})
		if err != nil {
			return nil, nil, err
		}
		return st, st.Close, nil
	}
	if absent, err := missing(filepath.Join(place, databaseFile)); err != nil || absent && keep {
		return nil, nil, errors.Join(fmt.Errorf("data directory %s has no database", place), err)
	}
	dir, err := openDataDir(place, "")
	if err != nil {
		return nil, nil, err
	}
	if dir.fresh {
		err := replace(dir.file(gitignoreFile), []byte("*\n"))
		if err == nil {
			err = writeNew(dir.file(databaseFile), nil)
		}
		if err != nil {
			return nil, nil, errors.Join(err, dir.close())
		}
	}
	st, err := store.Open(ctx, store.Config{Path: dir.file(databaseFile), KeepSchema: keep})
	if err != nil {
		return nil, nil, errors.Join(err, dir.close())
	}
	return st, func() error { return errors.Join(st.Close(), dir.close()) }, nil
}

// CopyDatabase copies an installation's rows from one database to a new one: each is a data directory or a postgres:// URL. No server may write to either
// meanwhile. A copy that was broken off goes on. The key-encryption key stays the same, wherever it is.
func CopyDatabase(ctx context.Context, from, to string, progress func(table string, rows int)) (err error) {
	source, closeSource, err := openPlace(ctx, from, true)
	if err != nil {
		return fmt.Errorf("copy from: %w", err)
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	if err := source.Whole(ctx); err != nil {
		return fmt.Errorf("copy from: %w", err)
	}
	target, closeTarget, err := openPlace(ctx, to, false)
	if err != nil {
		return fmt.Errorf("copy to: %w", err)
	}
	defer func() { err = errors.Join(err, closeTarget()) }()
	return source.Copy(ctx, target, progress)
}

// MigrateDatabase brings the schema of an installation's database up to this program's, as every start of a server does.
func MigrateDatabase(ctx context.Context, place string) error {
	if !isURL(place) {
		if absent, err := missing(filepath.Join(place, databaseFile)); err != nil || absent {
			return errors.Join(fmt.Errorf("data directory %s has no database", place), err)
		}
	}
	_, closing, err := openPlace(ctx, place, false)
	if err != nil {
		return err
	}
	return closing()
}

// DatabaseStatus says which schema a database has, and which this program serves.
func DatabaseStatus(ctx context.Context, place string) (has, serves int64, err error) {
	cfg := store.Config{Path: filepath.Join(place, databaseFile)}
	if isURL(place) {
		cfg = store.Config{URL: place}
	}
	return store.SchemaVersions(ctx, cfg)
}

// NewMasterKey makes a master key file, which must not exist, for --kek file:PATH of several replicas.
func NewMasterKey(path string) error {
	key, err := vault.NewMasterKey()
	if err != nil {
		return err
	}
	if err := writeNew(path, key); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists: a master key that is lost takes every secret with it, so none is written over", path)
	} else if err != nil {
		return err
	}
	return nil
}
