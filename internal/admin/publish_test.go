package admin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/tlog"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/witness"
)

func (r replica) publishing(t *testing.T, dir string) replica {
	t.Helper()
	sink, err := witness.Parse("file:"+dir, nil)
	must(t, err)
	a := *r.Admin
	a.Sinks = []witness.Sink{sink}
	return replica{&a, r.store}
}

// A checkpoint goes outside, and one that does not go on from it never replaces it: here the tree of the database is set back behind it.
func TestPublish(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		dir := t.TempDir()
		r := process().publishing(t, dir)
		must(t, r.PublishAll(t.Context())) // nothing yet
		r.record(t, alpha, "1", numbered(0, 300)...)
		must(t, r.SequenceAll(t.Context()))
		must(t, r.PublishAll(t.Context()))
		before, err := r.store.AuditLog(t.Context(), alpha)
		must(t, err)
		outside, vkey, err := witness.Folder(dir).Last(alpha)
		must(t, err)
		if string(outside) != string(before.Checkpoint) || vkey != before.VerifierKey || string(before.Cosigned) != string(before.Checkpoint) {
			t.Errorf("outside is %s by %s, here is %s", outside, vkey, before.Checkpoint)
		}
		r.record(t, alpha, "2", numbered(300, 310)...)
		must(t, r.SequenceAll(t.Context()))
		must(t, r.PublishAll(t.Context()))
		outside, _, err = witness.Folder(dir).Last(alpha)
		must(t, err)

		// Somebody who writes to the database sets the log back to its earlier checkpoint.
		r.record(t, alpha, "empty")
		must(t, r.store.FoldAudit(store.AuditFold{Account: alpha, From: 310, To: 300, Checkpoint: before.Checkpoint, Batches: []string{"empty"}}))
		conflict := func(what string) {
			t.Helper()
			err := r.PublishAll(t.Context())
			if _, ok := errors.AsType[*witness.Conflict](err); !ok {
				t.Errorf("%s: %v", what, err)
			}
			if now, _, err := witness.Folder(dir).Last(alpha); err != nil || string(now) != string(outside) {
				t.Errorf("%s: what is outside is replaced by %s, %v", what, now, err)
			}
		}
		conflict("set back")
	})
}

// Segments of 256 entries that are old enough, and of which there is a checkpoint outside, are removed; their hashes stay, and what is left is proven as before.
func TestRetention(t *testing.T) {
	engines(t, func(t *testing.T, process func() replica) {
		r := process().publishing(t, t.TempDir())
		r.AuditRetention = 30 * 24 * time.Hour
		metrics := telemetry.New()
		r.Gate, r.ARNs = access.New(audit.New(r.store), nil, iam.ARNs{Region: "eu-west-1"}, metrics), iam.ARNs{Region: "eu-west-1"}
		at := func(days, from, to int) (out []string) {
			for n := from; n < to; n++ {
				out = append(out, fmt.Sprintf(`{"time":%q,"n":%d,"user":"alice"}`, time.Now().Add(-time.Duration(days)*24*time.Hour).UTC().Format(time.RFC3339Nano), n))
			}
			return out
		}
		old, young := at(100, 0, 600), at(1, 600, 700)
		must(t, r.Vault.CreateAccount(alpha))
		r.record(t, alpha, "1", old...)
		r.record(t, alpha, "2", young...)
		must(t, r.SequenceAll(t.Context()))
		must(t, r.PruneAll(t.Context()))
		if l, err := r.store.AuditLog(t.Context(), alpha); err != nil || l.First != 0 {
			t.Errorf("entries are removed that nobody outside knows of: %d, %v", l.First, err)
		}
		must(t, r.PublishAll(t.Context()))
		must(t, r.PruneAll(t.Context()))
		must(t, r.SequenceAll(t.Context()))
		l, err := r.store.AuditLog(t.Context(), alpha)
		must(t, err)
		chunks, err := r.store.AuditChunks(t.Context(), alpha, 0, l.Size)
		must(t, err)
		if l.First != 512 || l.Size != 701 || chunks[0].Start != 512 {
			t.Fatalf("first %d of %d, chunks from %d on", l.First, l.Size, chunks[0].Start)
		}
		entries, err := tlog.Entries(chunks[len(chunks)-1].Entries)
		must(t, err)
		if last := string(entries[len(entries)-1]); !strings.Contains(last, `"action":"credence:PruneAudit"`) || !strings.Contains(last, "from 0 to 511") {
			t.Errorf("the removal left %s", last)
		}
		found, err := r.store.FindAuditChunks(t.Context(), store.AuditQuery{Account: alpha, Terms: []store.AuditTerm{{Field: "user", Value: "alice"}}, Before: l.Size, Limit: 10})
		if must(t, err); slices.ContainsFunc(found, func(c store.AuditChunk) bool { return c.Start < 512 }) || len(found) == 0 {
			t.Errorf("found %+v", found)
		}
		key, err := tlog.ParseKey(l.VerifierKey)
		must(t, err)
		who, own := administrator(t, alpha), vault.NewAccessKey()
		must(t, r.Vault.InsertAccessKey(t.Context(), alpha, "admin", own, false))
		who.AccessKeyID = own.ID
		token, err := r.CreateAuditToken(t.Context(), who, &wire.CreateAuditTokenInput{})
		must(t, err)
		read := func(ctx context.Context, path string) ([]byte, error) {
			return r.ReadAuditLog(ctx, alpha, token.Token, path)
		}
		report, err := tlog.Verify(t.Context(), read, key, l.First, nil, nil)
		must(t, err)
		if len(report.Findings) > 0 || report.First != 512 || report.Entries != 701-512 {
			t.Errorf("%+v", report)
		}
	})
}
