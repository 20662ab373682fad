package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/testenv"
)

// A checkpoint from outside counts when the log signed it. A log that shows one tree to who reads all of it, and another to who asks for a proof, is found out: a
// verification has the consistency proof, too.
func TestVerifyDemandsSignatureAndProof(t *testing.T) {
	e := testenv.Start(t)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(e.Config.DataDir, "credentials"))
	ours, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	lies, read := false, map[string]bool{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(ours); r.Out.Host = r.In.Host },
		ModifyResponse: func(resp *http.Response) error {
			path := resp.Request.URL.Path
			mu.Lock()
			defer mu.Unlock()
			if lies && read[path] && strings.Contains(path, "/tile/") {
				text, err := io.ReadAll(resp.Body)
				text[0] ^= 1
				resp.Body = io.NopCloser(strings.NewReader(string(text)))
				return err
			}
			read[path] = true
			return nil
		},
	}
	proxy := httptest.NewServer(forward)
	defer proxy.Close()
	t.Setenv("CREDENCE_ENDPOINT", proxy.URL)

	ask := func(args ...string) string {
		code, out, errs := credence(t, args...)
		if code != 0 {
			t.Fatalf("%s: %s", args, errs)
		}
		return out
	}
	// grown is the log's checkpoint once it has more entries than before.
	grown := func(than int) (text string, size int) {
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			text = ask("audit", "checkpoint")
			if size, err = strconv.Atoi(strings.Split(text, "\n")[1]); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if size > than {
				return text, size
			}
		}
		t.Fatalf("the log has no more than %d entries", than)
		return
	}
	text, size := grown(0)
	earlier := file(t, "earlier", text)
	grown(size)
	verify := []string{"audit", "verify", "--checkpoints", earlier, "--key", strings.TrimSpace(ask("audit", "checkpoint", "--key"))}
	if said := ask(verify...); !strings.Contains(said, "consistent with the checkpoint of "+strconv.Itoa(size)+" entries") {
		t.Errorf("said %q", said)
	}
	body, _, _ := strings.Cut(text, "\n\n")
	forged := file(t, "forged", body+"\n\n— "+strings.Split(text, "\n")[0]+" AAAAAAAA\n")
	if code, out, errs := credence(t, append(verify, "--checkpoints", forged)...); code != 1 || !strings.Contains(errs, "forged: the checkpoint is not signed by ") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	mu.Lock()
	lies, read = true, map[string]bool{}
	mu.Unlock()
	if code, out, errs := credence(t, verify...); code != 1 || !strings.Contains(errs, "no consistency proof from "+strconv.Itoa(size)+" entries") {
		t.Errorf("%d %s%s", code, out, errs)
	}
}
