package broker

import (
	"context"
	"errors"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// rekeyPage is how many grants one request looks at: each has a lease and writes of its own.
const rekeyPage = 100

// RekeyGrants has the grants of one user go on as another's: of the same person, as other claims or another kind of user name it now. Each is moved by itself, all of it or
// nothing, so what is cut off goes on by being asked for again. None is put over a live grant, and none that is being renewed is touched: those are named.
func (b *Broker) RekeyGrants(ctx context.Context, c iam.Caller, in *wire.RekeyGrantsInput) (*wire.RekeyGrantsOutput, error) {
	const operation = "RekeyGrants"
	from, to := workload.UserNamed(in.From), workload.UserNamed(in.To)
	f, req := b.choose(c, operation, in.From, nil, nil)
	page := store.Page{Limit: rekeyPage}
	if err := b.allowPage(ctx, c, operation, req, in.NextToken, &page); err != nil {
		return nil, err
	}
	if from == to {
		return nil, fault.Invalid("to", "is the user whose the grants are: %s", to)
	}
	for _, u := range []workload.User{from, to} { // a freeze must not be left, nor ended, by another name
		req.User, req.UserKey = u.String(), u.Key()
		if err := b.Gate.NotFrozen(ctx, c, req); err != nil {
			return nil, err
		}
	}
	// A consent alone is a user's to have; what a JWT was traded for ends with it, and what is over a new consent replaces.
	f.Flow, f.States = string(wire.FlowUserFederation), []store.GrantState{store.GrantActive}
	rows, more, err := b.Vault.Grants(ctx, f, page)
	if err != nil {
		return nil, err
	}
	out := &wire.RekeyGrantsOutput{RekeyedGrants: []wire.RekeyedGrant{}, Skipped: []wire.SkippedGrant{}, DryRun: new(in.DryRun != nil && *in.DryRun)}
	for _, g := range rows {
		why, err := b.rekey(ctx, c, g, from, to, *out.DryRun)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			out.Skipped = append(out.Skipped, wire.SkippedGrant{GrantId: g.Key, Reason: why})
		default:
			out.RekeyedGrants = append(out.RekeyedGrants, wire.RekeyedGrant{
				GrantId: plainKey(g, to.Key()), PreviousGrantId: g.Key, WorkloadName: g.Workload, ResourceCredentialProviderName: g.Provider,
			})
		}
	}
	if more {
		token, err := b.Vault.SealHandle(ctx, c.Account, "cursor "+operation, []byte(rows[len(rows)-1].Key))
		if err != nil {
			return nil, err
		}
		out.NextToken = &token
	}
	return out, nil
}

// rekey moves one grant, or says why not.
func (b *Broker) rekey(ctx context.Context, c iam.Caller, g store.Grant, from, to workload.User, dry bool) (why string, _ error) {
	switch {
	case underWay(g):
		return "it is being renewed: try again", nil
	case !g.IntentAt.IsZero():
		return "its refresh was cut off: try again once it has been renewed", nil
	case plainKey(g, g.UserKey) != g.Key:
		return "it was asked for with customParameters, which are not kept", nil
	}
	key := plainKey(g, to.Key())
	req := access.Request{
		Action:    "credence:RekeyGrants",
		Resources: []string{b.grantARN(g.Account, g.Key), b.grantARN(g.Account, key), b.ARNs.Workload(g.Account, g.Workload), b.ARNs.OAuth2Provider(g.Account, g.Provider)},
		Workload:  g.Workload, Provider: g.Provider, User: to.String(), UserKey: to.Key(), UserIssuer: to.Issuer, Note: "from " + from.String(),
	}
	if dry {
		req.Note = "dry run, " + req.Note
	}
	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
		if f, ok := errors.AsType[*fault.Fault](err); ok && f.Kind == fault.AccessDenied { // by a policy, a ceiling or a freeze
			return f.Msg, nil
		}
		return "", err
	}
	why, err := b.rekeyUnderLease(ctx, g, key, to, dry)
	if why == "" && err == nil {
		return "", nil
	}
	told := why
	if err != nil {
		told = "it is not known whether it was moved"
	}
	return why, errors.Join(err, b.Gate.Receipt(c, req, audit.Abandoned, told))
}

// rekeyUnderLease moves a grant while nobody else renews it: a refresh that is under way would find it gone, and have its tokens revoked.
func (b *Broker) rekeyUnderLease(ctx context.Context, g store.Grant, key string, to workload.User, dry bool) (why string, _ error) {
	if !dry {
		lease, err := b.lease(g.Account, grantLease(g.Key))
		if errors.Is(err, fault.ConcurrentModification) {
			return "it is being renewed: try again", nil
		}
		if err != nil {
			return "", err
		}
		defer lease.release()
	}
	return b.Vault.RekeyGrant(ctx, g, key, to.Key(), to.String(), dry)
}
