package vault

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"credence/internal/store"
	"credence/internal/telemetry"
)

// The process that is killed is this test's own binary, with the folder of its database in this variable.
const victimFolder = "CREDENCE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimFolder); dir != "" {
		fmt.Println(setKeysForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// setKeysForEver gives alpha's vault one key after the other, and says so after each.
func setKeysForEver(dir string) error {
	ctx := context.Background()
	v, closed, err := openVictim(dir)
	if err != nil {
		return err
	}
	defer closed()
	keys, err := v.store.Keys(ctx, alpha)
	if err != nil {
		return err
	}
	for {
		for _, id := range []string{keys[0].ID, "", keys[1].ID} {
			if err := v.SetTokenVaultKey(ctx, alpha, id); err != nil {
				return err
			}
			fmt.Println("set")
		}
	}
}

func openVictim(dir string) (*Vault, func(), error) {
	kek, err := OpenKEK("file:" + filepath.Join(dir, "master.key"))
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(context.Background(), store.Config{Path: filepath.Join(dir, "credence.db")})
	if err != nil {
		return nil, nil, err
	}
	v, err := New(context.Background(), Config{Store: s, KEK: kek, Metrics: telemetry.New()})
	return v, func() { _ = s.Close() }, err
}

// Killed at any moment of giving a vault another key, everything in it still opens.
func TestKilledWhileTheKeyIsSet(t *testing.T) {
	dir := t.TempDir()
	master, err := NewMasterKey()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "master.key"), master, 0o600))
	v, closed, err := openVictim(dir)
	must(t, err)
	must(t, v.CreateAccount(alpha))
	must(t, v.CreateAccount(beta))
	b := &bed{Vault: v, keys: map[string]AccessKey{}}
	b.fill(t)
	b.vaultKey(t, alpha)
	b.vaultKey(t, alpha)
	closed()

	seen := map[string]bool{}
	for range 25 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimFolder+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != "set" {
			t.Errorf("the victim says %q, %v", line, err)
		}
		pause, err := rand.Int(rand.Reader, big.NewInt(int64(20*time.Millisecond)))
		must(t, err)
		time.Sleep(time.Duration(pause.Int64()))
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed

		v, closed, err := openVictim(dir)
		must(t, err)
		b.Vault = v
		b.wantOpen(t, v, alpha, "after the kill")
		b.wantOpen(t, v, beta, "the other account")
		row, err := v.store.TokenVault(t.Context(), alpha, vaultID)
		must(t, err)
		seen[row.KeyID] = true
		closed()
	}
	if len(seen) < 2 {
		t.Errorf("it was always the same key: %v", seen)
	}
}
