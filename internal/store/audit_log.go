package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"credence/internal/fault"
)

// AuditLog is the transparency log of an account.
type AuditLog struct {
	Account     string
	Origin      string
	VerifierKey string
	Signer      []byte // sealed
	Size        int64  // entries
	First       int64  // the first entry that is still here; of those before it, there are hashes
	Checkpoint  []byte // for Size
	Cosigned    []byte // the last one that every sink has; nil before there is one
	CreatedAt   time.Time
}

// AuditChunk is entries of a log, as a bundle of c2sp.org/tlog-tiles. Of a row that is damaged, Entries are no such bundle.
type AuditChunk struct {
	Start, Count int64
	From, To     time.Time // bounds of their times
	Entries      []byte
	Terms        []AuditTerm
}

// AuditTerm is a value that some entry of a chunk has in a field.
type AuditTerm struct{ Field, Value string }

// AuditTile is hashes of a log's tree.
type AuditTile struct {
	Level  int
	N      int64
	Hashes []byte
}

// AuditFold is what makes entries of batches: all of it happens, or nothing.
type AuditFold struct {
	Account    string
	From, To   int64  // size of the log before and after
	Checkpoint []byte // for To
	Batches    []string
	Chunks     []AuditChunk
	Tiles      []AuditTile
}

const auditLogColumns = `account, origin, verifier_key, signer, size, first, checkpoint, cosigned, created_at`

func scanAuditLog(r scanner) (l AuditLog, err error) {
	return l, r.Scan(&l.Account, &l.Origin, &l.VerifierKey, &l.Signer, &l.Size, &l.First, &l.Checkpoint, &l.Cosigned, moment{&l.CreatedAt})
}

// AuditLog is the log of an account; fault.NotFound before its first entry.
func (s *Store) AuditLog(ctx context.Context, account string) (AuditLog, error) {
	return readOne(ctx, s, scanAuditLog, `SELECT `+auditLogColumns+` FROM audit_logs WHERE account = $1`, account)
}

// AuditLogs are those of all accounts.
func (s *Store) AuditLogs(ctx context.Context) ([]AuditLog, error) {
	return readAll(ctx, s, scanAuditLog, `SELECT `+auditLogColumns+` FROM audit_logs ORDER BY account COLLATE "C"`)
}

// InsertAuditLog begins a log; fault.Conflict when there is one.
func (s *Store) InsertAuditLog(l AuditLog) error {
	return s.write(func(t *tx) error {
		return t.exec(`INSERT INTO audit_logs (`+auditLogColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			l.Account, l.Origin, l.VerifierKey, l.Signer, l.Size, l.First, l.Checkpoint, l.Cosigned, millis(l.CreatedAt))
	})
}

// SetAuditCosigned keeps the checkpoint that every sink has by now.
func (s *Store) SetAuditCosigned(account string, checkpoint []byte) error {
	return s.write(func(t *tx) error {
		return t.exec(`UPDATE audit_logs SET cosigned = $2 WHERE account = $1`, account, checkpoint)
	})
}

// AuditInboxes are the accounts that have batches in the inbox.
func (s *Store) AuditInboxes(ctx context.Context) (accounts []string, err error) {
	for after := ""; ; {
		next, err := readAll(ctx, s, scanText, `SELECT account FROM audit_batches WHERE account > $1 ORDER BY account LIMIT 1`, after) // ids of digits: any collation
		if err != nil || len(next) == 0 {
			return accounts, err
		}
		accounts, after = append(accounts, next[0]), next[0]
	}
}

func scanText(r scanner) (text string, err error) { return text, r.Scan(&text) }

// FoldAudit moves batches from the inbox into a log. fault.ConcurrentModification, and nothing is done, when the log has another size than the fold begins with, or a
// batch is not in the inbox any more.
func (s *Store) FoldAudit(f AuditFold) error {
	return s.write(func(t *tx) error {
		if err := t.change(fault.ConcurrentModification, `UPDATE audit_logs SET size = $3, checkpoint = $4 WHERE account = $1 AND size = $2`, f.Account, f.From, f.To, f.Checkpoint); err != nil {
			return err
		}
		args := []any{f.Account}
		for _, id := range f.Batches {
			args = append(args, id)
		}
		n, err := t.count(`DELETE FROM audit_batches WHERE account = $1 AND id IN (`+marks(2, len(f.Batches))+`)`, args...)
		if err == nil && n != len(f.Batches) {
			err = fault.ConcurrentModification
		}
		if err != nil {
			return err
		}
		buffer := packed.Get().(*[]byte)
		defer packed.Put(buffer)
		for _, c := range f.Chunks {
			*buffer = pack(*buffer, c.Entries)
			if err := t.exec(`INSERT INTO audit_chunks (account, start, count, first_at, last_at, entries) VALUES ($1, $2, $3, $4, $5, $6)`,
				f.Account, c.Start, c.Count, millis(c.From), millis(c.To), *buffer); err != nil {
				return err
			}
			for terms := range slices.Chunk(c.Terms, 100) {
				args := []any{f.Account, c.Start}
				values := make([]string, len(terms))
				for i, term := range terms {
					args = append(args, term.Field, term.Value)
					values[i] = fmt.Sprintf("($1, $%d, $%d, $2)", len(args)-1, len(args))
				}
				if err := t.exec(`INSERT INTO audit_terms (account, field, value, start) VALUES `+strings.Join(values, ", "), args...); err != nil {
					return err
				}
			}
		}
		for _, tile := range f.Tiles {
			if err := t.exec(`INSERT INTO audit_tiles (account, level, n, hashes) VALUES ($1, $2, $3, $4) ON CONFLICT (account, level, n) DO UPDATE SET hashes = excluded.hashes`,
				f.Account, tile.Level, tile.N, tile.Hashes); err != nil {
				return err
			}
		}
		return nil
	})
}

// marks are $from, $from+1, … for so many parameters.
func marks(from, count int) string {
	out := make([]string, count)
	for i := range out {
		out[i] = fmt.Sprintf("$%d", from+i)
	}
	return strings.Join(out, ", ")
}

// AuditTile are the hashes of a tile as far as there are any; fault.NotFound when there is none.
func (s *Store) AuditTile(ctx context.Context, account string, level int, n int64) ([]byte, error) {
	return readOne(ctx, s, func(r scanner) (b []byte, err error) { return b, r.Scan(&b) }, `SELECT hashes FROM audit_tiles WHERE account = $1 AND level = $2 AND n = $3`, account, level, n)
}

const auditChunkColumns = `c.start, c.count, c.first_at, c.last_at, c.entries`

func scanAuditChunk(r scanner) (c AuditChunk, err error) {
	if err = r.Scan(&c.Start, &c.Count, moment{&c.From}, moment{&c.To}, &c.Entries); err != nil {
		return c, err
	}
	entries, damaged := unpack(c.Entries)
	if damaged != nil {
		entries = []byte("damaged") // no bundle, as whoever reads it finds out; the other chunks are as good as ever
	}
	c.Entries = entries
	return c, nil
}

// AuditChunks are those that begin at start or later, and before end.
func (s *Store) AuditChunks(ctx context.Context, account string, start, end int64) ([]AuditChunk, error) {
	return readAll(ctx, s, scanAuditChunk, `SELECT `+auditChunkColumns+` FROM audit_chunks c WHERE c.account = $1 AND c.start >= $2 AND c.start < $3 ORDER BY c.start`, account, start, end)
}

// AuditQuery chooses chunks that may have what is looked for: those that begin before Before, the last first.
type AuditQuery struct {
	Account  string
	From, To time.Time   // zero: any
	Terms    []AuditTerm // all of them
	Before   int64
	Limit    int
}

// FindAuditChunks finds them.
func (s *Store) FindAuditChunks(ctx context.Context, q AuditQuery) ([]AuditChunk, error) {
	query := `SELECT ` + auditChunkColumns + ` FROM audit_chunks c WHERE c.account = $1 AND c.start < $2`
	args := []any{q.Account, q.Before}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if !q.From.IsZero() {
		query += ` AND c.last_at >= ` + arg(millis(q.From))
	}
	if !q.To.IsZero() {
		query += ` AND c.first_at <= ` + arg(millis(q.To))
	}
	for _, t := range q.Terms {
		query += ` AND c.start IN (SELECT t.start FROM audit_terms t WHERE t.account = $1 AND t.field = ` + arg(t.Field) + ` AND t.value = ` + arg(t.Value) + ` AND t.start < $2)`
	}
	return readAll(ctx, s, scanAuditChunk, query+` ORDER BY c.start DESC LIMIT `+arg(q.Limit), args...)
}

// PruneAudit removes the entries before first, a multiple of 256, and leaves their hashes.
func (s *Store) PruneAudit(account string, first int64) error {
	if first%256 != 0 {
		return errors.New("entries are removed by whole bundles")
	}
	return s.write(func(t *tx) error {
		if err := t.change(fault.ConcurrentModification, `UPDATE audit_logs SET first = $2 WHERE account = $1 AND first <= $2 AND size >= $2`, account, first); err != nil {
			return err
		}
		for _, table := range []string{"audit_chunks", "audit_terms"} {
			if err := t.exec(`DELETE FROM `+table+` WHERE account = $1 AND start < $2`, account, first); err != nil {
				return err
			}
		}
		return nil
	})
}
