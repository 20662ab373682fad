package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// ImportGrants takes over refresh tokens that users gave some other system: all of them, or none. An imported grant has no access token, so nothing is served from it before
// its vendor has renewed it once. Where there is a live grant, a frozen user, or no such workload identity or provider, nothing is imported.
func (b *Broker) ImportGrants(ctx context.Context, c iam.Caller, in *wire.ImportGrantsInput) (*wire.ImportGrantsOutput, error) {
	for _, g := range in.Grants { // decided and recorded for every grant before anything is looked at
		if err := b.Gate.AllowIssue(ctx, c, access.Request{
			Action:    "credence:ImportGrants",
			Resources: []string{b.grantARN(c.Account, "*"), b.ARNs.Workload(c.Account, g.WorkloadName), b.ARNs.OAuth2Provider(c.Account, g.ResourceCredentialProviderName)},
			Workload:  g.WorkloadName, User: workload.UserNamed(g.User).String(), UserKey: workload.UserNamed(g.User).Key(), Provider: g.ResourceCredentialProviderName,
			UserIssuer: workload.UserNamed(g.User).Issuer, Flow: wire.FlowUserFederation, Scopes: g.Scopes, Targets: slices.Concat(g.Resources, g.Audiences),
		}); err != nil {
			return nil, err
		}
	}
	p := &problems{}
	rows := make([]store.Grant, len(in.Grants))
	for i := range in.Grants {
		var err error
		if rows[i], err = b.imported(ctx, c.Account, &in.Grants[i], p.at(i)); err != nil {
			return nil, err
		}
	}
	for i, g := range rows {
		if first := slices.IndexFunc(rows, func(o store.Grant) bool { return o.Key == g.Key }); g.Key != "" && first < i {
			p.at(i)("", "is the same grant as grants[%d]: leave one out", first)
		}
	}
	if err := p.fault(); err != nil {
		return nil, err
	}
	dry := in.DryRun != nil && *in.DryRun
	refused, err := b.Vault.ImportGrants(rows, dry)
	if err != nil {
		return nil, err
	}
	for i, why := range refused {
		p.at(i)("", "%s", why)
	}
	if err := p.fault(); err != nil {
		return nil, err
	}
	out := &wire.ImportGrantsOutput{GrantIds: make([]string, len(rows)), DryRun: &dry}
	for i, g := range rows {
		out.GrantIds[i] = g.Key
	}
	return out, nil
}

// imported is the row of a grant, under the key by which GetResourceOauth2Token will look for it.
func (b *Broker) imported(ctx context.Context, account string, in *wire.ImportGrant, problem func(member, format string, args ...any)) (g store.Grant, err error) {
	w, err := b.Vault.Workload(ctx, account, in.WorkloadName)
	if errors.Is(err, fault.NotFound) {
		problem("workloadName", "there is no workload identity %q", in.WorkloadName)
		return g, nil
	}
	if err != nil {
		return g, err
	}
	provider, err := b.Vault.OAuth2Provider(ctx, account, in.ResourceCredentialProviderName)
	if errors.Is(err, fault.NotFound) {
		problem("resourceCredentialProviderName", "there is no OAuth2 credential provider %q", in.ResourceCredentialProviderName)
		return g, nil
	}
	if err != nil {
		return g, err
	}
	u := workload.UserNamed(in.User)
	a := agent{account: account, token: workload.Token{User: u}, row: w}
	resources := resourcesOf(provider, in.Resources)
	ask := &wire.GetResourceOauth2TokenInput{Oauth2Flow: wire.FlowUserFederation, Resources: resources, Audiences: in.Audiences, CustomParameters: in.CustomParameters}
	g = newGrant(a, provider, wire.FlowUserFederation, identify(a, provider, ask, b.Resolver.Traits(provider.Config)).key(), in.Scopes)
	g.Resources, g.Audiences, g.GrantedScopes = resources, in.Audiences, g.AskedScopes
	g.State, g.ExpiresAt = store.GrantActive, time.Now() // its access token, which there is none of, has ended
	if err := b.Vault.SealUserName(ctx, &g, u.String()); err != nil {
		return g, err
	}
	return g, b.Vault.SealRefreshToken(ctx, &g, in.RefreshToken)
}

// problems are what is wrong with the grants of a request, each under its member.
type problems struct{ fields []fault.Field }

// at notes what is wrong with the ith grant; member "" is the whole of it.
func (p *problems) at(i int) func(member, format string, args ...any) {
	return func(member, format string, args ...any) {
		name := fmt.Sprintf("grants[%d]", i)
		if member != "" {
			name += "." + member
		}
		p.fields = append(p.fields, fault.Field{Name: name, Message: fmt.Sprintf(format, args...)})
	}
}

func (p *problems) fault() error {
	if len(p.fields) == 0 {
		return nil
	}
	return &fault.Fault{Kind: fault.Validation, Reason: fault.FieldValidationFailed, Fields: p.fields,
		Msg: fmt.Sprintf("Nothing was imported, for %d reasons, the first: %s: %s", len(p.fields), p.fields[0].Name, p.fields[0].Message)}
}
