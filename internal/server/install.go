package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"credence/internal/audit"
	"credence/internal/external"
	"credence/internal/fault"
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
	if in.dir != nil {
		errs = append(errs, in.dir.close())
	}
	return errors.Join(errs...)
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
	if cfg.Database != "" {
		return installShared(ctx, cfg, metrics)
	}
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
	if in.store, err = openStore(ctx, cfg, store.Config{Path: dir.file(databaseFile)}); err != nil {
		return nil, err
	}
	if err := in.store.Whole(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.database(), err)
	}
	if !dir.fresh {
		if err := checkAccount(ctx, in.store, cfg); err != nil {
			return nil, err
		}
	}
	if in.vault, err = openVault(ctx, cfg, in.store, kek, metrics); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", cfg.DataDir, err)
	}
	if dir.fresh {
		return in, in.bootstrap(ctx, cfg)
	}
	return in, nil
}

// openStore opens a database whose rows are counted.
func openStore(ctx context.Context, cfg Config, at store.Config) (*store.Store, error) {
	limits, err := cfg.limits()
	if err != nil {
		return nil, fmt.Errorf("--quota %w", err)
	}
	at.Most = func(account string, k store.Kind) int { return limits.Of(account, quotas[k]) }
	return store.Open(ctx, at)
}

func openVault(ctx context.Context, cfg Config, st *store.Store, kek *vault.KEK, metrics *telemetry.Metrics) (*vault.Vault, error) {
	elsewhere, err := external.ParsePrefixes(cfg.External)
	if err != nil {
		return nil, fmt.Errorf("--external: %w", err)
	}
	return vault.New(ctx, vault.Config{Store: st, KEK: kek, External: external.New(elsewhere), Allowed: elsewhere, Metrics: metrics, Replicas: cfg.Database != "", Record: recordKeys(st, cfg.Region)})
}

// recordKeys records what becomes of keys that the server makes and removes by itself.
func recordKeys(st *store.Store, region string) func(account, action, key string) error {
	log, arns := audit.New(st), iam.ARNs{Region: region}
	return func(account, action, key string) error {
		return log.Record(audit.Event{
			Account: account, Caller: arns.Extension(account, "server", "keys"), Action: action, Outcome: audit.Performed,
			Resources: []string{arns.Extension(account, "issuer", "default")}, Reason: "key " + key,
		})
	}
}

// recordFirst records that the first account is made, with an administrator who may do everything.
func (in *installation) recordFirst(cfg Config) error {
	return audit.New(in.store).Record(audit.Event{
		Account: cfg.AccountID, Caller: iam.ARNs{Region: cfg.Region}.Extension(cfg.AccountID, "server", "first-start"), Action: "credence:Bootstrap", Outcome: audit.Performed,
		Resources: []string{iam.User(cfg.AccountID, vault.AdminUser)}, Reason: "by whoever administers the server: its first start",
	})
}

// installShared opens an installation whose database replicas share. Its first account is made once, by whichever replica comes first; that one's data
// directory gets the credentials file, and no other file of any replica is needed.
func installShared(ctx context.Context, cfg Config, metrics *telemetry.Metrics) (_ *installation, err error) {
	in := &installation{}
	if in.store, in.vault, err = openShared(ctx, cfg, metrics); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.close())
		}
	}()
	switch done, err := in.store.Bootstrapped(ctx); {
	case err != nil:
		return nil, err
	case done:
		return in, checkAccount(ctx, in.store, cfg)
	}
	if err := checkAccount(ctx, in.store, cfg); err != nil && !errors.Is(err, errNoAccount) {
		return nil, err
	}
	return in, in.bootstrapShared(ctx, cfg)
}

func openShared(ctx context.Context, cfg Config, metrics *telemetry.Metrics) (_ *store.Store, _ *vault.Vault, err error) {
	if err := checkKeyFile(kekPath(cfg.kek())); err != nil {
		return nil, nil, err
	}
	kek, err := vault.OpenKEK(cfg.kek())
	if err != nil {
		return nil, nil, err
	}
	st, err := openStore(ctx, cfg, store.Config{URL: cfg.Database})
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.Close())
		}
	}()
	if err := st.Whole(ctx); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", cfg.database(), err)
	}
	v, err := openVault(ctx, cfg, st, kek, metrics)
	return st, v, err
}

// bootstrapTime is longer than a bootstrap takes; a replica that waits for another one's waits no longer.
const bootstrapTime = 15 * time.Second

// bootstrapShared makes the first account, unless another replica does. A bootstrap that was broken off is finished by the next.
func (in *installation) bootstrapShared(ctx context.Context, cfg Config) error {
	lease, err := in.store.AcquireLease(cfg.AccountID, "bootstrap", bootstrapTime)
	for start := time.Now(); errors.Is(err, fault.ConcurrentModification) && time.Since(start) < 2*bootstrapTime; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		lease, err = in.store.AcquireLease(cfg.AccountID, "bootstrap", bootstrapTime)
	}
	if err != nil {
		return fmt.Errorf("the first account is being made by another replica: %w", err)
	}
	defer func() { _ = in.store.ReleaseLease(lease) }() // it ends by itself
	if done, err := in.store.Bootstrapped(ctx); err != nil || done {
		return err
	}
	if err := in.recordFirst(cfg); err != nil {
		return err
	}
	if err := in.vault.CreateAccount(cfg.AccountID); err != nil && !errors.Is(err, fault.Conflict) {
		return err
	}
	if err := in.vault.PutUserPolicy(cfg.AccountID, vault.AdminUser, vault.AdminPolicy, iam.AllowAll); err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return err
	}
	// The file comes first: a key that nobody can read would be lost.
	path := filepath.Join(cfg.DataDir, credentialsFile)
	key := vault.NewAccessKey()
	if err := writeNew(path, credentialsText(cfg, key)); err != nil {
		return fmt.Errorf("the first administrator's credentials: %w: move that file away, it is of another installation or of a start that did not come to its end", err)
	}
	if err := in.vault.InsertAccessKey(ctx, cfg.AccountID, vault.AdminUser, key, false); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	abs, err := filepath.Abs(cfg.DataDir)
	in.first = &FirstStart{DataDir: abs, Credentials: filepath.Join(abs, credentialsFile), Account: cfg.AccountID, Region: cfg.Region}
	return err
}

// errNoAccount: nobody was ever served from the database.
var errNoAccount = errors.New("it has no account")

// checkAccount refuses a database that nobody was ever served from, before a vault would take it for a new one, and one of another account.
func checkAccount(ctx context.Context, st *store.Store, cfg Config) error {
	accounts, err := st.Accounts(ctx)
	switch {
	case err != nil:
		return err
	case len(accounts) == 0:
		if d, err := st.AccountDeletion(ctx, cfg.AccountID); err == nil {
			return fmt.Errorf("account %s was deleted on %s, and %s has no other: begin with a new data directory or database", cfg.AccountID, d.RequestedAt.Format(time.RFC3339), cfg.database())
		}
		return fmt.Errorf("%s is no database of Credence: restore it from your backup: %w", cfg.database(), errNoAccount)
	case !slices.Contains(accounts, cfg.AccountID):
		return fmt.Errorf("--account-id %s: %s was made for account %s: give that one", cfg.AccountID, cfg.database(), strings.Join(accounts, ", "))
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
	if err := in.recordFirst(cfg); err != nil {
		return err
	}
	if err := in.vault.CreateAccount(cfg.AccountID); err != nil {
		return err
	}
	if err := in.vault.PutUserPolicy(cfg.AccountID, vault.AdminUser, vault.AdminPolicy, iam.AllowAll); err != nil {
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
	key := vault.NewAccessKey()
	return credentialsText(cfg, key), in.vault.InsertAccessKey(ctx, cfg.AccountID, vault.AdminUser, key, true)
}

func credentialsText(cfg Config, key vault.AccessKey) []byte {
	return fmt.Appendf(nil, "# Credence: the administrator of account %s. This file is as good as a password.\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %s\n",
		cfg.AccountID, key.ID, key.Secret.Reveal(), cfg.Region)
}

// ResetKey ends every access key of the administrator of an installation that is not running, or whose database is shared, makes a new one, and writes the credentials file anew.
func ResetKey(ctx context.Context, cfg Config) (*FirstStart, error) {
	if err := cfg.validateInstallation(); err != nil {
		return nil, err
	}
	if cfg.Database == "" {
		absent, err := missing(filepath.Join(cfg.DataDir, databaseFile))
		if err = errors.Join(err, finished(cfg.DataDir)); err != nil {
			return nil, err
		}
		if absent {
			return nil, fmt.Errorf("data directory %s has no database: start credence serve first", cfg.DataDir)
		}
	} else if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, err
	}
	in, err := install(ctx, cfg, telemetry.New())
	if err != nil {
		return nil, err
	}
	if in.first != nil { // it had none yet
		return in.first, in.close()
	}
	err = audit.New(in.store).Record(audit.Event{
		Account: cfg.AccountID, Caller: iam.User(cfg.AccountID, vault.AdminUser), Action: "credence:ResetKey", Outcome: audit.Performed,
		Resources: []string{iam.User(cfg.AccountID, vault.AdminUser)}, Reason: "by whoever administers the server: credence admin reset-key",
	})
	var credentials []byte
	if err == nil {
		err = in.vault.ResetAdministrator(cfg.AccountID)
	}
	if err == nil {
		credentials, err = in.newAdminKey(ctx, cfg)
	}
	if err == nil {
		err = replace(filepath.Join(cfg.DataDir, credentialsFile), credentials)
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
