package broker

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/store"
	"credence/internal/wire"
)

// timed runs a test in a bubble of virtual time, with a grant of alice whose token lives a minute.
func timed(t *testing.T, test func(t *testing.T, f *fixture, first string)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime, b.ReuseKillsFamily = time.Minute, true })
		test(t, f, f.granted("alice"))
	})
}

const (
	untilMargin = 54 * time.Second // a tenth of a minute before the end
	untilEnd    = 60 * time.Second
)

// A token is served until its margin, renewed from then on, and renewed again a life later; the vendor sees one refresh each time.
func TestRefreshBeforeExpiry(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		time.Sleep(untilMargin - time.Millisecond)
		if f.token("alice") != first || f.vendor.Count("refresh_token") != 0 {
			t.Error("renewed too early")
		}
		last := first
		for n := 1; n <= 5; n++ {
			time.Sleep(untilMargin)
			next := f.token("alice")
			if next == last || f.vendor.Count("refresh_token") != n || f.token("alice") != next {
				t.Errorf("round %d: %d refreshes", n, f.vendor.Count("refresh_token"))
			}
			last = next
		}
		if f.vendor.FamiliesKilled() != 0 {
			t.Error("a rotated refresh token was used twice")
		}
		f.crash()
		if f.token("alice") != last {
			t.Error("the renewed grant did not survive")
		}
		time.Sleep(untilEnd)
		f.token("alice") // by the rotated refresh token, from the database
	})
}

// A token's life begins at the vendor, not when its answer is here: none is served after its end, however long the answer was under way.
func TestLifetimeCountsFromTheQuestion(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue, b.Times = 10*time.Second, 1 })
		slow := f.token("alice")
		time.Sleep(untilEnd - 10*time.Second)
		if f.token("alice") == slow {
			t.Error("a token was served after its end")
		}
	})
}

// 64 readers of one token that has ended cause one refresh, and all get its result.
func TestRefreshSingleFlight(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 3 * time.Second })
		var mu sync.Mutex
		got := map[string]int{}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				token := f.token("alice")
				mu.Lock()
				got[token]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if len(got) != 1 || got[first] != 0 || f.vendor.Count("refresh_token") != 1 {
			t.Errorf("%d tokens by %d refreshes", len(got), f.vendor.Count("refresh_token"))
		}
	})
}

// Whatever the vendor does for a while, the grant is kept; the token is served to its end, and then the answer is one that SDKs repeat later.
func TestRefreshKeepsTheGrantThroughTrouble(t *testing.T) {
	for name, trouble := range map[string]func(*fakeidp.Behaviour){
		"503":              func(b *fakeidp.Behaviour) { b.Status = 503 },
		"429":              func(b *fakeidp.Behaviour) { b.Status, b.RetryAfter = 429, "7" },
		"408":              func(b *fakeidp.Behaviour) { b.Status = 408 },
		"stalled for ever": func(b *fakeidp.Behaviour) { b.Stall = time.Hour },
		"cut":              func(b *fakeidp.Behaviour) { b.CutBefore = true },
		"server_error":     func(b *fakeidp.Behaviour) { b.ErrorCode = "server_error" },
		"500":              func(b *fakeidp.Behaviour) { b.Status = 500 },
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, first string) {
				f.vendor.Set(trouble)
				time.Sleep(untilMargin)
				if f.token("alice") != first {
					t.Error("a token that is still valid was not served")
				}
				time.Sleep(untilEnd - untilMargin)
				_, err := f.ask("alice")
				is(t, err, fault.Throttled, "try again")
				if fa, ok := errors.AsType[*fault.Fault](err); ok && fa.RetryAfter <= 0 {
					t.Error("it does not say when to try again")
				}
				f.recovered("alice")
				f.token("alice")
			})
		})
	}
}

// recovered ends the vendor's trouble, and waits until a user's grant is tried again.
func (f *fixture) recovered(user string) {
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.Failures = fakeidp.Failures{} })
	time.Sleep(time.Until(f.row(user).RetryAt) + time.Millisecond)
}

// A vendor that cannot be reached has not seen the refresh token.
func TestRefreshNotSent(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		time.Sleep(untilEnd)
		f.wire.set(true)
		_, err := f.ask("alice")
		is(t, err, fault.Throttled, "not sent")
		if g := f.row("alice"); !g.IntentAt.IsZero() || g.State != store.GrantActive {
			t.Errorf("the grant: %s, intent %v", g.State, g.IntentAt)
		}
		f.wire.set(false)
		f.recovered("alice")
		f.token("alice")
	})
}

// invalid_grant, and nothing else, ends a grant. Other refusals are told and leave it as it is.
func TestRefreshRefused(t *testing.T) {
	for code, dead := range map[string]bool{"invalid_grant": true, "invalid_client": false, "unauthorized_client": false, "invalid_request": false, "access_denied": false} {
		t.Run(code, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, first string) {
				time.Sleep(untilMargin)
				f.vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode = code })
				if !dead {
					if f.token("alice") != first {
						t.Error("a token that is still valid was not served")
					}
					time.Sleep(untilEnd - untilMargin)
					_, err := f.ask("alice")
					is(t, err, fault.Validation, code)
					f.recovered("alice")
					f.token("alice")
					return
				}
				f.needsConsent("alice")
				if g := f.row("alice"); g.State != store.GrantDead || g.LastError != code {
					t.Errorf("the grant: %s %q", g.State, g.LastError)
				}
				n := f.vendor.Count("refresh_token")
				f.needsConsent("alice")
				if f.vendor.Count("refresh_token") != n {
					t.Error("a dead grant was tried again")
				}
				f.vendor.Set(func(b *fakeidp.Behaviour) { b.Failures = fakeidp.Failures{} })
				if f.granted("alice") == first {
					t.Error("no new token after a new consent")
				}
			})
		})
	}
}

// A vendor that refuses without a word may mean invalid_grant. The token at hand is served to its end, then the user is asked; but the grant is not lost by it.
func TestRefreshRefusedWithoutAWord(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		time.Sleep(untilMargin)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status, b.Silent = 400, true })
		if f.token("alice") != first {
			t.Error("a token that is still valid was not served")
		}
		time.Sleep(untilEnd - untilMargin)
		f.needsConsent("alice")
		if g := f.row("alice"); g.State != store.GrantActive || g.RefreshToken == nil || !g.IntentAt.IsZero() {
			t.Errorf("the grant: %s, intent %v", g.State, g.IntentAt)
		}
		f.recovered("alice")
		f.token("alice")

		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 400 }) // with a page, as a proxy in between sends it
		_, err := f.ask("alice")
		is(t, err, fault.Validation, "HTTP 400")
	})
}

// A vendor that wants the user, for another factor or a consent: what is valid is served to its end, then the user gets an authorization URL, each time, and the
// grant lives until the answer.
func TestFlowRefreshThatNeedsTheUser(t *testing.T) {
	for _, code := range []string{"interaction_required", "consent_required", "login_required", "account_selection_required", "insufficient_user_authentication"} {
		t.Run(code, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, first string) {
				time.Sleep(untilMargin)
				f.vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode = code })
				if f.token("alice") != first {
					t.Error("a token that is still valid was not served")
				}
				time.Sleep(untilEnd - untilMargin)
				out := f.needsConsent("alice")
				n := f.vendor.Count("refresh_token")
				f.needsConsent("alice")
				if f.vendor.Count("refresh_token") != n {
					t.Error("the vendor is asked again at once")
				}
				if g := f.row("alice"); g.State != store.GrantActive || g.RefreshToken == nil || g.LastError != code {
					t.Errorf("the grant: %s %q", g.State, g.LastError)
				}
				f.vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode = "" })
				back := f.consent(browser{}, out.AuthorizationUrl)
				f.must(f.complete(back.Get("session_id"), "alice"))
				if f.token("alice") == first {
					t.Error("no new token after the consent")
				}
			})
		})
	}
}

// A 200 with an error in it is a refusal; an answer that cannot be read is not.
func TestRefreshOddAnswers(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.OKWithError, b.Times = "invalid_grant", 1 })
		f.needsConsent("alice")
	})
	timed(t, func(t *testing.T, f *fixture, _ string) {
		time.Sleep(untilEnd)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall, b.Times = time.Hour, 1 }) // not looked at
		_, err := f.ask("alice")
		is(t, err, fault.Throttled, "")
		f.recovered("alice")
		f.token("alice")
	})
	timed(t, func(t *testing.T, f *fixture, _ string) { // form-encoded, times as text, one scope more
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.FormEncoded, b.ExpiresInString, b.ScopeArray = true, true, true })
		time.Sleep(untilEnd)
		f.token("alice")
	})
}

// A refresh token that the vendor does not rotate stays.
func TestRefreshWithoutRotation(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, _ string) {
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.KeepRefreshToken = true })
		for range 3 {
			time.Sleep(untilEnd)
			f.token("alice")
		}
	})
}

// Without a refresh token, a token is served to its very end, and then the user is asked.
func TestNoRefreshToken(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime, b.NoRefreshToken = time.Minute, true })
		first := f.granted("alice")
		time.Sleep(untilEnd - time.Second)
		if f.token("alice") != first {
			t.Error("not served to its end")
		}
		time.Sleep(time.Second)
		f.needsConsent("alice")
	})
}

// The fault table of a refresh: each write × {failed, not there · failed, but there · the process dies}, and what must come of it.
// A grant is lost in no row; only where the process dies between the vendor's answer and our commit is it reported as maybe spent.
func TestRefreshFaults(t *testing.T) {
	type outcome int
	const (
		refreshed outcome = iota // the next request renews it, or has it renewed
		maybeSpent
	)
	for _, c := range []struct {
		name   string
		plan   plan
		cutOff bool // the vendor answers, the answer never arrives
		crash  bool
		vendor int // refreshes that it has seen before the next request
		want   outcome
	}{
		{name: "intent fails once", plan: plan{lost}, vendor: 1, want: refreshed},
		{name: "intent cannot be written", plan: plan{lost, lost, lost, lost}, vendor: 0, want: refreshed},
		{name: "intent cannot be written, then a crash", plan: plan{lost, lost, lost, lost}, crash: true, vendor: 0, want: refreshed},
		{name: "intent there, unheard", plan: plan{unheard}, vendor: 1, want: refreshed},
		{name: "a crash after the intent", plan: plan{unheard, lost, lost, lost}, crash: true, vendor: 0, want: maybeSpent},
		{name: "commit fails once", plan: plan{fine, lost}, vendor: 1, want: refreshed},
		{name: "commit fails three times", plan: plan{fine, lost, lost, lost}, vendor: 1, want: refreshed},
		{name: "commit there, unheard", plan: plan{fine, unheard}, vendor: 1, want: refreshed},
		{name: "commit there, unheard, then a crash", plan: plan{fine, unheard}, crash: true, vendor: 1, want: refreshed},
		{name: "the disk is full for good", plan: plan{fine, lost, lost, lost, lost}, vendor: 1, want: maybeSpent},
		{name: "a crash between the vendor's answer and the commit", plan: plan{fine, lost, lost, lost, lost}, crash: true, vendor: 1, want: maybeSpent},
	} {
		t.Run(c.name, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, _ string) {
				time.Sleep(untilEnd)
				f.faults.next(c.plan...)
				_, _ = f.ask("alice")
				f.faults.next()
				if got := f.vendor.Count("refresh_token"); got != c.vendor {
					t.Errorf("the vendor saw %d refreshes, want %d", got, c.vendor)
				}
				if c.crash {
					f.crash()
				}
				time.Sleep(leaseTime) // of the process that died
				switch c.want {
				case refreshed:
					f.token("alice")
				case maybeSpent:
					f.needsConsent("alice")
					if g := f.row("alice"); g.State != store.GrantDead || g.LastError != MaybeSpent {
						t.Errorf("the grant: %s %q", g.State, g.LastError)
					}
				}
				if f.vendor.FamiliesKilled() != 0 {
					t.Error("a rotated refresh token was used twice")
				}
			})
		})
	}
}

// A crash after the intent leaves a token that may still be valid: it is served to its end. Where refresh tokens are reusable, the refresh is done again.
func TestRefreshAfterACrash(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		time.Sleep(untilMargin)
		f.faults.next(fine, lost, lost, lost, lost)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Hour })
		_, _ = f.ask("alice")
		f.crash()
		if f.token("alice") != first {
			t.Error("a token that is still valid was not served")
		}
		time.Sleep(untilEnd - untilMargin)
		f.needsConsent("alice")
	})
	timed(t, func(t *testing.T, f *fixture, _ string) {
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.KeepRefreshToken = true })
		reusable := provider.Vendor{Name: wire.VendorCustomOauth2, AuthMethod: "client_secret_basic", Issuer: issuer,
			AuthorizationEndpoint: issuer + "/authorize", TokenEndpoint: issuer + "/token", RefreshTokenReusable: true}
		time.Sleep(untilEnd)
		f.faults.next(fine, lost, lost, lost, lost)
		_, _ = f.ask("alice")
		f.crash()
		f.Resolver = provider.NewResolver([]provider.Vendor{reusable}, nil)
		time.Sleep(leaseTime)
		f.token("alice")
	})
}

// Who deletes the workload or provider, or changes its generation, while a refresh is at the vendor, wins: nothing of the answer is kept or served.
func TestRefreshLosesToADeletion(t *testing.T) {
	for name, end := range map[string]func(f *fixture){
		"workload deleted": func(f *fixture) { f.must(f.Vault.DeleteWorkload(account, "agent", "")) },
		"provider deleted": func(f *fixture) { f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", "")) },
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, _ string) {
				time.Sleep(untilEnd)
				f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue = 5 * time.Second })
				wat := f.wat("alice")
				done := make(chan error)
				go func() {
					out, err := f.ask("alice", func(in *tokenInput) { in.WorkloadIdentityToken = wat })
					if err == nil && out.AccessToken != "" {
						t.Error("a token was served after the deletion")
					}
					done <- err
				}()
				time.Sleep(time.Second)
				end(f)
				<-done
			})
		})
	}
}

// forceAuthentication asks again; whoever walks away from it keeps what he had.
func TestForceAuthenticationKeepsTheOldGrant(t *testing.T) {
	f := newFixture(t, t.TempDir())
	force := func(in *tokenInput) { in.ForceAuthentication = new(true) }
	first := f.granted("alice")
	out := f.needsConsent("alice", force)
	if f.token("alice") != first {
		t.Error("the old grant no longer serves")
	}
	poll := func(in *tokenInput) { in.SessionUri = out.SessionUri }
	if got, err := f.ask("alice", poll); err != nil || got.AccessToken != "" {
		t.Errorf("the poll was answered by the old grant: %+v %v", got, err)
	}
	back := f.consent(browser{}, out.AuthorizationUrl)
	if f.token("alice") != first {
		t.Error("the old grant no longer serves before completion")
	}
	f.must(f.complete(back.Get("session_id"), "alice"))
	second := f.token("alice", poll)
	if second == first || f.token("alice") != second {
		t.Error("the new grant does not serve")
	}
}

// A refresh names the resources and audiences of its grant again, also when it is asked for by a poll that does not.
func TestRefreshKeepsResourcesAndAudiences(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime, b.OmitScope = time.Minute, true })
		narrow := func(in *tokenInput) {
			in.Resources, in.Audiences = []string{"https://r/1", "https://r/2"}, []string{"a"}
		}
		f.granted("alice", narrow)
		time.Sleep(untilEnd)
		f.token("alice", narrow)
		for _, r := range f.vendor.Requests() {
			if r.Form.Get("grant_type") == "refresh_token" && (len(r.Form["resource"]) != 2 || r.Form.Get("audience") != "a") {
				t.Errorf("sent %v %v", r.Form["resource"], r.Form["audience"])
			}
		}
		if f.vendor.Count("refresh_token") != 1 {
			t.Error("it was not refreshed")
		}
		if g := f.row("alice", narrow); len(g.GrantedScopes) != 1 || g.GrantedScopes[0] != "read" {
			t.Errorf("a vendor that does not say what it granted has granted %q", g.GrantedScopes)
		}
	})
}
