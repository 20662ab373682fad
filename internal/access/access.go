// Package access decides and records: one call at the start of every plane method.
//
// It protects every operation from being forgotten: nothing is looked up, minted or called before the caller's policies allowed it and the audit
// log holds the decision durably. A decision that cannot be recorded is a refusal. Where something is issued, a freeze denies it whatever policies say.
package access

import (
	"context"
	"fmt"
	"time"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
)

// Recorder makes an audit event durable before it returns; *audit.Log is one.
type Recorder interface {
	Record(audit.Event) error
}

// Rules are what an account has laid down, beside its policies; *vault.Vault knows them.
type Rules interface {
	// Frozen finds the freeze that forbids to issue anything to a workload identity, for a user, at a provider; nil when there is none.
	Frozen(ctx context.Context, account, workload, provider, userKey string) (*store.Freeze, error)
	// Ceilings are those that concern what a workload identity gets of a provider.
	Ceilings(ctx context.Context, account, workload, provider string) ([]vault.Ceiling, error)
	// Tags are those of a resource of the account, by the path of its ARN; none of one that does not exist.
	Tags(ctx context.Context, account, path string) (map[string]string, error)
}

// tagsTimeout bounds how long a decision waits for the tags of resources.
const tagsTimeout = 5 * time.Second

// Gate is where every operation begins.
type Gate struct {
	log     Recorder
	rules   Rules
	arns    iam.ARNs
	counted map[audit.Outcome]interface{ Inc() }
	failed  interface{ Inc() }
}

// New makes a gate.
func New(log Recorder, rules Rules, arns iam.ARNs, metrics *telemetry.Metrics) *Gate {
	g := &Gate{log: log, rules: rules, arns: arns, counted: map[audit.Outcome]interface{ Inc() }{}, failed: metrics.Audit.WithLabelValues("failed")}
	for _, o := range []audit.Outcome{audit.Allowed, audit.Denied, audit.Refused, audit.Performed, audit.Abandoned} {
		g.counted[o] = metrics.Audit.WithLabelValues(string(o))
	}
	return g
}

// Request is what somebody wants to do.
type Request struct {
	Action    string   // service:Operation
	Resources []string // ARNs; all must be allowed
	Workload  string   // name, where a workload identity takes part
	User      string   // readable form, where one acts for a user
	UserKey   string   // of that user
	Provider  string   // name, where something is issued by a credential provider
	Note      string   // what the record of an allowed request says beside that

	// What ceilings limit, where something is issued.
	Flow       wire.Oauth2Flow // "" of what has none
	Scopes     []string        // asked for, as the request writes them
	Targets    []string        // resources and audiences
	UserIssuer string          // of the user's JWT

	// What conditions of policies may ask about, beside the caller.
	UserID      string               // of the user, where the caller vouches for one: bedrock-agentcore:userid
	JWT         func() iam.JWTClaims // of the user's verified JWT, where there is one: bedrock-agentcore:InboundJwtClaim/NAME
	RequestTags map[string]string    // that the request would give: aws:RequestTag/KEY, aws:TagKeys
	TagKeys     []string             // that the request would take away: aws:TagKeys
}

// Allow decides r for c and records the decision. It answers nil, an AccessDenied fault, or an Internal fault when nothing could be recorded.
func (g *Gate) Allow(c iam.Caller, r Request) error {
	ctx, cancel := context.WithTimeout(context.Background(), tagsTimeout) // a decision is recorded even when nobody waits for it
	defer cancel()
	if err := g.decide(ctx, c, r); err != nil {
		return err
	}
	return g.record(c, r, audit.Allowed, r.Note)
}

// AllowIssue is Allow for operations that issue a credential or get one from a vendor: what is above a ceiling or frozen is denied, too.
func (g *Gate) AllowIssue(ctx context.Context, c iam.Caller, r Request) error {
	if err := g.decide(ctx, c, r); err != nil {
		return err
	}
	if err := g.Beneath(ctx, c, r); err != nil {
		return err
	}
	if err := g.NotFrozen(ctx, c, r); err != nil {
		return err
	}
	return g.record(c, r, audit.Allowed, r.Note)
}

// NotFrozen denies, and records, what was frozen since r was allowed: issuing may have taken as long as a vendor did.
func (g *Gate) NotFrozen(ctx context.Context, c iam.Caller, r Request) error {
	f, err := g.rules.Frozen(ctx, c.Account, r.Workload, r.Provider, r.UserKey)
	if f == nil || err != nil {
		return err
	}
	what, flag := "account "+c.Account, "--account"
	switch f.Kind {
	case store.FreezeWorkload:
		what, flag = fmt.Sprintf("workload identity %q", r.Workload), "--workload "+r.Workload
	case store.FreezeProvider:
		what, flag = fmt.Sprintf("credential provider %q", r.Provider), "--provider "+r.Provider
	case store.FreezeUser:
		what, flag = "user "+r.User, "--user-id, or --issuer and --subject"
	}
	if err := g.record(c, r, audit.Denied, "frozen: "+string(f.Kind)); err != nil {
		return err
	}
	return fault.New(fault.AccessDenied, "The %s is frozen since %s, so nothing is issued: who may do credence:Unfreeze can end it (credence unfreeze %s)", what, f.CreatedAt.UTC().Format(time.RFC3339), flag)
}

// decide denies, and records, what the caller's policies do not allow.
func (g *Gate) decide(ctx context.Context, c iam.Caller, r Request) error {
	d := iam.Evaluate(&c, &iam.Request{
		Action: r.Action, Resources: r.Resources, Region: g.arns.Region, RequestTags: r.RequestTags, TagKeys: r.TagKeys, UserID: r.UserID, JWT: r.JWT,
		ResourceTags: func(arn string) (map[string]string, error) {
			path, ok := g.arns.Path(c.Account, arn)
			if !ok {
				return nil, nil // what is not of the API has no tags
			}
			return g.rules.Tags(ctx, c.Account, path)
		},
	})
	if d.Allowed {
		return nil
	}
	if err := g.record(c, r, audit.Denied, d.Reason()); err != nil {
		return err
	}
	if d.Err != nil {
		return fault.Wrap(fault.Internal, d.Err, "%s", d.Explain(&c, r.Action))
	}
	return fault.New(fault.AccessDenied, "%s", d.Explain(&c, r.Action))
}

// AllowTrusted is Allow where the resource has a policy of its own, too: trust is what the trust policy of a role decided of c.
func (g *Gate) AllowTrusted(c iam.Caller, r Request, trust iam.Decision) error {
	ctx, cancel := context.WithTimeout(context.Background(), tagsTimeout)
	defer cancel()
	if err := g.decide(ctx, c, r); err != nil {
		return err
	}
	if trust.Allowed {
		return g.record(c, r, audit.Allowed, "")
	}
	trust.Resource = r.Resources[0]
	if err := g.record(c, r, audit.Denied, trust.Reason()); err != nil {
		return err
	}
	return fault.New(fault.AccessDenied, "%s", trust.Explain(&c, r.Action))
}

// AllowStranger records what the trust policy of a role decided of somebody who signed nothing. c names him as far as it was verified; denied is what he is told, which
// is nothing of the role.
func (g *Gate) AllowStranger(c iam.Caller, r Request, trust iam.Decision, denied error) error {
	if trust.Allowed {
		return g.record(c, r, audit.Allowed, "")
	}
	trust.Resource = r.Resources[0]
	if err := g.record(c, r, audit.Denied, trust.Reason()); err != nil {
		return err
	}
	return denied
}

// AllowEveryone records r, of an operation that is open to whoever signs a request. It answers nil, or an Internal fault when nothing could be recorded.
func (g *Gate) AllowEveryone(c iam.Caller, r Request) error { return g.record(c, r, audit.Allowed, "") }

// Refuse records that a handle in the request was not the caller's or did not open, and returns cause.
func (g *Gate) Refuse(c iam.Caller, r Request, cause error) error {
	if err := g.record(c, r, audit.Refused, string(fault.KindOf(cause))); err != nil {
		return err
	}
	return cause
}

// Receipt records how something ended that the server did by itself, in the name of c.
func (g *Gate) Receipt(c iam.Caller, r Request, o audit.Outcome, how string) error {
	return g.record(c, r, o, how)
}

func (g *Gate) record(c iam.Caller, r Request, o audit.Outcome, reason string) error {
	c.Span.Touch(r.Resources)
	e := audit.Event{Account: c.Account, Caller: c.ARN, AccessKey: c.AccessKeyID, RequestID: c.RequestID, TraceID: c.Span.TraceID(), Action: r.Action, Resources: r.Resources,
		Workload: r.Workload, Provider: r.Provider, User: r.User, Outcome: o, Reason: reason}
	if c.Session != nil {
		e.Subject = c.Session.Subject
	}
	if c.SourceIP.IsValid() {
		e.SourceIP = c.SourceIP.String()
	}
	if err := g.log.Record(e); err != nil {
		g.failed.Inc()
		return fault.Wrap(fault.Internal, err, "the request cannot be recorded in the audit log, so it is refused")
	}
	g.counted[o].Inc()
	return nil
}
