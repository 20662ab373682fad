package server_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"

	"credence/internal/fakeidp"
	"credence/internal/server"
	"credence/internal/testenv"
)

// The audit log says where a request came from: a header counts only from a proxy that the operator trusts, and of it only what that proxy wrote.
func TestForwardedFor(t *testing.T) {
	t.Parallel()
	const here = "127.0.0.1"
	prefixes := func(texts ...string) (p []netip.Prefix) {
		for _, text := range texts {
			p = append(p, netip.MustParsePrefix(text))
		}
		return p
	}
	for _, tc := range []struct {
		name    string
		trusted []netip.Prefix
		headers []string
		want    string
	}{
		{"nobody is trusted", nil, []string{"203.0.113.9"}, here},
		{"another proxy is trusted", prefixes("10.0.0.0/8"), []string{"203.0.113.9"}, here},
		{"no header", prefixes("127.0.0.0/8"), nil, here},
		{"from the proxy", prefixes("127.0.0.0/8"), []string{"203.0.113.9"}, "203.0.113.9"},
		{"forged before the proxy", prefixes("127.0.0.0/8"), []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"forged in a header of its own", prefixes("127.0.0.0/8"), []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"},
		{"through two proxies", prefixes("127.0.0.0/8", "10.0.0.0/8"), []string{"198.51.100.1, 203.0.113.9, 10.1.2.3"}, "203.0.113.9"},
		{"through a proxy that is not trusted", prefixes("127.0.0.0/8"), []string{"203.0.113.9, 10.1.2.3"}, "10.1.2.3"},
		{"no address", prefixes("127.0.0.0/8"), []string{"203.0.113.9, planted-text"}, here},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := testenv.Start(t, func(c *server.Config) { c.TrustedProxies = tc.trusted })
			got := e.Admin.Call("/identities/ListWorkloadIdentities", `{}`, func(r *http.Request) {
				for _, h := range tc.headers {
					r.Header.Add("X-Forwarded-For", h)
				}
			})
			if got.Status != 200 {
				t.Fatalf("HTTP %d %s", got.Status, got.Body)
			}
			events := e.Audit(testenv.Account)
			if len(events) != 1 || events[0].SourceIP != tc.want {
				t.Errorf("%+v, want source %s", events, tc.want)
			}
		})
	}
}

// A server that is told to stop takes no more requests and lets those under way come to their end, with all that they bring.
func TestStopLetsRequestsComeToTheirEnd(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("slow")
	wat := e.Admin.WAT("agent", "")
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 1500 * time.Millisecond })

	type result struct {
		token string
		err   error
		at    time.Time
	}
	under := make(chan result, 1)
	go func() {
		out, err := e.Admin.Token(wat, "slow", data.Oauth2FlowTypeM2m)
		r := result{err: err, at: time.Now()}
		if err == nil && out.AccessToken != nil {
			r.token = *out.AccessToken
		}
		under <- r
	}()
	for deadline := time.Now().Add(20 * time.Second); e.Vendor.Count("client_credentials") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the vendor was not asked")
		}
	}
	// It listens no more while it waits for that request.
	refused := make(chan error, 1)
	address := strings.TrimPrefix(e.URL, "http://")
	go func() {
		var err error
		for err == nil && len(under) == 0 {
			var conn net.Conn
			if conn, err = net.Dial("tcp", address); err == nil {
				_ = conn.Close()
				time.Sleep(time.Millisecond)
			}
		}
		refused <- err
	}()
	begun := time.Now()
	e.Restart()
	stopped := time.Now()

	got := <-under
	if got.err != nil || got.token == "" {
		t.Errorf("the request under way got %q, %v", got.token, got.err)
	}
	if got.at.Before(begun) || got.at.After(stopped) {
		t.Errorf("it was answered %s after the stop began, which took %s", got.at.Sub(begun), stopped.Sub(begun))
	}
	if err := <-refused; err == nil {
		t.Error("it listened as long as the request was under way")
	}

	// And what that request brought is durable: the next one asks nobody.
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 0; b.Status = 500 })
	out, err := e.Admin.Token(wat, "slow", data.Oauth2FlowTypeM2m)
	if err != nil || out.AccessToken == nil || *out.AccessToken != got.token {
		t.Errorf("after the restart: %+v, %v", out, err)
	}
}

// A second server on the same data directory is refused while the first one runs, and the first one is none the worse.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	cfg := e.Config
	cfg.Listen = "127.0.0.1:0"
	if _, err := server.New(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "another credence is using it") {
		t.Errorf("on its data: %v", err)
	}
	if got := e.Admin.Call("/identities/ListWorkloadIdentities", `{}`); got.Status != 200 {
		t.Errorf("HTTP %d %s", got.Status, got.Body)
	}
}
