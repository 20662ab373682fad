package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"time"

	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/webhook"
	"credence/internal/worker"
)

// Deliveries are the outbox of webhooks. A claim is a lease: nobody else gets the same one until its time is up.
type Deliveries interface {
	PendingDeliveries(ctx context.Context) (pending, due int, err error)
	ClaimDelivery(d time.Duration) (store.Delivery, error)
	KeepDelivery(d store.Delivery, wait, others time.Duration) error
	FinishDelivery(store.Delivery) error
}

const (
	deliveryPoll    = time.Second
	deliveryClaim   = time.Minute // longer than an attempt, which egress bounds
	deliveryWorkers = 4
	// othersPause bounds how long other events of a webhook wait after an attempt that failed.
	othersPause = time.Minute
)

// deliveryDelays are the waits between attempts that Standard Webhooks recommends; after the last attempt a delivery is dead.
var deliveryDelays = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Deliver tells webhooks of events until ctx ends; attempts under way then come to their end.
func (a *Admin) Deliver(ctx context.Context) {
	worker.Every(ctx, deliveryPoll, a.deliverDue)
}

func (a *Admin) deliverDue(ctx context.Context) {
	pending, due, err := a.Deliveries.PendingDeliveries(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.Log.Error("the outbox of webhooks cannot be read", "cause", err.Error())
		}
		return
	}
	a.Metrics.DeliveriesPending.Set(float64(pending))
	worker.Drain(ctx, min(due, deliveryWorkers), a.deliverNext)
}

// deliverNext makes one attempt at one delivery that is due; it is false when there is none. A message may arrive more than once, and never less: it is marked as
// delivered only afterwards.
func (a *Admin) deliverNext(ctx context.Context) bool {
	d, err := a.Deliveries.ClaimDelivery(deliveryClaim)
	if err != nil {
		if !errors.Is(err, fault.NotFound) {
			a.Log.Error("a delivery cannot be claimed", "cause", err.Error())
		}
		return false
	}
	outcome := "delivered"
	d.State, d.LastError = store.DeliveryDelivered, ""
	sent := a.send(ctx, d)
	wait, again := nextAttempt(d.Attempts)
	switch {
	case errors.Is(sent, fault.NotFound):
		return true // its webhook was deleted just now, and it with it
	case sent != nil && again && !errors.Is(sent, webhook.Gone):
		outcome, d.LastError = "retried", sent.Error()
		err = a.Deliveries.KeepDelivery(d, wait, min(wait, othersPause))
	case sent != nil:
		outcome, d.State, d.LastError = "dead", store.DeliveryDead, sent.Error()
		err = a.Deliveries.FinishDelivery(d)
	default:
		err = a.Deliveries.FinishDelivery(d)
	}
	if err != nil && !errors.Is(err, fault.ConcurrentModification) {
		a.Log.Error("a delivery cannot be written", "cause", err.Error()) // its claim ends by itself
		return false
	}
	a.Metrics.Deliveries.WithLabelValues(string(d.EventType), outcome).Inc()
	return true
}

// nextAttempt is how long to wait after so many attempts, by a random part more; false when there were enough.
func nextAttempt(attempts int64) (time.Duration, bool) {
	if int(attempts) > len(deliveryDelays) {
		return 0, false
	}
	d := deliveryDelays[attempts-1]
	if n, err := rand.Int(rand.Reader, big.NewInt(int64(d/5))); err == nil {
		d += time.Duration(n.Int64())
	}
	return d, true
}
