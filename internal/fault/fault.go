// Package fault is the one error type of Credence.
//
// It protects callers from text that is not meant for them: a Fault has one public sentence and, apart from it, a private cause
// that only logs may see. Doors translate kinds to their protocol in one table; an error that is no Fault is never shown.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong, in terms every door can translate. A Kind is itself an error, so errors.Is(err, fault.NotFound) works.
type Kind string

// The kinds. They reach disk (audit outcomes) and dashboards (metric labels): add, never rename.
const (
	Validation             Kind = "validation"              // the request is wrong; Fields says where
	Unauthorized           Kind = "unauthorized"            // a workload access token or user token does not open
	AccessDenied           Kind = "access_denied"           // policy, ceiling, freeze, or a handle that is not the caller's
	NotFound               Kind = "not_found"               //
	Conflict               Kind = "conflict"                // the name is taken, or the thing is in use
	ConcurrentModification Kind = "concurrent_modification" // somebody else changed it meanwhile; try again
	Quota                  Kind = "quota"                   // a count limit of the account
	Throttled              Kind = "throttled"               // try again after RetryAfter
	Encryption             Kind = "encryption"              // the key does not seal
	Decryption             Kind = "decryption"              // the key does not open
	TooLarge               Kind = "too_large"               // the request body
	UnknownOperation       Kind = "unknown_operation"       //
	MissingSignature       Kind = "missing_signature"       //
	IncompleteSignature    Kind = "incomplete_signature"    // the signature cannot be read
	UnknownCaller          Kind = "unknown_caller"          // no such access key or session
	InvalidSignature       Kind = "invalid_signature"       //
	ExpiredCaller          Kind = "expired_caller"          // session credentials past their end
	Internal               Kind = "internal"                // ours; the public text is fixed
)

func (k Kind) Error() string { return string(k) }

// Reason refines Validation; the values are those of the API's ValidationExceptionReason.
type Reason string

// The reasons in use.
const (
	CannotParse           Reason = "CannotParse"
	FieldValidationFailed Reason = "FieldValidationFailed"
	ResourceConflict      Reason = "ResourceConflict"
)

// Field names one wrong member by its JSON path (a.b, list[2], map["key"]) and says what is wrong with it.
type Field struct {
	Name    string
	Message string
}

// Fault is an error that may be shown to a caller: all of it but Err.
type Fault struct {
	Kind       Kind
	Msg        string // one public sentence: what, which value, what to do; never a secret
	Reason     Reason // for Validation
	Fields     []Field
	RetryAfter time.Duration // for Throttled
	Err        error         // the private cause, for logs only
}

// New makes a Fault with a public sentence.
func New(kind Kind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Wrap makes a Fault with a public sentence and a private cause.
func Wrap(kind Kind, cause error, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Msg: fmt.Sprintf(format, args...), Err: cause}
}

// Invalid makes a Validation fault about one member.
func Invalid(member, format string, args ...any) *Fault {
	msg := fmt.Sprintf(format, args...)
	return &Fault{Kind: Validation, Reason: FieldValidationFailed, Msg: member + ": " + msg, Fields: []Field{{member, msg}}}
}

// Error is for logs: it holds the private cause.
func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %s: %v", f.Kind, f.Msg, f.Err)
	}
	return fmt.Sprintf("%s: %s", f.Kind, f.Msg)
}

// Unwrap lets errors.Is find both the kind and the cause.
func (f *Fault) Unwrap() []error {
	if f.Err != nil {
		return []error{f.Kind, f.Err}
	}
	return []error{f.Kind}
}

// KindOf is the kind of the outermost Fault in err; Internal when there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f.Kind
	}
	return Internal
}
