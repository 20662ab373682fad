package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
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
	Device                        bool   // the consent was given by a device authorization
	Keyset                        string // id of the keyset that sealed the row
	UserName                      []byte
	AccessToken, RefreshToken     []byte // RefreshToken nil when there is none; both of a revoked grant
	ProofKey                      []byte // that the tokens are bound to, sealed; nil for bearer tokens
	TokenType                     string
	AskedScopes, GrantedScopes    []string
	TokenScopes                   []string // of the access token, when a ceiling has narrowed them; else none: they are GrantedScopes
	Resources, Audiences          []string // that every refresh names again
	State                         GrantState
	LastError                     string    // the vendor's error code, or ours; never a text with secrets
	ObtainedAt                    time.Time // of the access token
	ExpiresAt                     time.Time // of the access token; zero: the vendor did not say
	IntentAt                      time.Time // zero unless a refresh was begun and not finished
	Failures                      int64     // refreshes in a row that came to nothing
	RetryAt                       time.Time // no refresh is tried before it; in the row by the database's clock, here by this machine's
	RenewAt                       time.Time // when a refresh is due without being asked for, zero when none is; clocks as of RetryAt
	UsedAt                        time.Time // when somebody was last known to be served
	CreatedAt                     time.Time // of USER_FEDERATION: when the user last gave it
	Version                       int64     // rises with every write; 0 for a new grant
}

// GrantState is what is stored of a grant's condition.
type GrantState string

// The stored states.
const (
	GrantActive  GrantState = "active"
	GrantDead    GrantState = "dead"    // the vendor refuses its refresh token, or it may be spent
	GrantRevoked GrantState = "revoked" // somebody ended it: its tokens are in the outbox, and only that it was is left here
)

const grantColumns = `account, grant_key, flow, workload, workload_incarnation, provider, provider_incarnation, provider_generation, user_key, device, keyset, user_name,
	access_token, refresh_token, proof_key, token_type, asked_scopes, granted_scopes, resources, audiences, state, last_error, obtained_at, expires_at, intent_at, created_at,
	failures, retry_at, renew_at, used_at, version, token_scopes`

// grantFields are grantColumns as scanGrant reads them: what the database's clock decides is read as the time that is left.
var grantFields = strings.NewReplacer("retry_at", left("retry_at"), "renew_at", left("renew_at")).Replace(grantColumns)

func left(column string) string {
	return "CASE " + column + " WHEN 0 THEN NULL ELSE " + column + " - {now} END"
}

// ahead scans the milliseconds until a time; NULL is the zero time.
type ahead struct{ t *time.Time }

func (a ahead) Scan(v any) error {
	*a.t = time.Time{}
	switch ms := v.(type) {
	case nil:
	case int64:
		*a.t = time.Now().Add(time.Duration(ms) * time.Millisecond)
	default:
		return fmt.Errorf("what is left of a time is a %T", v)
	}
	return nil
}

// until are the milliseconds until a time, which by writes it; 0 only for the zero time.
func until(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return cmp.Or(time.Until(t).Milliseconds(), -1)
}

func by(parameter string) string {
	return "CASE CAST(" + parameter + " AS BIGINT) WHEN 0 THEN 0 ELSE {now} + CAST(" + parameter + " AS BIGINT) END"
}

func scanGrant(r scanner) (g Grant, err error) {
	return g, r.Scan(&g.Account, &g.Key, &g.Flow, &g.Workload, &g.WorkloadIncarnation, &g.Provider, &g.ProviderIncarnation, &g.Generation, &g.UserKey, &g.Device, &g.Keyset, &g.UserName,
		&g.AccessToken, &g.RefreshToken, &g.ProofKey, &g.TokenType, list{&g.AskedScopes}, list{&g.GrantedScopes}, list{&g.Resources}, list{&g.Audiences}, &g.State, &g.LastError,
		moment{&g.ObtainedAt}, moment{&g.ExpiresAt}, moment{&g.IntentAt}, moment{&g.CreatedAt},
		&g.Failures, ahead{&g.RetryAt}, ahead{&g.RenewAt}, moment{&g.UsedAt}, &g.Version, list{&g.TokenScopes})
}

// Grant finds a grant by its key.
func (s *Store) Grant(ctx context.Context, account, key string) (Grant, error) {
	return readOne(ctx, s, scanGrant, `SELECT `+grantFields+` FROM grants WHERE account = $1 AND grant_key = $2`, account, key)
}

// BoundGrants are the active grants with tokens bound to keys that a workload has at a provider's generation: for a user, and for nobody.
func (s *Store) BoundGrants(ctx context.Context, account, workloadIncarnation, providerIncarnation, generation, userKey string) ([]Grant, error) {
	return readAll(ctx, s, scanGrant, `SELECT `+grantFields+` FROM grants WHERE account = $1 AND workload_incarnation = $2 AND provider_incarnation = $3
		AND provider_generation = $4 AND user_key IN ($5, '') AND proof_key IS NOT NULL AND state = 'active'`, account, workloadIncarnation, providerIncarnation, generation, userKey)
}

// PutGrant adds a grant or replaces the one of its key; fault.NotFound when its workload, provider generation or keyset is gone, or a freeze forbids it.
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
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, `+by("$28")+`, `+by("$29")+`, $30, 1, $31
		WHERE EXISTS (SELECT 1 FROM workload_identities WHERE account = $1 AND name = $4 AND incarnation = $5)
		  AND EXISTS (SELECT 1 FROM oauth2_providers WHERE account = $1 AND name = $6 AND incarnation = $7 AND generation = $8)
		  AND EXISTS (SELECT 1 FROM keysets WHERE account = $1 AND id = $11)
		  AND NOT EXISTS (SELECT 1 FROM freezes WHERE account = $1 AND (kind = 'account' OR kind = 'workload' AND id = $4 OR kind = 'provider' AND id = $6 OR kind = 'user' AND id = $9))
		ON CONFLICT (account, grant_key) DO UPDATE SET
			device = excluded.device, keyset = excluded.keyset, user_name = excluded.user_name, access_token = excluded.access_token, refresh_token = excluded.refresh_token, proof_key = excluded.proof_key, token_type = excluded.token_type,
			asked_scopes = excluded.asked_scopes, granted_scopes = excluded.granted_scopes, token_scopes = excluded.token_scopes, state = excluded.state, last_error = excluded.last_error,
			obtained_at = excluded.obtained_at, expires_at = excluded.expires_at, intent_at = excluded.intent_at,
			failures = excluded.failures, retry_at = excluded.retry_at, renew_at = excluded.renew_at, used_at = excluded.used_at,
			created_at = CASE WHEN grants.state = 'revoked' OR excluded.flow = 'USER_FEDERATION' THEN excluded.created_at ELSE grants.created_at END, version = grants.version + 1
		RETURNING version`,
		g.Account, g.Key, g.Flow, g.Workload, g.WorkloadIncarnation, g.Provider, g.ProviderIncarnation, g.Generation, g.UserKey, g.Device, g.Keyset, g.UserName,
		g.AccessToken, g.RefreshToken, g.ProofKey, g.TokenType, listText(g.AskedScopes), listText(g.GrantedScopes), listText(g.Resources), listText(g.Audiences), g.State, g.LastError,
		millis(g.ObtainedAt), millis(g.ExpiresAt), millis(g.IntentAt), millis(g.CreatedAt), g.Failures, until(g.RetryAt), until(g.RenewAt), millis(g.UsedAt), listText(g.TokenScopes))
}

// UpdateGrant writes the changeable columns of g if the row still has g's version, and returns the new version;
// fault.ConcurrentModification when somebody wrote or deleted it meanwhile, or it was sealed by another keyset.
func (s *Store) UpdateGrant(g Grant) (version int64, err error) {
	err = s.write(func(t *tx) error {
		if err := t.tellOfChange(g); err != nil {
			return err
		}
		err := t.get([]any{&version}, `UPDATE grants SET access_token = $4, refresh_token = $5, proof_key = $6, token_type = $7, asked_scopes = $8, granted_scopes = $9,
			state = $10, last_error = $11, obtained_at = $12, expires_at = $13, intent_at = $14,
			failures = $16, retry_at = `+by("$17")+`, renew_at = `+by("$18")+`, used_at = CASE WHEN $19 > used_at THEN $19 ELSE used_at END, token_scopes = $20, version = version + 1
			WHERE account = $1 AND grant_key = $2 AND version = $3 AND keyset = $15 RETURNING version`,
			g.Account, g.Key, g.Version, g.AccessToken, g.RefreshToken, g.ProofKey, g.TokenType, listText(g.AskedScopes), listText(g.GrantedScopes),
			g.State, g.LastError, millis(g.ObtainedAt), millis(g.ExpiresAt), millis(g.IntentAt), g.Keyset, g.Failures, until(g.RetryAt), until(g.RenewAt), millis(g.UsedAt), listText(g.TokenScopes))
		if err == fault.NotFound {
			return fault.ConcurrentModification
		}
		return err
	})
	return version, err
}

// errUndo undoes a transaction that did what it was to find out.
var errUndo = errors.New("undone")

// ImportGrants adds grants, all or none, where there is no live grant of the key and none that its vendor has still to be told of. The answer says by index why not; then
// nothing is written, and with dry neither.
func (s *Store) ImportGrants(gs []Grant, dry bool) (refused map[int]string, err error) {
	err = s.write(func(t *tx) error {
		refused = map[int]string{}
		for i, g := range gs {
			why, err := t.putWhereNoneIs(g)
			if err != nil {
				return err
			}
			if why != "" {
				refused[i] = why
			}
		}
		if dry || len(refused) > 0 {
			return errUndo
		}
		return nil
	})
	if errors.Is(err, errUndo) {
		err = nil
	}
	return refused, err
}

// putWhereNoneIs puts a grant, unless there is a live one of its key, or one that its vendor has still to be told of: then it says so.
func (t *tx) putWhereNoneIs(g Grant) (refused string, err error) {
	var live, pending int
	if err := t.get([]any{&live}, `SELECT COUNT(*) FROM grants WHERE account = $1 AND grant_key = $2 AND state = 'active'
		AND (refresh_token IS NOT NULL OR expires_at = 0 OR expires_at > {now})`, g.Account, g.Key); err != nil {
		return "", err
	}
	if err := t.get([]any{&pending}, `SELECT COUNT(*) FROM revocations WHERE account = $1 AND grant_key = $2 AND state = 'pending'`, g.Account, g.Key); err != nil {
		return "", err
	}
	switch {
	case live > 0:
		return "there is a live grant, " + g.Key + ": revoke it first if this one is to take its place", nil
	case pending > 0:
		return "grant " + g.Key + " was revoked, and its vendor is still being told: try again when DescribeGrant has the receipt", nil
	}
	_, err = t.putGrant(g)
	if errors.Is(err, fault.NotFound) {
		return "its workload identity or provider was deleted, changed or frozen meanwhile, or the token vault was reset: try again", nil
	}
	return "", err
}

// RekeyGrant puts to, sealed anew, in the place of from, whose user and key are other ones: in one transaction, so that there is always one of them. Consents in flight that
// would renew from fail. The answer says why not; then nothing is written, and with dry neither. It is not done while from is being renewed or has changed,
// while its user is frozen, nor while a vendor is told that another grant of his is over: whether that one may end shows by those that his key has.
func (s *Store) RekeyGrant(from, to Grant, dry bool) (refused string, err error) {
	err = s.write(func(t *tx) error {
		var frozen, untold int
		if err := t.get([]any{&frozen}, `SELECT COUNT(*) FROM freezes WHERE account = $1 AND kind = 'user' AND id = $2`, from.Account, from.UserKey); err != nil {
			return err
		}
		if err := t.get([]any{&untold}, `SELECT COUNT(*) FROM revocations WHERE account = $1 AND user_key = $2 AND state = 'pending'`, from.Account, from.UserKey); err != nil {
			return err
		}
		switch {
		case frozen > 0:
			refused = "its user was frozen meanwhile"
			return errUndo
		case untold > 0:
			refused = "a vendor is still being told that another grant of its user is over: try again when that is done"
			return errUndo
		}
		err := t.change(fault.ConcurrentModification, `DELETE FROM grants WHERE account = $1 AND grant_key = $2 AND version = $3 AND keyset = $4 AND user_key = $5
			AND state = 'active' AND intent_at = 0`, from.Account, from.Key, from.Version, from.Keyset, from.UserKey)
		if errors.Is(err, fault.ConcurrentModification) {
			refused = "it changed meanwhile: try again"
			return errUndo
		}
		if err != nil {
			return err
		}
		if refused, err = t.putWhereNoneIs(to); err != nil {
			return err
		}
		if dry || refused != "" {
			return errUndo
		}
		if err := t.exec(`UPDATE authorization_sessions SET state = 'failed', device_poll_at = 0, reason = 'its grant was given to another user key meanwhile', code = NULL, version = version + 1
			WHERE account = $1 AND grant_key = $2 AND state IN ('pending', 'authorized', 'exchanging')`, from.Account, from.Key); err != nil {
			return err
		}
		return t.bumpEpoch(from.Account)
	})
	if errors.Is(err, errUndo) {
		err = nil
	}
	return refused, err
}

// GrantFilter chooses grants of an account; what is empty is any.
type GrantFilter struct {
	Account            string
	Key                string
	Workload, Provider string // names
	UserKey            string
	Flow               string       // of Grants only
	States             []GrantState // of Grants only
}

// where is the condition on grants and on authorization sessions, which have the same columns but for the state.
func (f GrantFilter) where() (condition string, args []any) {
	condition, args = `account = $1`, []any{f.Account}
	for _, c := range []struct{ column, value string }{{"grant_key", f.Key}, {"workload", f.Workload}, {"provider", f.Provider}, {"user_key", f.UserKey}} {
		if c.value != "" {
			args = append(args, c.value)
			condition += fmt.Sprintf(" AND %s = $%d", c.column, len(args))
		}
	}
	return condition, args
}

// Grants lists a page by key and says whether there is more.
func (s *Store) Grants(ctx context.Context, f GrantFilter, p Page) ([]Grant, bool, error) {
	condition, args := f.where()
	if f.Flow != "" {
		args = append(args, f.Flow)
		condition += fmt.Sprintf(" AND flow = $%d", len(args))
	}
	for i, state := range f.States {
		args = append(args, state)
		condition += fmt.Sprintf("%s$%d", []string{" AND state IN (", ", "}[min(i, 1)], len(args))
	}
	if len(f.States) > 0 {
		condition += ")"
	}
	n := len(args)
	rows, err := readAll(ctx, s, scanGrant, fmt.Sprintf(`SELECT `+grantFields+` FROM grants WHERE %s AND grant_key COLLATE "C" > $%d ORDER BY grant_key COLLATE "C" LIMIT $%d`,
		condition, n+1, n+2), append(args, p.After, p.Limit+1)...)
	rows, more := paged(rows, p.Limit)
	return rows, more, err
}

// RevokeGrants ends grants and counts them: their tokens go to the outbox, and consents in flight that would renew them fail.
func (s *Store) RevokeGrants(f GrantFilter) (n int, err error) {
	err = s.write(func(t *tx) error {
		condition, args := f.where()
		joined := strings.NewReplacer("account", "g.account").Replace(condition)
		if err := t.enqueueRevocations(CauseGrantRevoked, f.Account, joined, args[1:]...); err != nil {
			return err
		}
		if err := t.tell(EventGrantRevoked, string(CauseGrantRevoked), f.Account, joined+` AND g.state <> 'revoked'`, args[1:]...); err != nil {
			return err
		}
		n, err = t.count(`UPDATE grants SET state = 'revoked', access_token = NULL, refresh_token = NULL, proof_key = NULL, last_error = '', expires_at = {now}, intent_at = 0,
			failures = 0, retry_at = 0, renew_at = 0, version = version + 1
			WHERE `+condition+` AND state <> 'revoked'`, args...)
		if err != nil {
			return err
		}
		// What the vendor gave to consents by device authorization that nobody has completed waits in the outbox.
		if err := t.exec(`UPDATE revocations SET next_at = {now} WHERE `+condition+` AND state = 'pending' AND cause = 'not_completed' AND attempts = 0`, args...); err != nil {
			return err
		}
		if err := t.exec(`UPDATE authorization_sessions SET state = 'failed', device_poll_at = 0, reason = 'its grant was revoked meanwhile', code = NULL, version = version + 1
			WHERE `+condition+` AND state IN ('pending', 'authorized', 'exchanging')`, args...); err != nil {
			return err
		}
		return t.bumpEpoch(f.Account)
	})
	return n, err
}
