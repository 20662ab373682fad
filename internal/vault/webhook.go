package vault

import (
	"context"
	"time"

	"credence/internal/secret"
	"credence/internal/store"
)

func webhookPlace(w store.Webhook, column string) place {
	return place{"webhooks", column, w.Account, w.Name + "/" + w.ID}
}

// InsertWebhook adds a webhook with its secret.
func (v *Vault) InsertWebhook(ctx context.Context, w store.Webhook, s secret.String) (err error) {
	if w.Secret, err = v.seal(ctx, webhookPlace(w, "secret"), []byte(s.Reveal())); err != nil {
		return err
	}
	return v.store.InsertWebhook(w)
}

// RotateWebhook gives a webhook a new secret; the one it has signs as well until the given time.
func (v *Vault) RotateWebhook(ctx context.Context, w store.Webhook, s secret.String, until time.Time) error {
	old, err := v.open(ctx, webhookPlace(w, "secret"), w.Secret)
	if err != nil {
		return err
	}
	if w.PreviousSecret, err = v.seal(ctx, webhookPlace(w, "previous_secret"), old); err != nil {
		return err
	}
	if w.Secret, err = v.seal(ctx, webhookPlace(w, "secret"), []byte(s.Reveal())); err != nil {
		return err
	}
	w.PreviousUntil = until
	return v.store.UpdateWebhook(w)
}

// WebhookSecrets are those that sign now, the newest first.
func (v *Vault) WebhookSecrets(ctx context.Context, w store.Webhook) ([]secret.String, error) {
	plaintext, err := v.open(ctx, webhookPlace(w, "secret"), w.Secret)
	if err != nil {
		return nil, err
	}
	secrets := []secret.String{secret.New(string(plaintext))}
	if w.PreviousSecret != nil && time.Now().Before(w.PreviousUntil) {
		if plaintext, err = v.open(ctx, webhookPlace(w, "previous_secret"), w.PreviousSecret); err != nil {
			return nil, err
		}
		secrets = append(secrets, secret.New(string(plaintext)))
	}
	return secrets, nil
}

// ToldUser opens the readable form of the user that a delivery is about; empty without one.
func (v *Vault) ToldUser(ctx context.Context, d store.Delivery) (string, error) {
	return v.UserName(ctx, store.Grant{Account: d.Account, Key: d.GrantKey, UserName: d.UserName})
}
