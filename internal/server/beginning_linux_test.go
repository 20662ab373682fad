package server

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The mark is there before anything that it speaks for, and goes when all of that is whole.
func TestMarkIsFirstAndLast(t *testing.T) {
	cfg := settings(t)
	folder(t, cfg.DataDir)
	watch, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	must(t, err)
	defer func() { _ = syscall.Close(watch) }()
	_, err = syscall.InotifyAddWatch(watch, cfg.DataDir, syscall.IN_CREATE|syscall.IN_CLOSE_WRITE|syscall.IN_DELETE|syscall.IN_MOVED_TO)
	must(t, err)
	open(t, cfg)

	buf := make([]byte, 1<<20)
	n, err := syscall.Read(watch, buf)
	must(t, err)
	var seen []string
	for rest := buf[:n]; len(rest) > 0; {
		mask, length := binary.NativeEndian.Uint32(rest[4:]), binary.NativeEndian.Uint32(rest[12:])
		name := string(bytes.TrimRight(rest[16:16+length], "\x00"))
		switch {
		case mask&syscall.IN_CREATE != 0:
			seen = append(seen, "make "+name)
		case mask&syscall.IN_DELETE != 0:
			seen = append(seen, "remove "+name)
		default:
			seen = append(seen, "written "+name)
		}
		rest = rest[16+length:]
	}
	marked, unmarked := slices.Index(seen, "make "+beginningFile), slices.Index(seen, "remove "+beginningFile)
	if marked < 0 || unmarked < 0 {
		t.Fatalf("no mark came and went: %q", seen)
	}
	for _, name := range []string{masterKeyFile, databaseFile, credentialsFile} {
		if i := slices.Index(seen, "make "+name); i < marked || i > unmarked {
			t.Errorf("%s was not made under the mark: %q", name, seen)
		}
	}
	for i, what := range seen {
		if strings.HasPrefix(what, "written ") && !strings.HasPrefix(what, "written "+databaseFile) && i > unmarked {
			t.Errorf("%s after the mark went: %q", what, seen)
		}
	}
}
