package broker

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"credence/internal/oauth"
)

// Bounds of the calls to one vendor's endpoint.
const (
	maxCalls      = 64               // at a time, of all accounts together
	maxQueue      = 10 * time.Second // that a call waits for its turn
	tripAfter     = 5                // failures in a row, after which an account's calls are not sent any more
	firstPause    = time.Second      // until one call is let through to see; doubled, with jitter, while it fails
	longestPause  = 30 * time.Second
	idleEndpoints = 10_000 // remembered before those that are well are forgotten
)

// errOpen is in the chain of a refusal that was not sent because the vendor did not answer the calls before it.
var errOpen = errors.New("the vendor did not answer the last calls, and is asked again later")

// errQueue is in the chain of a refusal that was not sent because too many calls to the vendor are under way.
var errQueue = errors.New("too many calls to the vendor are under way")

// upstream bounds what a slow or dead vendor costs: a turn for every account, and an answer at once while it is known to be dead. An account's
// failures open the circuit for that account alone: what one provokes at a shared vendor shuts nobody else out.
type upstream struct {
	mu        sync.Mutex
	endpoints map[string]*endpoint // by scheme and host
}

type endpoint struct {
	calls    int
	accounts map[string]*line
	arrivals uint64
}

// line is what one account has at an endpoint.
type line struct {
	calls   int
	waiting []*waiter // first come, first served

	failures int
	pause    *backoff.ExponentialBackOff
	until    time.Time // the circuit is open
	probing  bool      // one call is under way to see
}

type waiter struct {
	turn    chan struct{}
	arrival uint64
	given   bool
}

// do runs call when it is the account's turn. Calls that are not made answer an *oauth.Error of outcome NotSent with a RetryAfter.
func (u *upstream) do(ctx context.Context, account, target string, call func() (oauth.Token, error)) (oauth.Token, error) {
	host := hostOf(target)
	probe, err := u.enter(ctx, account, host)
	if err != nil {
		return oauth.Token{}, err
	}
	failed := true // a panic is a failure
	var retryAfter time.Duration
	defer func() { u.leave(account, host, probe, failed, retryAfter) }()
	t, err := call()
	failed, retryAfter = unwell(err)
	return t, err
}

// hostOf is the scheme and host of a URL: what is well or not.
func hostOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	return u.Scheme + "://" + u.Host
}

// unwell tells whether a vendor's answer says that the vendor, not the request, is at fault. A 429 is no sign of it.
func unwell(err error) (bool, time.Duration) {
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		return false, 0
	}
	switch e.Outcome {
	case oauth.Unknown, oauth.NotSent:
		return true, 0
	case oauth.Temporary:
		return e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout, e.RetryAfter
	}
	return false, 0
}

// open answers the refusal that a call would get now, nil when it would be made.
func (u *upstream) open(account, target string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if e := u.endpoints[hostOf(target)]; e != nil && e.accounts[account] != nil {
		return e.accounts[account].refusal()
	}
	return nil
}

func (l *line) refusal() error {
	wait := time.Until(l.until)
	switch {
	case l.until.IsZero():
		return nil
	case wait > 0:
		return &oauth.Error{Outcome: oauth.NotSent, RetryAfter: wait.Truncate(time.Millisecond) + time.Millisecond, Err: errOpen}
	case l.probing:
		return &oauth.Error{Outcome: oauth.NotSent, RetryAfter: firstPause, Err: errOpen}
	}
	return nil
}

func (u *upstream) line(account, host string) (*endpoint, *line) {
	if u.endpoints == nil || len(u.endpoints) > idleEndpoints {
		u.sweep()
	}
	e := u.endpoints[host]
	if e == nil {
		e = &endpoint{accounts: map[string]*line{}}
		u.endpoints[host] = e
	}
	l := e.accounts[account]
	if l == nil {
		l = &line{}
		e.accounts[account] = l
	}
	return e, l
}

// sweep forgets endpoints that nobody calls and whose circuits are closed.
func (u *upstream) sweep() {
	kept := map[string]*endpoint{}
	for host, e := range u.endpoints {
		for account, l := range e.accounts {
			if l.calls == 0 && len(l.waiting) == 0 && time.Since(l.until) > longestPause {
				delete(e.accounts, account)
			}
		}
		if len(e.accounts) > 0 {
			kept[host] = e
		}
	}
	u.endpoints = kept
}

// enter waits for a turn; probe says that the circuit was open and this call shall see.
func (u *upstream) enter(ctx context.Context, account, host string) (probe bool, err error) {
	u.mu.Lock()
	e, l := u.line(account, host)
	if err := l.refusal(); err != nil {
		u.mu.Unlock()
		return false, err
	}
	if probe = !l.until.IsZero(); probe {
		l.probing = true
	}
	if e.calls < maxCalls {
		e.calls++
		l.calls++
		u.mu.Unlock()
		return probe, nil
	}
	w := &waiter{turn: make(chan struct{}), arrival: e.arrivals}
	e.arrivals++
	l.waiting = append(l.waiting, w)
	u.mu.Unlock()

	timer := time.NewTimer(maxQueue)
	defer timer.Stop()
	select {
	case <-w.turn:
		return probe, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if w.given { // just now
		return probe, nil
	}
	for i := range l.waiting {
		if l.waiting[i] == w {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			break
		}
	}
	if probe {
		l.probing = false
	}
	return false, &oauth.Error{Outcome: oauth.NotSent, RetryAfter: firstPause, Err: errQueue}
}

// leave ends a call, remembers how it went, and gives its place to the account that has the fewest.
func (u *upstream) leave(account, host string, probe, failed bool, retryAfter time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e, l := u.line(account, host)
	e.calls--
	l.calls--
	if probe {
		l.probing = false
	}
	if !failed {
		l.failures, l.pause, l.until = 0, nil, time.Time{}
	} else if l.failures++; probe || l.failures >= tripAfter && l.until.IsZero() {
		if l.pause == nil {
			l.pause = &backoff.ExponentialBackOff{InitialInterval: firstPause, Multiplier: 2, RandomizationFactor: 0.3, MaxInterval: longestPause}
		}
		l.until = time.Now().Add(max(min(l.pause.NextBackOff(), longestPause), min(retryAfter, longestPause)))
	}
	e.next()
}

// next gives the free place away.
func (e *endpoint) next() {
	var best *line
	fewest, first := math.MaxInt, uint64(math.MaxUint64)
	for _, l := range e.accounts {
		if len(l.waiting) > 0 && (l.calls < fewest || l.calls == fewest && l.waiting[0].arrival < first) {
			best, fewest, first = l, l.calls, l.waiting[0].arrival
		}
	}
	if best == nil {
		return
	}
	w := best.waiting[0]
	best.waiting = best.waiting[1:]
	best.calls++
	e.calls++
	w.given = true
	close(w.turn)
}
