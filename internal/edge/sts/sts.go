// Package sts is the door for clients of AWS STS: the AWS query protocol, forms that are signed with SigV4 and answers in XML.
//
// It protects the plane behind it as the door of the API does: nothing unsigned, oversized, malformed or unchecked reaches it, and a signature for another
// service opens nothing here. It decides nothing itself.
package sts

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/google/uuid"

	"credence/internal/edge/door"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/quota"
	"credence/internal/sigv4"
	"credence/internal/telemetry"
)

const (
	// SigningName of the service.
	SigningName = "sts"

	version   = "2011-06-15"
	namespace = "https://sts.amazonaws.com/doc/" + version + "/"
)

// Config is what the door is made of.
type Config struct {
	Operations     []Operation
	Lookup         sigv4.Lookup[iam.Caller]
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
	Metrics        *telemetry.Metrics
	Used           func(c iam.Caller, service string) // is told of every request that is verified; nil: nobody is
	Limits         *quota.Limits                      // nil: none
	Tracer         *telemetry.Tracer                  // nil makes no spans
}

// Door is the http.Handler, of POST at Path and of GET at ContainerPath.
type Door struct {
	Config
	rows map[string]*row
}

// Path is where clients of STS come: the root of whatever endpoint they are given.
const Path = "/"

// row is an operation with its metrics found.
type row struct {
	Operation
	rate      *quota.Rate
	addresses *quota.Addresses
	ok        interface{ Inc() }
	throttled interface{ Inc() }
	latency   interface{ Observe(float64) }
}

// New makes the door.
func New(cfg Config) *Door {
	d := &Door{Config: cfg, rows: map[string]*row{}}
	for _, op := range cfg.Operations {
		r := &row{Operation: op, ok: cfg.Metrics.Requests.WithLabelValues(op.Name, "ok"), throttled: cfg.Metrics.Throttled.WithLabelValues(op.Name), latency: cfg.Metrics.Latency.WithLabelValues(op.Name)}
		if cfg.Limits != nil {
			if op.Unsigned {
				r.addresses = cfg.Limits.Addresses(op.Name)
			} else {
				r.rate = cfg.Limits.Rate(op.Name)
			}
		}
		d.rows[op.Name] = r
	}
	return d
}

// ServeHTTP takes one request through the steps of design: size, match, signature, rate, decode and validate, plane, encode.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	requestID := uuid.NewString()
	w.Header().Set("X-Amzn-Requestid", requestID)
	if r.Method == http.MethodGet {
		d.serveContainer(w, r, requestID, start)
		return
	}

	op, out, span, err := d.answer(w, r, requestID, start)
	status, name := http.StatusOK, "unknown"
	if op != nil {
		name = op.Name
		defer func() { op.latency.Observe(time.Since(start).Seconds()) }()
	}
	if err != nil {
		f := door.Fault(err)
		var codes map[fault.Kind]string
		if op != nil && !door.OverRate(f) {
			codes = op.codes
		}
		status = writeError(w, f, requestID, codes)
		d.Metrics.Requests.WithLabelValues(name, string(f.Kind)).Inc()
		span.SetStatus(status)
		span.End(door.ErrorType(f.Kind, status), string(f.Kind))
		door.LogRefusal(span.Context(r.Context()), d.Log, requestID, name, status, f, time.Since(start))
		return
	}
	write(w, status, out)
	op.ok.Inc()
	span.SetStatus(status)
	span.End(telemetry.NoError, "")
	d.Log.DebugContext(span.Context(r.Context()), "request", "id", requestID, "operation", name, "status", status, "took", time.Since(start))
}

// answer takes a request to its operation.
func (d *Door) answer(w http.ResponseWriter, r *http.Request, requestID string, start time.Time) (op *row, _ []byte, span *telemetry.Span, _ error) {
	body, err := door.ReadBody(w, r)
	if err != nil {
		return nil, nil, nil, err
	}
	form, err := parse(body)
	if err != nil {
		return nil, nil, nil, err
	}
	if op, err = d.match(form); err != nil {
		return nil, nil, nil, err
	}
	if op.Unsigned {
		result, err := d.answerStranger(r, op, form, requestID)
		if err != nil {
			return op, nil, nil, err
		}
		text, err := encode(op.Name, result, requestID)
		return op, text, nil, err
	}
	caller, err := sigv4.Verify(r, body, SigningName, time.Now(), d.Lookup)
	if err != nil {
		return op, nil, nil, err
	}
	if d.Used != nil {
		d.Used(caller, SigningName)
	}
	if err := door.WithinRate(op.rate, op.throttled, caller, op.Name); err != nil {
		return op, nil, nil, err
	}
	caller.RequestID, caller.SourceIP, caller.Secure = requestID, door.SourceIP(r, d.TrustedProxies), door.Secure(r, d.TrustedProxies)
	ctx, span := door.Trace(d.Tracer, r, op.Name, caller, start)
	caller.Span = span
	returned := false
	defer func() {
		if !returned { // it panics
			span.End(telemetry.System, string(fault.Internal))
		}
	}()
	result, err := op.call(ctx, caller, form)
	returned = true
	if err != nil {
		return op, nil, span, err
	}
	text, err := encode(op.Name, result, requestID)
	return op, text, span, err
}

// answerStranger takes a request without a signature to its operation. There is no account yet that it could count for, so its address does.
func (d *Door) answerStranger(r *http.Request, op *row, form url.Values, requestID string) (any, error) {
	c := iam.Caller{RequestID: requestID, SourceIP: door.SourceIP(r, d.TrustedProxies), Secure: door.Secure(r, d.TrustedProxies), Certificates: door.Certificates(r, d.TrustedProxies)}
	if err := door.AddressWithinRate(op.addresses, op.throttled, c.SourceIP); err != nil {
		return nil, err
	}
	return op.call(r.Context(), c, form)
}

// parse reads a form in which no parameter comes twice.
func parse(body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(bytes.TrimSpace(body)))
	if err != nil {
		return nil, fault.Invalid("body", "is no form (application/x-www-form-urlencoded)")
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, fault.Invalid("body", "has %d parameters %.100q", len(values), name)
		}
	}
	return form, nil
}

// match finds the operation that a form names.
func (d *Door) match(form url.Values) (*row, error) {
	action := form.Get("Action")
	if action == "" {
		return nil, errMissingAction
	}
	op, ok := d.rows[action]
	if v := form.Get("Version"); !ok || v != version {
		return nil, fault.New(fault.UnknownOperation, "Could not find operation %.100q for version %.20q: Credence serves AssumeRole, AssumeRoleWithCertificate, AssumeRoleWithWebIdentity, GetCallerIdentity and GetWebIdentityToken of version %s", action, v, version)
	}
	return op, nil
}

// Operation is one row of the table.
type Operation struct {
	Name     string                // Action in the form
	Action   string                // that its policies name
	Everyone bool                  // whoever signs may: no policy is asked
	Unsigned bool                  // the request has no signature: what is in it says who comes
	codes    map[fault.Kind]string // in place of those that the kinds have elsewhere
	call     func(ctx context.Context, c iam.Caller, form url.Values) (any, error)
}
