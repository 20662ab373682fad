package vault

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/sigv4"
)

// The use of an access key is written once a minute at most, however often it is used, and by nobody who waits for it; that of a session never.
func TestLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBed(t)
		k := b.newKey(t, alpha, "ada", false)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.RecordKeyUses(ctx, slog.New(slog.DiscardHandler)); close(done) }()
		use := func(service string) {
			c, _, err := b.Caller(ctx, sigv4.Credential{AccessKeyID: k.ID, Date: "20261122", Region: "us-east-1", Service: service})
			must(t, err)
			b.Used(c, service)
		}
		used := func() (time.Time, string) {
			row, err := b.store.AccessKey(ctx, k.ID)
			must(t, err)
			return row.UsedAt, row.UsedService
		}
		use("sts")
		if at, _ := used(); !at.IsZero() {
			t.Errorf("a request waited until it was written: %s", at)
		}
		time.Sleep(15 * time.Second)
		first, service := used()
		if first.IsZero() || service != "sts" {
			t.Fatalf("%s %s", first, service)
		}
		for range 30 { // for thirty seconds
			use("bedrock-agentcore")
			time.Sleep(time.Second)
		}
		if at, _ := used(); !at.Equal(first) {
			t.Errorf("written again after less than a minute: %s, %s", first, at)
		}
		time.Sleep(time.Minute)
		use("bedrock-agentcore")
		stop() // what is left is written
		<-done
		row, err := b.store.AccessKey(t.Context(), k.ID)
		must(t, err)
		if !row.UsedAt.After(first.Add(time.Minute)) || row.UsedService != "bedrock-agentcore" {
			t.Errorf("%s %s", row.UsedAt, row.UsedService)
		}
	})
}
