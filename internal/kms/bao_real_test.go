//go:build full

package kms

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var vaultProgram string

// TestMain makes HashiCorp Vault (tools/vault); the first time that takes minutes.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "vault")
	if err != nil {
		panic(err)
	}
	vaultProgram = filepath.Join(dir, "vault")
	c := exec.Command("go", "build", "-C", "../../tools/vault", "-o", vaultProgram, ".")
	c.Env = append(os.Environ(), "GOFLAGS=")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// startBao starts a real Vault: in memory, unsealed.
func startBao(t *testing.T) (address, token string) {
	t.Helper()
	c := exec.Command(vaultProgram)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if _, err := fmt.Fscan(out, &address, &token); err != nil {
		t.Fatalf("Vault does not start: %v", err)
	}
	return "http://" + address, token
}
