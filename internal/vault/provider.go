package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
)

// OAuth2Provider is an OAuth2 credential provider: its row, with the client secret sealed, and what its config says.
type OAuth2Provider struct {
	Row    store.OAuth2Provider
	Config provider.Config
}

func newOAuth2Provider(row store.OAuth2Provider) (*OAuth2Provider, error) {
	p := &OAuth2Provider{Row: row}
	if err := json.Unmarshal([]byte(row.Config), &p.Config); err != nil {
		return nil, fmt.Errorf("the stored config of provider %s: %w", row.Name, err)
	}
	return p, nil
}

// The client secret is bound to the generation: it does not open under another issuer, endpoint host or client id.
func clientSecretPlace(r store.OAuth2Provider) place {
	return place{"oauth2_providers", "client_secret", r.Account, strings.Join([]string{r.Name, r.Incarnation, r.Generation}, "/")}
}

// OAuth2Provider finds a provider. The result is shared: do not change it.
func (v *Vault) OAuth2Provider(ctx context.Context, account, name string) (*OAuth2Provider, error) {
	return v.providers.get(ctx, key(account, name), func(ctx context.Context) (*OAuth2Provider, error) {
		row, err := v.store.OAuth2Provider(ctx, account, name)
		if err != nil {
			return nil, err
		}
		return newOAuth2Provider(row)
	})
}

// ReloadOAuth2Provider finds a provider as the database has it now.
func (v *Vault) ReloadOAuth2Provider(ctx context.Context, account, name string) (*OAuth2Provider, error) {
	v.providers.forget(key(account, name))
	return v.OAuth2Provider(ctx, account, name)
}

// OAuth2ProviderByCallback finds a provider by the id in its callback URL.
func (v *Vault) OAuth2ProviderByCallback(ctx context.Context, callbackID string) (*OAuth2Provider, error) {
	row, err := v.store.OAuth2ProviderByCallback(ctx, callbackID)
	if err != nil {
		return nil, err
	}
	return newOAuth2Provider(row)
}

// OAuth2Providers lists a page of providers by name and says whether there is more.
func (v *Vault) OAuth2Providers(ctx context.Context, account string, page store.Page) ([]*OAuth2Provider, bool, error) {
	rows, more, err := v.store.OAuth2Providers(ctx, account, page)
	if err != nil {
		return nil, false, err
	}
	out := make([]*OAuth2Provider, len(rows))
	for i, row := range rows {
		if out[i], err = newOAuth2Provider(row); err != nil {
			return nil, false, err
		}
	}
	return out, more, nil
}

// ClientSecret is the client secret of a provider; empty when it has none.
func (v *Vault) ClientSecret(ctx context.Context, p *OAuth2Provider) (secret.String, error) {
	return v.reveal(ctx, clientSecretPlace(p.Row), p.Row.ClientSecret, p.Row.ClientSecretAt)
}

func registrationTokenPlace(r store.OAuth2Provider) place {
	p := clientSecretPlace(r)
	p.column = "registration_token"
	return p
}

// SealRegistrationToken puts the access token that manages a registered client into the row of its provider, sealed; an empty one is none.
func (v *Vault) SealRegistrationToken(ctx context.Context, r *store.OAuth2Provider, token secret.String) (err error) {
	r.RegistrationToken = nil
	if !token.IsZero() {
		r.RegistrationToken, err = v.seal(ctx, registrationTokenPlace(*r), []byte(token.Reveal()))
	}
	return err
}

// RegistrationToken opens what SealRegistrationToken sealed; empty when there is none.
func (v *Vault) RegistrationToken(ctx context.Context, p *OAuth2Provider) (secret.String, error) {
	if p.Row.RegistrationToken == nil {
		return secret.String{}, nil
	}
	text, err := v.open(ctx, registrationTokenPlace(p.Row), p.Row.RegistrationToken)
	return secret.New(string(text)), err
}

// InsertOAuth2Provider adds a provider with its tags.
func (v *Vault) InsertOAuth2Provider(ctx context.Context, p OAuth2Provider, clientSecret secret.String, tags store.Tags) error {
	if err := v.sealOAuth2Provider(ctx, &p, clientSecret); err != nil {
		return err
	}
	return v.store.InsertOAuth2Provider(p.Row, vaultID, tags)
}

// UpdateOAuth2Provider replaces the changeable columns. A client secret replaces what is stored, and so does a reference; without either what is stored stays,
// which needs the same generation.
func (v *Vault) UpdateOAuth2Provider(ctx context.Context, p OAuth2Provider, clientSecret secret.String) error {
	if err := v.sealOAuth2Provider(ctx, &p, clientSecret); err != nil {
		return err
	}
	defer v.providers.forget(key(p.Row.Account, p.Row.Name))
	return v.store.UpdateOAuth2Provider(p.Row)
}

func (v *Vault) sealOAuth2Provider(ctx context.Context, p *OAuth2Provider, clientSecret secret.String) error {
	config, err := json.Marshal(p.Config)
	if err != nil {
		return err
	}
	p.Row.Config = string(config)
	return v.keep(ctx, clientSecretPlace(p.Row), clientSecret, &p.Row.ClientSecret, &p.Row.ClientSecretAt)
}

// DeleteOAuth2Provider removes a provider with its tags, grants and authorization sessions.
func (v *Vault) DeleteOAuth2Provider(account, name, resource string) error {
	defer v.grants.forgetAll()
	defer v.providers.forget(key(account, name))
	return v.store.DeleteOAuth2Provider(account, name, resource)
}

// CallbackID is the id in the callback URL of the account's provider of that name, whether it exists yet or not: a UUID (RFC 9562,
// version 8) from a keyed hash, so that nobody can guess another's.
func (v *Vault) CallbackID(ctx context.Context, account, name string) (string, error) {
	k, err := v.keys(ctx, account)
	if err != nil {
		return "", err
	}
	sum, err := k.names.ComputePrimaryPRF([]byte("callback\x00"+account+"\x00"+name), 16)
	if err != nil {
		return "", err
	}
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return uuid.UUID(sum).String(), nil
}

func apiKeyPlace(r store.APIKeyProvider) place {
	return place{"apikey_providers", "api_key", r.Account, r.Name + "/" + r.Incarnation}
}

// APIKeyProvider finds an API key credential provider; its key is sealed.
func (v *Vault) APIKeyProvider(ctx context.Context, account, name string) (store.APIKeyProvider, error) {
	return v.apiKeys.get(ctx, key(account, name), func(ctx context.Context) (store.APIKeyProvider, error) {
		return v.store.APIKeyProvider(ctx, account, name)
	})
}

// APIKey is the key of a provider.
func (v *Vault) APIKey(ctx context.Context, p store.APIKeyProvider) (secret.String, error) {
	return v.reveal(ctx, apiKeyPlace(p), p.APIKey, p.APIKeyAt)
}

// InsertAPIKeyProvider adds a provider with its tags.
func (v *Vault) InsertAPIKeyProvider(ctx context.Context, p store.APIKeyProvider, apiKey secret.String, tags store.Tags) error {
	if err := v.keep(ctx, apiKeyPlace(p), apiKey, &p.APIKey, &p.APIKeyAt); err != nil {
		return err
	}
	return v.store.InsertAPIKeyProvider(p, vaultID, tags)
}

// UpdateAPIKeyProvider replaces the key of a provider, by a key or by a reference.
func (v *Vault) UpdateAPIKeyProvider(ctx context.Context, p store.APIKeyProvider, apiKey secret.String) error {
	if err := v.keep(ctx, apiKeyPlace(p), apiKey, &p.APIKey, &p.APIKeyAt); err != nil {
		return err
	}
	defer v.apiKeys.forget(key(p.Account, p.Name))
	return v.store.UpdateAPIKeyProvider(p)
}

// DeleteAPIKeyProvider removes a provider with its tags.
func (v *Vault) DeleteAPIKeyProvider(account, name, resource string) error {
	defer v.apiKeys.forget(key(account, name))
	return v.store.DeleteAPIKeyProvider(account, name, resource)
}
