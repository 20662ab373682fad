package audit

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"credence/internal/worker"
)

const (
	repeatTime = time.Minute // between two entries of one principal that is denied the same again and again
	// Of more at once, none is collapsed: a summary that was not written would be lost with what is remembered.
	mostRepeats = 10_000
	// Other resources or reasons than before are told in full, so that an entry says what somebody tried; who tries more than so many is looking around.
	mostDifferent = 16
)

// who is denied what: of each there is one entry, a few more for what differs, and one summary a minute.
type who struct {
	account, caller, accessKey, action string
	outcome                            Outcome
}

func whose(e Event) who { return who{e.Account, e.Caller, e.AccessKey, e.Action, e.Outcome} }

// repeated are the denials since the last entry.
type repeated struct {
	since time.Time       // when that was
	last  Event           // with Repeated, once there is one
	told  map[uint64]bool // what was told in full
}

var whatSeed = maphash.MakeSeed()

// what is denied, and why: a short form that nobody can foresee.
func what(e Event) uint64 {
	return maphash.String(whatSeed, e.Reason+" "+strings.Join(e.Resources, " "))
}

// repeats keeps a principal that is denied over and over from filling the log. What it has counted and not written is lost in a crash: the first denial
// is on disk, and nothing was given to anybody.
type repeats struct {
	mu     sync.Mutex
	counts map[who]*repeated // nil: nothing is collapsed
}

// counted counts e with those before it; false when it has to be recorded for itself.
func (r *repeats) counted(e Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.counts[whose(e)]
	if !ok || !c.told[what(e)] && len(c.told) < mostDifferent {
		return false
	}
	sum := Repeated{Count: 1, First: e.Time, Last: e.Time}
	if c.last.Repeated != nil {
		sum.Count, sum.First = c.last.Repeated.Count+1, c.last.Repeated.First
	}
	c.last = e
	c.last.Repeated = &sum
	return true
}

// begin has those after e counted.
func (r *repeats) begin(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts[whose(e)]
	if c == nil && r.counts != nil && len(r.counts) < mostRepeats {
		c = &repeated{since: e.Time, told: map[uint64]bool{}}
		r.counts[whose(e)] = c
	}
	if c != nil && len(c.told) < mostDifferent {
		c.told[what(e)] = true
	}
}

// due takes what was counted, and not written, for at least d; who was not denied any more is forgotten.
func (r *repeats) due(d time.Duration) (summaries []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for k, c := range r.counts {
		switch {
		case now.Sub(c.since) < d:
		case c.last.Repeated == nil:
			delete(r.counts, k)
		default:
			summaries = append(summaries, c.last)
			*c = repeated{since: now, told: c.told}
		}
	}
	return summaries
}

// end takes all that was counted; from then on nothing is.
func (r *repeats) end() (summaries []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.counts {
		if c.last.Repeated != nil {
			summaries = append(summaries, c.last)
		}
	}
	r.counts = nil
	return summaries
}

// again gives a summary back that could not be written.
func (r *repeats) again(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts[whose(e)]
	switch {
	case r.counts == nil:
	case c == nil:
		r.counts[whose(e)] = &repeated{since: e.Time, last: e, told: map[uint64]bool{what(e): true}}
	case c.last.Repeated == nil:
		c.last = e
	default:
		c.last.Repeated.Count += e.Repeated.Count
		c.last.Repeated.First = e.Repeated.First
	}
}

// Run collapses repeated denials until ctx ends, and writes a summary of them every minute; error is told of summaries that could not be written, which are tried again.
func (l *Log) Run(ctx context.Context, failed func(error)) {
	l.repeats.mu.Lock()
	l.repeats.counts = map[who]*repeated{}
	l.repeats.mu.Unlock()
	worker.Every(ctx, repeatTime/6, func(context.Context) { l.summarise(l.repeats.due(repeatTime), failed) })
	l.summarise(l.repeats.end(), failed)
}

func (l *Log) summarise(summaries []Event, failed func(error)) {
	for _, e := range summaries {
		e.Time = time.Now().UTC()
		if err := l.group.Do(e); err != nil {
			l.repeats.again(e)
			failed(err)
		}
	}
}
