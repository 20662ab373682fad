package egress_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"credence/internal/egress"
)

func TestCheckURL(t *testing.T) {
	safe := newClient(t, egress.Config{})
	dev := newClient(t, egress.Config{Dev: true})
	for _, tc := range []struct {
		raw       string
		safe, dev string // a piece of the error; "" means allowed
	}{
		{"https://idp.example.com/token", "", ""},
		{"https://idp.example.com:8443/token?tenant=a", "", ""},
		{"https://idp.example.com:1/", "", ""},
		{"https://idp.example.com:65535/", "", ""},
		{"https://idp.example.com./token", "", ""},
		{"https://IDP.Example.COM/token", "", ""},
		{"https://under_score.example.com", "", ""},
		{"https://xn--bcher-kva.example/", "", ""},
		{"https://8.8.8.8/", "", ""},
		{"https://[2606:4700::1111]/", "", ""},
		{"https://1e100.net/", "", ""},
		{"https://0xyz.example.0x7g/", "", ""},
		{"https://localhost.example.com/", "", ""},

		{"http://idp.example.com/token", "must be an https URL", ""},
		{"HTTP://idp.example.com/token", "must be an https URL", ""},
		{"http://127.0.0.1:8080/", "must be an https URL", ""},
		{"https://127.0.0.1/", "not a public address", ""},
		{"https://localhost/", "this machine", ""},
		{"https://LocalHost./", "this machine", ""},
		{"https://idp.localhost:8443/", "this machine", ""},

		{"ftp://idp.example.com/", `not "ftp"`, `not "ftp"`},
		{"file:///etc/passwd", `not "file"`, `not "file"`},
		{"unix:///run/docker.sock", `not "unix"`, `not "unix"`},
		{"//idp.example.com/", "https URL", "https URL"},
		{"idp.example.com", "https URL", "https URL"},
		{"", "https URL", "https URL"},
		{"https:idp.example.com", "must have a host", "must have a host"},
		{"https:///token", "must have a host", "must have a host"},
		{"https://:443/", "must have a host", "must have a host"},
		{"https://./", "must have a host", "must have a host"},
		{"https://user@idp.example.com/", "user name or password", "user name or password"},
		{"https://user:hunter2@idp.example.com/", "user name or password", "user name or password"},
		{"https://@idp.example.com/", "user name or password", "user name or password"},
		{"https://idp.example.com/#", "fragment", "fragment"},
		{"https://idp.example.com/#hunter2", "fragment", "fragment"},
		{"https://idp.example.com/a b", "printable ASCII", "printable ASCII"},
		{" https://idp.example.com/", "printable ASCII", "printable ASCII"},
		{"https://idp.example.com/\r\nHost: x", "printable ASCII", "printable ASCII"},
		{"https://idp.example.com/\x00", "printable ASCII", "printable ASCII"},
		{"https://idp.example.com\\@evil.example/", "printable ASCII", "printable ASCII"},
		{"https://ｌocalhost/", "printable ASCII", "printable ASCII"},
		{"https://①②⑦.0.0.1/", "printable ASCII", "printable ASCII"},
		{"https://127。0。0。1/", "printable ASCII", "printable ASCII"},
		{"https://%31%32%37.0.0.1/", "not a valid URL", "not a valid URL"},
		{"https://%ef%bd%8cocalhost/", "valid host name", "valid host name"},
		{"https://idp.example.com:0/", "port", "port"},
		{"https://idp.example.com:65536/", "port", "port"},
		{"https://idp.example.com:99999999999/", "port", "port"},
		{"https://idp.example.com:-1/", "not a valid URL", "not a valid URL"},
		{"https://idp.example.com:http/", "not a valid URL", "not a valid URL"},
		{"https://a..b/", "valid host name", "valid host name"},
		{"https://.example.com/", "valid host name", "valid host name"},
		{"https://idp.example.com../", "valid host name", "valid host name"},
		{"https://a*b.example/", "valid host name", "valid host name"},
		{"https://" + strings.Repeat("a", 64) + ".example/", "valid host name", "valid host name"},
		{"https://" + strings.Repeat("a.", 127) + "example/", "valid host name", "valid host name"},
		{"https://[fe80::1%25eth0]/", "zone", "zone"},
		{"https://[::1%25lo]/", "zone", "zone"},
		{"https://[127.0.0.1]/", "not a valid URL", "not a valid URL"},

		{"https://2130706433/", "four decimal numbers", "four decimal numbers"},
		{"https://0x7f000001/", "four decimal numbers", "four decimal numbers"},
		{"https://0X7F000001/", "four decimal numbers", "four decimal numbers"},
		{"https://0177.0.0.1/", "four decimal numbers", "four decimal numbers"},
		{"https://127.1/", "four decimal numbers", "four decimal numbers"},
		{"https://127.0.0.1.2/", "four decimal numbers", "four decimal numbers"},
		{"https://127.0.0.0x1/", "four decimal numbers", "four decimal numbers"},
		{"https://127.0.0.0x/", "four decimal numbers", "four decimal numbers"},
		{"https://0x7f.1./", "four decimal numbers", "four decimal numbers"},
		{"https://256.256.256.256/", "four decimal numbers", "four decimal numbers"},
		{"https://example.09/", "four decimal numbers", "four decimal numbers"},
		{"https://017700000001/", "four decimal numbers", "four decimal numbers"},
	} {
		t.Run(tc.raw, func(t *testing.T) {
			for _, mode := range []struct {
				name   string
				client *egress.Client
				want   string
			}{{"safe", safe, tc.safe}, {"dev", dev, tc.dev}} {
				err := mode.client.CheckURL(tc.raw)
				switch {
				case mode.want == "" && err != nil:
					t.Errorf("%s: %v", mode.name, err)
				case mode.want != "" && (err == nil || !strings.Contains(err.Error(), mode.want) || !errors.Is(err, egress.ErrForbidden)):
					t.Errorf("%s: got %v, want %q", mode.name, err, mode.want)
				case err != nil && strings.Contains(err.Error(), "hunter2"):
					t.Errorf("%s: the error repeats a secret: %v", mode.name, err)
				}
			}
		})
	}
}

// What passes is an https URL without extras whose host is a name or a public address, for two parsers: that of url and that of netip.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://idp.example.com/token", "https://8.8.8.8:443/", "https://[::ffff:10.0.0.1]/", "https://0x7f.1/", "https://a:b@c/#d", "https://[fe80::1%25e]/",
		"https://localhost./", "http://x", "https://\u2460.0.0.1",
	} {
		f.Add(seed)
	}
	c, err := egress.New(egress.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if err := c.CheckURL(raw); err != nil {
			if !errors.Is(err, egress.ErrForbidden) {
				t.Errorf("%v is no ErrForbidden", err)
			}
			return
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Hostname() == "" || u.Opaque != "" {
			t.Errorf("allowed %q", raw)
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if host == "localhost" || strings.HasSuffix(host, ".localhost") || host[len(host)-1] == '.' {
			t.Errorf("allowed %q", raw)
		}
		if addr, err := netip.ParseAddr(host); err == nil {
			if addr = addr.Unmap(); addr.Zone() != "" || addr.IsPrivate() || addr.IsLoopback() || !addr.IsGlobalUnicast() {
				t.Errorf("allowed the address %s", addr)
			}
		} else if last := host[strings.LastIndex(host, ".")+1:]; strings.Trim(last, "0123456789") == "" {
			t.Errorf("allowed %q, whose host ends in a number", raw)
		}
	})
}
