// Package server is the composition root: the one place that names every concrete type.
//
// It protects the start: a data directory that others could have prepared, a key that does not belong to the database, or a listener that would
// show tokens to a network, is refused before anything is served.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"credence/internal/access"
	"credence/internal/admin"
	"credence/internal/audit"
	"credence/internal/broker"
	"credence/internal/control"
	"credence/internal/edge/auditlog"
	"credence/internal/edge/awsapi"
	"credence/internal/edge/consent"
	"credence/internal/edge/console"
	"credence/internal/edge/issuer"
	"credence/internal/edge/sts"
	"credence/internal/egress"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/witness"
	"credence/internal/worker"
	"credence/internal/workload"
)

// Server is one Credence.
type Server struct {
	// FirstStart tells what to do with a data directory that was made just now; nil otherwise.
	FirstStart *FirstStart
	// Vault is for programs that prepare accounts without a network.
	Vault *vault.Vault

	cfg        Config
	installed  *installation
	audit      *audit.Log
	broker     *broker.Broker
	admin      *admin.Admin
	tracer     *telemetry.Tracer // nil without traces
	listeners  []*listener
	publicURL  string
	consoleURL string
	draining   atomic.Bool
	readiness  readiness
}

// readiness is the last answer of the database, for a second: probes are not signed, and each would cost a durable write.
type readiness struct {
	mu    sync.Mutex
	until time.Time
	err   error
}

func (r *readiness) check(probe func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.After(r.until) {
		r.err, r.until = probe(), now.Add(time.Second)
	}
	return r.err
}

// listener is one address with what is served there.
type listener struct {
	net.Listener
	http *http.Server
	tls  bool
}

// New opens the data directory, on a first start makes it, and listens. Nothing is served before Run.
func New(ctx context.Context, cfg Config) (_ *Server, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	metrics := telemetry.New()
	s := &Server{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.tracer, err = telemetry.NewTracer(ctx, telemetry.TracerConfig{Endpoint: cfg.TraceEndpoint, Region: cfg.Region, Log: cfg.Log}); err != nil {
		return nil, err
	}
	if s.tracer != nil {
		s.cfg.Log = slog.New(telemetry.LogHandler{Handler: cfg.Log.Handler()})
	}
	// Listening comes before a first start: one whose port is taken would be over before it could say what it made.
	public, err := s.listen("--listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	s.publicURL = cfg.publicURL(public.Addr())
	private := public
	if cfg.AdminListen != "" {
		if private, err = s.listen("--admin-listen", cfg.AdminListen); err != nil {
			return nil, err
		}
	}
	s.consoleURL = cfg.consoleURL(public.Addr(), private.Addr())
	if s.installed, err = install(ctx, cfg, metrics); err != nil {
		return nil, err
	}
	s.FirstStart, s.Vault = s.installed.first, s.installed.vault
	if err := s.build(metrics, public, private); err != nil {
		return s, err
	}
	if cfg.TLSCert != "" {
		for _, l := range s.listeners {
			if l.http.TLSConfig, err = s.tlsConfig(l == public); err != nil {
				return s, fmt.Errorf("--tls-cert: %w", err)
			}
		}
	}
	return s, nil
}

// build makes every part, in the order in which they depend on each other.
func (s *Server) build(metrics *telemetry.Metrics, public, private *listener) error {
	cfg, st, v := s.cfg, s.installed.store, s.installed.vault
	out, err := egress.New(egress.Config{Dev: cfg.Dev, AllowPrivate: cfg.AllowPrivateHosts})
	if err != nil {
		return fmt.Errorf("--allow-private-hosts: %w", err)
	}
	var own []netip.AddrPort
	for _, l := range s.listeners {
		own = append(own, l.Addr().(*net.TCPAddr).AddrPort())
	}
	out.SetOwnListeners(own...)

	arns := iam.ARNs{Region: cfg.Region}
	var sink audit.Sink = st
	if cfg.AuditSink != nil {
		sink = cfg.AuditSink(st)
	}
	s.audit = audit.New(sink)
	gate := access.New(s.audit, v, arns, metrics)
	discovery := oauth.NewDiscovery(out, out.CheckURL)
	presets := cfg.Presets
	if presets == nil {
		presets = provider.Presets
	}
	resolver := provider.NewResolver(presets, discovery)
	users := workload.NewVerifier(workload.VerifierConfig{Issuers: st, Discovery: discovery, Keys: oauth.NewKeySets(out), AnyIssuer: cfg.Dev})

	vendors := &oauth.Client{HTTP: out, NotSent: egress.NotSent}
	controlPlane := control.New(control.Config{
		Vault: v, Store: st, Gate: gate, Resolver: resolver, ARNs: arns, OAuth: vendors, Explorer: oauth.Explorer{HTTP: out, Check: out.CheckURL}, CheckURL: out.CheckURL, PublicURL: s.publicURL,
	})
	exportTo, err := recipients("--export-recipient", cfg.ExportRecipients)
	if err != nil {
		return err
	}
	brokerPlane := broker.New(broker.Config{
		Vault: v, Writes: v, Leases: st, Outbox: st, Renewals: st, Devices: st, Gate: gate, Resolver: resolver, OAuth: vendors, Users: users, CheckURL: out.CheckURL,
		ARNs: arns, PublicURL: s.publicURL, Dev: cfg.Dev, Metrics: metrics, Log: cfg.Log, ExportRecipients: exportTo,
	})
	s.broker = brokerPlane
	var sinks []witness.Sink
	for _, uri := range cfg.AuditCheckpoints {
		sink, err := witness.Parse(uri, out)
		if err != nil {
			return fmt.Errorf("--audit-checkpoints %q: %w", uri, err)
		}
		sinks = append(sinks, sink)
	}
	adminPlane := admin.New(admin.Config{
		Vault: v, Store: st, Gate: gate, ARNs: arns, CheckURL: out.CheckURL, PublicURL: s.publicURL, WebIdentities: users,
		ConsoleURL: s.consoleURL, Metadata: discovery, Codes: vendors, IDTokens: users, HTTP: out, Deliveries: st, AuditLogs: st, Sinks: sinks, AuditRetention: cfg.AuditRetention, Metrics: metrics, Log: cfg.Log,
	})
	s.admin = adminPlane

	limits, err := cfg.limits()
	if err != nil {
		return err
	}
	door := func(operations []awsapi.Operation) http.Handler {
		return awsapi.New(awsapi.Config{Operations: operations, Lookup: v.Caller, Used: v.Used, TrustedProxies: cfg.TrustedProxies, Log: cfg.Log, Metrics: metrics, Limits: limits, Tracer: s.tracer})
	}
	scrape := promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{})
	browsers := consent.New(consent.Config{Authorizations: brokerPlane, Secure: strings.HasPrefix(s.publicURL, "https://"), Log: cfg.Log, Tracer: s.tracer})

	people := console.New(console.Config{
		Admin: adminPlane, Broker: brokerPlane, Secure: strings.HasPrefix(s.consoleURL, "https://"), TrustedProxies: cfg.TrustedProxies, Log: cfg.Log, Metrics: metrics, Used: v.Used, Limits: limits, Tracer: s.tracer,
	})
	logs := auditlog.New(adminPlane, cfg.Log)
	documents := issuer.New(issuer.Operations(adminPlane), cfg.Log)
	tokens := sts.New(sts.Config{Operations: sts.Operations(adminPlane), Lookup: v.Caller, Used: v.Used, TrustedProxies: cfg.TrustedProxies, Log: cfg.Log, Metrics: metrics, Limits: limits, Tracer: s.tracer})
	api := awsapi.Operations(controlPlane, brokerPlane)
	extensions := awsapi.Extensions(controlPlane, brokerPlane, adminPlane)
	if private == public {
		// Whoever can reach a loopback listener is on this machine, but for a proxy, which the public URL gives away; beyond it metrics need --admin-listen.
		if u, err := url.Parse(s.publicURL); err != nil || !isLoopbackHost(u.Hostname()) || !public.Addr().(*net.TCPAddr).IP.IsLoopback() {
			scrape = nil
		}
		public.http = s.http(s.route(routes{api: door(append(api, extensions...)), sts: tokens, browsers: browsers, people: people, documents: documents, logs: logs, metrics: scrape}))
		return nil
	}
	public.http = s.http(s.route(routes{api: door(api), sts: tokens, browsers: browsers, documents: documents}))
	private.http = s.http(s.route(routes{api: door(extensions), people: people, logs: logs, metrics: scrape}))
	return nil
}

// routes are what a listener serves; all but api may be nil.
type routes struct{ api, sts, browsers, people, documents, logs, metrics http.Handler }

// route tells browsers, probes and scrapers from API calls. It looks at the path as it came: http.ServeMux would redirect what it finds untidy, and a
// redirect breaks a signature.
func (s *Server) route(to routes) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		get := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case get && to.browsers != nil && (path == "/identities/oauth2/authorize" || strings.HasPrefix(path, "/identities/oauth2/callback/") || strings.HasPrefix(path, "/identities/oauth2/client/")):
			to.browsers.ServeHTTP(w, r)
		case to.people != nil && console.Serves(path):
			to.people.ServeHTTP(w, r)
		case get && to.documents != nil && issuer.Serves(path):
			to.documents.ServeHTTP(w, r)
		case get && to.logs != nil && auditlog.Serves(path):
			to.logs.ServeHTTP(w, r)
		case get && path == "/healthz":
			_, _ = w.Write([]byte("ok\n"))
		case get && path == "/readyz":
			s.ready(w, r)
		case get && to.metrics != nil && path == "/metrics":
			to.metrics.ServeHTTP(w, r)
		case to.sts != nil && (r.Method == http.MethodPost && path == sts.Path || r.Method == http.MethodGet && path == sts.ContainerPath):
			to.sts.ServeHTTP(w, r)
		default:
			to.api.ServeHTTP(w, r)
		}
	})
}

// tuneCollector lets garbage wait: what lives is small, caches included, so collecting at every doubling costs much and saves little. The usual variables
// decide when they are set.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}

// ready answers probes: 200 when a request would be served.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	if err := s.readiness.check(func() error { return s.installed.store.Ready(context.WithoutCancel(r.Context())) }); err != nil {
		s.cfg.Log.Error("not ready", "cause", err.Error())
		http.Error(w, "the database does not take writes", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// http bounds how long a peer may take, and how much it may send before anything is checked: 200 tags of 128 characters fit into a query.
func (s *Server) http(h http.Handler) *http.Server {
	return &http.Server{
		Handler: s.recovering(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 90 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 96 << 10, ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// recovering answers a panic and logs where it was, but not its value, which could hold anything.
func (s *Server) recovering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				s.cfg.Log.Error("panic", "id", w.Header().Get("X-Amzn-Requestid"), "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Amzn-Errortype", "InternalServerException")
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = io.WriteString(w, `{"__type":"InternalServerException","message":"Something is wrong on our side. The server's log has the cause under this request's id."}`)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

func (s *Server) listen(flag, addr string) (*listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	added := &listener{Listener: l, tls: s.cfg.TLSCert != ""}
	s.listeners = append(s.listeners, added)
	return added, nil
}

// URL is where clients and browsers reach the server.
func (s *Server) URL() string { return s.publicURL }

// ConsoleURL is where browsers reach the console.
func (s *Server) ConsoleURL() string { return s.consoleURL }

// AdminAddr is the address of metrics and Credence's own operations.
func (s *Server) AdminAddr() net.Addr { return s.listeners[len(s.listeners)-1].Addr() }

// How long a stopping server waits for requests under way; a call to a vendor is shorter.
const drainTime = 30 * time.Second

// Run serves until ctx ends, then lets requests under way come to their end, and closes everything.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() {
			if l.tls {
				failed <- l.http.ServeTLS(l, "", "")
			} else {
				failed <- l.http.Serve(l)
			}
		}()
	}
	tuneCollector()
	jobs, stopJobs := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.purge(jobs) })
	running.Go(func() { s.Vault.Watch(jobs) })
	running.Go(func() { s.Vault.RecordKeyUses(jobs, s.cfg.Log) })
	running.Go(func() { s.renewIssuerKeys(jobs) })
	running.Go(func() { s.broker.RevokeTokens(jobs) })
	running.Go(func() { s.broker.PollDevices(jobs) })
	running.Go(func() { s.broker.RecordUses(jobs) })
	if !s.cfg.NoBackgroundRefresh {
		running.Go(func() { s.broker.RenewGrants(jobs) })
	}
	running.Go(func() { s.admin.Deliver(jobs) })
	running.Go(func() {
		s.audit.Run(jobs, func(err error) { s.cfg.Log.Error("a summary of denials cannot be recorded yet", "cause", err.Error()) })
	})
	running.Go(func() { s.admin.SequenceAudit(jobs) })
	running.Go(func() { s.admin.PublishCheckpoints(jobs) })
	running.Go(func() { s.admin.PruneAudit(jobs) })
	running.Go(func() { s.admin.ShredAccounts(jobs) })
	followed := make(chan struct{})
	followCtx, stopFollowing := context.WithCancel(context.WithoutCancel(ctx)) // requests under way need it to the end
	defer stopFollowing()
	go func() {
		defer close(followed)
		if s.cfg.Database != "" {
			s.Vault.Follow(followCtx)
		}
	}()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.draining.Store(true)
	stopJobs()
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	for _, l := range s.listeners {
		err = errors.Join(err, l.http.Shutdown(drain))
	}
	running.Wait()
	s.broker.Wait()
	stopFollowing()
	<-followed
	return errors.Join(err, s.Close())
}

// purge removes, every hour, what nobody can use any more.
func (s *Server) purge(ctx context.Context) {
	worker.Every(ctx, time.Hour, func(context.Context) {
		if err := s.installed.store.Purge(time.Now().Add(-24 * time.Hour)); err != nil {
			s.cfg.Log.Error("purge failed", "cause", err.Error())
		}
	})
}

// renewIssuerKeys has keys of issuers followed by others, and removed, in their time.
func (s *Server) renewIssuerKeys(ctx context.Context) {
	renew := func(ctx context.Context) {
		if err := s.Vault.RenewIssuerKeys(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("keys of issuers are not renewed", "cause", err.Error())
		}
	}
	renew(ctx)
	worker.Every(ctx, time.Hour, renew)
}

// Spans that are left when a server stops have this long to be exported.
const flushTime = 5 * time.Second

// Close closes what New opened. Run does so itself.
func (s *Server) Close() error {
	var errs []error
	flush, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := s.tracer.Shutdown(flush); err != nil { // no reason to call it a failed stop
		s.cfg.Log.Warn("the last traces were not exported", "cause", err.Error())
	}
	for _, l := range s.listeners {
		if err := l.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.installed != nil {
		errs = append(errs, s.installed.close())
	}
	return errors.Join(errs...)
}
