package store

import (
	"context"
	"slices"
	"time"

	"credence/internal/fault"
)

// AccountDeletion is the end of an account: begun, and done when ShreddedAt is set. It stays, so that the account's id does not come back.
type AccountDeletion struct {
	Account     string
	RequestedBy string // ARN
	RequestedAt time.Time
	ShreddedAt  time.Time
	Pending     int // revocations of which vendors have still to be told
}

// settleTime is longer than anything takes that may still bring tokens of an account when its deletion begins: what they need to be revoked must not be gone before.
const settleTime = time.Minute

const accountDeletion = `SELECT d.account, d.requested_by, d.requested_at, d.shredded_at, (SELECT COUNT(*) FROM revocations r WHERE r.account = d.account AND r.state = 'pending') FROM account_deletions d`

func scanAccountDeletion(r scanner) (d AccountDeletion, err error) {
	return d, r.Scan(&d.Account, &d.RequestedBy, moment{&d.RequestedAt}, moment{&d.ShreddedAt}, &d.Pending)
}

// AccountDeletion finds the deletion of an account; fault.NotFound when none was begun.
func (s *Store) AccountDeletion(ctx context.Context, account string) (AccountDeletion, error) {
	return readOne(ctx, s, scanAccountDeletion, accountDeletion+` WHERE d.account = $1`, account)
}

// DeleteAccount begins to delete an account: it is frozen for ever, every grant goes to the outbox, and every consent in flight ends. It may be repeated. The last account and
// the operator's are deleted only with force; otherwise the answer is fault.Conflict.
func (s *Store) DeleteAccount(account, by string, force bool) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.NotFound, `UPDATE accounts SET epoch = epoch + 1 WHERE account = $1`, account); err != nil {
			return err
		}
		var begun, needed bool
		if err := t.get([]any{&begun, &needed}, `SELECT EXISTS (SELECT 1 FROM account_deletions d WHERE d.account = $1),
			operator OR NOT EXISTS (SELECT 1 FROM accounts a WHERE a.account <> $2 AND NOT EXISTS (SELECT 1 FROM account_deletions d WHERE d.account = a.account))
			FROM accounts WHERE account = $3`, account, account, account); err != nil {
			return err
		}
		if needed && !begun && !force {
			return fault.Conflict
		}
		if err := t.exec(`INSERT INTO account_deletions (account, requested_by, requested_at, shredded_at) VALUES ($1, $2, {now}, 0) ON CONFLICT (account) DO NOTHING`, account, by); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO freezes (`+freezeColumns+`) VALUES ($1, $2, '', NULL, 'the account is being deleted', $3, {now}) ON CONFLICT (account, kind, id) DO NOTHING`,
			account, string(FreezeAccount), by); err != nil {
			return err
		}
		if err := t.revokeGrants(CauseAccountDeleted, account, `1 = 1`); err != nil {
			return err
		}
		if err := t.exec(`UPDATE revocations SET next_at = {now} WHERE account = $1 AND state = 'pending' AND cause = $2 AND attempts = 0`, account, string(CauseNotCompleted)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM authorization_sessions WHERE account = $1`, account)
	})
}

// shreddable is the condition on a deletion d that no vendor has still to be told, and nothing is under way that could change that.
const shreddable = `d.shredded_at = 0 AND d.requested_at <= {now} - $1
	AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.account = d.account AND r.state = 'pending')
	AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.account = d.account AND l.held_until > {now})`

// ShreddableAccounts are those of which every vendor was told.
func (s *Store) ShreddableAccounts(ctx context.Context) ([]AccountDeletion, error) {
	return readAll(ctx, s, scanAccountDeletion, accountDeletion+` WHERE `+shreddable, settleTime.Milliseconds())
}

// kept are the tables of which a deleted account leaves its rows: what was done, and that it is no more.
var kept = []string{"meta", "audit_batches", "audit_logs", "audit_chunks", "audit_terms", "audit_tiles", "account_deletions"}

// ShredAccount removes every row of an account, its keysets among them, but for its audit log; fault.ConcurrentModification when it is not the time.
func (s *Store) ShredAccount(ctx context.Context, account string) error {
	err := s.write(func(t *tx) error {
		if err := t.change(fault.ConcurrentModification, `UPDATE account_deletions AS d SET shredded_at = {now} WHERE `+shreddable+` AND d.account = $2`, settleTime.Milliseconds(), account); err != nil {
			return err
		}
		for _, table := range tables {
			if slices.Contains(kept, table.name) {
				continue
			}
			if err := t.exec(`DELETE FROM `+table.name+` WHERE account = $1`, account); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || s.engine.scrub == nil {
		return err
	}
	return s.engine.scrub(ctx, s)
}
