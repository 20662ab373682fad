package fakeidp_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
)

// pipes is a listener without a network. Connections to it do not keep a synctest bubble's time from going on.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	close(p.closed)
	return nil
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inMemory is a vendor within the test's bubble.
func inMemory(t *testing.T) bed {
	t.Helper()
	v := fakeidp.New("https://vendor.example/tenant/")
	v.AddClient(agent)
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: v.Handler()}
	go func() { _ = server.Serve(listener) }()
	transport := &http.Transport{DialTLSContext: listener.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
	})
	return bed{v, &http.Client{Transport: transport, CheckRedirect: stay}}
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := inMemory(t)
		a := redeem(t, v, authorize(t, v)).wantOK(t)
		time.Sleep(time.Hour - time.Nanosecond)
		resource(t, v, a.token(t, "access_token")).wantOK(t)
		if v.Live() != 1 {
			t.Errorf("%d tokens live just before the hour, want 1", v.Live())
		}
		time.Sleep(time.Nanosecond)
		resource(t, v, a.token(t, "access_token")).wantError(t, http.StatusUnauthorized, "invalid_token")
		if _, ok := v.Introspect(a.token(t, "access_token")); ok || v.Live() != 0 {
			t.Errorf("%d tokens live after an hour, want 0", v.Live())
		}
		a = refresh(t, v, a.token(t, "refresh_token")).wantOK(t)
		resource(t, v, a.token(t, "access_token")).wantOK(t)
	})
}

func TestCodesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := inMemory(t)
		code := authorize(t, v)
		time.Sleep(10 * time.Minute)
		redeem(t, v, code).wantError(t, http.StatusBadRequest, "invalid_grant")
	})
}

// A stalled vendor answers late, or gives up with the client: before it looks at the grant, or after.
func TestStall(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fakeidp.Behaviour)
		live   int // access tokens after the client gave up
	}{
		"Stall":           {func(b *fakeidp.Behaviour) { b.Stall = time.Minute }, 0},
		"StallAfterIssue": {func(b *fakeidp.Behaviour) { b.StallAfterIssue = time.Minute }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := inMemory(t)
				v.Set(test.change)
				impatient, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if _, err := v.send(tokenRequest(t, v, "client_credentials").WithContext(impatient)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want the deadline", err)
				}
				time.Sleep(2 * time.Minute)
				if v.Live() != test.live {
					t.Errorf("%d tokens live after the client gave up, want %d", v.Live(), test.live)
				}

				began := time.Now()
				clientCredentials(t, v).wantOK(t)
				if took := time.Since(began); took != time.Minute {
					t.Errorf("the answer took %s, want 1 minute", took)
				}
			})
		})
	}
}

// An issuer may have a path and end in a slash. RFC 8414 section 3.1 puts its path last.
func TestIssuerWithPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := inMemory(t)
		for _, address := range []string{
			"https://vendor.example/tenant/.well-known/openid-configuration", "https://vendor.example/.well-known/oauth-authorization-server/tenant",
		} {
			metadata := get(t, v, address).wantOK(t).json
			if metadata["issuer"] != "https://vendor.example/tenant/" || metadata["token_endpoint"] != "https://vendor.example/tenant/token" {
				t.Errorf("%s: %v", address, metadata)
			}
		}
		clientCredentials(t, v).wantOK(t)
		if v.Count("client_credentials") != 1 {
			t.Error("the token request does not count")
		}
	})
}
