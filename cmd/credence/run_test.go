package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
)

// start runs credence serve in a folder until it is killed, and gives a way to see its output.
func start(t *testing.T, folder string) (*exec.Cmd, stream) {
	t.Helper()
	path, err := exec.LookPath("credence")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{}
	p.cmd = exec.Command(path, "serve", "--listen", "127.0.0.1:0")
	p.cmd.Dir, p.cmd.Env = folder, []string{"HOME=" + folder}
	p.cmd.Stdout, p.cmd.Stderr = stream{p, &p.out}, stream{p, &p.out}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p.cmd, stream{p, &p.out}
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// A first start that is killed at any moment is followed by one that serves, with credentials that work.
func TestKilledFirstStart(t *testing.T) {
	const moments = 24
	unfinished := 0
	for i := range moments {
		folder := t.TempDir()
		cmd, _ := start(t, folder)
		// From the moment that there is a folder, which is when there is something to lose.
		data := filepath.Join(folder, "credence-data")
		for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
			if _, err := os.Stat(filepath.Join(data, "lock")); err == nil {
				break
			}
			if time.Now().After(deadline) {
				end(cmd)
				t.Fatal("it makes no data directory")
			}
		}
		time.Sleep(time.Duration(i) * 2 * time.Millisecond)
		end(cmd)
		if _, err := os.Stat(filepath.Join(data, ".beginning")); err == nil {
			unfinished++
		}

		cmd, said := start(t, folder)
		url := ""
		for deadline := time.Now().Add(patience); url == ""; time.Sleep(time.Millisecond) {
			if m := listening.FindStringSubmatch(said.String()); m != nil {
				url = m[1]
			} else if time.Now().After(deadline) {
				end(cmd)
				t.Fatalf("killed after %d ms, it does not start again:\n%s", 2*i, said)
			}
		}
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(data, "credentials"))
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"issuer", "list", "--endpoint", url}, &out, &errs); code != 0 {
			t.Errorf("killed after %d ms, its credentials do not work: %s", 2*i, &errs)
		}
		end(cmd)
	}
	if unfinished == 0 {
		t.Errorf("none of %d first starts was killed before its end, so this test proves nothing", moments)
	}
	t.Logf("%d of %d first starts were killed before their end", unfinished, moments)
}

// A wrong use ends with 2, a failure with 1, and all is well with 0.
func TestExitCodes(t *testing.T) {
	folder := t.TempDir()
	credentials(t)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for args, want := range map[string]int{
		"version": 0, "--help": 0, "serve --help": 0, "": 2, "serf": 2, "serve --bogus": 2, "serve --log-format xml": 2, "backup": 2,
		"doctor --data-dir " + folder + "/none":                              0,
		"serve --account-id 0 --data-dir " + folder + "/none":                1,
		"admin reset-key --data-dir " + folder + "/none":                     1,
		"issuer list --endpoint http://127.0.0.1:1":                          1,
		"doctor --listen nowhere --data-dir " + folder + "/none":             1,
		"backup --to x --recipient age1 --data-dir " + folder + "/none":      1,
		"restore --from x --identity y --data-dir " + folder + "/none":       2,
		"serve --listen 192.0.2.1:1 --data-dir " + folder + "/none":          1,
		"serve --dev --listen 0.0.0.0:8080 --data-dir " + folder + "/none":   1,
		"serve --dev --dev=perhaps --data-dir " + folder + "/none":           2,
		"serve --trusted-proxies x --data-dir " + folder + "/none":           1,
		"serve --quota x=1 --data-dir " + folder + "/none":                   1,
		"serve --kek file: --listen 127.0.0.1:0 --data-dir " + folder + "/n": 1,
	} {
		var out, errs bytes.Buffer
		if code := run(stopped, strings.Fields(args), &out, &errs); code != want {
			t.Errorf("credence %s: exit code %d, want %d\n%s%s", args, code, want, &out, &errs)
		}
		if (want == 2) != strings.Contains(errs.String(), "credence --help tells more") {
			t.Errorf("credence %s: %s", args, &errs)
		}
		for line := range strings.Lines(errs.String()) {
			if want != 0 && !strings.HasPrefix(line, "credence: ") && !strings.HasPrefix(line, "--") {
				t.Errorf("credence %s: a line that nobody signs: %s", args, line)
			}
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("something was made: %v, %v", entries, err)
	}
}

// What a server without our words answers is named by its status, not shown as if it were ours.
func TestClientOfAnotherProgram(t *testing.T) {
	credentials(t)
	s := httptest.NewServer(http.HandlerFunc(http.NotFound))
	t.Cleanup(s.Close)
	url := s.URL
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"issuer", "list", "--endpoint", url}, &out, &errs); code != 1 || !strings.Contains(errs.String(), fmt.Sprintf("%s answered 404 Not Found: is it the address of Credence?", url)) {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	if strings.Contains(out.String()+errs.String(), "planted-secret") {
		t.Error("it shows the secret")
	}
}

// credentials are some, for commands that would otherwise look for them in the network.
func credentials(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// A command that was interrupted has failed, but a server that was told to stop has done what it should.
func TestInterrupted(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	folder := t.TempDir()
	data, backup := filepath.Join(folder, "credence-data"), filepath.Join(folder, "backup")
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(stopped, []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", data}, &out, &errs); code != 0 || strings.Contains(out.String(), "listening") {
		t.Errorf("serve: exit code %d\n%s%s", code, &out, &errs)
	}
	cmd, said := start(t, folder)
	for deadline := time.Now().Add(patience); !listening.MatchString(said.String()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			end(cmd)
			t.Fatalf("it does not listen:\n%s", said)
		}
	}
	end(cmd)
	out.Reset()
	if code := run(stopped, []string{"backup", "--to", backup, "--recipient", key.Recipient().String(), "--data-dir", data}, &out, &errs); code != 1 || out.Len() > 0 {
		t.Errorf("backup: exit code %d\n%s%s", code, &out, &errs)
	}
	if _, err := os.Stat(backup); err == nil {
		t.Error("half a backup is there")
	}
}
