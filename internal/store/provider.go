package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Reference is where a secret is kept elsewhere; the zero value says that it is not.
type Reference struct{ ID, JSONKey string }

// OAuth2Provider is an OAuth2 credential provider; Config is provider.Config as JSON, ClientSecret is sealed, or nil while ClientSecretAt says where it is.
type OAuth2Provider struct {
	Account              string
	Name                 string
	Incarnation          string
	Generation           string
	CallbackID           string
	Vendor               string
	Config               string
	ClientSecret         []byte
	AssertionKey         string // id of the Key that signs client assertions; "" when none does
	AssertionClaims      []byte // what they say beside what they must; sealed, nil for nothing
	ClientSecretAt       Reference
	RegistrationToken    []byte // sealed; nil when the client did not register itself
	CreatedAt, UpdatedAt time.Time
	Version              int64
}

const oauth2ProviderColumns = `account, name, incarnation, generation, callback_id, vendor, config, client_secret, client_secret_id, client_secret_json_key, assertion_key, assertion_claims, registration_token, created_at, updated_at, version`

func scanOAuth2Provider(r scanner) (p OAuth2Provider, err error) {
	return p, r.Scan(&p.Account, &p.Name, &p.Incarnation, &p.Generation, &p.CallbackID, &p.Vendor, &p.Config, &p.ClientSecret, &p.ClientSecretAt.ID, &p.ClientSecretAt.JSONKey, &p.AssertionKey, &p.AssertionClaims,
		&p.RegistrationToken, moment{&p.CreatedAt}, moment{&p.UpdatedAt}, &p.Version)
}

// InsertOAuth2Provider adds a provider with its tags, and the token vault vaultID when it is the first; fault.Conflict when the name is taken.
func (s *Store) InsertOAuth2Provider(p OAuth2Provider, vaultID string, tags Tags) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO oauth2_providers (`+oauth2ProviderColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1)`,
			p.Account, p.Name, p.Incarnation, p.Generation, p.CallbackID, p.Vendor, p.Config, p.ClientSecret, p.ClientSecretAt.ID, p.ClientSecretAt.JSONKey, p.AssertionKey, p.AssertionClaims,
			p.RegistrationToken, millis(p.CreatedAt), millis(p.UpdatedAt)); err != nil {
			return err
		}
		return t.inVault(p.Account, KindOAuth2Provider, vaultID, p.CreatedAt, tags)
	})
}

// inVault ends every creation of a provider: the vault exists from the first one on.
func (t *tx) inVault(account string, k Kind, vaultID string, at time.Time, tags Tags) error {
	if err := t.withinQuota(account, k); err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO token_vaults (account, id, modified_at) VALUES ($1, $2, $3) ON CONFLICT (account, id) DO NOTHING`, account, vaultID, millis(at)); err != nil {
		return err
	}
	return t.putTags(account, tags)
}

// OAuth2Provider finds a provider.
func (s *Store) OAuth2Provider(ctx context.Context, account, name string) (OAuth2Provider, error) {
	return readOne(ctx, s, scanOAuth2Provider, `SELECT `+oauth2ProviderColumns+` FROM oauth2_providers WHERE account = $1 AND name = $2`, account, name)
}

// OAuth2ProviderByCallback finds a provider by the id in its callback URL, whatever its account.
func (s *Store) OAuth2ProviderByCallback(ctx context.Context, callbackID string) (OAuth2Provider, error) {
	return readOne(ctx, s, scanOAuth2Provider, `SELECT `+oauth2ProviderColumns+` FROM oauth2_providers WHERE callback_id = $1`, callbackID)
}

// OAuth2Providers lists a page by name and says whether there is more.
func (s *Store) OAuth2Providers(ctx context.Context, account string, p Page) ([]OAuth2Provider, bool, error) {
	rows, err := readAll(ctx, s, scanOAuth2Provider, `SELECT `+oauth2ProviderColumns+` FROM oauth2_providers
		WHERE account = $1 AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`, account, p.After, p.Limit+1)
	rows, more := paged(rows, p.Limit)
	return rows, more, err
}

// UpdateOAuth2Provider replaces the changeable columns, if the row still has the version that p was read with. A new generation ends the grants of
// the one before: they are removed, and to be revoked at its vendor.
func (s *Store) UpdateOAuth2Provider(p OAuth2Provider) error {
	return s.write(func(t *tx) error {
		var generation string
		err := t.get([]any{&generation}, `SELECT generation FROM oauth2_providers WHERE account = $1 AND name = $2 AND incarnation = $3`, p.Account, p.Name, p.Incarnation)
		if err == nil && generation != p.Generation {
			err = t.revokeGrants(CauseProviderChanged, p.Account, `g.provider_incarnation = $2`, p.Incarnation)
		}
		if err != nil && err != fault.NotFound { // below, one that is not there has changed meanwhile
			return err
		}
		if err := t.change(fault.ConcurrentModification, `UPDATE oauth2_providers SET generation = $4, config = $5, client_secret = $6, client_secret_id = $7,
			client_secret_json_key = $8, assertion_key = $9, assertion_claims = $10, registration_token = $11, updated_at = $12,
			version = version + 1 WHERE account = $1 AND name = $2 AND incarnation = $3 AND version = $13`,
			p.Account, p.Name, p.Incarnation, p.Generation, p.Config, p.ClientSecret, p.ClientSecretAt.ID, p.ClientSecretAt.JSONKey, p.AssertionKey, p.AssertionClaims, p.RegistrationToken, millis(p.UpdatedAt), p.Version); err != nil {
			return err
		}
		// What a vendor refused for the provider's sake is worth another try at once.
		if err := t.exec(`UPDATE grants SET failures = 0, retry_at = 0 WHERE account = $1 AND provider_incarnation = $2 AND failures <> 0`, p.Account, p.Incarnation); err != nil {
			return err
		}
		return t.bumpEpoch(p.Account)
	})
}

// DeleteOAuth2Provider removes a provider with its tags, grants, which are to be revoked at the vendor, and authorization sessions.
func (s *Store) DeleteOAuth2Provider(account, name, resource string) error {
	return s.write(func(t *tx) error {
		var incarnation string
		if err := t.get([]any{&incarnation}, `SELECT incarnation FROM oauth2_providers WHERE account = $1 AND name = $2`, account, name); err != nil {
			return err
		}
		if err := t.revokeGrants(CauseProviderDeleted, account, `g.provider_incarnation = $2`, incarnation); err != nil {
			return err
		}
		if err := t.change(fault.NotFound, `DELETE FROM oauth2_providers WHERE account = $1 AND name = $2 AND incarnation = $3`, account, name, incarnation); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM authorization_sessions WHERE account = $1 AND provider_incarnation = $2`, account, incarnation); err != nil {
			return err
		}
		return t.deleted(account, resource)
	})
}

// APIKeyProvider is an API key credential provider; APIKey is sealed, or nil while APIKeyAt says where it is.
type APIKeyProvider struct {
	Account              string
	Name                 string
	Incarnation          string
	APIKey               []byte
	APIKeyAt             Reference
	CreatedAt, UpdatedAt time.Time
}

const apiKeyProviderColumns = `account, name, incarnation, api_key, api_key_id, api_key_json_key, created_at, updated_at`

func scanAPIKeyProvider(r scanner) (p APIKeyProvider, err error) {
	return p, r.Scan(&p.Account, &p.Name, &p.Incarnation, &p.APIKey, &p.APIKeyAt.ID, &p.APIKeyAt.JSONKey, moment{&p.CreatedAt}, moment{&p.UpdatedAt})
}

// InsertAPIKeyProvider adds a provider with its tags, and the token vault vaultID when it is the first; fault.Conflict when the name is taken.
func (s *Store) InsertAPIKeyProvider(p APIKeyProvider, vaultID string, tags Tags) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`INSERT INTO apikey_providers (`+apiKeyProviderColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			p.Account, p.Name, p.Incarnation, p.APIKey, p.APIKeyAt.ID, p.APIKeyAt.JSONKey, millis(p.CreatedAt), millis(p.UpdatedAt)); err != nil {
			return err
		}
		return t.inVault(p.Account, KindAPIKeyProvider, vaultID, p.CreatedAt, tags)
	})
}

// APIKeyProvider finds a provider.
func (s *Store) APIKeyProvider(ctx context.Context, account, name string) (APIKeyProvider, error) {
	return readOne(ctx, s, scanAPIKeyProvider, `SELECT `+apiKeyProviderColumns+` FROM apikey_providers WHERE account = $1 AND name = $2`, account, name)
}

// APIKeyProviders lists a page by name and says whether there is more.
func (s *Store) APIKeyProviders(ctx context.Context, account string, p Page) ([]APIKeyProvider, bool, error) {
	rows, err := readAll(ctx, s, scanAPIKeyProvider, `SELECT `+apiKeyProviderColumns+` FROM apikey_providers
		WHERE account = $1 AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`, account, p.After, p.Limit+1)
	rows, more := paged(rows, p.Limit)
	return rows, more, err
}

// UpdateAPIKeyProvider replaces the key of the incarnation that p names.
func (s *Store) UpdateAPIKeyProvider(p APIKeyProvider) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `UPDATE apikey_providers SET api_key = $4, api_key_id = $5, api_key_json_key = $6, updated_at = $7
			WHERE account = $1 AND name = $2 AND incarnation = $3`, p.Account, p.Name, p.Incarnation, p.APIKey, p.APIKeyAt.ID, p.APIKeyAt.JSONKey, millis(p.UpdatedAt)); err != nil {
			return err
		}
		return t.bumpEpoch(p.Account)
	})
}

// DeleteAPIKeyProvider removes a provider with its tags.
func (s *Store) DeleteAPIKeyProvider(account, name, resource string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM apikey_providers WHERE account = $1 AND name = $2`, account, name); err != nil {
			return err
		}
		return t.deleted(account, resource)
	})
}
