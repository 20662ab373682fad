package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// SignInProvider is where people of an account sign in to the console. ClientSecret is sealed.
type SignInProvider struct {
	Account              string
	Name                 string
	Incarnation          string // random per issuer and client
	Issuer               string
	ClientID             string
	ClientSecret         []byte // nil of a public client
	Scopes               []string
	CreatedAt, UpdatedAt time.Time
}

const (
	signInProviderColumns     = `account, name, incarnation, issuer, client_id, client_secret, scopes, created_at, updated_at`
	signInProvidersPerAccount = 20
)

func scanSignInProvider(r scanner) (p SignInProvider, err error) {
	return p, r.Scan(&p.Account, &p.Name, &p.Incarnation, &p.Issuer, &p.ClientID, &p.ClientSecret, list{&p.Scopes}, moment{&p.CreatedAt}, moment{&p.UpdatedAt})
}

// PutSignInProvider adds a provider, or replaces the one of its name, whose time of creation stays; fault.Quota when the account has as many as it may.
func (s *Store) PutSignInProvider(p SignInProvider) (SignInProvider, error) {
	err := s.write(func(t *tx) error {
		if err := t.bumpEpoch(p.Account); err != nil { // who adds another waits
			return err
		}
		if err := t.get([]any{moment{&p.CreatedAt}}, `INSERT INTO sign_in_providers (`+signInProviderColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (account, name) DO UPDATE SET incarnation = excluded.incarnation, issuer = excluded.issuer, client_id = excluded.client_id,
			client_secret = excluded.client_secret, scopes = excluded.scopes, updated_at = excluded.updated_at RETURNING created_at`,
			p.Account, p.Name, p.Incarnation, p.Issuer, p.ClientID, p.ClientSecret, listText(p.Scopes), millis(p.CreatedAt), millis(p.UpdatedAt)); err != nil {
			return err
		}
		return t.within(p.Account, "sign_in_providers", signInProvidersPerAccount)
	})
	return p, err
}

// SignInProvider finds a provider by its name.
func (s *Store) SignInProvider(ctx context.Context, account, name string) (SignInProvider, error) {
	return readOne(ctx, s, scanSignInProvider, `SELECT `+signInProviderColumns+` FROM sign_in_providers WHERE account = $1 AND name = $2`, account, name)
}

// SignInProviders lists the providers of an account.
func (s *Store) SignInProviders(ctx context.Context, account string) ([]SignInProvider, error) {
	return readAll(ctx, s, scanSignInProvider, `SELECT `+signInProviderColumns+` FROM sign_in_providers WHERE account = $1 ORDER BY name COLLATE "C"`, account)
}

// DeleteSignInProvider ends a provider, and with it the sessions of whoever came by it.
func (s *Store) DeleteSignInProvider(account, name string) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `DELETE FROM sign_in_providers WHERE account = $1 AND name = $2`, account, name); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM console_sessions WHERE account = $1 AND provider = $2`, account, name); err != nil {
			return err
		}
		return t.bumpEpoch(account)
	})
}

// ConsoleSession is what a browser at the console stands for. Content is sealed.
type ConsoleSession struct {
	Account                       string
	ID                            string // digest of what the browser has
	Kind                          ConsoleSessionKind
	Provider, ProviderIncarnation string // "" of a session by access key
	Content                       []byte
	ExpiresAt                     time.Time
}

// ConsoleSessionKind is what such a row is for. Its values reach disk.
type ConsoleSessionKind string

// The kinds.
const (
	ConsoleAttempt  ConsoleSessionKind = "attempt" // an answer of a provider came: there is no second one
	ConsoleChoice   ConsoleSessionKind = "choice"  // of several roles one has to be picked
	ConsoleSignedIn ConsoleSessionKind = "session"
)

const consoleSessionColumns = `account, id, kind, provider, provider_incarnation, content, expires_at`

func scanConsoleSession(r scanner) (n ConsoleSession, err error) {
	return n, r.Scan(&n.Account, &n.ID, &n.Kind, &n.Provider, &n.ProviderIncarnation, &n.Content, moment{&n.ExpiresAt})
}

// InsertConsoleSession adds a row; fault.Conflict when there is one of its id.
func (s *Store) InsertConsoleSession(n ConsoleSession) error {
	return s.write(func(t *tx) error {
		return t.exec(`INSERT INTO console_sessions (`+consoleSessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			n.Account, n.ID, n.Kind, n.Provider, n.ProviderIncarnation, n.Content, millis(n.ExpiresAt))
	})
}

// ConsoleSession finds a row that has not expired, and whose provider is still the one it was begun at.
func (s *Store) ConsoleSession(ctx context.Context, account, id string, kind ConsoleSessionKind) (ConsoleSession, error) {
	return readOne(ctx, s, scanConsoleSession, `SELECT `+consoleSessionColumns+` FROM console_sessions c WHERE account = $1 AND id = $2 AND kind = $3 AND expires_at > $4
		AND (provider = '' OR EXISTS (SELECT 1 FROM sign_in_providers p WHERE p.account = c.account AND p.name = c.provider AND p.incarnation = c.provider_incarnation))`,
		account, id, kind, millis(time.Now()))
}

// DeleteConsoleSession ends a row; fault.NotFound when there is none: of two who end it, one is told so.
func (s *Store) DeleteConsoleSession(account, id string) error {
	return s.write(func(t *tx) error {
		return t.change(fault.NotFound, `DELETE FROM console_sessions WHERE account = $1 AND id = $2`, account, id)
	})
}
