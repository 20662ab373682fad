package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/tlog"
	"credence/internal/wire"
	"credence/internal/workload"
)

// allowAudit is the first call of every operation on the audit log.
func (a *Admin) allowAudit(c iam.Caller, operation string, req access.Request) error {
	req.Action = "credence:" + operation
	req.Resources = append(req.Resources, a.ARNs.Extension(c.Account, "audit-log", "default"))
	return a.Gate.Allow(c, req)
}

// A page of QueryAudit looks at so many chunks at most, whatever it finds.
const chunksLooked = 64

// QueryAudit finds entries of the account's audit log, the newest first. What was recorded less than a second ago may not be an entry yet.
func (a *Admin) QueryAudit(ctx context.Context, c iam.Caller, in *wire.QueryAuditInput) (*wire.QueryAuditOutput, error) {
	const cursor = "cursor QueryAudit"
	q := store.AuditQuery{Account: c.Account, Before: math.MaxInt64, Limit: chunksLooked}
	var req access.Request
	term := func(field string, value *string) {
		if value != nil {
			q.Terms = append(q.Terms, store.AuditTerm{Field: field, Value: *value})
		}
	}
	if in.User != nil {
		req.User = workload.UserNamed(in.User).String()
		term("user", &req.User)
	}
	term("workload", in.WorkloadName)
	term("provider", in.ResourceCredentialProviderName)
	term("caller", in.CallerArn)
	term("action", in.Action)
	term("outcome", (*string)(in.Outcome))
	if in.StartTime != nil {
		q.From = time.Unix(*in.StartTime, 0)
	}
	if in.EndTime != nil {
		q.To = time.Unix(*in.EndTime, 0)
	}
	if err := a.allowAudit(c, "QueryAudit", req); err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		text, ok, err := a.Vault.OpenHandle(ctx, c.Account, cursor, *in.NextToken)
		if err != nil {
			return nil, err
		}
		if q.Before, err = strconv.ParseInt(string(text), 10, 64); !ok || err != nil {
			return nil, fault.Invalid("nextToken", "is not one that QueryAudit returned: leave it out to begin anew")
		}
	}
	chunks, err := a.Store.FindAuditChunks(ctx, q)
	if err != nil {
		return nil, err
	}
	most := int(or(in.MaxResults, 100))
	out := &wire.QueryAuditOutput{Entries: []wire.AuditEntry{}}
	next := int64(0)
	for i, k := range chunks {
		if err := matching(k, q, func(index int64, entry []byte) bool {
			if len(out.Entries) == most {
				next = index + 1 // below which the next page goes on
				return false
			}
			out.Entries = append(out.Entries, wire.AuditEntry{Index: &index, Event: string(entry)})
			return true
		}); err != nil {
			return nil, err
		}
		if next > 0 {
			break
		}
		if i == chunksLooked-1 {
			next = k.Start
		}
	}
	if next > 0 {
		token, err := a.Vault.SealHandle(ctx, c.Account, cursor, strconv.AppendInt(nil, next, 10))
		if err != nil {
			return nil, err
		}
		out.NextToken = &token
	}
	return out, nil
}

// matching yields the entries of a chunk for which all of a query holds, the last first.
func matching(k store.AuditChunk, q store.AuditQuery, yield func(index int64, entry []byte) bool) error {
	entries, err := tlog.Entries(k.Entries)
	if err != nil {
		return fmt.Errorf("the entries from %d on are damaged: %w", k.Start, err)
	}
	for i := len(entries) - 1; i >= 0; i-- {
		index := k.Start + int64(i)
		var e audit.Event
		if index >= q.Before || json.Unmarshal(entries[i], &e) != nil || !q.From.IsZero() && e.Time.Before(q.From) || !q.To.IsZero() && !e.Time.Before(q.To) {
			continue
		}
		if holds(e, q.Terms) && !yield(index, entries[i]) {
			return nil
		}
	}
	return nil
}

func holds(e audit.Event, terms []store.AuditTerm) bool {
	for _, t := range terms {
		for _, i := range indexed {
			if i.field == t.Field && i.of(&e) != t.Value {
				return false
			}
		}
	}
	return true
}

// auditLog is the log of an account; one that has no entry yet is begun.
func (a *Admin) auditLog(ctx context.Context, account string) (store.AuditLog, error) {
	return a.Vault.AuditLog(ctx, account, a.auditOrigin(account))
}

func auditPath(account string) string { return "/audit/" + account }

// GetAuditCheckpoint tells how far the account's audit log is, signed, and by which key that is verified.
func (a *Admin) GetAuditCheckpoint(ctx context.Context, c iam.Caller, _ *wire.GetAuditCheckpointInput) (*wire.GetAuditCheckpointOutput, error) {
	if err := a.allowAudit(c, "GetAuditCheckpoint", access.Request{}); err != nil {
		return nil, err
	}
	l, err := a.auditLog(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.GetAuditCheckpointOutput{Checkpoint: string(l.Checkpoint), VerifierKey: l.VerifierKey, TreeSize: &l.Size, FirstIndex: &l.First, Path: auditPath(c.Account)}
	if l.Cosigned != nil {
		out.CosignedCheckpoint = new(string(l.Cosigned))
	}
	return out, nil
}

// GetAuditProof proves that the account's audit log has an entry: for the last checkpoint that every sink has, if that is late enough, else for the latest.
func (a *Admin) GetAuditProof(ctx context.Context, c iam.Caller, in *wire.GetAuditProofInput) (*wire.GetAuditProofOutput, error) {
	if err := a.allowAudit(c, "GetAuditProof", access.Request{}); err != nil {
		return nil, err
	}
	l, err := a.auditLog(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	index, entry, err := a.findEntry(ctx, l, in)
	if err != nil {
		return nil, err
	}
	checkpoint := l.Checkpoint
	if l.Cosigned != nil {
		if _, h, err := tlog.ClaimedHead(l.Cosigned); err == nil && index < h.N {
			checkpoint = l.Cosigned
		}
	}
	_, head, err := tlog.ClaimedHead(checkpoint)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveEntry(head, index, a.tiles(ctx, c.Account))
	if err != nil {
		return nil, fmt.Errorf("the log's tree does not lead to its checkpoint: %w", err)
	}
	return &wire.GetAuditProofOutput{Index: &index, Event: string(entry), Proof: string(tlog.FormatProof(index, proof, checkpoint))}, nil
}

func (a *Admin) findEntry(ctx context.Context, l store.AuditLog, in *wire.GetAuditProofInput) (int64, []byte, error) {
	q := store.AuditQuery{Account: l.Account, Before: math.MaxInt64, Limit: chunksLooked}
	if in.Index != nil {
		if *in.Index < l.First || *in.Index >= l.Size {
			return 0, nil, fault.Invalid("index", "is %d, but the log has the entries from %d to %d", *in.Index, l.First, l.Size-1)
		}
		bundle := *in.Index / tlog.TileWidth * tlog.TileWidth
		chunks, err := a.Store.AuditChunks(ctx, l.Account, bundle, bundle+tlog.TileWidth)
		if err != nil {
			return 0, nil, err
		}
		for _, k := range chunks {
			entries, err := tlog.Entries(k.Entries)
			if i := *in.Index - k.Start; err == nil && i >= 0 && i < int64(len(entries)) {
				return *in.Index, entries[i], nil
			}
		}
		return 0, nil, fmt.Errorf("entry %d of the audit log of account %s is gone", *in.Index, l.Account)
	}
	id, err := uuid.Parse(*in.EventId)
	if err != nil || id.Version() != 7 {
		return 0, nil, fault.Invalid("eventId", "%q is not the id of an audit event, a UUID of version 7", *in.EventId)
	}
	sec, nsec := id.Time().UnixTime()
	q.From = time.Unix(sec, nsec)
	q.To = q.From.Add(time.Millisecond)
	for q.Before > 0 {
		chunks, err := a.Store.FindAuditChunks(ctx, q)
		if err != nil {
			return 0, nil, err
		}
		for _, k := range chunks {
			entries, err := tlog.Entries(k.Entries)
			if err != nil {
				return 0, nil, fmt.Errorf("the entries from %d on are damaged: %w", k.Start, err)
			}
			for i, entry := range entries {
				var e audit.Event
				if json.Unmarshal(entry, &e) == nil && e.ID == id.String() {
					return k.Start + int64(i), entry, nil
				}
			}
			q.Before = k.Start
		}
		if len(chunks) < q.Limit {
			break
		}
	}
	return 0, nil, fault.New(fault.NotFound, "No entry of the audit log has the event %s: it may be younger than a second, older than what is kept, or of another account", id)
}

// tiles reads the tree of an account.
func (a *Admin) tiles(ctx context.Context, account string) tlog.Tiles {
	return func(tiles []tlog.Tile) ([][]byte, error) {
		out := make([][]byte, len(tiles))
		for i, t := range tiles {
			var err error
			if out[i], err = a.auditTile(ctx, account, t); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// auditTile is a tile of a tree, or of its entries; fault.NotFound when the log is not so far. Entries that are missing in the middle are left out: whoever
// verifies them finds out which.
func (a *Admin) auditTile(ctx context.Context, account string, t tlog.Tile) ([]byte, error) {
	if !tlog.IsEntries(t) {
		hashes, err := a.AuditLogs.AuditTile(ctx, account, t.L, t.N)
		if err == nil && len(hashes) < t.W*len(tlog.Hash{}) {
			err = fault.NotFound
		}
		if err != nil {
			return nil, err
		}
		return hashes[:t.W*len(tlog.Hash{})], nil
	}
	start := t.N * tlog.TileWidth
	chunks, err := a.Store.AuditChunks(ctx, account, start, start+int64(t.W))
	if err != nil {
		return nil, err
	}
	if len(chunks) == 0 {
		return nil, fault.NotFound
	}
	var bundle []byte
	for _, k := range chunks {
		entries, err := tlog.Entries(k.Entries)
		if err != nil {
			continue // damaged
		}
		for i, entry := range entries {
			if k.Start+int64(i) < start+int64(t.W) {
				if bundle, err = tlog.AppendEntry(bundle, entry); err != nil {
					return nil, err
				}
			}
		}
	}
	return bundle, nil
}

const auditToken = "audit token"

// auditReader is what a token that reads the audit log seals. It is good for as long as the access key that made it, or until the sessions of the role are revoked.
type auditReader struct {
	Ends       int64  `json:"e"` // unix
	Key        string `json:"k,omitempty"`
	Role       string `json:"r,omitempty"`
	RoleID     string `json:"i,omitempty"`
	Generation int64  `json:"g,omitempty"`
	Issued     int64  `json:"b,omitempty"` // unix milliseconds
}

// CreateAuditToken makes a token by which tools for tiled logs read the account's audit log.
func (a *Admin) CreateAuditToken(ctx context.Context, c iam.Caller, in *wire.CreateAuditTokenInput) (*wire.CreateAuditTokenOutput, error) {
	if err := a.allowAudit(c, "CreateAuditToken", access.Request{}); err != nil {
		return nil, err
	}
	ends := time.Now().Add(time.Duration(or(in.DurationSeconds, 3600)) * time.Second).Truncate(time.Second)
	r := auditReader{Ends: ends.Unix(), Key: c.AccessKeyID}
	if c.Session != nil {
		role, err := a.Store.Role(ctx, c.Account, c.Name)
		if err != nil {
			return nil, err
		}
		r.Key, r.Role, r.RoleID, r.Generation, r.Issued = "", role.Name, role.ID, role.Generation, c.Session.IssuedAt.UnixMilli()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	token, err := a.Vault.SealHandle(ctx, c.Account, auditToken, text)
	return &wire.CreateAuditTokenOutput{Token: token, ExpiresAt: wire.Time{Time: ends}, Path: auditPath(c.Account)}, err
}

// goodStill answers nil while whoever made a token could sign a request, and fault.NotFound or fault.UnknownCaller after that. The end of a session ends nothing: it is
// known beforehand, and a token may be for longer.
func (a *Admin) goodStill(ctx context.Context, account string, r auditReader) error {
	if r.Role == "" {
		c, err := a.Vault.KeyCaller(ctx, r.Key)
		if err == nil && c.Account != account {
			err = fault.NotFound
		}
		return err
	}
	role, err := a.Store.Role(ctx, account, r.Role)
	if err == nil && !role.HasSession(r.RoleID, r.Generation, time.UnixMilli(r.Issued)) {
		err = fault.NotFound
	}
	return err
}

// ReadAuditLog reads the checkpoint or a tile of an account's log (c2sp.org/tlog-tiles) by a token of CreateAuditToken, which was the decision: fault.Unauthorized when
// the token is none for this account now, and fault.NotFound when there is no such tile.
func (a *Admin) ReadAuditLog(ctx context.Context, account, token, path string) (content []byte, err error) {
	text, ok, err := a.Vault.OpenHandle(ctx, account, auditToken, token)
	var r auditReader
	if err == nil && (!ok || json.Unmarshal(text, &r) != nil || time.Now().Unix() >= r.Ends) {
		err = fault.NotFound
	}
	if err == nil {
		err = a.goodStill(ctx, account, r)
	}
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.UnknownCaller) {
		return nil, fault.New(fault.Unauthorized, "The token is none for the audit log of account %s, or has ended: CreateAuditToken makes one (credence audit token)", account)
	}
	if err != nil {
		return nil, err
	}
	if path == "checkpoint" {
		l, err := a.auditLog(ctx, account)
		return l.Checkpoint, err
	}
	t, err := tlog.ParsePath(path)
	if err != nil {
		return nil, fault.NotFound
	}
	return a.auditTile(ctx, account, t)
}
