package store

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"credence/internal/audit"
)

// On a full disk an event is refused, not lost: none that was recorded is missing afterwards, none that was not is there, and with room again all goes on.
func TestAuditOnAFullDisk(t *testing.T) {
	s := open(t)
	log := audit.New(s)
	var pages int
	must(t, s.writer.QueryRow("PRAGMA page_count").Scan(&pages))
	limit := func(n int) {
		t.Helper()
		if _, err := s.writer.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 20)
	recorded := map[string]bool{}
	refused := 0
	record := func(n int) {
		noise := make([]byte, 500) // nothing that could be compressed away
		_, _ = rand.Read(noise)
		reason := fmt.Sprintf("%d %x", n, noise)
		if err := log.Record(audit.Event{Account: alpha, Outcome: audit.Allowed, Reason: reason}); err != nil {
			refused++
			return
		}
		recorded[reason] = true
	}
	for n := range 200 {
		record(n)
	}
	if len(recorded) == 0 || refused == 0 {
		t.Fatalf("%d recorded and %d refused: the disk was not full", len(recorded), refused)
	}
	limit(pages + 10_000)
	before := refused
	for n := range 50 {
		record(1000 + n)
	}
	if refused != before {
		t.Errorf("%d events are refused though there is room again", refused-before)
	}
	batches, err := s.AuditBatches(t.Context(), alpha)
	must(t, err)
	found := 0
	for _, b := range batches {
		var e audit.Event
		must(t, json.Unmarshal(b.Events, &e))
		if !recorded[e.Reason] || time.Since(e.Time) > time.Hour {
			t.Errorf("an event that was refused is there: %.20s", e.Reason)
		}
		found++
	}
	if found != len(recorded) {
		t.Errorf("%d events are there of %d", found, len(recorded))
	}
}
