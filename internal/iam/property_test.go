package iam

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawStatement is a statement over a small world, so that statements often meet.
func drawStatement(t *rapid.T, effect string) map[string]any {
	list := func(label string, values ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID).Draw(t, label)
	}
	s := map[string]any{"Effect": effect}
	s[rapid.SampledFrom([]string{"Action", "Action", "NotAction"}).Draw(t, "actionElement")] = list("action", "*", "a:Get*", "a:Put", "A:get?", "b:*")
	s[rapid.SampledFrom([]string{"Resource", "Resource", "NotResource"}).Draw(t, "resourceElement")] = list("resource", "*", "arn:x", "arn:y", "arn:*", "arn:${aws:username}", "arn:${aws:PrincipalTag/t, 'y'}")
	if rapid.Bool().Draw(t, "conditional") {
		name := rapid.SampledFrom([]string{"StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "Null"}).Draw(t, "operator")
		key, values := rapid.SampledFrom([]string{"aws:username", "aws:PrincipalTag/t", "aws:TagKeys", "aws:RequestTag/x"}).Draw(t, "key"), any(nil)
		switch {
		case name == "Null":
			values = rapid.SampledFrom([]string{"true", "false"}).Draw(t, "null")
		default:
			values = list("values", "x", "X", "y", "*", "${aws:username}", "${aws:PrincipalTag/t}", "z")
			if prefix := rapid.SampledFrom([]string{"", "ForAnyValue:", "ForAllValues:"}).Draw(t, "prefix"); prefix != "" || key == "aws:TagKeys" {
				if prefix == "" {
					prefix = "ForAnyValue:"
				}
				name = prefix + name
			}
			if rapid.Bool().Draw(t, "ifExists") {
				name += "IfExists"
			}
		}
		s["Condition"] = map[string]any{name: map[string]any{key: values}}
	}
	return s
}

func parseStatements(t *rapid.T, statements []map[string]any) *Policy {
	doc, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePolicy(doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return p
}

func drawStatements(t *rapid.T) []map[string]any {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[string]any {
		return drawStatement(t, rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect"))
	}), 1, 4).Draw(t, "statements")
}

func drawRequest(t *rapid.T) (Caller, Request) {
	text := func(label string) string { return rapid.SampledFrom([]string{"", "x", "y", "*"}).Draw(t, label) }
	c := Caller{Name: text("username"), Tags: map[string]string{}}
	if v := text("tag"); v != "" {
		c.Tags["t"] = v
	}
	r := Request{Action: rapid.SampledFrom([]string{"a:Get", "a:GetX", "a:Put", "b:Do"}).Draw(t, "action"), Time: time.Unix(1, 0), RequestTags: map[string]string{}}
	for _, k := range []string{"x", "y"} {
		if rapid.Bool().Draw(t, "has "+k) {
			r.RequestTags[k] = "x"
		}
	}
	r.Resources = rapid.SliceOfN(rapid.SampledFrom([]string{"arn:x", "arn:y", "arn:*"}), 1, 2).Draw(t, "resources")
	return c, r
}

// Evaluate agrees with an evaluator that reads the document anew and follows the manual word by word.
func TestEvaluateAgreesWithReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statements := drawStatements(t)
		c, r := drawRequest(t)
		c.Policies = []*Policy{parseStatements(t, statements)}
		if got, want := Evaluate(&c, &r), reference(statements, &c, &r); got.Allowed != want {
			t.Fatalf("got %+v, the reference says %v", got, want)
		}
	})
}

func TestEvaluateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statements := drawStatements(t)
		c, r := drawRequest(t)
		decide := func(identity ...*Policy) bool {
			c.Policies = identity
			return Evaluate(&c, &r).Allowed
		}
		p := parseStatements(t, statements)
		before := decide(p)

		allow := parseStatements(t, []map[string]any{drawStatement(t, "Allow")})
		if before && !decide(p, allow) {
			t.Fatal("another Allow took something away")
		}
		deny := parseStatements(t, []map[string]any{drawStatement(t, "Deny")})
		if !before && decide(deny, p) {
			t.Fatal("another Deny gave something")
		}
		if decide(p, mustParse(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`), mustParse(AllowAll)) {
			t.Fatal("a Deny of everything does not win")
		}
		slices.Reverse(statements)
		if before != decide(parseStatements(t, statements)) {
			t.Fatal("the order of statements matters")
		}
		if decide(p, allow, deny) != decide(deny, allow, p) {
			t.Fatal("the order of policies matters")
		}
		slices.Reverse(r.Resources)
		if before != decide(p) {
			t.Fatal("the order of resources matters")
		}

		// What a session policy and a boundary allow is what both of each pair allow.
		byOther := decide(allow)
		c.Session = &Session{Policies: []*Policy{allow}}
		if decide(p) != (before && byOther) {
			t.Fatal("a session policy is no intersection")
		}
		c.Session, c.Boundary = nil, allow
		if decide(p) != (before && byOther) {
			t.Fatal("a boundary is no intersection")
		}
		c.Session, c.Boundary = &Session{Policies: []*Policy{mustParse(AllowAll)}}, mustParse(AllowAll)
		if decide(p) != before {
			t.Fatal("a session policy and a boundary that allow everything take something away")
		}
		c.Session, c.Boundary = &Session{}, nil
		if decide(p) != before {
			t.Fatal("a session without policies takes something away")
		}
	})
}

// reference decides by the raw document.
func reference(statements []map[string]any, c *Caller, r *Request) bool {
	keys := map[string][]string{}
	if c.Name != "" {
		keys["aws:username"] = []string{c.Name}
	}
	if v, ok := c.Tags["t"]; ok {
		keys["aws:PrincipalTag/t"] = []string{v}
	}
	if v, ok := r.RequestTags["x"]; ok {
		keys["aws:RequestTag/x"] = []string{v}
	}
	for k := range r.RequestTags {
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], k)
	}
	for _, resource := range r.Resources {
		allowed, denied := false, false
		for _, s := range statements {
			allow := s["Effect"] == "Allow"
			if referenceApplies(s, allow, r.Action, resource, keys) {
				allowed, denied = allowed || allow, denied || !allow
			}
		}
		if denied || !allowed {
			return false
		}
	}
	return true
}

func referenceApplies(s map[string]any, allow bool, action, resource string, keys map[string][]string) bool {
	any := func(values []string, f func(string) bool) bool { return slices.ContainsFunc(values, f) }
	fill := func(v string) (string, bool) { // with the wildcards of values escaped as [*]
		for variable, key := range map[string]string{"${aws:username}": "aws:username", "${aws:PrincipalTag/t}": "aws:PrincipalTag/t", "${aws:PrincipalTag/t, 'y'}": "aws:PrincipalTag/t"} {
			if !strings.Contains(v, variable) {
				continue
			}
			value := keys[key]
			if value == nil && strings.Contains(variable, "'y'") {
				value = []string{"y"}
			}
			if value == nil {
				return "", false
			}
			return strings.ReplaceAll(v, variable, strings.ReplaceAll(value[0], "*", "\x01")), true
		}
		return v, true
	}
	like := func(p, v string) bool { return regexpOf(p).MatchString(strings.ReplaceAll(v, "*", "\x01")) }
	has := func(element string, f func(string) bool) bool {
		if l, ok := s[element].([]string); ok {
			return any(l, f)
		}
		return !any(s["Not"+element].([]string), f)
	}
	if !has("Action", func(a string) bool { return regexpOf(strings.ToLower(a)).MatchString(strings.ToLower(action)) }) {
		return false
	}
	_, not := s["NotResource"]
	if !has("Resource", func(p string) bool {
		p, ok := fill(p)
		return ok && like(p, resource) || !ok && not && allow
	}) {
		return false
	}
	condition, ok := s["Condition"].(map[string]anything)
	if !ok {
		return true
	}
	for name, inner := range condition {
		for key, operand := range inner.(map[string]anything) {
			values := keys[key]
			if name == "Null" {
				return (len(values) == 0) == (operand == "true")
			}
			operands := operand.([]string)
			if allow && any(operands, func(o string) bool { _, ok := fill(o); return !ok }) {
				return false
			}
			name, ifExists := strings.CutSuffix(name, "IfExists")
			name, each := strings.CutPrefix(name, "ForAnyValue:")
			name, every := strings.CutPrefix(name, "ForAllValues:")
			negated := strings.Contains(name, "Not")
			if len(values) == 0 {
				return every || !each && (negated || ifExists)
			}
			same := func(v string) bool {
				return any(operands, func(o string) bool {
					o, ok := fill(o)
					switch {
					case !ok:
						return false
					case strings.HasSuffix(name, "Like"):
						return like(o, v)
					case strings.HasSuffix(name, "IgnoreCase"):
						return strings.EqualFold(strings.ReplaceAll(o, "\x01", "*"), v)
					}
					return strings.ReplaceAll(o, "\x01", "*") == v
				}) != negated
			}
			if every {
				return !any(values, func(v string) bool { return !same(v) })
			}
			return any(values, same)
		}
	}
	return true
}

type anything = any // whose name the function shadows
