package wire

import "strings"

// The operations on webhooks are extensions: who is told what becomes of grants.

const webhookEventTypes = `consent.completed|grant.degraded|grant.recovered|grant.needs_consent|grant.revoked|provider.failing`

// WebhookEventType is what an event tells.
type WebhookEventType string

// Values are the values of the enum.
func (WebhookEventType) Values() []string {
	return strings.Split(webhookEventTypes, "|")
}

// PutWebhookInput is the request of PutWebhook: a new webhook, or another URL and other events for the one of that name. Without EventTypes it is told of all.
type PutWebhookInput struct {
	Name       string   `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	Url        string   `json:"url" wire:"required,len=1..2048"`
	EventTypes []string `json:"eventTypes,omitzero" wire:"items=0..20,each.pattern=webhookEventType"`
}

// PutWebhookOutput is the answer of PutWebhook. A new webhook's secret is shown here and never again.
type PutWebhookOutput struct {
	Webhook *Webhook `json:"webhook" wire:"required"`
	Secret  *string  `json:"secret,omitzero" wire:"sensitive"`
}

// Webhook is a webhook without its secret.
type Webhook struct {
	Name            string   `json:"name" wire:"required"`
	WebhookArn      string   `json:"webhookArn" wire:"required"`
	Url             string   `json:"url" wire:"required"`
	EventTypes      []string `json:"eventTypes,omitzero" wire:"each.pattern=webhookEventType"` // none: all
	CreatedTime     Time     `json:"createdTime" wire:"required"`
	LastUpdatedTime Time     `json:"lastUpdatedTime" wire:"required"`
	// PreviousSecretUntil is when the secret before the last rotation signs no more.
	PreviousSecretUntil *Time `json:"previousSecretUntil,omitzero"`
}

// ListWebhooksInput is the request of ListWebhooks.
type ListWebhooksInput struct{}

// ListWebhooksOutput is the answer of ListWebhooks.
type ListWebhooksOutput struct {
	Webhooks []Webhook `json:"webhooks" wire:"required"`
}

// DeleteWebhookInput is the request of DeleteWebhook.
type DeleteWebhookInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// DeleteWebhookOutput is the answer of DeleteWebhook.
type DeleteWebhookOutput struct{}

// RotateWebhookSecretInput is the request of RotateWebhookSecret.
type RotateWebhookSecretInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// RotateWebhookSecretOutput is the answer of RotateWebhookSecret: the new secret, shown here and never again. Messages are signed by both until
// PreviousSecretUntil.
type RotateWebhookSecretOutput struct {
	Secret              string `json:"secret" wire:"required,sensitive"`
	PreviousSecretUntil Time   `json:"previousSecretUntil" wire:"required"`
}

// TestWebhookInput is the request of TestWebhook.
type TestWebhookInput struct {
	Name string `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
}

// TestWebhookOutput is the answer of TestWebhook: what became of one message of type webhook.test, sent just now.
type TestWebhookOutput struct {
	MessageId string  `json:"messageId" wire:"required"`
	Delivered *bool   `json:"delivered" wire:"required"`
	Error     *string `json:"error,omitzero"`
}

// WebhookDeliveryState is how a delivery stands.
type WebhookDeliveryState string

// Values are the values of the enum.
func (WebhookDeliveryState) Values() []string { return []string{"pending", "delivered", "dead"} }

// ListWebhookDeliveriesInput is the request of ListWebhookDeliveries.
type ListWebhookDeliveriesInput struct {
	Name       string                `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	State      *WebhookDeliveryState `json:"state,omitzero"`
	NextToken  *string               `json:"nextToken,omitzero"`
	MaxResults *int32                `json:"maxResults,omitzero" wire:"range=1..100"`
}

// ListWebhookDeliveriesOutput is the answer of ListWebhookDeliveries, the newest first.
type ListWebhookDeliveriesOutput struct {
	Deliveries []WebhookDelivery `json:"deliveries" wire:"required"`
	NextToken  *string           `json:"nextToken,omitzero"`
}

// WebhookDelivery is one event on its way to a webhook. A dead one was given up.
type WebhookDelivery struct {
	MessageId    string               `json:"messageId" wire:"required"`
	EventType    WebhookEventType     `json:"eventType" wire:"required"`
	State        WebhookDeliveryState `json:"state" wire:"required"`
	Attempts     *int64               `json:"attempts" wire:"required"`
	LastError    *string              `json:"lastError,omitzero"`
	CreatedTime  Time                 `json:"createdTime" wire:"required"`
	FinishedTime *Time                `json:"finishedTime,omitzero"`
}

// RetryWebhookDeliveriesInput is the request of RetryWebhookDeliveries: one dead delivery, or all of them.
type RetryWebhookDeliveriesInput struct {
	Name      string  `json:"name" wire:"required,len=1..128,pattern=credentialProviderName"`
	MessageId *string `json:"messageId,omitzero" wire:"len=1..256"`
}

// RetryWebhookDeliveriesOutput is the answer of RetryWebhookDeliveries.
type RetryWebhookDeliveriesOutput struct {
	RetriedDeliveries *int64 `json:"retriedDeliveries" wire:"required"`
}
