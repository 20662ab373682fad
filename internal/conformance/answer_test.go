package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"credence/internal/edge/awsapi"
	"credence/internal/fault"
	"credence/internal/testenv"
	"credence/internal/wire"
	"credence/internal/wire/wiretest"
)

// exceptions are the exceptions of the API, as clients know them.
var exceptions = map[string]struct {
	kind   fault.Kind
	status int
}{
	"ValidationException":             {fault.Validation, 400},
	"UnauthorizedException":           {fault.Unauthorized, 401},
	"AccessDeniedException":           {fault.AccessDenied, 403},
	"ResourceNotFoundException":       {fault.NotFound, 404},
	"ConflictException":               {fault.Conflict, 409},
	"ConcurrentModificationException": {fault.ConcurrentModification, 409},
	"ServiceQuotaExceededException":   {fault.Quota, 402},
	"ThrottlingException":             {fault.Throttled, 429},
	"EncryptionFailure":               {fault.Encryption, 400},
	"DecryptionFailure":               {fault.Decryption, 400},
	"InternalServerException":         {fault.Internal, 500},
}

// look holds an answer against what every answer of an operation has to be.
func (w *world) look(t *testing.T, op awsapi.Operation, a testenv.Answer) {
	t.Helper()
	if w.seen[op.Name] == nil {
		w.seen[op.Name] = map[string]int{}
	}
	w.seen[op.Name][a.Type()]++
	if a.Header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("%s: no request id", op.Name)
	}
	if a.Status == 204 {
		if op.Status != 204 || a.Body != "" || a.Header.Get("Content-Type") != "" {
			t.Errorf("%s: 204 with %q", op.Name, a.Body)
		}
		return
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type %q", op.Name, got)
	}
	if got := a.Header.Get("Content-Length"); got != strconv.Itoa(len(a.Body)) {
		t.Errorf("%s: Content-Length %q for %d bytes", op.Name, got, len(a.Body))
	}
	if a.Type() == "" {
		if a.Status != op.Status {
			t.Errorf("%s: succeeds with %d, not %d", op.Name, a.Status, op.Status)
		}
		lookAtOutput(t, op, a.Body)
		return
	}
	e, known := exceptions[a.Type()]
	if !known || a.Status != e.status || !slices.Contains(op.Exceptions, e.kind) || e.kind == fault.Internal {
		t.Errorf("%s: answers %d %s, which it may not: %s", op.Name, a.Status, a.Type(), a.Body)
	}
	body := errorOf(t, a)
	if body.Type != a.Type() || body.Message == "" {
		t.Errorf("%s: %s and its body disagree: %s", op.Name, a.Type(), a.Body)
	}
	if e.kind != fault.Validation {
		if body.Reason != "" || body.FieldList != nil {
			t.Errorf("%s: %s has what only a ValidationException has: %s", op.Name, a.Type(), a.Body)
		}
		return
	}
	unparsable := body.Reason == string(fault.CannotParse)
	if !unparsable && body.Reason != string(fault.FieldValidationFailed) && body.Reason != string(fault.ResourceConflict) {
		t.Errorf("%s: reason %q", op.Name, body.Reason)
	}
	if len(body.FieldList) == 0 {
		t.Errorf("%s: a ValidationException without a fieldList: %s", op.Name, a.Body)
	}
	for _, f := range body.FieldList {
		if f.Name == "" || f.Message == "" || (f.Name == "body") != unparsable {
			t.Errorf("%s: reason %s with the field %+v", op.Name, body.Reason, f)
		}
	}
}

// errorBody is the body of an exception.
type errorBody struct {
	Type      string `json:"__type"`
	Message   string `json:"message"`
	Reason    string `json:"reason"`
	FieldList []field
}

type field struct{ Name, Message string }

func errorOf(t *testing.T, a testenv.Answer) (body errorBody) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return body
}

// lookAtOutput holds a successful answer against the shape of the operation's output: its members are declared, those required are there, each has its JSON
// type, times are seconds since 1970, and all keep their constraints.
func lookAtOutput(t *testing.T, op awsapi.Operation, body string) {
	t.Helper()
	if d := differences(wiretest.ShapeOf(op.NewOutput()), op.Name, parse(t, body)); d != nil {
		t.Errorf("%q in %s", d, body)
	}
	if err := wire.Decode([]byte(body), nil, op.NewOutput()); err != nil {
		t.Errorf("%s: an answer that breaks constraints: %v", op.Name, err)
	}
}

// differences are those of a JSON object from its shape.
func differences(shape *wiretest.Shape, path string, o obj) (all []string) {
	members := map[string]wiretest.Member{}
	for _, m := range shape.Members {
		members[m.Name] = m
		if _, ok := o[m.Name]; !ok && m.Required {
			all = append(all, path+"."+m.Name+" is missing")
		}
	}
	if shape.Union && len(o) != 1 {
		all = append(all, fmt.Sprintf("%s has %d members of a union", path, len(o)))
	}
	for name, value := range o {
		m, ok := members[name]
		if !ok {
			all = append(all, path+"."+name+" is not declared")
			continue
		}
		all = append(all, valueDifferences(m, path+"."+name, value)...)
	}
	return all
}

func valueDifferences(m wiretest.Member, path string, value any) (all []string) {
	wrong := []string{fmt.Sprintf("%s is %T, not %s", path, value, m.Kind)}
	switch m.Kind {
	case wiretest.String:
		if _, ok := value.(string); ok {
			return nil
		}
	case wiretest.Boolean:
		if _, ok := value.(bool); ok {
			return nil
		}
	case wiretest.Integer, wiretest.Long:
		if n, ok := value.(json.Number); ok {
			if _, err := n.Int64(); err == nil {
				return nil
			}
		}
	case wiretest.Time:
		// What is counted in milliseconds would lie far in the future.
		if n, ok := value.(json.Number); ok {
			seconds, err := n.Float64()
			if at := time.Unix(int64(seconds), 0); err == nil && time.Since(at).Abs() < 48*time.Hour {
				return nil
			}
			return []string{path + " is no time of today: " + n.String()}
		}
	case wiretest.Strings:
		if list, ok := value.([]any); ok && !slices.ContainsFunc(list, isNoString) {
			return nil
		}
	case wiretest.Map:
		if entries, ok := value.(obj); ok {
			for key, v := range entries {
				if isNoString(v) {
					all = append(all, fmt.Sprintf("%s[%q] is %T", path, key, v))
				}
			}
			return all
		}
	case wiretest.Structure:
		if o, ok := value.(obj); ok {
			return differences(m.Shape, path, o)
		}
	case wiretest.Structures:
		if list, ok := value.([]any); ok {
			for i, element := range list {
				o, ok := element.(obj)
				if !ok {
					return wrong
				}
				all = append(all, differences(m.Shape, fmt.Sprintf("%s[%d]", path, i), o)...)
			}
			return all
		}
	}
	return wrong
}

func isNoString(v any) bool {
	_, ok := v.(string)
	return !ok
}
