package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes the spans of one server's requests. A nil Tracer makes none, at no cost.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
	region   string
}

// TracerConfig is what a tracer is made of.
type TracerConfig struct {
	Endpoint string // URL of an OTLP receiver over HTTP, without /v1/traces; "": as the OTEL_… variables say
	Region   string // of this server, for an attribute
	Log      *slog.Logger
}

const instrumentation = "credence"

// NewTracer makes a tracer that exports by OTLP over HTTP, or nil when nothing says where to. The exporter and the SDK read their OTEL_… variables themselves;
// the error names one that asks for what Credence cannot do.
func NewTracer(ctx context.Context, cfg TracerConfig) (*Tracer, error) {
	var options []otlptracehttp.Option
	if cfg.Endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(cfg.Endpoint+"/v1/traces"))
	} else if on, err := wanted(os.Getenv); err != nil || !on {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("OpenTelemetry exporter: %w", err)
	}
	version := "development"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "credence"), attribute.String("service.version", version)),
		resource.WithFromEnv()) // last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
	if err != nil {
		return nil, errors.Join(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(&reporting{SpanExporter: exporter, log: cfg.Log}), sdktrace.WithResource(about))
	return &Tracer{provider.Tracer(instrumentation), provider, cfg.Region}, nil
}

// wanted reads the variables that decide whether and how traces are exported.
func wanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	endpointOf := ""
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if endpointOf == "" && getenv(name) != "" {
			endpointOf = name
		}
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); {
	case exporter == "none", exporter == "" && endpointOf == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER %q: must be otlp or none", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		protocol := getenv(name)
		if protocol == "" {
			continue
		}
		if protocol != "http/protobuf" && protocol != "http/json" {
			return false, fmt.Errorf("%s %q: must be http/protobuf or http/json; collectors take OTLP over HTTP at port 4318", name, protocol)
		}
		break // the more special one decides
	}
	if endpointOf == "" {
		return true, nil
	}
	u, err := url.Parse(getenv(endpointOf))
	switch {
	case err != nil: // its text would repeat the value
		return false, fmt.Errorf("%s: must be a URL such as http://localhost:4318", endpointOf)
	case u.User != nil:
		return false, fmt.Errorf("%s: must hold no user and password; OTEL_EXPORTER_OTLP_HEADERS can", endpointOf)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return false, fmt.Errorf("%s %q: must be a URL such as http://localhost:4318", endpointOf, getenv(endpointOf))
	}
	return true, nil
}

// Shutdown exports what is left. Spans that end later are lost.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Request begins the span of a request that came in at a time. It continues the caller's trace when traceparent (W3C Trace Context) is one: ids and the
// sampled flag, and nothing else of it.
func (t *Tracer) Request(ctx context.Context, name string, at time.Time, traceparent string) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(at), trace.WithAttributes(attribute.String("aws.region", t.region)))
	return ctx, &Span{span, at}
}

// Call begins the span of a call to a vendor, when ctx is of a request that is traced; nil otherwise. Of the URL it tells the host.
func Call(ctx context.Context, name, host string) *Span {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return nil
	}
	_, span := parent.TracerProvider().Tracer(instrumentation).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("server.address", host)))
	return &Span{span, time.Now()}
}

// Span is one step of a trace. A nil Span takes everything and tells nobody.
//
// It protects users: what is set here leaves the machine, so it may hold names, hosts and decisions, and never a token, code, state, query or body.
type Span struct {
	span  trace.Span
	begun time.Time
}

// SpanOf is the span of the request that ctx is of; nil when it is not traced.
func SpanOf(ctx context.Context) *Span {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return &Span{span: span}
	}
	return nil
}

// Context is ctx with the span, so that what is logged with it has the trace's id.
func (s *Span) Context(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.span)
}

// TraceID is 32 hex digits; "" without a trace.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// Set sets an attribute. An empty value sets none.
func (s *Span) Set(name, value string) {
	if s != nil && value != "" {
		s.span.SetAttributes(attribute.String(name, value))
	}
}

// SetStatus sets the HTTP status of an answer; 0 sets none.
func (s *Span) SetStatus(status int) {
	if s != nil && status != 0 {
		s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
}

// ErrorType is whose fault a failed request is, in the words of the managed service's spans.
type ErrorType string

// The error types.
const (
	NoError  ErrorType = ""
	Throttle ErrorType = "throttle"
	System   ErrorType = "system"
	User     ErrorType = "user"
)

// End ends the span of a request. kind is what went wrong, from a fixed set of words.
func (s *Span) End(t ErrorType, kind string) {
	if s == nil {
		return
	}
	s.span.SetAttributes(attribute.Float64("latency_ms", float64(time.Since(s.begun).Microseconds())/1000))
	s.Set("error_type", string(t))
	s.Done(kind, t == System)
}

// Done ends a span. kind is what went wrong, from a fixed set of words, and "" when nothing did; broken says that it is an error of the one who was asked.
func (s *Span) Done(kind string, broken bool) {
	if s == nil {
		return
	}
	s.Set("error.type", kind)
	if broken {
		s.span.SetStatus(codes.Error, kind)
	}
	s.span.End()
}

// Touch tells what a request is about: the ARNs of an access decision, which name the workload identity, the credential provider and where they are.
func (s *Span) Touch(arns []string) {
	if s == nil || len(arns) == 0 {
		return
	}
	about := arns[0]
	specific := false
	for _, arn := range arns {
		path := arn
		if fields := strings.SplitN(arn, ":", 6); len(fields) == 6 {
			path = fields[5]
		}
		fields := strings.Split(path, "/")
		whole := len(fields)%2 == 0 // kind/name/kind/name…
		container := len(fields) == 2 && (fields[0] == "workload-identity-directory" || fields[0] == "token-vault")
		for i := 0; whole && i < len(fields); i += 2 {
			switch kind, name := fields[i], fields[i+1]; kind {
			case "workload-identity-directory":
				s.Set("workload.identity.directory", name)
			case "workload-identity":
				s.Set("workload.identity.id", name)
			case "token-vault":
				s.Set("token.vault.name", name)
			case "oauth2credentialprovider", "apikeycredentialprovider", "paymentcredentialprovider":
				s.Set("credential.provider.type", kind)
				s.Set("credential.provider.name", name)
			}
		}
		if !container && !specific {
			about, specific = arn, true
		}
	}
	s.Set("aws.resource.arn", about)
}

// LogHandler adds the id of the trace to what is logged with the context of a traced request.
type LogHandler struct{ slog.Handler }

// Handle is slog.Handler's.
func (h LogHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is slog.Handler's.
func (h LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return LogHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup is slog.Handler's.
func (h LogHandler) WithGroup(name string) slog.Handler { return LogHandler{h.Handler.WithGroup(name)} }

// reporting is an exporter whose failures are logged, once a minute at most: the SDK would tell them to a handler of the whole process.
type reporting struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	mu   sync.Mutex
	told time.Time
}

const maxCause = 300

func (r *reporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.told) >= time.Minute {
		r.told = now
		cause := err.Error()
		r.log.Warn("traces were not exported", "spans", len(spans), "cause", cause[:min(len(cause), maxCause)])
	}
	return nil
}
