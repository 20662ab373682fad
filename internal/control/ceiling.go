package control

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// allowCeiling is the first call of every operation on one ceiling.
func (c *Control) allowCeiling(caller iam.Caller, operation string, t *wire.CeilingTarget) (vault.Ceiling, error) {
	var out vault.Ceiling
	if t.WorkloadName != nil {
		out.Kind, out.Name = store.CeilingWorkload, *t.WorkloadName
	} else {
		out.Kind, out.Name = store.CeilingProvider, *t.ResourceCredentialProviderName
	}
	return out, c.Gate.Allow(caller, access.Request{Action: "credence:" + operation, Resources: []string{c.ceilingARN(caller.Account, out)}})
}

func (c *Control) ceilingARN(account string, of vault.Ceiling) string {
	return c.ARNs.Extension(account, "ceiling", string(of.Kind)+"/"+of.Name)
}

// PutCeiling sets what may be had at most of a provider, or by a workload identity, whatever policies allow and users consent to. It counts for what is issued
// from then on, by old grants, too, on every replica within a second.
func (c *Control) PutCeiling(ctx context.Context, caller iam.Caller, in *wire.PutCeilingInput) (*wire.PutCeilingOutput, error) {
	ceiling, err := c.allowCeiling(caller, "PutCeiling", in.Target)
	if err != nil {
		return nil, err
	}
	switch {
	case reflect.ValueOf(*in.Ceiling).IsZero(): // it would take all limits away, and look like one
		return nil, fault.Invalid("ceiling", "limits nothing: give a limit, or take the ceiling away by DeleteCeiling (credence ceiling remove)")
	case ceiling.Kind == store.CeilingProvider && in.Ceiling.ResourceCredentialProviderNames != nil:
		return nil, fault.Invalid("ceiling.resourceCredentialProviderNames", "is for ceilings of workload identities")
	case ceiling.Kind == store.CeilingWorkload && in.Ceiling.WorkloadNames != nil:
		return nil, fault.Invalid("ceiling.workloadNames", "is for ceilings of credential providers")
	}
	for i, flow := range in.Ceiling.Oauth2Flows {
		if known := wire.Oauth2Flow("").Values(); !slices.Contains(known, flow) {
			return nil, fault.Invalid(fmt.Sprintf("ceiling.oauth2Flows[%d]", i), "%q is not one of %q", flow, known)
		}
	}
	if err := c.exists(ctx, caller.Account, ceiling); err != nil {
		return nil, err
	}
	ceiling.Ceiling, ceiling.UpdatedBy, ceiling.UpdatedAt = *in.Ceiling, caller.ARN, time.Now()
	if err := c.Vault.PutCeiling(ctx, caller.Account, ceiling); err != nil {
		return nil, err
	}
	return (*wire.PutCeilingOutput)(c.describeCeiling(caller.Account, ceiling)), nil
}

// exists refuses a ceiling of a name that nothing has: a slip of the pen must not look like a limit.
func (c *Control) exists(ctx context.Context, account string, of vault.Ceiling) error {
	if of.Kind == store.CeilingWorkload {
		_, err := c.Vault.Workload(ctx, account, of.Name)
		return notFound(err, c.ARNs.Workload(account, of.Name))
	}
	_, err := c.Vault.OAuth2Provider(ctx, account, of.Name)
	if errors.Is(err, fault.NotFound) {
		_, err = c.Vault.APIKeyProvider(ctx, account, of.Name)
	}
	if errors.Is(err, fault.NotFound) {
		_, err = c.Vault.PaymentProvider(ctx, account, of.Name)
	}
	return notFound(err, c.ARNs.OAuth2Provider(account, of.Name))
}

// GetCeiling describes a ceiling.
func (c *Control) GetCeiling(ctx context.Context, caller iam.Caller, in *wire.GetCeilingInput) (*wire.GetCeilingOutput, error) {
	wanted, err := c.allowCeiling(caller, "GetCeiling", in.Target)
	if err != nil {
		return nil, err
	}
	all, err := c.Vault.AllCeilings(ctx, caller.Account)
	if err != nil {
		return nil, err
	}
	for _, found := range all {
		if found.Kind == wanted.Kind && found.Name == wanted.Name {
			return (*wire.GetCeilingOutput)(c.describeCeiling(caller.Account, found)), nil
		}
	}
	return nil, notFound(fault.NotFound, c.ceilingARN(caller.Account, wanted))
}

// DeleteCeiling ends a ceiling.
func (c *Control) DeleteCeiling(_ context.Context, caller iam.Caller, in *wire.DeleteCeilingInput) (*wire.DeleteCeilingOutput, error) {
	ceiling, err := c.allowCeiling(caller, "DeleteCeiling", in.Target)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteCeilingOutput{}, notFound(c.Vault.DeleteCeiling(caller.Account, ceiling.Kind, ceiling.Name), c.ceilingARN(caller.Account, ceiling))
}

// ListCeilings lists the ceilings of the account.
func (c *Control) ListCeilings(ctx context.Context, caller iam.Caller, _ *wire.ListCeilingsInput) (*wire.ListCeilingsOutput, error) {
	if err := c.Gate.Allow(caller, access.Request{Action: "credence:ListCeilings", Resources: []string{c.ARNs.Extension(caller.Account, "ceiling", "*")}}); err != nil {
		return nil, err
	}
	all, err := c.Vault.AllCeilings(ctx, caller.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListCeilingsOutput{Ceilings: make([]wire.CeilingSummary, len(all))}
	for i, ceiling := range all {
		out.Ceilings[i] = *c.describeCeiling(caller.Account, ceiling)
	}
	return out, nil
}

func (c *Control) describeCeiling(account string, of vault.Ceiling) *wire.CeilingSummary {
	return &wire.CeilingSummary{
		CeilingArn: c.ceilingARN(account, of), Target: string(of.Kind) + " " + of.Name, Ceiling: &of.Ceiling,
		LastUpdatedBy: of.UpdatedBy, LastUpdatedTime: wire.Time{Time: of.UpdatedAt},
	}
}
