package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"credence/internal/external"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
)

// installation is an opened data directory: database and keys.
type installation struct {
	dir   *dataDir
	store *store.Store
	vault *vault.Vault
	first *FirstStart
}

// FirstStart is what a first start made.
type FirstStart struct {
	DataDir     string // absolute
	Credentials string // path of the AWS credentials file of the first administrator
	Account     string
	Region      string
}

func (in *installation) close() error {
	var errs []error
	if in.store != nil {
		errs = append(errs, in.store.Close())
	}
	return errors.Join(append(errs, in.dir.close())...)
}

// kekPath is the master key file that a key URI names, "" for a key that is no file.
func kekPath(uri string) string {
	path, _ := strings.CutPrefix(uri, "file:")
	if path == uri {
		return ""
	}
	return path
}

// install opens an installation, and makes it when its data directory is new. A first start that does not come to its end leaves a mark, and the next
// one begins anew: a master key is made only together with its database.
func install(ctx context.Context, cfg Config, metrics *telemetry.Metrics) (_ *installation, err error) {
	dir, err := openDataDir(cfg.DataDir, kekPath(cfg.kek()))
	if err != nil {
		return nil, err
	}
	in := &installation{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.close())
		}
	}()
	if dir.fresh {
		if err := dir.begin(); err != nil {
			return nil, err
		}
		if err := makeKey(cfg.kek()); err != nil {
			return nil, err
		}
		if err := writeNew(dir.file(databaseFile), nil); err != nil {
			return nil, err
		}
	}
	kek, err := vault.OpenKEK(cfg.kek())
	if err != nil {
		return nil, err
	}
	if in.store, err = store.Open(ctx, store.Config{Path: dir.file(databaseFile)}); err != nil {
		return nil, err
	}
	if !dir.fresh {
		if err := checkAccount(ctx, in.store, cfg); err != nil {
			return nil, err
		}
	}
	elsewhere, err := external.ParsePrefixes(cfg.External)
	if err != nil {
		return nil, fmt.Errorf("--external: %w", err)
	}
	if in.vault, err = vault.New(ctx, vault.Config{Store: in.store, KEK: kek, External: external.New(elsewhere), Allowed: elsewhere, Metrics: metrics}); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", cfg.DataDir, err)
	}
	if dir.fresh {
		return in, in.bootstrap(ctx, cfg)
	}
	return in, nil
}

// checkAccount refuses a database that nobody was ever served from, before a vault would take it for a new one, and one of another account.
func checkAccount(ctx context.Context, st *store.Store, cfg Config) error {
	accounts, err := st.Accounts(ctx)
	switch {
	case err != nil:
		return err
	case len(accounts) == 0:
		return fmt.Errorf("%s in data directory %s is no database of Credence: restore it from your backup", databaseFile, cfg.DataDir)
	case !slices.Contains(accounts, cfg.AccountID):
		return fmt.Errorf("--account-id %s: data directory %s was made for account %s: give that one", cfg.AccountID, cfg.DataDir, strings.Join(accounts, ", "))
	}
	return nil
}

func makeKey(uri string) error {
	path := kekPath(uri)
	if path == "" {
		return nil
	}
	if absent, err := missing(path); err != nil || !absent {
		return err
	}
	key, err := vault.NewMasterKey()
	if err != nil {
		return err
	}
	return writeNew(path, key)
}

// bootstrap makes the first account with an administrator who may do everything.
func (in *installation) bootstrap(ctx context.Context, cfg Config) error {
	if err := in.vault.CreateAccount(cfg.AccountID); err != nil {
		return err
	}
	if err := in.vault.PutUserPolicy(cfg.AccountID, vault.AdminUser, "administrator", iam.AllowAll); err != nil {
		return err
	}
	credentials, err := in.newAdminKey(ctx, cfg)
	if err != nil {
		return err
	}
	if err := writeNew(in.dir.file(credentialsFile), credentials); err != nil {
		return err
	}
	if err := in.dir.done(); err != nil {
		return err
	}
	abs, err := filepath.Abs(in.dir.path)
	in.first = &FirstStart{DataDir: abs, Credentials: filepath.Join(abs, credentialsFile), Account: cfg.AccountID, Region: cfg.Region}
	return err
}

// newAdminKey makes the administrator's access key, his only one from then on, in the form of an AWS credentials file.
func (in *installation) newAdminKey(ctx context.Context, cfg Config) ([]byte, error) {
	key, err := in.vault.CreateAccessKey(ctx, cfg.AccountID, vault.AdminUser, true)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "# Credence: the administrator of account %s. This file is as good as a password.\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %s\n",
		cfg.AccountID, key.ID, key.Secret.Reveal(), cfg.Region), nil
}

// ResetKey ends every access key of the administrator of an installation that is not running, makes a new one, and writes the credentials file anew.
func ResetKey(ctx context.Context, cfg Config) (*FirstStart, error) {
	if err := cfg.validateInstallation(); err != nil {
		return nil, err
	}
	absent, err := missing(filepath.Join(cfg.DataDir, databaseFile))
	if err = errors.Join(err, finished(cfg.DataDir)); err != nil {
		return nil, err
	}
	if absent {
		return nil, fmt.Errorf("data directory %s has no database: start credence serve first", cfg.DataDir)
	}
	in, err := install(ctx, cfg, telemetry.New())
	if err != nil {
		return nil, err
	}
	credentials, err := in.newAdminKey(ctx, cfg)
	if err == nil {
		err = replace(in.dir.file(credentialsFile), credentials)
	}
	if err = errors.Join(err, in.close()); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(cfg.DataDir)
	return &FirstStart{DataDir: abs, Credentials: filepath.Join(abs, credentialsFile), Account: cfg.AccountID, Region: cfg.Region}, err
}

// replace puts new content in place of a file, whole or not at all.
func replace(path string, content []byte) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := writeNew(next, content); err != nil {
		return err
	}
	return os.Rename(next, path)
}
