package egress_test

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"credence/internal/egress"
)

// proxyTrap counts connections to the address that HTTP_PROXY and its kin hold from before the first request on (net/http reads them once).
var proxyTrap atomic.Int64

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run prepares what a process has but once: the proxy variables and the trusted certificates. The system's trust is the only one that
// a Client has, so the certificate of httptest's servers goes there.
func run(m *testing.M) int {
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer trap.Close()
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			proxyTrap.Add(1)
			conn.Close()
		}
	}()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		os.Setenv(name, "http://"+trap.Addr().String())
		os.Setenv(strings.ToLower(name), "http://"+trap.Addr().String())
	}

	dir, err := os.MkdirTemp("", "egress")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	srv := httptest.NewTLSServer(nil)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	srv.Close()
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, cert, 0o600); err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", roots)
	return m.Run()
}

// resolve makes the process ask a small DNS server, which answers each name with its addresses in turn and the last one for ever.
func resolve(t *testing.T, names map[string][]string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	next := func(name string) (netip.Addr, bool) {
		mu.Lock()
		defer mu.Unlock()
		addrs := names[strings.ToLower(name)]
		if len(addrs) == 0 {
			return netip.Addr{}, false
		}
		if len(addrs) > 1 {
			names[strings.ToLower(name)] = addrs[1:]
		}
		return netip.MustParseAddr(addrs[0]), true
	}
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answer(buf[:n], next), from)
		}
	}()
	previous := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = previous
		conn.Close()
	})
}

// answer turns a query into a response (RFC 1035 section 4.1) that has one A record, none for another type, or says "no such name".
func answer(query []byte, next func(name string) (netip.Addr, bool)) []byte {
	const typeA, header = 1, 12
	var labels []string
	i := header
	for query[i] != 0 {
		labels = append(labels, string(query[i+1:i+1+int(query[i])]))
		i += 1 + int(query[i])
	}
	end := i + 5 // the zero label, type and class
	resp := append([]byte(nil), query[:end]...)
	copy(resp[2:header], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // a response with one question
	if binary.BigEndian.Uint16(query[i+1:]) != typeA {
		return resp
	}
	addr, ok := next(strings.Join(labels, "."))
	if !ok {
		resp[3] |= 3
		return resp
	}
	resp[7] = 1
	resp = append(resp, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the name again, type, class, TTL 0, length
	return append(resp, addr.AsSlice()...)
}

// serve runs a handler on a plain loopback listener and counts the connections made to it.
func serve(t *testing.T, h http.HandlerFunc) (srv *httptest.Server, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	srv = httptest.NewUnstartedServer(h)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, connections
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func newClient(t *testing.T, cfg egress.Config) *egress.Client {
	t.Helper()
	c, err := egress.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// get reads a whole answer; the error is that of the request or of the body.
func get(t *testing.T, c *egress.Client, url string) (status int, body string, err error) {
	t.Helper()
	return exchange(c, request(t, http.MethodGet, url, ""))
}

func exchange(c *egress.Client, req *http.Request) (status int, body string, err error) {
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func portOf(srv *httptest.Server) string {
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	return port
}
