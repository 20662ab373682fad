package iam

import (
	"slices"
	"strings"
)

// pinned refuses a statement that would let in more than somebody meant.
func (r *reader) pinned(n *node, s *trustStatement, subjects Subjects) error {
	if !s.allow {
		return nil
	}
	const how = "by StringEquals, or by StringLike where what stands before the first wildcard ends at a delimiter and names more than the kind of subject"
	const orTwice = "; to trust every subject after all, say so a second time"
	switch s.principal.kind {
	case "Federated":
		host := s.principal.host()
		if !s.pins("aud", tokenClaim, true) {
			return r.fail(n.offset, "the statement would take a token that %s made for any service: pin %s:aud %s", host, host, how)
		}
		if subjects == TrustEverySubject || s.pins("sub", tokenClaim, false) {
			return nil
		}
		if slices.Contains(s.actions, SignIn) && !slices.Contains(s.actions, AssumeRoleWithWebIdentity) {
			return r.pinnedPeople(n, s, host)
		}
		if s.allowsPullRequest("sub") {
			return r.fail(n.offset, "the statement would trust what pull requests of GitHub run, which anybody can write: pin %s:sub to a branch (repo:OWNER/NAME:ref:refs/heads/main) or an environment%s", host, orTwice)
		}
		return r.fail(n.offset, "the statement would trust subjects of %s that nobody named: pin %s:sub %s, as repo:OWNER/NAME:ref:refs/heads/* or system:serviceaccount:NAMESPACE:*%s", host, host, how, orTwice)
	case "X509":
		if subjects != TrustEverySubject && !s.pins("", certificateURI, true) {
			return r.fail(n.offset, "the statement would trust every certificate of the bundle %q: pin x509:SAN/URI by ForAnyValue:StringEquals, or by ForAnyValue:StringLike as spiffe://DOMAIN/PATH/*%s", s.principal.names[0], orTwice)
		}
	}
	return nil
}

// openIssuers are issuers at which everybody can have an account, and put much into its claims.
var openIssuers = []string{
	"https://accounts.google.com", "https://appleid.apple.com", "https://gitlab.com", "https://token.actions.githubusercontent.com", "https://www.facebook.com", "https://www.linkedin.com/oauth",
	"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", // of personal accounts
}

// nobody are claims of ID tokens that say nothing of who it is.
var nobody = []string{
	"iss", "aud", "azp", "exp", "iat", "nbf", "auth_time", "nonce", "jti", "at_hash", "c_hash", "s_hash", "sid", "typ", "ver", "acr", "amr", "scope", "scp", "email_verified", "phone_number_verified",
	"locale", "zoneinfo", "updated_at",
}

// pinnedPeople refuses a statement for people who sign in that would let in whoever has an account at their issuer.
func (r *reader) pinnedPeople(n *node, s *trustStatement, host string) error {
	open := slices.Contains(openIssuers, s.principal.names[0])
	for i := range s.conditions {
		switch claim := s.conditions[i].key.name; {
		case s.conditions[i].key.kind != tokenClaim || slices.Contains(nobody, claim):
		case claim == "sub": // which is one text, and was looked at
		case claim == "email":
			if s.pins(claim, tokenClaim, false) {
				return nil
			}
		case !open && s.pins(claim, tokenClaim, true):
			return nil
		}
	}
	if open {
		return r.fail(n.offset, "the statement would let in whoever has an account at %s, where everybody can: pin %s:sub or %s:email by StringEquals; to let in everybody after all, say so a second time", host, host, host)
	}
	return r.fail(n.offset, "the statement would let in whoever has an account at %s: pin %s:sub, %s:email or a claim with groups, the former by StringEquals, the last by ForAnyValue:StringEquals; to let in everybody after all, say so a second time", host, host, host)
}

// pins reports whether a condition binds a key, or a claim, to subjects that somebody named; several of its values only when all of them do.
func (s *trustStatement) pins(claim string, kind keyKind, many bool) bool {
	for i := range s.conditions {
		c := &s.conditions[i]
		if c.key.kind != kind || c.key.name != claim || !c.mayPin(many) {
			continue
		}
		all := true
		for _, p := range c.patterns {
			all = all && p.parts == nil && p.pins()
		}
		if all {
			return true
		}
	}
	return false
}

// mayPin reports whether the operator is one that can.
func (c *condition) mayPin(many bool) bool {
	return (c.op.name == "StringEquals" || c.op.name == "StringLike") && !c.ifExists && (c.each == single || c.each == anyValue && many)
}

const (
	// delimiters end the parts of subjects, audiences and SPIFFE IDs.
	delimiters = ":/|#@"
	// anyPart is a run of characters that has no colon; it stands in pullRequest only.
	anyPart = '\xfd'
	// pullRequest is the subject that pull requests of GitHub have; a customized one goes on behind a colon.
	pullRequest = "repo:\xfd:pull_request"
)

func meetsPullRequest(pattern string) bool {
	return meet(pattern, pullRequest) || strings.HasPrefix(pattern, "repo:") && strings.Contains(pattern, ":pull_request:")
}

// pins reports whether a value names a subject: exactly, or by a prefix that ends at a delimiter and has a kind and a name.
func (p *pattern) pins() bool {
	if p.text == "" || meetsPullRequest(p.text) {
		return false
	}
	prefix, _, wild := strings.Cut(strings.ReplaceAll(p.text, string([]byte{anyOne}), string([]byte{anyRun})), string([]byte{anyRun}))
	switch {
	case prefix == "system:serviceaccount:": // of Kubernetes: a kind of two parts
		return false
	case strings.HasPrefix(prefix, "repository_owner:"), strings.HasPrefix(prefix, "repository_owner_id:"): // of GitHub: whose, but not which
		return false
	case strings.HasPrefix(prefix, "spiffe://") && strings.Count(prefix, "/") < 4: // of SPIFFE: all of a trust domain
		return !wild
	}
	parts := strings.FieldsFunc(prefix, func(c rune) bool { return strings.ContainsRune(delimiters, c) })
	return !wild || len(parts) >= 2 && strings.ContainsAny(prefix[len(prefix)-1:], delimiters)
}

// allowsPullRequest reports whether a condition on the claim names a repository, but no part of what it runs.
func (s *trustStatement) allowsPullRequest(claim string) bool {
	for i := range s.conditions {
		c := &s.conditions[i]
		if c.key.kind != tokenClaim || c.key.name != claim || !c.mayPin(false) {
			continue
		}
		for _, p := range c.patterns {
			if strings.HasPrefix(p.text, "repo:") && strings.Contains(p.text, "/") && meetsPullRequest(p.text) {
				return true
			}
		}
	}
	return false
}

// meet reports whether some text matches both patterns; only b may have anyPart.
func meet(a, b string) bool {
	// row[j]: what is left of a from i can meet what is left of b from j; from the ends backwards.
	row := make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		below := row
		row = make([]bool, len(b)+1)
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a) && j == len(b):
				row[j] = true
			case i < len(a) && a[i] == anyRun:
				row[j] = below[j] || j < len(b) && row[j+1]
			case j < len(b) && b[j] == anyRun:
				row[j] = row[j+1] || i < len(a) && below[j]
			case j < len(b) && b[j] == anyPart:
				row[j] = row[j+1] || i < len(a) && a[i] != ':' && below[j]
			case i < len(a) && j < len(b):
				row[j] = below[j+1] && (a[i] == b[j] || a[i] == anyOne || b[j] == anyOne)
			}
		}
	}
	return row[0]
}
