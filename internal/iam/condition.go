package iam

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// condition is one key of one operator; all conditions of a statement must hold.
type condition struct {
	op       *operator
	each     each
	ifExists bool // of a key that the request lacks, it holds
	key      key
	patterns []pattern // of operators on text and ARNs
	operands []operand // of the others
	wantNull bool
	variable bool // some pattern has a variable
}

// each says which values of the request must match, of an operator with a prefix.
type each uint8

const (
	single each = iota
	anyValue
	allValues
)

// operand is a value of the document, read when it was parsed.
type operand struct {
	number float64
	time   time.Time
	prefix netip.Prefix
	truth  bool
}

// operator is one of the language's comparisons.
type operator struct {
	name    string
	negated bool
	text    func(pattern, value string) bool     // of text and ARNs
	wild    bool                                 // * and ? are wildcards
	arn     bool                                 //
	read    func(string) (operand, bool)         // of the others: a value of the document or request
	compare func(document, request operand) bool //
	form    string                               // of the values, for errors
}

func equal(a, b string) bool { return a == b }

var operators = func() map[string]*operator {
	all := map[string]*operator{}
	add := func(o operator) { all[o.name] = &o }
	text := func(name string, wild bool, f func(p, v string) bool) {
		add(operator{name: "String" + name, text: f, wild: wild})
		add(operator{name: "StringNot" + name, negated: true, text: f, wild: wild})
	}
	text("Equals", false, equal)
	text("EqualsIgnoreCase", false, strings.EqualFold)
	text("Like", true, match)
	for _, name := range []string{"Equals", "Like"} {
		add(operator{name: "Arn" + name, text: matchARN, wild: true, arn: true})
		add(operator{name: "ArnNot" + name, negated: true, text: matchARN, wild: true, arn: true})
	}
	ordered := func(kind string, read func(string) (operand, bool), form string, order func(a, b operand) int) {
		for name, holds := range map[string]func(int) bool{
			"LessThan": func(o int) bool { return o < 0 }, "LessThanEquals": func(o int) bool { return o <= 0 },
			"GreaterThan": func(o int) bool { return o > 0 }, "GreaterThanEquals": func(o int) bool { return o >= 0 },
			"Equals": func(o int) bool { return o == 0 }, "NotEquals": func(o int) bool { return o == 0 },
		} {
			add(operator{name: kind + name, negated: name == "NotEquals", read: read, form: form, compare: func(d, r operand) bool { return holds(order(r, d)) }})
		}
	}
	ordered("Numeric", readNumber, "a number", func(a, b operand) int {
		switch {
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return 0
	})
	ordered("Date", readDate, "a date as in 2026-01-31, 2026-01-31T08:30:00Z, or in seconds since 1970", func(a, b operand) int { return a.time.Compare(b.time) })
	within := func(d, r operand) bool { return d.prefix.Contains(r.prefix.Addr()) }
	add(operator{name: "IpAddress", read: readPrefix, form: "an address or CIDR range, as 192.0.2.0/24 or 2001:db8::/32", compare: within})
	add(operator{name: "NotIpAddress", negated: true, read: readPrefix, form: "an address or CIDR range, as 192.0.2.0/24 or 2001:db8::/32", compare: within})
	add(operator{name: "Bool", read: readBool, form: "true or false", compare: func(d, r operand) bool { return d.truth == r.truth }})
	add(operator{name: "Null", read: readBool, form: "true or false"})
	return all
}()

// matchARN compares each of the six parts, so that a wildcard never reaches into another.
func matchARN(pattern, value string) bool {
	for range 5 {
		var p, v string
		var ok, same bool
		p, pattern, ok = strings.Cut(pattern, ":")
		v, value, same = strings.Cut(value, ":")
		if !ok || !same || !match(p, v) {
			return false
		}
	}
	return match(pattern, value)
}

func readNumber(s string) (operand, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || strings.ContainsAny(s, "xXpP_") {
		return operand{}, false
	}
	return operand{number: f}, true
}

// dateForms are those of ISO 8601 that AWS takes (W3C's profile).
var dateForms = []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006-01-02T15:04:05.999999999Z0700"}

func readDate(s string) (operand, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) > 4 {
		return operand{time: time.Unix(n, 0)}, true
	}
	for _, form := range dateForms {
		if t, err := time.Parse(form, s); err == nil {
			return operand{time: t}, true
		}
	}
	return operand{}, false
}

func readPrefix(s string) (operand, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.Addr().Is4In6() {
			return operand{}, false // it would match nothing: addresses of requests are unmapped
		}
		return operand{prefix: p}, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return operand{}, false
	}
	a = a.Unmap()
	return operand{prefix: netip.PrefixFrom(a, a.BitLen())}, true
}

func readBool(s string) (operand, bool) {
	truth := strings.EqualFold(s, "true")
	return operand{truth: truth}, truth || strings.EqualFold(s, "false")
}

// conditions reads the element Condition.
func (r *reader) conditions(n *node, keys keySet) ([]condition, error) {
	if n.kind != '{' {
		return nil, r.fail(n.offset, "Condition must be an object, not %v", n)
	}
	var out []condition
	for _, m := range n.members {
		c, err := r.operator(m)
		if err != nil {
			return nil, err
		}
		if m.value.kind != '{' || len(m.value.members) == 0 {
			return nil, r.fail(m.value.offset, "%s must be an object of condition keys and values", m.name)
		}
		for _, of := range m.value.members {
			c := c
			if c.key, err = keys.find(r, of.offset, of.name); err != nil {
				return nil, err
			}
			if c.key.kind.many() && c.each == single && c.op.name != "Null" {
				return nil, r.fail(of.offset, "the key %s has many values: write ForAnyValue:%s or ForAllValues:%s", of.name, m.name, m.name)
			}
			if err := r.values(&c, of, keys); err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// operator reads the name of an operator with its prefix and suffix.
func (r *reader) operator(m member) (condition, error) {
	var c condition
	name := m.name
	if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
		c.each, name = anyValue, rest
	} else if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
		c.each, name = allValues, rest
	}
	name, c.ifExists = strings.CutSuffix(name, "IfExists")
	if c.op = operators[name]; c.op == nil {
		return c, r.fail(m.offset, "%q is not an operator: String…, Numeric…, Date…, Bool, IpAddress, NotIpAddress, Arn… and Null are, with their exact names", m.name)
	}
	if name == "Null" && (c.each != single || c.ifExists) {
		return c, r.fail(m.offset, "Null has no prefix and no IfExists")
	}
	return c, nil
}

func (r *reader) values(c *condition, m member, keys keySet) error {
	items, err := r.many(m.value, "the list of values of "+m.name)
	if err != nil {
		return err
	}
	for _, n := range items {
		if n.kind == '{' || n.kind == '[' || n.kind == 'n' {
			return r.fail(n.offset, "a value of %s must be a string, not %v", m.name, n)
		}
		if c.op.text == nil {
			o, ok := c.op.read(n.text)
			if !ok {
				return r.fail(n.offset, "%q is not %s, which %s compares with", n.text, c.op.form, c.op.name)
			}
			c.operands = append(c.operands, o)
			continue
		}
		if c.op.arn && (strings.Count(n.text, ":") < 5 || !strings.HasPrefix(n.text, "arn:")) {
			return r.fail(n.offset, "%q is not an ARN of six parts, which %s compares with", n.text, c.op.name)
		}
		p, err := compile(r, n, n.text, c.op.wild, keys)
		if err != nil {
			return err
		}
		c.patterns = append(c.patterns, p)
		c.variable = c.variable || p.parts != nil
	}
	if c.op.name == "Null" {
		if len(c.operands) != 1 {
			return r.fail(m.value.offset, "Null wants true or false, not both")
		}
		c.wantNull = c.operands[0].truth
	}
	return nil
}

// holds decides a condition. What it does when the request lacks the key is AWS's: a comparison fails, a negated one and every …IfExists holds,
// ForAllValues holds and ForAnyValue fails, IfExists or not.
func (c *condition) holds(e *env, allow bool) bool {
	if allow && c.variable && !c.resolvable(e) {
		return false
	}
	one, many, ok := e.value(&c.key)
	if c.op.name == "Null" {
		return ok != c.wantNull
	}
	if !ok {
		switch c.each {
		case anyValue:
			return false
		case allValues:
			return true
		}
		return c.op.negated || c.ifExists
	}
	if c.each == single && len(many) == 1 { // a claim that is a list of one
		one, many = many[0], nil
	}
	if many == nil {
		return c.compare(e, one) != c.op.negated
	}
	switch c.each {
	case anyValue:
		for _, v := range many {
			if c.compare(e, v) != c.op.negated {
				return true
			}
		}
		return false
	case allValues:
		for _, v := range many {
			if c.compare(e, v) == c.op.negated {
				return false
			}
		}
		return true
	}
	return !allow // a claim with many values where one is asked for
}

// resolvable reports whether every variable has a value. A statement that allows must not do so by comparing with nothing; in one that denies,
// what cannot be resolved equals nothing.
func (c *condition) resolvable(e *env) bool {
	for i := range c.patterns {
		if _, ok := c.patterns[i].resolve(e); !ok {
			return false
		}
	}
	return true
}

// compare reports whether a value of the request equals one of the document's, in the operator's sense but for its negation.
func (c *condition) compare(e *env, v string) bool {
	if c.op.text != nil {
		for i := range c.patterns {
			if p, ok := c.patterns[i].resolve(e); ok && c.op.text(p, v) {
				return true
			}
		}
		return false
	}
	request, ok := c.op.read(v)
	if !ok {
		return false
	}
	for _, o := range c.operands {
		if c.op.compare(o, request) {
			return true
		}
	}
	return false
}
