package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// lines is a log that tests may read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// logged gives a configuration a log of everything.
func logged(cfg *Config) *lines {
	log := &lines{}
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return log
}

// run starts a server; stop stops it, once, and the test's end does so too.
func run(t *testing.T, cfg Config) (s *Server, stop func()) {
	t.Helper()
	s, err := New(t.Context(), cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request line as it stands: an http.Client would tidy the path first.
func ask(t *testing.T, addr, line string) answer {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", addr)
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	method, _, _ := strings.Cut(line, " ")
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: credence.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", line)
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (a answer) exception() string {
	var e struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal([]byte(a.body), &e)
	return e.Type
}

const (
	unknownOperation = "UnknownOperationException"
	unsigned         = "MissingAuthenticationTokenException"
	page             = "<!doctype html>" // a page for people
)

// Every path is taken as it came, and none answers with a redirect, which would break a signature or carry a code elsewhere.
func TestRouting(t *testing.T) {
	cfg := settings(t)
	log := logged(&cfg)
	s, _ := run(t, cfg)
	addr := s.listeners[0].Addr().String()
	for _, tc := range []struct {
		line   string
		status int
		want   string // an exception, a page, or the body
	}{
		{"GET /healthz", 200, "ok\n"},
		{"HEAD /healthz", 200, ""},
		{"GET /readyz", 200, "ok\n"},
		{"GET /healthz?planted-query", 200, "ok\n"},
		{"POST /healthz", 404, unknownOperation},
		{"DELETE /readyz", 404, unknownOperation},
		{"GET //healthz", 404, unknownOperation},
		{"GET /healthz/", 404, unknownOperation},
		{"GET /./healthz", 404, unknownOperation},
		{"GET /x/../healthz", 404, unknownOperation},
		{"GET /%68ealthz", 404, unknownOperation},
		{"GET /", 404, unknownOperation},
		{"GET /nothing", 404, unknownOperation},
		{"POST /identities/Nothing", 404, unknownOperation},
		{"BREW /identities/GetWorkloadAccessToken", 404, unknownOperation},

		{"POST /identities/GetWorkloadAccessToken", 403, unsigned},
		{"GET /identities/GetWorkloadAccessToken", 404, unknownOperation},
		{"PUT /identities/GetWorkloadAccessToken", 404, unknownOperation},
		{"POST /identities/GetWorkloadAccessToken/", 404, unknownOperation},
		{"POST //identities/GetWorkloadAccessToken", 404, unknownOperation},
		{"POST /identities//GetWorkloadAccessToken", 404, unknownOperation},
		{"POST /identities/./GetWorkloadAccessToken", 404, unknownOperation},
		{"POST /identities/x/../GetWorkloadAccessToken", 404, unknownOperation},
		{"POST /identities/%47etWorkloadAccessToken", 404, unknownOperation},
		{"POST /IDENTITIES/GetWorkloadAccessToken", 404, unknownOperation},
		{"POST /credence/ListTrustedIssuers", 403, unsigned},
		{"GET /credence/ListTrustedIssuers", 404, unknownOperation},

		{"GET /identities/oauth2/authorize", 404, page},
		{"GET /identities/oauth2/authorize?request_uri=planted-query", 404, page},
		{"POST /identities/oauth2/authorize", 404, unknownOperation},
		{"GET /identities/oauth2/authorize/", 404, unknownOperation},
		{"GET //identities/oauth2/authorize?request_uri=planted-query", 404, unknownOperation},
		{"GET /identities/oauth2/callback/x?code=planted-query&state=planted-query", 404, page},
		{"GET /identities/oauth2/callback/?code=planted-query", 404, page},
		{"GET /identities/oauth2/callback//x?code=planted-query", 404, page},
		{"GET /identities/oauth2/callback/x/?code=planted-query", 404, page},
		{"GET /identities/oauth2/callback/./x?code=planted-query", 404, page},
		{"GET /identities/oauth2/callback/../../../metrics?code=planted-query", 404, page},
		{"GET /identities/oauth2/callback/..//evil.example/x?code=planted-query", 404, page},
		{"GET /identities/oauth2/callback/%2e%2e/authorize?code=planted-query", 404, page},
		{"POST /identities/oauth2/callback/x?code=planted-query", 404, unknownOperation},

		{"GET /issuer/planted-query/jwks", 404, `{"error":"not_found"}`},
		{"GET /issuer/x/../../healthz?planted-query", 404, `{"error":"not_found"}`},
		{"GET //issuer/x/jwks", 404, unknownOperation},
		{"POST /issuer/x/jwks", 404, unknownOperation},
		{"GET /issuer", 404, unknownOperation},
		{"POST //", 404, unknownOperation},

		{"POST /metrics", 404, unknownOperation},
		{"GET /metrics/", 404, unknownOperation},
		{"GET //metrics", 404, unknownOperation},
	} {
		got := ask(t, addr, tc.line)
		if got.status != tc.status || got.header.Get("Location") != "" {
			t.Errorf("%s: %d %s", tc.line, got.status, got.header.Get("Location"))
		}
		switch tc.want {
		case unknownOperation, unsigned:
			if got.exception() != tc.want || got.header.Get("X-Amzn-Errortype") != tc.want || got.header.Get("X-Amzn-Requestid") == "" {
				t.Errorf("%s: %v %s", tc.line, got.header, got.body)
			}
		case page:
			if !strings.HasPrefix(strings.ToLower(got.body), page) || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Referrer-Policy") != "no-referrer" ||
				got.header.Get("Content-Security-Policy") == "" || got.header.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: %v %.60s", tc.line, got.header, got.body)
			}
		default:
			if got.body != tc.want {
				t.Errorf("%s: %q", tc.line, got.body)
			}
		}
		if strings.Contains(got.body, "planted-query") {
			t.Errorf("%s: the answer repeats the query", tc.line)
		}
	}
	if strings.Contains(log.String(), "planted-query") {
		t.Errorf("a query is in the log:\n%s", log)
	}
	if !strings.Contains(log.String(), unsigned) && !strings.Contains(log.String(), "missing_signature") {
		t.Errorf("the log has no refusals, so this test proves nothing:\n%s", log)
	}
}

// A peer that sends too much before anything is checked is cut off.
func TestHeadersAreBounded(t *testing.T) {
	s, _ := run(t, settings(t))
	if got := ask(t, s.listeners[0].Addr().String(), "GET /healthz?"+strings.Repeat("x", 200<<10)); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("HTTP %d", got.status)
	}
}

// Metrics and Credence's own operations are where the operator put them, and metrics nowhere else than on this machine.
func TestWhereMetricsAre(t *testing.T) {
	const extension, operation = "POST /credence/ListTrustedIssuers", "POST /identities/GetWorkloadAccessToken"
	const keys, tokens = "GET /issuer/" + account + "/jwks", "POST /"
	type want map[string]int
	for _, tc := range []struct {
		name           string
		edit           func(*Config)
		public, admins want
	}{
		{"one listener on this machine", func(*Config) {},
			want{"GET /metrics": 200, extension: 403, operation: 403, "GET /healthz": 200, "GET /readyz": 200}, nil},
		{"one listener beyond", func(c *Config) {
			c.Listen, c.InsecureBehindProxy, c.PublicURL = "0.0.0.0:0", true, "https://credence.example"
		}, want{"GET /metrics": 404, extension: 403, operation: 403, "GET /healthz": 200}, nil},
		{"one listener behind a proxy on this machine", func(c *Config) {
			c.InsecureBehindProxy, c.PublicURL = true, "https://credence.example"
		}, want{"GET /metrics": 404, extension: 403, operation: 403, "GET /healthz": 200}, nil},
		{"an admin listener", func(c *Config) { c.AdminListen = "127.0.0.1:0" },
			want{"GET /metrics": 404, extension: 404, operation: 403, "GET /healthz": 200, "GET /identities/oauth2/authorize": 404, keys: 200, tokens: 400},
			want{"GET /metrics": 200, extension: 403, operation: 404, keys: 404, tokens: 404, "GET /healthz": 200, "GET /readyz": 200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := settings(t)
			tc.edit(&cfg)
			s, _ := run(t, cfg)
			for i, wants := range []want{tc.public, tc.admins} {
				for line, status := range wants {
					addr := s.listeners[i].Addr().(*net.TCPAddr)
					if got := ask(t, fmt.Sprintf("127.0.0.1:%d", addr.Port), line); got.status != status {
						t.Errorf("listener %d, %s: HTTP %d, want %d", i, line, got.status, status)
					}
				}
			}
			if tc.admins != nil {
				got := ask(t, s.AdminAddr().String(), "GET /identities/oauth2/authorize")
				if got.exception() != unknownOperation {
					t.Errorf("browsers are served on the admin listener: %d %s", got.status, got.body)
				}
			}
		})
	}
}

// planted is a panic's value that tells a secret however it is printed.
type plantedPanic struct{ Token string }

func (p plantedPanic) Error() string  { return p.Token }
func (p plantedPanic) String() string { return p.Token }

// A panic answers 500, ends nothing else, and is logged by type and place: its value could hold anything.
func TestPanic(t *testing.T) {
	const planted = "planted-token-in-a-panic"
	for name, value := range map[string]any{
		"text": planted, "error": errors.New(planted), "wrapped": fmt.Errorf("x: %w", plantedPanic{planted}), "struct": plantedPanic{planted}, "pointer": &plantedPanic{planted},
	} {
		for _, written := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, written %v", name, written), func(t *testing.T) {
				cfg := settings(t)
				log := logged(&cfg)
				s := &Server{cfg: cfg}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				must(t, err)
				server := s.http(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Amzn-Requestid", "the-request-id")
					if r.URL.Path == "/fine" {
						return
					}
					if written {
						w.WriteHeader(http.StatusOK)
						_, _ = io.WriteString(w, "begun")
					}
					panic(value)
				}))
				go func() { _ = server.Serve(l) }()
				defer func() { _ = server.Close() }()

				got := ask(t, l.Addr().String(), "POST /")
				if !written && (got.status != 500 || got.exception() != "InternalServerException" || got.header.Get("X-Amzn-Errortype") != "InternalServerException" ||
					got.header.Get("Content-Type") != "application/json") {
					t.Errorf("%d %v %s", got.status, got.header, got.body)
				}
				if strings.Contains(got.body, planted) {
					t.Errorf("the answer shows the value: %s", got.body)
				}
				if ask(t, l.Addr().String(), "POST /fine").status != 200 {
					t.Error("it serves no more")
				}
				if text := log.String(); strings.Contains(text, planted) || !strings.Contains(text, "http_test.go") || !strings.Contains(text, "the-request-id") {
					t.Errorf("the log has the value, or not the place, or not the request:\n%s", text)
				}
			})
		}
	}
}

// With a certificate, every listener speaks TLS and nothing else, of today's versions.
func TestTLS(t *testing.T) {
	cfg := settings(t)
	var client *http.Client
	cfg.TLSCert, cfg.TLSKey, client = certificate(t)
	cfg.AdminListen = "127.0.0.1:0"
	s, _ := run(t, cfg)
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Errorf("URL %s", s.URL())
	}
	for _, l := range s.listeners {
		addr := l.Addr().String()
		resp, err := client.Get("https://" + addr + "/healthz")
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 || resp.TLS.Version < tls.VersionTLS12 || resp.ProtoMajor != 2 {
			t.Errorf("%s: HTTP %d, %s, TLS %x", addr, resp.StatusCode, resp.Proto, resp.TLS.Version)
		}
		if got := ask(t, addr, "GET /healthz"); got.status != 400 {
			t.Errorf("%s: in clear, HTTP %d %s", addr, got.status, got.body)
		}
		old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		if conn, err := tls.Dial("tcp", addr, old); err == nil {
			t.Errorf("%s speaks TLS 1.1", addr)
			_ = conn.Close()
		}
	}
}

// A server that was stopped leaves nothing running, listening or locked, and the next one may come at once.
func TestStopLeavesNothing(t *testing.T) {
	cfg := settings(t)
	cfg.AdminListen = "127.0.0.1:0"
	before := goleak.IgnoreCurrent()
	for range 2 {
		s, stop := run(t, cfg)
		client := &http.Client{Transport: &http.Transport{}}
		for _, l := range s.listeners { // its connections stay open, idle
			resp, err := client.Get("http://" + l.Addr().String() + "/readyz")
			must(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > drainTime/2 {
			t.Errorf("it took %s to stop with nothing to do", took)
		}
		client.CloseIdleConnections()
		for _, l := range s.listeners {
			if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
				_ = conn.Close()
				t.Errorf("%s still listens", l.Addr())
			}
		}
		for _, name := range []string{"-wal", "-shm"} {
			if absent, err := missing(filepath.Join(cfg.DataDir, databaseFile+name)); err != nil || !absent {
				t.Errorf("%s%s is left: %v", databaseFile, name, err)
			}
		}
	}
	goleak.VerifyNone(t, before)
}

// One that could not start leaves nothing either.
func TestFailedStartLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cfg := settings(t)
	installed(t, cfg)
	put(t, filepath.Join(cfg.DataDir, masterKeyFile), newKey(t))
	if _, err := New(t.Context(), cfg); err == nil {
		t.Fatal("it started with a wrong key")
	}
	goleak.VerifyNone(t, before)
}

// Of what a first start makes, no secret is in a log, and none in a file but those that are made to hold it. The next start changes none of them.
func TestStartShowsNoSecret(t *testing.T) {
	cfg := settings(t)
	log := logged(&cfg)
	s, stop := run(t, cfg)
	first := s.FirstStart
	if first == nil || first.Account != account || first.Region != "us-east-1" || !filepath.IsAbs(first.DataDir) || first.Credentials != filepath.Join(first.DataDir, credentialsFile) {
		t.Fatalf("%+v", first)
	}
	k := fileKey(t, first.Credentials)
	var master struct {
		Key []struct {
			KeyData struct{ Value string }
		}
	}
	must(t, json.Unmarshal([]byte(read(t, filepath.Join(cfg.DataDir, masterKeyFile))), &master))
	if len(master.Key) != 1 || len(master.Key[0].KeyData.Value) < 32 {
		t.Fatal("the master key has another form, so this test proves nothing")
	}
	stop()
	before := tree(t, cfg.DataDir)
	s, stop = run(t, cfg)
	if s.FirstStart != nil {
		t.Error("the second start is a first one")
	}
	stop()
	if after := tree(t, cfg.DataDir); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}

	for what, secret := range map[string]string{"secret access key": k.secret, "master key": master.Key[0].KeyData.Value} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has the %s", what)
		}
		entries, err := os.ReadDir(cfg.DataDir)
		must(t, err)
		for _, e := range entries {
			holds := strings.Contains(read(t, filepath.Join(cfg.DataDir, e.Name())), secret)
			if mayHold := what == "secret access key" && e.Name() == credentialsFile || what == "master key" && e.Name() == masterKeyFile; holds != mayHold {
				t.Errorf("%s holds the %s: %v", e.Name(), what, holds)
			}
		}
	}
	for _, name := range []string{masterKeyFile, credentialsFile, databaseFile, lockFile, gitignoreFile} {
		if info, err := os.Stat(filepath.Join(cfg.DataDir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if info, err := os.Stat(cfg.DataDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if got := read(t, filepath.Join(cfg.DataDir, gitignoreFile)); got != "*\n" {
		t.Errorf(".gitignore is %q", got)
	}
}
