package admin

import (
	"context"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

// allowRole is the first call of every operation on roles.
func (a *Admin) allowRole(c iam.Caller, operation, role string) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{iam.Role(c.Account, role)}})
}

// aboutRole words what is missing or taken.
func aboutRole(err error, c iam.Caller, role string) error {
	switch err { // a fault that says more is handed on
	case fault.NotFound:
		return fault.New(fault.NotFound, "Account %s has no role %q", c.Account, role)
	case fault.Conflict:
		return fault.New(fault.Conflict, "Account %s has a role %q already", c.Account, role)
	}
	return err
}

func describeRole(r store.Role) wire.Role {
	out := wire.Role{
		RoleName: r.Name, RoleId: r.ID, Arn: iam.Role(r.Account, r.Name), AssumeRolePolicyDocument: r.TrustPolicy, MaxSessionDuration: new(int32(r.MaxSession / time.Second)),
		Tags: r.Tags, CreatedTime: wire.Time{Time: r.CreatedAt}, LastUpdatedTime: wire.Time{Time: r.UpdatedAt},
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	if !r.RevokedBefore.IsZero() {
		out.RevokedBefore = &wire.Time{Time: r.RevokedBefore}
	}
	return out
}

// defaultSession is how long a session of a role may last whose maximum nobody set (AWS IAM, CreateRole).
const defaultSession = 3600

// CreateRole makes a role, which has no rights yet.
func (a *Admin) CreateRole(_ context.Context, c iam.Caller, in *wire.CreateRoleInput) (*wire.CreateRoleOutput, error) {
	if err := a.Gate.Allow(c, access.Request{Action: "credence:CreateRole", Resources: []string{iam.Role(c.Account, in.RoleName)}, RequestTags: in.Tags}); err != nil {
		return nil, err
	}
	everySubject := or(in.TrustEverySubject, false)
	if err := a.checkTrust(c, "assumeRolePolicyDocument", in.AssumeRolePolicyDocument, everySubject); err != nil {
		return nil, err
	}
	now := time.Now()
	r, err := a.Store.InsertRole(store.Role{
		Account: c.Account, Name: in.RoleName, Description: or(in.Description, ""), TrustPolicy: in.AssumeRolePolicyDocument, EverySubject: everySubject,
		MaxSession: time.Duration(or(in.MaxSessionDuration, defaultSession)) * time.Second, Tags: in.Tags, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return nil, aboutRole(err, c, in.RoleName)
	}
	return (*wire.CreateRoleOutput)(new(describeRole(r))), nil
}

// GetRole tells one role.
func (a *Admin) GetRole(ctx context.Context, c iam.Caller, in *wire.GetRoleInput) (*wire.GetRoleOutput, error) {
	if err := a.allowRole(c, "GetRole", in.RoleName); err != nil {
		return nil, err
	}
	r, err := a.Store.Role(ctx, c.Account, in.RoleName)
	return (*wire.GetRoleOutput)(new(describeRole(r))), aboutRole(err, c, in.RoleName)
}

// ListRoles lists the roles of the account.
func (a *Admin) ListRoles(ctx context.Context, c iam.Caller, _ *wire.ListRolesInput) (*wire.ListRolesOutput, error) {
	if err := a.allowRole(c, "ListRoles", "*"); err != nil {
		return nil, err
	}
	rows, err := a.Store.Roles(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListRolesOutput{Roles: make([]wire.Role, len(rows))}
	for i, r := range rows {
		out.Roles[i] = describeRole(r)
	}
	return out, nil
}

// UpdateRole changes what is said of a role; its trust policy has an operation of its own.
func (a *Admin) UpdateRole(_ context.Context, c iam.Caller, in *wire.UpdateRoleInput) (*wire.UpdateRoleOutput, error) {
	r, err := a.changeRole(c, "UpdateRole", in.RoleName, func(r *store.Role) {
		r.Description = or(in.Description, r.Description)
		if in.MaxSessionDuration != nil {
			r.MaxSession = time.Duration(*in.MaxSessionDuration) * time.Second
		}
		if in.Tags != nil {
			r.Tags = in.Tags
		}
	})
	return (*wire.UpdateRoleOutput)(new(describeRole(r))), err
}

// changeRole is for those who may do an operation.
func (a *Admin) changeRole(c iam.Caller, operation, role string, change func(*store.Role)) (r store.Role, err error) {
	if err := a.allowRole(c, operation, role); err != nil {
		return r, err
	}
	return a.writeRole(c, role, change)
}

func (a *Admin) writeRole(c iam.Caller, role string, change func(*store.Role)) (r store.Role, err error) {
	err = a.Vault.ChangePrincipals(func(s *store.Store) error {
		r, err = s.ChangeRole(c.Account, role, func(r *store.Role) error {
			change(r)
			r.UpdatedAt = time.Now()
			return nil
		})
		return err
	})
	return r, aboutRole(err, c, role)
}

// UpdateAssumeRolePolicy says anew who may assume a role. Sessions that there are go on: RevokeRoleSessions ends them.
func (a *Admin) UpdateAssumeRolePolicy(_ context.Context, c iam.Caller, in *wire.UpdateAssumeRolePolicyInput) (*wire.UpdateAssumeRolePolicyOutput, error) {
	if err := a.allowRole(c, "UpdateAssumeRolePolicy", in.RoleName); err != nil {
		return nil, err
	}
	everySubject := or(in.TrustEverySubject, false)
	if err := a.checkTrust(c, "policyDocument", in.PolicyDocument, everySubject); err != nil {
		return nil, err
	}
	_, err := a.writeRole(c, in.RoleName, func(r *store.Role) { r.TrustPolicy, r.EverySubject = in.PolicyDocument, everySubject })
	return &wire.UpdateAssumeRolePolicyOutput{}, err
}

// DeleteRole ends a role with its policies and sessions.
func (a *Admin) DeleteRole(_ context.Context, c iam.Caller, in *wire.DeleteRoleInput) (*wire.DeleteRoleOutput, error) {
	if err := a.allowRole(c, "DeleteRole", in.RoleName); err != nil {
		return nil, err
	}
	err := a.Vault.ChangePrincipals(func(s *store.Store) error { return s.DeleteRole(c.Account, in.RoleName) })
	return &wire.DeleteRoleOutput{}, aboutRole(err, c, in.RoleName)
}

// RevokeRoleSessions has sessions of a role that were issued up to a time refused, on every replica within a second.
func (a *Admin) RevokeRoleSessions(_ context.Context, c iam.Caller, in *wire.RevokeRoleSessionsInput) (*wire.RevokeRoleSessionsOutput, error) {
	if err := a.allowRole(c, "RevokeRoleSessions", in.RoleName); err != nil {
		return nil, err
	}
	before := time.Now()
	if in.IssuedBefore != nil {
		at := time.Unix(*in.IssuedBefore, 0)
		if at.After(before) {
			return nil, fault.Invalid("issuedBefore", "is in the future: whoever assumed the role until then could not be told from those who should not have")
		}
		before = at
	}
	var r store.Role
	err := a.Vault.ChangePrincipals(func(s *store.Store) (err error) {
		r, err = s.RevokeRoleSessions(c.Account, in.RoleName, before, in.IssuedBefore == nil)
		return err
	})
	return &wire.RevokeRoleSessionsOutput{RevokedBefore: wire.Time{Time: r.RevokedBefore}}, aboutRole(err, c, in.RoleName)
}
