package main

import (
	"context"

	"credence/internal/server"
)

type backupCommand struct {
	installationFlags
	To        string   `help:"File to write; it must not exist." required:"" type:"path" placeholder:"FILE"`
	Recipient []string `help:"age public key (age1…) that may open the backup; may be repeated. age-keygen makes one." required:"" placeholder:"KEY"`
}

func (c backupCommand) Run(ctx context.Context, o output) error {
	if err := server.Backup(ctx, c.config(), c.To, c.Recipient); err != nil {
		return err
	}
	o.printf("wrote %s\n", c.To)
	return nil
}

type restoreCommand struct {
	installationFlags
	From     string `help:"File that credence backup wrote." required:"" type:"existingfile" placeholder:"FILE"`
	Identity string `help:"File of the age secret key that opens it." required:"" type:"existingfile" placeholder:"FILE"`
}

func (c restoreCommand) Run(ctx context.Context, o output) error {
	if err := server.Restore(ctx, c.config(), c.From, c.Identity); err != nil {
		return err
	}
	o.printf("restored %s\n", c.DataDir)
	return nil
}
