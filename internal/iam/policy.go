package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// AllowAll is the policy document of an account's first administrator.
const AllowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// Policy is a parsed identity policy document.
type Policy struct{ statements []statement }

type statement struct {
	allow     bool
	actions   []string // lower case, since actions compare without case
	resources []string
}

// matches wants the action in lower case, as the patterns for it are.
func (s *statement) matches(action, resource string) bool {
	return anyMatch(s.actions, action) && anyMatch(s.resources, resource)
}

func anyMatch(patterns []string, s string) bool {
	for _, p := range patterns {
		if p == "*" || match(p, s) {
			return true
		}
	}
	return false
}

// match compares with * (any run of characters) and ? (one character). Linear: on a mismatch only the last * gives way.
func match(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

type document struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMany[statementDocument]
}

type statementDocument struct {
	Sid      string
	Effect   string
	Action   oneOrMany[string]
	Resource oneOrMany[string]
}

// oneOrMany is IAM's habit of writing a list of one without brackets.
type oneOrMany[T any] []T

func (l *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("[")) {
		return strictUnmarshal(b, (*[]T)(l))
	}
	var one T
	if err := strictUnmarshal(b, &one); err != nil {
		return err
	}
	*l = oneOrMany[T]{one}
	return nil
}

func strictUnmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after the document")
	}
	return nil
}

// ParsePolicy reads an IAM JSON policy document (version 2012-10-17): statements of Effect, Action and Resource, with * and ?.
// An element that it does not know is an error, never ignored: a condition that nobody checks would allow too much.
func ParsePolicy(text []byte) (*Policy, error) {
	var doc document
	if err := strictUnmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("policy document: %w", err)
	}
	if doc.Version != "2012-10-17" {
		return nil, fmt.Errorf("policy document: Version must be \"2012-10-17\", not %q", doc.Version)
	}
	if len(doc.Statement) == 0 {
		return nil, errors.New("policy document: it has no Statement")
	}
	p := &Policy{}
	for i, sd := range doc.Statement {
		where := fmt.Sprintf("policy document: statement %d", i+1)
		if sd.Effect != "Allow" && sd.Effect != "Deny" {
			return nil, fmt.Errorf("%s: Effect must be Allow or Deny, not %q", where, sd.Effect)
		}
		if len(sd.Action) == 0 || len(sd.Resource) == 0 {
			return nil, fmt.Errorf("%s: Action and Resource are both needed", where)
		}
		st := statement{allow: sd.Effect == "Allow", resources: sd.Resource}
		for _, a := range sd.Action {
			if a != "*" && !strings.Contains(a, ":") {
				return nil, fmt.Errorf("%s: Action %q must be * or service:operation", where, a)
			}
			st.actions = append(st.actions, strings.ToLower(a))
		}
		for _, r := range sd.Resource {
			if r != "*" && !strings.HasPrefix(r, "arn:") {
				return nil, fmt.Errorf("%s: Resource %q must be * or an ARN", where, r)
			}
		}
		p.statements = append(p.statements, st)
	}
	return p, nil
}
