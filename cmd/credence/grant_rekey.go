package main

import (
	"context"
	"errors"
	"fmt"

	"credence/internal/wire"
)

type grantRekeyCommand struct {
	clientFlags
	From   userFlags `embed:"" prefix:"from-"`
	To     userFlags `embed:"" prefix:"to-"`
	DryRun bool      `help:"Look what would be moved, and change nothing."`
}

func (c grantRekeyCommand) Run(ctx context.Context, o output) error {
	from, fromErr := c.From.user()
	to, toErr := c.To.user()
	switch {
	case fromErr != nil || from == nil:
		return errors.New("whose grants they are is said by --from-user-id, by --from-issuer and --from-subject, or by --from-issuer and --from-claim")
	case toErr != nil || to == nil:
		return errors.New("whose they become is said by --to-user-id, by --to-issuer and --to-subject, or by --to-issuer and --to-claim")
	}
	moved, skipped := 0, 0
	for in := (wire.RekeyGrantsInput{From: from, To: to, DryRun: &c.DryRun}); ; {
		var out wire.RekeyGrantsOutput
		if err := c.call(ctx, "RekeyGrants", in, &out); err != nil {
			return err
		}
		for _, g := range out.RekeyedGrants {
			o.printf("%s\t%s\t%s\t%s\n", g.PreviousGrantId, g.GrantId, g.WorkloadName, g.ResourceCredentialProviderName)
		}
		for _, s := range out.Skipped {
			o.printf("not moved: %s: %s\n", s.GrantId, s.Reason)
		}
		moved, skipped = moved+len(out.RekeyedGrants), skipped+len(out.Skipped)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	what := "moved"
	if c.DryRun {
		what = "would be moved"
	}
	o.printf("%d %s\n", moved, what)
	if skipped > 0 {
		return fmt.Errorf("%d not: what can be done about each is said above; run it again then", skipped)
	}
	return nil
}
