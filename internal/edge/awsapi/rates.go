package awsapi

// DefaultRates are how many requests a second one account may send of each operation (specification section 8.1), by name. Extensions are control plane, but for
// what agents call at each request of theirs.
func DefaultRates() map[string]int {
	const control, token, completion = 20, 200, 100
	rates := map[string]int{}
	for _, op := range append(Operations(nil, nil), Extensions(nil, nil, nil)...) {
		rates[op.Name] = control
	}
	for _, name := range []string{
		"GetWorkloadAccessToken", "GetWorkloadAccessTokenForJWT", "GetWorkloadAccessTokenForUserId", "GetResourceOauth2Token", "GetResourceApiKey", "GetResourcePaymentToken", "CreateDpopProof",
	} {
		rates[name] = token
	}
	rates["CompleteResourceTokenAuth"] = completion
	return rates
}
