// Package console is the door for people who look after an account: signing in, and pages that show what happens there.
//
// It protects whoever is signed in: no page can be framed, scripted or cached, nothing is done because another site says so, a browser holds nothing but a handle
// that ends, and every page asks the planes as the person that it is for. And it protects the account from strangers, who learn nothing of what is behind the door. It
// decides nothing itself.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"credence/internal/admin"
	"credence/internal/broker"
	"credence/internal/edge/door"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/quota"
	"credence/internal/secret"
	"credence/internal/telemetry"
)

// Config is what the door is made of.
type Config struct {
	Admin          *admin.Admin
	Broker         *broker.Broker
	Secure         bool // browsers come over https
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
	Metrics        *telemetry.Metrics
	Used           func(c iam.Caller, service string) // is told when an access key lets somebody in; nil: nobody is
	Limits         *quota.Limits                      // nil: none
	Tracer         *telemetry.Tracer                  // nil makes no spans
}

// Door is the http.Handler.
type Door struct {
	Config
	rows []*row
	// crossOrigin refuses what another site has a browser send.
	crossOrigin *http.CrossOriginProtection
}

// row is an operation with its bounds found.
type row struct {
	Operation
	addresses *quota.Addresses // of strangers
	rate      *quota.Rate      // of an account
	throttled interface{ Inc() }
	latency   interface{ Observe(float64) }
}

// New makes the door.
func New(cfg Config) *Door {
	d := &Door{Config: cfg, crossOrigin: http.NewCrossOriginProtection()}
	for _, op := range Operations() {
		r := &row{Operation: op, throttled: cfg.Metrics.Throttled.WithLabelValues(op.Name), latency: cfg.Metrics.Latency.WithLabelValues(op.Name)}
		if cfg.Limits != nil {
			if op.Stranger {
				r.addresses = cfg.Limits.Addresses(op.Name)
			} else {
				r.rate = cfg.Limits.Rate(op.Name)
			}
		}
		d.rows = append(d.rows, r)
	}
	return d
}

// Serves reports whether a path, as it came, is one of the door's.
func Serves(path string) bool {
	return path == "/console" || strings.HasPrefix(path, admin.ConsolePath)
}

// maxForm is how many bytes a form may have.
const maxForm = 16 << 10

// visit is one request of a browser.
type visit struct {
	*Door
	w       http.ResponseWriter
	r       *http.Request
	labels  map[string]string // of the path
	form    url.Values        // of the query, or of what was posted
	from    iam.Caller        // where the request came from: nobody yet
	session *admin.ConsoleSession
	handle  secret.String // of session
	status  int           // of the answer
}

// ServeHTTP takes a browser through: match, rate, origin, form, session, plane, page.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	door.ProtectPage(w, contentSecurityPolicy)
	v := &visit{Door: d, w: w, r: r}
	v.from = iam.Caller{RequestID: uuid.NewString(), SourceIP: door.SourceIP(r, d.TrustedProxies), Secure: door.Secure(r, d.TrustedProxies)}
	op, labels := d.match(r)
	name := "unknown"
	if op != nil {
		name, v.labels = op.Name, labels
	}
	ctx, span := d.Tracer.Request(r.Context(), name, start, "") // it begins a trace: what a browser brings along is a stranger's
	v.from.Span = span
	whose, kind := telemetry.NoError, ""
	if err := v.answer(ctx, op); err != nil {
		whose, kind = v.fail(ctx, name, err)
	}
	span.SetStatus(v.status)
	span.End(whose, kind)
	if op != nil {
		op.latency.Observe(time.Since(start).Seconds())
	}
	outcome := "ok"
	if kind != "" {
		outcome = kind
	}
	d.Metrics.Requests.WithLabelValues(name, outcome).Inc()
	d.Log.DebugContext(ctx, "request", "id", v.from.RequestID, "operation", name, "status", v.status, "took", time.Since(start))
}

// match finds the operation of a request by its path as it came.
func (d *Door) match(r *http.Request) (*row, map[string]string) {
	path := r.URL.EscapedPath()
	for _, op := range d.rows {
		if op.Method != r.Method {
			continue
		}
		if labels, ok := op.labels(path); ok {
			return op, labels
		}
	}
	return nil, nil
}

func (v *visit) answer(ctx context.Context, op *row) (err error) {
	if op == nil {
		return &admin.SignInStop{Cause: admin.SignInUnknown}
	}
	if op.Stranger {
		if err := door.AddressWithinRate(op.addresses, op.throttled, v.from.SourceIP); err != nil {
			return err
		}
	}
	if err := v.crossOrigin.Check(v.r); err != nil {
		return fault.Wrap(fault.AccessDenied, err, "Another site had your browser send this. Nothing was done.")
	}
	if v.r.Method == http.MethodPost {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if err := v.r.ParseForm(); err != nil {
			return fault.Wrap(fault.Validation, err, "The form cannot be read")
		}
		v.form = v.r.PostForm
	} else {
		v.form = v.r.URL.Query()
	}
	if op.Stranger {
		return op.call(ctx, v)
	}
	v.handle = v.cookie(admin.SessionCookie)
	if v.session, err = v.Admin.ConsoleSession(ctx, v.from, v.handle); err != nil {
		if !errors.Is(err, fault.NotFound) {
			return err
		}
		v.toSignIn()
		return nil
	}
	c := &v.session.Caller
	c.Span = v.from.Span
	if c.Kind == iam.KindUser && v.Used != nil {
		v.Used(*c, "console")
	}
	if err := door.WithinRate(op.rate, op.throttled, *c, op.Name); err != nil {
		return err
	}
	return op.call(ctx, v)
}

// toSignIn sends a browser without a session to where one begins, from where it comes back.
func (v *visit) toSignIn() {
	v.forget(admin.SessionCookie)
	to := signInPath
	if v.r.Method == http.MethodGet {
		if next := admin.LocalPath(v.r.URL.RequestURI()); next != "" && next != admin.ConsolePath {
			to += "?next=" + url.QueryEscape(next)
		}
	}
	v.redirect(to)
}

// redirect is http.Redirect without its body, which would repeat the address in a page.
func (v *visit) redirect(location string) {
	v.w.Header().Set("Location", location)
	v.status = http.StatusSeeOther
	v.w.WriteHeader(v.status)
}

// cookieName is bound to this host by its prefix (RFC 6265bis section 4.1.3.2), which needs https.
func (d *Door) cookieName(name string) string {
	if d.Secure {
		return "__Host-" + name
	}
	return name
}

func (v *visit) cookie(name string) secret.String {
	c, err := v.r.Cookie(v.cookieName(name))
	if err != nil {
		return secret.String{}
	}
	return secret.New(c.Value)
}

// keep gives the browser a cookie. That of an attempt has to come back with the redirect of another site; no other is ever sent because of one.
func (v *visit) keep(c admin.SignInCookie) {
	site := http.SameSiteStrictMode
	if c.Name != admin.SessionCookie && c.Name != admin.ChoiceCookie {
		site = http.SameSiteLaxMode
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: v.cookieName(c.Name), Value: c.Value.Reveal(), Path: "/", MaxAge: max(int(c.Life/time.Second), 1), HttpOnly: true, Secure: v.Secure, SameSite: site,
	})
}

func (v *visit) forget(name string) {
	http.SetCookie(v.w, &http.Cookie{Name: v.cookieName(name), Path: "/", MaxAge: -1, HttpOnly: true, Secure: v.Secure, SameSite: http.SameSiteStrictMode})
}
