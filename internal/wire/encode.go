package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
	"time"

	"credence/internal/secret"
)

// Encode writes out, a pointer to an output structure, as JSON; nil gives {}. Optional members that are absent are left out, a required list that is nil
// becomes an empty one: no client expects null. The error names a required structure that is nil, which is a mistake of the plane.
func Encode(out any) ([]byte, error) {
	if out == nil {
		return []byte("{}"), nil
	}
	v, p := structureOf(out)
	scratch := scratches.Get().(*[]byte)
	defer scratches.Put(scratch)
	b, err := appendStructure((*scratch)[:0], p, v)
	*scratch = b
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", v.Type(), err)
	}
	return bytes.Clone(b), nil
}

// scratches are what answers are written in, before it is known how long they are.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

func appendStructure(b []byte, p *plan, v reflect.Value) (_ []byte, err error) {
	separator := byte('{')
	for i := range p.members {
		m := &p.members[i]
		field := v.FieldByIndex(m.index)
		if !m.required && field.IsZero() {
			continue
		}
		b = append(b, separator)
		separator = ','
		b = append(appendText(b, m.name), ':')
		if b, err = appendMember(b, m, field); err != nil {
			return b, err
		}
	}
	if separator == '{' {
		b = append(b, '{')
	}
	return append(b, '}'), nil
}

func appendMember(b []byte, m *member, v reflect.Value) (_ []byte, err error) {
	if m.pointer {
		if v.IsNil() {
			return b, fmt.Errorf("%s is required", m.name)
		}
		v = v.Elem()
	}
	switch m.kind {
	case kindText:
		if v.Kind() != reflect.String {
			return appendText(b, v.Addr().Interface().(*secret.String).String()), nil // REDACTED: no output shows a secret by its type
		}
		return appendText(b, v.String()), nil
	case kindBoolean:
		return strconv.AppendBool(b, v.Bool()), nil
	case kindInteger:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case kindTime:
		return v.Addr().Interface().(*Time).append(b), nil
	case kindTexts:
		b = append(b, '[')
		for i, text := range *v.Addr().Interface().(*[]string) {
			b = appendText(appendComma(b, i), text)
		}
		return append(b, ']'), nil
	case kindMap:
		return appendJSON(b, v.Interface()), nil // sorted
	case kindStructure:
		if b, err = appendStructure(b, m.plan, v); err != nil {
			return b, fmt.Errorf("%s: %w", m.name, err)
		}
		return b, nil
	case kindStructures:
		b = append(b, '[')
		for i := range v.Len() {
			if b, err = appendStructure(appendComma(b, i), m.plan, v.Index(i)); err != nil {
				return b, fmt.Errorf("%s[%d]: %w", m.name, i, err)
			}
		}
		return append(b, ']'), nil
	}
	return b, fmt.Errorf("%s is of a kind that no answer has", m.name)
}

func appendComma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendJSON(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendJSON leaves v, a string or a map of strings, to encoding/json.
func appendJSON(b []byte, v any) []byte {
	text := bytes.NewBuffer(b)
	e := json.NewEncoder(text)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // strings always encode
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// Time is a moment as the API writes it: seconds since 1970 as a JSON number, with a fraction for milliseconds.
type Time struct{ time.Time }

// MarshalJSON writes 1700000000 or 1700000000.123; what is finer than a millisecond is cut off.
func (t Time) MarshalJSON() ([]byte, error) { return t.append(nil), nil }

func (t Time) append(b []byte) []byte {
	return strconv.AppendFloat(b, float64(t.UnixMilli())/1000, 'f', -1, 64)
}

// UnmarshalJSON reads seconds since 1970, rounded to a millisecond. It refuses what is no number, and what lies outside the years 1 to 9999.
func (t *Time) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil || seconds < year1 || seconds >= year10000 {
		return fmt.Errorf("must be seconds since 1970 as a number, in the years 1 to 9999; it is %s", cut(string(b)))
	}
	t.Time = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	return nil
}

var (
	year1     = float64(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
	year10000 = float64(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
)
