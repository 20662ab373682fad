package broker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
)

// Cause says why a browser cannot go on. Doors turn it into a page.
type Cause string

// The causes.
const (
	CauseUnknown        Cause = "unknown"         // no session of that link, or no longer
	CauseExpired        Cause = "expired"         // its ten minutes are over
	CauseAnswered       Cause = "answered"        // the consent was given, refused or used already
	CauseForeignBrowser Cause = "foreign_browser" // the answer came to a browser that did not start this attempt, or to another callback
	CauseWrongIssuer    Cause = "wrong_issuer"    // another server than the provider's answered
	CauseProviderGone   Cause = "provider_gone"   // deleted or changed since the session began
	CauseVendorAway     Cause = "vendor_away"     // its discovery document cannot be had, or it does not answer a pushed request
	CauseVendorRefused  Cause = "vendor_refused"  // it does not take the authorization request
)

// Interruption is why a browser cannot go on, and, where that helps, the link that starts anew.
type Interruption struct {
	Cause  Cause
	Reopen string // URL of our authorize endpoint, or ""
	Err    error  // private
}

func (i *Interruption) Error() string { return "authorization interrupted: " + string(i.Cause) }

// Unwrap gives the private cause.
func (i *Interruption) Unwrap() error { return i.Err }

// attempt is one browser's try at a session. It lives sealed in a cookie of that browser and nowhere else: opening a link writes nothing.
type attempt struct {
	ID       string `json:"id"`
	Session  string `json:"session"` // the handle
	Verifier string `json:"verifier"`
	ProofKey string `json:"proofKey,omitempty"` // that the code will be bound to
}

// state is what the vendor hands back: sealed, so that only our own is taken, and able to find the session even in another browser.
type state struct {
	Attempt string `json:"attempt"`
	Session string `json:"session"`
}

const (
	attemptKind = "authorization attempt"
	stateKind   = "authorization state"
)

// Cookie is an attempt for the browser to keep: Name tells attempts of one browser apart.
type Cookie struct {
	Name  string
	Value string
	Life  time.Duration
}

// Confirmation is what a person is asked before going to the vendor.
type Confirmation struct {
	Agent      string // name of the workload identity
	Account    string
	Provider   string
	Vendor     string // host of its authorization endpoint
	User       string
	Scopes     []string
	ReturnHost string
	Continue   string // URL
}

// Opening is what a browser does after it opened a session: go to Location, or show Confirm or Device; keep Cookie either way.
type Opening struct {
	Location string
	Confirm  *Confirmation
	Device   *DevicePage
	Cookie   *Cookie
}

// CookieName is the name of the cookie of an attempt.
func (b *Broker) CookieName(attemptID string) string {
	if b.secure() {
		return "__Host-credence-attempt-" + attemptID
	}
	return "credence-attempt-" + attemptID
}

func (b *Broker) secure() bool { return len(b.PublicURL) > 8 && b.PublicURL[:8] == "https://" }

// attemptCookie is what binds an attempt to one browser.
func (b *Broker) attemptCookie(ctx context.Context, s store.Session, a attempt) (*Cookie, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	value, err := b.Vault.SealHandle(ctx, s.Account, attemptKind, text)
	return &Cookie{Name: b.CookieName(a.ID), Value: value, Life: time.Until(s.ExpiresAt)}, err
}

// OpenAuthorization answers a browser at the authorize endpoint. It never consumes the session: link previews may come and go. With attemptID and
// the matching cookie, the person has confirmed. Errors are Interruptions, or of the store.
func (b *Broker) OpenAuthorization(ctx context.Context, requestURI, attemptID string, cookie func(name string) string) (*Opening, error) {
	s, err := b.session(ctx, requestURI)
	if errors.Is(err, fault.NotFound) {
		return nil, &Interruption{Cause: CauseUnknown}
	}
	if err != nil {
		return nil, err
	}
	b.trace(ctx, s)
	if s.DeviceInterval > 0 {
		return b.openDevice(ctx, s, requestURI, attemptID, cookie)
	}
	if err := b.stillOpen(s); err != nil {
		return nil, err
	}
	p, v, err := b.sessionVendor(ctx, s)
	if err != nil {
		return nil, err
	}
	remembered, err := b.remembered(ctx, s)
	if err != nil {
		return nil, err
	}
	handle := requestURI[len(sessionPrefix):]

	if attemptID != "" {
		a, ok, err := b.attempt(ctx, s, attemptID, cookie)
		if err != nil {
			return nil, err
		}
		if ok {
			location, err := b.vendorURL(ctx, s, b.known(ctx, p, v), v, remembered, a)
			return &Opening{Location: location}, err
		}
	}
	a := attempt{ID: rand.Text()[:16], Session: handle, Verifier: oauth.NewVerifier().Reveal()}
	if v.DPoP == provider.DPoPAlways {
		key, err := oauth.NewProofKey()
		if err != nil {
			return nil, err
		}
		a.ProofKey = key.Text().Reveal()
	}
	c, err := b.attemptCookie(ctx, s, a)
	if err != nil {
		return nil, err
	}
	o := &Opening{Cookie: c}
	ask, err := b.mustConfirm(ctx, s, p)
	if err != nil {
		return nil, err
	}
	if !ask {
		o.Location, err = b.vendorURL(ctx, s, b.known(ctx, p, v), v, remembered, a)
		return o, err
	}
	o.Confirm = &Confirmation{
		Agent: s.Workload, Account: s.Account, Provider: s.Provider, Vendor: host(v.AuthorizationEndpoint), User: remembered.UserName,
		Scopes: remembered.Scopes, ReturnHost: host(s.ReturnURL), Continue: b.authorizationURL(requestURI) + "&attempt=" + a.ID,
	}
	return o, nil
}

// trace tells the span of a browser's request whose consent it is about.
func (b *Broker) trace(ctx context.Context, s store.Session) {
	if span := telemetry.SpanOf(ctx); span != nil {
		span.Set("aws.account.id", s.Account)
		span.Touch(append([]string{b.ARNs.OAuth2Provider(s.Account, s.Provider)}, b.agentResources(s.Account, s.Workload)...))
	}
}

// stillOpen refuses a session that no browser can move any more.
func (b *Broker) stillOpen(s store.Session) error {
	switch {
	case s.State != store.SessionPending:
		return &Interruption{Cause: CauseAnswered}
	case time.Now().After(s.ExpiresAt):
		return &Interruption{Cause: CauseExpired}
	}
	return nil
}

// sessionVendor finds the provider of a session, if it is still the one that the session began with.
func (b *Broker) sessionVendor(ctx context.Context, s store.Session) (*vault.OAuth2Provider, provider.Vendor, error) {
	p, err := b.Vault.OAuth2Provider(ctx, s.Account, s.Provider)
	if errors.Is(err, fault.NotFound) || err == nil && (p.Row.Incarnation != s.ProviderIncarnation || p.Row.Generation != s.Generation) {
		return nil, provider.Vendor{}, &Interruption{Cause: CauseProviderGone}
	}
	if err != nil {
		return nil, provider.Vendor{}, err
	}
	v, err := b.Resolver.Vendor(ctx, p.Config)
	if err != nil {
		return nil, v, &Interruption{Cause: CauseVendorAway, Err: err}
	}
	return p, v, nil
}

func (b *Broker) remembered(ctx context.Context, s store.Session) (r sessionRequest, err error) {
	text, err := b.Vault.SessionRequest(ctx, s)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// attempt finds this browser's attempt at a session.
func (b *Broker) attempt(ctx context.Context, s store.Session, id string, cookie func(name string) string) (a attempt, ok bool, err error) {
	text, ok, err := b.Vault.OpenHandle(ctx, s.Account, attemptKind, cookie(b.CookieName(id)))
	if !ok {
		return a, false, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, false, err
	}
	return a, a.ID == id && digest(a.Session) == s.ID, nil
}

// mustConfirm reports whether the person is asked here first: by default, outside --dev, until the same consent was given once.
func (b *Broker) mustConfirm(ctx context.Context, s store.Session, p *vault.OAuth2Provider) (bool, error) {
	switch p.Config.Confirm {
	case wire.ConfirmNever:
		return false, nil
	case wire.ConfirmAlways:
		return true, nil
	case "":
		if b.Dev {
			return false, nil
		}
	}
	_, err := b.Vault.Grant(ctx, s.Account, s.GrantKey)
	if errors.Is(err, fault.NotFound) {
		return true, nil
	}
	return false, err
}

// vendorURL is where the vendor asks the person.
func (b *Broker) vendorURL(ctx context.Context, s store.Session, p *vault.OAuth2Provider, v provider.Vendor, r sessionRequest, a attempt) (string, error) {
	text, err := json.Marshal(state{a.ID, a.Session})
	if err != nil {
		return "", err
	}
	handle, err := b.Vault.SealHandle(ctx, s.Account, stateKind, text)
	if err != nil {
		return "", err
	}
	req := oauth.AuthorizationRequest{
		Endpoint: v.AuthorizationEndpoint, ClientID: p.Config.ClientID, RedirectURI: provider.CallbackURL(b.PublicURL, p.Row.CallbackID), State: handle,
		Scopes: r.Scopes, ScopeSeparator: v.ScopeSeparator, Verifier: secret.New(a.Verifier), Resources: v.Resources(r.Resources), Audiences: r.Audiences, Extra: url.Values{},
	}
	if a.ProofKey != "" {
		if req.ProofKey, err = oauth.ParseProofKey(secret.New(a.ProofKey)); err != nil {
			return "", err
		}
	}
	for name, values := range v.AuthorizeParameters {
		req.Extra[name] = values
	}
	for name, values := range r.Parameters {
		req.Extra[name] = values
	}
	if slices.Contains(r.Scopes, "openid") {
		req.Nonce = rand.Text() // some servers demand one; the ID token that would repeat it is not used
	}
	return b.front(ctx, p, v, s.Workload, req)
}

// front is where the browser takes an authorization request, signed where the vendor wants that: to the vendor, which it was pushed to where the vendor takes that.
func (b *Broker) front(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor, workload string, req oauth.AuthorizationRequest) (location string, _ error) {
	if v.SignedRequests {
		if p.Row.AssertionKey == "" {
			return "", &Interruption{Cause: CauseVendorRefused, Err: errors.New("the vendor requires signed authorization requests, but the provider has no key: its clientAuthenticationMethod must be PRIVATE_KEY_JWT")}
		}
		req.Sign = func(parameters url.Values) (secret.String, error) {
			return b.Vault.SignRequestObject(ctx, p, v, parameters)
		}
	}
	switch {
	case v.PushEndpoint == "" && v.PushRequired:
		return "", &Interruption{Cause: CauseVendorRefused, Err: errors.New("the vendor requires pushed authorization requests, but its metadata has no pushed_authorization_request_endpoint")}
	case v.PushEndpoint == "":
		return req.URL()
	case !v.Has(v.PushEndpoint):
		return "", &Interruption{Cause: CauseVendorRefused, Err: fmt.Errorf("the pushed_authorization_request_endpoint %q is on no host of the vendor", v.PushEndpoint)}
	}
	auth, err := b.clientAuth(ctx, p, v, workload, v.PushEndpoint)
	if err != nil {
		return "", err
	}
	e := endpointWith(v, auth)
	e.URL = v.PushEndpoint
	_, err = b.vendorCall(ctx, p.Row.Account, e.URL, v, "pushed_authorization", func(ctx context.Context) (_ oauth.Token, err error) {
		location, err = b.OAuth.PushAuthorization(ctx, e, req)
		return oauth.Token{}, err
	})
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		cause := CauseVendorAway
		if refused.Outcome == oauth.Refused {
			cause = CauseVendorRefused
		}
		return "", &Interruption{Cause: cause, Err: err}
	}
	return location, err
}

// Closing is where a browser goes after the vendor's answer was taken, and the cookie that it needs no longer.
type Closing struct {
	Location string
	Spent    string // name of the cookie
}

// FinishAuthorization takes the vendor's answer at a provider's callback and sends the browser to the return URL, with a one-time session id
// or the vendor's error. The first answer that comes with its attempt's cookie wins; every other changes nothing and is an Interruption.
func (b *Broker) FinishAuthorization(ctx context.Context, callbackID, query string, cookie func(name string) string) (*Closing, error) {
	p, err := b.Vault.OAuth2ProviderByCallback(ctx, callbackID)
	if errors.Is(err, fault.NotFound) {
		return nil, &Interruption{Cause: CauseUnknown}
	}
	if err != nil {
		return nil, err
	}
	answer, err := oauth.ParseCallback(query)
	if err != nil {
		return nil, &Interruption{Cause: CauseUnknown, Err: err}
	}
	text, ok, err := b.Vault.OpenHandle(ctx, p.Row.Account, stateKind, answer.State.Reveal())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &Interruption{Cause: CauseUnknown}
	}
	var st state
	if err := json.Unmarshal(text, &st); err != nil {
		return nil, err
	}
	uri := sessionURI(st.Session)
	s, err := b.session(ctx, uri)
	if errors.Is(err, fault.NotFound) {
		return nil, &Interruption{Cause: CauseUnknown}
	}
	if err != nil {
		return nil, err
	}
	b.trace(ctx, s)
	if err := b.stillOpen(s); err != nil {
		return nil, err
	}
	a, ok, err := b.attempt(ctx, s, st.Attempt, cookie)
	if err != nil {
		return nil, err
	}
	if !ok || s.Account != p.Row.Account || s.Provider != p.Row.Name {
		b.Metrics.Consents.WithLabelValues("callback", string(CauseForeignBrowser)).Inc()
		return nil, &Interruption{Cause: CauseForeignBrowser, Reopen: b.authorizationURL(uri)}
	}
	p, v, err := b.sessionVendor(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := answer.CheckIssuer(v.Issuer, v.IssInResponse); err != nil {
		b.Metrics.Consents.WithLabelValues("callback", string(CauseWrongIssuer)).Inc()
		return nil, &Interruption{Cause: CauseWrongIssuer, Reopen: b.authorizationURL(uri), Err: err}
	}
	r, err := b.remembered(ctx, s)
	if err != nil {
		return nil, err
	}

	completion := newHandle()
	s.CompletionID = digest(completion)
	back := url.Values{"session_id": {sessionURI(completion)}}
	if r.CustomState != "" {
		back.Set("state", r.CustomState)
	}
	outcome := "ok"
	if answer.Error != "" {
		outcome = "vendor_error"
		s.State, s.Reason = store.SessionFailed, "the vendor answered "+answer.Error
		back.Set("error", answer.Error)
		if answer.ErrorDescription != "" {
			back.Set("error_description", answer.ErrorDescription)
		}
	} else {
		s.State = store.SessionAuthorized
		if err := b.sealCode(ctx, &s, sealedCode{answer.Code.Reveal(), a.Verifier, provider.CallbackURL(b.PublicURL, p.Row.CallbackID), a.ProofKey}); err != nil {
			return nil, err
		}
	}
	decided, how := audit.Performed, "the user came back from the vendor with a code"
	if s.State == store.SessionFailed {
		decided, how = audit.Abandoned, "the user came back from the vendor with an error"
	}
	if err := b.consentReceipt(s, r.User, decided, how); err != nil { // before anything changes: the browser may come again
		return nil, err
	}
	if _, err := b.Writes.UpdateSession(s); errors.Is(err, fault.ConcurrentModification) {
		return nil, &Interruption{Cause: CauseAnswered, Err: err}
	} else if err != nil {
		return nil, err
	}
	b.Metrics.Consents.WithLabelValues("callback", outcome).Inc()
	location, err := withQuery(s.ReturnURL, back)
	return &Closing{location, b.CookieName(a.ID)}, err
}

// sealedCode is what it takes to exchange a code.
type sealedCode struct {
	Code        string `json:"code"`
	Verifier    string `json:"verifier"`
	RedirectURI string `json:"redirectUri"`
	ProofKey    string `json:"proofKey,omitempty"` // that the code is bound to
}

func (b *Broker) sealCode(ctx context.Context, s *store.Session, c sealedCode) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return b.Vault.SealCode(ctx, s, text)
}
