package external

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// files reads secrets that are files, such as those that Kubernetes mounts.
type files struct{}

// read opens a file below the directory that the prefix names. os.Root takes each step, symlinks included, from a directory that it holds open: none leads
// out, whatever is swapped meanwhile.
func (files) read(p prefix, r reference) (_ members, err error) {
	root, err := os.OpenRoot(p.directory())
	if err != nil {
		return nil, fileError(err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f, err := root.OpenFile(strings.Join(r.path[len(p.path):], "/"), os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for a writer
	if err != nil {
		return nil, fileError(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, refusal{"it is no regular file", nil}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	return objectOrText(r.path[len(r.path)-1], text)
}

// fileError tells what stays so from what a retry may mend.
func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return refusal{"it does not exist", nil}
	case errors.Is(err, fs.ErrPermission):
		return refusal{"this server may not read it", err}
	case errors.Is(err, syscall.ELOOP):
		return refusal{"its symlinks lead nowhere", nil}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EINTR):
		return fmt.Errorf("open: %w", err)
	}
	return refusal{"it cannot be opened: it is no file, or a symlink leads out of the directory that the operator configured", err}
}
