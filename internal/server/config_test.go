package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong is refused by the flag's name and value, with what to do, and before anything is written or listened on.
func TestValidate(t *testing.T) {
	cert, certKey, _ := certificate(t)
	_, otherKey, _ := certificate(t)
	for _, tc := range []struct {
		name string
		edit func(*Config)
		want []string // of the error; none: all is well
	}{
		{"as it is", func(*Config) {}, nil},
		{"dev", func(c *Config) { c.Dev = true }, nil},
		{"localhost", func(c *Config) { c.Listen = "localhost:0" }, nil},
		{"IPv6 loopback", func(c *Config) { c.Listen = "[::1]:0" }, nil},
		{"another loopback address", func(c *Config) { c.Listen = "127.8.8.8:0" }, nil},
		{"port by name", func(c *Config) { c.Listen = "127.0.0.1:http" }, nil},

		{"dev beyond", func(c *Config) { c.Dev, c.Listen = true, "0.0.0.0:8080" }, []string{`--listen "0.0.0.0:8080"`, "--dev is for this machine only", "listen on 127.0.0.1 or leave --dev out"}},
		{"dev beyond, with TLS", func(c *Config) { c.Dev, c.Listen, c.TLSCert, c.TLSKey = true, "10.0.0.5:8443", cert, certKey }, []string{"--dev is for this machine only"}},
		{"dev beyond, behind a proxy", func(c *Config) {
			c.Dev, c.Listen, c.InsecureBehindProxy, c.PublicURL = true, "10.0.0.5:8443", true, "https://credence.example"
		}, []string{"--dev is for this machine only"}},
		{"dev on every address", func(c *Config) { c.Dev, c.Listen = true, ":8080" }, []string{`--listen ":8080"`, "--dev is for this machine only"}},
		{"dev on every IPv6 address", func(c *Config) { c.Dev, c.Listen = true, "[::]:8080" }, []string{"--dev is for this machine only"}},
		{"dev on a name", func(c *Config) { c.Dev, c.Listen = true, "localhost.example.com:8080" }, []string{"--dev is for this machine only"}},
		{"dev with an admin listener beyond", func(c *Config) { c.Dev, c.AdminListen = true, "10.0.0.5:9090" }, []string{`--admin-listen "10.0.0.5:9090"`, "--dev is for this machine only"}},

		{"beyond in clear", func(c *Config) { c.Listen = "10.0.0.5:8080" }, []string{`--listen "10.0.0.5:8080"`, "tokens need TLS", "--tls-cert", "--insecure-behind-proxy"}},
		{"a mapped address", func(c *Config) { c.Listen = "[::ffff:10.0.0.5]:8080" }, []string{"tokens need TLS"}},
		{"a name", func(c *Config) { c.Listen = "credence.example.com:8080" }, []string{"tokens need TLS"}},
		{"admin listener beyond in clear", func(c *Config) { c.AdminListen = "0.0.0.0:9090" }, []string{`--admin-listen "0.0.0.0:9090"`, "tokens need TLS"}},
		{"beyond with TLS", func(c *Config) { c.Listen, c.TLSCert, c.TLSKey = "10.0.0.5:8443", cert, certKey }, nil},
		{"everywhere with TLS", func(c *Config) { c.Listen, c.TLSCert, c.TLSKey = "0.0.0.0:8443", cert, certKey }, []string{`--listen "0.0.0.0:8443"`, "give --public-url"}},
		{"everywhere with TLS and a name", func(c *Config) {
			c.Listen, c.TLSCert, c.TLSKey, c.PublicURL = ":8443", cert, certKey, "https://credence.example:8443"
		}, nil},
		{"behind a proxy", func(c *Config) {
			c.Listen, c.InsecureBehindProxy, c.PublicURL = "0.0.0.0:8080", true, "https://credence.example"
		}, nil},
		{"behind an unknown proxy", func(c *Config) { c.Listen, c.InsecureBehindProxy = "0.0.0.0:8080", true }, []string{"--insecure-behind-proxy", "give --public-url"}},

		{"no port", func(c *Config) { c.Listen = "127.0.0.1" }, []string{`--listen "127.0.0.1"`, "must be host:port"}},
		{"empty", func(c *Config) { c.Listen = "" }, []string{`--listen ""`, "must be host:port"}},
		{"a port that is none", func(c *Config) { c.Listen = "127.0.0.1:99999" }, []string{`--listen "127.0.0.1:99999"`, `"99999" is not a port`}},
		{"a URL", func(c *Config) { c.Listen = "http://127.0.0.1:8080" }, []string{`--listen "http://127.0.0.1:8080"`}},

		{"certificate alone", func(c *Config) { c.TLSCert = cert }, []string{"--tls-cert and --tls-key belong together", "give both or none"}},
		{"key alone", func(c *Config) { c.TLSKey = certKey }, []string{"--tls-cert and --tls-key belong together"}},
		{"no such certificate", func(c *Config) { c.TLSCert, c.TLSKey = cert+"x", certKey }, []string{`--tls-cert "` + cert + `x"`, "no such file"}},
		{"key of another certificate", func(c *Config) { c.TLSCert, c.TLSKey = cert, otherKey }, []string{"--tls-key", "does not match"}},
		{"the wrong way round", func(c *Config) { c.TLSCert, c.TLSKey = certKey, cert }, []string{"--tls-cert"}},

		{"https URL", func(c *Config) { c.PublicURL = "https://credence.example" }, nil},
		{"https URL with a port", func(c *Config) { c.PublicURL = "https://credence.example:8443" }, nil},
		{"https URL of an address", func(c *Config) { c.PublicURL = "https://[2001:db8::1]:8443" }, nil},
		{"http URL of this machine", func(c *Config) { c.PublicURL = "http://localhost:8080" }, nil},
		{"http URL of this machine, IPv6", func(c *Config) { c.PublicURL = "http://[::1]:8080" }, nil},
		{"http URL with dev", func(c *Config) { c.Dev, c.PublicURL = true, "http://laptop.local:8080" }, nil},
		{"http URL", func(c *Config) { c.PublicURL = "http://credence.example" }, []string{`--public-url "http://credence.example"`, "must be https", "--dev"}},
		{"http URL that looks local", func(c *Config) { c.PublicURL = "http://127.0.0.1.example" }, []string{"must be https"}},
		{"http URL with a local user", func(c *Config) { c.PublicURL = "http://127.0.0.1@credence.example" }, []string{"with nothing after it"}},
		{"another scheme", func(c *Config) { c.Dev, c.PublicURL = true, "ftp://credence.example" }, []string{"must be https"}},
		{"no scheme", func(c *Config) { c.PublicURL = "credence.example" }, []string{`--public-url "credence.example"`, "must be https://HOST"}},
		{"a path", func(c *Config) { c.PublicURL = "https://credence.example/vault" }, []string{"with nothing after it"}},
		{"a slash", func(c *Config) { c.PublicURL = "https://credence.example/" }, []string{"with nothing after it"}},
		{"a query", func(c *Config) { c.PublicURL = "https://credence.example?a=b" }, []string{"with nothing after it"}},
		{"an empty query", func(c *Config) { c.PublicURL = "https://credence.example?" }, []string{"with nothing after it"}},
		{"an empty fragment", func(c *Config) { c.PublicURL = "https://credence.example#" }, []string{"with nothing after it"}},
		{"no host", func(c *Config) { c.PublicURL = "https://:443" }, []string{"must be https://HOST"}},
		{"no port after the colon", func(c *Config) { c.PublicURL = "https://credence.example:" }, []string{"must be https://HOST"}},
		{"a scheme in capitals", func(c *Config) { c.PublicURL = "HTTPS://credence.example" }, []string{"must be https://HOST"}}, // cookies would lose Secure

		{"private hosts", func(c *Config) { c.AllowPrivateHosts = []string{"10.0.0.0/8", "idp.internal"} }, nil},
		{"a bad private host", func(c *Config) { c.AllowPrivateHosts = []string{"10.0.0.0/33"} }, []string{"--allow-private-hosts", `"10.0.0.0/33"`, "CIDR such as 10.0.0.0/8"}},
		{"a quota that does not exist", func(c *Config) { c.Quotas = []string{"providers=1"} }, []string{"--quota", `"providers"`, "oauth2-providers", "rate.GetResourceOauth2Token", "rate.PutTrustedIssuer"}},
		{"metadata", func(c *Config) { c.AllowPrivateHosts = []string{"169.254.169.254"} }, []string{"--allow-private-hosts", "stay closed"}},
		{"secrets elsewhere", func(c *Config) { c.External = []string{"123456789012=file:///run/secrets/agents/"} }, nil},
		{"secrets everywhere", func(c *Config) { c.External = []string{"123456789012=file:///"} }, []string{`--external: "123456789012=file:///"`, "too wide"}},
		{"secrets beside the data directory", func(c *Config) { c.External = []string{"123456789012=file://" + c.DataDir + "-secrets/"} }, nil},
		{"the data directory as secrets", func(c *Config) { c.External = []string{"123456789012=file://" + c.DataDir + "/"} }, []string{"--external", "this server's own"}},
		{"secrets in the data directory", func(c *Config) { c.External = []string{"123456789012=file://" + c.DataDir + "/secrets/"} }, []string{"this server's own"}},
		{"secrets around the data directory", func(c *Config) { c.External = []string{"123456789012=file://" + filepath.Dir(c.DataDir) + "/"} }, []string{"this server's own"}},
		{"secrets around the data directory, by a symlink", func(c *Config) {
			link := filepath.Join(t.TempDir(), "link")
			must(t, os.Symlink(filepath.Dir(c.DataDir), link))
			c.External = []string{"123456789012=file://" + link + "/"}
		}, []string{"this server's own"}},
		{"secrets around the key", func(c *Config) {
			c.KEK, c.External = "file:/run/keys/master.key", []string{"123456789012=file:///run/keys/"}
		}, []string{"/run/keys/master.key is this server's own"}},
		{"another region", func(c *Config) { c.Region = "eu-central-1" }, nil},
		{"no region", func(c *Config) { c.Region = "" }, []string{`--region ""`, "us-east-1"}},
		{"a region that is none", func(c *Config) { c.Region = "us east:1" }, []string{`--region "us east:1"`, "us-east-1"}},
		{"a region of two lines", func(c *Config) { c.Region = "us-east-1\nregion = x" }, []string{"--region"}},
		{"account of zeros", func(c *Config) { c.AccountID = "000000000000" }, []string{`--account-id "000000000000"`, "12 digits and not 000000000000"}},
		{"a short account", func(c *Config) { c.AccountID = "12345678901" }, []string{`--account-id "12345678901"`, "12 digits"}},
		{"account of other digits", func(c *Config) { c.AccountID = "١٢٣٤٥٦٧٨٩٠١٢" }, []string{"--account-id", "12 digits"}},
		{"no data directory", func(c *Config) { c.DataDir = "" }, []string{"--data-dir", "must not be empty"}},
		{"another key file", func(c *Config) { c.KEK = "file:/somewhere/key" }, nil},
		{"a key that is no URI", func(c *Config) { c.KEK = "/somewhere/key" }, []string{"--kek", "file:PATH"}},
		{"all at once", func(c *Config) { c.Listen, c.Region, c.AccountID, c.PublicURL = "x", "y", "z", "w" }, []string{"--listen", "--region", "--account-id", "--public-url"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := settings(t)
			tc.edit(&cfg)
			err := cfg.Validate()
			if (err != nil) != (len(tc.want) > 0) {
				t.Fatalf("%v", err)
			}
			if err == nil {
				return
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if s, err := New(t.Context(), cfg); err == nil {
				t.Error("it starts all the same")
				must(t, s.Close())
			}
			if absent, _ := missing(cfg.DataDir); !absent && cfg.DataDir != "" {
				t.Error("it made a data directory")
			}
		})
	}
}

// A key's URI may hold more than a path, and none of that is repeated.
func TestKeyErrorsShowNoMoreThanTheKind(t *testing.T) {
	cfg := settings(t)
	cfg.KEK = "vault://token-of-the-operator@vault.example/key"
	if err := cfg.Validate(); err == nil || strings.Contains(err.Error(), "token-of-the-operator") {
		t.Error(err)
	}
}

// A start that cannot listen makes nothing: the first start would be over before anybody was told about it.
func TestListenComesBeforeTheFirstStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	for flag, edit := range map[string]func(*Config){
		"--listen":       func(c *Config) { c.Listen = taken.Addr().String() },
		"--admin-listen": func(c *Config) { c.AdminListen = taken.Addr().String() },
	} {
		cfg := settings(t)
		edit(&cfg)
		_, err := New(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), flag+": listen tcp "+taken.Addr().String()) {
			t.Errorf("%s: %v", flag, err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(cfg.DataDir)); len(entries) > 0 {
			t.Errorf("%s: it made %v", flag, entries)
		}
	}
}

// Without --public-url, the URL is what was listened on, with the port that was given out and the name that was asked for.
func TestPublicURL(t *testing.T) {
	listening := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{Listen: "127.0.0.1:0"}, "http://127.0.0.1:4711"},
		{Config{Listen: "localhost:0"}, "http://localhost:4711"},
		{Config{Listen: "LocalHost:0"}, "http://localhost:4711"},
		{Config{Listen: "[::1]:0"}, "http://[::1]:4711"},
		{Config{Listen: "127.0.0.1:0", TLSCert: "cert"}, "https://127.0.0.1:4711"},
		{Config{Listen: "127.0.0.1:0", PublicURL: "https://credence.example"}, "https://credence.example"},
	} {
		if got := tc.cfg.publicURL(listening); got != tc.want {
			t.Errorf("%+v: %s", tc.cfg, got)
		}
	}
}
