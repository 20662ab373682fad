package main

import (
	"context"
	"errors"
	"strings"

	"credence/internal/wire"
)

type webhookCommand struct {
	Put        webhookPutCommand        `cmd:"" help:"Have events told to a URL, or change the URL and the events of a webhook."`
	List       webhookListCommand       `cmd:"" help:"List webhooks."`
	Remove     webhookRemoveCommand     `cmd:"" help:"Have a webhook told nothing any more."`
	Rotate     webhookRotateCommand     `cmd:"" help:"Give a webhook a new secret; for a day both sign."`
	Test       webhookTestCommand       `cmd:"" help:"Send one message now, and say what became of it."`
	Deliveries webhookDeliveriesCommand `cmd:"" help:"List what a webhook was or has to be told, the newest first."`
	Retry      webhookRetryCommand      `cmd:"" help:"Send what was given up again."`
}

type webhookPutCommand struct {
	clientFlags
	Name  string   `arg:"" help:"Name of the webhook."`
	URL   string   `arg:"" name:"url" help:"https URL that takes a POST for each event."`
	Event []string `help:"Only these: consent.completed, grant.degraded, grant.recovered, grant.needs_consent, grant.revoked, provider.failing; may be repeated. Default: all." placeholder:"TYPE"`
}

func (c webhookPutCommand) Run(ctx context.Context, o output) error {
	var out wire.PutWebhookOutput
	if err := c.call(ctx, "PutWebhook", wire.PutWebhookInput{Name: c.Name, Url: c.URL, EventTypes: c.Event}, &out); err != nil {
		return err
	}
	if out.Secret == nil {
		o.printf("changed %s\n", out.Webhook.Name)
		return nil
	}
	o.printf("made %s; its secret, which is shown only now:\n%s\n", out.Webhook.Name, *out.Secret)
	return nil
}

type webhookListCommand struct{ clientFlags }

func (c webhookListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListWebhooksOutput
	if err := c.call(ctx, "ListWebhooks", struct{}{}, &out); err != nil {
		return err
	}
	for _, w := range out.Webhooks {
		events := "all"
		if len(w.EventTypes) > 0 {
			events = strings.Join(w.EventTypes, ",")
		}
		o.printf("%s\t%s\t%s\t%s\n", w.Name, w.Url, events, stamp(w.CreatedTime))
	}
	return nil
}

type webhookRemoveCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the webhook."`
}

func (c webhookRemoveCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DeleteWebhook", wire.DeleteWebhookInput{Name: c.Name}, nil); err != nil {
		return err
	}
	o.printf("%s is told nothing any more\n", c.Name)
	return nil
}

type webhookRotateCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the webhook."`
}

func (c webhookRotateCommand) Run(ctx context.Context, o output) error {
	var out wire.RotateWebhookSecretOutput
	if err := c.call(ctx, "RotateWebhookSecret", wire.RotateWebhookSecretInput{Name: c.Name}, &out); err != nil {
		return err
	}
	o.printf("the old secret signs until %s; the new one, which is shown only now:\n%s\n", stamp(out.PreviousSecretUntil), out.Secret)
	return nil
}

type webhookTestCommand struct {
	clientFlags
	Name string `arg:"" help:"Name of the webhook."`
}

func (c webhookTestCommand) Run(ctx context.Context, o output) error {
	var out wire.TestWebhookOutput
	if err := c.call(ctx, "TestWebhook", wire.TestWebhookInput{Name: c.Name}, &out); err != nil {
		return err
	}
	if !*out.Delivered {
		return errors.New("message " + out.MessageId + " was not taken: " + *out.Error)
	}
	o.printf("message %s was taken\n", out.MessageId)
	return nil
}

type webhookDeliveriesCommand struct {
	clientFlags
	Name  string                    `arg:"" help:"Name of the webhook."`
	State wire.WebhookDeliveryState `help:"Only these: pending, delivered or dead." placeholder:"STATE"`
}

func (c webhookDeliveriesCommand) Run(ctx context.Context, o output) error {
	in := wire.ListWebhookDeliveriesInput{Name: c.Name, State: optional(c.State)}
	for {
		var page wire.ListWebhookDeliveriesOutput
		if err := c.call(ctx, "ListWebhookDeliveries", in, &page); err != nil {
			return err
		}
		for _, d := range page.Deliveries {
			problem := ""
			if d.LastError != nil {
				problem = *d.LastError
			}
			o.printf("%s\t%s\t%s\t%s\t%d\t%s\n", d.MessageId, stamp(d.CreatedTime), d.EventType, d.State, *d.Attempts, problem)
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return nil
		}
	}
}

type webhookRetryCommand struct {
	clientFlags
	Name    string `arg:"" help:"Name of the webhook."`
	Message string `arg:"" optional:"" help:"Id of one message, as deliveries shows it; without it, all that are dead."`
}

func (c webhookRetryCommand) Run(ctx context.Context, o output) error {
	var out wire.RetryWebhookDeliveriesOutput
	if err := c.call(ctx, "RetryWebhookDeliveries", wire.RetryWebhookDeliveriesInput{Name: c.Name, MessageId: optional(c.Message)}, &out); err != nil {
		return err
	}
	o.printf("%d are sent again\n", *out.RetriedDeliveries)
	return nil
}
