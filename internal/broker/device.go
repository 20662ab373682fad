package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/worker"
)

// Devices are the device authorizations in flight. A claim is a lease: nobody else gets the same one until its time is up.
type Devices interface {
	DueDevices(context.Context) (int, error)
	ClaimDevice(d time.Duration) (store.Session, error)
}

const (
	devicePoll    = time.Second // between looks at what is due
	deviceClaim   = 30 * time.Second
	deviceWorkers = 4
	maxDevicePoll = time.Minute
	// deviceReload is how often the page looks whether the vendor has been answered.
	deviceReload = 5 * time.Second
	// deviceGrace is how long after a session's end its completion may still be under way.
	deviceGrace = leaseTime
	// deviceNote marks what the audit log says of such consents.
	deviceNote = "device authorization"
)

// sealedDevice is what a session remembers of a device authorization: until the vendor has been answered what it takes to ask, then what came of it.
type sealedDevice struct {
	DeviceCode              string        `json:"deviceCode,omitempty"`
	UserCode                string        `json:"userCode,omitempty"`
	VerificationURI         string        `json:"verificationUri,omitempty"`
	VerificationURIComplete string        `json:"verificationUriComplete,omitempty"`
	Tokens                  *sealedTokens `json:"tokens,omitempty"`
	Error                   string        `json:"error,omitempty"` // the vendor's
	ErrorDescription        string        `json:"errorDescription,omitempty"`
}

type sealedTokens struct {
	Access    string        `json:"access"`
	Refresh   string        `json:"refresh,omitempty"`
	TokenType string        `json:"tokenType"`
	ExpiresIn time.Duration `json:"expiresIn"`
	Scopes    []string      `json:"scopes"`
	AskedAt   time.Time     `json:"askedAt"`
	ProofKey  string        `json:"proofKey,omitempty"` // that they are bound to
}

func sealable(t oauth.Token) *sealedTokens {
	out := &sealedTokens{Access: t.AccessToken.Reveal(), Refresh: t.RefreshToken.Reveal(), TokenType: t.TokenType, ExpiresIn: t.ExpiresIn, Scopes: t.Scopes, AskedAt: t.AskedAt}
	if t.ProofKey != nil {
		out.ProofKey = t.ProofKey.Text().Reveal()
	}
	return out
}

func (t sealedTokens) token() (_ oauth.Token, err error) {
	out := oauth.Token{AccessToken: secret.New(t.Access), RefreshToken: secret.New(t.Refresh), TokenType: t.TokenType, ExpiresIn: t.ExpiresIn, Scopes: t.Scopes, AskedAt: t.AskedAt}
	if t.ProofKey != "" {
		out.ProofKey, err = oauth.ParseProofKey(secret.New(t.ProofKey))
	}
	return out, err
}

func (b *Broker) sealDevice(ctx context.Context, s *store.Session, d sealedDevice) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return b.Vault.SealCode(ctx, s, text)
}

func (b *Broker) openedDevice(ctx context.Context, s store.Session) (d sealedDevice, err error) {
	text, err := b.Vault.OpenCode(ctx, s)
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(text, &d)
}

// mayAskDevice refuses a request for a device authorization where there is none: whoever approves cannot be bound to the user, so each provider has to opt in.
func mayAskDevice(p *vault.OAuth2Provider, in *wire.GetResourceOauth2TokenInput) error {
	switch {
	case in.DeviceAuthorization == nil || !*in.DeviceAuthorization:
		return nil
	case in.Oauth2Flow != wire.FlowUserFederation:
		return fault.Invalid("deviceAuthorization", "is a way to ask for a consent, so it goes with %s, not with %s", wire.FlowUserFederation, in.Oauth2Flow)
	case !p.Config.DeviceAuthorization:
		return fault.Invalid("deviceAuthorization", "is not allowed by provider %q, since whoever approves need not be the user: who knows that, can update the provider with deviceAuthorization (X-Credence-Device-Authorization: true)", p.Row.Name)
	}
	return nil
}

// beginDevice asks the vendor for a code that the user will enter there, and puts it into a session that is not stored yet.
func (b *Broker) beginDevice(ctx context.Context, r request, s *store.Session, scopes []string) error {
	v, err := b.vendor(ctx, r.provider)
	if err != nil {
		return err
	}
	m, known, err := b.Resolver.Metadata(ctx, r.provider.Config)
	if err != nil || !known || m.DeviceAuthorizationEndpoint == "" {
		return fault.Invalid("deviceAuthorization", "the vendor of provider %q does not offer it: there is no device_authorization_endpoint in its metadata, but an authorization_endpoint, so leave deviceAuthorization out", r.provider.Row.Name)
	}
	at := m.DeviceAuthorizationEndpoint
	if v.AuthMethod == oauth.TLSClientAuth {
		at = cmp.Or(m.MTLSEndpointAliases.DeviceAuthorizationEndpoint, at)
	}
	if !v.Has(at) {
		return fault.Invalid("deviceAuthorization", "the device_authorization_endpoint %q of provider %q is on no host of the vendor", at, r.provider.Row.Name)
	}
	auth, err := b.clientAuth(ctx, r.provider, v, r.agent.row.Name, at)
	if err != nil {
		return err
	}
	e := endpointWith(v, auth)
	e.URL = at
	req := oauth.DeviceRequest{Scopes: scopes, ScopeSeparator: v.ScopeSeparator, Resources: v.Resources(r.in.Resources), Audiences: r.in.Audiences, Extra: parameters(r.in)}
	var d oauth.DeviceAuthorization
	_, err = b.vendorCall(ctx, s.Account, e.URL, v, "device_authorization", func(ctx context.Context) (_ oauth.Token, err error) {
		d, err = b.OAuth.AuthorizeDevice(ctx, e, req)
		return oauth.Token{}, err
	})
	if err != nil {
		b.failing(r.provider, err)
		return vendorFault(r.provider, err)
	}
	if err := b.CheckURL(d.VerificationURI); err != nil {
		return fault.New(fault.Validation, "The vendor of provider %s would have the user go to a URL that cannot be used: it %v", r.provider.Row.Name, err)
	}
	if b.CheckURL(d.VerificationURIComplete) != nil {
		d.VerificationURIComplete = ""
	}
	s.ExpiresAt = s.CreatedAt.Add(min(SessionLifetime, d.ExpiresIn))
	s.DeviceInterval, s.DevicePoll = d.Interval, d.Interval
	return b.sealDevice(ctx, s, sealedDevice{DeviceCode: d.DeviceCode.Reveal(), UserCode: d.UserCode, VerificationURI: d.VerificationURI, VerificationURIComplete: d.VerificationURIComplete})
}

// PollDevices asks vendors whether device authorizations have been answered, until ctx ends.
func (b *Broker) PollDevices(ctx context.Context) {
	worker.Every(ctx, devicePoll, b.pollDue)
}

func (b *Broker) pollDue(ctx context.Context) {
	due, err := b.Devices.DueDevices(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.Log.Error("device authorizations cannot be read", "cause", err.Error())
		}
		return
	}
	worker.Drain(ctx, min(due, deviceWorkers), b.pollNext)
}

// pollNext asks about one device authorization that is due; it is false when there is none.
func (b *Broker) pollNext(ctx context.Context) bool {
	s, err := b.Devices.ClaimDevice(deviceClaim)
	if err == nil {
		err = b.pollDevice(ctx, s)
	}
	if errors.Is(err, fault.NotFound) {
		return false
	}
	if err != nil && !errors.Is(err, fault.ConcurrentModification) { // it is due again when the claim ends
		b.Log.ErrorContext(ctx, "a device authorization cannot be asked about", "account", s.Account, "workload", s.Workload, "provider", s.Provider, "cause", err.Error())
	}
	return true
}

// pollDevice asks the vendor once.
func (b *Broker) pollDevice(ctx context.Context, s store.Session) error {
	fail := func(reason string, d *sealedDevice) error {
		s.State, s.Reason, s.Code, s.DevicePoll = store.SessionFailed, reason, nil, 0
		if d != nil {
			if err := b.sealDevice(ctx, &s, *d); err != nil {
				return err
			}
		}
		_, err := b.Writes.UpdateSession(s)
		return err
	}
	again := func(after time.Duration) error {
		s.DevicePoll = after
		_, err := b.Writes.UpdateSession(s)
		return err
	}
	switch {
	case s.State != store.SessionPending:
		return again(0)
	case time.Now().After(s.ExpiresAt):
		return fail("nobody entered the code in time", nil)
	}
	p, v, err := b.sessionVendor(ctx, s)
	if i, ok := errors.AsType[*Interruption](err); ok {
		if i.Cause == CauseVendorAway {
			return again(min(2*s.DeviceInterval, maxDevicePoll))
		}
		return fail("the provider was changed or deleted since the session began", nil)
	}
	if err != nil {
		return err
	}
	d, err := b.openedDevice(ctx, s)
	if err != nil {
		return err
	}
	e, err := b.endpoint(ctx, p, v, s.Workload, store.Grant{})
	if err != nil {
		return err
	}
	t, err := b.vendorCall(ctx, s.Account, v.TokenEndpoint, v, "device_code", func(ctx context.Context) (oauth.Token, error) {
		return b.OAuth.PollDevice(ctx, e, secret.New(d.DeviceCode))
	})
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		switch {
		case refused.Code == oauth.AuthorizationPending:
			return again(s.DeviceInterval)
		case refused.Code == oauth.SlowDown:
			s.DeviceInterval = min(s.DeviceInterval+oauth.Interval, maxDevicePoll)
			return again(s.DeviceInterval)
		case refused.Outcome != oauth.Refused: // RFC 8628 section 3.5: ask less often
			return again(max(min(2*s.DeviceInterval, maxDevicePoll), refused.RetryAfter))
		}
		b.failing(p, refused)
		return fail("the vendor answered "+refused.Error(), &sealedDevice{Error: refused.Code, ErrorDescription: refused.Description})
	}
	if err != nil {
		return err
	}
	return b.deviceAuthorized(ctx, s, p, v, t)
}

// deviceAuthorized keeps tokens that the vendor gave: sealed and unserved until the session is completed, and in the outbox, so that the vendor is told if it never is,
// whatever becomes of the session.
func (b *Broker) deviceAuthorized(ctx context.Context, s store.Session, p *vault.OAuth2Provider, v provider.Vendor, t oauth.Token) error {
	r, err := b.remembered(ctx, s)
	if err != nil {
		return err
	}
	g, err := b.consented(ctx, s, r, t, v.Lifetime)
	if err != nil {
		return err
	}
	s.State, s.DevicePoll = store.SessionAuthorized, 0
	if err := b.sealDevice(ctx, &s, sealedDevice{Tokens: sealable(t)}); err != nil {
		return err
	}
	revocation := unowned(p, g, store.CauseNotCompleted)
	wait := max(time.Until(s.ExpiresAt), 0) + deviceGrace
	_, err = retryWrite(func() (int64, error) { return 0, b.Writes.AuthorizeDevice(s, revocation, wait) })
	if err != nil {
		b.revokeLost(p, g)
		return err
	}
	b.Metrics.Consents.WithLabelValues("device", "ok").Inc()
	return nil
}

// DevicePage is what a person is told who shall enter a code at the vendor.
type DevicePage struct {
	Confirmation // Continue is where the code is entered
	UserCode     string
	Reload       string // URL of this page
	After        time.Duration
}

// openDevice answers a browser at the authorize endpoint of a device authorization: with the page that shows the code, and, when the vendor has been answered, with
// the way to the return URL, for the first browser that comes with the page's cookie.
func (b *Broker) openDevice(ctx context.Context, s store.Session, requestURI, attemptID string, cookie func(string) string) (*Opening, error) {
	if s.State == store.SessionPending {
		if err := b.stillOpen(s); err != nil {
			return nil, err
		}
	}
	_, v, err := b.sessionVendor(ctx, s)
	if err != nil {
		return nil, err
	}
	r, err := b.remembered(ctx, s)
	if err != nil {
		return nil, err
	}
	var a attempt
	mine := false
	if attemptID != "" {
		if a, mine, err = b.attempt(ctx, s, attemptID, cookie); err != nil {
			return nil, err
		}
	}
	if s.State != store.SessionPending {
		if s.CompletionID != "" || s.Code == nil || s.State == store.SessionCompleted {
			return nil, &Interruption{Cause: CauseAnswered}
		}
		if !mine {
			return nil, &Interruption{Cause: CauseForeignBrowser}
		}
		return b.leaveDevice(ctx, s, r)
	}
	d, err := b.openedDevice(ctx, s)
	if err != nil {
		return nil, err
	}
	o := &Opening{}
	if !mine {
		a = attempt{ID: rand.Text()[:16], Session: requestURI[len(sessionPrefix):]}
		if o.Cookie, err = b.attemptCookie(ctx, s, a); err != nil {
			return nil, err
		}
	}
	to := d.VerificationURI
	if d.VerificationURIComplete != "" {
		to = d.VerificationURIComplete
	}
	o.Device = &DevicePage{
		Confirmation: Confirmation{
			Agent: s.Workload, Account: s.Account, Provider: s.Provider, Vendor: host(v.AuthorizationEndpoint), User: r.UserName, Scopes: r.Scopes, ReturnHost: host(s.ReturnURL), Continue: to,
		},
		UserCode: d.UserCode, Reload: b.authorizationURL(requestURI) + "&attempt=" + a.ID, After: deviceReload,
	}
	return o, nil
}

// leaveDevice sends a browser to the return URL, with a one-time session id or the vendor's error.
func (b *Broker) leaveDevice(ctx context.Context, s store.Session, r sessionRequest) (*Opening, error) {
	d, err := b.openedDevice(ctx, s)
	if err != nil {
		return nil, err
	}
	completion := newHandle()
	s.CompletionID = digest(completion)
	back := url.Values{"session_id": {sessionURI(completion)}}
	if r.CustomState != "" {
		back.Set("state", r.CustomState)
	}
	if d.Error != "" {
		back.Set("error", d.Error)
		if d.ErrorDescription != "" {
			back.Set("error_description", d.ErrorDescription)
		}
		s.Code = nil
	}
	if _, err := b.Writes.UpdateSession(s); errors.Is(err, fault.ConcurrentModification) {
		return nil, &Interruption{Cause: CauseAnswered, Err: err}
	} else if err != nil {
		return nil, err
	}
	location, err := withQuery(s.ReturnURL, back)
	return &Opening{Location: location}, err
}

// completeDevice serves, from now on, what the vendor gave, and takes it out of the outbox.
func (b *Broker) completeDevice(ctx context.Context, s store.Session) error {
	p, v, err := b.completionVendor(ctx, s)
	if err != nil {
		return err
	}
	d, err := b.openedDevice(ctx, s)
	if err != nil {
		return err
	}
	if d.Tokens == nil {
		return invalidSession("it brought no tokens; begin a new one")
	}
	t, err := d.Tokens.token()
	if err != nil {
		return err
	}
	r, err := b.remembered(ctx, s)
	if err != nil {
		return err
	}
	lease, err := b.waitForGrant(s)
	if err != nil {
		return err
	}
	defer lease.release()
	g, err := b.consented(ctx, s, r, t, v.Lifetime)
	if err != nil {
		return err
	}
	return b.completed(ctx, s, r, p, g)
}
