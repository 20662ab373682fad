//go:build linux

package admin_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"credence/internal/admin"
	"credence/internal/audit"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
)

// What it costs to make an event an entry, in CPU time: a shared machine's clock says little.
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
	n := 0
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		for range 64 {
			var events []byte
			for range each {
				n++
				events = fmt.Appendf(events, `{"id":"01a20621-ba4a-77e2-8558-%012x","time":"2026-01-02T15:04:05.123456789Z","account":"%s","caller":"arn:aws:iam::%s:user/admin","accessKey":"AKIARMG5H2FIMOBALB25",`+
					`"sourceIp":"127.0.0.1","requestId":"7a367199-13f1-44ba-92f4-b60d3c31c70c","action":"bedrock-agentcore:GetResourceOauth2Token","resources":["arn:aws:bedrock-agentcore:us-east-1:%s:token-vault/default"],`+
					`"workload":"agent-%d","provider":"vendor","outcome":"allowed"}`+"\n", n, alpha, alpha, alpha, n%20)
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
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // of this process it cannot fail
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
