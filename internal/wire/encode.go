package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// Encode writes out, a pointer to an output structure, as JSON; nil gives {}. A required list that is nil becomes an empty one, in out too.
// The error names a required structure that is nil, which is a mistake of the plane.
func Encode(out any) ([]byte, error) {
	if out == nil {
		return []byte("{}"), nil
	}
	v, p := structureOf(out)
	if err := complete(p, v); err != nil {
		return nil, fmt.Errorf("encode %s: %w", v.Type(), err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// complete sees to it that no required member becomes null, which no client expects.
func complete(p *plan, v reflect.Value) error {
	for i := range p.members {
		m := &p.members[i]
		field := v.Field(m.index)
		switch {
		case m.required && field.Kind() == reflect.Slice && field.IsNil():
			field.Set(reflect.MakeSlice(field.Type(), 0, 0))
		case m.required && m.pointer && field.IsNil():
			return fmt.Errorf("%s is required", m.name)
		case m.kind == kindStructure && !field.IsNil():
			if err := complete(m.plan, field.Elem()); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		case m.kind == kindStructures:
			for j := range field.Len() {
				if err := complete(m.plan, field.Index(j)); err != nil {
					return fmt.Errorf("%s[%d]: %w", m.name, j, err)
				}
			}
		}
	}
	return nil
}

// Time is a moment as the API writes it: seconds since 1970 as a JSON number, with a fraction for milliseconds.
type Time struct{ time.Time }

// MarshalJSON writes 1700000000 or 1700000000.123; what is finer than a millisecond is cut off.
func (t Time) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t.UnixMilli())/1000, 'f', -1, 64), nil
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
