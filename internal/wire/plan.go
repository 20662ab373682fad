package wire

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"credence/internal/secret"
)

// A plan is what the tags of a structure type say, read once.
type plan struct {
	union   bool
	members []member
	byName  map[string]*member
}

type member struct {
	name     string
	header   string // the request header that may carry it, or ""
	label    string // the label of the path that it is, or ""
	query    string // the query parameters that it is, or ""
	index    []int  // of the field, through the structures that are embedded
	position int    // among the members
	kind     kind
	pointer  bool // the field is a pointer: nil is absent
	required bool
	size     bounds // of a list or map in items, of an integer its value
	bits     int    // of an integer
	text     text   // of a string, of the strings of a list, of the values of a map
	key      text   // of the keys of a map
	plan     *plan  // of a structure, of the structures of a list
}

type kind int

const (
	kindText       kind = iota // string, a string type with Values, or secret.String
	kindBoolean                // bool
	kindInteger                // int32, or int64 without a range
	kindTime                   // Time; in outputs only
	kindTexts                  // []string
	kindMap                    // map[string]string or map[string]secret.String
	kindStructure              // a pointer to a structure
	kindStructures             // a list of structures
)

// text is what the tags say about one string.
type text struct {
	length    bounds
	pattern   *pattern
	values    []string // of an enum
	sensitive bool
}

type bounds struct{ min, max int }

var unbounded = bounds{0, math.MaxInt}

var (
	secretType = reflect.TypeFor[secret.String]()
	timeType   = reflect.TypeFor[Time]()
	enumType   = reflect.TypeFor[interface{ Values() []string }]()

	plans sync.Map // reflect.Type → *plan
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, newPlan(t))
	return p.(*plan)
}

// newPlan panics for a type or tag outside the language of the package comment: that is a mistake in this package, not in a request.
func newPlan(t reflect.Type) *plan {
	p := &plan{}
	for f := range t.Fields() {
		if f.Name == "_" && f.Tag.Get("wire") == "union" {
			p.union = true
			continue
		}
		if f.Anonymous {
			for _, m := range planOf(f.Type).members {
				m.index = slices.Concat(f.Index, m.index)
				p.members = append(p.members, m)
			}
			continue
		}
		m, err := newMember(f)
		if err != nil {
			panic(fmt.Sprintf("wire: %s.%s: %v", t, f.Name, err))
		}
		p.members = append(p.members, m)
	}
	p.byName = make(map[string]*member, len(p.members))
	for i := range p.members {
		p.members[i].position = i
		p.byName[p.members[i].name] = &p.members[i]
	}
	return p
}

func newMember(f reflect.StructField) (member, error) {
	m := member{
		index: f.Index, header: f.Tag.Get("header"), label: f.Tag.Get("path"), query: f.Tag.Get("query"),
		size: unbounded, text: text{length: unbounded}, key: text{length: unbounded},
	}
	m.name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	if m.name == "" {
		return m, fmt.Errorf("no json name")
	}
	t := f.Type
	if m.pointer = t.Kind() == reflect.Pointer; m.pointer {
		t = t.Elem()
	}
	if err := m.setType(t); err != nil {
		return m, err
	}
	for option := range strings.SplitSeq(f.Tag.Get("wire"), ",") {
		if err := m.set(option); err != nil {
			return m, fmt.Errorf("option %q: %w", option, err)
		}
	}
	constrained := t.Kind() == reflect.String && (m.text.values != nil || m.text.pattern != nil)
	if m.header != "" && !(m.pointer && (m.kind == kindBoolean || m.kind == kindInteger || constrained)) {
		return m, fmt.Errorf("only optional booleans, numbers, enums and texts with a pattern come in headers")
	}
	if m.label != "" && (t != reflect.TypeFor[string]() || m.pointer || !m.required || m.header+m.query != "") {
		return m, fmt.Errorf("only required texts come in paths, and nowhere else")
	}
	if m.query != "" && (m.kind != kindTexts || m.header != "") {
		return m, fmt.Errorf("only lists of texts come in queries, and nowhere else")
	}
	return m, nil
}

// inBody is false of what comes in the path or query alone.
func (m *member) inBody() bool { return m.label == "" && m.query == "" }

func (m *member) setType(t reflect.Type) error {
	switch {
	case t == secretType:
		m.kind, m.text.sensitive = kindText, true
	case t == timeType:
		m.kind = kindTime
	case t.Kind() == reflect.String && t.Implements(enumType):
		m.kind, m.text.values = kindText, reflect.Zero(t).Interface().(interface{ Values() []string }).Values()
	case t.Kind() == reflect.String:
		m.kind = kindText
	case t.Kind() == reflect.Bool && m.pointer:
		m.kind = kindBoolean
	case t.Kind() == reflect.Int32 && m.pointer:
		m.kind, m.bits, m.size = kindInteger, 32, bounds{math.MinInt32, math.MaxInt32}
	case t.Kind() == reflect.Int64 && m.pointer:
		m.kind, m.bits = kindInteger, 64
	case t == reflect.TypeFor[[]string]():
		m.kind = kindTexts
	case t == reflect.TypeFor[map[string]string]():
		m.kind = kindMap
	case t == reflect.TypeFor[map[string]secret.String]():
		m.kind, m.text.sensitive = kindMap, true
	case t.Kind() == reflect.Struct && m.pointer:
		m.kind, m.plan = kindStructure, planOf(t)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		m.kind, m.plan = kindStructures, planOf(t.Elem())
	default:
		return fmt.Errorf("no member may be a %s", t)
	}
	return nil
}

// set applies one option of a wire tag.
func (m *member) set(option string) (err error) {
	word, value, _ := strings.Cut(option, "=")
	dot := strings.LastIndex(word, ".") + 1
	t, rule := m.textAt(word[:dot]), word[dot:]
	isList := m.kind == kindTexts || m.kind == kindStructures

	switch {
	case option == "":
	case word == "required":
		m.required = true
	case word == "range" && m.bits == 32, word == "items" && (isList || m.kind == kindMap):
		m.size, err = parseBounds(value)
	case t != nil && rule == "sensitive":
		t.sensitive = true
	case t != nil && rule == "len":
		t.length, err = parseBounds(value)
	case t != nil && rule == "pattern" && patterns[value] != nil:
		t.pattern = patterns[value]
	default:
		err = fmt.Errorf("unknown, or not for this type")
	}
	return err
}

// textAt is the text that options with a prefix constrain; nil when the type has no such text.
func (m *member) textAt(prefix string) *text {
	switch {
	case m.kind == kindText && prefix == "", m.kind == kindTexts && prefix == "each.", m.kind == kindMap && prefix == "value.":
		return &m.text
	case m.kind == kindMap && prefix == "key.":
		return &m.key
	}
	return nil
}

// parseBounds reads "1..20" or "1..".
func parseBounds(s string) (b bounds, err error) {
	low, high, ok := strings.Cut(s, "..")
	if !ok {
		return b, fmt.Errorf("want min..max")
	}
	if b.min, err = strconv.Atoi(low); err != nil {
		return b, err
	}
	if high == "" {
		b.max = math.MaxInt
		return b, nil
	}
	b.max, err = strconv.Atoi(high)
	return b, err
}

func (b bounds) hold(n int) bool { return b.min <= n && n <= b.max }

func (b bounds) String() string {
	switch {
	case b.min == b.max:
		return fmt.Sprintf("exactly %d", b.min)
	case b.max == math.MaxInt:
		return fmt.Sprintf("at least %d", b.min)
	case b.min <= 0:
		return fmt.Sprintf("at most %d", b.max)
	}
	return fmt.Sprintf("%d to %d", b.min, b.max)
}
