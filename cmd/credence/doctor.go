package main

import (
	"context"
	"errors"

	"credence/internal/server"
)

type doctorCommand struct {
	installationFlags
	listenFlags
}

// Run prints one line for each thing that was looked at. Warnings do not count as failures: a server that is not running is no illness.
func (c doctorCommand) Run(ctx context.Context, o output) error {
	cfg := c.config()
	flags := c.apply(&cfg)
	failed := flags != nil
	if flags != nil {
		o.printf("✗ flags: %v\n", flags)
	}
	for _, f := range server.Examine(ctx, cfg) {
		switch {
		case f.Err == nil:
			o.printf("✓ %s: %s\n", f.What, f.Found)
		case f.Warning:
			o.printf("! %s: %v\n", f.What, f.Err)
		default:
			o.printf("✗ %s: %v\n", f.What, f.Err)
			failed = true
		}
	}
	if failed {
		return errors.New("something is wrong; the lines with ✗ say what and how to mend it")
	}
	return nil
}
