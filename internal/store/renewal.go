package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Use is that somebody was served from a grant as it stood at Version. RenewAt is when it is to be refreshed therefore, by this machine's clock; zero: nothing new.
type Use struct {
	Account, Key string
	Version      int64
	RenewAt      time.Time
}

// MarkUsed writes down that grants are in use, all in one write. It is none of a grant's changes: whoever is about to write the grant is not disturbed.
func (s *Store) MarkUsed(uses []Use) error {
	// In one order everywhere, so that two that write the same rows do not wait for each other.
	uses = slices.SortedFunc(slices.Values(uses), func(a, b Use) int { return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Key, b.Key)) })
	return s.write(func(t *tx) error {
		for _, u := range uses {
			if err := t.exec(`UPDATE grants SET used_at = {now}, renew_at = CASE
					WHEN state <> 'active' OR version <> $3 OR CAST($4 AS BIGINT) = 0 OR renew_at <> 0 AND renew_at < {now} + CAST($4 AS BIGINT) THEN renew_at
					ELSE {now} + CAST($4 AS BIGINT) END
				WHERE account = $1 AND grant_key = $2`, u.Account, u.Key, u.Version, until(u.RenewAt)); err != nil {
				return err
			}
		}
		return nil
	})
}

const renewalDue = `state = 'active' AND refresh_token IS NOT NULL AND renew_at <> 0 AND renew_at <= {now}`

// DueRenewals counts the grants that are to be refreshed without being asked for, by now.
func (s *Store) DueRenewals(ctx context.Context) (int, error) {
	return readOne(ctx, s, func(r scanner) (n int, err error) { return n, r.Scan(&n) }, `SELECT COUNT(*) FROM grants WHERE `+renewalDue)
}

// ClaimRenewals takes grants whose refresh is due, those that have been so longest of each provider, at most each of one provider and none of the providers without
// (incarnations). Nobody else gets them for d; then they are due again, unless they were written meanwhile.
func (s *Store) ClaimRenewals(d time.Duration, each int, without []string) (claimed []Grant, err error) {
	args, left := []any{d.Milliseconds(), each}, ""
	for _, incarnation := range without {
		args = append(args, incarnation)
		left += fmt.Sprintf(" AND provider_incarnation <> $%d", len(args))
	}
	err = s.write(func(t *tx) error {
		claimed, err = all(t, scanGrant, `UPDATE grants SET renew_at = {now} + $1 WHERE `+renewalDue+` AND (account, grant_key) IN (
			SELECT account, grant_key FROM (
				SELECT account, grant_key, ROW_NUMBER() OVER (PARTITION BY account, provider_incarnation ORDER BY renew_at) AS turn FROM grants WHERE `+renewalDue+left+`
			) AS due WHERE turn <= $2)
			RETURNING `+grantFields, args...)
		return err
	})
	return claimed, err
}

// PostponeRenewal has a claimed grant be due after d, if nobody wrote it meanwhile.
func (s *Store) PostponeRenewal(g Grant, d time.Duration) error {
	return s.write(func(t *tx) error {
		return t.exec(`UPDATE grants SET renew_at = {now} + $4 WHERE account = $1 AND grant_key = $2 AND version = $3 AND renew_at <> 0`, g.Account, g.Key, g.Version, d.Milliseconds())
	})
}
