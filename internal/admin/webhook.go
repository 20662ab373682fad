package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/webhook"
	"credence/internal/wire"
)

// secretOverlap is how long a secret signs on after its rotation.
const secretOverlap = 24 * time.Hour

func (a *Admin) webhookARN(account, name string) string {
	return a.ARNs.Extension(account, "webhook", name)
}

// allowWebhook is the first call of every operation on webhooks.
func (a *Admin) allowWebhook(c iam.Caller, operation, name string) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{a.webhookARN(c.Account, name)}})
}

// allowedWebhook decides and then finds a webhook.
func (a *Admin) allowedWebhook(ctx context.Context, c iam.Caller, operation, name string) (store.Webhook, error) {
	if err := a.allowWebhook(c, operation, name); err != nil {
		return store.Webhook{}, err
	}
	w, err := a.Store.Webhook(ctx, c.Account, name)
	if errors.Is(err, fault.NotFound) {
		return w, fault.New(fault.NotFound, "Resource not found: %s", a.webhookARN(c.Account, name))
	}
	return w, err
}

// PutWebhook has events told to a URL. A new webhook gets a secret, which only this answer shows; of one that is there the URL and the events change.
func (a *Admin) PutWebhook(ctx context.Context, c iam.Caller, in *wire.PutWebhookInput) (*wire.PutWebhookOutput, error) {
	if err := a.allowWebhook(c, "PutWebhook", in.Name); err != nil {
		return nil, err
	}
	if err := a.CheckURL(in.Url); err != nil {
		return nil, fault.Invalid("url", "%v", err)
	}
	w, err := a.Store.Webhook(ctx, c.Account, in.Name)
	found := err == nil
	if err != nil && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	now := time.Now()
	if !found {
		w = store.Webhook{Account: c.Account, Name: in.Name, ID: rand.Text(), CreatedAt: now}
	}
	w.URL, w.EventTypes, w.UpdatedAt = in.Url, in.EventTypes, now
	out := &wire.PutWebhookOutput{}
	if found {
		err = a.Store.UpdateWebhook(w)
	} else {
		s := webhook.NewSecret()
		out.Secret = new(s.Reveal())
		err = a.Vault.InsertWebhook(ctx, w, s)
	}
	if errors.Is(err, fault.Conflict) { // two made it at once
		return nil, fault.Wrap(fault.ConcurrentModification, err, "The webhook %q changed meanwhile: try again", in.Name)
	}
	if err != nil {
		return nil, err
	}
	out.Webhook = new(a.describeWebhook(w))
	return out, nil
}

func (a *Admin) describeWebhook(w store.Webhook) wire.Webhook {
	out := wire.Webhook{Name: w.Name, WebhookArn: a.webhookARN(w.Account, w.Name), Url: w.URL, EventTypes: w.EventTypes, CreatedTime: wire.Time{Time: w.CreatedAt}, LastUpdatedTime: wire.Time{Time: w.UpdatedAt}}
	if w.PreviousSecret != nil && time.Now().Before(w.PreviousUntil) {
		out.PreviousSecretUntil = &wire.Time{Time: w.PreviousUntil}
	}
	return out
}

// ListWebhooks lists the webhooks of the account, without their secrets.
func (a *Admin) ListWebhooks(ctx context.Context, c iam.Caller, _ *wire.ListWebhooksInput) (*wire.ListWebhooksOutput, error) {
	if err := a.allowWebhook(c, "ListWebhooks", "*"); err != nil {
		return nil, err
	}
	rows, err := a.Store.Webhooks(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListWebhooksOutput{Webhooks: make([]wire.Webhook, len(rows))}
	for i, w := range rows {
		out.Webhooks[i] = a.describeWebhook(w)
	}
	return out, nil
}

// DeleteWebhook has a webhook told nothing any more, not even what it has still to be told.
func (a *Admin) DeleteWebhook(ctx context.Context, c iam.Caller, in *wire.DeleteWebhookInput) (*wire.DeleteWebhookOutput, error) {
	w, err := a.allowedWebhook(ctx, c, "DeleteWebhook", in.Name)
	if err != nil {
		return nil, err
	}
	if err := a.Store.DeleteWebhook(w.Account, w.Name); err != nil && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	return &wire.DeleteWebhookOutput{}, nil
}

// RotateWebhookSecret gives a webhook a new secret, which only this answer shows. For a day both sign.
func (a *Admin) RotateWebhookSecret(ctx context.Context, c iam.Caller, in *wire.RotateWebhookSecretInput) (*wire.RotateWebhookSecretOutput, error) {
	w, err := a.allowedWebhook(ctx, c, "RotateWebhookSecret", in.Name)
	if err != nil {
		return nil, err
	}
	s := webhook.NewSecret()
	until := time.Now().Add(secretOverlap)
	w.UpdatedAt = time.Now()
	if err := a.Vault.RotateWebhook(ctx, w, s, until); err != nil {
		return nil, err
	}
	return &wire.RotateWebhookSecretOutput{Secret: s.Reveal(), PreviousSecretUntil: wire.Time{Time: until}}, nil
}

// TestWebhook sends one message of type webhook.test at once, and tells what became of it.
func (a *Admin) TestWebhook(ctx context.Context, c iam.Caller, in *wire.TestWebhookInput) (*wire.TestWebhookOutput, error) {
	w, err := a.allowedWebhook(ctx, c, "TestWebhook", in.Name)
	if err != nil {
		return nil, err
	}
	secrets, err := a.Vault.WebhookSecrets(ctx, w)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(event{Type: "webhook.test", Timestamp: time.Now().UTC(), Data: eventData{Account: w.Account}})
	if err != nil {
		return nil, err
	}
	m := webhook.Message{ID: "msg_" + rand.Text(), Body: body}
	out := &wire.TestWebhookOutput{MessageId: m.ID, Delivered: new(true)}
	if err := webhook.Send(ctx, a.HTTP, w.URL, m, secrets...); err != nil {
		out.Delivered, out.Error = new(false), new(err.Error())
	}
	return out, nil
}

// ListWebhookDeliveries lists what a webhook was or has to be told, the newest first. What arrived is forgotten after a day, what was given up after a month.
func (a *Admin) ListWebhookDeliveries(ctx context.Context, c iam.Caller, in *wire.ListWebhookDeliveriesInput) (*wire.ListWebhookDeliveriesOutput, error) {
	const operation = "ListWebhookDeliveries"
	w, err := a.allowedWebhook(ctx, c, operation, in.Name)
	if err != nil {
		return nil, err
	}
	cursor := "cursor " + operation + " " + w.ID
	page := store.Page{Limit: 100}
	if in.MaxResults != nil {
		page.Limit = int(*in.MaxResults)
	}
	if in.NextToken != nil {
		after, ok, err := a.Vault.OpenHandle(ctx, c.Account, cursor, *in.NextToken)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fault.Invalid("nextToken", "is not one that %s returned for this webhook: leave it out to begin anew", operation)
		}
		page.After = string(after)
	}
	rows, more, err := a.Store.Deliveries(ctx, c.Account, w.ID, store.DeliveryState(or(in.State, "")), page)
	if err != nil {
		return nil, err
	}
	out := &wire.ListWebhookDeliveriesOutput{Deliveries: make([]wire.WebhookDelivery, len(rows))}
	for i, d := range rows {
		out.Deliveries[i] = wire.WebhookDelivery{
			MessageId: d.ID, EventType: wire.WebhookEventType(d.EventType), State: wire.WebhookDeliveryState(d.State), Attempts: &d.Attempts, CreatedTime: wire.Time{Time: d.CreatedAt},
		}
		if d.LastError != "" {
			out.Deliveries[i].LastError = &d.LastError
		}
		if !d.FinishedAt.IsZero() {
			out.Deliveries[i].FinishedTime = &wire.Time{Time: d.FinishedAt}
		}
	}
	if more {
		token, err := a.Vault.SealHandle(ctx, c.Account, cursor, []byte(rows[len(rows)-1].ID))
		if err != nil {
			return nil, err
		}
		out.NextToken = &token
	}
	return out, nil
}

// RetryWebhookDeliveries sends what was given up again: one message, or all of a webhook.
func (a *Admin) RetryWebhookDeliveries(ctx context.Context, c iam.Caller, in *wire.RetryWebhookDeliveriesInput) (*wire.RetryWebhookDeliveriesOutput, error) {
	w, err := a.allowedWebhook(ctx, c, "RetryWebhookDeliveries", in.Name)
	if err != nil {
		return nil, err
	}
	n, err := a.Store.RetryDeliveries(w.Account, w.ID, or(in.MessageId, ""))
	if err != nil {
		return nil, err
	}
	if n == 0 && in.MessageId != nil {
		return nil, fault.Invalid("messageId", "%q is no dead delivery of webhook %q: ListWebhookDeliveries shows those", *in.MessageId, in.Name)
	}
	return &wire.RetryWebhookDeliveriesOutput{RetriedDeliveries: new(int64(n))}, nil
}

// event is the body of a message, as receivers see it.
type event struct {
	Type      store.EventType `json:"type"`
	Timestamp time.Time       `json:"timestamp"` // when it happened
	Data      eventData       `json:"data"`
}

// eventData names what an event is about. It has no member for a token or a secret.
type eventData struct {
	Account  string `json:"account"`
	GrantID  string `json:"grantId,omitempty"`
	Workload string `json:"workloadName,omitempty"`
	Provider string `json:"resourceCredentialProviderName,omitempty"`
	User     string `json:"user,omitempty"`   // readable, as ListGrants shows it
	Reason   string `json:"reason,omitempty"` // the vendor's error code, what we noticed, or why it was revoked
}

// message is a delivery as it is sent.
func (a *Admin) message(ctx context.Context, d store.Delivery) (webhook.Message, error) {
	user, err := a.Vault.ToldUser(ctx, d)
	if err != nil {
		return webhook.Message{}, err
	}
	body, err := json.Marshal(event{Type: d.EventType, Timestamp: d.CreatedAt, Data: eventData{
		Account: d.Account, GrantID: d.GrantKey, Workload: d.Workload, Provider: d.Provider, User: user, Reason: d.Reason,
	}})
	return webhook.Message{ID: d.ID, Body: body}, err
}

// send makes one attempt.
func (a *Admin) send(ctx context.Context, d store.Delivery) error {
	w, err := a.Store.WebhookByID(ctx, d.Account, d.Webhook)
	if err != nil {
		return err
	}
	m, err := a.message(ctx, d)
	if err != nil {
		return err
	}
	var secrets []secret.String
	if secrets, err = a.Vault.WebhookSecrets(ctx, w); err != nil {
		return err
	}
	return webhook.Send(ctx, a.HTTP, w.URL, m, secrets...)
}
