package broker

import (
	"time"

	"credence/internal/fault"
	"credence/internal/store"
)

// need is how long a token must live on when it is handed out: what the request says, else what its provider does.
func (r request) need() time.Duration {
	seconds := r.provider.Config.MinimumValiditySeconds
	if r.in.MinimumValiditySeconds != nil {
		seconds = *r.in.MinimumValiditySeconds
	}
	return time.Duration(seconds) * time.Second
}

// life is how long a grant's access token lives altogether.
func life(g store.Grant) time.Duration { return g.ExpiresAt.Sub(g.ObtainedAt) }

// possible tells whether a grant can serve tokens that live on for so long: its vendor's must live longer, by a margin, or every request would refresh it.
func possible(g store.Grant, need time.Duration) bool {
	return need == 0 || g.ExpiresAt.IsZero() || need <= life(g)-margin(g)
}

// enough tells whether a grant's access token needs no renewal for a request. One that could not live long enough gains nothing by it.
func (r request) enough(g store.Grant) bool {
	need := r.need()
	return fresh(g) && r.narrow(g) && (need == 0 || g.ExpiresAt.IsZero() || time.Until(g.ExpiresAt) >= need || !possible(g, need))
}

// tooShort is the answer to a request whose grant's tokens never live long enough; nil when they do.
func (r request) tooShort(g store.Grant) error {
	need := r.need()
	if possible(g, need) {
		return nil
	}
	longest := (life(g) - margin(g)) / time.Second
	if r.in.MinimumValiditySeconds == nil {
		return fault.Invalid("resourceCredentialProviderName", "provider %s has minimumValiditySeconds %d, but its vendor's tokens live %.0f seconds: set at most %d with UpdateOauth2CredentialProvider, or say minimumValiditySeconds in the request",
			r.provider.Row.Name, need/time.Second, life(g).Seconds(), longest)
	}
	return fault.Invalid("minimumValiditySeconds", "is %d, but tokens of provider %s live %.0f seconds: ask for at most %d", need/time.Second, r.provider.Row.Name, life(g).Seconds(), longest)
}
