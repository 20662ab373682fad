package awsapi

import (
	"errors"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
)

// DefaultRates are how many requests a second one account may send of each operation (specification section 8.1), by name. Extensions are control plane.
func DefaultRates() map[string]int {
	const control, token, completion = 20, 200, 100
	rates := map[string]int{}
	for _, op := range append(Operations(nil, nil), Extensions(nil, nil, nil)...) {
		rates[op.Name] = control
	}
	for _, name := range []string{
		"GetWorkloadAccessToken", "GetWorkloadAccessTokenForJWT", "GetWorkloadAccessTokenForUserId", "GetResourceOauth2Token", "GetResourceApiKey", "GetResourcePaymentToken",
	} {
		rates[name] = token
	}
	rates["CompleteResourceTokenAuth"] = completion
	return rates
}

// errRate is the private cause of a refusal for sending too many.
var errRate = errors.New("over the account's rate")

// withinRate counts a request that is proven to be the caller's. One too many gets no audit event, or a flood would fill the log: metrics count it.
func (r *row) withinRate(c iam.Caller) error {
	wait, limit := r.rate.Take(c.Account)
	if wait == 0 {
		return nil
	}
	r.throttled.Inc()
	f := fault.Wrap(fault.Throttled, errRate, "Rate exceeded: account %s may send %d %s requests a second (quota rate.%s): try again in %s", c.Account, limit, r.Name, r.Name, wait.Round(time.Millisecond))
	f.RetryAfter = wait
	return f
}
