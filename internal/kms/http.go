package kms

import "net/http"

// capped bounds what is read of an answer.
type capped struct{ http.RoundTripper }

func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	}
	return resp, err
}

// httpClient is for the services that leave that to us. A redirect is an answer like any other: no service documents one.
func httpClient() *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     capped{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
