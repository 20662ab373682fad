package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Grant is what a user or vendor gave us for one workload and user at one provider generation. Tokens and UserName are sealed.
type Grant struct {
	Account                       string
	Key                           string // the broker's grant key
	Flow                          string
	Workload, WorkloadIncarnation string
	Provider, ProviderIncarnation string
	Generation                    string
	UserKey                       string // "" without a user
	Keyset                        string // id of the keyset that sealed the row
	UserName                      []byte
	AccessToken, RefreshToken     []byte // RefreshToken nil when there is none
	TokenType                     string
	AskedScopes, GrantedScopes    []string
	Resources, Audiences          []string // that every refresh names again
	State                         GrantState
	LastError                     string    // the vendor's error code, or ours; never a text with secrets
	ObtainedAt                    time.Time // of the access token
	ExpiresAt                     time.Time // of the access token; zero: the vendor did not say
	IntentAt                      time.Time // zero unless a refresh was begun and not finished
	CreatedAt                     time.Time
	Version                       int64 // rises with every write; 0 for a new grant
}

// GrantState is what is stored of a grant's condition.
type GrantState string

// The stored states.
const (
	GrantActive GrantState = "active"
	GrantDead   GrantState = "dead" // the vendor refuses its refresh token, or it may be spent
)

const grantColumns = `account, grant_key, flow, workload, workload_incarnation, provider, provider_incarnation, provider_generation, user_key, keyset, user_name,
	access_token, refresh_token, token_type, asked_scopes, granted_scopes, resources, audiences, state, last_error, obtained_at, expires_at, intent_at, created_at, version`

func scanGrant(r scanner) (g Grant, err error) {
	return g, r.Scan(&g.Account, &g.Key, &g.Flow, &g.Workload, &g.WorkloadIncarnation, &g.Provider, &g.ProviderIncarnation, &g.Generation, &g.UserKey, &g.Keyset, &g.UserName,
		&g.AccessToken, &g.RefreshToken, &g.TokenType, list{&g.AskedScopes}, list{&g.GrantedScopes}, list{&g.Resources}, list{&g.Audiences}, &g.State, &g.LastError,
		moment{&g.ObtainedAt}, moment{&g.ExpiresAt}, moment{&g.IntentAt}, moment{&g.CreatedAt}, &g.Version)
}

// Grant finds a grant by its key.
func (s *Store) Grant(ctx context.Context, account, key string) (Grant, error) {
	return readOne(ctx, s, scanGrant, `SELECT `+grantColumns+` FROM grants WHERE account = $1 AND grant_key = $2`, account, key)
}

// PutGrant adds a grant or replaces the one of its key; fault.NotFound when its workload, provider generation or keyset is gone.
// It returns the version written.
func (s *Store) PutGrant(g Grant) (version int64, err error) {
	err = s.write(func(t *tx) error {
		version, err = t.putGrant(g)
		return err
	})
	return version, err
}

func (t *tx) putGrant(g Grant) (version int64, err error) {
	return version, t.get([]any{&version}, `INSERT INTO grants (`+grantColumns+`)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, 1
		WHERE EXISTS (SELECT 1 FROM workload_identities WHERE account = $1 AND name = $4 AND incarnation = $5)
		  AND EXISTS (SELECT 1 FROM oauth2_providers WHERE account = $1 AND name = $6 AND incarnation = $7 AND generation = $8)
		  AND EXISTS (SELECT 1 FROM keysets WHERE account = $1 AND id = $10)
		ON CONFLICT (account, grant_key) DO UPDATE SET
			keyset = excluded.keyset, user_name = excluded.user_name, access_token = excluded.access_token, refresh_token = excluded.refresh_token, token_type = excluded.token_type,
			asked_scopes = excluded.asked_scopes, granted_scopes = excluded.granted_scopes, state = excluded.state, last_error = excluded.last_error,
			obtained_at = excluded.obtained_at, expires_at = excluded.expires_at, intent_at = excluded.intent_at, version = grants.version + 1
		RETURNING version`,
		g.Account, g.Key, g.Flow, g.Workload, g.WorkloadIncarnation, g.Provider, g.ProviderIncarnation, g.Generation, g.UserKey, g.Keyset, g.UserName,
		g.AccessToken, g.RefreshToken, g.TokenType, listText(g.AskedScopes), listText(g.GrantedScopes), listText(g.Resources), listText(g.Audiences), g.State, g.LastError,
		millis(g.ObtainedAt), millis(g.ExpiresAt), millis(g.IntentAt), millis(g.CreatedAt))
}

// UpdateGrant writes the changeable columns of g if the row still has g's version, and returns the new version;
// fault.ConcurrentModification when somebody wrote or deleted it meanwhile, or it was sealed by another keyset.
func (s *Store) UpdateGrant(g Grant) (version int64, err error) {
	err = s.write(func(t *tx) error {
		err := t.get([]any{&version}, `UPDATE grants SET access_token = $4, refresh_token = $5, token_type = $6, asked_scopes = $7, granted_scopes = $8,
			state = $9, last_error = $10, obtained_at = $11, expires_at = $12, intent_at = $13, version = version + 1
			WHERE account = $1 AND grant_key = $2 AND version = $3 AND keyset = $14 RETURNING version`,
			g.Account, g.Key, g.Version, g.AccessToken, g.RefreshToken, g.TokenType, listText(g.AskedScopes), listText(g.GrantedScopes),
			g.State, g.LastError, millis(g.ObtainedAt), millis(g.ExpiresAt), millis(g.IntentAt), g.Keyset)
		if err == fault.NotFound {
			return fault.ConcurrentModification
		}
		return err
	})
	return version, err
}
