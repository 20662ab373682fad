package main

import (
	"context"

	"credence/internal/server"
)

type adminCommand struct {
	ResetKey resetKeyCommand `cmd:"" help:"End the administrator's access keys and make a new one."`
}

type resetKeyCommand struct{ installationFlags }

func (c resetKeyCommand) Run(ctx context.Context, o output) error {
	f, err := server.ResetKey(ctx, c.config())
	if err != nil {
		return err
	}
	o.printf("The administrator of account %s has a new access key, in %s; the old ones are of no use any more.\n", f.Account, f.Credentials)
	return nil
}
