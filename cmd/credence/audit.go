package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"credence/internal/audit"
	"credence/internal/edge/door"
	"credence/internal/tlog"
	"credence/internal/wire"
	"credence/internal/witness"
)

type auditCommand struct {
	List       auditListCommand       `cmd:"" aliases:"query" help:"List what was decided and done, the newest first."`
	Export     auditExportCommand     `cmd:"" help:"Write all entries, the oldest first, as JSON Lines, each verified."`
	Verify     auditVerifyCommand     `cmd:"" help:"Prove that nothing was removed or changed since a checkpoint that was kept elsewhere."`
	Prove      auditProveCommand      `cmd:"" help:"Write the proof that an event is in the log (c2sp.org/tlog-proof)."`
	Checkpoint auditCheckpointCommand `cmd:"" help:"Print the log's signed checkpoint, or the key that verifies it."`
	Token      auditTokenCommand      `cmd:"" help:"Make a token by which tools for tiled logs (c2sp.org/tlog-tiles) read the log."`
}

type auditListCommand struct {
	clientFlags
	userFlags
	Workload string            `help:"By or for this workload identity." placeholder:"NAME"`
	Provider string            `help:"At this credential provider." placeholder:"NAME"`
	Caller   string            `help:"By this principal." placeholder:"ARN"`
	Action   string            `help:"Such as bedrock-agentcore:GetResourceOauth2Token." placeholder:"ACTION"`
	Outcome  wire.AuditOutcome `help:"allowed, denied, refused, performed or abandoned." placeholder:"OUTCOME"`
	Since    string            `help:"Not earlier: a time (2006-01-02T15:04:05Z), or so long ago (24h)." placeholder:"TIME"`
	Until    string            `help:"Earlier than that." placeholder:"TIME"`
	Limit    int               `help:"So many at most. Default: ${default}." default:"100" placeholder:"N"`
	JSON     bool              `name:"json" help:"Whole entries, one a line."`
}

// when reads a time, or how long ago it was; nil for "".
func when(flag, text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return new(time.Now().Add(-d).Unix()), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("%s %q: must be a time such as 2006-01-02T15:04:05Z, or a duration such as 24h", flag, text)
	}
	return new(t.Unix()), nil
}

func (c auditListCommand) Run(ctx context.Context, o output) error {
	user, err := c.user()
	if err != nil {
		return err
	}
	since, err1 := when("--since", c.Since)
	until, err2 := when("--until", c.Until)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	in := wire.QueryAuditInput{
		User: user, WorkloadName: optional(c.Workload), ResourceCredentialProviderName: optional(c.Provider), CallerArn: optional(c.Caller), Action: optional(c.Action),
		Outcome: optional(c.Outcome), StartTime: since, EndTime: until,
	}
	for left := c.Limit; left > 0; {
		in.MaxResults = new(int32(min(left, 1000)))
		var page wire.QueryAuditOutput
		if err := c.call(ctx, "QueryAudit", in, &page); err != nil {
			return err
		}
		left -= len(page.Entries)
		for _, entry := range page.Entries {
			if c.JSON {
				o.printf("%s\n", entry.Event)
				continue
			}
			var e audit.Event
			if err := json.Unmarshal([]byte(entry.Event), &e); err != nil {
				return fmt.Errorf("entry %d: %w", *entry.Index, err)
			}
			o.printf("%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", *entry.Index, e.ID, e.Time.Format(time.RFC3339), e.Outcome, e.Action, e.Caller, e.Workload, e.Provider, e.User, reasonOf(e))
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return nil
		}
	}
	return nil
}

func reasonOf(e audit.Event) string {
	if r := e.Repeated; r != nil {
		return fmt.Sprintf("%s (%d times from %s to %s)", e.Reason, r.Count, r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339))
	}
	return e.Reason
}

// read makes a source of the log: any tool for tiled logs could read it so.
func (f clientFlags) read(ctx context.Context) (tlog.Source, wire.GetAuditCheckpointOutput, error) {
	var about wire.GetAuditCheckpointOutput
	if err := f.call(ctx, "GetAuditCheckpoint", struct{}{}, &about); err != nil {
		return nil, about, err
	}
	var token wire.CreateAuditTokenOutput
	if err := f.call(ctx, "CreateAuditToken", struct{}{}, &token); err != nil {
		return nil, about, err
	}
	base := strings.TrimSuffix(f.Endpoint, "/") + token.Path + "/"
	return func(ctx context.Context, path string) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s answered %s for %s", f.Endpoint, resp.Status, path)
		}
		return io.ReadAll(io.LimitReader(resp.Body, 64*door.MaxBody)) // 256 entries of 64 KiB
	}, about, nil
}

type auditExportCommand struct {
	clientFlags
	To string `help:"File to write; it must not exist. Default: standard output." type:"path" placeholder:"FILE"`
}

func (c auditExportCommand) Run(ctx context.Context, o output) (err error) {
	source, about, err := c.read(ctx)
	if err != nil {
		return err
	}
	key, err := tlog.ParseKey(about.VerifierKey)
	if err != nil {
		return err
	}
	to := o.out
	if c.To != "" {
		file, err := os.OpenFile(c.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		to = file
	}
	lines := bufio.NewWriter(to)
	report, err := tlog.Verify(ctx, source, key, *about.FirstIndex, nil, func(_ int64, entry []byte) error {
		_, _ = lines.Write(entry)
		return lines.WriteByte('\n')
	})
	if err = errors.Join(err, lines.Flush()); err != nil {
		return err
	}
	return broken(report)
}

// broken is an error that tells what a verification found.
func broken(r tlog.Report) error {
	if len(r.Findings) == 0 {
		return nil
	}
	lines := []string{"the log is not as it was signed"}
	for _, f := range r.Findings {
		lines = append(lines, f.String())
	}
	return errors.New(strings.Join(lines, "\n"))
}

type auditVerifyCommand struct {
	clientFlags
	Checkpoints []string `help:"What was kept elsewhere: the folder of --audit-checkpoints, or a file with a checkpoint; repeatable." required:"" sep:"none" placeholder:"PATH"`
	Key         string   `help:"Verifier key of the log, as credence audit checkpoint --key prints it. Default: the one in the folder." placeholder:"KEY"`
	Account     string   `help:"Whose checkpoint in the folder is meant. Default: that of the log." placeholder:"ID"`
}

func (c auditVerifyCommand) Run(ctx context.Context, o output) error {
	source, about, err := c.read(ctx)
	if err != nil {
		return err
	}
	account := c.Account
	if account == "" {
		account = filepath.Base(about.Path)
	}
	vkey := c.Key
	var texts [][]byte
	for _, path := range c.Checkpoints {
		if info, err := os.Stat(path); err != nil {
			return err
		} else if !info.IsDir() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			texts = append(texts, text)
			continue
		}
		text, known, err := witness.Folder(path).Last(account)
		if err != nil {
			return fmt.Errorf("no checkpoint of account %s is in %s: %w", account, path, err)
		}
		if vkey != "" && known != vkey {
			return fmt.Errorf("%s has the verifier key %s, but %s is demanded", path, known, vkey)
		}
		vkey = known
		texts = append(texts, text)
	}
	if vkey == "" {
		return errors.New("give --key, the log's verifier key as it was when the checkpoint was kept: the log's own word for it proves nothing")
	}
	key, err := tlog.ParseKey(vkey)
	if err != nil {
		return fmt.Errorf("--key %q: %w", vkey, err)
	}
	var outside []tlog.Head
	for i, text := range texts {
		h, err := tlog.OpenCheckpoint(text, key)
		if err != nil {
			return fmt.Errorf("%s: the checkpoint is not signed by %s: %w", c.Checkpoints[i], vkey, err)
		}
		outside = append(outside, h)
	}
	report, err := tlog.Verify(ctx, source, key, *about.FirstIndex, outside, nil)
	if err != nil {
		return err
	}
	if err := broken(report); err != nil {
		return err
	}
	for _, h := range outside {
		if err := consistent(ctx, source, report.Head, h); err != nil {
			return err
		}
		o.printf("consistent with the checkpoint of %d entries that was kept outside\n", h.N)
	}
	if report.First > 0 {
		o.printf("of the first %d entries only hashes are kept\n", report.First)
	}
	o.printf("%d entries are as they were signed; root of %d: %s\n", report.Entries, report.Head.N, report.Head.Hash)
	return nil
}

// consistent proves by the log's tiles that it began with an earlier head.
func consistent(ctx context.Context, read tlog.Source, h, earlier tlog.Head) error {
	proof, err := tlog.ProveHead(h, earlier.N, func(tiles []tlog.Tile) ([][]byte, error) {
		out := make([][]byte, len(tiles))
		for i, t := range tiles {
			var err error
			if out[i], err = read(ctx, tlog.Path(t)); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
	if err == nil {
		err = tlog.CheckHead(proof, h, earlier)
	}
	if err != nil {
		return fmt.Errorf("no consistency proof from %d entries to %d: %w", earlier.N, h.N, err)
	}
	return nil
}

type auditProveCommand struct {
	clientFlags
	Event string `arg:"" help:"Id of the event, or index of its entry, as credence audit list shows them."`
	Entry string `help:"File to write the entry to, to the byte; it must not exist." type:"path" placeholder:"FILE"`
}

func (c auditProveCommand) Run(ctx context.Context, o output) error {
	var in wire.GetAuditProofInput
	if index, err := strconv.ParseInt(c.Event, 10, 64); err == nil {
		in.Index = &index
	} else if _, err := uuid.Parse(c.Event); err == nil {
		in.EventId = &c.Event
	} else {
		return fmt.Errorf("%q is neither the id of an event nor an index", c.Event)
	}
	var about wire.GetAuditCheckpointOutput
	if err := c.call(ctx, "GetAuditCheckpoint", struct{}{}, &about); err != nil {
		return err
	}
	var out wire.GetAuditProofOutput
	if err := c.call(ctx, "GetAuditProof", in, &out); err != nil {
		return err
	}
	key, err := tlog.ParseKey(about.VerifierKey)
	if err != nil {
		return err
	}
	if err := tlog.CheckProof([]byte(out.Proof), []byte(out.Event), key); err != nil {
		return fmt.Errorf("the log does not prove entry %d: %w", *out.Index, err)
	}
	if c.Entry != "" {
		file, err := os.OpenFile(c.Entry, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = file.WriteString(out.Event)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	o.printf("%s", out.Proof)
	return nil
}

type auditCheckpointCommand struct {
	clientFlags
	Key bool `help:"Print the verifier key (c2sp.org/signed-note) instead."`
}

func (c auditCheckpointCommand) Run(ctx context.Context, o output) error {
	var out wire.GetAuditCheckpointOutput
	if err := c.call(ctx, "GetAuditCheckpoint", struct{}{}, &out); err != nil {
		return err
	}
	switch {
	case c.Key:
		o.printf("%s\n", out.VerifierKey)
	case out.CosignedCheckpoint != nil:
		o.printf("%s", *out.CosignedCheckpoint)
	default:
		o.printf("%s", out.Checkpoint)
	}
	return nil
}

type auditTokenCommand struct {
	clientFlags
	For time.Duration `help:"How long it is good, at most 168h. Default: ${default}." default:"1h" placeholder:"DURATION"`
}

func (c auditTokenCommand) Run(ctx context.Context, o output) error {
	var out wire.CreateAuditTokenOutput
	if err := c.call(ctx, "CreateAuditToken", wire.CreateAuditTokenInput{DurationSeconds: new(int32(c.For / time.Second))}, &out); err != nil {
		return err
	}
	o.printf("%s%s, until %s, with the bearer token, or password:\n%s\n", strings.TrimSuffix(c.Endpoint, "/"), out.Path, stamp(out.ExpiresAt), out.Token)
	return nil
}
