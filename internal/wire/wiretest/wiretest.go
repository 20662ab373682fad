// Package wiretest makes requests of the shapes of package wire: such as keep every constraint, and such as break exactly one.
//
// It protects against a constraint that is declared and not enforced, at the decoder as at the door. It reads the struct tags by itself, so that a mistake of
// wire's own reader is not made twice.
package wiretest

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"credence/internal/secret"
)

// A Shape is what the tags of a structure say.
type Shape struct {
	Union   bool
	Members []Member
}

// A Member is one member of a structure, with its constraints.
type Member struct {
	Name     string
	Header   string // the request header that may carry it, or ""
	Label    string // the label of the path that it is, or ""
	Query    string // the query parameters that it is, or ""
	Kind     Kind
	Required bool
	Size     Bounds // of a list or map in items, of an integer its value
	Text     Text   // of a string, of the strings of a list, of the values of a map
	Key      Text   // of the keys of a map
	Shape    *Shape // of a structure, of the structures of a list
}

// Kind is what a member is, in the words that the server has for its JSON type where there is but one kind of it.
type Kind string

// The kinds.
const (
	String     Kind = "a string"
	Boolean    Kind = "a boolean"
	Integer    Kind = "a number"
	Long       Kind = "a number of 64 bits"
	Time       Kind = "a time"
	Strings    Kind = "a list"
	Map        Kind = "a map"
	Structure  Kind = "an object"
	Structures Kind = "a list of objects"
)

// JSON is the JSON type of the kind.
func (k Kind) JSON() string {
	switch k {
	case Long, Time:
		return string(Integer)
	case Map:
		return string(Structure)
	case Structures:
		return string(Strings)
	}
	return string(k)
}

// Text is what the tags say about one string.
type Text struct {
	Length    Bounds
	Pattern   string   // its name, or ""
	Values    []string // of an enum
	Sensitive bool
}

// Bounds are the least and the greatest number that is allowed.
type Bounds struct{ Min, Max int }

// InBody is false of what comes in the path or query alone.
func (m *Member) InBody() bool { return m.Label+m.Query == "" }

// ShapeOf reads the tags of the type of v, a structure or a pointer to one. It panics for what it cannot read.
func ShapeOf(v any) *Shape {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return shapeOf(t)
}

func shapeOf(t reflect.Type) *Shape {
	s := &Shape{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue // its fields are visible themselves
		}
		if f.Name == "_" {
			s.Union = f.Tag.Get("wire") == "union"
			continue
		}
		s.Members = append(s.Members, memberOf(f))
	}
	return s
}

func memberOf(f reflect.StructField) Member {
	unbounded := Bounds{0, math.MaxInt}
	m := Member{
		Header: f.Tag.Get("header"), Label: f.Tag.Get("path"), Query: f.Tag.Get("query"),
		Size: unbounded, Text: Text{Length: unbounded}, Key: Text{Length: unbounded},
	}
	m.Name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	content := t // what the constraints of strings belong to
	switch {
	case t.Name() == "Time":
		m.Kind = Time
	case t.Kind() == reflect.Bool:
		m.Kind = Boolean
	case t.Kind() == reflect.Int32:
		m.Kind, m.Size = Integer, Bounds{math.MinInt32, math.MaxInt32}
	case t.Kind() == reflect.Int64:
		m.Kind = Long
	case t.Kind() == reflect.Map:
		m.Kind, content = Map, t.Elem()
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		m.Kind, m.Shape = Structures, shapeOf(t.Elem())
	case t.Kind() == reflect.Slice:
		m.Kind, content = Strings, t.Elem()
	case t.Kind() == reflect.String, isSecret(t):
		m.Kind = String
	case t.Kind() == reflect.Struct:
		m.Kind, m.Shape = Structure, shapeOf(t)
	default:
		panic(fmt.Sprintf("%s: a %s", f.Name, t))
	}
	m.Text.Sensitive = isSecret(content)
	if e, ok := reflect.Zero(content).Interface().(interface{ Values() []string }); ok {
		m.Text.Values = e.Values()
	}
	for option := range strings.SplitSeq(f.Tag.Get("wire"), ",") {
		m.set(option)
	}
	return m
}

func isSecret(t reflect.Type) bool { return t == reflect.TypeFor[secret.String]() }

func (m *Member) set(option string) {
	word, value, _ := strings.Cut(option, "=")
	text := &m.Text
	if rest, ok := strings.CutPrefix(word, "key."); ok {
		word, text = rest, &m.Key
	}
	switch word = strings.TrimPrefix(strings.TrimPrefix(word, "each."), "value."); word {
	case "":
	case "required":
		m.Required = true
	case "sensitive":
		text.Sensitive = true
	case "len":
		text.Length = boundsOf(value)
	case "pattern":
		text.Pattern = value
	case "range", "items":
		m.Size = boundsOf(value)
	default:
		panic(m.Name + ": " + option)
	}
}

// boundsOf reads 1..20, or 1.. without an upper end.
func boundsOf(s string) Bounds {
	low, high, _ := strings.Cut(s, "..")
	b := Bounds{number(low), math.MaxInt}
	if high != "" {
		b.Max = number(high)
	}
	return b
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
