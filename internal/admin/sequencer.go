package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/tlog"
	"credence/internal/worker"
)

// AuditLogs are where the audit events of accounts become entries of transparency logs.
type AuditLogs interface {
	AuditInboxes(ctx context.Context) ([]string, error)
	AuditInbox(ctx context.Context, account string, limit int) ([]audit.Batch, error)
	AuditTile(ctx context.Context, account string, level int, n int64) ([]byte, error)
	FoldAudit(store.AuditFold) error
	AcquireLease(account, name string, d time.Duration) (store.Lease, error)
	ReleaseLease(store.Lease) error
}

const (
	sequencePoll  = 500 * time.Millisecond
	sequenceLease = 30 * time.Second // one replica works on a log; that two do no harm, the size of the log sees to
	foldEvents    = 2048             // that one transaction makes entries, about: others wait for it
	foldBatches   = 256
)

// SequenceAudit makes entries of what was recorded until ctx ends, and then once more of what is left.
func (a *Admin) SequenceAudit(ctx context.Context) {
	sequence := func(ctx context.Context) {
		if err := a.SequenceAll(context.WithoutCancel(ctx)); err != nil {
			a.Log.Error("audit events are recorded, but are no entries of their log yet", "cause", err.Error())
		}
	}
	worker.Every(ctx, sequencePoll, sequence)
	sequence(ctx)
}

// SequenceAll makes entries of all that is recorded now.
func (a *Admin) SequenceAll(ctx context.Context) error {
	accounts, err := a.AuditLogs.AuditInboxes(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, account := range accounts {
		if err := a.sequence(ctx, account); err != nil && !errors.Is(err, fault.ConcurrentModification) { // another replica is at it
			errs = append(errs, fmt.Errorf("account %s: %w", account, err))
		}
	}
	return errors.Join(errs...)
}

// sequence empties the inbox of an account. Wherever it stops, a fold happened or did not, and what is in the inbox is in no tree: the next one goes on there.
func (a *Admin) sequence(ctx context.Context, account string) error {
	lease, err := a.AuditLogs.AcquireLease(account, "audit/sequence", sequenceLease)
	if err != nil {
		return err
	}
	defer func() { _ = a.AuditLogs.ReleaseLease(lease) }() // it ends by itself
	limit := 16
	for start := time.Now(); time.Since(start) < sequenceLease/2; {
		batches, err := a.AuditLogs.AuditInbox(ctx, account, limit)
		if err != nil || len(batches) == 0 {
			return err
		}
		l, err := a.Vault.AuditLog(ctx, account, a.auditOrigin(account))
		if err != nil {
			return err
		}
		f, err := a.fold(ctx, l, batches)
		if err != nil {
			return err
		}
		if err := a.AuditLogs.FoldAudit(f); err != nil {
			return err
		}
		a.Metrics.AuditEntries.Add(float64(f.To - f.From))
		if len(batches) < limit && len(f.Batches) == len(batches) {
			return nil
		}
		each := max(1, int(f.To-f.From)/len(f.Batches))
		limit = min(max(1, foldEvents/each), foldBatches)
	}
	return nil
}

// auditOrigin is the name of a log that is begun now: where it can be read, without the scheme.
func (a *Admin) auditOrigin(account string) string {
	host := a.PublicURL
	if u, err := url.Parse(a.PublicURL); err == nil && u.Host != "" {
		host = u.Host
	}
	return strings.Trim(host+"/audit/"+account, "/")
}

// fold computes what becomes of a log by the first of some batches.
func (a *Admin) fold(ctx context.Context, l store.AuditLog, batches []audit.Batch) (store.AuditFold, error) {
	f := store.AuditFold{Account: l.Account, From: l.Size}
	edge := map[tlog.Place][]byte{}
	for _, p := range tlog.Edge(l.Size) {
		hashes, err := a.AuditLogs.AuditTile(ctx, l.Account, p.Level, p.N)
		if err != nil {
			return f, fmt.Errorf("tile %d of level %d of the log's tree: %w", p.N, p.Level, err)
		}
		edge[p] = hashes
	}
	tree, err := tlog.NewTree(l.Size, edge)
	if err != nil {
		return f, err
	}
	var chunk *chunk
	var parser audit.Parser
	left := 0
	for _, b := range batches {
		left += len(b.Events)
	}
	for _, b := range batches {
		if tree.Size()-l.Size >= foldEvents {
			break
		}
		f.Batches = append(f.Batches, b.ID)
		for line := range bytes.Lines(b.Events) {
			entry := bytes.TrimSuffix(line, []byte("\n"))
			entry = entry[:min(len(entry), tlog.MaxEntry)] // none that was recorded is longer
			if chunk == nil || tree.Size()%tlog.TileWidth == 0 {
				chunk.endInto(&f)
				chunk = newChunk(tree.Size(), &parser)
				chunk.Entries = make([]byte, 0, min(left+left/8, tlog.TileWidth*(len(entry)+64))) // about what it will have
			}
			if err := chunk.add(entry, b); err != nil {
				return f, err
			}
			tree.Add(tlog.LeafHash(entry))
		}
		left -= len(b.Events)
	}
	chunk.endInto(&f)
	for p, hashes := range tree.Changed() {
		f.Tiles = append(f.Tiles, store.AuditTile{Level: p.Level, N: p.N, Hashes: hashes})
	}
	head, err := tree.Head()
	if err != nil {
		return f, err
	}
	// What is stored must still be what was signed: a key that signs whatever it finds would vouch for it.
	if err := a.unchanged(l, edge); err != nil {
		return f, err
	}
	f.To = head.N
	f.Checkpoint, err = a.Vault.SignCheckpoint(ctx, l, head)
	return f, err
}

// unchanged tells whether the edge of a tree leads to the root in the log's last checkpoint, and that is signed.
func (a *Admin) unchanged(l store.AuditLog, edge map[tlog.Place][]byte) error {
	key, err := tlog.ParseKey(l.VerifierKey)
	if err != nil {
		return err
	}
	signed, err := tlog.OpenCheckpoint(l.Checkpoint, key)
	if err != nil {
		return fmt.Errorf("the log's checkpoint: %w", err)
	}
	tree, err := tlog.NewTree(l.Size, edge)
	if err != nil {
		return err
	}
	if head, err := tree.Head(); err != nil || head != signed {
		return errors.Join(errors.New("the log's tree is not the one that its checkpoint signs: somebody wrote into the database (credence audit verify tells where)"), err)
	}
	return nil
}

// chunk is entries on their way into a row.
type chunk struct {
	store.AuditChunk
	parser *audit.Parser
	terms  map[store.AuditTerm]bool
	last   []string // value of each indexed field: most entries are like the one before
}

func newChunk(start int64, p *audit.Parser) *chunk {
	return &chunk{store.AuditChunk{Start: start}, p, map[store.AuditTerm]bool{}, make([]string, len(indexed))}
}

func (c *chunk) endInto(f *store.AuditFold) {
	if c == nil {
		return
	}
	for t := range c.terms {
		c.Terms = append(c.Terms, t)
	}
	f.Chunks = append(f.Chunks, c.AuditChunk)
}

// indexed are the fields by which entries are found, and their values in an event.
var indexed = []struct {
	field string
	of    func(*audit.Event) string
}{
	{"caller", func(e *audit.Event) string { return e.Caller }},
	{"action", func(e *audit.Event) string { return e.Action }},
	{"workload", func(e *audit.Event) string { return e.Workload }},
	{"provider", func(e *audit.Event) string { return e.Provider }},
	{"user", func(e *audit.Event) string { return e.User }},
	{"outcome", func(e *audit.Event) string { return string(e.Outcome) }},
}

// add adds an entry. Whatever stands in the inbox becomes one; what is no event can only be found by its time, which is the batch's.
func (c *chunk) add(entry []byte, b audit.Batch) error {
	var err error
	if c.Entries, err = tlog.AppendEntry(c.Entries, entry); err != nil {
		return err
	}
	c.Count++
	e, err := c.parser.Parse(entry)
	if err != nil {
		e = audit.Event{}
	}
	if e.Time.IsZero() {
		e.Time = b.Time
	}
	from, to := e.Time, e.Time
	if id, err := uuid.Parse(e.ID); err == nil && id.Version() == 7 {
		if sec, nsec := id.Time().UnixTime(); time.Unix(sec, nsec).After(to) {
			to = time.Unix(sec, nsec)
		}
	}
	if c.From.IsZero() || from.Before(c.From) {
		c.From = from
	}
	if to = to.Add(time.Millisecond); to.After(c.To) { // rows have milliseconds
		c.To = to
	}
	for n, i := range indexed {
		if value := i.of(&e); value != "" && value != c.last[n] {
			c.terms[store.AuditTerm{Field: i.field, Value: value}] = true
			c.last[n] = value
		}
	}
	return nil
}
