package broker

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

// begun is a session that waits for its completion.
func (f *fixture) begun(user string) (poll func(*tokenInput), sessionID string, back url.Values) {
	f.t.Helper()
	out := f.needsConsent(user, func(in *tokenInput) { in.CustomState = new(secret.New("a:b&c=d")) })
	back = f.consent(browser{}, out.AuthorizationUrl)
	return func(in *tokenInput) { in.SessionUri = out.SessionUri }, back.Get("session_id"), back
}

// The return URL gets a fresh session id and the application's state, and keeps its own query.
func TestReturnURL(t *testing.T) {
	f := newFixture(t, t.TempDir())
	out := f.needsConsent("alice", func(in *tokenInput) { in.CustomState = new(secret.New("a:b&c=d e")) })
	back := f.consent(browser{}, out.AuthorizationUrl)
	if back.Get("state") != "a:b&c=d e" || back.Get("tab") != "1" || back.Get("session_id") == *out.SessionUri || !strings.HasPrefix(back.Get("session_id"), sessionPrefix) {
		t.Errorf("%v", back)
	}
	if len(back) != 3 {
		t.Errorf("more than asked for: %v", back)
	}
}

// 32 completions at once exchange the code once, and all succeed; so does another one later.
func TestCompleteOnce(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue = 100 * time.Millisecond })
	poll, id, _ := f.begun("alice")
	if out, err := f.ask("alice", poll); err != nil || *out.SessionStatus != wire.SessionInProgress || out.AuthorizationUrl != "" || out.AccessToken != "" {
		t.Errorf("before completion: %+v %v", out, err)
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if err := f.complete(id, "alice"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.vendor.Count("authorization_code"); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
	f.must(f.complete(id, "alice"))
	f.token("alice", poll)
}

// The initiator's own sessionUri does not complete, unless --dev or the workload identity says so.
func TestCompleteBySessionURI(t *testing.T) {
	f := newFixture(t, t.TempDir())
	out := f.needsConsent("alice")
	f.consent(browser{}, out.AuthorizationUrl)
	is(t, f.complete(*out.SessionUri, "alice"), fault.AccessDenied, "Invalid or expired session: no session has this sessionUri")
	if f.vendor.Count("authorization_code") != 0 {
		t.Error("the code was sent")
	}
	w, err := f.store.Workload(context.Background(), account, "agent")
	f.must(err)
	w.CompleteBySessionURI = true
	f.must(f.Vault.UpdateWorkload(w))
	f.must(f.complete(*out.SessionUri, "alice"))

	f2 := newFixture(t, t.TempDir())
	f2.Dev = true
	out = f2.needsConsent("alice")
	is(t, f2.complete(*out.SessionUri, "alice"), fault.AccessDenied, "has not consented yet")
	f2.consent(browser{}, out.AuthorizationUrl)
	f2.must(f2.complete(*out.SessionUri, "alice"))
}

// Each way in which a completion can fail says which it was, after the words that tools look for.
func TestCompleteReasons(t *testing.T) {
	const words = "Invalid or expired session: "
	t.Run("unknown", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		is(t, f.complete(sessionPrefix+newHandle(), "alice"), fault.AccessDenied, words+"no session")
		is(t, f.complete("urn:other:x", "alice"), fault.AccessDenied, words+"no session")
	})
	t.Run("another user, who ends it", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		poll, id, _ := f.begun("alice")
		is(t, f.complete(id, "mallory"), fault.AccessDenied, words+"it belongs to another user")
		is(t, f.complete(id, "alice"), fault.AccessDenied, words+"it has failed: completed for another user")
		if out, err := f.ask("alice", poll); err != nil || *out.SessionStatus != wire.SessionFailed {
			t.Errorf("poll: %+v %v", out, err)
		}
		if f.vendor.Count("authorization_code") != 0 {
			t.Error("the code was sent")
		}
	})
	t.Run("another user after completion changes nothing", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		poll, id, _ := f.begun("alice")
		f.must(f.complete(id, "alice"))
		is(t, f.complete(id, "mallory"), fault.AccessDenied, words+"it belongs to another user")
		f.token("alice", poll)
	})
	t.Run("a user known by JWT is another than one known by id", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		_, id, _ := f.begun("alice")
		_, err := f.store.PutTrustedIssuer(store.TrustedIssuer{Account: account, Issuer: issuer, Audiences: []string{"app"}, CreatedAt: time.Now()})
		f.must(err)
		jwt := secret.New(f.vendor.Sign(map[string]any{"sub": "alice", "aud": "app"}))
		_, err = f.CompleteResourceTokenAuth(context.Background(), f.caller, &wire.CompleteResourceTokenAuthInput{SessionUri: id, UserIdentifier: &wire.UserIdentifier{UserToken: &jwt}})
		is(t, err, fault.AccessDenied, words+"it belongs to another user")
	})
	t.Run("expired", func(t *testing.T) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, dir)
			defer func() { f.Wait(); f.must(f.store.Close()) }()
			poll, id, _ := f.begun("alice")
			time.Sleep(SessionLifetime + time.Second)
			is(t, f.complete(id, "alice"), fault.AccessDenied, words+"it expired at")
			if out, err := f.ask("alice", poll); err != nil || *out.SessionStatus != wire.SessionFailed || out.AuthorizationUrl != "" {
				t.Errorf("poll: %+v %v", out, err)
			}
		})
	})
	t.Run("completed in time, repeated too late", func(t *testing.T) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, dir)
			defer func() { f.Wait(); f.must(f.store.Close()) }()
			_, id, _ := f.begun("alice")
			f.must(f.complete(id, "alice"))
			time.Sleep(SessionLifetime + time.Second)
			f.must(f.complete(id, "alice"))
		})
	})
	t.Run("refused by the vendor", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		poll, id, _ := f.begun("alice")
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode, b.Times = "invalid_grant", 1 })
		is(t, f.complete(id, "alice"), fault.Validation, "the vendor refused the code")
		is(t, f.complete(id, "alice"), fault.AccessDenied, words+"it has failed: the vendor refused the code")
		if out, err := f.ask("alice", poll); err != nil || *out.SessionStatus != wire.SessionFailed {
			t.Errorf("poll: %+v %v", out, err)
		}
		if n := f.vendor.Count("authorization_code"); n != 1 {
			t.Errorf("the code was sent %d times", n)
		}
	})
	t.Run("another account's session is an unknown one", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		_, id, _ := f.begun("alice")
		f.must(f.Vault.CreateAccount("222222222222"))
		f.caller.Account = "222222222222"
		foreign := f.complete(id, "alice")
		random := f.complete(sessionPrefix+newHandle(), "alice")
		if errText(foreign) != errText(random) || errText(foreign) == "" {
			t.Errorf("foreign: %v\nrandom: %v", foreign, random)
		}
	})
}

// A user known by JWT completes with another, fresh JWT of the same issuer and subject; one that ended during the session will do.
func TestCompleteByJWT(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		ctx := context.Background()
		_, err := f.store.PutTrustedIssuer(store.TrustedIssuer{Account: account, Issuer: issuer, Audiences: []string{"app"}, CreatedAt: time.Now()})
		f.must(err)
		jwt := func(sub string) secret.String {
			return secret.New(f.vendor.Sign(map[string]any{"sub": sub, "aud": []string{"x", "app"}, "exp": time.Now().Add(2 * time.Minute).Unix()}))
		}
		first := jwt("alice")
		wat, err := f.GetWorkloadAccessTokenForJWT(ctx, f.caller, &wire.GetWorkloadAccessTokenForJWTInput{WorkloadName: "agent", UserToken: first})
		f.must(err)
		use := func(in *tokenInput) { in.WorkloadIdentityToken = secret.New(wat.WorkloadAccessToken) }
		complete := func(id string, token secret.String) error {
			_, err := f.CompleteResourceTokenAuth(ctx, f.caller, &wire.CompleteResourceTokenAuthInput{SessionUri: id, UserIdentifier: &wire.UserIdentifier{UserToken: &token}})
			return err
		}
		session := func() string {
			return f.consent(browser{}, f.needsConsent("x", use, func(in *tokenInput) { in.ForceAuthentication = new(true) }).AuthorizationUrl).Get("session_id")
		}
		one, two, three := session(), session(), session()
		time.Sleep(time.Second)
		f.must(complete(one, jwt("alice")))
		is(t, complete(two, jwt("mallory")), fault.AccessDenied, "another user")
		time.Sleep(5 * time.Minute) // the first JWT has ended, but after the session began
		f.must(complete(three, first))
		f.token("x", use)
	})
}

// The fault table of a completion: each write × {failed, not there · failed, but there · the process dies}.
func TestCompleteFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		plan   plan
		crash  bool
		vendor int
		want   string // "" succeeds when repeated; else a part of the answer
	}{
		{name: "intent not written", plan: plan{lost}, vendor: 0},
		{name: "intent not written, then a crash", plan: plan{lost}, crash: true, vendor: 0},
		{name: "a crash after the intent", plan: plan{unheard}, crash: true, vendor: 0, want: MaybeSpent},
		{name: "commit fails once", plan: plan{fine, lost}, vendor: 1},
		{name: "commit fails three times", plan: plan{fine, lost, lost, lost}, vendor: 1},
		{name: "commit there, unheard", plan: plan{fine, unheard}, vendor: 1},
		{name: "commit there, unheard, then a crash", plan: plan{fine, unheard, lost, lost, lost}, crash: true, vendor: 1},
		{name: "a crash between the vendor's answer and the commit", plan: plan{fine, lost, lost, lost, lost}, crash: true, vendor: 1, want: MaybeSpent},
		{name: "the disk is full for good", plan: plan{fine, lost, lost, lost, lost}, vendor: 1, want: MaybeSpent},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, dir)
				defer func() { f.Wait(); f.must(f.store.Close()) }()
				poll, id, _ := f.begun("alice")
				f.faults.next(c.plan...)
				_ = f.complete(id, "alice")
				f.faults.next()
				if n := f.vendor.Count("authorization_code"); n != c.vendor {
					t.Errorf("the code was sent %d times, want %d", n, c.vendor)
				}
				if c.crash {
					f.crash()
				}
				time.Sleep(leaseTime)
				err := f.complete(id, "alice")
				if c.want == "" {
					f.must(err)
					f.token("alice", poll)
				} else {
					is(t, err, fault.Validation, c.want)
					if out, err := f.ask("alice", poll); err != nil || *out.SessionStatus != wire.SessionFailed {
						t.Errorf("poll: %+v %v", out, err)
					}
				}
				if n := f.vendor.Count("authorization_code"); n > 1 {
					t.Errorf("the code was sent %d times", n)
				}
			})
		})
	}
}

// What the vendor does to a code: sent and unanswered, it is not sent again; not sent, it is.
func TestCompleteAndTheVendor(t *testing.T) {
	t.Run("cut off after it issued", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		_, id, _ := f.begun("alice")
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.CutAfterIssue = true })
		is(t, f.complete(id, "alice"), fault.Validation, MaybeSpent)
		is(t, f.complete(id, "alice"), fault.AccessDenied, MaybeSpent)
		if n := f.vendor.Count("authorization_code"); n != 1 {
			t.Errorf("the code was sent %d times", n)
		}
	})
	t.Run("503", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		_, id, _ := f.begun("alice")
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
		is(t, f.complete(id, "alice"), fault.Validation, "503")
		if n := f.vendor.Count("authorization_code"); n != 1 {
			t.Errorf("the code was sent %d times", n)
		}
	})
	t.Run("not reached", func(t *testing.T) {
		f := newFixture(t, t.TempDir())
		poll, id, _ := f.begun("alice")
		f.wire.set(true)
		is(t, f.complete(id, "alice"), fault.Throttled, "not sent")
		f.wire.set(false)
		f.must(f.complete(id, "alice"))
		f.token("alice", poll)
	})
}

// A change of issuer, endpoint host or client id while a session is open: nothing of the old generation goes to the new vendor.
func TestGenerationEndsSessionsAndGrants(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("bob")
	_, id, _ := f.begun("alice")
	open := f.needsConsent("carol")
	requests := len(f.vendor.Requests())

	f.change("vendor", true, func(c *provider.Config) { c.ClientID = "client" }) // the same values: what counts is the generation
	is(t, f.complete(id, "alice"), fault.Validation, "the provider was changed")
	if _, err := f.openURL(browser{}, open.AuthorizationUrl); cause(err) != CauseProviderGone {
		t.Errorf("an old session was opened: %v", err)
	}
	f.needsConsent("bob")
	if out, err := f.ask("carol", func(in *tokenInput) { in.SessionUri = open.SessionUri }); err != nil || *out.SessionStatus != wire.SessionFailed {
		t.Errorf("poll: %+v %v", out, err)
	}
	if got := len(f.vendor.Requests()); got != requests {
		t.Errorf("the new generation's vendor got %d requests of the old one", got-requests)
	}
}

// A workload that was deleted and made anew: old tokens, sessions and grants are of no use.
func TestIncarnationEndsEverything(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	wat := f.wat("alice")
	_, id, _ := f.begun("bob")
	f.must(f.Vault.DeleteWorkload(account, "agent", ""))
	old := func(in *tokenInput) { in.WorkloadIdentityToken = wat }
	f.addWorkload("agent")
	_, err := f.ask("alice", old)
	is(t, err, fault.Unauthorized, "was deleted")
	is(t, f.complete(id, "bob"), fault.AccessDenied, "no session")
	f.needsConsent("alice")
}
