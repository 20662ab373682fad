package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"credence/internal/fault"
)

// Revocation is what a vendor has still to be told: the tokens of a grant that is gone. It outlives its provider, so it holds what there is to know of it.
type Revocation struct {
	ID    string
	Cause RevocationCause
	// Grant is whose tokens they are: Account, Key, Flow, Workload, Provider, ProviderIncarnation, Generation, UserKey, UserName, AccessToken, RefreshToken,
	// ProofKey and ExpiresAt of it. IntentAt is set while a refresh or exchange that was under way may still bring other tokens of it.
	Grant        Grant
	Vendor       string
	Config       string // of the provider, at that generation
	ClientSecret []byte
	// Where the secret is kept elsewhere, and what signs in its place.
	ClientSecretAt  Reference
	AssertionKey    string
	AssertionClaims []byte
	State           RevocationState
	Outcome         RevocationState // what the vendor was told; "" until then
	Attempts        int64
	LastError       string // never a text with secrets
	CreatedAt       time.Time
	Version         int64
}

// RevocationCause is why a grant ended. Its values reach disk and audit events.
type RevocationCause string

// The causes.
const (
	CauseProviderDeleted RevocationCause = "provider_deleted"
	CauseProviderChanged RevocationCause = "provider_changed"
	CauseWorkloadDeleted RevocationCause = "workload_deleted"
	CauseAccountDeleted  RevocationCause = "account_deleted"
	CauseGrantRevoked    RevocationCause = "grant_revoked"
	CauseLost            RevocationCause = "lost"          // the vendor gave the tokens when nobody could have them any more
	CauseNotCompleted    RevocationCause = "not_completed" // a device authorization that somebody has approved, and nobody has completed
)

// RevocationState is how a revocation stands.
type RevocationState string

// The states. All but the first are final.
const (
	RevocationPending     RevocationState = "pending"
	RevocationDone        RevocationState = "revoked"
	RevocationUnconfirmed RevocationState = "unconfirmed" // the same, but a request that was cut off may have brought tokens that nobody has
	RevocationUnsupported RevocationState = "unsupported" // the vendor has no way, or none for these tokens
	RevocationKept        RevocationState = "kept"        // it would have ended a grant that is in use
	RevocationAbandoned   RevocationState = "abandoned"   // the vendor would not, for days
)

// Provider is the row of its provider as it was, as far as a revocation needs it.
func (r Revocation) Provider() OAuth2Provider {
	return OAuth2Provider{
		Account: r.Grant.Account, Name: r.Grant.Provider, Incarnation: r.Grant.ProviderIncarnation, Generation: r.Grant.Generation,
		Vendor: r.Vendor, Config: r.Config, ClientSecret: r.ClientSecret, ClientSecretAt: r.ClientSecretAt, AssertionKey: r.AssertionKey, AssertionClaims: r.AssertionClaims,
	}
}

const revocationColumns = `account, id, cause, grant_key, flow, workload, provider, provider_incarnation, provider_generation, user_key, user_name,
	access_token, refresh_token, proof_key, expires_at, intent_at, vendor, config, client_secret, client_secret_id, client_secret_json_key, assertion_key, assertion_claims, state, outcome,
	attempts, next_at, last_error, created_at, finished_at, version`

func revocationFields(r *Revocation) []any {
	var nextAt, finishedAt time.Time
	g := &r.Grant
	return []any{
		&g.Account, &r.ID, &r.Cause, &g.Key, &g.Flow, &g.Workload, &g.Provider, &g.ProviderIncarnation, &g.Generation, &g.UserKey, &g.UserName,
		&g.AccessToken, &g.RefreshToken, &g.ProofKey, moment{&g.ExpiresAt}, moment{&g.IntentAt}, &r.Vendor, &r.Config, &r.ClientSecret, &r.ClientSecretAt.ID, &r.ClientSecretAt.JSONKey,
		&r.AssertionKey, &r.AssertionClaims, &r.State, &r.Outcome, &r.Attempts, moment{&nextAt}, &r.LastError,
		moment{&r.CreatedAt}, moment{&finishedAt}, &r.Version,
	}
}

// revokeGrants moves the grants g of an account for which a condition holds into the outbox; what cannot be of use to anybody any more is only removed.
// It comes before the change of their providers and sessions, which it looks at. The condition's parameters are $2, $3.
func (t *tx) revokeGrants(cause RevocationCause, account, condition string, args ...any) error {
	if err := t.enqueueRevocations(cause, account, condition, args...); err != nil {
		return err
	}
	if err := t.tell(EventGrantRevoked, string(cause), account, condition+` AND g.state <> 'revoked'`, args...); err != nil {
		return err
	}
	return t.exec(`DELETE FROM grants AS g WHERE g.account = $1 AND `+condition, append([]any{account}, args...)...)
}

// enqueueRevocations copies what there is to revoke of grants. Where a refresh or exchange is under way, or one was cut off, it says so.
func (t *tx) enqueueRevocations(cause RevocationCause, account, condition string, args ...any) error {
	args = append([]any{account}, args...)
	id, why := fmt.Sprintf("$%d", len(args)+1), fmt.Sprintf("$%d", len(args)+2)
	return t.exec(`INSERT INTO revocations (`+revocationColumns+`)
		SELECT g.account, `+id+` || g.grant_key, `+why+`, g.grant_key, g.flow, g.workload, g.provider, g.provider_incarnation, g.provider_generation,
			g.user_key, g.user_name, g.access_token, g.refresh_token, g.proof_key, g.expires_at,
			CASE WHEN g.last_error IN ('unknown', 'maybe_spent') THEN 1 WHEN g.intent_at <> 0 THEN g.intent_at WHEN EXISTS (SELECT 1 FROM authorization_sessions s
				WHERE s.account = g.account AND s.grant_key = g.grant_key AND s.state = 'exchanging') THEN {now} ELSE 0 END,
			p.vendor, p.config, p.client_secret, p.client_secret_id, p.client_secret_json_key, p.assertion_key, p.assertion_claims, 'pending', '', 0, {now}, '', {now}, 0, 1
		FROM grants g JOIN oauth2_providers p ON p.account = g.account AND p.name = g.provider AND p.incarnation = g.provider_incarnation AND p.generation = g.provider_generation
		WHERE g.account = $1 AND `+condition+` AND g.state <> 'revoked' AND (g.refresh_token IS NOT NULL OR g.expires_at = 0 OR g.expires_at > {now})`,
		append(slices.Clone(args), rand.Text()+"/", cause)...)
}

// AnswerLost is the IntentAt of a revocation of which it will never be known what a refresh or exchange brought.
var AnswerLost = time.UnixMilli(1).UTC()

// InsertRevocation adds a revocation that is due at once: what a refresh or exchange brought that was under way when its grant ended.
func (s *Store) InsertRevocation(r Revocation) error {
	return s.write(func(t *tx) error {
		g := r.Grant
		if err := t.settle(g.Account, g.Key); err != nil {
			return err
		}
		return t.insertRevocation(r, 0)
	})
}

func (t *tx) insertRevocation(r Revocation, d time.Duration) error {
	g := r.Grant
	return t.exec(`INSERT INTO revocations (`+revocationColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, $16, $17, $18, $19, $20, $21, $22, 'pending', '', 0, {now} + $23, '', {now}, 0, 1)
			ON CONFLICT (account, id) DO NOTHING`, // an earlier try of the same, whose answer was lost
		g.Account, r.ID, r.Cause, g.Key, g.Flow, g.Workload, g.Provider, g.ProviderIncarnation, g.Generation, g.UserKey, g.UserName,
		g.AccessToken, g.RefreshToken, g.ProofKey, millis(g.ExpiresAt), r.Vendor, r.Config, r.ClientSecret,
		r.ClientSecretAt.ID, r.ClientSecretAt.JSONKey, r.AssertionKey, r.AssertionClaims, d.Milliseconds())
}

// SettleRevocations says that a refresh or exchange that was under way when the grant of a key ended has brought nothing.
func (s *Store) SettleRevocations(account, grantKey string) error {
	return s.write(func(t *tx) error { return t.settle(account, grantKey) })
}

func (t *tx) settle(account, grantKey string) error {
	return t.exec(`UPDATE revocations SET intent_at = 0 WHERE account = $1 AND grant_key = $2 AND state = 'pending' AND intent_at > 1`, account, grantKey)
}

// Unsettled tells whether a refresh or exchange that was under way when the grant of a revocation ended may still bring tokens.
func (s *Store) Unsettled(ctx context.Context, r Revocation) (bool, error) {
	n, err := readOne(ctx, s, func(r scanner) (n int, err error) { return n, r.Scan(&n) },
		`SELECT COUNT(*) FROM revocations WHERE account = $1 AND id = $2 AND intent_at <> 0`, r.Grant.Account, r.ID)
	return n > 0, err
}

// Untold counts the other revocations of the same grant whose vendor has still to be told.
func (s *Store) Untold(ctx context.Context, r Revocation) (int, error) {
	return readOne(ctx, s, func(r scanner) (n int, err error) { return n, r.Scan(&n) },
		`SELECT COUNT(*) FROM revocations WHERE account = $1 AND grant_key = $2 AND id <> $3 AND state = 'pending' AND outcome = ''`, r.Grant.Account, r.Grant.Key, r.ID)
}

// LastRevocation finds the newest revocation of a grant.
func (s *Store) LastRevocation(ctx context.Context, account, grantKey string) (Revocation, error) {
	return readOne(ctx, s, func(row scanner) (r Revocation, err error) { return r, row.Scan(revocationFields(&r)...) },
		`SELECT `+revocationColumns+` FROM revocations WHERE account = $1 AND grant_key = $2 ORDER BY created_at DESC, id LIMIT 1`, account, grantKey)
}

// PendingRevocations counts those that are not finished, and those of them that are due.
func (s *Store) PendingRevocations(ctx context.Context) (pending, due int, err error) {
	counts, err := readOne(ctx, s, func(r scanner) (n [2]int, err error) { return n, r.Scan(&n[0], &n[1]) },
		`SELECT COUNT(*), COUNT(CASE WHEN next_at <= {now} THEN 1 END) FROM revocations WHERE state = 'pending'`)
	return counts[0], counts[1], err
}

// ClaimRevocation takes the revocation that has been due longest; nobody else gets it for d, by the database's clock. fault.NotFound when none is due.
func (s *Store) ClaimRevocation(d time.Duration) (r Revocation, err error) {
	err = s.write(func(t *tx) error {
		r = Revocation{}
		return t.get(revocationFields(&r), `UPDATE revocations SET next_at = {now} + $1, attempts = attempts + 1, version = version + 1
			WHERE state = 'pending' AND next_at <= {now}
			  AND (account, id) IN (SELECT account, id FROM revocations WHERE state = 'pending' AND next_at <= {now} ORDER BY next_at LIMIT 1)
			RETURNING `+revocationColumns, d.Milliseconds())
	})
	return r, err
}

// KeepRevocation writes the tokens, outcome, attempts and last error of a claimed revocation, which is due again after d; fault.ConcurrentModification when somebody else
// has claimed it meanwhile.
func (s *Store) KeepRevocation(r Revocation, d time.Duration) (version int64, err error) {
	err = s.write(func(t *tx) error {
		err := t.get([]any{&version}, `UPDATE revocations SET access_token = $4, refresh_token = $5, proof_key = $6, expires_at = $7, last_error = $8, outcome = $9, attempts = $10,
			intent_at = CASE WHEN $11 = 1 THEN 1 ELSE intent_at END, next_at = {now} + $12, version = version + 1
			WHERE account = $1 AND id = $2 AND version = $3 AND state = 'pending' RETURNING version`,
			r.Grant.Account, r.ID, r.Version, r.Grant.AccessToken, r.Grant.RefreshToken, r.Grant.ProofKey, millis(r.Grant.ExpiresAt), r.LastError, r.Outcome, r.Attempts, millis(r.Grant.IntentAt), d.Milliseconds())
		if err == fault.NotFound {
			return fault.ConcurrentModification
		}
		return err
	})
	return version, err
}

// FinishRevocation writes the final state of a claimed revocation and erases what is sealed in it; fault.ConcurrentModification when somebody else has
// claimed it meanwhile.
func (s *Store) FinishRevocation(r Revocation) error {
	return s.write(func(t *tx) error {
		return t.change(fault.ConcurrentModification, `UPDATE revocations SET state = $4, last_error = $5, user_name = NULL, access_token = NULL, refresh_token = NULL, proof_key = NULL,
			client_secret = NULL, assertion_claims = NULL, finished_at = {now}, version = version + 1 WHERE account = $1 AND id = $2 AND version = $3 AND state = 'pending'`,
			r.Grant.Account, r.ID, r.Version, r.State, r.LastError)
	})
}

// InUse reports whether a provider's generation has an active grant of a user; of anybody, when anybody is asked for. One that has ended and cannot be renewed
// is of no use.
func (s *Store) InUse(ctx context.Context, account, providerIncarnation, generation, userKey string, anybody bool) (bool, error) {
	query, args := `SELECT COUNT(*) FROM grants WHERE account = $1 AND provider_incarnation = $2 AND provider_generation = $3 AND state = 'active'
		AND (refresh_token IS NOT NULL OR expires_at = 0 OR expires_at > {now})`,
		[]any{account, providerIncarnation, generation}
	if !anybody {
		query, args = query+` AND user_key = $4`, append(args, userKey)
	}
	n, err := readOne(ctx, s, func(r scanner) (n int, err error) { return n, r.Scan(&n) }, query, args...)
	return n > 0, err
}
