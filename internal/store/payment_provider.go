package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// PaymentProvider is a payment credential provider; Config is payment.Config as JSON, Secret and SigningKey are sealed, or nil while SecretAt and
// SigningKeyAt say where they are. There may be no signing key at all.
type PaymentProvider struct {
	Account              string
	Name                 string
	Incarnation          string
	Config               string
	Secret               []byte
	SecretAt             Reference
	SigningKey           []byte
	SigningKeyAt         Reference
	CreatedAt, UpdatedAt time.Time
	Version              int64
}

const paymentProviderColumns = `account, name, incarnation, config, secret, secret_id, secret_json_key, signing_key, signing_key_id, signing_key_json_key,
	created_at, updated_at, version`

func scanPaymentProvider(r scanner) (p PaymentProvider, err error) {
	return p, r.Scan(&p.Account, &p.Name, &p.Incarnation, &p.Config, &p.Secret, &p.SecretAt.ID, &p.SecretAt.JSONKey,
		&p.SigningKey, &p.SigningKeyAt.ID, &p.SigningKeyAt.JSONKey, moment{&p.CreatedAt}, moment{&p.UpdatedAt}, &p.Version)
}

// InsertPaymentProvider adds a provider with its tags, and the token vault vaultID when it is the first; fault.Conflict when the name is taken.
func (s *Store) InsertPaymentProvider(p PaymentProvider, vaultID string, tags Tags) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO payment_providers (`+paymentProviderColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1)`,
			p.Account, p.Name, p.Incarnation, p.Config, p.Secret, p.SecretAt.ID, p.SecretAt.JSONKey,
			p.SigningKey, p.SigningKeyAt.ID, p.SigningKeyAt.JSONKey, millis(p.CreatedAt), millis(p.UpdatedAt)); err != nil {
			return err
		}
		return t.inVault(p.Account, vaultID, p.CreatedAt, tags)
	})
}

// PaymentProvider finds a provider.
func (s *Store) PaymentProvider(ctx context.Context, account, name string) (PaymentProvider, error) {
	return readOne(ctx, s, scanPaymentProvider, `SELECT `+paymentProviderColumns+` FROM payment_providers WHERE account = $1 AND name = $2`, account, name)
}

// PaymentProviders lists a page by name and says whether there is more.
func (s *Store) PaymentProviders(ctx context.Context, account string, p Page) ([]PaymentProvider, bool, error) {
	rows, err := readAll(ctx, s, scanPaymentProvider, `SELECT `+paymentProviderColumns+` FROM payment_providers
		WHERE account = $1 AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`, account, p.After, p.Limit+1)
	rows, more := paged(rows, p.Limit)
	return rows, more, err
}

// UpdatePaymentProvider replaces the changeable columns, if the row still has the version that p was read with.
func (s *Store) UpdatePaymentProvider(p PaymentProvider) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.ConcurrentModification, `UPDATE payment_providers SET config = $4, secret = $5, secret_id = $6, secret_json_key = $7,
			signing_key = $8, signing_key_id = $9, signing_key_json_key = $10, updated_at = $11, version = version + 1
			WHERE account = $1 AND name = $2 AND incarnation = $3 AND version = $12`,
			p.Account, p.Name, p.Incarnation, p.Config, p.Secret, p.SecretAt.ID, p.SecretAt.JSONKey,
			p.SigningKey, p.SigningKeyAt.ID, p.SigningKeyAt.JSONKey, millis(p.UpdatedAt), p.Version); err != nil {
			return err
		}
		return t.bumpEpoch(p.Account)
	})
}

// DeletePaymentProvider removes a provider with its tags.
func (s *Store) DeletePaymentProvider(account, name, resource string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM payment_providers WHERE account = $1 AND name = $2`, account, name); err != nil {
			return err
		}
		return t.deleted(account, resource)
	})
}
