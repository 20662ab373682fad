package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"credence/internal/secret"
)

const (
	maxCode        = 64  // runes of Error.Code
	maxDescription = 300 // runes of Error.Description
	maxRetryAfter  = time.Hour
)

// Outcome is what may be concluded from a failed token request, above all about the code or refresh token in it. Its values reach logs
// and metric labels.
type Outcome string

// The outcomes.
const (
	Refused   Outcome = "refused"   // the vendor read the request and said no
	Temporary Outcome = "temporary" // the vendor said no for now: HTTP 408, 429 or 5xx, or an error code that says so
	NotSent   Outcome = "not_sent"  // nothing left this machine
	Unknown   Outcome = "unknown"   // sent, but no usable answer: a code or refresh token may be spent
)

// Error is a vendor's refusal (RFC 6749 section 5.2) or a failed exchange. Its text holds no secret and nothing of the answer beyond
// Code, Suberror and Description.
type Error struct {
	Code, Description string        // the answer's error and error_description: printable, at most 64 and 300 runes; "" when it had none
	Suberror          string        // what Microsoft says more closely than Code, in as many runes
	Status            int           // of HTTP; 0 without a response
	CorrelationID     string        // by which the vendor finds the request in its own log; "" when it told none
	Silent            bool          // HTTP 400 without a body: all that some servers say of a code or refresh token that is no longer good
	RetryAfter        time.Duration // with Temporary: at most an hour, 0 when the vendor did not say
	Outcome           Outcome
	Err               error // what we noticed ourselves; nil when the vendor's words say it all
}

// Error is one sentence for logs and callers.
func (e *Error) Error() string {
	var b strings.Builder
	switch e.Outcome {
	case Refused:
		b.WriteString("the vendor refused the request")
	case Temporary:
		b.WriteString("the vendor cannot answer for now")
	case NotSent:
		b.WriteString("the request to the vendor was not sent")
	default:
		b.WriteString("the vendor gave no usable answer")
	}
	for _, part := range []string{e.Code, e.Suberror, e.Description} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	switch {
	case e.Status != 0 && e.CorrelationID != "":
		fmt.Fprintf(&b, " (HTTP %d, correlation id %s)", e.Status, e.CorrelationID)
	case e.Status != 0:
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// brokenError is a failure of the transport. Its cause can be asked for but is not printed: net/http quotes what the server sent.
type brokenError struct {
	text  string
	cause error
}

func (e *brokenError) Error() string { return e.text }
func (e *brokenError) Unwrap() error { return e.cause }

func broken(err error) error {
	text := "the connection broke before the answer was complete"
	switch {
	case errors.Is(err, context.Canceled):
		text = "the request was cancelled before the answer came"
	case errors.Is(err, context.DeadlineExceeded):
		text = "no complete answer came in time"
	}
	return &brokenError{text, err}
}

// temporaryCodes mean "later" with whatever status they come: those of RFC 6749 section 4.1.2.1, and Slack's, which come with 200.
var temporaryCodes = []string{
	"server_error", "temporarily_unavailable", "ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
}

// hasError reports a member error that says something; some vendors send an empty or null one with every success.
func (m members) hasError() bool {
	code, description := m.errorTexts()
	return code != "" || description != ""
}

// errorTexts are RFC 6749's two strings, or those of an error object as Facebook sends it.
func (m members) errorTexts() (code, description string) {
	if object, ok := m["error"].(map[string]any); ok {
		nested := members(object)
		return nested.text("type"), nested.text("message")
	}
	return m.text("error"), m.text("error_description")
}

// refusal turns an answer without a token into an Error.
func (m members) refusal(r response) *Error {
	code, description := m.errorTexts()
	e := &Error{
		Code:          clean(code, maxCode, r.sent),
		Suberror:      clean(m.text("suberror"), maxCode, r.sent),
		Description:   clean(description, maxDescription, r.sent),
		Status:        r.status,
		CorrelationID: m.correlationID(r),
		Silent:        r.status == http.StatusBadRequest && len(r.body) == 0,
		Outcome:       Refused,
	}
	if r.status >= 500 || r.status == http.StatusTooManyRequests || r.status == http.StatusRequestTimeout || slices.Contains(temporaryCodes, e.Code) {
		e.Outcome = Temporary
		e.RetryAfter = retryAfter(r.header.Get("Retry-After"))
	}
	return e
}

// correlationHeaders are where vendors say how they call a request.
var correlationHeaders = []string{"X-Correlation-Id", "X-Request-Id", "X-Ms-Request-Id", "X-Okta-Request-Id", "X-Github-Request-Id", "Request-Id"}

// correlationForm is what an id may look like; anything else could be anything.
var correlationForm = regexp.MustCompile(`^[A-Za-z0-9:._-]{4,64}$`)

// correlationID is the vendor's name of a request: in the body as Microsoft has it, or in a header.
func (m members) correlationID(r response) string {
	all := []string{m.text("correlation_id")}
	for _, name := range correlationHeaders {
		all = append(all, r.header.Get(name))
	}
	for _, id := range all {
		if correlationForm.MatchString(id) && !slices.ContainsFunc(r.sent, func(s secret.String) bool {
			return !s.IsZero() && (strings.Contains(id, s.Reveal()) || strings.Contains(s.Reveal(), id))
		}) {
			return id
		}
	}
	return ""
}

// retryAfter reads RFC 9110 section 10.2.3: seconds or a date.
func retryAfter(value string) time.Duration {
	var d time.Duration
	if seconds, err := strconv.ParseFloat(value, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		d = duration(seconds, maxRetryAfter)
	} else if date, err := http.ParseTime(value); err == nil {
		d = min(max(time.Until(date), 0), maxRetryAfter)
	}
	return d
}

// run is a stretch of text that could be a token, a code or a key.
var (
	run  = regexp.MustCompile(`[A-Za-z0-9_.~+/=-]{20,}`)
	uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\.?$`)
)

const cut = "[cut]"

// clean makes a vendor's text fit to be shown: without the secrets that we sent, without what looks like any other, in printable runes on
// one line, at most limit of them. Words, paths and trace ids (UUIDs) stay, because support desks ask for them.
func clean(text string, limit int, sent []secret.String) string {
	for _, s := range sent {
		if s.IsZero() {
			continue
		}
		for _, form := range []string{s.Reveal(), url.QueryEscape(s.Reveal())} {
			text = strings.ReplaceAll(text, form, cut)
		}
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	text = run.ReplaceAllStringFunc(text, func(s string) string {
		words := !strings.ContainsAny(s, "0123456789") && (s == strings.ToLower(s) || s == strings.ToUpper(s))
		if words || uuid.MatchString(s) {
			return s
		}
		return cut
	})
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit-1]) + "…"
	}
	return text
}
