package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Vendor and Chromium are started by the first test that needs them, and stopped after the last.
var atEnd struct {
	sync.Mutex
	stops []func()
}

func TestMain(m *testing.M) {
	forget, err := trustServers()
	if err != nil {
		panic(err)
	}
	code := m.Run()
	forget()
	for _, stop := range atEnd.stops {
		stop()
	}
	os.Exit(code)
}

func stopAtEnd(stop func()) {
	atEnd.Lock()
	defer atEnd.Unlock()
	atEnd.stops = append(atEnd.stops, stop)
}

// patience bounds every wait for a condition, and pause is how long one waits to look again. Only a broken program or a standing machine needs so long.
const (
	patience = 40 * time.Second
	pause    = 30 * time.Millisecond
)

// find is the path of a program that the tests need.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: run make test, which installs what these tests need", name)
	}
	return path, nil
}

// program is a child process that speaks JSON, one object a line, and ends with its standard input.
type program struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	mu    sync.Mutex // one line at a time
	said  bytes.Buffer
}

// node starts a script of testdata/js and hands every line of its output to hear, in order. A nil env is that of the tests.
func node(script string, env []string, hear func(line []byte), args ...string) (*program, error) {
	path, err := find("node")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join("testdata", "js")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		return nil, fmt.Errorf("%s/node_modules is missing: run make test, which installs what these tests need", dir)
	}
	p := &program{cmd: exec.Command(path, append([]string{script}, args...)...)}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = dir, env, &p.said
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		lines := bufio.NewReader(stdout)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			hear(line)
		}
	}()
	return p, nil
}

// tell writes one line.
func (p *program) tell(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = p.stdin.Write(append(line, '\n'))
	return err
}

// stop ends the program and gives what it said on standard error.
func (p *program) stop() (string, error) {
	err := errors.Join(p.stdin.Close(), p.cmd.Wait())
	return p.said.String(), err
}

// await polls until done, or fails the test with what it waited for.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}
