package door

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/quota"
	"credence/internal/telemetry"
)

// Trace begins the span of a request of a caller who is known: strangers make none. What a caller says of its own trace need not be signed: nothing is decided
// by it. A nil tracer makes no span.
func Trace(t *telemetry.Tracer, r *http.Request, operation string, c iam.Caller, start time.Time) (context.Context, *telemetry.Span) {
	if t == nil {
		return r.Context(), nil
	}
	traceparent := ""
	if values := r.Header.Values("Traceparent"); len(values) == 1 {
		traceparent = values[0]
	}
	ctx, span := t.Request(r.Context(), operation, start, traceparent)
	span.Set("aws.operation.name", operation)
	span.Set("aws.request_id", c.RequestID)
	span.Set("aws.account.id", c.Account)
	return ctx, span
}

// errRate is the private cause of a refusal for sending too many.
var errRate = errors.New("over the account's rate")

// WithinRate counts a request that is proven to be the caller's. One too many gets no audit event, or a flood would fill the log: metrics count it.
func WithinRate(rate *quota.Rate, throttled interface{ Inc() }, c iam.Caller, operation string) error {
	wait, limit := rate.Take(c.Account)
	if wait == 0 {
		return nil
	}
	throttled.Inc()
	f := fault.Wrap(fault.Throttled, errRate, "Rate exceeded: account %s may send %d %s requests a second (quota rate.%s): try again in %s", c.Account, limit, operation, operation, wait.Round(time.Millisecond))
	f.RetryAfter = wait
	return f
}

// AddressWithinRate counts a request that has no signature, so that no account can be made to answer for it.
func AddressWithinRate(addresses *quota.Addresses, throttled interface{ Inc() }, from netip.Addr) error {
	wait := addresses.Take(from)
	if wait == 0 {
		return nil
	}
	throttled.Inc()
	f := fault.Wrap(fault.Throttled, errRate, "Rate exceeded: try again in %s", wait.Round(time.Millisecond))
	f.RetryAfter = wait
	return f
}

// OverRate tells whether a refusal is for sending too many.
func OverRate(err error) bool { return errors.Is(err, errRate) }

// Fault makes a Fault of any error. Text of errors that are none may hold anything, so it stays here.
func Fault(err error) *fault.Fault {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	return Internal(err)
}

// Internal is what a caller is told of an error that is none of his business.
func Internal(err error) *fault.Fault {
	return &fault.Fault{Kind: fault.Internal, Msg: "Something is wrong on our side. The server's log has the cause under this request's id.", Err: err}
}

// ErrorType is whose fault a refusal is.
func ErrorType(k fault.Kind, status int) telemetry.ErrorType {
	switch {
	case k == fault.Throttled:
		return telemetry.Throttle
	case status >= 500:
		return telemetry.System
	}
	return telemetry.User
}

// LogRefusal logs what is the caller's fault for the operator at info, what is ours as an error with its cause.
func LogRefusal(ctx context.Context, log *slog.Logger, requestID, operation string, status int, f *fault.Fault, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case status >= 500:
		level = slog.LevelError
	case errors.Is(f, errRate): // a flood must not fill the log
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("id", requestID), slog.String("operation", operation), slog.Int("status", status), slog.String("kind", string(f.Kind)), slog.Duration("took", took),
	}
	if f.Err != nil {
		attrs = append(attrs, slog.String("cause", f.Err.Error()))
	}
	log.LogAttrs(ctx, level, "request refused", attrs...)
}
