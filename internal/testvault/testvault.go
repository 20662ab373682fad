// Package testvault runs a real HashiCorp Vault (tools/vault) for the tests with the build tag `full`.
package testvault

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var program string

// Main is for TestMain: it builds Vault, which takes minutes the first time, and runs the tests.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "vault")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "vault")
	c := exec.Command("go", "build", "-C", "../../tools/vault", "-o", program, ".")
	c.Env = append(os.Environ(), "GOFLAGS=")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Start starts one: in memory, unsealed. It ends with the test.
func Start(t *testing.T) (address, rootToken string) {
	t.Helper()
	c := exec.Command(program)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if _, err := fmt.Fscan(out, &address, &rootToken); err != nil {
		t.Fatalf("Vault does not start: %v", err)
	}
	return "http://" + address, rootToken
}
