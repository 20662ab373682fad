//go:build linux

package admin_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"credence/internal/admin"
	"credence/internal/audit"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
)

// What it costs to make an event an entry, in CPU time: a shared machine's clock says little; and what all that is kept of it takes in the file.
func BenchmarkSequence(b *testing.B) {
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	master, err := vault.NewMasterKey()
	check(err)
	check(os.WriteFile(filepath.Join(dir, "master.key"), master, 0o600))
	kek, err := vault.OpenKEK("file:" + filepath.Join(dir, "master.key"))
	check(err)
	s, err := store.Open(b.Context(), store.Config{Path: filepath.Join(dir, "credence.db")})
	check(err)
	defer func() { _ = s.Close() }()
	v, err := vault.New(b.Context(), vault.Config{Store: s, KEK: kek, Metrics: telemetry.New()})
	check(err)
	a := admin.New(admin.Config{Vault: v, Store: s, AuditLogs: s, PublicURL: "https://vault.example", Metrics: telemetry.New(), Log: slog.New(slog.DiscardHandler)})
	const each = 32 // events of a batch
	begun := fileSize(b, s, dir)
	n := 0
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		for range 64 {
			var events []byte
			for range each {
				n++
				events = fmt.Appendf(events, `{"id":"%s","time":"%s","account":"%s","caller":"arn:aws:iam::%s:user/admin","accessKey":"AKIARMG5H2FIMOBALB25",`+
					`"sourceIp":"127.0.0.1","requestId":"%s","action":"bedrock-agentcore:GetResourceOauth2Token","resources":["arn:aws:bedrock-agentcore:us-east-1:%s:token-vault/default"],`+
					`"workload":"agent-%d","provider":"vendor","outcome":"allowed"}`+"\n", uuid.Must(uuid.NewV7()), time.Now().UTC().Format(time.RFC3339Nano), alpha, alpha, uuid.NewString(), alpha, n%20)
			}
			check(s.AppendAudit([]audit.Batch{{Account: alpha, ID: fmt.Sprintf("%012d", n), Time: time.Now(), Events: events}}))
		}
		before := cpuTime()
		b.StartTimer()
		check(a.SequenceAll(b.Context()))
		b.StopTimer()
		spent += cpuTime() - before
		b.StartTimer()
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(n), "CPU-µs/event")
	b.ReportMetric(float64(fileSize(b, s, dir)-begun)/float64(n), "B/event")
}

// fileSize is that of a copy of the database, which has no page that is free.
func fileSize(b *testing.B, s *store.Store, dir string) int64 {
	b.Helper()
	file := filepath.Join(dir, "copy.db")
	if err := s.Snapshot(b.Context(), file); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(file)
	if err := errors.Join(err, os.Remove(file)); err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // of this process it cannot fail
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
