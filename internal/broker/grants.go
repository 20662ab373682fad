package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

func (b *Broker) grantARN(account, id string) string { return b.ARNs.Extension(account, "grant", id) }

// choose is what several grants are chosen by, and the request to do something with them.
func (b *Broker) choose(c iam.Caller, operation string, u *wire.GrantUser, workloadName, provider *string) (store.GrantFilter, access.Request) {
	f := store.GrantFilter{Account: c.Account}
	req := access.Request{Action: "credence:" + operation, Resources: []string{b.grantARN(c.Account, "*")}}
	if workloadName != nil {
		f.Workload, req.Workload = *workloadName, *workloadName
		req.Resources = append(req.Resources, b.ARNs.Workload(c.Account, *workloadName))
	}
	if provider != nil {
		f.Provider = *provider
		req.Resources = append(req.Resources, b.ARNs.OAuth2Provider(c.Account, *provider))
	}
	if u != nil {
		user := workload.UserNamed(u)
		f.UserKey, req.User = user.Key(), user.String()
	}
	return f, req
}

// A page of ListGrants looks at so many grants at most, whatever it finds.
const grantsLooked = 1000

// allowPage decides on an operation that answers in pages, and opens its cursor; nil is the first page.
func (b *Broker) allowPage(ctx context.Context, c iam.Caller, operation string, req access.Request, token *string, page *store.Page) error {
	if token != nil {
		after, ok, err := b.Vault.OpenHandle(ctx, c.Account, "cursor "+operation, *token)
		if err != nil {
			return err
		}
		if !ok {
			return b.Gate.Refuse(c, req, fault.Invalid("nextToken", "is not one that %s returned: leave it out to begin anew", operation))
		}
		page.After = string(after)
	}
	return b.Gate.Allow(c, req)
}

// ListGrants lists grants of the account by id. States that follow from times and answers are looked for among the grants that may have them.
func (b *Broker) ListGrants(ctx context.Context, c iam.Caller, in *wire.ListGrantsInput) (*wire.ListGrantsOutput, error) {
	const operation = "ListGrants"
	f, req := b.choose(c, operation, in.User, in.WorkloadName, in.ResourceCredentialProviderName)
	most := 100
	if in.MaxResults != nil {
		most = int(*in.MaxResults)
	}
	page := store.Page{Limit: 100}
	if err := b.allowPage(ctx, c, operation, req, in.NextToken, &page); err != nil {
		return nil, err
	}
	if in.State != nil {
		switch *in.State {
		case wire.GrantDead, wire.GrantRevoked:
			f.States = []store.GrantState{store.GrantState(*in.State)}
		default:
			f.States = []store.GrantState{store.GrantActive}
		}
	}
	out := &wire.ListGrantsOutput{Grants: []wire.Grant{}}
	more := true
	for looked := 0; more && len(out.Grants) < most && looked < grantsLooked; {
		rows, left, err := b.Vault.Grants(ctx, f, page)
		if err != nil {
			return nil, err
		}
		more = left
		for i, g := range rows {
			looked++
			page.After = g.Key
			if in.State != nil && grantState(g) != *in.State {
				continue
			}
			described, err := b.describeGrant(ctx, g)
			if err != nil {
				return nil, err
			}
			out.Grants = append(out.Grants, *described)
			if len(out.Grants) == most {
				more = more || i < len(rows)-1
				break
			}
		}
	}
	if more {
		token, err := b.Vault.SealHandle(ctx, c.Account, "cursor "+operation, []byte(page.After))
		if err != nil {
			return nil, err
		}
		out.NextToken = &token
	}
	return out, nil
}

// DescribeGrant tells how a grant stands.
func (b *Broker) DescribeGrant(ctx context.Context, c iam.Caller, in *wire.DescribeGrantInput) (*wire.DescribeGrantOutput, error) {
	g, err := b.allowedGrant(ctx, c, "DescribeGrant", in.GrantId)
	if err != nil {
		return nil, err
	}
	out, err := b.describeGrant(ctx, g)
	return (*wire.DescribeGrantOutput)(out), err
}

// allowedGrant decides and then finds a grant as the database has it now.
func (b *Broker) allowedGrant(ctx context.Context, c iam.Caller, operation, id string) (store.Grant, error) {
	arn := b.grantARN(c.Account, id)
	if err := b.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{arn}}); err != nil {
		return store.Grant{}, err
	}
	g, err := b.Vault.ReloadGrant(ctx, c.Account, id)
	if errors.Is(err, fault.NotFound) {
		return g, fault.New(fault.NotFound, "Resource not found: %s", arn)
	}
	return g, err
}

// RevokeGrant ends a grant: nothing is served from it any more, its tokens are forgotten here, and its vendor is told. It may be repeated.
func (b *Broker) RevokeGrant(ctx context.Context, c iam.Caller, in *wire.RevokeGrantInput) (*wire.RevokeGrantOutput, error) {
	g, err := b.allowedGrant(ctx, c, "RevokeGrant", in.GrantId)
	if err != nil {
		return nil, err
	}
	if _, err := b.Vault.RevokeGrants(store.GrantFilter{Account: c.Account, Key: g.Key}); err != nil {
		return nil, err
	}
	if g, err = b.Vault.ReloadGrant(ctx, c.Account, g.Key); err != nil {
		return nil, err
	}
	out, err := b.describeGrant(ctx, g)
	return (*wire.RevokeGrantOutput)(out), err
}

// RevokeGrants ends all grants of a user, a workload identity, a provider, or what is common to them; or of the account. All or none.
func (b *Broker) RevokeGrants(_ context.Context, c iam.Caller, in *wire.RevokeGrantsInput) (*wire.RevokeGrantsOutput, error) {
	f, req := b.choose(c, "RevokeGrants", in.User, in.WorkloadName, in.ResourceCredentialProviderName)
	if err := b.Gate.Allow(c, req); err != nil {
		return nil, err
	}
	if err := wholeAccount(f, in.All, "revoke"); err != nil {
		return nil, err
	}
	n, err := b.Vault.RevokeGrants(f)
	return &wire.RevokeGrantsOutput{RevokedGrants: new(int64(n))}, err
}

// wholeAccount refuses to take every grant of an account by leaving out what chooses some.
func wholeAccount(f store.GrantFilter, all *bool, verb string) error {
	if everything := f.UserKey+f.Workload+f.Provider == ""; everything != (all != nil && *all) {
		return fault.Invalid("all", "must be true to %s every grant of account %s, and be left out with user, workloadName or resourceCredentialProviderName, which choose some", verb, f.Account)
	}
	return nil
}

// grantState computes how a grant stands now.
func grantState(g store.Grant) wire.GrantState {
	switch {
	case g.State == store.GrantRevoked:
		return wire.GrantRevoked
	case g.State == store.GrantDead:
		return wire.GrantDead
	case underWay(g):
		return wire.GrantRefreshing
	case !g.IntentAt.IsZero(), g.LastError != "":
		return wire.GrantDegraded
	case valid(g):
		return wire.GrantActive
	case g.RefreshToken == nil && g.Flow == string(wire.FlowUserFederation):
		return wire.GrantNeedsConsent
	}
	return wire.GrantExpired
}

// underWay tells whether a refresh was begun and may still be going on.
func underWay(g store.Grant) bool {
	return !g.IntentAt.IsZero() && time.Now().Before(g.IntentAt.Add(leaseTime))
}

// nextStep says in one sentence what happens, or has to be done, next.
func (b *Broker) nextStep(ctx context.Context, g store.Grant, state wire.GrantState) (string, error) {
	const consent = "the user has to consent again, at the authorizationUrl that the next GetResourceOauth2Token answers."
	switch state {
	case wire.GrantActive:
		return "Nothing: it is served.", nil
	case wire.GrantExpired:
		return "Nothing: the next GetResourceOauth2Token renews it.", nil
	case wire.GrantRefreshing:
		return "Wait: it is being renewed.", nil
	case wire.GrantDegraded:
		switch {
		case refusesClient(g.LastError):
			return "Mend provider " + g.Provider + " with UpdateOauth2CredentialProvider: its vendor refuses the client (" + g.LastError + "). Until then the grant is served while its token is valid; then it is renewed at once.", nil
		case !g.IntentAt.IsZero():
			return "A process stopped while it renewed it: it is served while its token is valid, and the next GetResourceOauth2Token after that tries again.", nil
		}
		return "The vendor did not renew it (" + g.LastError + "): it is served while its token is valid, and tried again after retryTime.", nil
	case wire.GrantNeedsConsent:
		return "It is over, and there is no refresh token: " + consent, nil
	case wire.GrantDead:
		return "It cannot be renewed (" + g.LastError + "): " + consent, nil
	}
	r, err := b.Outbox.LastRevocation(ctx, g.Account, g.Key)
	switch {
	case errors.Is(err, fault.NotFound):
		return "Nothing: it is over, and the audit log has the receipt if its vendor was told.", nil
	case err != nil:
		return "", err
	case r.State == store.RevocationPending && r.LastError == "":
		return "Wait: its vendor is being told.", nil
	case r.State == store.RevocationPending:
		return "Wait: its vendor is told again until it is done; it said: " + r.LastError + ".", nil
	}
	return fmt.Sprintf("Look at the receipt in the audit log: %s (%s).", r.State, r.LastError), nil
}

func (b *Broker) describeGrant(ctx context.Context, g store.Grant) (*wire.Grant, error) {
	state := grantState(g)
	next, err := b.nextStep(ctx, g, state)
	if err != nil {
		return nil, err
	}
	out := &wire.Grant{
		GrantId: g.Key, GrantArn: b.grantARN(g.Account, g.Key), WorkloadName: g.Workload, ResourceCredentialProviderName: g.Provider, Oauth2Flow: wire.Oauth2Flow(g.Flow),
		State: state, GrantedScopes: g.GrantedScopes, CreatedTime: wire.Time{Time: g.CreatedAt}, NextStep: next,
	}
	if g.UserName != nil {
		name, err := b.Vault.UserName(ctx, g)
		if err != nil {
			return nil, err
		}
		out.User = &name
	}
	if !g.ObtainedAt.IsZero() {
		out.RefreshedTime = &wire.Time{Time: g.ObtainedAt}
	}
	if !g.ExpiresAt.IsZero() {
		out.ExpiresAt = &wire.Time{Time: g.ExpiresAt}
	}
	if !g.UsedAt.IsZero() {
		out.UsedTime = &wire.Time{Time: g.UsedAt}
	}
	if !g.RenewAt.IsZero() {
		out.RenewalTime = &wire.Time{Time: g.RenewAt}
	}
	if time.Now().Before(g.RetryAt) {
		out.RetryTime = &wire.Time{Time: g.RetryAt}
	}
	if g.LastError != "" {
		out.LastError = &g.LastError
	}
	if g.Device {
		out.DeviceAuthorization = &g.Device
	}
	return out, nil
}
