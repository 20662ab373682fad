package wiretest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Breach is a value that breaks one constraint, and a part of what the message then says.
type Breach struct {
	Constraint string
	Value      any // nil is null, which is absent
	Says       string
}

// A Site is one place of a structure where a value goes.
type Site struct {
	Path      string // as a fieldList names it
	Valid     any    // keeps all constraints
	Breaches  []Breach
	Sensitive bool // what goes there must be in no message
	fill      func(value any) any
}

// Fill is the instance that the sites were made of, with a value at this one.
func (s *Site) Fill(value any) map[string]any { return s.fill(value).(map[string]any) }

// Sites are all places of a structure and of what it holds, in an instance that keeps all constraints; nil takes the smallest.
func (s *Shape) Sites(instance map[string]any) []Site {
	if instance == nil {
		instance = s.Smallest()
	}
	return s.sites("", instance, func(value any) any { return value })
}

// sites continues below path; instance is what stands there, fill makes the whole of what is to stand there.
func (s *Shape) sites(path string, instance map[string]any, fill func(any) any) (all []Site) {
	for i := range s.Members {
		m, at := &s.Members[i], path+s.Members[i].Name
		set := func(value any) any {
			changed := map[string]any{}
			if !s.Union {
				changed = maps.Clone(instance)
			}
			changed[m.Name] = value
			return fill(changed)
		}
		all = append(all, Site{at, m.valid(), m.breaches(), m.Kind == String && m.Text.Sensitive, set})

		null := Breach{"JSON type", nil, ", not null"} // null is absent as a member, but no element
		switch m.Kind {
		case Strings:
			second := func(value any) any { return set([]any{m.Text.valid(), value}) }
			breaches := m.Text.breaches()
			if m.InBody() {
				breaches = slices.Concat(breaches, typeBreaches(String.JSON()), []Breach{null})
			}
			all = append(all, Site{at + "[1]", m.Text.valid(), breaches, m.Text.Sensitive, second})
		case Map:
			key := m.Key.valid()
			value := func(value any) any { return set(map[string]any{key: value}) }
			all = append(all, Site{at + entry(key), m.Text.valid(), slices.Concat(typeBreaches(String.JSON()), []Breach{null}, m.Text.breaches()), m.Text.Sensitive, value})
			for _, b := range m.Key.breaches() {
				keyed := func(key any) any { return set(map[string]any{key.(string): m.Text.valid()}) }
				all = append(all, Site{at + entry(b.Value.(string)), key, []Breach{b}, false, keyed})
			}
		case Structure:
			below, ok := instance[m.Name].(map[string]any)
			if !ok {
				below = m.Shape.Smallest()
			}
			all = append(all, m.Shape.sites(at+".", below, set)...)
		case Structures:
			only := func(value any) any { return set([]any{value}) }
			all = append(all, Site{at + "[0]", m.Shape.Smallest(), append(typeBreaches(Structure.JSON()), null), false, only})
			all = append(all, m.Shape.sites(at+"[0].", m.Shape.Smallest(), only)...)
		}
	}
	return all
}

// entry is how a path names an entry of a map: quoted, after 64 characters cut.
func entry(key string) string {
	if r := []rune(key); len(r) > 64 {
		key = string(r[:64]) + "…"
	}
	return "[" + strconv.Quote(key) + "]"
}

func (t *Text) breaches() []Breach {
	var all []Breach
	if t.Length.Min > 0 {
		all = append(all, Breach{"min length", strings.Repeat("é", t.Length.Min-1), ""}) // a length is in characters: é has two bytes
	}
	if n := t.Length.Max; n != math.MaxInt {
		all = append(all, Breach{"max length", Canary + strings.Repeat("é", n+1-len(Canary)), fmt.Sprintf("%d characters; ", n)})
	}
	if t.Values != nil {
		all = append(all, Breach{"enum", "NO_SUCH_VALUE", "must be one of " + strings.Join(t.Values, ", ") + `; it is "NO_SUCH_VALUE"`})
	}
	if t.Pattern != "" {
		all = append(all, Breach{"pattern " + t.Pattern, Examples[t.Pattern].Mismatch, "must match "})
	}
	return all
}

// typeBreaches are values of all JSON types but want.
func typeBreaches(want string) []Breach {
	var all []Breach
	for _, other := range []struct {
		got   string
		value any
	}{
		{"a string", Canary}, {"a number", 42}, {"a boolean", true}, {"a list", []any{Canary}}, {"an object", map[string]any{Canary: Canary}},
	} {
		if other.got != want {
			all = append(all, Breach{"JSON type", other.value, "must be " + want + ", not " + other.got})
		}
	}
	return all
}

func (m *Member) breaches() []Breach {
	var all []Breach
	if m.InBody() {
		all = typeBreaches(m.Kind.JSON())
	}
	if m.Required {
		all = append(all, Breach{"required", nil, "is required"})
	}
	switch m.Kind {
	case String:
		all = append(all, m.Text.breaches()...)
	case Integer:
		for _, v := range []any{m.Size.Min - 1, m.Size.Max + 1} {
			all = append(all, Breach{"range", v, fmt.Sprintf("; it is %d", v)})
		}
		for _, v := range []any{1.5, json.Number("1e0"), 1 << 40} {
			all = append(all, Breach{"integer", v, "must be a whole number of 32 bits; it is "})
		}
	case Structure:
		if m.Shape.Union {
			all = append(all, m.Shape.unionBreaches()...)
		}
	case Strings, Map, Structures:
		if m.Size.Min > 0 {
			all = append(all, Breach{"items", m.ofSize(m.Size.Min - 1), fmt.Sprintf(" items; it has %d", m.Size.Min-1)})
		}
		if m.Size.Max < math.MaxInt {
			all = append(all, Breach{"items", m.ofSize(m.Size.Max + 1), fmt.Sprintf(" items; it has %d", m.Size.Max+1)})
		}
	}
	return all
}

// ofSize is a list or map of n valid items.
func (m *Member) ofSize(n int) any {
	switch m.Kind {
	case Strings:
		return slices.Repeat([]any{m.Text.valid()}, n)
	case Structures:
		return slices.Repeat([]any{m.Shape.Smallest()}, n)
	}
	entries := map[string]any{}
	for i := range n {
		entries[m.Key.valid()+strconv.Itoa(i)] = m.Text.valid()
	}
	return entries
}

func (s *Shape) unionBreaches() []Breach {
	none := Breach{"union", map[string]any{"noSuchMember": 1}, "it has none"}
	if len(s.Members) == 1 {
		return []Breach{none}
	}
	a, b := &s.Members[0], &s.Members[len(s.Members)-1]
	two := Breach{"union", map[string]any{a.Name: a.valid(), b.Name: b.valid()}, "it has " + a.Name + " and " + b.Name}
	return []Breach{none, two}
}
