package store

import (
	"context"
	"time"

	"credence/internal/fault"
)

// Session is an authorization session: one consent in flight. Request and Code are sealed; ID and CompletionID are digests.
type Session struct {
	Account                       string
	ID                            string
	Workload, WorkloadIncarnation string
	Provider, ProviderIncarnation string
	Generation                    string
	UserKey                       string
	GrantKey                      string
	ReturnURL                     string
	Keyset                        string // id of the keyset that sealed the row
	Request                       []byte
	State                         SessionState
	Reason                        string // of a failure; never a text with secrets
	CompletionID                  string // "" until a callback was accepted
	Code                          []byte // nil but between callback and completion
	CreatedAt, ExpiresAt          time.Time
	Version                       int64
}

// SessionState is where an authorization session stands; broker/doc.go draws who may move it.
type SessionState string

// The states.
const (
	SessionPending    SessionState = "pending"
	SessionAuthorized SessionState = "authorized"
	SessionExchanging SessionState = "exchanging"
	SessionCompleted  SessionState = "completed"
	SessionFailed     SessionState = "failed"
)

const sessionColumns = `account, id, workload, workload_incarnation, provider, provider_incarnation, provider_generation, user_key, grant_key, return_url,
	keyset, request, state, reason, completion_id, code, created_at, expires_at, version`

func scanSession(r scanner) (s Session, err error) {
	var completion *string
	err = r.Scan(&s.Account, &s.ID, &s.Workload, &s.WorkloadIncarnation, &s.Provider, &s.ProviderIncarnation, &s.Generation, &s.UserKey, &s.GrantKey, &s.ReturnURL,
		&s.Keyset, &s.Request, &s.State, &s.Reason, &completion, &s.Code, moment{&s.CreatedAt}, moment{&s.ExpiresAt}, &s.Version)
	if completion != nil {
		s.CompletionID = *completion
	}
	return s, err
}

func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// InsertSession adds a session; fault.ConcurrentModification when its keyset is gone.
func (s *Store) InsertSession(n Session) error {
	return s.write(func(t *tx) error {
		if err := t.tellOfConsentNeeded(n.Account, n.GrantKey); err != nil {
			return err
		}
		return t.change(fault.ConcurrentModification, `INSERT INTO authorization_sessions (`+sessionColumns+`)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 1
			WHERE EXISTS (SELECT 1 FROM keysets WHERE account = $1 AND id = $11)`,
			n.Account, n.ID, n.Workload, n.WorkloadIncarnation, n.Provider, n.ProviderIncarnation, n.Generation, n.UserKey, n.GrantKey, n.ReturnURL,
			n.Keyset, n.Request, n.State, n.Reason, nullable(n.CompletionID), n.Code, millis(n.CreatedAt), millis(n.ExpiresAt))
	})
}

// Session finds a session by its id, whatever its account: a browser shows nothing else.
func (s *Store) Session(ctx context.Context, id string) (Session, error) {
	return readOne(ctx, s, scanSession, `SELECT `+sessionColumns+` FROM authorization_sessions WHERE id = $1`, id)
}

// SessionByCompletion finds a session by the id that its return URL was given.
func (s *Store) SessionByCompletion(ctx context.Context, account, completionID string) (Session, error) {
	return readOne(ctx, s, scanSession, `SELECT `+sessionColumns+` FROM authorization_sessions WHERE completion_id = $2 AND account = $1`, account, completionID)
}

// UpdateSession moves a session on, if the row still has n's version, and returns the new version; fault.ConcurrentModification otherwise.
func (s *Store) UpdateSession(n Session) (version int64, err error) {
	err = s.write(func(t *tx) error {
		version, err = t.updateSession(n)
		return err
	})
	return version, err
}

func (t *tx) updateSession(n Session) (version int64, err error) {
	err = t.get([]any{&version}, `UPDATE authorization_sessions SET state = $4, reason = $5, completion_id = $6, code = $7, version = version + 1
		WHERE account = $1 AND id = $2 AND version = $3 AND keyset = $8 RETURNING version`,
		n.Account, n.ID, n.Version, n.State, n.Reason, nullable(n.CompletionID), n.Code, n.Keyset)
	if err == fault.NotFound {
		err = fault.ConcurrentModification
	}
	return version, err
}

// CompleteSession moves a session on and puts the grant that came of it, both or neither. It returns the grant's version.
func (s *Store) CompleteSession(n Session, g Grant) (version int64, err error) {
	err = s.write(func(t *tx) error {
		if _, err := t.updateSession(n); err != nil {
			return err
		}
		if version, err = t.putGrant(g); err != nil {
			return err
		}
		return t.tell(EventConsentCompleted, "", g.Account, `g.grant_key = $2`, g.Key)
	})
	return version, err
}
