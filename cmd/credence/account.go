package main

import (
	"context"

	"credence/internal/wire"
)

type accountCommand struct {
	Create accountCreateCommand `cmd:"" help:"Make an account. Its first administrator's access key is printed as an AWS credentials file."`
	List   accountListCommand   `cmd:"" help:"List the accounts of the installation."`
	Delete accountDeleteCommand `cmd:"" help:"Delete the account for ever: tell all vendors, then destroy its keys. Repeat it to see how far that is."`
}

type accountDeleteCommand struct {
	clientFlags
	Account string `arg:"" help:"Id of the account whose credentials these are, to confirm."`
	Force   bool   `help:"Although it is the last account of the installation." env:"-"`
}

func (c accountDeleteCommand) Run(ctx context.Context, o output) error {
	in := wire.DeleteAccountInput{AccountId: c.Account}
	if c.Force {
		in.Force = &c.Force
	}
	var out wire.DeleteAccountOutput
	if err := c.call(ctx, "DeleteAccount", in, &out); err != nil {
		return err
	}
	o.printf("account %s is frozen and being deleted since %s; of %d grants vendors have still to be told, then its keys are destroyed\n", out.AccountId, stamp(out.RequestedTime), *out.PendingRevocations)
	return nil
}

type accountCreateCommand struct {
	clientFlags
	Account string `arg:"" optional:"" help:"Id of the new account, 12 digits. Default: a random one."`
}

func (c accountCreateCommand) Run(ctx context.Context, o output) error {
	var out wire.CreateAccountOutput
	if err := c.call(ctx, "CreateAccount", wire.CreateAccountInput{AccountId: optional(c.Account)}, &out); err != nil {
		return err
	}
	o.printf("# Credence: user %s of account %s. The secret is shown only now.\n[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", out.UserName, out.AccountId, out.AccessKeyId, out.SecretAccessKey)
	return nil
}

type accountListCommand struct{ clientFlags }

func (c accountListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListAccountsOutput
	if err := c.call(ctx, "ListAccounts", struct{}{}, &out); err != nil {
		return err
	}
	for _, a := range out.Accounts {
		note := ""
		switch {
		case a.DeletionTime != nil:
			note = "being deleted since " + stamp(*a.DeletionTime)
		case *a.Operator:
			note = "operator"
		}
		o.printf("%s\t%s\t%s\n", a.AccountId, stamp(a.CreatedTime), note)
	}
	return nil
}
