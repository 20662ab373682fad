package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"credence/internal/audit"
)

// disk is a sink in memory that can be full.
type disk struct {
	mu      sync.Mutex
	full    bool
	batches []audit.Batch
}

func (d *disk) AppendAudit(b []audit.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("no space left on device")
	}
	for _, b := range b {
		b.Events = bytes.Clone(b.Events)
		d.batches = append(d.batches, b)
	}
	return nil
}

func (d *disk) events(t *testing.T) map[string][]audit.Event {
	t.Helper()
	out := map[string][]audit.Event{}
	for _, b := range d.batches {
		for ln := range bytes.Lines(b.Events) {
			var e audit.Event
			if err := json.Unmarshal(ln, &e); err != nil {
				t.Fatalf("%s: %v", ln, err)
			}
			if e.Account != b.Account {
				t.Errorf("an event of account %s in a batch of %s", e.Account, b.Account)
			}
			out[b.Account] = append(out[b.Account], e)
		}
	}
	return out
}

// Concurrent events of two accounts are all recorded once, each in a batch of its own account.
func TestRecord(t *testing.T) {
	d := &disk{}
	log := audit.New(d)
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			e := audit.Event{Account: fmt.Sprintf("11111111111%d", n%2), Caller: "arn", Action: fmt.Sprintf("a:%d", n), Outcome: audit.Allowed}
			if err := log.Record(e); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, events := range d.events(t) {
		for _, e := range events {
			if e.ID == "" || e.Time.IsZero() || seen[e.Action] {
				t.Errorf("event %+v", e)
			}
			seen[e.Action] = true
		}
	}
	if len(seen) != 200 {
		t.Errorf("%d of 200 events recorded", len(seen))
	}
}

// What cannot be recorded is an error, and the log recovers.
func TestRecordFailsWhenTheSinkFails(t *testing.T) {
	d := &disk{full: true}
	log := audit.New(d)
	if err := log.Record(audit.Event{Account: "1"}); err == nil {
		t.Error("recorded on a full disk")
	}
	d.full = false
	if err := log.Record(audit.Event{Account: "1"}); err != nil {
		t.Error(err)
	}
	if n := len(d.batches); n != 1 {
		t.Errorf("%d batches", n)
	}
}
