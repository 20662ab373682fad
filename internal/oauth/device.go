package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"credence/internal/secret"
)

// DeviceRequest begins a device authorization (RFC 8628 section 3.1).
type DeviceRequest struct {
	Scopes               []string
	ScopeSeparator       string // "" is a space
	Resources, Audiences []string
	Extra                url.Values // parameters for which IsProtected is true are dropped
}

// DeviceAuthorization is what a vendor answers (RFC 8628 section 3.2). UserCode is for the user to see; VerificationURI is where he enters it.
type DeviceAuthorization struct {
	DeviceCode              secret.String
	UserCode                string // printable, at most 64 runes
	VerificationURI         string // the vendor's word: check it before use
	VerificationURIComplete string // the same with the code in it; ""
	ExpiresIn, Interval     time.Duration
}

// Interval is the time between two polls when the vendor does not say (RFC 8628 section 3.2), and how much longer one that says slow_down wants it (section 3.5).
const Interval = 5 * time.Second

// Bounds of what vendors say.
const (
	maxInterval    = time.Minute
	maxDeviceCodes = time.Hour
)

// AuthorizeDevice begins a device authorization at e, whose URL is the device authorization endpoint. The error is an *Error.
func (c *Client) AuthorizeDevice(ctx context.Context, e Endpoint, r DeviceRequest) (d DeviceAuthorization, err error) {
	form := parameters(r.Extra, r.Resources, r.Audiences)
	if err := setScope(form, r.Scopes, r.ScopeSeparator); err != nil {
		return d, &Error{Outcome: NotSent, Err: err}
	}
	header := newHeader(e.Header)
	if err := e.Auth.apply(header, form); err != nil {
		return d, &Error{Outcome: NotSent, Err: err}
	}
	if ctx, err = e.Auth.over(ctx, e.URL); err != nil {
		return d, &Error{Outcome: NotSent, Err: err}
	}
	if e.Auth.Method == ClientSecretBasic {
		form.Set("client_id", e.Auth.ID) // section 3.1 has it, and some servers demand it
	}
	contentType, text := encode(form, e.JSON)
	header.Set("Content-Type", contentType)
	call := newCall(ctx, "device authorization request", e.URL)
	defer func() { done(call, err) }()
	answer, err := c.send(ctx, call, http.MethodPost, e.URL, header, text, []secret.String{e.Auth.Secret, e.Auth.Assertion})
	if err != nil {
		return d, err
	}
	m, _ := parseMembers(answer.header.Get("Content-Type"), answer.body)
	if answer.status < 200 || answer.status > 299 {
		return d, m.refusal(answer)
	}
	d = DeviceAuthorization{
		DeviceCode: secret.New(m.text("device_code")), UserCode: clean(m.text("user_code"), maxCode, nil),
		VerificationURI: m.text("verification_uri"), VerificationURIComplete: m.text("verification_uri_complete"),
		ExpiresIn: min(m.expiresIn(), maxDeviceCodes), Interval: Interval,
	}
	if d.VerificationURI == "" { // as Google writes it
		d.VerificationURI = m.text("verification_url")
	}
	if interval := (members{"expires_in": m["interval"]}).expiresIn(); interval > 0 {
		d.Interval = min(interval, maxInterval)
	}
	if d.DeviceCode.IsZero() || d.UserCode == "" || d.VerificationURI == "" || d.ExpiresIn == 0 {
		return d, &Error{Outcome: Unknown, Status: answer.status, Err: errors.New("the answer has no device_code, user_code, verification_uri or expires_in")}
	}
	return d, nil
}

// The answers to a poll after which it is asked again (RFC 8628 section 3.5).
const (
	AuthorizationPending = "authorization_pending"
	SlowDown             = "slow_down"
)

// PollDevice asks for the tokens of a device authorization (RFC 8628 section 3.4). The error is an *Error; with the code AuthorizationPending or SlowDown, nobody
// has answered yet.
func (c *Client) PollDevice(ctx context.Context, e Endpoint, deviceCode secret.String) (Token, error) {
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {deviceCode.Reveal()}}
	if e.Auth.Method == ClientSecretBasic {
		form.Set("client_id", e.Auth.ID)
	}
	return c.post(ctx, e, form, deviceCode)
}
