package store

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/klauspost/compress/s2"

	"credence/internal/audit"
)

const insertAuditBatch = `INSERT INTO audit_batches (account, id, created_at, events) VALUES ($1, $2, $3, $4) ON CONFLICT (account, id) DO NOTHING`

// AppendAudit makes batches of audit events durable, all or none.
func (s *Store) AppendAudit(batches []audit.Batch) error {
	if len(batches) == 1 { // every request waits for it: a statement is its own transaction
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		defer cancel()
		buffer := packed.Get().(*[]byte)
		defer packed.Put(buffer)
		b := batches[0]
		*buffer = pack(*buffer, b.Events)
		err := s.again(ctx, func() (err error) { // ids are never used again: what was written already stays as it is
			if s.appendAudit != nil {
				_, err = s.appendAudit.ExecContext(ctx, b.Account, b.ID, millis(b.Time), *buffer)
			} else {
				_, err = s.writer.ExecContext(ctx, s.engine.sql(insertAuditBatch), b.Account, b.ID, millis(b.Time), *buffer)
			}
			return err
		})
		return s.engine.classify(err)
	}
	return s.write(func(t *tx) error {
		for _, b := range batches {
			if err := t.exec(insertAuditBatch, b.Account, b.ID, millis(b.Time), pack(nil, b.Events)); err != nil {
				return err
			}
		}
		return nil
	})
}

var packed = sync.Pool{New: func() any { return new([]byte) }}

// maxUnpacked is more than any row has, and less than a row that somebody forged could ask for.
const maxUnpacked = 64 << 20

// pack compresses events or entries in the block format of S2: alike as they are, an eighth is left of them, for less than it costs to write the rest. The memory of
// dst is used if it is enough.
func pack(dst, plain []byte) []byte { return s2.Encode(dst[:cap(dst)], plain) }

func unpack(row []byte) ([]byte, error) {
	n, err := s2.DecodedLen(row)
	if err == nil && n > maxUnpacked {
		err = fmt.Errorf("it would have %d bytes", n)
	}
	if err != nil {
		return nil, err
	}
	return s2.Decode(nil, row)
}

// AuditBatches lists the batches in the inbox of an account in order.
func (s *Store) AuditBatches(ctx context.Context, account string) ([]audit.Batch, error) {
	return s.AuditInbox(ctx, account, math.MaxInt32)
}

// AuditInbox lists the first batches in the inbox of an account. Of a row that is damaged, Events is what stands there: it becomes an entry as it is, and holds up
// nobody.
func (s *Store) AuditInbox(ctx context.Context, account string, limit int) ([]audit.Batch, error) {
	return readAll(ctx, s, func(r scanner) (b audit.Batch, err error) {
		if err = r.Scan(&b.Account, &b.ID, moment{&b.Time}, &b.Events); err != nil {
			return b, err
		}
		if events, damaged := unpack(b.Events); damaged == nil {
			b.Events = events
		}
		return b, nil
	}, `SELECT account, id, created_at, events FROM audit_batches WHERE account = $1 ORDER BY id COLLATE "C" LIMIT $2`, account, limit)
}
