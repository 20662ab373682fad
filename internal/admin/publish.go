package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/tlog"
	"credence/internal/witness"
	"credence/internal/worker"
)

const (
	publishEvery = time.Minute
	publishLease = 50 * time.Second // one replica publishes in a minute
	pruneEvery   = time.Hour
)

// PublishCheckpoints hands the checkpoints of all logs to every sink, once a minute, until ctx ends.
func (a *Admin) PublishCheckpoints(ctx context.Context) {
	worker.Every(ctx, publishEvery, func(ctx context.Context) {
		if err := a.PublishAll(ctx); err != nil {
			a.Log.Error("checkpoints of audit logs", "cause", err.Error())
		}
	})
}

// PublishAll hands the checkpoints of all logs to every sink now. A sink that does not agree with a log is told of every time; nothing outside is ever replaced then.
func (a *Admin) PublishAll(ctx context.Context) error {
	if len(a.Sinks) == 0 {
		return nil
	}
	logs, err := a.Store.AuditLogs(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range logs {
		lease, err := a.AuditLogs.AcquireLease(l.Account, "audit/publish", publishLease)
		if errors.Is(err, fault.ConcurrentModification) { // another replica did, or does
			continue
		}
		if err == nil {
			err = a.publish(ctx, l)
			_ = a.AuditLogs.ReleaseLease(lease)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("account %s: %w", l.Account, err))
		}
	}
	return errors.Join(errs...)
}

func (a *Admin) publish(ctx context.Context, l store.AuditLog) error {
	key, err := tlog.ParseKey(l.VerifierKey)
	if err != nil {
		return err
	}
	head, err := tlog.OpenCheckpoint(l.Checkpoint, key)
	if err != nil {
		a.Metrics.AuditCheckpoints.WithLabelValues("conflict").Inc()
		return fmt.Errorf("the log's checkpoint is not signed by its key: %w", err)
	}
	if l.Size == 0 {
		return nil
	}
	out := witness.Log{Account: l.Account, VerifierKey: l.VerifierKey, Checkpoint: l.Checkpoint, Head: head, Prove: func(earlier int64) ([]tlog.Hash, error) {
		return tlog.ProveHead(head, earlier, a.tiles(ctx, l.Account))
	}}
	cosigned := append([]byte{}, l.Checkpoint...)
	var errs []error
	for _, s := range a.Sinks {
		signatures, err := s.Publish(ctx, out)
		outcome := "published"
		if err != nil {
			outcome = "failed"
			if _, ok := errors.AsType[*witness.Conflict](err); ok {
				outcome = "conflict"
			}
			errs = append(errs, err)
		}
		a.Metrics.AuditCheckpoints.WithLabelValues(outcome).Inc()
		cosigned = append(cosigned, signatures...)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if _, was, err := tlog.ClaimedHead(l.Cosigned); err == nil && was == head {
		return nil
	}
	return a.Store.SetAuditCosigned(l.Account, cosigned)
}

// PruneAudit removes entries that are older than AuditRetention, once an hour, until ctx ends.
func (a *Admin) PruneAudit(ctx context.Context) {
	worker.Every(ctx, pruneEvery, func(ctx context.Context) {
		if err := a.PruneAll(ctx); err != nil {
			a.Log.Error("old audit entries are not removed", "cause", err.Error())
		}
	})
}

// PruneAll removes entries that are older than AuditRetention now: whole segments of 256 which every sink has a checkpoint of, if there are sinks. Their hashes stay, so that
// what remains, and what was exported, can be verified.
func (a *Admin) PruneAll(ctx context.Context) error {
	if a.AuditRetention <= 0 {
		return nil
	}
	logs, err := a.Store.AuditLogs(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range logs {
		if err := a.prune(ctx, l); err != nil && !errors.Is(err, fault.ConcurrentModification) {
			errs = append(errs, fmt.Errorf("account %s: %w", l.Account, err))
		}
	}
	return errors.Join(errs...)
}

func (a *Admin) prune(ctx context.Context, l store.AuditLog) error {
	sealed := l.Size
	if len(a.Sinks) > 0 {
		sealed = 0
		if _, h, err := tlog.ClaimedHead(l.Cosigned); err == nil {
			sealed = h.N
		}
	}
	before := time.Now().Add(-a.AuditRetention)
	first := l.First
	for first+tlog.TileWidth <= sealed {
		chunks, err := a.Store.AuditChunks(ctx, l.Account, first, first+tlog.TileWidth)
		if err != nil {
			return err
		}
		old := true
		for _, k := range chunks {
			old = old && k.To.Before(before)
		}
		if !old {
			break
		}
		first += tlog.TileWidth
	}
	if first == l.First {
		return nil
	}
	req := access.Request{Action: "credence:PruneAudit", Resources: []string{a.ARNs.Extension(l.Account, "audit-log", "default")}}
	c := iam.Caller{Account: l.Account, ARN: a.ARNs.Extension(l.Account, "server", "audit-retention")}
	if err := a.Gate.Receipt(c, req, audit.Performed, fmt.Sprintf("the entries from %d to %d are older than %s; their hashes stay", l.First, first-1, a.AuditRetention)); err != nil {
		return err
	}
	return a.Store.PruneAudit(l.Account, first)
}
