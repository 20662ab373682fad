package broker

import (
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"time"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/store"
	"credence/internal/vault"
)

// A grant whose refresh came to nothing is let alone for a while, by all replicas: firstPause after the first time, twice as long after each other one up to
// longestPause, and as long as the vendor wants. Who renews it unasked waits longer still.
const (
	longestRetryAfter   = 10 * time.Minute // of a vendor's wish: somebody may be waiting
	longestRenewalPause = time.Hour
)

// silentRefusal is the last error of a grant whose vendor refused it without a word, which may mean invalid_grant.
const silentRefusal = "refused_silently"

// asksTheUser tells whether the user is to be asked anew after a refresh that came to nothing: the vendor said so, or nothing. The grant lives until the answer.
func asksTheUser(lastError string) bool {
	return lastError == silentRefusal || slices.Contains(usersTurn, lastError)
}

// errBackingOff is in the chain of an answer that was given without asking the vendor, since the grant's last refresh came to nothing.
var errBackingOff = errors.New("the last refresh came to nothing, and the next is yet to come")

// pause is how long to wait after so many failures in a row.
func pause(failures int64, longest time.Duration) time.Duration {
	d := longest
	if failures < 30 {
		d = min(firstPause<<max(failures-1, 0), longest)
	}
	return d - d/4 + upTo(d/2)
}

// upTo is a random time below d, so that what began together does not go on together.
func upTo(d time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(max(int64(d), 1)))
	if err != nil {
		return 0
	}
	return time.Duration(n.Int64())
}

// postpone writes into g that a refresh came to nothing, and when the next may be tried. What the bounds of calls to a vendor did not let through says nothing
// of the grant.
func postpone(g *store.Grant, cause error) {
	if errors.Is(cause, errOpen) || errors.Is(cause, errQueue) {
		return
	}
	g.Failures++
	wait := pause(g.Failures, longestPause)
	if e, ok := errors.AsType[*oauth.Error](cause); ok {
		wait = max(wait, min(e.RetryAfter, longestRetryAfter))
	}
	now := time.Now()
	g.RetryAt = now.Add(wait)
	if !g.RenewAt.IsZero() {
		g.RenewAt = now.Add(max(wait, pause(g.Failures, longestRenewalPause)))
	}
}

// backingOff is the answer for a grant that is let alone for now; nil when it may be refreshed.
func backingOff(p *vault.OAuth2Provider, g store.Grant) error {
	wait := time.Until(g.RetryAt)
	switch {
	case wait <= 0:
		return nil
	case asksTheUser(g.LastError) && !valid(g):
		return errDead
	}
	wait = wait.Truncate(time.Millisecond) + time.Millisecond
	return &fault.Fault{Kind: fault.Throttled, RetryAfter: wait, Err: errBackingOff,
		Msg: "The vendor of provider " + p.Row.Name + " did not renew the token (" + g.LastError + "), and is asked again in " + max(wait.Round(time.Second), time.Second).String() + ": try again then"}
}

// refusesClient tells whether a vendor's error code is about the provider's client, not about a grant.
func refusesClient(code string) bool {
	return code == "invalid_client" || code == "unauthorized_client"
}
