// Package batch turns concurrent calls into one: a durable write that many callers share costs one fsync instead of many.
//
// It protects nothing by itself; it must never answer a caller before the caller's own item was run.
package batch

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Group runs items of concurrent callers together. There is no background goroutine: the caller who finds the group idle leads, and hands the lead to
// the first of those who came meanwhile.
type Group[T any] struct {
	run    func(items []T) []error
	gather func(callers int) time.Duration
	max    int

	calls sync.Pool // of *call[T]

	mu      sync.Mutex
	led     bool       // somebody leads
	waiting []*call[T] // the leader's own comes first
	wanted  int        // how many the leader waits for; 0 when it does not wait

	// The leader's own.
	enough chan struct{} // gets a token when as many wait as are wanted
	late   *time.Timer
	crowd  int // callers that the last run saw: its own, and those who came while it ran
	taken  []*call[T]
	items  []T
}

type call[T any] struct {
	item T
	err  error
	wake chan turn
}

// turn is what a waiting caller is woken for.
type turn bool

const (
	done turn = false // its item ran
	lead turn = true  // it shall lead
)

// New makes a group. run gets 1 to max items, which it may not keep, and answers nil when all went well, else one error (or nil) per item.
// A leader waits for as many callers as the last run saw, so that they share its run, at most for what gather says of so many (nil: not at all); a lone caller
// never waits.
func New[T any](max int, gather func(callers int) time.Duration, run func(items []T) []error) *Group[T] {
	return &Group[T]{run: run, gather: gather, max: max, enough: make(chan struct{}, 1),
		calls: sync.Pool{New: func() any { return &call[T]{wake: make(chan turn, 1)} }}}
}

// Do runs item, alone or with others, and returns its own error. It returns only after the item ran.
func (g *Group[T]) Do(item T) error {
	c := g.calls.Get().(*call[T])
	c.item = item
	if g.join(c) == lead {
		g.lead()
	}
	err := c.err
	*c = call[T]{wake: c.wake}
	g.calls.Put(c)
	return err
}

// join waits until c ran or shall lead.
func (g *Group[T]) join(c *call[T]) turn {
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if !g.led {
		g.led = true
		g.mu.Unlock()
		return lead
	}
	if g.wanted > 0 && len(g.waiting) >= g.wanted {
		g.wanted = 0
		g.enough <- struct{}{}
	}
	g.mu.Unlock()
	return <-c.wake
}

// lead runs those who wait, and then hands the lead on.
func (g *Group[T]) lead() {
	calls, items := g.take()
	errs := g.protected(items)
	for i, c := range calls {
		if errs != nil {
			c.err = errs[i]
		}
		if i > 0 { // the first is the leader's own
			c.wake <- done
		}
	}
	clear(calls)
	clear(items)

	g.mu.Lock()
	defer g.mu.Unlock()
	g.crowd = len(calls) + len(g.waiting)
	if g.led = len(g.waiting) > 0; g.led {
		g.waiting[0].wake <- lead
	}
}

// take gathers, and takes those that one run may have.
func (g *Group[T]) take() ([]*call[T], []T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wanted := min(g.crowd, g.max); g.gather != nil && len(g.waiting) < wanted {
		g.wanted = wanted
		g.mu.Unlock()
		g.awaitEnough(g.gather(wanted))
		g.mu.Lock()
		if g.wanted == 0 {
			select {
			case <-g.enough: // it came too late
			default:
			}
		}
		g.wanted = 0
	}
	n := min(len(g.waiting), g.max)
	g.taken, g.items = append(g.taken[:0], g.waiting[:n]...), g.items[:0]
	for _, c := range g.taken {
		g.items = append(g.items, c.item)
	}
	g.waiting = slices.Delete(g.waiting, 0, n)
	return g.taken, g.items
}

func (g *Group[T]) awaitEnough(most time.Duration) {
	if g.late == nil {
		g.late = time.NewTimer(most)
	} else {
		g.late.Reset(most)
	}
	select {
	case <-g.enough:
		g.late.Stop()
	case <-g.late.C:
	}
}

// protected makes an error for everybody of a panic in run: one bad item must not leave the others, or the lead, waiting for ever.
func (g *Group[T]) protected(items []T) (errs []error) {
	defer func() {
		if r := recover(); r != nil {
			errs = slices.Repeat([]error{fmt.Errorf("panic in a batch of %d: %v", len(items), r)}, len(items))
		}
	}()
	return g.run(items)
}
