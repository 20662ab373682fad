// Package testvault runs a real HashiCorp Vault (tools/vault) for the tests with the build tag `full`.
package testvault

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Start starts one: in memory, unsealed. It ends with the test. `make test-full` builds it first.
func Start(t *testing.T) (address, rootToken string) {
	t.Helper()
	c := exec.Command(filepath.Join("..", "..", ".servers", "vault"))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatalf("make test-full builds it: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if _, err := fmt.Fscan(out, &address, &rootToken); err != nil {
		t.Fatalf("Vault does not start: %v", err)
	}
	return "http://" + address, rootToken
}
