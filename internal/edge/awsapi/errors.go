package awsapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"credence/internal/edge/door"
	"credence/internal/fault"
)

// exception is how a kind of fault stands on the wire.
type exception struct {
	name   string
	status int
}

// exceptions is the one table in which errors meet the wire. The names of signature errors are those that AWS's front ends use.
var exceptions = map[fault.Kind]exception{
	fault.Validation:             {"ValidationException", 400},
	fault.Unauthorized:           {"UnauthorizedException", 401},
	fault.AccessDenied:           {"AccessDeniedException", 403},
	fault.NotFound:               {"ResourceNotFoundException", 404},
	fault.Conflict:               {"ConflictException", 409},
	fault.ConcurrentModification: {"ConcurrentModificationException", 409},
	fault.Quota:                  {"ServiceQuotaExceededException", 402},
	fault.Throttled:              {"ThrottlingException", 429},
	fault.Encryption:             {"EncryptionFailure", 400},
	fault.Decryption:             {"DecryptionFailure", 400},
	fault.Internal:               {"InternalServerException", 500},
	fault.TooLarge:               {"RequestEntityTooLargeException", 413},
	fault.UnknownOperation:       {"UnknownOperationException", 404},
	fault.MissingSignature:       {"MissingAuthenticationTokenException", 403},
	fault.IncompleteSignature:    {"IncompleteSignatureException", 403},
	fault.UnknownCaller:          {"UnrecognizedClientException", 403},
	fault.InvalidSignature:       {"InvalidSignatureException", 403},
	fault.ExpiredCaller:          {"ExpiredTokenException", 403},
}

// atDoor are the kinds that come before the operation is known or called, and need not be modelled by it.
var atDoor = []fault.Kind{
	fault.TooLarge, fault.UnknownOperation, fault.MissingSignature, fault.IncompleteSignature, fault.UnknownCaller, fault.InvalidSignature, fault.ExpiredCaller,
}

// substitute is what an operation answers in place of a kind that it does not model.
var substitute = map[fault.Kind]fault.Kind{
	fault.Decryption:             fault.AccessDenied, // the key, not the caller, but a retry cannot help
	fault.Encryption:             fault.AccessDenied,
	fault.Conflict:               fault.Validation,
	fault.ConcurrentModification: fault.Throttled,
	fault.Quota:                  fault.Throttled,
}

// errorBody is the body of every error. Clients look for the type in it or in the header.
type errorBody struct {
	Type    string       `json:"__type"`
	Message string       `json:"message"`
	Reason  fault.Reason `json:"reason,omitempty"`
	Fields  []fieldBody  `json:"fieldList,omitempty"`
}

type fieldBody struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// asFault makes the Fault that op may answer of any error.
func asFault(err error, op *Operation) *fault.Fault {
	f := door.Fault(err)
	if op == nil || slices.Contains(op.Exceptions, f.Kind) || slices.Contains(atDoor, f.Kind) {
		return f
	}
	kind, ok := substitute[f.Kind]
	if !ok {
		return door.Internal(err)
	}
	g := *f
	g.Kind = kind
	if g.Kind == fault.Validation { // clients look for the member, and what conflicts is named
		g.Reason, g.Fields = fault.ResourceConflict, []fault.Field{{Name: "name", Message: f.Msg}}
	}
	return &g
}

func writeError(w http.ResponseWriter, f *fault.Fault) (status int) {
	e := exceptions[f.Kind]
	body := errorBody{Type: e.name, Message: f.Msg}
	if f.Kind == fault.Validation {
		body.Reason = f.Reason
		if body.Reason == "" {
			body.Reason = fault.FieldValidationFailed
		}
		for _, field := range f.Fields {
			body.Fields = append(body.Fields, fieldBody{field.Name, field.Message})
		}
	}
	h := w.Header()
	h.Set("X-Amzn-ErrorType", e.name)
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
		h.Set("X-Amz-Retry-After", strconv.FormatInt(f.RetryAfter.Milliseconds(), 10))
	}
	text, _ := json.Marshal(body) // strings always marshal
	writeBody(w, e.status, text)
	return e.status
}

var contentType = []string{"application/json"}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentType                  // shared: net/http does not change it
	h.Set("Content-Length", strconv.Itoa(len(body))) // net/http would chunk what is over 2 KiB
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
