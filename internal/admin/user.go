package admin

import (
	"context"
	"errors"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// allowUser is the first call of every operation on users and what they have.
func (a *Admin) allowUser(c iam.Caller, operation, user string) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{iam.User(c.Account, user)}})
}

// aboutUser words what is missing or taken.
func aboutUser(err error, c iam.Caller, user string) error {
	switch err { // a fault that says more is handed on
	case fault.NotFound:
		return fault.New(fault.NotFound, "Account %s has no user %q", c.Account, user)
	case fault.Conflict:
		return fault.New(fault.Conflict, "Account %s has a user %q already", c.Account, user)
	}
	return lastAdministrator(err, c)
}

func lastAdministrator(err error, c iam.Caller) error {
	if errors.Is(err, store.ErrLastAdministrator) {
		return fault.Invalid("force", "must be true: nobody else with an access key in use may do credence:PutUserPolicy in account %s, so nobody could undo this (but by credence admin reset-key on the server's machine)", c.Account)
	}
	return err
}

// unlessForced asks whether somebody still administers the account.
func unlessForced(force *bool) store.Administers {
	if or(force, false) {
		return nil
	}
	return vault.Administers
}

func describeUser(u store.User) wire.User {
	return wire.User{UserName: u.Name, UserId: u.ID, Arn: iam.User(u.Account, u.Name), Tags: u.Tags, CreatedTime: wire.Time{Time: u.CreatedAt}}
}

// CreateUser makes a user, who has no rights and no access key yet.
func (a *Admin) CreateUser(_ context.Context, c iam.Caller, in *wire.CreateUserInput) (*wire.CreateUserOutput, error) {
	if err := a.Gate.Allow(c, access.Request{Action: "credence:CreateUser", Resources: []string{iam.User(c.Account, in.UserName)}, RequestTags: in.Tags}); err != nil {
		return nil, err
	}
	u, err := a.Store.InsertUser(store.User{Account: c.Account, Name: in.UserName, Tags: in.Tags, CreatedAt: time.Now()})
	if err != nil {
		return nil, aboutUser(err, c, in.UserName)
	}
	return (*wire.CreateUserOutput)(new(describeUser(u))), nil
}

// GetUser tells one user.
func (a *Admin) GetUser(ctx context.Context, c iam.Caller, in *wire.GetUserInput) (*wire.GetUserOutput, error) {
	u, err := a.allowedUser(ctx, c, "GetUser", in.UserName)
	return (*wire.GetUserOutput)(new(describeUser(u))), err
}

func (a *Admin) allowedUser(ctx context.Context, c iam.Caller, operation, user string) (store.User, error) {
	if err := a.allowUser(c, operation, user); err != nil {
		return store.User{}, err
	}
	u, err := a.Store.User(ctx, c.Account, user)
	return u, aboutUser(err, c, user)
}

// ListUsers lists the users of the account.
func (a *Admin) ListUsers(ctx context.Context, c iam.Caller, _ *wire.ListUsersInput) (*wire.ListUsersOutput, error) {
	if err := a.allowUser(c, "ListUsers", "*"); err != nil {
		return nil, err
	}
	rows, err := a.Store.Users(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListUsersOutput{Users: make([]wire.User, len(rows))}
	for i, u := range rows {
		out.Users[i] = describeUser(u)
	}
	return out, nil
}

// UpdateUser gives a user other tags.
func (a *Admin) UpdateUser(ctx context.Context, c iam.Caller, in *wire.UpdateUserInput) (*wire.UpdateUserOutput, error) {
	u, err := a.allowedUser(ctx, c, "UpdateUser", in.UserName)
	if err != nil {
		return nil, err
	}
	err = a.Vault.ChangePrincipals(func(s *store.Store) error { return s.TagUser(c.Account, u.Name, in.Tags) })
	u.Tags = in.Tags
	return (*wire.UpdateUserOutput)(new(describeUser(u))), aboutUser(err, c, in.UserName)
}

// DeleteUser ends a user with all access keys and policies.
func (a *Admin) DeleteUser(_ context.Context, c iam.Caller, in *wire.DeleteUserInput) (*wire.DeleteUserOutput, error) {
	if err := a.allowUser(c, "DeleteUser", in.UserName); err != nil {
		return nil, err
	}
	err := a.Vault.ChangePrincipals(func(s *store.Store) error { return s.DeleteUser(c.Account, in.UserName, unlessForced(in.Force)) })
	return &wire.DeleteUserOutput{}, aboutUser(err, c, in.UserName)
}

// CreateAccessKey makes another access key of a user, whose rights its holder has from then on. Its secret is shown once.
func (a *Admin) CreateAccessKey(ctx context.Context, c iam.Caller, in *wire.CreateAccessKeyInput) (*wire.CreateAccessKeyOutput, error) {
	if err := a.allowUser(c, "CreateAccessKey", in.UserName); err != nil {
		return nil, err
	}
	k, row, err := a.Vault.AddAccessKey(ctx, c.Account, in.UserName)
	if err != nil {
		return nil, aboutUser(err, c, in.UserName)
	}
	return &wire.CreateAccessKeyOutput{
		UserName: in.UserName, AccessKeyId: k.ID, SecretAccessKey: k.Secret.Reveal(), Status: wire.AccessKeyActive, CreatedTime: wire.Time{Time: row.CreatedAt},
	}, nil
}

// ListAccessKeys lists the access keys of a user, and when each was last used.
func (a *Admin) ListAccessKeys(ctx context.Context, c iam.Caller, in *wire.ListAccessKeysInput) (*wire.ListAccessKeysOutput, error) {
	u, err := a.allowedUser(ctx, c, "ListAccessKeys", in.UserName)
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.AccessKeys(ctx, c.Account, u.Name)
	if err != nil {
		return nil, err
	}
	out := &wire.ListAccessKeysOutput{AccessKeys: make([]wire.AccessKeyMetadata, len(rows))}
	for i, k := range rows {
		out.AccessKeys[i] = wire.AccessKeyMetadata{UserName: k.User, AccessKeyId: k.ID, Status: wire.AccessKeyInactive, CreatedTime: wire.Time{Time: k.CreatedAt}}
		if k.Active {
			out.AccessKeys[i].Status = wire.AccessKeyActive
		}
		if !k.UsedAt.IsZero() {
			out.AccessKeys[i].LastUsedTime, out.AccessKeys[i].LastUsedService = &wire.Time{Time: k.UsedAt}, &k.UsedService
		}
	}
	return out, nil
}

// UpdateAccessKey has an access key used no more, or used again.
func (a *Admin) UpdateAccessKey(_ context.Context, c iam.Caller, in *wire.UpdateAccessKeyInput) (*wire.UpdateAccessKeyOutput, error) {
	if err := a.allowUser(c, "UpdateAccessKey", in.UserName); err != nil {
		return nil, err
	}
	err := a.Vault.ChangePrincipals(func(s *store.Store) error {
		return s.SetAccessKeyActive(c.Account, in.UserName, in.AccessKeyId, in.Status == wire.AccessKeyActive, unlessForced(in.Force))
	})
	return &wire.UpdateAccessKeyOutput{}, aboutAccessKey(err, c, in.UserName, in.AccessKeyId)
}

// DeleteAccessKey ends an access key.
func (a *Admin) DeleteAccessKey(_ context.Context, c iam.Caller, in *wire.DeleteAccessKeyInput) (*wire.DeleteAccessKeyOutput, error) {
	if err := a.allowUser(c, "DeleteAccessKey", in.UserName); err != nil {
		return nil, err
	}
	err := a.Vault.ChangePrincipals(func(s *store.Store) error {
		return s.DeleteAccessKey(c.Account, in.UserName, in.AccessKeyId, unlessForced(in.Force))
	})
	return &wire.DeleteAccessKeyOutput{}, aboutAccessKey(err, c, in.UserName, in.AccessKeyId)
}

func aboutAccessKey(err error, c iam.Caller, user, id string) error {
	if err == fault.NotFound {
		return fault.New(fault.NotFound, "Account %s has no user %q with the access key %q", c.Account, user, id)
	}
	return lastAdministrator(err, c)
}
