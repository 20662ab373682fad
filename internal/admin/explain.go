package admin

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

// ExplainPolicy says what the policies of a user or role of the account say to an action, and which statement decides. It asks nothing but policies: no freeze, no grant.
func (a *Admin) ExplainPolicy(ctx context.Context, c iam.Caller, in *wire.ExplainPolicyInput) (*wire.ExplainPolicyOutput, error) {
	if err := a.Gate.Allow(c, access.Request{Action: "credence:ExplainPolicy", Resources: []string{in.PrincipalArn}}); err != nil {
		return nil, err
	}
	who, err := a.Vault.Principal(ctx, c.Account, in.PrincipalArn)
	if err == fault.NotFound {
		return nil, fault.New(fault.NotFound, "Account %s has no user or role %q", c.Account, in.PrincipalArn)
	}
	if err != nil {
		return nil, err
	}
	r := &iam.Request{Action: in.Action, Resources: []string{in.Resource}, Region: a.ARNs.Region}
	if err := readContext(in.Context, &who, r); err != nil {
		return nil, err
	}
	d := iam.Evaluate(&who, r)
	out := &wire.ExplainPolicyOutput{Decision: wire.PolicyImplicitDeny, Statement: d.Reason()}
	switch {
	case d.Allowed:
		out.Decision = wire.PolicyAllowed
	case d.ExplicitDeny:
		out.Decision = wire.PolicyExplicitDeny
	}
	return out, nil
}

// readContext puts what conditions may ask about where they look for it. A key that none asks about would be passed over in silence, so it is refused.
func readContext(values map[string]string, c *iam.Caller, r *iam.Request) error {
	resourceTags, principalTags, requestTags := map[string]string{}, maps.Clone(c.Tags), map[string]string{}
	if principalTags == nil {
		principalTags = map[string]string{}
	}
	var claims iam.JWTClaims
	jwt := false
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		folded := strings.ToLower(name)
		wrong := func(format string, args ...any) error {
			return fault.Invalid("context["+name+"]", format, args...)
		}
		if prefix, _, ok := strings.Cut(folded, "/"); ok && !strings.HasPrefix(folded, "bedrock-agentcore:inboundjwtclaim/") {
			tags, ok := map[string]map[string]string{
				"aws:resourcetag": resourceTags, "bedrock-agentcore:resourcetag": resourceTags, "aws:principaltag": principalTags, "aws:requesttag": requestTags,
			}[prefix]
			if !ok {
				return wrong("is no condition key that can be given here")
			}
			tags[name[len(prefix)+1:]] = value
			continue
		}
		var err error
		switch folded {
		case "aws:sourceip":
			c.SourceIP, err = netip.ParseAddr(value)
		case "aws:requestedregion":
			r.Region = value
		case "aws:currenttime":
			r.Time, err = time.Parse(time.RFC3339, value)
		case "aws:securetransport":
			c.Secure = value == "true"
		case "aws:sourceidentity":
			if c.Session == nil {
				return wrong("is of the sessions of roles; %s is a user", c.ARN)
			}
			c.Session.SourceIdentity = value
		case "bedrock-agentcore:userid":
			r.UserID = value
		case "bedrock-agentcore:inboundjwtclaim/iss":
			claims.Issuer, jwt = value, true
		case "bedrock-agentcore:inboundjwtclaim/sub":
			claims.Subject, jwt = value, true
		case "bedrock-agentcore:inboundjwtclaim/client_id":
			claims.ClientID, jwt = value, true
		case "bedrock-agentcore:inboundjwtclaim/aud":
			claims.Audience, jwt = strings.Fields(value), true
		case "bedrock-agentcore:inboundjwtclaim/scope":
			claims.Scope, jwt = strings.Fields(value), true
		default:
			return wrong("is no condition key that can be given here")
		}
		if err != nil {
			return wrong("has not the value of one: %q", value)
		}
	}
	c.Tags, r.RequestTags = principalTags, requestTags
	r.ResourceTags = func(string) (map[string]string, error) { return resourceTags, nil }
	if jwt {
		r.JWT = func() iam.JWTClaims { return claims }
	}
	return nil
}
