package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// table is a table as a copy sees it: rows are read in the order of key.
type table struct {
	name string
	key  []string
}

// tables are all there are, but for goose's own. A test holds them against the schema.
var tables = []table{
	{"meta", []string{"name"}},
	{"accounts", []string{"account"}},
	{"account_deletions", []string{"account"}},
	{"keysets", []string{"account", "purpose"}},
	{"keys", []string{"account", "id"}},
	{"issuer_keys", []string{"account", "id"}},
	{"users", []string{"account", "name"}},
	{"roles", []string{"account", "name"}},
	{"principal_policies", []string{"account", "principal", "name"}},
	{"access_keys", []string{"access_key_id"}},
	{"trusted_issuers", []string{"account", "issuer"}},
	{"trust_bundles", []string{"account", "domain"}},
	{"token_vaults", []string{"account", "id"}},
	{"workload_identities", []string{"account", "name"}},
	{"oauth2_providers", []string{"account", "name"}},
	{"apikey_providers", []string{"account", "name"}},
	{"payment_providers", []string{"account", "name"}},
	{"consent_portals", []string{"account", "id"}},
	{"tags", []string{"account", "resource", "name"}},
	{"grants", []string{"account", "grant_key"}},
	{"authorization_sessions", []string{"account", "id"}},
	{"revocations", []string{"account", "id"}},
	{"freezes", []string{"account", "kind", "id"}},
	{"ceilings", []string{"account", "kind", "name"}},
	{"webhooks", []string{"account", "name"}},
	{"webhook_deliveries", []string{"account", "webhook", "id"}},
	{"sign_in_providers", []string{"account", "name"}},
	{"console_sessions", []string{"account", "id"}},
	{"leases", []string{"account", "name"}},
	{"audit_batches", []string{"account", "id"}},
	{"audit_logs", []string{"account"}},
	{"audit_chunks", []string{"account", "start"}},
	{"audit_terms", []string{"account", "field", "value", "start"}},
	{"audit_tiles", []string{"account", "level", "n"}},
}

// copying is a mark of a database that a copy fills: nobody is served from half a copy.
const copying = "copying"

// Rows of one transaction of a copy; what is not committed when it ends is copied again.
const copyRows = 2000

// ErrHalfCopy: a copy into this database was begun and did not come to its end.
var ErrHalfCopy = errors.New("a copy into it was begun and not finished: run credence db copy again")

// Copy copies every row to another database, and then compares the two. One that was broken off goes on where it was. to must be new, or half a copy of s;
// nobody may write to either meanwhile, and what was written to s all the same is found by the comparison. progress is told of every batch.
func (s *Store) Copy(ctx context.Context, to *Store, progress func(table string, rows int)) error {
	source, err := s.Meta(ctx, "key_check")
	if err != nil {
		return fmt.Errorf("what is copied from is no installation: %w", err)
	}
	if err := to.beginCopy(ctx, source); err != nil {
		return err
	}
	for _, t := range tables {
		if err := s.copyTable(ctx, to, t, progress); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	if err := s.same(ctx, to); err != nil {
		return err
	}
	return to.write(func(t *tx) error { return t.change(ErrHalfCopy, `DELETE FROM meta WHERE name = $1`, copying) })
}

// beginCopy marks a new database as half a copy of source, which is known by its key-check value.
func (s *Store) beginCopy(ctx context.Context, source []byte) error {
	mark, err := s.Meta(ctx, copying)
	if err == nil && string(mark) != string(source) {
		return errors.New("what is copied to is half a copy of another database: give an empty one")
	}
	if err == nil {
		return nil
	}
	for _, t := range tables {
		var n int
		if err := s.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM `+t.name+` LIMIT 1) found`).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return errors.New("what is copied to is in use: give an empty database")
		}
	}
	return s.InsertMeta(copying, source)
}

// Whole refuses half a copy with ErrHalfCopy.
func (s *Store) Whole(ctx context.Context) error {
	rows, err := readAll(ctx, s, func(r scanner) (v []byte, err error) { return v, r.Scan(&v) }, `SELECT value FROM meta WHERE name = $1`, copying)
	if err == nil && len(rows) > 0 {
		err = ErrHalfCopy
	}
	return err
}

// order is the key of a table, texts compared bytewise on every engine; way is nothing or DESC.
func (t table) order(way string) string {
	columns := make([]string, len(t.key))
	for i, name := range t.key {
		columns[i] = strings.TrimSpace(collated(name) + " " + way)
	}
	return strings.Join(columns, ", ")
}

// collated is a column of a key; those of numbers have no collation.
func collated(name string) string {
	if slices.Contains([]string{"start", "level", "n"}, name) {
		return name
	}
	return name + ` COLLATE "C"`
}

// rows reads a table in the order of its key, from behind a key on; the key of goose's marks is left out.
func (s *Store) rows(ctx context.Context, t table, after []any) (*sql.Rows, error) {
	query, args := `SELECT * FROM `+t.name, after
	if len(after) > 0 {
		marks := make([]string, len(after))
		for i := range after {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		query += ` WHERE (` + t.order("") + `) > (` + strings.Join(marks, ", ") + `)`
	}
	return s.reader.QueryContext(ctx, s.engine.sql(query+` ORDER BY `+t.order("")), args...)
}

// row scans one row of any table. SQLite tells booleans as numbers.
func row(rows *sql.Rows, types []*sql.ColumnType) ([]any, error) {
	values, into := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	for i, v := range values {
		if n, ok := v.(int64); ok && strings.HasPrefix(types[i].DatabaseTypeName(), "BOOL") {
			values[i] = n != 0
		}
	}
	return values, nil
}

func (s *Store) copyTable(ctx context.Context, to *Store, t table, progress func(string, int)) (err error) {
	last, err := to.lastKey(ctx, t)
	if err != nil {
		return err
	}
	rows, err := s.rows(ctx, t, last)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	var batch [][]any
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := to.insertRows(t, types, batch)
		progress(t.name, len(batch))
		batch = batch[:0]
		return err
	}
	for rows.Next() {
		values, err := row(rows, types)
		if err != nil {
			return err
		}
		if batch = append(batch, values); len(batch) == copyRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return flush()
}

// lastKey is the last key of a table; nil when it is empty. Meta has the mark of the copy, which is no row of the source.
func (s *Store) lastKey(ctx context.Context, t table) ([]any, error) {
	if t.name == "meta" {
		return nil, nil // few rows, written once more
	}
	values, into := make([]any, len(t.key)), make([]any, len(t.key))
	for i := range values {
		into[i] = &values[i]
	}
	err := s.reader.QueryRowContext(ctx, s.engine.sql(`SELECT `+strings.Join(t.key, ", ")+` FROM `+t.name+` ORDER BY `+t.order("DESC")+` LIMIT 1`)).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return values, err
}

// Parameters of one statement: SQLite takes 32766, PostgreSQL 65535.
const maxParameters = 30_000

func (s *Store) insertRows(t table, types []*sql.ColumnType, rows [][]any) error {
	names := make([]string, len(types))
	for i, c := range types {
		names[i] = c.Name()
	}
	return s.write(func(tx *tx) error {
		for part := rows; len(part) > 0; {
			n := min(len(part), maxParameters/len(names))
			var query strings.Builder
			var args []any
			fmt.Fprintf(&query, "INSERT INTO %s (%s) VALUES ", t.name, strings.Join(names, ", "))
			for i, values := range part[:n] {
				if i > 0 {
					query.WriteString(", ")
				}
				for j := range values {
					query.WriteString([]string{"(", ", "}[min(j, 1)])
					fmt.Fprintf(&query, "$%d", len(args)+j+1)
				}
				query.WriteString(")")
				args = append(args, values...)
			}
			if t.name == "meta" {
				query.WriteString(" ON CONFLICT (name) DO NOTHING")
			}
			if err := tx.exec(query.String(), args...); err != nil {
				return err
			}
			part = part[n:]
		}
		return nil
	})
}

// same compares two databases row by row.
func (s *Store) same(ctx context.Context, other *Store) error {
	for _, t := range tables {
		n, ours, err := s.digest(ctx, t)
		if err != nil {
			return err
		}
		m, theirs, err := other.digest(ctx, t)
		if err != nil {
			return err
		}
		if n != m || ours != theirs {
			return fmt.Errorf("table %s differs after the copy (%d rows, and %d in the copy): stop every server, empty the new database and copy again", t.name, n, m)
		}
	}
	return nil
}

// digest is over all rows of a table, their columns by name.
func (s *Store) digest(ctx context.Context, t table) (n int, sum [sha256.Size]byte, err error) {
	rows, err := s.rows(ctx, t, nil)
	if err != nil {
		return 0, sum, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return 0, sum, err
	}
	h := sha256.New()
	for rows.Next() {
		values, err := row(rows, types)
		if err != nil {
			return 0, sum, err
		}
		if t.name == "meta" && values[0] == copying {
			continue
		}
		n++
		for i, v := range values {
			hashValue(h, types[i].Name(), v)
		}
	}
	return n, [sha256.Size]byte(h.Sum(nil)), rows.Err()
}

func hashValue(h hash.Hash, column string, v any) {
	var text string
	switch v := v.(type) {
	case []byte:
		text = string(v)
	case string:
		text = v
	default:
		text = fmt.Sprint(v) // numbers, booleans, and <nil>, which is told apart by its type
	}
	head := fmt.Appendf(nil, "%s %T ", column, v)
	h.Write(binary.BigEndian.AppendUint64(head, uint64(len(text))))
	h.Write([]byte(text))
}
