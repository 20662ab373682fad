package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"credence/internal/fault"
	"credence/internal/secret"
)

// structure reports what is wrong with v, an addressable structure of plan p.
func (r *report) structure(p *plan, v reflect.Value) {
	for i := range p.members {
		if r.full() {
			return
		}
		r.member(&p.members[i], v.FieldByIndex(p.members[i].index))
	}
	if p.union {
		r.union(p, v)
	}
}

// union demands exactly one member. One that was given with the wrong JSON type, and so is reported already, counts as given.
func (r *report) union(p *plan, v reflect.Value) {
	var all, given []string
	for _, m := range p.members {
		all = append(all, m.name)
		if !v.FieldByIndex(m.index).IsZero() || r.has(m.name) {
			given = append(given, m.name)
		}
	}
	if len(given) == 1 {
		return
	}
	has := "none"
	if len(given) > 1 {
		has = strings.Join(given, " and ")
	}
	r.addHere(fmt.Sprintf("must have exactly one of %s; it has %s", strings.Join(all, ", "), has))
}

func (r *report) member(m *member, v reflect.Value) {
	if v.IsZero() {
		switch {
		case m.required && m.kind == kindText:
			r.add(m.name, "is required and may not be empty")
		case m.required:
			r.add(m.name, "is required")
		}
		return
	}
	if m.pointer {
		v = v.Elem()
	}
	switch m.kind {
	case kindText:
		if violation := m.text.violation(reveal(v)); violation != "" {
			r.add(m.name, violation)
		}
	case kindInteger:
		if n := int(v.Int()); !m.size.hold(n) {
			r.add(m.name, fmt.Sprintf("must be %s; it is %d", m.size, n))
		}
	case kindTexts:
		if r.items(m, v) {
			r.texts(m, *v.Addr().Interface().(*[]string))
		}
	case kindMap:
		if r.items(m, v) {
			switch entries := v.Interface().(type) {
			case map[string]string:
				reportEntries(r, m, entries, func(s string) string { return s })
			case map[string]secret.String:
				reportEntries(r, m, entries, secret.String.Reveal)
			}
		}
	case kindStructure:
		defer r.leave(r.enter(m.name))
		r.structure(m.plan, v)
	case kindStructures:
		if r.items(m, v) {
			for i := range v.Len() {
				back := r.enter(m.name + index(i))
				if !r.hasHere() {
					r.structure(m.plan, v.Index(i))
				}
				r.leave(back)
			}
		}
	}
}

// items reports a list or map of the wrong size. Its items are then not looked at: there may be very many.
func (r *report) items(m *member, v reflect.Value) bool {
	if m.size.hold(v.Len()) {
		return true
	}
	r.add(m.name, fmt.Sprintf("must have %s items; it has %d", m.size, v.Len()))
	return false
}

func (r *report) texts(m *member, values []string) {
	for i, value := range values {
		if violation := m.text.violation(value); violation != "" {
			r.add(m.name+index(i), violation)
		}
		if r.full() {
			return
		}
	}
}

func reportEntries[V any](r *report, m *member, entries map[string]V, reveal func(V) string) {
	before := len(r.fields)
	for key, value := range entries {
		if violation := m.key.violation(key); violation != "" {
			r.add(m.name+entry(key), "the key "+violation)
		} else if violation := m.text.violation(reveal(value)); violation != "" {
			r.add(m.name+entry(key), violation)
		}
	}
	slices.SortFunc(r.fields[before:], func(a, b fault.Field) int { return strings.Compare(a.Name, b.Name) })
}

// reveal returns the text of a string, enum or secret.
func reveal(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return v.String()
	}
	return v.Addr().Interface().(*secret.String).Reveal()
}

// violation says what is wrong with s; "" when nothing is.
func (t *text) violation(s string) string {
	switch {
	case !t.hasLength(s):
		return fmt.Sprintf("must have %s characters; %s has %d", t.length, t.show(s), utf8.RuneCountInString(s))
	case t.values != nil && !slices.Contains(t.values, s):
		return fmt.Sprintf("must be one of %s; it is %s", strings.Join(t.values, ", "), t.show(s))
	case t.pattern != nil && !t.pattern.matches(s):
		return fmt.Sprintf("must match %s; %s does not", t.pattern.source, t.show(s))
	}
	return ""
}

// hasLength counts code points only where the number of bytes, one to four for each, leaves the answer open.
func (t *text) hasLength(s string) bool {
	if len(s) <= t.length.max && len(s)/utf8.UTFMax >= t.length.min {
		return true
	}
	return t.length.hold(utf8.RuneCountInString(s))
}

func (t *text) show(s string) string {
	if t.sensitive {
		return "it"
	}
	return quote(s)
}
