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
	Code                          []byte // nil but between callback and completion; of a device authorization, from its beginning
	// DeviceInterval is the least time between two polls of the vendor; 0 unless this is a device authorization. DevicePoll, which is only written, is the time
	// until the next; 0: there is none.
	DeviceInterval, DevicePoll time.Duration
	CreatedAt, ExpiresAt       time.Time
	Version                    int64
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
	keyset, request, state, reason, completion_id, code, device_interval, created_at, expires_at, version`

func scanSession(r scanner) (s Session, err error) {
	var completion *string
	var interval int64
	err = r.Scan(&s.Account, &s.ID, &s.Workload, &s.WorkloadIncarnation, &s.Provider, &s.ProviderIncarnation, &s.Generation, &s.UserKey, &s.GrantKey, &s.ReturnURL,
		&s.Keyset, &s.Request, &s.State, &s.Reason, &completion, &s.Code, &interval, moment{&s.CreatedAt}, moment{&s.ExpiresAt}, &s.Version)
	if completion != nil {
		s.CompletionID = *completion
	}
	s.DeviceInterval = time.Duration(interval) * time.Millisecond
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
		return t.change(fault.ConcurrentModification, `INSERT INTO authorization_sessions (`+sessionColumns+`, device_poll_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 1, `+by("$20")+`
			WHERE EXISTS (SELECT 1 FROM keysets WHERE account = $1 AND id = $11)`,
			n.Account, n.ID, n.Workload, n.WorkloadIncarnation, n.Provider, n.ProviderIncarnation, n.Generation, n.UserKey, n.GrantKey, n.ReturnURL,
			n.Keyset, n.Request, n.State, n.Reason, nullable(n.CompletionID), n.Code, n.DeviceInterval.Milliseconds(), millis(n.CreatedAt), millis(n.ExpiresAt), n.DevicePoll.Milliseconds())
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
	err = t.get([]any{&version}, `UPDATE authorization_sessions SET state = $4, reason = $5, completion_id = $6, code = $7, device_interval = $9,
		device_poll_at = `+by("$10")+`, version = version + 1
		WHERE account = $1 AND id = $2 AND version = $3 AND keyset = $8 RETURNING version`,
		n.Account, n.ID, n.Version, n.State, n.Reason, nullable(n.CompletionID), n.Code, n.Keyset, n.DeviceInterval.Milliseconds(), n.DevicePoll.Milliseconds())
	if err == fault.NotFound {
		err = fault.ConcurrentModification
	}
	if err == nil && n.DeviceInterval > 0 && n.State == SessionFailed { // what its vendor gave is of use to nobody any more
		err = t.exec(`UPDATE revocations SET next_at = {now} WHERE account = $1 AND id = $2 AND state = 'pending' AND attempts = 0`, n.Account, n.uncompleted())
	}
	return version, err
}

// uncompleted is the id of the revocation of what a device authorization has brought.
func (n Session) uncompleted() string { return "device/" + n.ID }

// AuthorizeDevice moves a device authorization on whose tokens r has, and puts those into the outbox, due after d: unless the session is completed until then, the
// vendor is told. Both or neither; fault.ConcurrentModification when somebody moved the session meanwhile.
func (s *Store) AuthorizeDevice(n Session, r Revocation, d time.Duration) error {
	return s.write(func(t *tx) error {
		if _, err := t.updateSession(n); err != nil {
			return err
		}
		r.ID = n.uncompleted()
		return t.insertRevocation(r, d)
	})
}

// DueDevices counts the device authorizations whose vendors are to be asked now.
func (s *Store) DueDevices(ctx context.Context) (int, error) {
	return readOne(ctx, s, func(r scanner) (n int, err error) { return n, r.Scan(&n) },
		`SELECT COUNT(*) FROM authorization_sessions WHERE device_poll_at <> 0 AND device_poll_at <= {now}`)
}

// ClaimDevice takes the device authorization that has been due longest; nobody else gets it for d, by the database's clock. fault.NotFound when none is due.
func (s *Store) ClaimDevice(d time.Duration) (n Session, err error) {
	err = s.write(func(t *tx) error {
		var id string
		if err := t.get([]any{&id}, `UPDATE authorization_sessions SET device_poll_at = {now} + $1, version = version + 1
			WHERE device_poll_at <> 0 AND device_poll_at <= {now} AND id IN (SELECT id FROM authorization_sessions
				WHERE device_poll_at <> 0 AND device_poll_at <= {now} ORDER BY device_poll_at LIMIT 1)
			RETURNING id`, d.Milliseconds()); err != nil {
			return err
		}
		n.ID = id
		return nil
	})
	if err != nil {
		return n, err
	}
	return s.Session(context.Background(), n.ID)
}

// CompleteSession moves a session on and puts the grant that came of it, both or neither. It returns the grant's version.
func (s *Store) CompleteSession(n Session, g Grant) (version int64, err error) {
	err = s.write(func(t *tx) error {
		if _, err := t.updateSession(n); err != nil {
			return err
		}
		if n.DeviceInterval > 0 { // once its vendor was told, there is nothing left to complete
			if err := t.change(fault.ConcurrentModification, `DELETE FROM revocations WHERE account = $1 AND id = $2 AND state = 'pending' AND attempts = 0`, n.Account, n.uncompleted()); err != nil {
				return err
			}
		}
		if version, err = t.putGrant(g); err != nil {
			return err
		}
		return t.tell(EventConsentCompleted, "", g.Account, `g.grant_key = $2`, g.Key)
	})
	return version, err
}
