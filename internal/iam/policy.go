package iam

import "strings"

// AllowAll is the policy document of an account's first administrator.
const AllowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// Policy is a parsed identity policy, session policy or permissions boundary.
type Policy struct {
	Name string // for explanations; whoever loads a policy may set it

	statements []statement
}

type statement struct {
	sid          string
	allow        bool
	actions      []string // compiled, in lower case, since actions compare without case
	notActions   bool
	resources    []pattern
	notResources bool
	conditions   []condition
}

// applies reports whether the statement is about the request and its resource.
func (s *statement) applies(e *env) bool {
	if s.matchesAction(e.request.Action) == s.notActions || s.matchesResource(e) == s.notResources {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e, s.allow) {
			return false
		}
	}
	return true
}

func (s *statement) matchesAction(action string) bool {
	for _, p := range s.actions {
		if matchFold(p, action) {
			return true
		}
	}
	return false
}

// matchesResource: where a variable has no value, an allowing NotResource does not apply, as if it matched.
func (s *statement) matchesResource(e *env) bool {
	for i := range s.resources {
		p, ok := s.resources[i].resolve(e)
		if !ok && s.notResources && s.allow || ok && match(p, e.resource) {
			return true
		}
	}
	return false
}

// ParsePolicy reads an IAM JSON policy document (version 2012-10-17) of at most MaxDocument bytes. What it refuses is a *SyntaxError.
// What it does not know it refuses, and never passes over: a condition that nobody checks would allow too much, or deny too little.
func ParsePolicy(text []byte) (*Policy, error) {
	r, list, err := readStatements(text)
	if err != nil {
		return nil, err
	}
	p := &Policy{}
	for _, n := range list {
		s, err := r.identityStatement(n)
		if err != nil {
			return nil, err
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

// readStatements reads what identity and trust policies have in common.
func readStatements(text []byte) (*reader, []*node, error) {
	r, n, err := readDocument(text)
	if err != nil {
		return r, nil, err
	}
	if n.kind != '{' {
		return r, nil, r.fail(n.offset, "a policy is an object, not %v", n)
	}
	var version string
	var list []*node
	for _, m := range n.members {
		switch m.name {
		case "Version":
			if version, err = r.str(m.value, "Version"); err == nil && version != "2012-10-17" {
				err = r.fail(m.value.offset, "Version must be \"2012-10-17\", not %q", version)
			}
		case "Id":
			_, err = r.str(m.value, "Id")
		case "Statement":
			list, err = r.many(m.value, "Statement")
		default:
			err = r.fail(m.offset, "%q is not an element of a policy: Version, Id and Statement are", m.name)
		}
		if err != nil {
			return r, nil, err
		}
	}
	if version == "" {
		return r, nil, r.fail(n.offset, "Version is missing: it must be \"2012-10-17\"")
	}
	if list == nil {
		return r, nil, r.fail(n.offset, "Statement is missing")
	}
	sids := map[string]bool{}
	for _, s := range list {
		if s.kind != '{' {
			return r, nil, r.fail(s.offset, "a statement is an object, not %v", s)
		}
		for _, m := range s.members {
			if m.name != "Sid" {
				continue
			}
			sid, err := r.sid(m.value)
			if err != nil {
				return r, nil, err
			}
			if sid != "" && sids[sid] {
				return r, nil, r.fail(m.value.offset, "the Sid %q stands in two statements", sid)
			}
			sids[sid] = true
		}
	}
	return r, list, nil
}

func (r *reader) sid(n *node) (string, error) {
	sid, err := r.str(n, "Sid")
	for i := 0; err == nil && i < len(sid); i++ {
		if c := lower(sid[i]); (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			err = r.fail(n.offset, "the Sid %q must have letters and digits only", sid)
		}
	}
	return sid, err
}

func (r *reader) identityStatement(n *node) (s statement, err error) {
	var action, resource, effect bool
	for _, m := range n.members {
		what := m.name
		switch what {
		case "Sid":
			s.sid = m.value.text
		case "Effect":
			effect = true
			s.allow, err = r.effect(m.value)
		case "Action", "NotAction":
			if action {
				return s, r.fail(m.offset, "a statement has Action or NotAction, not both")
			}
			action, s.notActions = true, what == "NotAction"
			s.actions, err = r.actions(m.value, what)
		case "Resource", "NotResource":
			if resource {
				return s, r.fail(m.offset, "a statement has Resource or NotResource, not both")
			}
			resource, s.notResources = true, what == "NotResource"
			s.resources, err = r.resources(m.value, what)
		case "Condition":
			s.conditions, err = r.conditions(m.value, ofIdentity)
		case "Principal", "NotPrincipal":
			err = r.fail(m.offset, "%s has no place in a policy of a user or role, which is its principal", what)
		default:
			err = r.fail(m.offset, "%q is not an element of a statement: Sid, Effect, Action, NotAction, Resource, NotResource and Condition are", what)
		}
		if err != nil {
			return s, err
		}
	}
	switch {
	case !effect:
		err = r.fail(n.offset, "Effect is missing: it must be \"Allow\" or \"Deny\"")
	case !action:
		err = r.fail(n.offset, "Action is missing")
	case !resource:
		err = r.fail(n.offset, "Resource is missing")
	}
	return s, err
}

func (r *reader) effect(n *node) (allow bool, err error) {
	effect, err := r.str(n, "Effect")
	if err == nil && effect != "Allow" && effect != "Deny" {
		err = r.fail(n.offset, "Effect must be \"Allow\" or \"Deny\", not %q", effect)
	}
	return effect == "Allow", err
}

func (r *reader) actions(n *node, what string) ([]string, error) {
	items, err := r.many(n, what)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range items {
		a, err := r.str(n, what)
		if err != nil {
			return nil, err
		}
		service, operation, ok := strings.Cut(a, ":")
		if a != "*" && (!ok || !isAction(service) || !isAction(operation)) {
			return nil, r.fail(n.offset, "%s %q must be * or service:operation", what, a)
		}
		out = append(out, wildcards.Replace(strings.ToLower(a)))
	}
	return out, nil
}

func isAction(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-*?") == ""
}

func (r *reader) resources(n *node, what string) ([]pattern, error) {
	items, err := r.many(n, what)
	if err != nil {
		return nil, err
	}
	var out []pattern
	for _, n := range items {
		a, err := r.str(n, what)
		if err != nil {
			return nil, err
		}
		if a != "*" && !strings.HasPrefix(a, "arn:") {
			return nil, r.fail(n.offset, "%s %q must be * or an ARN", what, a)
		}
		p, err := compile(r, n, a, true, ofIdentity)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
