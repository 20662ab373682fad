package main

import (
	"context"

	"credence/internal/wire"
)

type accountCommand struct {
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
