package access

import (
	"context"
	"fmt"
	"slices"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// Beneath denies, and records, what is above a ceiling of the provider or the workload identity. Of tokens themselves only their owner can tell.
func (g *Gate) Beneath(ctx context.Context, c iam.Caller, r Request) error {
	all, err := g.rules.Ceilings(ctx, c.Account, r.Workload, r.Provider)
	if err != nil {
		return err
	}
	for i := range all {
		if what := above(&all[i], r); what != "" {
			return g.Above(c, r, &all[i], what)
		}
	}
	return nil
}

// Above denies, and records, what a ceiling does not allow.
func (g *Gate) Above(c iam.Caller, r Request, ceiling *vault.Ceiling, what string) error {
	if err := g.record(c, r, audit.Denied, ceiling.String()+": "+what); err != nil {
		return err
	}
	flag := "--provider "
	if ceiling.Kind == store.CeilingWorkload {
		flag = "--workload "
	}
	return fault.New(fault.AccessDenied, "The %s does not allow %s: who may do credence:PutCeiling can change it (credence ceiling get %s)", ceiling, what, flag+ceiling.Name)
}

// above is what of a request a ceiling does not allow, "" when it allows all.
func above(c *vault.Ceiling, r Request) string {
	if c.WorkloadNames != nil && !slices.Contains(c.WorkloadNames, r.Workload) {
		return fmt.Sprintf("the workload identity %q", r.Workload)
	}
	if c.ResourceCredentialProviderNames != nil && r.Provider != "" && !slices.Contains(c.ResourceCredentialProviderNames, r.Provider) {
		return fmt.Sprintf("the credential provider %q", r.Provider)
	}
	if r.UserKey != "" && r.Flow != wire.FlowM2M && !c.HasUser(r.UserKey, r.UserIssuer) {
		return "the user " + r.User
	}
	if c.Oauth2Flows != nil && r.Flow != "" && !slices.Contains(c.Oauth2Flows, string(r.Flow)) {
		return "the flow " + string(r.Flow)
	}
	if c.Scopes != nil && r.Flow != "" {
		for _, s := range r.Scopes {
			if !slices.Contains(c.Scopes, s) {
				return fmt.Sprintf("the scope %q, but %q", s, c.Scopes)
			}
		}
	}
	if c.Resources != nil && r.Flow != "" {
		if len(r.Targets) == 0 {
			return fmt.Sprintf("a request without resources or audiences, but %q", c.Resources)
		}
		for _, t := range r.Targets {
			if !slices.Contains(c.Resources, t) {
				return fmt.Sprintf("the resource or audience %q, but %q", t, c.Resources)
			}
		}
	}
	return ""
}
