package broker

import (
	"errors"
	"sync"
	"time"

	"credence/internal/oauth"
	"credence/internal/vault"
)

// vendorAway is why a provider fails whose vendor does not answer, or not as it should.
const vendorAway = "vendor_away"

// failureSilence is how long this process does not repeat that a provider fails: a dead vendor costs no writes.
const failureSilence = 10 * time.Minute

// failures remembers what was told of providers, and when.
type failures struct{ told sync.Map } // account, provider and reason → time.Time

func (f *failures) silent(key string) bool {
	now := time.Now()
	last, told := f.told.Swap(key, now)
	if told && now.Sub(last.(time.Time)) < failureSilence {
		f.told.Store(key, last)
		return true
	}
	return false
}

// failing tells webhooks when what a vendor answered is no matter of one grant: it refuses us as a client, or it is known to be away.
func (b *Broker) failing(p *vault.OAuth2Provider, err error) {
	reason := ""
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Outcome == oauth.Refused && (e.Code == "invalid_client" || e.Code == "unauthorized_client") {
		reason = e.Code
	}
	if errors.Is(err, errOpen) {
		reason = vendorAway
	}
	if reason == "" || b.failures.silent(p.Row.Account+p.Row.Incarnation+reason) {
		return
	}
	if err := b.Outbox.TellProviderFailing(p.Row.Account, p.Row.Name, reason); err != nil {
		b.Log.Error("that a provider fails cannot be written", "account", p.Row.Account, "provider", p.Row.Name, "error", reason, "cause", err.Error())
	}
}
