package store

import (
	"time"

	"credence/internal/fault"
)

// Lease is the right to do one thing until its time is up, by the database's clock.
type Lease struct {
	Account string
	Name    string
	Fence   int64     // larger than that of every earlier holder: it starts at the clock and counts up
	TakenAt time.Time // by the database's clock
}

// AcquireLease takes the lease name for d, if nobody holds it; otherwise fault.ConcurrentModification.
func (s *Store) AcquireLease(account, name string, d time.Duration) (Lease, error) {
	l := Lease{Account: account, Name: name}
	err := s.write(func(t *tx) error {
		err := t.get([]any{&l.Fence, moment{&l.TakenAt}}, `INSERT INTO leases (account, name, fence, held_until) VALUES ($1, $2, {now}, {now} + $3)
			ON CONFLICT (account, name) DO UPDATE SET fence = leases.fence + 1, held_until = excluded.held_until
			WHERE leases.held_until <= {now} RETURNING fence, {now}`, account, name, d.Milliseconds())
		if err == fault.NotFound {
			return fault.ConcurrentModification
		}
		return err
	})
	return l, err
}

// RenewLease lets l last for d from now; fault.ConcurrentModification when its time was up, or somebody else holds it.
func (s *Store) RenewLease(l Lease, d time.Duration) error {
	return s.write(func(t *tx) error {
		err := t.get([]any{new(int64)}, `UPDATE leases SET held_until = {now} + $4
			WHERE account = $1 AND name = $2 AND fence = $3 AND held_until > {now} RETURNING fence`, l.Account, l.Name, l.Fence, d.Milliseconds())
		if err == fault.NotFound {
			return fault.ConcurrentModification
		}
		return err
	})
}

// ReleaseLease ends l early; when somebody else holds it by now, nothing happens.
func (s *Store) ReleaseLease(l Lease) error {
	return s.write(func(t *tx) error {
		return t.exec(`UPDATE leases SET held_until = 0 WHERE account = $1 AND name = $2 AND fence = $3`, l.Account, l.Name, l.Fence)
	})
}

// Purge removes what nobody can use any more: sessions and grants without refresh token that expired before the given time, revocations that were
// finished then, deliveries that arrived before it, dead ones of a month earlier, and free leases.
func (s *Store) Purge(before time.Time) error {
	return s.write(func(t *tx) error {
		if err := t.exec(`DELETE FROM authorization_sessions WHERE expires_at < $1`, millis(before)); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM grants WHERE refresh_token IS NULL AND expires_at <> 0 AND expires_at < $1`, millis(before)); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM revocations WHERE state <> 'pending' AND finished_at < $1`, millis(before)); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM webhook_deliveries WHERE state = 'delivered' AND finished_at < $1 OR state = 'dead' AND finished_at < $2`,
			millis(before), millis(before.Add(-deadDeliveries))); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM console_sessions WHERE expires_at < $1`, millis(before)); err != nil {
			return err
		}
		return t.exec(`DELETE FROM leases WHERE held_until < $1`, millis(before))
	})
}
