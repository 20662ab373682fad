package wire

import (
	"fmt"
	"reflect"
	"strconv"

	"credence/internal/secret"
)

// A decoder moves a body into a structure and reports each value whose JSON type is wrong; that member stays absent.
type decoder struct {
	reader
	*report
}

// object reads the next object into v, a structure of plan p.
func (d *decoder) object(p *plan, v reflect.Value) {
	var seen uint64
	for d.open(); d.more(); {
		name, _ := unescape(d.quoted())
		m := p.byName[string(name)]
		if m == nil || !m.inBody() {
			d.skip()
			continue
		}
		bit := uint64(1) << m.position
		twice := seen&bit != 0
		seen |= bit
		switch {
		case twice:
			d.add(m.name, "is given twice")
			d.skip()
		case d.peek() == 'n':
			d.skip()
		default:
			d.member(m, v.FieldByIndex(m.index))
		}
	}
}

func (d *decoder) member(m *member, field reflect.Value) {
	if !d.is(m.name, jsonTypes[m.kind]) {
		return
	}
	v := field
	if m.pointer {
		v = reflect.New(field.Type().Elem()).Elem()
		defer func() { field.Set(v.Addr()) }()
	}
	switch m.kind {
	case kindText:
		setText(v, d.text(m.name))
	case kindBoolean:
		v.SetBool(d.literal()[0] == 't')
	case kindInteger:
		v.SetInt(d.integer(m))
	case kindTime:
		if err := v.Addr().Interface().(*Time).UnmarshalJSON(d.literal()); err != nil {
			d.add(m.name, err.Error())
		}
	case kindTexts:
		defer d.leave(d.enter(m.name))
		*v.Addr().Interface().(*[]string) = d.texts()
	case kindMap:
		defer d.leave(d.enter(m.name))
		switch entries := v.Addr().Interface().(type) {
		case *map[string]string:
			*entries = readEntries(d, func(s string) string { return s })
		case *map[string]secret.String:
			*entries = readEntries(d, secret.New)
		}
	case kindStructure:
		defer d.leave(d.enter(m.name))
		d.object(m.plan, v)
	case kindStructures:
		defer d.leave(d.enter(m.name))
		d.objects(m.plan, v)
	}
}

// jsonTypes are the JSON types of the kinds, in the words of jsonType.
var jsonTypes = [...]string{
	kindText: "a string", kindBoolean: "a boolean", kindInteger: "a number", kindTime: "a number",
	kindTexts: "a list", kindMap: "an object", kindStructure: "an object", kindStructures: "a list",
}

// is reports whether the next value has the JSON type want, and steps over one that has not.
func (d *decoder) is(name, want string) bool {
	got := jsonType(d.peek())
	if got == want {
		return true
	}
	d.add(name, fmt.Sprintf("must be %s, not %s", want, got))
	d.skip()
	return false
}

func (d *decoder) text(name string) string {
	text, ok := unescape(d.quoted())
	if !ok {
		d.add(name, halfPair)
	}
	return string(text)
}

const halfPair = `must be Unicode text; an escape in it (\ud800 to \udfff) is half of a surrogate pair`

func (d *decoder) integer(m *member) int64 {
	literal := string(d.literal())
	n, err := strconv.ParseInt(literal, 10, m.bits)
	if err != nil {
		d.add(m.name, fmt.Sprintf("must be a whole number of %d bits; it is %s", m.bits, cut(literal)))
	}
	return n
}

func (d *decoder) texts() []string {
	texts := []string{}
	for d.open(); d.more(); {
		texts = append(texts, d.element(index(len(texts))))
	}
	return texts
}

// element reads a string in a list or map. One of the wrong type gives "", so that the others keep their index and their number.
func (d *decoder) element(name string) string {
	if !d.is(name, "a string") {
		return ""
	}
	return d.text(name)
}

func (d *decoder) objects(p *plan, v reflect.Value) {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for d.open(); d.more(); {
		i := v.Len()
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if name := index(i); d.is(name, "an object") {
			back := d.enter(name)
			d.object(p, v.Index(i))
			d.leave(back)
		}
	}
}

func readEntries[V any](d *decoder, value func(string) V) map[string]V {
	entries := map[string]V{}
	for d.open(); d.more(); {
		raw := d.quoted()
		key, ok := unescape(raw)
		_, twice := entries[string(key)]
		switch {
		case !ok:
			d.add(entry(string(raw)), "the key "+halfPair)
			d.skip()
		case twice:
			d.add(entry(string(key)), "is given twice")
			d.skip()
		default:
			entries[string(key)] = value(d.element(entry(string(key))))
		}
	}
	return entries
}

func setText(v reflect.Value, text string) {
	if v.Kind() == reflect.String {
		v.SetString(text)
	} else {
		*v.Addr().Interface().(*secret.String) = secret.New(text)
	}
}
