// Package batch turns concurrent calls into one: a durable write that many callers share costs one fsync instead of many.
//
// It protects nothing by itself; it must never answer a caller before the caller's own item was run.
package batch

import (
	"fmt"
	"slices"
	"time"
)

// Group runs items of concurrent callers together. There is no background goroutine: the caller who finds the group idle leads.
type Group[T any] struct {
	run    func(items []T) []error
	gather time.Duration
	max    int

	lead  chan struct{} // holds one token: the right to run
	queue chan *call[T]
	busy  bool // guarded by lead: the last run served more than one caller
}

type call[T any] struct {
	item T
	done chan error
}

// New makes a group. run gets 1 to max items and answers nil when all went well, else one error (or nil) per item.
// While callers come concurrently, a leader waits gather (0: not at all) so that more of them share its run; a lone caller never waits.
func New[T any](max int, gather time.Duration, run func(items []T) []error) *Group[T] {
	return &Group[T]{run: run, gather: gather, max: max, lead: make(chan struct{}, 1), queue: make(chan *call[T], max)}
}

// Do runs item, alone or with others, and returns its own error. It returns only after the item ran.
func (g *Group[T]) Do(item T) error {
	c := &call[T]{item: item, done: make(chan error, 1)}
	for queued := false; !queued; {
		select {
		case g.queue <- c:
			queued = true
		default: // full: help to empty it
			g.lead <- struct{}{}
			g.serve()
			<-g.lead
		}
	}
	for {
		select {
		case err := <-c.done:
			return err
		case g.lead <- struct{}{}:
			if len(c.done) == 0 { // nobody ran it meanwhile
				g.serve()
			}
			<-g.lead
		}
	}
}

// serve runs what is queued. Only the holder of lead calls it.
func (g *Group[T]) serve() {
	if len(g.queue) == 0 {
		return
	}
	if g.busy && g.gather > 0 {
		time.Sleep(g.gather)
	}
	n := min(len(g.queue), g.max) // only the holder of lead takes from the queue
	calls, items := make([]*call[T], n), make([]T, n)
	for i := range calls {
		calls[i] = <-g.queue
		items[i] = calls[i].item
	}
	g.busy = n > 1
	errs := g.protected(items)
	for i, c := range calls {
		var err error
		if errs != nil {
			err = errs[i]
		}
		c.done <- err
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
