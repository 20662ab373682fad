package admin

import (
	"context"
	"slices"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

// principal is whose policies a request is about.
type principal struct {
	name, arn string // "user/ada" and its ARN
}

func user(c iam.Caller, name string) principal {
	return principal{store.UserPrincipal(name), iam.User(c.Account, name)}
}

func role(c iam.Caller, name string) principal {
	return principal{store.RolePrincipal(name), iam.Role(c.Account, name)}
}

// allowPolicy is the first call of every operation on policies.
func (a *Admin) allowPolicy(c iam.Caller, operation string, p principal) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{p.arn}})
}

func (a *Admin) putPolicy(c iam.Caller, operation string, p principal, name, document string, administers store.Administers) error {
	if err := a.allowPolicy(c, operation, p); err != nil {
		return err
	}
	if _, err := iam.ParsePolicy([]byte(document)); err != nil {
		return fault.Invalid("policyDocument", "%v", err)
	}
	err := a.Vault.ChangePrincipals(func(s *store.Store) error {
		return s.PutPolicy(store.Policy{Account: c.Account, Principal: p.name, Name: name, Document: document, UpdatedAt: time.Now()}, administers)
	})
	if err == fault.NotFound {
		return noPrincipal(p)
	}
	return lastAdministrator(err, c)
}

func noPrincipal(p principal) error { return fault.New(fault.NotFound, "There is no %s", p.arn) }

func (a *Admin) getPolicy(ctx context.Context, c iam.Caller, operation string, p principal, name string) (store.Policy, error) {
	if err := a.allowPolicy(c, operation, p); err != nil {
		return store.Policy{}, err
	}
	all, err := a.Store.Policies(ctx, c.Account, p.name)
	if err != nil {
		return store.Policy{}, err
	}
	i := slices.IndexFunc(all, func(p store.Policy) bool { return p.Name == name })
	if i < 0 {
		return store.Policy{}, noPolicy(p, name)
	}
	return all[i], nil
}

func noPolicy(p principal, name string) error {
	return fault.New(fault.NotFound, "%s has no policy %q", p.arn, name)
}

func (a *Admin) listPolicies(ctx context.Context, c iam.Caller, operation string, p principal) ([]string, error) {
	if err := a.allowPolicy(c, operation, p); err != nil {
		return nil, err
	}
	all, err := a.Store.Policies(ctx, c.Account, p.name)
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return names, err
}

func (a *Admin) deletePolicy(c iam.Caller, operation string, p principal, name string, administers store.Administers) error {
	if err := a.allowPolicy(c, operation, p); err != nil {
		return err
	}
	err := a.Vault.ChangePrincipals(func(s *store.Store) error { return s.DeletePolicy(c.Account, p.name, name, administers) })
	if err == fault.NotFound {
		return noPolicy(p, name)
	}
	return lastAdministrator(err, c)
}

// PutUserPolicy gives a user a policy, or replaces the one of that name.
func (a *Admin) PutUserPolicy(_ context.Context, c iam.Caller, in *wire.PutUserPolicyInput) (*wire.PutUserPolicyOutput, error) {
	return &wire.PutUserPolicyOutput{}, a.putPolicy(c, "PutUserPolicy", user(c, in.UserName), in.PolicyName, in.PolicyDocument, unlessForced(in.Force))
}

// GetUserPolicy tells a policy of a user.
func (a *Admin) GetUserPolicy(ctx context.Context, c iam.Caller, in *wire.GetUserPolicyInput) (*wire.GetUserPolicyOutput, error) {
	p, err := a.getPolicy(ctx, c, "GetUserPolicy", user(c, in.UserName), in.PolicyName)
	return &wire.GetUserPolicyOutput{UserName: in.UserName, PolicyName: p.Name, PolicyDocument: p.Document, LastUpdatedTime: wire.Time{Time: p.UpdatedAt}}, err
}

// ListUserPolicies lists the names of a user's policies.
func (a *Admin) ListUserPolicies(ctx context.Context, c iam.Caller, in *wire.ListUserPoliciesInput) (*wire.ListUserPoliciesOutput, error) {
	names, err := a.listPolicies(ctx, c, "ListUserPolicies", user(c, in.UserName))
	if err == nil && len(names) == 0 {
		_, err = a.Store.User(ctx, c.Account, in.UserName)
	}
	return &wire.ListUserPoliciesOutput{PolicyNames: names}, aboutUser(err, c, in.UserName)
}

// DeleteUserPolicy takes a policy from a user.
func (a *Admin) DeleteUserPolicy(_ context.Context, c iam.Caller, in *wire.DeleteUserPolicyInput) (*wire.DeleteUserPolicyOutput, error) {
	return &wire.DeleteUserPolicyOutput{}, a.deletePolicy(c, "DeleteUserPolicy", user(c, in.UserName), in.PolicyName, unlessForced(in.Force))
}

// PutRolePolicy gives a role a policy, or replaces the one of that name. Sessions that there are obey it, too.
func (a *Admin) PutRolePolicy(_ context.Context, c iam.Caller, in *wire.PutRolePolicyInput) (*wire.PutRolePolicyOutput, error) {
	return &wire.PutRolePolicyOutput{}, a.putPolicy(c, "PutRolePolicy", role(c, in.RoleName), in.PolicyName, in.PolicyDocument, nil)
}

// GetRolePolicy tells a policy of a role.
func (a *Admin) GetRolePolicy(ctx context.Context, c iam.Caller, in *wire.GetRolePolicyInput) (*wire.GetRolePolicyOutput, error) {
	p, err := a.getPolicy(ctx, c, "GetRolePolicy", role(c, in.RoleName), in.PolicyName)
	return &wire.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: p.Name, PolicyDocument: p.Document, LastUpdatedTime: wire.Time{Time: p.UpdatedAt}}, err
}

// ListRolePolicies lists the names of a role's policies.
func (a *Admin) ListRolePolicies(ctx context.Context, c iam.Caller, in *wire.ListRolePoliciesInput) (*wire.ListRolePoliciesOutput, error) {
	names, err := a.listPolicies(ctx, c, "ListRolePolicies", role(c, in.RoleName))
	if err == nil && len(names) == 0 {
		_, err = a.Store.Role(ctx, c.Account, in.RoleName)
	}
	return &wire.ListRolePoliciesOutput{PolicyNames: names}, aboutRole(err, c, in.RoleName)
}

// DeleteRolePolicy takes a policy from a role.
func (a *Admin) DeleteRolePolicy(_ context.Context, c iam.Caller, in *wire.DeleteRolePolicyInput) (*wire.DeleteRolePolicyOutput, error) {
	return &wire.DeleteRolePolicyOutput{}, a.deletePolicy(c, "DeleteRolePolicy", role(c, in.RoleName), in.PolicyName, nil)
}
