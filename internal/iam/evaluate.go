// Package iam decides, from a caller's policies and what its request says, whether an action on resources is allowed; and from a role's
// trust policy, who may assume it.
//
// It protects every resource from callers whose policies do not name it. All of it is pure functions over values: an explicit deny wins, and what nothing
// allows is denied. The language is AWS's (IAM JSON policies, version 2012-10-17), with its sense of missing keys and of keys with many values. It differs
// where AWS is lenient: what would never be checked is refused when it is written, with line and column; and a variable without value
// makes a statement that allows not apply, while in one that denies it equals nothing.
package iam

import (
	"fmt"
	"strconv"
	"time"
)

// Request is what is to be decided, with all that conditions may ask about it. Only what a condition mentions is looked at.
type Request struct {
	Action    string   // service:Operation
	Resources []string // ARNs: each must be allowed, none may be denied

	Region      string            // aws:RequestedRegion
	Time        time.Time         // aws:CurrentTime, aws:EpochTime; zero: now
	RequestTags map[string]string // aws:RequestTag/KEY, aws:TagKeys: tags that the request would give
	TagKeys     []string          // aws:TagKeys of a request that takes tags away

	// ResourceTags are the tags of one of Resources: aws:ResourceTag/KEY. Called only when a statement that could decide asks for them; an error denies.
	ResourceTags func(resource string) (map[string]string, error)

	UserID string           // bedrock-agentcore:userid
	JWT    func() JWTClaims // bedrock-agentcore:InboundJwtClaim/NAME; nil when there is no inbound JWT
}

// JWTClaims are those claims of a verified inbound JWT that conditions may ask about. What is "" or empty counts as missing.
type JWTClaims struct {
	Issuer, Subject, ClientID string
	Audience, Scope           []string
}

// Source is where a statement comes from.
type Source string

// The sources, in the words of AWS.
const (
	Identity      Source = "identity-based policy"
	SessionPolicy Source = "session policy"
	Boundary      Source = "permissions boundary"
	Trust         Source = "trust policy"
)

// Statement names one statement of a policy.
type Statement struct {
	Source Source
	Policy string // its name; may be ""
	Sid    string // may be ""
	Index  int    // from 1, in its document
}

// String says which statement it is: `identity-based policy "readers", statement 2 "AllowGitHub"`. The zero Statement is "no statement".
func (s Statement) String() string {
	if s.Index == 0 {
		return "no statement"
	}
	out := string(s.Source)
	if s.Policy != "" {
		out += " " + strconv.Quote(s.Policy)
	}
	out += ", statement " + strconv.Itoa(s.Index)
	if s.Sid != "" {
		out += " " + strconv.Quote(s.Sid)
	}
	return out
}

// Decision is the outcome of Evaluate.
type Decision struct {
	Allowed      bool
	ExplicitDeny bool      // Statement denies; otherwise a denial is for want of one that allows
	Resource     string    // the first resource that is not allowed
	Statement    Statement // which denies, or which allows the last resource
	Missing      Source    // what does not allow the action, of a denial that is not explicit
	Err          error     // why a tag could not be read; such a request is denied
}

// Evaluate decides a request of a caller. For every resource: a statement that denies wins, wherever it stands; else the caller's
// policies must allow it, and so must the session policies and the permissions boundary where there are any.
func Evaluate(c *Caller, r *Request) Decision {
	e := env{caller: c, request: r}
	var last Statement
	for _, resource := range r.Resources {
		e.resource, e.tags, e.tagsRead = resource, nil, false
		d := e.decide()
		if e.err != nil {
			return Decision{Resource: resource, Err: e.err}
		}
		if !d.Allowed {
			return d
		}
		last = d.Statement
	}
	if len(r.Resources) == 0 {
		return Decision{Missing: Identity}
	}
	return Decision{Allowed: true, Statement: last}
}

// decide is about one resource.
func (e *env) decide() Decision {
	c := e.caller
	identity := e.search(Identity, c.Policies)
	session, boundary := identity, identity
	if s := c.Session; !identity.denies && s != nil && len(s.Policies) > 0 {
		session = e.search(SessionPolicy, s.Policies)
	}
	if b := c.Boundary; !identity.denies && !session.denies && b != nil {
		boundary = e.search(Boundary, []*Policy{b})
	}
	for _, v := range [...]verdict{identity, session, boundary} {
		if v.denies {
			return Decision{ExplicitDeny: true, Resource: e.resource, Statement: v.by}
		}
	}
	switch {
	case !identity.allows:
		return Decision{Resource: e.resource, Missing: Identity}
	case !boundary.allows:
		return Decision{Resource: e.resource, Missing: Boundary}
	case !session.allows:
		return Decision{Resource: e.resource, Missing: SessionPolicy}
	}
	return Decision{Allowed: true, Statement: identity.by}
}

// verdict is what the policies of one source say.
type verdict struct {
	allows, denies bool
	by             Statement // the first that denies, else the first that allows
}

func (e *env) search(source Source, policies []*Policy) (v verdict) {
	for _, p := range policies {
		for i := range p.statements {
			s := &p.statements[i]
			if s.allow && v.allows || !s.applies(e) {
				continue
			}
			v.by = Statement{source, p.Name, s.sid, i + 1}
			if !s.allow {
				v.denies = true
				return v
			}
			v.allows = true
		}
	}
	return v
}

// Explain is the sentence for a denial, in the wording that AWS tools know.
func (d Decision) Explain(c *Caller, action string) string {
	why := "because no " + string(d.Missing) + " allows the " + action + " action"
	switch {
	case d.Err != nil:
		why = "because the tags of the resource cannot be read, which a policy asks for"
	case d.ExplicitDeny && d.Statement.Source == Identity:
		why = "with an explicit deny in an identity-based policy"
	case d.ExplicitDeny:
		why = "with an explicit deny in a " + string(d.Statement.Source)
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", c.ARN, action, d.Resource, why)
}

// Reason is what the audit log keeps of a decision: which statement decided, or what is lacking.
func (d Decision) Reason() string {
	switch {
	case d.Err != nil:
		return "the tags of " + d.Resource + " cannot be read"
	case d.ExplicitDeny:
		return d.Statement.String() + " denies " + d.Resource
	case !d.Allowed:
		return "no " + string(d.Missing) + " allows " + d.Resource
	}
	return d.Statement.String()
}
