package wire

import (
	"net/http"
	"net/url"
	"reflect"
	"unicode/utf8"
)

// Outside is what a request says outside its body; nil says nothing.
type Outside struct {
	Header http.Header
	Labels map[string]string // of the path, percent-decoded
	Query  url.Values
}

func (r *report) bindOutside(p *plan, v reflect.Value, o *Outside) {
	if o == nil {
		return
	}
	r.bindHeaders(p, v, o.Header)
	for i := range p.members {
		m := &p.members[i]
		if text, ok := o.Labels[m.label]; ok && m.label != "" && r.isText(m.name, text) {
			v.FieldByIndex(m.index).SetString(text)
		}
		if values, ok := o.Query[m.query]; ok && m.query != "" { // a query may have a parameter without a name
			for i, text := range values {
				r.isText(m.name+index(i), text)
			}
			v.FieldByIndex(m.index).Set(reflect.ValueOf(values))
		}
	}
}

// isText reports what is no UTF-8, which a body could not hold either.
func (r *report) isText(name, text string) bool {
	if utf8.ValidString(text) {
		return true
	}
	r.add(name, "must be percent-encoded UTF-8")
	return false
}
