package audit_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/audit"
)

func denial(caller string, n int) audit.Event {
	return audit.Event{
		Account: "111111111111", Caller: caller, Action: "a:b", Outcome: audit.Denied, RequestID: fmt.Sprint(n), Resources: []string{fmt.Sprintf("arn:%d", n)},
	}
}

// Ten thousand denials of one principal, of as many resources, in ten minutes make sixteen entries at once and one a minute, which tells how many there were;
// others lose nothing.
func TestRepeatedDenialsCollapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		log := audit.New(d)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			log.Run(ctx, func(err error) { t.Error(err) })
		}()
		synctest.Wait()
		record := func(e audit.Event) {
			t.Helper()
			if err := log.Record(e); err != nil {
				t.Error(err)
			}
		}
		start := time.Now()
		record(denial("mallory", 0))
		if n := len(d.events(t)["111111111111"]); n != 1 {
			t.Fatalf("the first denial left %d entries", n)
		}
		for n := 1; n <= 10_000; n++ {
			time.Sleep(60 * time.Millisecond)
			record(denial("mallory", n))
		}
		record(denial("bob", 1))
		for range 3 { // what was allowed is never collapsed
			allowed := denial("mallory", 1)
			allowed.Outcome = audit.Allowed
			record(allowed)
		}
		stop()
		<-ended
		var mallory, inFull, bob, allowed int
		var sum int64
		for _, e := range d.events(t)["111111111111"] {
			switch {
			case e.Caller == "bob":
				bob++
			case e.Outcome == audit.Denied:
				mallory++
				if e.Repeated == nil {
					inFull++
					sum++
					continue
				}
				sum += e.Repeated.Count
				if e.Repeated.First.Before(start) || e.Repeated.Last.Before(e.Repeated.First) || e.Repeated.Last.After(e.Time) || e.RequestID == "0" {
					t.Errorf("summary %+v of %+v", e, e.Repeated)
				}
			default:
				allowed++
			}
		}
		if sum != 10_001 || mallory > 12+15 || inFull != 16 || bob != 1 || allowed != 3 {
			t.Errorf("%d denials of mallory told by %d entries, %d of them in full, %d entries of bob, and %d of what was allowed", sum, mallory, inFull, bob, allowed)
		}
		// Whoever was quiet for two minutes begins anew, and after Run nothing is only counted.
		record(denial("mallory", 1))
		record(denial("mallory", 2))
		if n := len(d.events(t)["111111111111"]); n != mallory+bob+allowed+2 {
			t.Errorf("after the end, %d entries", n)
		}
	})
}

// A summary that cannot be written is written when it can be.
func TestSummaryOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		log := audit.New(d)
		ctx, stop := context.WithCancel(t.Context())
		ended, failures := make(chan struct{}), 0
		go func() {
			defer close(ended)
			log.Run(ctx, func(error) { failures++ })
		}()
		synctest.Wait()
		for range 5 {
			if err := log.Record(denial("mallory", 1)); err != nil {
				t.Error(err)
			}
		}
		d.mu.Lock()
		d.full = true
		d.mu.Unlock()
		time.Sleep(90 * time.Second)
		d.mu.Lock()
		d.full = false
		d.mu.Unlock()
		time.Sleep(2 * time.Minute)
		stop()
		<-ended
		events := d.events(t)["111111111111"]
		if len(events) != 2 || events[1].Repeated == nil || events[1].Repeated.Count != 4 || failures == 0 {
			t.Errorf("%d failures, entries %+v", failures, events)
		}
	})
}

// What would be no entry of a log is not recorded, and so refused.
func TestTooLongEvent(t *testing.T) {
	d := &disk{}
	log := audit.New(d)
	if err := log.Record(audit.Event{Account: "1", Reason: string(make([]byte, audit.MaxEvent))}); err == nil || len(d.batches) > 0 {
		t.Errorf("recorded: %v", err)
	}
	if err := log.Record(audit.Event{Account: "1"}); err != nil {
		t.Error(err)
	}
}
