package server

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
)

// A backup is a tar of these files, encrypted with age to its recipients.
var backupFiles = []string{databaseFile, masterKeyFile, credentialsFile}

// recipients are the age public keys that a flag gives.
func recipients(flag string, texts []string) ([]age.Recipient, error) {
	var keys []age.Recipient
	for _, text := range texts {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
				return nil, errors.New(flag + " is a secret key: give the public key (age1…) that age-keygen shows with it")
			}
			return nil, fmt.Errorf("%s %q is not an age public key (age1…): make one with age-keygen", flag, text)
		}
		keys = append(keys, r)
	}
	return keys, nil
}

// Backup writes an installation, which may be running, to a new file: the database as it is at one moment, and what is needed to open it again.
// A key-encryption key that is no file is not in it. to are age public keys.
func Backup(ctx context.Context, cfg Config, path string, to []string) (err error) {
	keys, err := recipients("--recipient", to)
	if err != nil {
		return err
	}
	if cfg.Database != "" {
		return errShared
	}
	if err := errors.Join(cfg.validateInstallation(), checkDataDir(cfg.DataDir, kekPath(cfg.kek()))); err != nil {
		return err
	}
	database := filepath.Join(cfg.DataDir, databaseFile)
	if absent, err := missing(database); err != nil || absent {
		return errors.Join(fmt.Errorf("data directory %s has no database to back up", cfg.DataDir), err)
	}
	if err := finished(cfg.DataDir); err != nil {
		return err
	}
	kek, err := vault.OpenKEK(cfg.kek())
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(cfg.DataDir, ".backup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	st, err := store.Open(ctx, store.Config{Path: database, KeepSchema: true})
	if err != nil {
		return err
	}
	snapshot := filepath.Join(work, databaseFile)
	if err := errors.Join(prove(ctx, st, kek), st.Snapshot(ctx, snapshot), st.Close()); err != nil {
		return err
	}
	files := map[string]string{databaseFile: snapshot, credentialsFile: filepath.Join(cfg.DataDir, credentialsFile)}
	if path := kekPath(cfg.kek()); path != "" {
		files[masterKeyFile] = path
	}

	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(path) // half a backup is none
		}
	}()
	sealed, err := age.Encrypt(out, keys...)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(sealed)
	for _, name := range backupFiles {
		if files[name] == "" {
			continue
		}
		if err := addFile(archive, name, files[name]); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), sealed.Close(), out.Sync())
}

// prove refuses a database that the key does not open: nobody could be served from its backup.
func prove(ctx context.Context, st *store.Store, kek *vault.KEK) error {
	if accounts, err := st.Accounts(ctx); err != nil || len(accounts) == 0 {
		return errors.Join(fmt.Errorf("%s is no database of Credence", databaseFile), err)
	}
	_, err := vault.New(ctx, vault.Config{Store: st, KEK: kek, Metrics: telemetry.New()})
	return err
}

func addFile(archive *tar.Writer, name, path string) (err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) && name == credentialsFile {
		return nil // its owner may have moved it away
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}

// Restore makes an installation of a backup, in a data directory that has none, and proves that its key opens its database.
// identityFile holds an age secret key.
func Restore(ctx context.Context, cfg Config, from, identityFile string) (err error) {
	if err := cfg.validateInstallation(); err != nil {
		return err
	}
	if cfg.Database != "" {
		return errShared
	}
	identityText, err := os.Open(identityFile)
	if err != nil {
		return err
	}
	identities, err := age.ParseIdentities(identityText)
	if err = errors.Join(err, identityText.Close()); err != nil {
		return fmt.Errorf("--identity %s is not a file of age secret keys: %w", identityFile, err)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	opened, err := age.Decrypt(in, identities...)
	if err != nil {
		return fmt.Errorf("backup %s cannot be opened with %s: %w", from, identityFile, err)
	}

	dir, err := openDataDir(cfg.DataDir, kekPath(cfg.kek()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if !dir.fresh {
		return fmt.Errorf("data directory %s has a database already: restore to a new folder", cfg.DataDir)
	}
	if err := dir.begin(); err != nil {
		return err
	}
	if err := unpack(tar.NewReader(opened), dir, kekPath(cfg.kek())); err != nil {
		return fmt.Errorf("backup %s: %w", from, err)
	}
	if absent, err := missing(dir.file(databaseFile)); err != nil || absent { // opening it would make one
		return errors.Join(fmt.Errorf("backup %s holds no database", from), err)
	}
	kek, err := vault.OpenKEK(cfg.kek())
	if err != nil {
		return err
	}
	st, err := store.Open(ctx, store.Config{Path: dir.file(databaseFile)})
	if err != nil {
		return err
	}
	if err = errors.Join(prove(ctx, st, kek), st.Check(ctx), st.Close()); err != nil {
		return err
	}
	return dir.done()
}

// unpack writes the files of a backup. The master key goes where the configuration has it, unless one is there.
func unpack(archive *tar.Reader, dir *dataDir, kek string) error {
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !slices.Contains(backupFiles, h.Name) {
			return fmt.Errorf("it holds %q, which no backup has", h.Name)
		}
		path := dir.file(h.Name)
		if h.Name == masterKeyFile {
			absent, err := missing(kek)
			if err != nil {
				return err
			}
			if kek == "" || !absent {
				continue
			}
			path = kek
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, archive)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
}
