// Package secret holds values that must not be seen: tokens, codes, client secrets, API keys.
//
// It protects them from every road by which a value leaves a program by accident: fmt, slog, JSON, text and template output
// all print REDACTED. Reveal is the only way out, and easy to search for.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Redacted is what every formatter prints in place of a secret.
const Redacted = "REDACTED"

// String is a secret text. The zero value is the empty secret.
type String struct{ v string }

// New wraps a value that came from outside.
func New(v string) String { return String{v} }

// Reveal returns the value itself. Its callers are the places to review.
func (s String) Reveal() string { return s.v }

// IsZero reports whether there is no secret; encoding/json's omitzero uses it.
func (s String) IsZero() bool { return s.v == "" }

// Len is the length in bytes.
func (s String) Len() int { return len(s.v) }

// Equal compares in a time that depends on the lengths only.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.v), []byte(other.v)) == 1
}

// UnmarshalText takes the value as it is; encoding/json calls it for JSON strings and refuses every other JSON type.
func (s *String) UnmarshalText(text []byte) error {
	s.v = string(text)
	return nil
}

// MarshalText prints REDACTED (the empty secret prints nothing).
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String prints REDACTED (the empty secret prints nothing).
func (s String) String() string {
	if s.v == "" {
		return ""
	}
	return Redacted
}

// Format covers every fmt verb, %#v and %x included.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue covers log/slog.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }
