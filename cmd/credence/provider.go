package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"credence/internal/wire"
)

type providerCommand struct {
	CallbackURL callbackURLCommand `cmd:"" name:"callback-url" help:"Show the callback URL that an OAuth2 credential provider of that name has or will have."`
	FromMCP     fromMCPCommand     `cmd:"" name:"from-mcp" help:"Make a provider for an MCP server: find its authorization server, and register a client there."`
	Test        providerTest       `cmd:"" help:"Say what of a provider is right and what is wrong, without a user and without a token."`
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

type fromMCPCommand struct {
	clientFlags
	URL    string `arg:"" help:"URL of the MCP server, or of any resource with RFC 9728 metadata."`
	Name   string `help:"Name of the provider." required:"" placeholder:"NAME"`
	Issuer string `help:"Which of its authorization servers, if it has several. Default: the first." placeholder:"URL"`
	Yes    bool   `help:"Do not ask whether resource and issuer are the right ones." env:"-"`
}

func (c fromMCPCommand) Run(ctx context.Context, o output) error {
	var found wire.DiscoverMcpServerOutput
	if err := c.call(ctx, "DiscoverMcpServer", wire.DiscoverMcpServerInput{Url: c.URL, Issuer: optional(c.Issuer)}, &found); err != nil {
		return err
	}
	o.printf("resource       %s\n", found.Resource)
	if found.ResourceName != nil {
		o.printf("it says it is  %q\n", *found.ResourceName)
	}
	o.printf("issuer         %s\n", found.Issuer)
	if len(found.AuthorizationServers) > 1 {
		o.printf("               (one of %s)\n", strings.Join(found.AuthorizationServers, ", "))
	}
	o.printf("users go to    %s\ntokens from    %s\n", found.AuthorizationEndpoint, found.TokenEndpoint)
	if len(found.ScopesSupported) > 0 {
		o.printf("scopes         %s\n", strings.Join(found.ScopesSupported, " "))
	}
	if !c.Yes {
		_, _ = fmt.Fprintf(o.err, "Users will sign in at this issuer, and agents will get tokens for this resource. Make provider %s? [y/N] ", c.Name)
		answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return errors.Join(errors.New("nothing was made: answer y, or say --yes"), err)
		}
	}
	var made wire.CreateOauth2CredentialProviderFromMcpServerOutput
	if err := c.call(ctx, "CreateOauth2CredentialProviderFromMcpServer", wire.CreateOauth2CredentialProviderFromMcpServerInput{
		Name: c.Name, Url: c.URL, Resource: found.Resource, Issuer: found.Issuer,
	}, &made); err != nil {
		return err
	}
	o.printf("provider       %s\n", made.CredentialProviderArn)
	if custom := made.Oauth2ProviderConfigOutput.CustomOauth2ProviderConfig; custom != nil && custom.ClientId != nil {
		o.printf("client id      %s\n", *custom.ClientId)
	}
	return nil
}

type providerTest struct {
	clientFlags
	Name string `arg:"" help:"Name of the provider."`
}

func (c providerTest) Run(ctx context.Context, o output) error {
	var out wire.TestOauth2CredentialProviderOutput
	if err := c.call(ctx, "TestOauth2CredentialProvider", wire.TestOauth2CredentialProviderInput{Name: c.Name}, &out); err != nil {
		return err
	}
	failed := 0
	for _, check := range out.Checks {
		o.printf("%-8s %-22s %s\n", strings.ToLower(string(check.Status)), strings.ToLower(strings.ReplaceAll(string(check.Name), "_", " ")), check.Message)
		if check.Status == wire.CheckFailed {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(out.Checks))
	}
	return nil
}
