package iam

import (
	"strings"
	"unicode/utf8"
)

// Wildcards in compiled patterns. These bytes are in no UTF-8 text, so that a literal * in a value is told from a wildcard.
const (
	anyRun = '\xff' // * in a document
	anyOne = '\xfe' // ?
)

var wildcards = strings.NewReplacer("*", string([]byte{anyRun}), "?", string([]byte{anyOne}))

// pattern is text to compare with: a value of a condition, or a resource.
type pattern struct {
	text  string     // when there are no variables
	parts []variable // else
}

// variable is literal text, and then the value of key; the last of a pattern may have no key.
type variable struct {
	literal string
	key     *key
	or      string // its default
	hasOr   bool
}

// compile reads ${…}, and * and ? as wildcards if there are any.
func compile(r *reader, n *node, text string, wild bool, keys keySet) (pattern, error) {
	var parts []variable
	var lit strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case wild && c == '*':
			lit.WriteByte(anyRun)
		case wild && c == '?':
			lit.WriteByte(anyOne)
		case c == '$' && strings.HasPrefix(text[i:], "${"):
			name, _, ok := strings.Cut(text[i+2:], "}")
			if !ok {
				return pattern{}, r.fail(n.offset, "%q begins a policy variable with ${ and does not end it with }", text)
			}
			i += len("${}") + len(name) - 1
			if name == "*" || name == "?" || name == "$" {
				lit.WriteString(name)
				continue
			}
			v, err := parseVariable(r, n, name, keys)
			if err != nil {
				return pattern{}, err
			}
			v.literal = lit.String()
			lit.Reset()
			parts = append(parts, v)
		default:
			lit.WriteByte(c)
		}
	}
	if parts == nil {
		return pattern{text: lit.String()}, nil
	}
	return pattern{parts: append(parts, variable{literal: lit.String()})}, nil
}

// parseVariable reads what stands in ${…}: a key, or KEY, 'DEFAULT'.
func parseVariable(r *reader, n *node, text string, keys keySet) (variable, error) {
	var v variable
	name, or, hasOr := strings.Cut(text, ",")
	if hasOr {
		or = strings.TrimSpace(or)
		inner, ok := strings.CutPrefix(or, "'")
		if inner, ok = cutSuffix(inner, "'", ok); !ok || strings.ContainsAny(inner, "'*?$") {
			return v, r.fail(n.offset, "the default of the policy variable ${%s} must be text in single quotes, without ', *, ? and $", text)
		}
		v.or, v.hasOr = inner, true
	}
	k, err := keys.find(r, n.offset, strings.TrimSpace(name))
	if err != nil {
		return v, err
	}
	if k.kind.many() {
		return v, r.fail(n.offset, "the key %s has many values: it cannot be a policy variable", k)
	}
	v.key = &k
	return v, nil
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	s, found := strings.CutSuffix(s, suffix)
	return s, ok && found
}

// resolve is the pattern with the values of its variables; false when one has none. A value is literal text, whatever is in it.
func (p *pattern) resolve(e *env) (string, bool) {
	if p.parts == nil {
		return p.text, true
	}
	var out strings.Builder
	for i := range p.parts {
		part := &p.parts[i]
		out.WriteString(part.literal)
		if part.key == nil {
			continue
		}
		one, _, ok := e.value(part.key)
		switch {
		case ok:
			out.WriteString(strings.ToValidUTF8(one, "\uFFFD"))
		case part.hasOr:
			out.WriteString(part.or)
		default:
			return "", false
		}
	}
	return out.String(), true
}

// match compares with wildcards. On a mismatch only the last run gives way.
func match(pattern, s string) bool { return glob(pattern, s, false) }

// matchFold is match for ASCII without regard to case; the pattern is in lower case.
func matchFold(pattern, s string) bool { return glob(pattern, s, true) }

func glob(pattern, s string, fold bool) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == anyRun:
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == anyOne:
			_, n := utf8.DecodeRuneInString(s[i:])
			p++
			i += n
		case p < len(pattern) && (pattern[p] == s[i] || fold && pattern[p] == lower(s[i])):
			p++
			i++
		case star >= 0:
			_, n := utf8.DecodeRuneInString(s[mark:])
			mark += n
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyRun {
		p++
	}
	return p == len(pattern)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
