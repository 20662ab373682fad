// Package awsapi is the door for programs: restJson1 requests, signed with SigV4, for both planes of the AWS API and Credence's own operations.
//
// It protects the planes: nothing unsigned, oversized, malformed or unchecked reaches them, and no error text leaves that is not meant for the caller.
// It decides nothing itself.
package awsapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"credence/internal/edge/door"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/quota"
	"credence/internal/sigv4"
	"credence/internal/telemetry"
	"credence/internal/wire"
)

// SigningName of both planes.
const SigningName = "bedrock-agentcore"

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

// Door is the http.Handler.
type Door struct {
	Config
	rows map[route]*row
}

type route struct{ method, path string }

// row is an operation with its metrics found.
type row struct {
	Operation
	label     string // the name of its path's last segment, "" when that is fixed
	rate      *quota.Rate
	ok        prometheus.Counter
	throttled prometheus.Counter
	latency   prometheus.Observer
}

// New makes the door.
func New(cfg Config) *Door {
	d := &Door{Config: cfg, rows: map[route]*row{}}
	for _, op := range cfg.Operations {
		path, label, _ := strings.Cut(strings.TrimSuffix(op.Path, "}"), "{")
		r := &row{
			Operation: op, label: label, ok: cfg.Metrics.Requests.WithLabelValues(op.Name, "ok"), throttled: cfg.Metrics.Throttled.WithLabelValues(op.Name),
			latency: cfg.Metrics.Latency.WithLabelValues(op.Name),
		}
		if cfg.Limits != nil {
			r.rate = cfg.Limits.Rate(op.Name)
		}
		d.rows[route{op.Method, path}] = r
	}
	return d
}

// ServeHTTP takes one request through the steps of design: match, size, signature, rate, decode and validate, plane, encode.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	requestID := uuid.NewString()
	w.Header().Set("X-Amzn-Requestid", requestID)

	op, labels := d.match(r)
	out, span, err := d.answer(w, r, op, labels, requestID, start)
	if err != nil {
		d.refuse(span.Context(r.Context()), w, op, requestID, start, span, err)
		return
	}
	if op.Status == http.StatusNoContent {
		w.WriteHeader(op.Status)
	} else {
		writeBody(w, op.Status, out)
	}
	op.ok.Inc()
	op.latency.Observe(time.Since(start).Seconds())
	span.SetStatus(op.Status)
	span.End(telemetry.NoError, "")
	if d.Log.Enabled(r.Context(), slog.LevelDebug) {
		d.Log.DebugContext(span.Context(r.Context()), "request", "id", requestID, "operation", op.Name, "status", op.Status, "took", time.Since(start))
	}
}

// match finds the operation of a request, by its path as it came: an encoded slash is part of a label.
func (d *Door) match(r *http.Request) (*row, map[string]string) {
	path := r.URL.EscapedPath()
	if op := d.rows[route{r.Method, path}]; op != nil && op.label == "" {
		return op, nil
	}
	start := strings.LastIndexByte(path, '/') + 1
	op := d.rows[route{r.Method, path[:start]}]
	label, err := url.PathUnescape(path[start:])
	if op == nil || op.label == "" || label == "" || err != nil {
		return nil, nil
	}
	return op, map[string]string{op.label: label}
}

// answer takes a request to its operation. Its span begins when the caller is known: strangers make none.
func (d *Door) answer(w http.ResponseWriter, r *http.Request, op *row, labels map[string]string, requestID string, start time.Time) ([]byte, *telemetry.Span, error) {
	if op == nil {
		return nil, nil, fault.New(fault.UnknownOperation, "There is no operation at %s %s", r.Method, r.URL.Path)
	}
	body, err := door.ReadBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	caller, err := sigv4.Verify(r, body, SigningName, time.Now(), d.Lookup)
	if err != nil {
		return nil, nil, err
	}
	if d.Used != nil {
		d.Used(caller, SigningName)
	}
	if err := door.WithinRate(op.rate, op.throttled, caller, op.Name); err != nil {
		return nil, nil, err
	}
	caller.RequestID, caller.SourceIP, caller.Secure = requestID, door.SourceIP(r, d.TrustedProxies), door.Secure(r, d.TrustedProxies)
	ctx, span := door.Trace(d.Tracer, r, op.Name, caller, start)
	caller.Span = span
	outside := &wire.Outside{Header: r.Header, Labels: labels}
	if r.URL.RawQuery != "" {
		outside.Query = r.URL.Query()
	}
	returned := false
	defer func() {
		if !returned { // it panics
			span.End(telemetry.System, string(fault.Internal))
		}
	}()
	out, err := op.call(ctx, caller, body, outside)
	returned = true
	if err != nil || op.Status == http.StatusNoContent {
		return nil, span, err
	}
	text, err := wire.Encode(out)
	return text, span, err
}

// refuse answers an error.
func (d *Door) refuse(ctx context.Context, w http.ResponseWriter, op *row, requestID string, start time.Time, span *telemetry.Span, err error) {
	name := "unknown"
	var known *Operation
	if op != nil {
		name, known = op.Name, &op.Operation
		op.latency.Observe(time.Since(start).Seconds())
	}
	f := asFault(err, known)
	status := writeError(w, f)
	d.Metrics.Requests.WithLabelValues(name, string(f.Kind)).Inc()
	span.SetStatus(status)
	span.End(door.ErrorType(f.Kind, status), string(f.Kind))
	door.LogRefusal(ctx, d.Log, requestID, name, status, f, time.Since(start))
}
