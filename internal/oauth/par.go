package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"credence/internal/secret"
)

// maxRequestURI is the length in bytes up to which a vendor's request_uri is taken.
const maxRequestURI = 2 << 10

// PushAuthorization hands an authorization request to the vendor itself (RFC 9126), which authenticates the client as at its token endpoint; e.URL is its pushed
// authorization request endpoint. It returns the address to send the browser to, which says nothing but the client id and the request_uri that the vendor made
// for this request. The error is an *Error; whatever its Outcome, the request may be pushed again.
func (c *Client) PushAuthorization(ctx context.Context, e Endpoint, r AuthorizationRequest) (location string, err error) {
	form, err := r.parameters()
	if err != nil {
		return "", &Error{Outcome: NotSent, Err: err}
	}
	header := newHeader(e.Header)
	if err := e.Auth.apply(header, form); err != nil {
		return "", &Error{Outcome: NotSent, Err: err}
	}
	if ctx, err = e.Auth.over(ctx, e.URL); err != nil {
		return "", &Error{Outcome: NotSent, Err: err}
	}
	form.Set("client_id", r.ClientID) // section 2.1: in the form, however the client authenticates
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	call := newCall(ctx, "pushed authorization request", e.URL)
	defer func() { done(call, err) }()
	answer, err := c.send(ctx, call, http.MethodPost, e.URL, header, form.Encode(), []secret.String{e.Auth.Secret, e.Auth.Assertion, secret.New(r.State)})
	if err != nil {
		return "", err
	}
	requestURI, err := readPushed(answer)
	if err != nil {
		return "", err
	}
	if location, err = r.at(url.Values{"client_id": {r.ClientID}, "request_uri": {requestURI}}); err != nil {
		return "", &Error{Outcome: NotSent, Err: err}
	}
	return location, nil
}

// readPushed finds the request_uri (section 2.2), or why there is none.
func readPushed(r response) (string, error) {
	m, _ := parseMembers(r.header.Get("Content-Type"), r.body)
	switch {
	case r.status >= 300 && r.status <= 399:
		return "", &Error{Outcome: Refused, Status: r.status, Err: fmt.Errorf("the pushed authorization request endpoint redirected (%d)", r.status)}
	case r.status < 200 || r.status > 299 || m.hasError():
		return "", m.refusal(r)
	}
	requestURI := m.text("request_uri")
	if requestURI == "" || len(requestURI) > maxRequestURI {
		return "", &Error{Outcome: Unknown, Status: r.status, Err: errors.New("the answer has no usable request_uri")}
	}
	return requestURI, nil
}
