package broker

import (
	"context"
	"errors"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// Freeze stops the issuance of every credential to a workload identity, for a user, at a provider, or in the whole account, within a second on every replica.
// Grants stay as they are. What is frozen already stays so.
func (b *Broker) Freeze(ctx context.Context, c iam.Caller, in *wire.FreezeInput) (*wire.FreezeOutput, error) {
	f, userName, err := b.allowFreeze(c, "Freeze", in.Target)
	if err != nil {
		return nil, err
	}
	if err := b.exists(ctx, f); err != nil {
		return nil, err
	}
	f.CreatedBy, f.CreatedAt = c.ARN, time.Now()
	if in.Reason != nil {
		f.Reason = *in.Reason
	}
	if f, err = b.Vault.PutFreeze(ctx, f, userName); err != nil {
		return nil, err
	}
	out, err := b.describeFreeze(ctx, f)
	return (*wire.FreezeOutput)(out), err
}

// Unfreeze ends a freeze.
func (b *Broker) Unfreeze(_ context.Context, c iam.Caller, in *wire.UnfreezeInput) (*wire.UnfreezeOutput, error) {
	f, _, err := b.allowFreeze(c, "Unfreeze", in.Target)
	if err != nil {
		return nil, err
	}
	err = b.Vault.DeleteFreeze(c.Account, f.Kind, f.ID)
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "Resource not found: %s", b.freezeARN(f))
	}
	return &wire.UnfreezeOutput{}, err
}

// ListFreezes lists the freezes of the account.
func (b *Broker) ListFreezes(ctx context.Context, c iam.Caller, _ *wire.ListFreezesInput) (*wire.ListFreezesOutput, error) {
	if err := b.Gate.Allow(c, access.Request{Action: "credence:ListFreezes", Resources: []string{b.ARNs.Extension(c.Account, "freeze", "*")}}); err != nil {
		return nil, err
	}
	rows, err := b.Vault.Freezes(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListFreezesOutput{Freezes: make([]wire.FreezeSummary, len(rows))}
	for i, f := range rows {
		described, err := b.describeFreeze(ctx, f)
		if err != nil {
			return nil, err
		}
		out.Freezes[i] = *described
	}
	return out, nil
}

// allowFreeze decides on a change of the freeze that a target names.
func (b *Broker) allowFreeze(c iam.Caller, operation string, t *wire.FreezeTarget) (f store.Freeze, userName string, err error) {
	f.Account = c.Account
	req := access.Request{Action: "credence:" + operation}
	switch {
	case t.WorkloadName != nil:
		f.Kind, f.ID, req.Workload = store.FreezeWorkload, *t.WorkloadName, *t.WorkloadName
	case t.ResourceCredentialProviderName != nil:
		f.Kind, f.ID = store.FreezeProvider, *t.ResourceCredentialProviderName
	case t.User != nil:
		u := workload.UserNamed(t.User)
		f.Kind, f.ID, userName = store.FreezeUser, u.Key(), u.String()
		req.User = userName
	default:
		f.Kind = store.FreezeAccount
	}
	req.Resources = []string{b.freezeARN(f)}
	if err := b.Gate.Allow(c, req); err != nil {
		return f, "", err
	}
	if t.Account != nil && !*t.Account {
		return f, "", fault.Invalid("target.account", "must be true, or be left out")
	}
	return f, userName, nil
}

func (b *Broker) freezeARN(f store.Freeze) string {
	return b.ARNs.Extension(f.Account, "freeze", strings.TrimSuffix(string(f.Kind)+"/"+f.ID, "/"))
}

// exists refuses to freeze a name that nothing has: a slip of the pen must not look like a stop. Anybody may be a user.
func (b *Broker) exists(ctx context.Context, f store.Freeze) (err error) {
	var arn string
	switch f.Kind {
	case store.FreezeWorkload:
		arn = b.ARNs.Workload(f.Account, f.ID)
		_, err = b.Vault.Workload(ctx, f.Account, f.ID)
	case store.FreezeProvider:
		arn = b.ARNs.OAuth2Provider(f.Account, f.ID)
		for _, find := range []func() error{
			func() error { _, err := b.Vault.OAuth2Provider(ctx, f.Account, f.ID); return err },
			func() error { _, err := b.Vault.APIKeyProvider(ctx, f.Account, f.ID); return err },
			func() error { _, err := b.Vault.PaymentProvider(ctx, f.Account, f.ID); return err },
		} {
			if err = find(); !errors.Is(err, fault.NotFound) {
				return err
			}
		}
	}
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "Resource not found: %s: nothing is frozen", arn)
	}
	return err
}

func (b *Broker) describeFreeze(ctx context.Context, f store.Freeze) (*wire.FreezeSummary, error) {
	out := &wire.FreezeSummary{FreezeArn: b.freezeARN(f), Target: string(f.Kind), CreatedBy: f.CreatedBy, CreatedTime: wire.Time{Time: f.CreatedAt}}
	name := f.ID
	if f.Kind == store.FreezeUser {
		var err error
		if name, err = b.Vault.FrozenUser(ctx, f); err != nil {
			return nil, err
		}
	}
	if name != "" {
		out.Target += " " + name
	}
	if f.Reason != "" {
		out.Reason = &f.Reason
	}
	return out, nil
}
