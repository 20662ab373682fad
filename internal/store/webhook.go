package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"credence/internal/fault"
)

// Webhook is whom an account wants told of events. Its secrets are sealed.
type Webhook struct {
	Account              string
	Name                 string
	ID                   string // random per creation
	URL                  string
	EventTypes           []string // none: all
	Secret               []byte
	PreviousSecret       []byte // nil without one
	PreviousUntil        time.Time
	CreatedAt, UpdatedAt time.Time
	Version              int64
}

// EventType is what an event tells. Its values reach disk and receivers.
type EventType string

// The events.
const (
	EventConsentCompleted  EventType = "consent.completed"
	EventGrantDegraded     EventType = "grant.degraded"
	EventGrantRecovered    EventType = "grant.recovered"
	EventGrantNeedsConsent EventType = "grant.needs_consent"
	EventGrantRevoked      EventType = "grant.revoked"
	EventProviderFailing   EventType = "provider.failing"
)

// Delivery is an event on its way to a webhook. UserName has the seal of the grant; GrantKey is "" of an event that is of no grant.
type Delivery struct {
	Account            string
	Webhook            string // id
	ID                 string // sorts by time
	EventType          EventType
	GrantKey           string
	Workload, Provider string // names
	UserName           []byte
	Reason             string // an error code or a cause; never a text with secrets
	State              DeliveryState
	Attempts           int64
	LastError          string
	CreatedAt          time.Time // when it happened
	FinishedAt         time.Time
	Version            int64
}

// DeliveryState is how a delivery stands.
type DeliveryState string

// The states.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryDead      DeliveryState = "dead" // given up, kept to be looked at and tried again
)

const (
	webhooksPerAccount = 20
	deadDeliveries     = 30 * 24 * time.Hour
	// providerTold is how long it is enough to have said once that a provider fails, and why.
	providerTold = time.Hour
)

const webhookColumns = `account, name, id, url, event_types, secret, previous_secret, previous_until, created_at, updated_at, version`

func scanWebhook(r scanner) (w Webhook, err error) {
	return w, r.Scan(&w.Account, &w.Name, &w.ID, &w.URL, list{&w.EventTypes}, &w.Secret, &w.PreviousSecret, moment{&w.PreviousUntil},
		moment{&w.CreatedAt}, moment{&w.UpdatedAt}, &w.Version)
}

// InsertWebhook adds a webhook; fault.Conflict when the name is taken, fault.Quota when the account has as many as it may.
func (s *Store) InsertWebhook(w Webhook) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `UPDATE accounts SET epoch = epoch WHERE account = $1`, w.Account); err != nil { // who adds another waits
			return err
		}
		if err := t.exec(`INSERT INTO webhooks (`+webhookColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1)`,
			w.Account, w.Name, w.ID, w.URL, listText(w.EventTypes), w.Secret, w.PreviousSecret, millis(w.PreviousUntil), millis(w.CreatedAt), millis(w.UpdatedAt)); err != nil {
			return err
		}
		var n int
		if err := t.get([]any{&n}, `SELECT COUNT(*) FROM webhooks WHERE account = $1`, w.Account); err != nil {
			return err
		}
		if n > webhooksPerAccount {
			return fault.New(fault.Quota, "Account %s may have %d webhooks, and has them: delete one", w.Account, webhooksPerAccount)
		}
		return nil
	})
}

// UpdateWebhook writes the changeable columns of w if the row still has w's version; fault.ConcurrentModification otherwise.
func (s *Store) UpdateWebhook(w Webhook) error {
	return s.write(func(t *tx) error {
		return t.change(fault.ConcurrentModification, `UPDATE webhooks SET url = $5, event_types = $6, secret = $7, previous_secret = $8, previous_until = $9, updated_at = $10,
			version = version + 1 WHERE account = $1 AND name = $2 AND id = $3 AND version = $4`,
			w.Account, w.Name, w.ID, w.Version, w.URL, listText(w.EventTypes), w.Secret, w.PreviousSecret, millis(w.PreviousUntil), millis(w.UpdatedAt))
	})
}

// Webhook finds a webhook by its name.
func (s *Store) Webhook(ctx context.Context, account, name string) (Webhook, error) {
	return readOne(ctx, s, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks WHERE account = $1 AND name = $2`, account, name)
}

// WebhookByID finds a webhook by its id.
func (s *Store) WebhookByID(ctx context.Context, account, id string) (Webhook, error) {
	return readOne(ctx, s, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks WHERE account = $1 AND id = $2`, account, id)
}

// Webhooks lists those of an account.
func (s *Store) Webhooks(ctx context.Context, account string) ([]Webhook, error) {
	return readAll(ctx, s, scanWebhook, `SELECT `+webhookColumns+` FROM webhooks WHERE account = $1 ORDER BY name COLLATE "C"`, account)
}

// DeleteWebhook removes a webhook and all that it has still to be told; fault.NotFound when there is none.
func (s *Store) DeleteWebhook(account, name string) error {
	return s.write(func(t *tx) error {
		var id string
		if err := t.get([]any{&id}, `DELETE FROM webhooks WHERE account = $1 AND name = $2 RETURNING id`, account, name); err != nil {
			return err
		}
		return t.exec(`DELETE FROM webhook_deliveries WHERE account = $1 AND webhook = $2`, account, id)
	})
}

const deliveryColumns = `account, webhook, id, event_type, grant_key, workload, provider, user_name, reason, state, attempts, next_at, last_error, created_at, finished_at, version`

func deliveryFields(d *Delivery) []any {
	return []any{&d.Account, &d.Webhook, &d.ID, &d.EventType, &d.GrantKey, &d.Workload, &d.Provider, &d.UserName, &d.Reason, &d.State, &d.Attempts, moment{new(time.Time)}, &d.LastError,
		moment{&d.CreatedAt}, moment{&d.FinishedAt}, &d.Version}
}

func scanDelivery(r scanner) (d Delivery, err error) { return d, r.Scan(deliveryFields(&d)...) }

// tell puts an event of the grants g for which a condition holds into the outbox of every webhook w that wants it. It is part of the transaction that changes
// them. The condition's parameters are $2, $3, …
func (t *tx) tell(event EventType, reason, account, condition string, args ...any) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	args = append([]any{account}, args...)
	n := len(args)
	return t.exec(fmt.Sprintf(`INSERT INTO webhook_deliveries (`+deliveryColumns+`)
		SELECT g.account, w.id, $%d || g.grant_key, $%d, g.grant_key, g.workload, g.provider, g.user_name, $%d, 'pending', 0, {now}, '', {now}, 0, 1
		FROM grants g JOIN webhooks w ON w.account = g.account AND (w.event_types = '[]' OR w.event_types LIKE $%d) WHERE g.account = $1 AND `+condition, n+1, n+2, n+3, n+4),
		append(slices.Clone(args), "msg_"+id.String()+"_", string(event), reason, wants(event))...)
}

// wants matches the lists that have an event.
func wants(event EventType) string { return `%"` + string(event) + `"%` }

// tellOfChange tells what the change of a grant to g means. It comes before the change, and looks at what the row is then.
func (t *tx) tellOfChange(g Grant) error {
	event, from := EventGrantRecovered, `(g.state = 'dead' OR g.state = 'active' AND g.last_error <> '')`
	switch {
	case g.State == GrantDead:
		event, from = EventGrantNeedsConsent, `g.state = 'active'`
	case g.State != GrantActive:
		return nil
	case g.LastError != "":
		event, from = EventGrantDegraded, `g.state = 'active' AND g.last_error = ''`
	}
	return t.tell(event, g.LastError, g.Account, `g.grant_key = $2 AND g.version = $3 AND g.keyset = $4 AND `+from, g.Key, g.Version, g.Keyset)
}

// tellOfConsentNeeded tells, once, that a grant has ended which nothing can renew. That is no change of its row: it comes with the first consent that is asked for.
func (t *tx) tellOfConsentNeeded(account, grantKey string) error {
	return t.tell(EventGrantNeedsConsent, "expired", account, `g.grant_key = $2 AND g.state = 'active' AND g.refresh_token IS NULL AND g.expires_at <> 0 AND g.expires_at <= {now}
		AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.account = g.account AND d.webhook = w.id AND d.grant_key = g.grant_key AND d.event_type = $3 AND d.created_at >= g.expires_at)`,
		grantKey, string(EventGrantNeedsConsent))
}

// TellProviderFailing tells that a provider's vendor refuses us as a client, or is away; at most once an hour for each reason.
func (s *Store) TellProviderFailing(account, provider, reason string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	return s.write(func(t *tx) error {
		return t.exec(`INSERT INTO webhook_deliveries (`+deliveryColumns+`)
			SELECT w.account, w.id, $2, $3, '', '', $4, NULL, $5, 'pending', 0, {now}, '', {now}, 0, 1
			FROM webhooks w WHERE w.account = $1 AND (w.event_types = '[]' OR w.event_types LIKE $6)
			AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.account = w.account AND d.webhook = w.id AND d.event_type = $7 AND d.provider = $8 AND d.reason = $9 AND d.created_at > {now} - $10)`,
			account, "msg_"+id.String(), string(EventProviderFailing), provider, reason, wants(EventProviderFailing), string(EventProviderFailing), provider, reason, providerTold.Milliseconds())
	})
}

// PendingDeliveries counts those that are not finished, and those of them that are due.
func (s *Store) PendingDeliveries(ctx context.Context) (pending, due int, err error) {
	counts, err := readOne(ctx, s, func(r scanner) (n [2]int, err error) { return n, r.Scan(&n[0], &n[1]) },
		`SELECT COUNT(*), COUNT(CASE WHEN next_at <= {now} THEN 1 END) FROM webhook_deliveries WHERE state = 'pending'`)
	return counts[0], counts[1], err
}

// ClaimDelivery takes the delivery that has been due longest; nobody else gets it for d, by the database's clock. fault.NotFound when none is due.
func (s *Store) ClaimDelivery(d time.Duration) (c Delivery, err error) {
	err = s.write(func(t *tx) error {
		c = Delivery{}
		return t.get(deliveryFields(&c), `UPDATE webhook_deliveries SET next_at = {now} + $1, attempts = attempts + 1, version = version + 1
			WHERE state = 'pending' AND next_at <= {now} AND (account, webhook, id) IN
				(SELECT account, webhook, id FROM webhook_deliveries WHERE state = 'pending' AND next_at <= {now} ORDER BY next_at LIMIT 1)
			RETURNING `+deliveryColumns, d.Milliseconds())
	})
	return c, err
}

// KeepDelivery writes the last error of a claimed delivery, which is due again after wait. The webhook's others are not due before others is over: one that does not answer
// must not keep everybody busy. fault.ConcurrentModification when somebody else has claimed it meanwhile.
func (s *Store) KeepDelivery(d Delivery, wait, others time.Duration) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`UPDATE webhook_deliveries SET next_at = {now} + $3 WHERE account = $1 AND webhook = $2 AND state = 'pending' AND next_at < {now} + $4`,
			d.Account, d.Webhook, others.Milliseconds(), others.Milliseconds()); err != nil {
			return err
		}
		return t.change(fault.ConcurrentModification, `UPDATE webhook_deliveries SET last_error = $5, next_at = {now} + $6, version = version + 1
			WHERE account = $1 AND webhook = $2 AND id = $3 AND version = $4 AND state = 'pending'`, d.Account, d.Webhook, d.ID, d.Version, d.LastError, wait.Milliseconds())
	})
}

// FinishDelivery writes the final state of a claimed delivery; fault.ConcurrentModification when somebody else has claimed it meanwhile.
func (s *Store) FinishDelivery(d Delivery) error {
	return s.write(func(t *tx) error {
		return t.change(fault.ConcurrentModification, `UPDATE webhook_deliveries SET state = $5, last_error = $6, finished_at = {now}, version = version + 1
			WHERE account = $1 AND webhook = $2 AND id = $3 AND version = $4 AND state = 'pending'`, d.Account, d.Webhook, d.ID, d.Version, d.State, d.LastError)
	})
}

// Deliveries lists a page of a webhook's, the newest first, and says whether there is more; state "" is any.
func (s *Store) Deliveries(ctx context.Context, account, webhook string, state DeliveryState, p Page) ([]Delivery, bool, error) {
	condition, args := `account = $1 AND webhook = $2`, []any{account, webhook}
	add := func(text string, v any) {
		args = append(args, v)
		condition += fmt.Sprintf(" AND "+text, len(args))
	}
	if state != "" {
		add(`state = $%d`, string(state))
	}
	if p.After != "" {
		add(`id COLLATE "C" < $%d`, p.After)
	}
	rows, err := readAll(ctx, s, scanDelivery, fmt.Sprintf(`SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE `+condition+` ORDER BY id COLLATE "C" DESC LIMIT $%d`, len(args)+1),
		append(args, p.Limit+1)...)
	rows, more := paged(rows, p.Limit)
	return rows, more, err
}

// RetryDeliveries makes dead deliveries of a webhook due at once and counts them; id "" is all of them.
func (s *Store) RetryDeliveries(account, webhook, id string) (n int, err error) {
	condition, args := ``, []any{account, webhook}
	if id != "" {
		condition, args = ` AND id = $3`, append(args, id)
	}
	err = s.write(func(t *tx) error {
		n, err = t.count(`UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_at = {now}, finished_at = 0, version = version + 1
			WHERE account = $1 AND webhook = $2 AND state = 'dead'`+condition, args...)
		return err
	})
	return n, err
}
