package egress_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"credence/internal/egress"
)

// The variables are set in TestMain; net/http would exempt loopback addresses from the proxy, so the host has a name.
func TestNoProxyFromTheEnvironment(t *testing.T) {
	srv, connections := serve(t, ok)
	resolve(t, map[string][]string{"vendor.test": {"127.0.0.1"}})
	c := newClient(t, egress.Config{Dev: true})
	before := proxyTrap.Load()
	if _, body, err := get(t, c, "http://vendor.test:"+portOf(srv)+"/"); err != nil || body != "ok" {
		t.Errorf("%q %v", body, err)
	}
	if _, _, err := exchange(c, request(t, http.MethodPost, "http://vendor.test:"+portOf(srv)+"/", "code=1")); err != nil {
		t.Error(err)
	}
	if n := proxyTrap.Load() - before; n != 0 {
		t.Errorf("%d connections to the proxy", n)
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections to the vendor, want 2", n)
	}
}

func TestRedirectsAreAnswers(t *testing.T) {
	var second atomic.Int64
	other, _ := serve(t, func(http.ResponseWriter, *http.Request) { second.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(fmt.Sprint(method, status), func(t *testing.T) {
				srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
				body := ""
				if method == http.MethodPost {
					body = "client_secret=hunter2"
				}
				req := request(t, method, srv.URL, body)
				req.Header.Set("Authorization", "Basic aHVudGVyMg==")
				got, _, err := exchange(newClient(t, egress.Config{Dev: true}), req)
				if err != nil || got != status {
					t.Errorf("status %d, error %v", got, err)
				}
			})
		}
	}
	t.Run("without a usable Location", func(t *testing.T) {
		srv, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://[::bad")
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		if got, _, err := exchange(newClient(t, egress.Config{Dev: true}), request(t, http.MethodPost, srv.URL, "x")); err != nil || got != 307 {
			t.Errorf("status %d, error %v", got, err)
		}
	})
	if n := second.Load(); n != 0 {
		t.Errorf("the second host got %d requests", n)
	}
}

func TestNoCookies(t *testing.T) {
	var sent []string
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header["Cookie"]...)
		http.SetCookie(w, &http.Cookie{Name: "tenant", Value: "a"})
	})
	c := newClient(t, egress.Config{Dev: true})
	for range 2 {
		if _, _, err := get(t, c, srv.URL); err != nil {
			t.Fatal(err)
		}
	}
	if len(sent) > 0 {
		t.Errorf("cookies were sent: %v", sent)
	}
}

func TestDoChecksTheURL(t *testing.T) {
	srv, connections := serve(t, ok)
	resolve(t, map[string][]string{"vendor.test": {"127.0.0.1"}})
	c := newClient(t, egress.Config{AllowPrivate: []string{"127.0.0.1", "vendor.test"}})
	for _, raw := range []string{srv.URL, "http://vendor.test:" + portOf(srv), "https://user:pw@vendor.test:" + portOf(srv), "https://127.1:" + portOf(srv), "ftp://vendor.test/"} {
		body := &closeRecorder{Reader: strings.NewReader("code=1")}
		req := request(t, http.MethodPost, raw, "x")
		req.Body = body
		resp, err := c.Do(req)
		if !errors.Is(err, egress.ErrForbidden) || !egress.NotSent(err) {
			t.Errorf("%s: %v %v", raw, resp, err)
		}
		if !body.closed {
			t.Errorf("%s: the request body was left open", raw)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

type closeRecorder struct {
	io.Reader
	closed bool
}

func (c *closeRecorder) Close() error {
	c.closed = true
	return nil
}

func TestBodyCap(t *testing.T) {
	c := newClient(t, egress.Config{Dev: true, MaxBody: 1000})
	for _, size := range []int{0, 1, 999, 1000} {
		srv, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", size)) })
		if _, body, err := get(t, c, srv.URL); err != nil || len(body) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(body), err)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"one byte more":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1001)) },
		"without an end": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, endless{}) },
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.CopyN(z, endless{}, 10<<20)
			_ = z.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv, _ := serve(t, h)
			_, body, err := get(t, c, srv.URL)
			if !errors.Is(err, egress.ErrBodyTooLarge) || !strings.Contains(err.Error(), "1000 bytes") || egress.NotSent(err) {
				t.Errorf("error = %v", err)
			}
			if len(body) != 1000 {
				t.Errorf("%d bytes came through", len(body))
			}
		})
	}
	t.Run("the error stays", func(t *testing.T) {
		srv, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1001)) })
		resp, err := c.Do(request(t, http.MethodGet, srv.URL, ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.ReadAll(resp.Body)
		if n, err := resp.Body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, egress.ErrBodyTooLarge) {
			t.Errorf("a second read: %d bytes, %v", n, err)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestDeadline(t *testing.T) {
	// stalling serves a handler that may wait for the end of the test.
	stalling := func(t *testing.T, h func(w http.ResponseWriter, end <-chan struct{})) *httptest.Server {
		end := make(chan struct{})
		srv, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { h(w, end) })
		t.Cleanup(func() { close(end) })
		return srv
	}
	silent := func(_ http.ResponseWriter, end <-chan struct{}) { <-end }
	for name, h := range map[string]func(w http.ResponseWriter, end <-chan struct{}){
		"no headers": silent,
		"in mid-body": func(w http.ResponseWriter, end <-chan struct{}) {
			_, _ = io.WriteString(w, `{"access_token":`)
			w.(http.Flusher).Flush()
			<-end
		},
		"a drop at a time": func(w http.ResponseWriter, end <-chan struct{}) {
			for range 1000 {
				_, _ = io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				select {
				case <-end:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := stalling(t, h)
			c := newClient(t, egress.Config{Dev: true, Timeout: 300 * time.Millisecond})
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				req := request(t, method, srv.URL, "")
				if method == http.MethodPost {
					req = request(t, method, srv.URL, "code=1")
				}
				start := time.Now()
				_, _, err := exchange(c, req.WithContext(context.Background()))
				if !errors.Is(err, context.DeadlineExceeded) || egress.NotSent(err) {
					t.Errorf("%s: error = %v, want a deadline after sending", method, err)
				}
				if err != nil && !strings.Contains(err.Error(), srv.Listener.Addr().String()) {
					t.Errorf("%s: the error does not name the host: %v", method, err)
				}
				if d := time.Since(start); d > 5*time.Second {
					t.Errorf("%s: cut off after %v", method, d)
				}
			}
		})
	}
	t.Run("the caller's context ends it sooner", func(t *testing.T) {
		srv := stalling(t, silent)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, _, err := exchange(newClient(t, egress.Config{Dev: true}), request(t, http.MethodPost, srv.URL, "x").WithContext(ctx))
		if !errors.Is(err, context.DeadlineExceeded) || egress.NotSent(err) {
			t.Errorf("error = %v", err)
		}
	})
}

func TestNotSent(t *testing.T) {
	c := newClient(t, egress.Config{Dev: true, Timeout: 300 * time.Millisecond})
	post := func(t *testing.T, c *egress.Client, url string) error {
		t.Helper()
		_, _, err := exchange(c, request(t, http.MethodPost, url, "code=1"))
		if err == nil {
			t.Fatal("no error")
		}
		return err
	}
	// raw accepts connections and hands each to f.
	raw := func(t *testing.T, f func(net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go f(conn)
			}
		}()
		return l.Addr().String()
	}

	t.Run("true", func(t *testing.T) {
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
		done, cancel := context.WithCancel(t.Context())
		cancel()
		oldTLS := httptest.NewUnstartedServer(http.HandlerFunc(ok))
		oldTLS.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		oldTLS.StartTLS()
		t.Cleanup(oldTLS.Close)
		goodTLS := httptest.NewTLSServer(http.HandlerFunc(ok))
		t.Cleanup(goodTLS.Close)
		resolve(t, map[string][]string{"wrong-name.test": {"127.0.0.1"}})

		for name, url := range map[string]string{
			"connection refused":                  "http://" + closed.Addr().String(),
			"no such name":                        "http://nosuch.test/",
			"TLS older than 1.2":                  oldTLS.URL,
			"a certificate for another name":      "https://wrong-name.test:" + portOf(goodTLS),
			"no TLS at all":                       "https://" + raw(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 smtp\r\n"); c.Close() }),
			"the handshake stalls":                "https://" + raw(t, func(c net.Conn) { time.Sleep(time.Second); c.Close() }),
			"the connection closes in the middle": "https://" + raw(t, func(c net.Conn) { c.Close() }),
			"forbidden":                           "http://169.254.169.254/",
		} {
			t.Run(name, func(t *testing.T) {
				if err := post(t, c, url); !egress.NotSent(err) {
					t.Errorf("NotSent is false for: %v", err)
				}
			})
		}
		t.Run("cancelled before", func(t *testing.T) {
			srv, connections := serve(t, ok)
			_, _, err := exchange(c, request(t, http.MethodPost, srv.URL, "code=1").WithContext(done))
			if !egress.NotSent(err) || !errors.Is(err, context.Canceled) || connections.Load() != 0 {
				t.Errorf("%v, %d connections", err, connections.Load())
			}
		})
		t.Run("wrapped", func(t *testing.T) {
			if err := fmt.Errorf("refresh: %w", post(t, c, "http://"+closed.Addr().String())); !egress.NotSent(err) {
				t.Error("NotSent does not look through a wrapping")
			}
		})
	})

	t.Run("false", func(t *testing.T) {
		for name, f := range map[string]func(net.Conn){
			"closed after the request": func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); c.Close() },
			"closed at once":           func(c net.Conn) { c.Close() },
			"reset":                    func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.(*net.TCPConn).SetLinger(0); c.Close() },
			"no HTTP": func(c net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, "220 smtp\r\n")
				c.Close()
			},
			"silence": func(c net.Conn) { time.Sleep(time.Second); c.Close() },
		} {
			t.Run(name, func(t *testing.T) {
				if err := post(t, c, "http://"+raw(t, f)); egress.NotSent(err) {
					t.Errorf("NotSent is true for: %v", err)
				}
			})
		}
		if egress.NotSent(nil) || egress.NotSent(io.EOF) {
			t.Error("NotSent is true for what is no error of Do")
		}
	})
}

// A vendor that takes the request and hangs up may have spent the code in it: the request must not arrive twice. A first exchange that
// works gives net/http every chance to keep a connection and to think a retry safe.
func TestARequestWithABodyIsSentOnce(t *testing.T) {
	var arrived atomic.Int64
	hangUp := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodPost && r.ProtoMajor != 1 {
			t.Errorf("by %s, which sends refused streams again", r.Proto)
		}
		if r.URL.Path == "/works" {
			return
		}
		arrived.Add(1)
		panic(http.ErrAbortHandler)
	}
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(hangUp))
			if secure {
				srv.EnableHTTP2 = true
				srv.StartTLS()
			} else {
				srv.Start()
			}
			t.Cleanup(srv.Close)
			c := newClient(t, egress.Config{Dev: true})
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				req := request(t, method, srv.URL+"/works", "")
				if method == http.MethodPost {
					req = request(t, method, srv.URL+"/works", "code=1")
				}
				if _, _, err := exchange(c, req); err != nil {
					t.Fatal(err)
				}
			}
			arrived.Store(0)
			req := request(t, http.MethodPost, srv.URL+"/hangs-up", "code=1")
			req.Header.Set("Idempotency-Key", "k") // for net/http a leave to retry
			_, _, err := exchange(c, req)
			if err == nil || egress.NotSent(err) {
				t.Errorf("error = %v", err)
			}
			if n := arrived.Load(); n != 1 {
				t.Errorf("the request arrived %d times", n)
			}
		})
	}
	t.Run("on a connection of its own", func(t *testing.T) {
		srv, connections := serve(t, ok)
		c := newClient(t, egress.Config{Dev: true})
		for range 3 {
			if _, _, err := exchange(c, request(t, http.MethodPost, srv.URL, "code=1")); err != nil {
				t.Fatal(err)
			}
		}
		if n := connections.Load(); n != 3 {
			t.Errorf("%d connections for 3 requests", n)
		}
	})
}

func TestRequestsWithoutABodyShareConnections(t *testing.T) {
	var mu sync.Mutex
	protocols := map[string]int{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		protocols[r.Proto+" "+r.RemoteAddr]++
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	c := newClient(t, egress.Config{Dev: true})
	for range 3 {
		if _, _, err := get(t, c, srv.URL); err != nil {
			t.Fatal(err)
		}
	}
	if len(protocols) != 1 {
		t.Errorf("want one connection: %v", protocols)
	}
	for p := range protocols {
		if !strings.HasPrefix(p, "HTTP/2") {
			t.Errorf("want HTTP/2: %s", p)
		}
	}
}

func TestConnectionsPerHostAreBounded(t *testing.T) {
	const limit = 64
	var busy atomic.Int64
	release := make(chan struct{})
	full := make(chan struct{}, 2*limit)
	srv, connections := serve(t, func(http.ResponseWriter, *http.Request) {
		if busy.Add(1) >= limit {
			full <- struct{}{}
		}
		<-release
	})
	c := newClient(t, egress.Config{Dev: true, Timeout: 30 * time.Second})
	var wg sync.WaitGroup
	for range limit + 10 {
		req := request(t, http.MethodPost, srv.URL, "x")
		wg.Go(func() {
			if _, _, err := exchange(c, req); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	time.Sleep(50 * time.Millisecond) // time for a 65th to show up
	if n := connections.Load(); n != limit {
		t.Errorf("%d connections at once, want %d", n, limit)
	}
	close(release)
	wg.Wait()
}

func TestHeadersAreBounded(t *testing.T) {
	srv, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 100<<10)) })
	if _, _, err := get(t, newClient(t, egress.Config{Dev: true}), srv.URL); err == nil || !strings.Contains(err.Error(), "header") {
		t.Errorf("error = %v", err)
	}
}

func TestDefaultsAreSafe(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(ok))
	t.Cleanup(srv.Close)
	if _, _, err := get(t, newClient(t, egress.Config{}), srv.URL); !errors.Is(err, egress.ErrForbidden) {
		t.Errorf("loopback without Dev: %v", err)
	}
	if _, body, err := get(t, newClient(t, egress.Config{AllowPrivate: []string{"127.0.0.1"}}), srv.URL); err != nil || body != "ok" {
		t.Errorf("loopback that is allowed: %q %v", body, err)
	}
}
