package main

import (
	"context"

	"credence/internal/wire"
)

type providerCommand struct {
	CallbackURL callbackURLCommand `cmd:"" name:"callback-url" help:"Show the callback URL that an OAuth2 credential provider of that name has or will have."`
}

type callbackURLCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the provider, which need not exist yet."`
}

func (c callbackURLCommand) Run(ctx context.Context, o output) error {
	var out wire.GetCallbackUrlOutput
	if err := c.call(ctx, "GetCallbackUrl", wire.GetCallbackUrlInput{Name: c.Name}, &out); err != nil {
		return err
	}
	o.printf("%s\n", out.CallbackUrl)
	return nil
}
