package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"credence/internal/fault"
)

func TestFaultIsItsKindAndItsCause(t *testing.T) {
	err := fmt.Errorf("while saving: %w", fault.Wrap(fault.Throttled, io.ErrUnexpectedEOF, "the vendor %q is busy", "acme"))
	if !errors.Is(err, fault.Throttled) || errors.Is(err, fault.NotFound) {
		t.Error("errors.Is does not see the kind")
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("errors.Is does not see the cause")
	}
	if got := fault.KindOf(err); got != fault.Throttled {
		t.Errorf("KindOf = %s", got)
	}
	if got := fault.KindOf(io.EOF); got != fault.Internal {
		t.Errorf("KindOf(plain error) = %s, want internal", got)
	}
}

func TestInvalidNamesTheMember(t *testing.T) {
	f := fault.Invalid("scopes[2]", "must be at most %d characters", 128)
	if len(f.Fields) != 1 || f.Fields[0].Name != "scopes[2]" || f.Reason != fault.FieldValidationFailed {
		t.Errorf("%+v", f)
	}
	if f.Msg != "scopes[2]: must be at most 128 characters" {
		t.Errorf("Msg = %q", f.Msg)
	}
}
