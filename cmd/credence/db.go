package main

import (
	"context"

	"credence/internal/server"
)

// dbCommand is about where rows are kept.
type dbCommand struct {
	Migrate dbMigrateCommand `cmd:"" help:"Bring the schema up to this program's. Every start of a server does so."`
	Status  dbStatusCommand  `cmd:"" help:"Tell the version of the schema."`
	Copy    dbCopyCommand    `cmd:"" help:"Copy an installation to another database, resumable, and compare the two. Stop every server first."`
	NewKey  dbNewKeyCommand  `cmd:"" name:"new-key" help:"Make a master key file for --kek file:FILE."`
}

const helpPlace = "data directory, or postgres:// URL"

type place struct {
	Place string `arg:"" help:"A ${help_place}." default:"./credence-data" placeholder:"PLACE"`
}

type dbMigrateCommand struct{ place }

func (c dbMigrateCommand) Run(ctx context.Context, o output) error {
	if err := server.MigrateDatabase(ctx, c.Place); err != nil {
		return err
	}
	o.printf("the schema is this program's\n")
	return nil
}

type dbStatusCommand struct{ place }

func (c dbStatusCommand) Run(ctx context.Context, o output) error {
	has, serves, err := server.DatabaseStatus(ctx, c.Place)
	if err != nil {
		return err
	}
	o.printf("schema %d, this program serves %d\n", has, serves)
	return nil
}

type dbCopyCommand struct {
	From string `help:"What is copied: a ${help_place}." required:"" placeholder:"PLACE"`
	To   string `help:"Where to: a new ${help_place}." required:"" placeholder:"PLACE"`
}

func (c dbCopyCommand) Run(ctx context.Context, o output) error {
	total := 0
	if err := server.CopyDatabase(ctx, c.From, c.To, func(_ string, rows int) { total += rows }); err != nil {
		return err
	}
	o.printf("copied %d rows; both databases hold the same. Serve the new one with the key-encryption key of the old one.\n", total)
	return nil
}

type dbNewKeyCommand struct {
	File string `arg:"" help:"File to make." type:"path" placeholder:"FILE"`
}

func (c dbNewKeyCommand) Run(o output) error {
	if err := server.NewMasterKey(c.File); err != nil {
		return err
	}
	o.printf("wrote %s: every replica needs it, and without it nothing can be opened again\n", c.File)
	return nil
}
