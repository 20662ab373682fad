package broker

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/wire"
)

func cause(err error) Cause {
	if i, ok := errors.AsType[*Interruption](err); ok {
		return i.Cause
	}
	return ""
}

// What the vendor's authorization endpoint is sent.
func TestVendorURL(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.change("vendor", false, func(c *provider.Config) {})
	out := f.needsConsent("alice", func(in *tokenInput) {
		in.Scopes, in.Resources, in.Audiences = []string{"openid", "read"}, []string{"https://r/1", "https://r/2"}, []string{"a"}
		in.CustomParameters = map[string]secret.String{"prompt": secret.New("consent"), "redirect_uri": secret.New("https://evil.example"), "STATE": secret.New("x")}
		in.CustomState = new(secret.New("mine"))
	})
	location, err := f.openURL(browser{}, out.AuthorizationUrl)
	f.must(err)
	u, err := url.Parse(location)
	f.must(err)
	q := u.Query()
	id, err := f.Vault.CallbackID(context.Background(), account, "vendor")
	f.must(err)
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "client", "redirect_uri": publicURL + "/identities/oauth2/callback/" + id, "scope": "openid read",
		"code_challenge_method": "S256", "prompt": "consent", "audience": "a", "STATE": "",
	} {
		if q.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, q.Get(name), want)
		}
	}
	if len(q["resource"]) != 2 || len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 8 || q.Get("nonce") == "" || strings.Contains(location, "mine") {
		t.Errorf("%s", location)
	}
}

// Opening a link, however often and by whomever, changes nothing; each opening has its own state and verifier.
func TestOpeningConsumesNothing(t *testing.T) {
	f := newFixture(t, t.TempDir())
	out := f.needsConsent("alice")
	seen := map[string]bool{}
	bot := browser{}
	for range 20 { // a link preview with a cookie jar, which even goes on to the vendor
		location, err := f.openURL(bot, out.AuthorizationUrl)
		f.must(err)
		u, err := url.Parse(location)
		f.must(err)
		for _, name := range []string{"state", "code_challenge"} {
			if v := u.Query().Get(name); seen[v] {
				t.Errorf("%s was used twice", name)
			} else {
				seen[v] = true
			}
		}
	}
	s, err := f.session(context.Background(), *out.SessionUri)
	f.must(err)
	if s.Version != 1 {
		t.Errorf("the session was written %d times", s.Version)
	}
	back := f.consent(browser{}, out.AuthorizationUrl)
	f.must(f.complete(back.Get("session_id"), "alice"))
}

// Every answer that is not the attempt's own changes nothing: the session stays usable, and nobody is sent on to the application.
func TestForeignAnswers(t *testing.T) {
	ctx := context.Background()
	setup := func(t *testing.T) (f *fixture, url string, mine, other browser, id, query string) {
		f = newFixture(t, t.TempDir())
		f.addProvider("second")
		url = f.needsConsent("alice").AuthorizationUrl
		mine, other = browser{}, browser{}
		location, err := f.openURL(mine, url)
		f.must(err)
		id, query = f.approve(location)
		_, err = f.openURL(other, url)
		f.must(err)
		return f, url, mine, other, id, query
	}
	for name, c := range map[string]struct {
		answer func(f *fixture, mine, other browser, id, query string) error
		want   Cause
	}{
		"in the other browser": {func(f *fixture, _, other browser, id, query string) error {
			_, err := f.FinishAuthorization(ctx, id, query, other.cookie)
			return err
		}, CauseForeignBrowser},
		"in a browser without cookies": {func(f *fixture, _, _ browser, id, query string) error {
			_, err := f.FinishAuthorization(ctx, id, query, browser{}.cookie)
			return err
		}, CauseForeignBrowser},
		"with another attempt's cookie under this one's name": {func(f *fixture, mine, other browser, id, query string) error {
			forged := browser{}
			for name := range mine {
				for _, value := range other {
					forged[name] = value
				}
			}
			_, err := f.FinishAuthorization(ctx, id, query, forged.cookie)
			return err
		}, CauseForeignBrowser},
		"at another provider's callback": {func(f *fixture, mine, _ browser, _, query string) error {
			second, err := f.Vault.CallbackID(ctx, account, "second")
			f.must(err)
			_, err = f.FinishAuthorization(ctx, second, query, mine.cookie)
			return err
		}, CauseForeignBrowser},
		"at no provider's callback": {func(f *fixture, mine, _ browser, _, query string) error {
			_, err := f.FinishAuthorization(ctx, "0b4e53f4-0000-8000-8000-000000000000", query, mine.cookie)
			return err
		}, CauseUnknown},
		"with a state that is not ours": {func(f *fixture, mine, _ browser, id, query string) error {
			q, _ := url.ParseQuery(query)
			q.Set("state", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
			_, err := f.FinishAuthorization(ctx, id, q.Encode(), mine.cookie)
			return err
		}, CauseUnknown},
		"without a state": {func(f *fixture, mine, _ browser, id, _ string) error {
			_, err := f.FinishAuthorization(ctx, id, "code=x", mine.cookie)
			return err
		}, CauseUnknown},
		"with two states": {func(f *fixture, mine, _ browser, id, query string) error {
			_, err := f.FinishAuthorization(ctx, id, query+"&state=x", mine.cookie)
			return err
		}, CauseUnknown},
		"from another issuer": {func(f *fixture, mine, _ browser, id, query string) error {
			q, _ := url.ParseQuery(query)
			q.Set("iss", "http://evil.example")
			_, err := f.FinishAuthorization(ctx, id, q.Encode(), mine.cookie)
			return err
		}, CauseWrongIssuer},
		"without the issuer that the vendor promises": {func(f *fixture, mine, _ browser, id, query string) error {
			q, _ := url.ParseQuery(query)
			q.Del("iss")
			_, err := f.FinishAuthorization(ctx, id, q.Encode(), mine.cookie)
			return err
		}, CauseWrongIssuer},
		"an error in the other browser": {func(f *fixture, _, other browser, id, query string) error {
			q, _ := url.ParseQuery(query)
			q.Del("code")
			q.Set("error", "access_denied")
			_, err := f.FinishAuthorization(ctx, id, q.Encode(), other.cookie)
			return err
		}, CauseForeignBrowser},
	} {
		t.Run(name, func(t *testing.T) {
			f, authorizationURL, mine, other, id, query := setup(t)
			err := c.answer(f, mine, other, id, query)
			if cause(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if i, ok := errors.AsType[*Interruption](err); ok && (c.want == CauseForeignBrowser || c.want == CauseWrongIssuer) && i.Reopen != authorizationURL {
				t.Errorf("reopens %q, want %q", i.Reopen, authorizationURL)
			}
			s, err := f.session(ctx, strings.ReplaceAll(strings.TrimPrefix(authorizationURL, publicURL+"/identities/oauth2/authorize?request_uri="), "%3A", ":"))
			f.must(err)
			if s.Version != 1 {
				t.Errorf("the session was written %d times", s.Version)
			}
			closing, err := f.FinishAuthorization(ctx, id, query, mine.cookie) // the right one still finishes
			f.must(err)
			if !strings.HasPrefix(closing.Location, returnURL) {
				t.Errorf("sent to %s", closing.Location)
			}
			if _, err := f.FinishAuthorization(ctx, id, query, mine.cookie); cause(err) != CauseAnswered {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

// Two browsers open the same link; whichever answers first wins, the other is told so.
func TestFirstAnswerWins(t *testing.T) {
	f := newFixture(t, t.TempDir())
	out := f.needsConsent("alice")
	one, two := browser{}, browser{}
	oneURL, err := f.openURL(one, out.AuthorizationUrl)
	f.must(err)
	twoURL, err := f.openURL(two, out.AuthorizationUrl)
	f.must(err)
	id, oneQuery := f.approve(oneURL)
	_, twoQuery := f.approve(twoURL)
	_, err = f.FinishAuthorization(context.Background(), id, twoQuery, two.cookie)
	f.must(err)
	if _, err = f.FinishAuthorization(context.Background(), id, oneQuery, one.cookie); cause(err) != CauseAnswered {
		t.Errorf("got %v", err)
	}
}

// A vendor's error goes to the return URL, cleaned, and the session has failed.
func TestVendorErrorAtTheCallback(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.Deny = "access_denied" })
	out := f.needsConsent("alice", func(in *tokenInput) { in.CustomState = new(secret.New("mine")) })
	back := f.consent(browser{}, out.AuthorizationUrl)
	if back.Get("error") != "access_denied" || back.Get("state") != "mine" || back.Get("session_id") == "" || back.Get("code") != "" {
		t.Errorf("%v", back)
	}
	got, err := f.ask("alice", func(in *tokenInput) { in.SessionUri = out.SessionUri })
	if err != nil || *got.SessionStatus != wire.SessionFailed || *got.SessionUri != *out.SessionUri {
		t.Errorf("poll: %+v %v", got, err)
	}
	is(t, f.complete(back.Get("session_id"), "alice"), fault.AccessDenied, "the vendor answered access_denied")
}

// By default a person is asked here before the first consent goes to the vendor; only the browser that saw the page can go on from it.
func TestConfirmation(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name          string
		option        wire.Confirm
		dev           bool
		first, second bool // asked at the first consent, at the second one
	}{
		{"default", "", false, true, false},
		{"default with --dev", "", true, false, false},
		{"never", wire.ConfirmNever, false, false, false},
		{"first", wire.ConfirmFirst, true, true, false},
		{"always", wire.ConfirmAlways, true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.Dev = c.dev
			f.change("vendor", false, func(p *provider.Config) { p.Confirm = c.option })
			for n, asked := range []bool{c.first, c.second} {
				out := f.needsConsent("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
				mine := browser{}
				u, err := url.Parse(out.AuthorizationUrl)
				f.must(err)
				o, err := f.OpenAuthorization(ctx, u.Query().Get("request_uri"), "", mine.cookie)
				f.must(err)
				if (o.Confirm != nil) != asked || (o.Location == "") != asked {
					t.Fatalf("consent %d: asked is %v", n+1, o.Confirm != nil)
				}
				location := o.Location
				mine[o.Cookie.Name] = o.Cookie.Value
				if asked {
					want := Confirmation{Agent: "agent", Account: account, Provider: "vendor", Vendor: "vendor.example", User: "alice", Scopes: []string{"read"}, ReturnHost: "app.example"}
					got := *o.Confirm
					got.Continue = ""
					if got.Agent != want.Agent || got.Account != want.Account || got.Provider != want.Provider || got.Vendor != want.Vendor || got.User != want.User ||
						got.ReturnHost != want.ReturnHost || !slices.Equal(got.Scopes, want.Scopes) {
						t.Errorf("got %+v", got)
					}
					stolen := browser{} // the link of the page, in another browser
					if location, err = f.openURL(stolen, o.Confirm.Continue); err != nil || location != "" {
						t.Errorf("another browser was sent on to %q (%v)", location, err)
					}
					location, err = f.openURL(mine, o.Confirm.Continue)
					f.must(err)
				}
				id, query := f.approve(location)
				closing, err := f.FinishAuthorization(ctx, id, query, mine.cookie)
				f.must(err)
				back, err := url.Parse(closing.Location)
				f.must(err)
				f.must(f.complete(back.Query().Get("session_id"), "alice"))
			}
		})
	}
}

// What a browser finds at links that lead nowhere.
func TestOpenInterruptions(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		ctx := context.Background()
		none := browser{}.cookie
		for _, uri := range []string{"", "x", sessionPrefix, sessionPrefix + "AAAA", strings.Repeat("y", 5000)} {
			if _, err := f.OpenAuthorization(ctx, uri, "", none); cause(err) != CauseUnknown {
				t.Errorf("%.40q: %v", uri, err)
			}
		}
		answered := f.needsConsent("alice")
		f.consent(browser{}, answered.AuthorizationUrl)
		if _, err := f.openURL(browser{}, answered.AuthorizationUrl); cause(err) != CauseAnswered {
			t.Errorf("answered: %v", err)
		}
		late := f.needsConsent("alice")
		mine := browser{}
		location, err := f.openURL(mine, late.AuthorizationUrl)
		f.must(err)
		id, query := f.approve(location)
		time.Sleep(SessionLifetime + time.Second)
		if _, err := f.openURL(browser{}, late.AuthorizationUrl); cause(err) != CauseExpired {
			t.Errorf("expired: %v", err)
		}
		if _, err := f.FinishAuthorization(ctx, id, query, mine.cookie); cause(err) != CauseExpired {
			t.Errorf("answered too late: %v", err)
		}
		f.wire.set(true)
		time.Sleep(2 * time.Hour) // the discovery document is old
		away := f.needsConsent("alice")
		if _, err := f.openURL(browser{}, away.AuthorizationUrl); err != nil {
			t.Errorf("an old document was not used while the vendor is away: %v", err)
		}
		f.wire.set(false)
		deleted := f.needsConsent("alice")
		f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", ""))
		if _, err := f.openURL(browser{}, deleted.AuthorizationUrl); cause(err) != CauseUnknown {
			t.Errorf("deleted provider: %v", err)
		}
	})
}

// The return URL must be registered, to the letter; the answers say what was given and what is registered.
func TestReturnURLMustBeRegistered(t *testing.T) {
	f := newFixture(t, t.TempDir())
	for name, c := range map[string]struct {
		url  *string
		want string
	}{
		"none":              {nil, "You must provide a ResourceOauth2ReturnUrl to proceed with this flow"},
		"another":           {new("https://evil.example/return"), "is not registered"},
		"another query":     {new(returnURL + "&x=1"), "is not registered"},
		"a slash more":      {new("https://app.example/return/?tab=1"), "is not registered"},
		"upper case":        {new("https://APP.example/return?tab=1"), "is not registered"},
		"a prefix":          {new("https://app.example/"), "is not registered"},
		"the default port":  {new("https://app.example:443/return?tab=1"), "is not registered"},
		"percent-encoded":   {new("https://app.example/%72eturn?tab=1"), "is not registered"},
		"with a fragment":   {new(returnURL + "#x"), "is not registered"},
		"of another scheme": {new("http://app.example/return?tab=1"), "is not registered"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.ask("alice", func(in *tokenInput) { in.ResourceOauth2ReturnUrl = c.url })
			is(t, err, fault.Validation, c.want)
		})
	}
	w, err := f.store.Workload(context.Background(), account, "agent")
	f.must(err)
	w.ReturnURLs = nil
	f.must(f.Vault.UpdateWorkload(w))
	_, err = f.ask("alice")
	is(t, err, fault.Validation, "You must register and use at least one ResourceOauth2ReturnUrl on your workload identity to use this flow")
}

// USER_FEDERATION needs a user; the answer names the operations that give one.
func TestUserFederationNeedsAUser(t *testing.T) {
	f := newFixture(t, t.TempDir())
	_, err := f.ask("", func(in *tokenInput) {
		in.Oauth2Flow, in.ResourceOauth2ReturnUrl = wire.FlowUserFederation, new(returnURL)
	})
	is(t, err, fault.Validation, "GetWorkloadAccessTokenForUserId")
}

// A session is polled by its own workload, user and provider only; anything else is answered like a session that does not exist.
func TestPollForeignSession(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.addProvider("second")
	out := f.needsConsent("alice")
	poll := func(in *tokenInput) { in.SessionUri = out.SessionUri }
	_, random := f.ask("alice", func(in *tokenInput) { in.SessionUri = new(sessionURI(newHandle())) })
	is(t, random, fault.AccessDenied, "Invalid or expired session")
	for name, ask := range map[string]func() error{
		"another user": func() error { _, err := f.ask("bob", poll); return err },
		"another provider": func() error {
			_, err := f.ask("alice", poll, func(in *tokenInput) { in.ResourceCredentialProviderName = "second" })
			return err
		},
		"a foreign form": func() error {
			_, err := f.ask("alice", func(in *tokenInput) { in.SessionUri = new("urn:x") })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ask(); errText(err) != errText(random) {
				t.Errorf("%v", err)
			}
		})
	}
	// Polling by sessionUri alone is enough, and repeats the link until it is used.
	got, err := f.ask("alice", poll, func(in *tokenInput) { in.ResourceOauth2ReturnUrl = nil })
	if err != nil || got.AuthorizationUrl != out.AuthorizationUrl || *got.SessionStatus != wire.SessionInProgress {
		t.Errorf("%+v %v", got, err)
	}
}

// A wider request asks consent for the union, and the new grant serves both.
func TestWiderConsent(t *testing.T) {
	f := newFixture(t, t.TempDir())
	scopes := func(s ...string) func(*tokenInput) { return func(in *tokenInput) { in.Scopes = s } }
	f.granted("alice", scopes("read"))
	out := f.needsConsent("alice", scopes("write"))
	location, err := f.openURL(browser{}, out.AuthorizationUrl)
	f.must(err)
	u, _ := url.Parse(location)
	if got := u.Query().Get("scope"); got != "write read" {
		t.Errorf("asked for %q", got)
	}
	back := f.consent(browser{}, out.AuthorizationUrl)
	f.must(f.complete(back.Get("session_id"), "alice"))
	if f.token("alice", scopes("read")) != f.token("alice", scopes("write", "read")) {
		t.Error("the new grant does not serve both")
	}
	// A vendor that grants under other names, or less, does not lead round in circles.
	f.vendor.Set(func(b *fakeidp.Behaviour) {
		b.RenameScopes = map[string]string{"mail": "https://vendor/mail"}
		b.NarrowScopes = []string{"https://vendor/mail"}
	})
	f.granted("bob", scopes("mail", "extra"))
	f.token("bob", scopes("mail", "extra"))
}
