package store

import (
	"context"
	"math"

	"credence/internal/audit"
)

const insertAuditBatch = `INSERT INTO audit_batches (account, id, created_at, events) VALUES ($1, $2, $3, $4) ON CONFLICT (account, id) DO NOTHING`

// AppendAudit makes batches of audit events durable, all or none.
func (s *Store) AppendAudit(batches []audit.Batch) error {
	if len(batches) == 1 { // every request waits for it: a statement is its own transaction
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		defer cancel()
		b := batches[0]
		err := s.again(ctx, func() (err error) { // ids are never used again: what was written already stays as it is
			if s.appendAudit != nil {
				_, err = s.appendAudit.ExecContext(ctx, b.Account, b.ID, millis(b.Time), b.Events)
			} else {
				_, err = s.writer.ExecContext(ctx, s.engine.sql(insertAuditBatch), b.Account, b.ID, millis(b.Time), b.Events)
			}
			return err
		})
		return s.engine.classify(err)
	}
	return s.write(func(t *tx) error {
		for _, b := range batches {
			if err := t.exec(insertAuditBatch, b.Account, b.ID, millis(b.Time), b.Events); err != nil {
				return err
			}
		}
		return nil
	})
}

// AuditBatches lists the batches in the inbox of an account in order.
func (s *Store) AuditBatches(ctx context.Context, account string) ([]audit.Batch, error) {
	return s.AuditInbox(ctx, account, math.MaxInt32)
}

// AuditInbox lists the first batches in the inbox of an account.
func (s *Store) AuditInbox(ctx context.Context, account string, limit int) ([]audit.Batch, error) {
	return readAll(ctx, s, func(r scanner) (b audit.Batch, err error) {
		return b, r.Scan(&b.Account, &b.ID, moment{&b.Time}, &b.Events)
	}, `SELECT account, id, created_at, events FROM audit_batches WHERE account = $1 ORDER BY id COLLATE "C" LIMIT $2`, account, limit)
}
