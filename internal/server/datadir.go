package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Files of a data directory. It is ours alone: whoever can write here owns every token.
const (
	databaseFile    = "credence.db"
	masterKeyFile   = "master.key"
	credentialsFile = "credentials"
	lockFile        = "lock"
	beginningFile   = ".beginning" // a first start is under way; nobody has been served yet
	gitignoreFile   = ".gitignore"
)

// A folder that is called a data directory may hold these before it is one.
var harmless = []string{"lost+found", lockFile, gitignoreFile}

// dataDir is a data directory that this process alone holds.
type dataDir struct {
	path  string
	lock  *os.File
	fresh bool // it has no database yet
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// openDataDir checks a data directory, makes it when there is none, and takes its lock. kekPath is the master key file, or "" when the key is elsewhere.
// It changes nothing when something is wrong; errors say what to do.
func openDataDir(path, kekPath string) (*dataDir, error) {
	path = filepath.Clean(path)
	if err := checkDataDir(path, kekPath); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	d := &dataDir{path: path}
	lock, err := os.OpenFile(d.file(lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	d.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: another credence is using it: stop that one first", path), lock.Close())
	}
	if err := d.clearBeginning(kekPath); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if d.fresh, err = missing(d.file(databaseFile)); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *dataDir) close() error { return d.lock.Close() }

// checkDataDir refuses a directory that others could have prepared or could read, and one of which a part is missing.
func checkDataDir(path, kekPath string) error {
	path = filepath.Clean(path) // "link/" would be looked up as what the link names
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return checkKeyFile(kekPath)
	}
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("data directory %s is a symbolic link: give the folder itself", path)
	case !info.IsDir():
		return fmt.Errorf("data directory %s is not a folder", path)
	case !ours(info):
		return fmt.Errorf("data directory %s belongs to another user: run credence as that user, or give another folder", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("data directory %s can be entered by other users (mode %04o): if nobody else has touched it, chmod 700 %s", path, info.Mode().Perm(), path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, e := range entries {
		has[e.Name()] = true
		switch file := filepath.Join(path, e.Name()); {
		case slices.Contains([]string{databaseFile, masterKeyFile, credentialsFile, lockFile, beginningFile}, e.Name()):
			err = checkFile(file)
		case strings.HasPrefix(e.Name(), databaseFile), e.Name() == gitignoreFile: // SQLite makes its files with modes of its own, behind the folder's
			err = checkPlain(file)
		}
		if err != nil {
			return err
		}
	}
	if err := checkKeyFile(kekPath); err != nil {
		return err
	}
	haveKey := true
	if kekPath != "" {
		absent, err := missing(kekPath)
		if err != nil {
			return err
		}
		haveKey = !absent
	}
	switch {
	case has[beginningFile]:
		return nil // an unfinished first start; it will be done anew
	case has[databaseFile] && !haveKey:
		return fmt.Errorf("data directory %s has a database, but its master key %s is missing: restore that file from your backup; without it nothing can be decrypted", path, kekPath)
	case has[databaseFile]:
		return checkDatabase(filepath.Join(path, databaseFile))
	case has[masterKeyFile]:
		return fmt.Errorf("data directory %s has a master key but no database: restore %s from your backup, or move %s away to begin anew", path, databaseFile, masterKeyFile)
	case has[credentialsFile]:
		return fmt.Errorf("data directory %s has a credentials file but no database: somebody else put it there, or the database is lost: restore %s from your backup, or move %s away to begin anew", path, databaseFile, credentialsFile)
	}
	for name := range has {
		if !slices.Contains(harmless, name) {
			return fmt.Errorf("data directory %s holds other things (%s) and no database: give a new or an empty folder", path, name)
		}
	}
	return nil
}

// checkKeyFile is checkFile for a master key file, which may be anywhere and of any name. The path "" is that of a key that is no file.
func checkKeyFile(path string) error {
	if path == "" {
		return nil
	}
	return checkFile(path)
}

// checkDatabase refuses an empty file, which SQLite would take for a new database.
func checkDatabase(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		return fmt.Errorf("%s is empty: restore it from your backup", path)
	}
	return err
}

func within(path, dir string) bool { return filepath.Dir(filepath.Clean(path)) == filepath.Clean(dir) }

// checkFile refuses what is no plain file of ours, readable by us alone. It may be missing.
func checkFile(path string) error {
	if err := checkPlain(path); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by other users (mode %04o): chmod 600 %s, and consider its content known", path, info.Mode().Perm(), path)
	}
	return err
}

// checkPlain refuses what is no plain file of ours. It may be missing.
func checkPlain(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is a symbolic link or no plain file: put the file itself there", path)
	case !ours(info):
		return fmt.Errorf("%s belongs to another user: chown it to the user that runs credence", path)
	}
	return nil
}

func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func missing(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// clearBeginning removes what a first start left behind that did not come to its end. Nobody has been served from it.
func (d *dataDir) clearBeginning(kekPath string) error {
	absent, err := missing(d.file(beginningFile))
	if err != nil || absent {
		return err
	}
	names := []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm", databaseFile + "-journal", credentialsFile}
	if within(kekPath, d.path) {
		names = append(names, filepath.Base(kekPath))
	}
	for _, name := range append(names, beginningFile) { // the mark goes last
		if err := os.Remove(d.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// finished refuses an installation that a first start or a restore has not made to its end.
func finished(path string) error {
	absent, err := missing(filepath.Join(path, beginningFile))
	if err == nil && !absent {
		err = fmt.Errorf("data directory %s is unfinished: a first start or a restore did not come to its end: run that again", path)
	}
	return err
}

// begin marks a first start, and done ends it.
func (d *dataDir) begin() error {
	if err := writeNew(d.file(beginningFile), nil); err != nil {
		return err
	}
	if err := replace(d.file(gitignoreFile), []byte("*\n")); err != nil {
		return err
	}
	return d.sync()
}

func (d *dataDir) done() error {
	if err := d.sync(); err != nil {
		return err
	}
	if err := os.Remove(d.file(beginningFile)); err != nil {
		return err
	}
	return d.sync()
}

func (d *dataDir) sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeNew makes a file that was not there, for us alone, and has it on disk.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
