// Package iam decides, from a caller's policies alone, whether an action on resources is allowed.
//
// It protects every resource from callers whose policies do not name it. All of it is pure functions over values: an explicit
// deny wins, and what nothing allows is denied.
package iam

import (
	"fmt"
	"net/netip"
	"strings"

	"credence/internal/telemetry"
)

// Caller is who signed a request. Only a verified signature makes one; planes take it as a parameter, never from a context.
type Caller struct {
	Account     string     // 12 digits
	ARN         string     // the principal, arn:aws:iam::ACCOUNT:user/NAME
	AccessKeyID string     //
	Policies    []*Policy  // the principal's identity policies
	SourceIP    netip.Addr // the peer, or what a trusted proxy says
	RequestID   string     // of this request

	Span *telemetry.Span // of this request; nil when it is not traced
}

// Decision is the outcome of Evaluate.
type Decision struct {
	Allowed      bool
	ExplicitDeny bool   // some statement denies; otherwise no statement allows
	Resource     string // the first resource that is not allowed
}

// Evaluate decides an action on all of resources: each must be allowed, none may be denied.
func Evaluate(policies []*Policy, action string, resources ...string) Decision {
	action = strings.ToLower(action)
	for _, resource := range resources {
		allowed := false
		for _, p := range policies {
			for i := range p.statements {
				s := &p.statements[i]
				if s.allow && allowed || !s.matches(action, resource) {
					continue
				}
				if !s.allow {
					return Decision{ExplicitDeny: true, Resource: resource}
				}
				allowed = true
			}
		}
		if !allowed {
			return Decision{Resource: resource}
		}
	}
	return Decision{Allowed: len(resources) > 0}
}

// Explain is the sentence for a denial, in the wording that AWS tools know.
func (d Decision) Explain(c Caller, action string) string {
	why := fmt.Sprintf("because no identity-based policy allows the %s action", action)
	if d.ExplicitDeny {
		why = "with an explicit deny in an identity-based policy"
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", c.ARN, action, d.Resource, why)
}
