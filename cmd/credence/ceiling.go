package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"credence/internal/wire"
)

type ceilingCommand struct {
	Put    ceilingPutCommand    `cmd:"" help:"Set what may be had at most of a provider, or by a workload identity. An older ceiling of it is replaced as a whole."`
	Get    ceilingGetCommand    `cmd:"" help:"Show a ceiling, as put --file takes it."`
	List   ceilingListCommand   `cmd:"" help:"List ceilings."`
	Remove ceilingRemoveCommand `cmd:"" help:"End a ceiling."`
}

type ceilingTarget struct {
	Provider string `help:"The ceiling of every credential provider of this name." placeholder:"NAME"`
	Workload string `help:"The ceiling of a workload identity." placeholder:"NAME"`
}

func (t ceilingTarget) target() (*wire.CeilingTarget, error) {
	if (t.Provider == "") == (t.Workload == "") {
		return nil, errors.New("say whose ceiling: one of --provider, --workload")
	}
	return &wire.CeilingTarget{ResourceCredentialProviderName: optional(t.Provider), WorkloadName: optional(t.Workload)}, nil
}

type ceilingPutCommand struct {
	clientFlags
	ceilingTarget
	File          string   `help:"JSON document of the ceiling, as docs/policies.md has it; other flags add to it." type:"existingfile" placeholder:"FILE"`
	Scope         []string `help:"Scopes that tokens may have at most; may be repeated." placeholder:"SCOPE"`
	Flow          []string `help:"Only these flows: USER_FEDERATION, M2M, ON_BEHALF_OF_TOKEN_EXCHANGE; may be repeated." placeholder:"FLOW"`
	OnlyWorkload  []string `help:"Only these workload identities may use the provider; may be repeated." placeholder:"NAME"`
	OnlyProvider  []string `help:"The workload identity may use only these providers; may be repeated." placeholder:"NAME"`
	OnlyUserID    []string `name:"only-user-id" help:"Only for these users, known by id; may be repeated." placeholder:"ID"`
	OnlyIssuer    []string `help:"Only for users of the JWTs of these issuers; may be repeated." placeholder:"URL"`
	Resource      []string `help:"Resources and audiences that tokens may be for; may be repeated." placeholder:"URI"`
	MaxAgeSeconds *int32   `help:"After how long a user has to consent anew." placeholder:"SECONDS"`
}

func (c ceilingPutCommand) Run(ctx context.Context, o output) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	var ceiling wire.Ceiling
	if c.File != "" {
		text, err := os.ReadFile(c.File)
		if err != nil {
			return err
		}
		document := json.NewDecoder(bytes.NewReader(text))
		document.DisallowUnknownFields() // a slip of the pen must not look like a limit
		if err := document.Decode(&ceiling); err != nil {
			return fmt.Errorf("--file %q: %w", c.File, err)
		}
	}
	ceiling.Scopes, ceiling.Oauth2Flows = append(ceiling.Scopes, c.Scope...), append(ceiling.Oauth2Flows, c.Flow...)
	ceiling.WorkloadNames = append(ceiling.WorkloadNames, c.OnlyWorkload...)
	ceiling.ResourceCredentialProviderNames = append(ceiling.ResourceCredentialProviderNames, c.OnlyProvider...)
	ceiling.UserIssuers, ceiling.Resources = append(ceiling.UserIssuers, c.OnlyIssuer...), append(ceiling.Resources, c.Resource...)
	for _, id := range c.OnlyUserID {
		ceiling.Users = append(ceiling.Users, wire.GrantUser{UserId: &id})
	}
	if c.MaxAgeSeconds != nil {
		ceiling.MaximumGrantAgeSeconds = c.MaxAgeSeconds
	}
	var out wire.CeilingSummary
	if err := c.call(ctx, "PutCeiling", wire.PutCeilingInput{Target: target, Ceiling: &ceiling}, &out); err != nil {
		return err
	}
	o.printf("ceiling of %s set\n", out.Target)
	return nil
}

type ceilingGetCommand struct {
	clientFlags
	ceilingTarget
}

func (c ceilingGetCommand) Run(ctx context.Context, o output) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	var out wire.CeilingSummary
	if err := c.call(ctx, "GetCeiling", wire.GetCeilingInput{Target: target}, &out); err != nil {
		return err
	}
	return printCeiling(o, *out.Ceiling, "  ")
}

func printCeiling(o output, c wire.Ceiling, indent string) error {
	text, err := json.MarshalIndent(c, "", indent)
	if indent == "" {
		text, err = json.Marshal(c)
	}
	o.printf("%s\n", text)
	return err
}

type ceilingListCommand struct{ clientFlags }

func (c ceilingListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListCeilingsOutput
	if err := c.call(ctx, "ListCeilings", struct{}{}, &out); err != nil {
		return err
	}
	for _, ceiling := range out.Ceilings {
		o.printf("%s\t%s\t%s\t", ceiling.Target, stamp(ceiling.LastUpdatedTime), ceiling.LastUpdatedBy)
		if err := printCeiling(o, *ceiling.Ceiling, ""); err != nil {
			return err
		}
	}
	return nil
}

type ceilingRemoveCommand struct {
	clientFlags
	ceilingTarget
}

func (c ceilingRemoveCommand) Run(ctx context.Context, o output) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	if err := c.call(ctx, "DeleteCeiling", wire.DeleteCeilingInput{Target: target}, nil); err != nil {
		return err
	}
	o.printf("there is no ceiling any more\n")
	return nil
}
