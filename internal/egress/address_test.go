package egress_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"credence/internal/egress"
)

// A literal address passes the same rule when it is registered and when it is dialled; CheckURL shows the rule without a connection.
func TestAddresses(t *testing.T) {
	safe := newClient(t, egress.Config{})
	dev := newClient(t, egress.Config{Dev: true})
	open := newClient(t, egress.Config{Dev: true, AllowPrivate: []string{"0.0.0.0/0", "::/0"}})
	for _, tc := range []struct {
		addr            string
		safe, dev, open bool
	}{
		{"8.8.8.8", true, true, true},
		{"2606:4700::1111", true, true, true},
		{"::ffff:8.8.8.8", true, true, true},
		{"64:ff9b::8.8.8.8", true, true, true},

		{"127.0.0.1", false, true, true},
		{"127.8.8.8", false, true, true},
		{"::1", false, true, true},
		{"10.0.0.1", false, true, true},
		{"172.16.0.1", false, true, true},
		{"172.31.255.255", false, true, true},
		{"192.168.1.1", false, true, true},
		{"fd12:3456::1", false, true, true},
		{"::ffff:10.0.0.1", false, true, true},
		{"::ffff:a00:1", false, true, true},
		{"::ffff:127.0.0.1", false, true, true},
		{"64:ff9b::10.0.0.1", false, true, true},
		{"64:ff9b::7f00:1", false, true, true},

		{"100.64.0.1", false, false, true},   // CGNAT
		{"192.0.2.1", false, false, true},    // documentation
		{"198.51.100.1", false, false, true}, //
		{"203.0.113.1", false, false, true},  //
		{"2001:db8::1", false, false, true},  //
		{"3fff::1", false, false, true},      //
		{"198.18.0.1", false, false, true},   // benchmarks
		{"192.0.0.1", false, false, true},    // protocol assignments
		{"192.88.99.1", false, false, true},  // 6to4 relays
		{"240.0.0.1", false, false, true},    // reserved
		{"::7f00:1", false, false, true},     // IPv4-compatible
		{"4000::1", false, false, true},      // outside global unicast

		{"0.0.0.0", false, false, false},
		{"0.1.2.3", false, false, false},
		{"::", false, false, false},
		{"169.254.169.254", false, false, false},
		{"169.254.170.2", false, false, false},
		{"::ffff:169.254.169.254", false, false, false},
		{"64:ff9b::169.254.169.254", false, false, false},
		{"64:ff9b:1::a9fe:a9fe", false, false, false},
		{"2002:a9fe:a9fe::1", false, false, false},
		{"2002:808:808::1", false, false, false},
		{"2001:0:a9fe:a9fe::1", false, false, false},
		{"fe80::1", false, false, false},
		{"fe80::a9fe:a9fe", false, false, false},
		{"fd00:ec2::254", false, false, false},
		{"fd00:ec2::23", false, false, false},
		{"fd20:ce::254", false, false, false},
		{"fd00:c1::a9fe:a9fe", false, false, false},
		{"fd00:42::42", false, false, false},
		{"100.100.100.200", false, false, false},
		{"168.63.129.16", false, false, false},
		{"224.0.0.1", false, false, false},
		{"239.255.255.255", false, false, false},
		{"255.255.255.255", false, false, false},
		{"ff02::1", false, false, false},
	} {
		t.Run(tc.addr, func(t *testing.T) {
			url := "https://" + net.JoinHostPort(tc.addr, "443") + "/"
			for _, mode := range []struct {
				name   string
				client *egress.Client
				want   bool
			}{{"safe", safe, tc.safe}, {"dev", dev, tc.dev}, {"everything allowed", open, tc.open}} {
				err := mode.client.CheckURL(url)
				if (err == nil) != mode.want {
					t.Errorf("%s: CheckURL = %v, want allowed = %v", mode.name, err, mode.want)
				}
				if err == nil {
					continue
				}
				if !errors.Is(err, egress.ErrForbidden) {
					t.Errorf("%s: %v is no ErrForbidden", mode.name, err)
				}
				_, _, err = get(t, mode.client, url)
				if !errors.Is(err, egress.ErrForbidden) || !egress.NotSent(err) {
					t.Errorf("%s: Do = %v, want ErrForbidden and NotSent", mode.name, err)
				}
			}
		})
	}
}

func TestAllowPrivate(t *testing.T) {
	t.Run("opens what it names and nothing else", func(t *testing.T) {
		c := newClient(t, egress.Config{AllowPrivate: []string{"10.1.0.0/16", "192.168.7.7", "fd99::/16", "::ffff:10.9.9.9"}})
		for _, addr := range []string{"10.1.2.3", "192.168.7.7", "fd99::5", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "10.9.9.9"} {
			if err := c.CheckURL("https://" + net.JoinHostPort(addr, "443")); err != nil {
				t.Errorf("%s: %v", addr, err)
			}
		}
		for _, addr := range []string{"10.2.0.1", "192.168.7.8", "fd98::5", "127.0.0.1"} {
			if err := c.CheckURL("https://" + net.JoinHostPort(addr, "443")); !errors.Is(err, egress.ErrForbidden) {
				t.Errorf("%s: %v", addr, err)
			}
		}
	})
	t.Run("a host name opens private addresses for that name only", func(t *testing.T) {
		srv := httptest.NewTLSServer(http.HandlerFunc(ok))
		t.Cleanup(srv.Close)
		resolve(t, map[string][]string{"example.com": {"127.0.0.1"}, "www.example.com": {"127.0.0.1"}})
		c := newClient(t, egress.Config{AllowPrivate: []string{"example.com"}})
		for _, host := range []string{"example.com", "EXAMPLE.com", "example.com."} {
			if status, _, err := get(t, c, "https://"+host+":"+portOf(srv)+"/"); err != nil || status != http.StatusOK {
				t.Errorf("%s: %d %v", host, status, err)
			}
		}
		if _, _, err := get(t, c, "https://www.example.com:"+portOf(srv)+"/"); !errors.Is(err, egress.ErrForbidden) {
			t.Errorf("another name with the same address: %v", err)
		}
	})
	t.Run("localhost by name", func(t *testing.T) {
		c := newClient(t, egress.Config{AllowPrivate: []string{"localhost"}})
		if err := c.CheckURL("https://localhost:8443/"); err != nil {
			t.Error(err)
		}
		if err := c.CheckURL("http://localhost:8080/"); err == nil {
			t.Error("AllowPrivate opened http")
		}
	})
	t.Run("a bad entry is named", func(t *testing.T) {
		for _, entry := range []string{
			"", "Upper.example", "*.example.com", "https://idp.internal", "idp.internal:8443", "10.0.0.0/33", "10.0.0", "0x7f000001", "a..b", "ünder.example",
			"fe80::1%eth0", "::ffff:10.0.0.0/104", "169.254.169.254", "169.254.0.0/16", "fe80::/64", "fd00:ec2::254", "100.100.100.200", "168.63.129.16/32",
		} {
			_, err := egress.New(egress.Config{AllowPrivate: []string{"idp.internal", entry}})
			if err == nil || !strings.Contains(err.Error(), `"`+entry+`"`) {
				t.Errorf("%q: %v", entry, err)
			}
		}
	})
}

// The name decides nothing: each dial is judged by the address it is about to use.
func TestRebinding(t *testing.T) {
	t.Run("a name that resolves to loopback", func(t *testing.T) {
		srv, connections := serve(t, ok)
		resolve(t, map[string][]string{"rebind.test": {"127.0.0.1"}})
		c := newClient(t, egress.Config{})
		url := "https://rebind.test:" + portOf(srv) + "/"
		if err := c.CheckURL(url); err != nil {
			t.Errorf("CheckURL resolved the name: %v", err)
		}
		_, _, err := get(t, c, url)
		if !errors.Is(err, egress.ErrForbidden) || !egress.NotSent(err) {
			t.Errorf("Do = %v", err)
		}
		if n := connections.Load(); n != 0 {
			t.Errorf("%d connections were made", n)
		}
	})
	t.Run("a name that changes its mind", func(t *testing.T) {
		seen := make(chan string, 2)
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			seen <- r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		}))
		listener, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		srv.Listener.Close()
		srv.Listener = listener
		srv.StartTLS()
		t.Cleanup(srv.Close)
		resolve(t, map[string][]string{"example.com": {"127.0.0.2", "127.0.0.1"}})
		c := newClient(t, egress.Config{AllowPrivate: []string{"127.0.0.2"}})

		post := func() error {
			_, _, err := exchange(c, request(t, http.MethodPost, "https://example.com:"+portOf(srv)+"/", "code=1"))
			return err
		}
		if err := post(); err != nil {
			t.Fatal(err)
		}
		if addr := <-seen; !strings.HasPrefix(addr, "127.0.0.2:") {
			t.Errorf("the first request went to %s", addr)
		}
		if err := post(); !errors.Is(err, egress.ErrForbidden) {
			t.Errorf("the second request: %v", err)
		}
		if len(seen) != 0 {
			t.Errorf("the second request went to %s", <-seen)
		}
	})
}

func TestOwnListeners(t *testing.T) {
	srv, connections := serve(t, ok)
	target := netip.MustParseAddrPort(srv.Listener.Addr().String())
	resolve(t, map[string][]string{"self.test": {"127.0.0.1"}})
	byName := "http://self.test:" + portOf(srv) + "/"

	for _, tc := range []struct {
		name string
		own  []string
		want bool // reachable
	}{
		{"none", nil, true},
		{"the address itself", []string{target.String()}, false},
		{"mapped", []string{"[::ffff:127.0.0.1]:" + portOf(srv)}, false},
		{"every IPv4 address", []string{"0.0.0.0:" + portOf(srv)}, false},
		{"every address", []string{"[::]:" + portOf(srv)}, false},
		{"another port", []string{"127.0.0.1:1", "0.0.0.0:1"}, true},
		{"another address", []string{"127.0.0.2:" + portOf(srv)}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, egress.Config{Dev: true, AllowPrivate: []string{"127.0.0.0/8", "self.test"}})
			var own []netip.AddrPort
			for _, a := range tc.own {
				own = append(own, netip.MustParseAddrPort(a))
			}
			c.SetOwnListeners(own...)
			if err := c.CheckURL(srv.URL); (err == nil) != tc.want {
				t.Errorf("CheckURL = %v, want reachable = %v", err, tc.want)
			}
			connections.Store(0)
			_, _, err := get(t, c, byName)
			if (err == nil) != tc.want || errors.Is(err, egress.ErrForbidden) == tc.want {
				t.Errorf("Do = %v, want reachable = %v", err, tc.want)
			}
			if connections.Load() > 0 != tc.want {
				t.Errorf("%d connections", connections.Load())
			}
		})
	}

	t.Run("every address of this machine", func(t *testing.T) {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, egress.Config{AllowPrivate: []string{"0.0.0.0/0", "::/0"}})
		c.SetOwnListeners(netip.MustParseAddrPort("0.0.0.0:8080"))
		for _, a := range addrs {
			ip := a.(*net.IPNet).IP.String()
			if err := c.CheckURL("https://" + net.JoinHostPort(ip, "8080")); !errors.Is(err, egress.ErrForbidden) {
				t.Errorf("%s: %v", ip, err)
			}
		}
	})
}
