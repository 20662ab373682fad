package main

import (
	"context"
	"errors"

	"credence/internal/wire"
)

// targetFlags name what a freeze is of.
type targetFlags struct {
	userFlags
	Workload string `help:"A workload identity." placeholder:"NAME"`
	Provider string `help:"Every credential provider of this name." placeholder:"NAME"`
	Account  bool   `help:"The whole account." env:"-"`
}

func (f targetFlags) target() (*wire.FreezeTarget, error) {
	user, err := f.user()
	if err != nil {
		return nil, err
	}
	t := &wire.FreezeTarget{User: user, WorkloadName: optional(f.Workload), ResourceCredentialProviderName: optional(f.Provider)}
	n := 0
	for _, given := range []bool{user != nil, f.Workload != "", f.Provider != "", f.Account} {
		if given {
			n++
		}
	}
	if n != 1 {
		return nil, errors.New("say what: one of --user-id (or --issuer and --subject), --workload, --provider, --account")
	}
	if f.Account {
		t.Account = &f.Account
	}
	return t, nil
}

type freezeCommand struct {
	clientFlags
	targetFlags
	Reason string `help:"For those who list freezes." placeholder:"TEXT"`
}

func (c freezeCommand) Run(ctx context.Context, o output) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	var out wire.FreezeSummary
	if err := c.call(ctx, "Freeze", wire.FreezeInput{Target: target, Reason: optional(c.Reason)}, &out); err != nil {
		return err
	}
	o.printf("frozen since %s: %s\n", stamp(out.CreatedTime), out.Target)
	return nil
}

type unfreezeCommand struct {
	clientFlags
	targetFlags
}

func (c unfreezeCommand) Run(ctx context.Context, o output) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	if err := c.call(ctx, "Unfreeze", wire.UnfreezeInput{Target: target}, nil); err != nil {
		return err
	}
	o.printf("not frozen any more\n")
	return nil
}

type freezesCommand struct{ clientFlags }

func (c freezesCommand) Run(ctx context.Context, o output) error {
	var out wire.ListFreezesOutput
	if err := c.call(ctx, "ListFreezes", struct{}{}, &out); err != nil {
		return err
	}
	for _, f := range out.Freezes {
		reason := ""
		if f.Reason != nil {
			reason = *f.Reason
		}
		o.printf("%s\t%s\t%s\t%s\n", f.Target, stamp(f.CreatedTime), f.CreatedBy, reason)
	}
	return nil
}
