package broker

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/wire"
)

func byDevice(in *tokenInput) { in.DeviceAuthorization = new(true) }

// device is a broker whose provider allows device authorizations, with its workers.
func device(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, t.TempDir())
	f.change("vendor", false, func(c *provider.Config) { c.DeviceAuthorization = true })
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); f.Wait(); f.must(f.store.Close()) })
	go f.PollDevices(ctx)
	go f.RevokeTokens(ctx)
	return f
}

// page opens the page of a device authorization, once.
func (f *fixture) page(b browser, address string) (*Opening, error) {
	u, err := url.Parse(address)
	f.must(err)
	o, err := f.OpenAuthorization(f.t.Context(), u.Query().Get("request_uri"), u.Query().Get("attempt"), b.cookie)
	if err == nil && o.Cookie != nil {
		b[o.Cookie.Name] = o.Cookie.Value
	}
	return o, err
}

// polls are the times at which the vendor was asked for the tokens of a device code.
func (f *fixture) polls() (at []time.Time) {
	for _, r := range f.vendor.Requests() {
		if r.Form.Get("grant_type") == fakeidp.DeviceCode {
			at = append(at, r.Time)
		}
	}
	return at
}

// A user enters the code at the vendor, in whatever browser; the page that shows it goes on to the return URL, and only the completion has the tokens served.
func TestDeviceFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := device(t)
		out := f.needsConsent("alice", byDevice)
		mine, stranger := browser{}, browser{}
		first, err := f.page(mine, out.AuthorizationUrl)
		f.must(err)
		d := first.Device
		if d == nil || d.UserCode == "" || !strings.HasPrefix(d.Continue, issuer+"/device") || d.Agent != "agent" || d.Account != account || d.Provider != "vendor" || !slices.Equal(d.Scopes, []string{"read"}) {
			t.Fatalf("the page is %+v", d)
		}
		other, err := f.page(stranger, out.AuthorizationUrl)
		f.must(err)
		if other.Device.Reload == d.Reload {
			t.Error("two browsers share an attempt")
		}
		if !f.vendor.Answer(d.UserCode, "alice", true) {
			t.Fatal("the vendor does not know the code")
		}
		time.Sleep(10 * time.Second)
		polled := f.polled("alice", out.SessionUri)
		if *polled.SessionStatus != wire.SessionInProgress || polled.AccessToken != "" {
			t.Errorf("before the completion: %+v", polled)
		}
		if _, err := f.page(browser{}, d.Reload); cause(err) != CauseForeignBrowser {
			t.Errorf("a browser without the cookie: %v", err)
		}
		gone, err := f.page(mine, d.Reload)
		f.must(err)
		back, err := url.Parse(gone.Location)
		f.must(err)
		if !strings.HasPrefix(gone.Location, returnURL) {
			t.Fatalf("sent to %q", gone.Location)
		}
		if _, err := f.page(stranger, other.Device.Reload); cause(err) != CauseAnswered {
			t.Errorf("the second browser: %v", err)
		}
		f.must(f.complete(back.Query().Get("session_id"), "alice"))
		if got := f.polled("alice", out.SessionUri).AccessToken; got == "" || f.token("alice") != got {
			t.Error("the tokens are not served after the completion")
		}
		if g := f.row("alice"); !g.Device {
			t.Error("the grant is not marked")
		}
		time.Sleep(2 * SessionLifetime)
		if token := f.token("alice"); token == "" {
			t.Error("a completed consent was revoked")
		}
		if n := len(f.reasons("CompleteResourceTokenAuth", deviceNote)); n != 1 {
			t.Errorf("%d marked completions in the audit log", n)
		}
		if n := len(f.reasons("GetResourceOauth2Token", deviceNote)); n != 1 {
			t.Errorf("%d marked requests in the audit log", n)
		}
	})
}

// Tokens that a device authorization brings are bound to the key of the poll that brought them, which goes with them into the grant.
func TestDeviceTokenIsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := device(t)
		bound(f, func(d *fakeidp.DPoP) { d.Nonce = true })
		out := f.needsConsent("alice", byDevice)
		mine := browser{}
		first, err := f.page(mine, out.AuthorizationUrl)
		f.must(err)
		f.vendor.Answer(first.Device.UserCode, "alice", true)
		time.Sleep(10 * time.Second)
		gone, err := f.page(mine, first.Device.Reload)
		f.must(err)
		back, err := url.Parse(gone.Location)
		f.must(err)
		f.must(f.complete(back.Query().Get("session_id"), "alice"))
		token := f.token("alice")
		if _, err := f.proof("alice", token); err != nil {
			t.Errorf("no proof for it: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if renewed := f.token("alice"); renewed == token { // the vendor refuses another key
			t.Error("it was not renewed")
		}
	})
}

// polled is the answer to a poll of a session.
func (f *fixture) polled(user string, sessionURI *string) *wire.GetResourceOauth2TokenOutput {
	f.t.Helper()
	out, err := f.ask(user, func(in *tokenInput) { in.SessionUri = sessionURI })
	f.must(err)
	return out
}

// reasons are the audit events of an operation with a reason.
func (f *fixture) reasons(operation, reason string) (all []audit.Event) {
	f.t.Helper()
	batches, err := f.store.AuditBatches(context.Background(), account)
	f.must(err)
	for _, b := range batches {
		for line := range strings.Lines(string(b.Events)) {
			var e audit.Event
			f.must(json.Unmarshal([]byte(line), &e))
			if strings.HasSuffix(e.Action, ":"+operation) && e.Reason == reason {
				all = append(all, e)
			}
		}
	}
	return all
}

// Approved in a foreign browser, with nobody at the page: in progress, then failed, and the vendor is told. So it is when a completion names another user, when the grant is
// revoked, and when the provider is deleted, and then at once.
func TestDeviceNotCompletedIsRevoked(t *testing.T) {
	for name, end := range map[string]struct {
		does   func(f *fixture, back func() string)
		within time.Duration
	}{
		"nobody completes": {nil, fakeidp.DeviceLifetime + time.Minute},
		"another user": {func(f *fixture, back func() string) {
			if err := f.complete(back(), "mallory"); err == nil {
				f.t.Error("completed for another user")
			}
		}, 10 * time.Second},
		"provider deleted": {func(f *fixture, _ func() string) {
			f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", "x"))
		}, fakeidp.DeviceLifetime + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := device(t)
				kept := ""
				if end.does == nil { // a grant of the same user must not keep the stranger's alive
					kept = f.granted("alice")
				}
				out := f.needsConsent("alice", byDevice, func(in *tokenInput) { in.ForceAuthentication = new(true) })
				b := browser{}
				first, err := f.page(b, out.AuthorizationUrl)
				f.must(err)
				f.vendor.Answer(first.Device.UserCode, "victim", true)
				time.Sleep(10 * time.Second)
				if got := f.polled("alice", out.SessionUri); *got.SessionStatus != wire.SessionInProgress {
					t.Errorf("approved: %+v", got)
				}
				live := f.vendor.LiveOf("victim")
				if live == 0 {
					t.Fatal("the vendor has given nothing")
				}
				if end.does != nil {
					end.does(f, func() string {
						gone, err := f.page(b, first.Device.Reload)
						f.must(err)
						u, err := url.Parse(gone.Location)
						f.must(err)
						return u.Query().Get("session_id")
					})
				}
				time.Sleep(end.within)
				if n := f.vendor.LiveOf("victim"); n != 0 {
					t.Errorf("%d tokens are alive", n)
				}
				if name != "provider deleted" {
					if got := f.polled("alice", out.SessionUri); *got.SessionStatus != wire.SessionFailed || got.AccessToken != "" {
						t.Errorf("afterwards: %+v", got)
					}
				}
				if kept != "" && f.token("alice") != kept {
					t.Error("the user's own grant was lost")
				}
			})
		})
	}
}

// A provider that has not opted in, and one whose vendor has no such endpoint, say so.
func TestDeviceRefused(t *testing.T) {
	f := newFixture(t, t.TempDir())
	wants := func(err error, says string) {
		t.Helper()
		if x, ok := errors.AsType[*fault.Fault](err); !ok || x.Kind != fault.Validation || !strings.Contains(x.Msg, says) {
			t.Errorf("got %v, want a validation fault that says %q", err, says)
		}
	}
	_, err := f.ask("alice", byDevice)
	wants(err, "not allowed by provider")
	f.change("vendor", false, func(c *provider.Config) { c.DeviceAuthorization = true })
	_, err = f.ask("", byDevice)
	wants(err, "USER_FEDERATION")
	other := newFixture(t, t.TempDir())
	other.vendor.Set(func(b *fakeidp.Behaviour) { b.ExtraMetadata = map[string]any{"device_authorization_endpoint": nil} })
	other.change("vendor", false, func(c *provider.Config) { c.DeviceAuthorization = true })
	_, err = other.ask("alice", byDevice)
	wants(err, "no device_authorization_endpoint")
	if n := len(f.vendor.Requests()); n != 1 && n != 0 { // its discovery document
		t.Errorf("the vendor was asked %d times", n)
	}
}

// The vendor is asked no more often than it wants, ever less when it says so, and told the user's no.
func TestDevicePollsSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := device(t)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.SlowDown = 2 })
		out := f.needsConsent("alice", byDevice)
		b := browser{}
		first, err := f.page(b, out.AuthorizationUrl)
		f.must(err)
		time.Sleep(time.Minute)
		at := f.polls()
		if len(at) < 4 {
			t.Fatalf("polled at %v", at)
		}
		for i, least := range []time.Duration{10 * time.Second, 15 * time.Second, 15 * time.Second} {
			if got := at[i+1].Sub(at[i]); got < least {
				t.Errorf("poll %d came after %s, not %s", i+2, got, least)
			}
		}
		f.vendor.Answer(first.Device.UserCode, "alice", false)
		time.Sleep(20 * time.Second)
		gone, err := f.page(b, first.Device.Reload)
		f.must(err)
		if u, err := url.Parse(gone.Location); err != nil || u.Query().Get("error") != "access_denied" {
			t.Errorf("sent to %q", gone.Location)
		}
		if got := f.polled("alice", out.SessionUri); *got.SessionStatus != wire.SessionFailed {
			t.Errorf("afterwards: %+v", got)
		}
		n := len(f.polls())
		time.Sleep(time.Minute)
		if len(f.polls()) != n {
			t.Error("the vendor is asked about what it has answered")
		}
	})
}
