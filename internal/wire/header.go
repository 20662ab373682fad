package wire

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
)

func (r *report) bindHeaders(p *plan, v reflect.Value, h http.Header) {
	for i := range p.members {
		m := &p.members[i]
		if values := h.Values(m.header); len(values) > 0 {
			r.bindHeader(m, v.FieldByIndex(m.index), values)
		}
	}
}

// bindHeader sets field, a nil pointer to a boolean, whole number, enum or text, from the values of the header of m. Where the body has set it, both must agree.
func (r *report) bindHeader(m *member, field reflect.Value, values []string) {
	if len(values) > 1 {
		r.add(m.name, fmt.Sprintf("the header %s comes %d times; send it once", m.header, len(values)))
		return
	}
	text := values[0]
	v := reflect.New(field.Type().Elem())
	switch m.kind {
	case kindBoolean:
		if text != "true" && text != "false" {
			r.add(m.name, fmt.Sprintf("the header %s must be true or false; it is %s", m.header, quote(text)))
			return
		}
		v.Elem().SetBool(text == "true")
	case kindInteger:
		n, err := strconv.ParseInt(text, 10, m.bits)
		if err != nil || strconv.FormatInt(n, 10) != text { // one way to write each
			r.add(m.name, fmt.Sprintf("the header %s must be a whole number; it is %s", m.header, quote(text)))
			return
		}
		v.Elem().SetInt(n)
	default:
		if violation := m.text.violation(text); violation != "" {
			r.add(m.name, fmt.Sprintf("the header %s %s", m.header, violation))
			return
		}
		v.Elem().SetString(text)
	}
	if !field.IsNil() && !field.Elem().Equal(v.Elem()) {
		r.add(m.name, fmt.Sprintf("the body says %s, the header %s says %s; send one of them", quote(fmt.Sprint(field.Elem())), m.header, quote(text)))
		return
	}
	field.Set(v)
}
