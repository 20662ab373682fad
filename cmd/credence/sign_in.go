package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"credence/internal/wire"
)

type signInCommand struct {
	Add    signInAddCommand    `cmd:"" help:"Have people sign in to the console at an OpenID Connect issuer, or replace a sign-in provider as a whole."`
	List   signInListCommand   `cmd:"" help:"List sign-in providers."`
	Remove signInRemoveCommand `cmd:"" help:"End a sign-in provider, and the sessions of whoever came by it."`
}

type signInAddCommand struct {
	clientFlags
	Name             string   `arg:"" help:"Name of the sign-in provider; it is part of the URLs."`
	Issuer           string   `arg:"" help:"URL of the issuer, exactly as its ID tokens write it (iss)."`
	ClientID         string   `help:"Id of the client that the issuer knows." required:"" placeholder:"ID"`
	ClientSecretFile string   `help:"File with the client's secret, such as /dev/stdin. Without it, the client is a public one." type:"path" placeholder:"FILE"`
	Scope            []string `help:"A scope to ask for, openid among them; may be repeated. Default: openid, profile and email." placeholder:"SCOPE"`
}

func (c signInAddCommand) Run(ctx context.Context, o output) error {
	in := map[string]any{"name": c.Name, "issuer": c.Issuer, "clientId": c.ClientID} // wire's shape shows no secret
	if c.Scope != nil {
		in["scopes"] = c.Scope
	}
	if c.ClientSecretFile != "" {
		text, err := os.ReadFile(c.ClientSecretFile)
		if err != nil {
			return err
		}
		s := strings.TrimRight(string(text), "\r\n")
		if s == "" {
			return errors.New("there is no client secret in " + c.ClientSecretFile + ": leave --client-secret-file out for a public client")
		}
		in["clientSecret"] = s
	}
	var out wire.SignInProvider
	if err := c.call(ctx, "PutSignInProvider", in, &out); err != nil {
		return err
	}
	o.printf("redirect URI to register at %s:\n  %s\npeople sign in at:\n  %s\n", out.Issuer, out.RedirectUri, out.SignInUrl)
	return nil
}

type signInListCommand struct{ clientFlags }

func (c signInListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListSignInProvidersOutput
	if err := c.call(ctx, "ListSignInProviders", struct{}{}, &out); err != nil {
		return err
	}
	for _, p := range out.SignInProviders {
		o.printf("%s\t%s\t%s\t%s\t%s\t%s\n", p.Name, p.Issuer, p.ClientId, strings.Join(p.Scopes, ","), p.SignInUrl, stamp(p.LastUpdatedTime))
	}
	return nil
}

type signInRemoveCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the sign-in provider."`
}

func (c signInRemoveCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DeleteSignInProvider", wire.DeleteSignInProviderInput{Name: c.Name}, nil); err != nil {
		return err
	}
	o.printf("nobody signs in by %s any more\n", c.Name)
	return nil
}
