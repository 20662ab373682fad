package vault

import (
	"context"
	"encoding/json"
	"fmt"

	"credence/internal/payment"
	"credence/internal/secret"
	"credence/internal/store"
)

// PaymentProvider is a payment credential provider: its row, with its secrets sealed, and what its config says.
type PaymentProvider struct {
	Row    store.PaymentProvider
	Config payment.Config
}

func newPaymentProvider(row store.PaymentProvider) (*PaymentProvider, error) {
	p := &PaymentProvider{Row: row}
	if err := json.Unmarshal([]byte(row.Config), &p.Config); err != nil {
		return nil, fmt.Errorf("the stored config of payment provider %s: %w", row.Name, err)
	}
	return p, nil
}

func paymentPlace(r store.PaymentProvider, column string) place {
	return place{"payment_providers", column, r.Account, r.Name + "/" + r.Incarnation}
}

// PaymentProvider finds a payment credential provider. The result is shared: do not change it.
func (v *Vault) PaymentProvider(ctx context.Context, account, name string) (*PaymentProvider, error) {
	return v.payments.get(ctx, key(account, name), func(ctx context.Context) (*PaymentProvider, error) {
		row, err := v.store.PaymentProvider(ctx, account, name)
		if err != nil {
			return nil, err
		}
		return newPaymentProvider(row)
	})
}

// PaymentProviders lists a page of providers by name and says whether there is more.
func (v *Vault) PaymentProviders(ctx context.Context, account string, page store.Page) ([]*PaymentProvider, bool, error) {
	rows, more, err := v.store.PaymentProviders(ctx, account, page)
	if err != nil {
		return nil, false, err
	}
	out := make([]*PaymentProvider, len(rows))
	for i, row := range rows {
		if out[i], err = newPaymentProvider(row); err != nil {
			return nil, false, err
		}
	}
	return out, more, nil
}

// Coinbase is the signer of a provider whose vendor is CoinbaseCDP.
func (v *Vault) Coinbase(ctx context.Context, p *PaymentProvider) (*payment.Coinbase, error) {
	s, err := v.paymentSecrets(ctx, p.Row)
	if err != nil {
		return nil, err
	}
	return payment.NewCoinbase(p.Config.APIKeyID, s.Secret, s.SigningKey)
}

// Privy is the signer of a provider whose vendor is StripePrivy.
func (v *Vault) Privy(ctx context.Context, p *PaymentProvider) (*payment.Privy, error) {
	s, err := v.paymentSecrets(ctx, p.Row)
	if err != nil {
		return nil, err
	}
	return payment.NewPrivy(p.Config.AppID, s.Secret, s.SigningKey)
}

// PaymentSecrets are those of one provider, by vendor: the API key's secret and the wallet secret, or the app's secret and the authorization private key.
type PaymentSecrets struct{ Secret, SigningKey secret.String }

// paymentSecrets gets both. Nobody gets them: others get signers.
func (v *Vault) paymentSecrets(ctx context.Context, r store.PaymentProvider) (s PaymentSecrets, err error) {
	if s.Secret, err = v.reveal(ctx, paymentPlace(r, "secret"), r.Secret, r.SecretAt); err != nil {
		return s, err
	}
	s.SigningKey, err = v.reveal(ctx, paymentPlace(r, "signing_key"), r.SigningKey, r.SigningKeyAt)
	return s, err
}

// InsertPaymentProvider adds a provider with its tags.
func (v *Vault) InsertPaymentProvider(ctx context.Context, p PaymentProvider, s PaymentSecrets, tags store.Tags) error {
	if err := v.sealPaymentProvider(ctx, &p, s); err != nil {
		return err
	}
	return v.store.InsertPaymentProvider(p.Row, vaultID, tags)
}

// UpdatePaymentProvider replaces the config and those secrets that are given, as themselves or as a reference.
func (v *Vault) UpdatePaymentProvider(ctx context.Context, p PaymentProvider, s PaymentSecrets) error {
	if err := v.sealPaymentProvider(ctx, &p, s); err != nil {
		return err
	}
	defer v.payments.forget(key(p.Row.Account, p.Row.Name))
	return v.store.UpdatePaymentProvider(p.Row)
}

func (v *Vault) sealPaymentProvider(ctx context.Context, p *PaymentProvider, s PaymentSecrets) error {
	config, err := json.Marshal(p.Config)
	if err != nil {
		return err
	}
	p.Row.Config = string(config)
	if err := v.keep(ctx, paymentPlace(p.Row, "secret"), s.Secret, &p.Row.Secret, &p.Row.SecretAt); err != nil {
		return err
	}
	return v.keep(ctx, paymentPlace(p.Row, "signing_key"), s.SigningKey, &p.Row.SigningKey, &p.Row.SigningKeyAt)
}

// DeletePaymentProvider removes a provider with its tags.
func (v *Vault) DeletePaymentProvider(account, name, resource string) error {
	defer v.payments.forget(key(account, name))
	return v.store.DeletePaymentProvider(account, name, resource)
}
