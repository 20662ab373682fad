package store

import (
	"errors"
	"testing"
	"time"

	"credence/internal/audit"
	"credence/internal/fault"
)

// The rows of an account, and with them its keysets, outlive its deletion until its vendors were told, nothing is under way, and a minute is over; and then not. The audit log
// stays, and so does every row of another account.
func TestShredAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		put, putElsewhere := grantBed(t, s, "1"), grantBed(t, s, "2")
		put("g", "w", "u")
		putElsewhere("g", "w", "u")
		s.addWebhook(t, "1", "all")
		must(t, s.AppendAudit([]audit.Batch{{Account: "1", ID: "1", Time: noon, Events: []byte("e\n")}}))
		want(t, s.DeleteAccount(alpha, "arn", false), fault.Conflict) // it is the operator's
		must(t, s.DeleteAccount("1", "arn", false))
		must(t, s.DeleteAccount("1", "arn", false)) // once more
		d, err := s.AccountDeletion(t.Context(), "1")
		must(t, err)
		if d.Pending != 1 || d.RequestedBy != "arn" || !d.ShreddedAt.IsZero() {
			t.Errorf("%+v", d)
		}
		same(t, s.told(t, "1", "id-all"), []string{"grant.revoked g account_deleted"})

		stays := func(why string) {
			t.Helper()
			due, err := s.ShreddableAccounts(t.Context())
			if len(due) != 0 || err != nil {
				t.Errorf("%s: shreddable %+v, %v", why, due, err)
			}
			if err := s.ShredAccount(t.Context(), "1"); !errors.Is(err, fault.ConcurrentModification) {
				t.Errorf("%s: %v", why, err)
			}
			if _, err := s.Keyset(t.Context(), "1", PurposeTokens); err != nil {
				t.Errorf("%s: the keyset is gone: %v", why, err)
			}
		}
		minuteOver := func() {
			t.Helper()
			must(t, s.write(func(tx *tx) error {
				return tx.exec(`UPDATE account_deletions SET requested_at = requested_at - $1`, settleTime.Milliseconds())
			}))
		}
		minuteOver()
		stays("while a vendor has to be told")
		r, err := s.ClaimRevocation(time.Minute)
		must(t, err)
		stays("while a vendor is told")
		r.State = RevocationDone
		must(t, s.FinishRevocation(r))
		lease, err := s.AcquireLease("1", "grant/g", time.Minute)
		must(t, err)
		stays("while something is under way")
		must(t, s.ReleaseLease(lease))
		must(t, s.write(func(tx *tx) error { return tx.exec(`UPDATE account_deletions SET requested_at = {now}`) }))
		stays("before a minute is over")
		minuteOver()

		due, err := s.ShreddableAccounts(t.Context())
		if len(due) != 1 || due[0].Account != "1" || err != nil {
			t.Errorf("%+v, %v", due, err)
		}
		must(t, s.ShredAccount(t.Context(), "1"))
		rowsOf := func(account string) map[string]int {
			rows := map[string]int{}
			for _, table := range tables {
				if table.name != "meta" {
					n, err := readOne(t.Context(), s, func(r scanner) (n int, err error) { return n, r.Scan(&n) }, `SELECT COUNT(*) FROM `+table.name+` WHERE account = $1`, account)
					must(t, err)
					if n > 0 {
						rows[table.name] = n
					}
				}
			}
			return rows
		}
		same(t, rowsOf("1"), map[string]int{"audit_batches": 1, "account_deletions": 1})
		if other := rowsOf("2"); other["grants"] != 1 || other["keysets"] != 1 {
			t.Errorf("another account has %v", other)
		}
		if err := s.InsertAccount("1", noon, nil); err == nil {
			t.Error("the account came back")
		}
	})
}
