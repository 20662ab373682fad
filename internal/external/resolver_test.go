package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
)

// planted is a secret that no error may hold.
const planted = "planted-5e1d"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantFault holds an error against a kind and texts, the first of which is always the id; whatever else it holds, it never holds the secret.
func wantFault(t *testing.T, err error, kind fault.Kind, says ...string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind)
	}
	for _, s := range says {
		if !strings.Contains(f.Msg, s) {
			t.Errorf("%q does not say %q", f.Msg, s)
		}
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, f, f), planted) {
		t.Errorf("%v tells the secret", err)
	}
}

func wantSecret(t *testing.T, r *Resolver, id, jsonKey, want string) {
	t.Helper()
	s, err := r.Resolve(t.Context(), alpha, id, jsonKey)
	if err != nil || s.Reveal() != want {
		t.Fatalf("%s: %q, %v; want %q", id, s.Reveal(), err, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// A file is a JSON object, or one text under the file's own name. It is read anew each time.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	r := New(mustPrefixes(t, alpha+"=file://"+dir+"/"))
	base := "file://" + dir + "/"
	for name, test := range map[string]struct{ text, key, want, refusal string }{
		"object":    {`{"client_secret": "` + planted + `", "other": 1}`, "client_secret", planted, ""},
		"spaced":    {" \n{\"a\": \"" + planted + "\"}\n", "a", planted, ""},
		"text":      {planted, "text", planted, ""},
		"line":      {planted + "\n", "line", planted, ""},
		"dos":       {planted + "\r\n", "dos", planted, ""},
		"two":       {planted + "\n\n", "two", planted + "\n", ""},
		"string":    {`"` + planted + `"`, "string", `"` + planted + `"`, ""},
		"other-key": {planted, "client_secret", "", `no text under the key "client_secret"`},
		"no-member": {`{"a": "` + planted + `"}`, "b", "", `no text under the key "b"`},
		"number":    {`{"a": 17, "b": "` + planted + `"}`, "a", "", `no text under the key "a"`},
		"null":      {`{"a": null}`, "a", "", `no text under the key "a"`},
		"empty":     {"", "empty", "", "no text under the key"},
		"torn":      {`{"a": "` + planted, "torn", "", "no JSON object"},
		"twice":     {`{"a": "` + planted + `", "a": "x"}`, "a", "", "no JSON object"},
		"more":      {`{"a": "` + planted + `"} x`, "a", "", "no JSON object"},
		"large":     {planted + strings.Repeat("x", maxSecret), "large", "", "larger than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, dir+"/"+name, test.text)
			if test.refusal == "" {
				wantSecret(t, r, base+name, test.key, test.want)
				return
			}
			_, err := r.Resolve(t.Context(), alpha, base+name, test.key)
			wantFault(t, err, fault.AccessDenied, `"`+base+name+`"`, test.refusal)
		})
	}
	write(t, dir+"/text", "rotated")
	wantSecret(t, r, base+"text", "text", "rotated")
	_, err := r.Resolve(t.Context(), alpha, base+"none", "x")
	wantFault(t, err, fault.AccessDenied, "does not exist")
	_, err = r.Resolve(t.Context(), alpha, base+"text/none", "x")
	wantFault(t, err, fault.AccessDenied, "does not exist")
	must(t, os.Mkdir(dir+"/folder", 0o700))
	_, err = r.Resolve(t.Context(), alpha, base+"folder", "x")
	wantFault(t, err, fault.AccessDenied, "no regular file")
}

// A pipe would wait for ever; nobody waits for it.
func TestFileThatIsAPipe(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(dir+"/pipe", 0o600))
	_, err := New(mustPrefixes(t, alpha+"=file://"+dir+"/")).Resolve(t.Context(), alpha, "file://"+dir+"/pipe", "x")
	wantFault(t, err, fault.AccessDenied, "no regular file")
}

// Kubernetes mounts a secret as symlinks to ..data, itself a symlink that a rotation replaces.
func TestKubernetesMount(t *testing.T) {
	dir := t.TempDir()
	version := func(name, text string) {
		write(t, dir+"/"+name+"/client_secret", text)
		must(t, os.Symlink(name, dir+"/..data_tmp"))
		must(t, os.Rename(dir+"/..data_tmp", dir+"/..data"))
	}
	version("..2026_11_22_10_00_00.1", "first")
	must(t, os.Symlink("..data/client_secret", dir+"/client_secret"))
	r := New(mustPrefixes(t, alpha+"=file://"+dir+"/"))
	wantSecret(t, r, "file://"+dir+"/client_secret", "client_secret", "first")
	version("..2026_11_22_11_00_00.2", "second")
	wantSecret(t, r, "file://"+dir+"/client_secret", "client_secret", "second")
	wantSecret(t, r, "file://"+dir+"/..data/client_secret", "client_secret", "second")
}

// A symlink leads nowhere outside the prefix's directory, however it got there and whatever it led to at an earlier use.
func TestSymlinkLeavesNoDirectory(t *testing.T) {
	top := t.TempDir()
	dir := top + "/a"
	write(t, dir+"/sub/good", "good")
	write(t, top+"/b/key", planted)
	write(t, top+"/ab/key", planted)
	r := New(mustPrefixes(t, alpha+"=file://"+dir+"/", beta+"=file://"+top+"/b/"))
	must(t, os.Symlink("sub/good", dir+"/key"))
	wantSecret(t, r, "file://"+dir+"/key", "key", "good")
	for name, target := range map[string]string{
		"up":                    "../b/key",
		"sibling":               "../ab/key",
		"absolute":              top + "/b/key",
		"far around":            "sub/../../b/key",
		"of a folder, and then": "../b",
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.Remove(dir+"/key"))
			must(t, os.Symlink(target, dir+"/key"))
			for _, id := range []string{"file://" + dir + "/key", "file://" + dir + "/key/key"} {
				s, err := r.Resolve(t.Context(), alpha, id, "key")
				if !s.IsZero() {
					t.Fatalf("%s is read", id)
				}
				wantFault(t, err, fault.AccessDenied, id)
			}
		})
	}
	must(t, os.Remove(dir+"/key"))
	must(t, os.Symlink("key", dir+"/key"))
	_, err := r.Resolve(t.Context(), alpha, "file://"+dir+"/key", "key")
	wantFault(t, err, fault.AccessDenied, "symlink")
	// A hurried swap: no read between two looks gets what lies outside.
	must(t, os.Remove(dir+"/key"))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := dir + "/next"
			_ = os.Symlink([]string{"sub/good", "../b/key"}[i%2], next)
			_ = os.Rename(next, dir+"/key")
		}
	}()
	good := 0
	for range 2000 {
		s, err := r.Resolve(t.Context(), alpha, "file://"+dir+"/key", "key")
		if err == nil && s.Reveal() != "good" {
			t.Fatalf("got %q", s.Reveal())
		} else if err == nil {
			good++
		}
	}
	close(stop)
	<-done
	if good == 0 {
		t.Error("the symlink to a good file was never read")
	}
}

// counting is a backend that says how often it was asked.
type counting struct {
	asked atomic.Int32
	read_ func(context.Context) (members, error)
}

func (c *counting) read(ctx context.Context, _ prefix, _ reference) (members, error) {
	c.asked.Add(1)
	return c.read_(ctx)
}

func withBackend(t *testing.T, read func(context.Context) (members, error)) (*Resolver, *counting) {
	r, c := New(secrets(t)), &counting{read_: read}
	for scheme := range r.remote {
		r.remote[scheme] = c
	}
	return r, c
}

// No reference outside the account's prefixes makes any backend hear of it, nor does one that was read before and is not allowed any more.
func TestOutsideAsksNoBackend(t *testing.T) {
	r, c := withBackend(t, func(context.Context) (members, error) { return members{"k": secret.New(planted)}, nil })
	for _, id := range outside {
		s, err := r.Resolve(t.Context(), alpha, id, "k")
		if !s.IsZero() {
			t.Errorf("%q is read", id)
		}
		wantFault(t, err, fault.AccessDenied, "Access denied when retrieving secret")
	}
	wantSecret(t, r, "agents/github", "k", planted)
	for _, account := range []string{beta, "", "111122223333 "} {
		_, err := r.Resolve(t.Context(), account, awsHome+"agents/github", "k")
		wantFault(t, err, fault.AccessDenied, awsHome)
	}
	r.prefixes = mustPrefixes(t, beta+"=file:///run/b/")
	_, err := r.Resolve(t.Context(), alpha, awsHome+"agents/github", "k") // as after a restart, but with what is cached
	wantFault(t, err, fault.AccessDenied, "configured for account "+alpha)
	if n := c.asked.Load(); n != 1 {
		t.Errorf("a backend was asked %d times", n)
	}
}

// A secret is read once a minute, however many ask and by whatever name; a failure is kept for two seconds.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		r, c := withBackend(t, func(context.Context) (members, error) {
			time.Sleep(time.Second)
			if fail.Load() {
				return nil, errors.New("connection refused")
			}
			return members{"k": secret.New(planted)}, nil
		})
		ask := func(want int32) {
			t.Helper()
			var wg sync.WaitGroup
			for _, id := range []string{"agents/github", awsHome + "agents/github", "aws-secretsmanager://" + awsHome + "agents/github"} {
				for range 20 {
					wg.Go(func() {
						s, err := r.Resolve(t.Context(), alpha, id, "k")
						if fail.Load() {
							wantFault(t, err, fault.Throttled, `"`+id+`"`, "AWS Secrets Manager", "try again later")
						} else if err != nil || s.Reveal() != planted {
							t.Errorf("%v", err)
						}
					})
				}
			}
			wg.Wait()
			if n := c.asked.Load(); n != want {
				t.Errorf("asked %d times, want %d", n, want)
			}
		}
		ask(1)
		time.Sleep(keepRead - time.Second)
		ask(1)
		time.Sleep(2 * time.Second)
		fail.Store(true)
		ask(2)
		ask(2)
		time.Sleep(keepFailed)
		ask(3)
		fail.Store(false)
		time.Sleep(keepFailed)
		ask(4)
	})
}

// A backend that hangs is given up after ten seconds, and a caller who goes away waits no longer; the read goes on for others.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := withBackend(t, func(ctx context.Context) (members, error) { <-ctx.Done(); return nil, ctx.Err() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := r.Resolve(ctx, alpha, "agents/github", "k")
		wantFault(t, err, fault.Throttled)
		if d := time.Since(start); d != time.Second {
			t.Errorf("the caller waited %v", d)
		}
		_, err = r.Resolve(t.Context(), alpha, "agents/github", "k")
		wantFault(t, err, fault.Throttled)
		if d := time.Since(start); d != timeout || c.asked.Load() != 1 {
			t.Errorf("given up after %v, asked %d times", d, c.asked.Load())
		}
	})
}
