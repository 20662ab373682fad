package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"credence/internal/audit"
	"credence/internal/edge/awsapi"
	"credence/internal/edge/console"
	"credence/internal/edge/sts"
	"credence/internal/egress"
	"credence/internal/external"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/quota"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/witness"
)

// Config is how a server is run. Its zero values are no defaults; cmd/credence has those.
type Config struct {
	Listen              string // host:port of the public listener
	AdminListen         string // host:port for metrics and Credence's own operations; "": with the public ones
	DataDir             string
	PublicURL           string // as browsers and clients reach us; "": from Listen
	ConsoleURL          string // as browsers reach the console; "": PublicURL, or with AdminListen from that
	Region              string // in ARNs
	AccountID           string // of the first account
	Dev                 bool   // http vendors, loopback and private hosts, any issuer of user JWTs, completion by sessionUri
	TLSCert, TLSKey     string // files
	InsecureBehindProxy bool   // somebody in front of us speaks TLS
	KEK                 string // URI; "": the master key file in DataDir
	Database            string // postgres:// URL of a database that replicas share; "": SQLite in DataDir
	AllowPrivateHosts   []string
	NoBackgroundRefresh bool // grants are refreshed only when they are asked for
	TrustedProxies      []netip.Prefix
	External            []string // ACCOUNT=PREFIX[;identity=…]: where secrets and keys kept elsewhere may be, see external.ParsePrefixes
	Log                 *slog.Logger
	Quotas              []string                             // NAME=VALUE or ACCOUNT:NAME=VALUE; what is not said has the default, with Dev none
	ExportRecipients    []string                             // age public keys: who may read what ExportGrants gives away; none: nothing is given away
	Presets             []provider.Vendor                    // nil: provider.Presets
	AuditCheckpoints    []string                             // where checkpoints of audit logs go, see witness.Parse
	AuditRetention      time.Duration                        // that entries of audit logs are kept; 0: for ever
	AuditSink           func(database audit.Sink) audit.Sink // what is written to instead of the database, for measurements; nil: the database
	TraceEndpoint       string                               // URL of an OTLP receiver over HTTP; "": as the OTEL_… variables say
}

var regionForm = regexp.MustCompile(`^[a-z]{2,8}(-[a-z0-9]{1,16}){1,4}$`)

// Validate tells everything that is wrong, each with what to do.
func (c Config) Validate() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	beyond := false
	for _, l := range []struct{ flag, addr string }{{"--listen", c.Listen}, {"--admin-listen", c.AdminListen}} {
		if l.addr == "" && l.flag == "--admin-listen" {
			continue
		}
		loopback, err := isLoopback(l.addr)
		switch {
		case err != nil:
			problem("%s %q: %w", l.flag, l.addr, err)
		case !loopback && c.Dev:
			problem("%s %q: --dev is for this machine only (it opens private networks to vendors' URLs): listen on 127.0.0.1 or leave --dev out", l.flag, l.addr)
		case !loopback && c.TLSCert == "" && !c.InsecureBehindProxy:
			problem("%s %q: beyond this machine, tokens need TLS: give --tls-cert and --tls-key, or --insecure-behind-proxy when a proxy in front speaks TLS", l.flag, l.addr)
		}
		beyond = beyond || !loopback
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		problem("--tls-cert and --tls-key belong together: give both or none")
	} else if c.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			problem("--tls-cert %q, --tls-key %q: %w", c.TLSCert, c.TLSKey, err)
		}
	}
	if c.InsecureBehindProxy && c.PublicURL == "" {
		problem("--insecure-behind-proxy: give --public-url, the https:// URL of the proxy")
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && beyond && c.PublicURL == "" {
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			problem("--listen %q: give --public-url, since no browser can be sent to that address", c.Listen)
		}
	}
	if c.PublicURL != "" {
		if err := checkPublicURL(c.PublicURL, c.Dev); err != nil {
			problem("--public-url %q: %w", c.PublicURL, err)
		}
	}
	if c.ConsoleURL != "" {
		if err := checkPublicURL(c.ConsoleURL, c.Dev); err != nil {
			problem("--console-url %q: %w", c.ConsoleURL, err)
		}
	}
	if _, err := egress.New(egress.Config{Dev: c.Dev, AllowPrivate: c.AllowPrivateHosts}); err != nil {
		problem("--allow-private-hosts: %w", err)
	}
	if elsewhere, err := external.ParsePrefixes(c.External); err != nil {
		problem("--external: %w", err)
	} else {
		for _, dir := range elsewhere.Directories() {
			for _, own := range []string{c.DataDir, kekPath(c.kek())} {
				if own != "" && (below(dir, own) || below(own, dir)) {
					problem("--external file://%s/: %s is this server's own, and what is in it must not be anybody's secret: name a directory apart from it", dir, own)
				}
			}
		}
	}
	if _, err := recipients("--export-recipient", c.ExportRecipients); err != nil {
		problem("%w", err)
	}
	if _, err := c.limits(); err != nil {
		problem("--quota %w", err)
	}
	for _, uri := range c.AuditCheckpoints {
		if _, err := witness.Parse(uri, nil); err != nil {
			problem("--audit-checkpoints %q: %w", uri, err)
		} else if dir, ok := strings.CutPrefix(uri, "file:"); ok && c.DataDir != "" && below(c.DataDir, dir) {
			problem("--audit-checkpoints %q: must not be in the data directory: whoever sets that back would set these back, too", uri)
		}
	}
	if c.AuditRetention < 0 || c.AuditRetention > 0 && c.AuditRetention < 24*time.Hour {
		problem("--audit-retention %s: must be a day (24h) or longer, or 0 to keep entries for ever", c.AuditRetention)
	}
	return errors.Join(append(problems, c.validateInstallation())...)
}

// limits are the quotas of accounts.
func (c Config) limits() (*quota.Limits, error) {
	rates := awsapi.DefaultRates()
	maps.Copy(rates, sts.DefaultRates())
	maps.Copy(rates, console.DefaultRates())
	return quota.New(c.Quotas, rates, c.Dev)
}

// quotas are the names of the quotas on rows.
var quotas = map[store.Kind]string{
	store.KindWorkload: quota.WorkloadIdentities, store.KindOAuth2Provider: quota.OAuth2Providers, store.KindAPIKeyProvider: quota.APIKeyProviders,
	store.KindPaymentProvider: quota.PaymentProviders, store.KindConsentPortal: quota.ConsentPortals,
}

// validateInstallation looks at what every command needs that opens an installation.
func (c Config) validateInstallation() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if !regionForm.MatchString(c.Region) {
		problem("--region %q: must look like us-east-1", c.Region)
	}
	if !iam.ValidAccount(c.AccountID) {
		problem("--account-id %q: must be 12 digits and not 000000000000", c.AccountID)
	}
	if c.DataDir == "" {
		problem("--data-dir: must not be empty")
	}
	if strings.ContainsAny(c.DataDir, "?#%") {
		problem("--data-dir %q: must not hold ?, # or %%, which SQLite reads otherwise", c.DataDir)
	}
	if c.Database != "" {
		if _, err := url.Parse(c.Database); err != nil || !isURL(c.Database) { // the cause would quote a password
			problem("--database: must be a URL postgres://USER@HOST:PORT/DATABASE; leave it out for SQLite in the data directory")
		}
		if c.KEK == "" {
			problem("--database: give --kek as well, the one key-encryption key of all replicas (credence db new-key FILE makes a master key file to start with)")
		}
	}
	if kekPath(c.kek()) == "" || c.Database != "" { // a key file beside SQLite may be yet to be made
		if _, err := vault.OpenKEK(c.kek()); err != nil {
			problem("--kek: %w", err)
		}
	}
	return errors.Join(problems...)
}

// below reports whether path is dir or below it, also when symlinks lead there.
func below(dir, path string) bool {
	real := func(p string) string {
		p, _ = filepath.Abs(p) // fails only without a working directory
		for rest := ""; ; p, rest = filepath.Dir(p), filepath.Join(filepath.Base(p), rest) {
			if resolved, err := filepath.EvalSymlinks(p); err == nil || p == "/" {
				return filepath.Join(resolved, rest) // rest does not exist yet
			}
		}
	}
	rel, err := filepath.Rel(real(dir), real(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func isLoopback(addr string) (bool, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false, errors.New("must be host:port")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return false, fmt.Errorf("%q is not a port", port)
	}
	return isLoopbackHost(host), nil
}

func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func checkPublicURL(raw string, dev bool) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || raw != u.Scheme+"://"+u.Host {
		return errors.New("must be https://HOST or https://HOST:PORT, with nothing after it")
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && dev:
		return nil
	case u.Scheme == "http":
		if isLoopbackHost(u.Hostname()) {
			return nil
		}
		return errors.New("must be https, since users' codes come to it (http is for this machine, or with --dev)")
	}
	return errors.New("must be https")
}

// kek is the URI of the key-encryption key.
func (c Config) kek() string {
	if c.KEK != "" {
		return c.KEK
	}
	return "file:" + filepath.Join(c.DataDir, masterKeyFile)
}

// database names the database in words for people, without a password.
func (c Config) database() string {
	if c.Database == "" {
		return databaseFile + " in data directory " + c.DataDir
	}
	return "the database of --database"
}

// publicURL is the one given, or the address that was listened on.
func (c Config) publicURL(listening net.Addr) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	return c.listenURL(c.Listen, listening)
}

// consoleURL is the one given, or that of the listener that serves the console.
func (c Config) consoleURL(public, private net.Addr) string {
	switch {
	case c.ConsoleURL != "":
		return c.ConsoleURL
	case c.AdminListen != "":
		return c.listenURL(c.AdminListen, private)
	}
	return c.publicURL(public)
}

// listenURL is that of a listener, by the name that it was given.
func (c Config) listenURL(configuredAs string, listening net.Addr) string {
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	host := listening.String()
	if configured, _, err := net.SplitHostPort(configuredAs); err == nil && configured != "" {
		if _, port, err := net.SplitHostPort(host); err == nil {
			host = net.JoinHostPort(configured, port)
		}
	}
	return scheme + "://" + strings.ToLower(host)
}
