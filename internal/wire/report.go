package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"credence/internal/fault"
)

const (
	maxViolations = 50 // in one fault
	maxSpelledOut = 5  // in its message
	maxQuoted     = 64 // characters of a value
)

// A report collects violations and knows where in the structure the walk is.
type report struct {
	path   []byte
	fields []fault.Field
}

// enter goes down to a member, an element or an entry; leave with the result comes back.
func (r *report) enter(name string) (back int) {
	back = len(r.path)
	if back > 0 && name[0] != '[' {
		r.path = append(r.path, '.')
	}
	r.path = append(r.path, name...)
	return back
}

func (r *report) leave(back int) { r.path = r.path[:back] }

// add records what is wrong with one member, element or entry of where the walk is.
func (r *report) add(name, message string) {
	defer r.leave(r.enter(name))
	r.addHere(message)
}

// addHere records what is wrong with where the walk is. The first violation at a path counts: a member of the wrong JSON type is not
// reported as missing, too.
func (r *report) addHere(message string) {
	if !r.full() && !r.hasHere() {
		r.fields = append(r.fields, fault.Field{Name: string(r.path), Message: message})
	}
}

func (r *report) has(name string) bool {
	defer r.leave(r.enter(name))
	return r.hasHere()
}

func (r *report) hasHere() bool {
	return slices.ContainsFunc(r.fields, func(f fault.Field) bool { return f.Name == string(r.path) })
}

func (r *report) full() bool { return len(r.fields) == maxViolations }

// fault is nil when nothing was reported.
func (r *report) fault() error {
	if len(r.fields) == 0 {
		return nil
	}
	var msg strings.Builder
	plural := "s"
	if len(r.fields) == 1 {
		plural = ""
	}
	fmt.Fprintf(&msg, "%d validation error%s", len(r.fields), plural)
	separator := ": "
	for _, f := range r.fields[:min(len(r.fields), maxSpelledOut)] {
		fmt.Fprintf(&msg, "%s%s: %s", separator, f.Name, f.Message)
		separator = "; "
	}
	return &fault.Fault{Kind: fault.Validation, Reason: fault.FieldValidationFailed, Msg: msg.String(), Fields: r.fields}
}

// index and entry are the path segments of a list element and of a map entry.
func index(i int) string      { return "[" + strconv.Itoa(i) + "]" }
func entry(key string) string { return "[" + quote(key) + "]" }

// quote makes a value fit for a message.
func quote(s string) string { return strconv.Quote(cut(s)) }

func cut(s string) string {
	if utf8.RuneCountInString(s) > maxQuoted {
		return string([]rune(s)[:maxQuoted]) + "…"
	}
	return s
}
