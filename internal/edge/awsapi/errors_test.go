package awsapi

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"credence/internal/broker"
	"credence/internal/control"
	"credence/internal/fault"
)

// Whatever goes wrong, an operation answers only what its model lists, or what comes before any operation.
func TestOnlyModelledExceptions(t *testing.T) {
	for _, op := range append(Operations((*control.Control)(nil), (*broker.Broker)(nil)), Extensions(nil, (*broker.Broker)(nil), nil)...) {
		for kind := range exceptions {
			f := asFault(fault.New(kind, "why"), &op)
			if !slices.Contains(op.Exceptions, f.Kind) && !slices.Contains(atDoor, f.Kind) {
				t.Errorf("%s answers %s for %s", op.Name, f.Kind, kind)
			}
			if f.Kind != fault.Internal && f.Msg != "why" {
				t.Errorf("%s loses the message of %s", op.Name, kind)
			}
			if f.Kind == fault.Validation && kind != fault.Validation && len(f.Fields) == 0 {
				t.Errorf("%s answers %s without a field", op.Name, kind)
			}
		}
	}
}

// Every kind of fault has its name and status, and an error that is no fault says nothing of itself.
func TestWriteError(t *testing.T) {
	w := httptest.NewRecorder()
	writeError(w, asFault(errors.New("planted: the password is hunter2"), nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "hunter2") || !strings.Contains(w.Body.String(), `"__type":"InternalServerException"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	writeError(w, &fault.Fault{Kind: fault.Throttled, Msg: "later", RetryAfter: 1500 * time.Millisecond})
	if w.Code != 429 || w.Header().Get("X-Amzn-Errortype") != "ThrottlingException" || w.Header().Get("X-Amz-Retry-After") != "1500" || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	writeError(w, fault.Invalid("a.b[1]", "is wrong"))
	if got := w.Body.String(); got != `{"__type":"ValidationException","message":"a.b[1]: is wrong","reason":"FieldValidationFailed","fieldList":[{"name":"a.b[1]","message":"is wrong"}]}` {
		t.Error(got)
	}
}
