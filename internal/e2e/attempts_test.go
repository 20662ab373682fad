package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"

	"credence/internal/fakeidp"
	"credence/internal/testenv"
)

// Headings of the pages that stop a browser.
const (
	startAgain = "Please start again in this browser"
	answered   = "This was already answered"
)

// attempts is one authorization session that several browsers try at.
type attempts struct {
	env   *testenv.Env
	app   *application
	user  string
	wat   *string
	began *bedrockagentcore.GetResourceOauth2TokenOutput
}

// twoBrowsers prepares a server whose vendor shows a page with Approve and Deny, an application, and two providers for that vendor.
func twoBrowsers(t *testing.T) (*testenv.Env, *application) {
	t.Helper()
	e := testenv.Start(t)
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.ShowLogin = true })
	app := startApplication(t)
	name := "agent"
	if _, err := e.Admin.Control().CreateWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.CreateWorkloadIdentityInput{
		Name: &name, AllowedResourceOauth2ReturnUrls: []string{app.ReturnURL},
	}); err != nil {
		t.Fatal(err)
	}
	e.Admin.CreateProvider("vendor")
	e.Admin.CreateProvider("other")
	return e, app
}

// begin begins a session for a user.
func begin(t *testing.T, e *testenv.Env, app *application, user string) *attempts {
	t.Helper()
	s := &attempts{env: e, app: app, user: user, wat: e.Admin.WAT("agent", user)}
	s.began = s.ask(t)
	if s.began.AuthorizationUrl == nil {
		t.Fatalf("no consent is asked for: %+v", s.began)
	}
	s.isSignedIn()
	return s
}

// isSignedIn makes its user the one whose browser the application knows.
func (s *attempts) isSignedIn() {
	s.app.offer(*s.began.AuthorizationUrl, func(sessionURI string) error { return s.env.Admin.Complete(sessionURI, s.user) })
}

func (s *attempts) ask(t *testing.T) *bedrockagentcore.GetResourceOauth2TokenOutput {
	t.Helper()
	out, err := s.env.Admin.Token(s.wat, "vendor", data.Oauth2FlowTypeUserFederation, func(in *bedrockagentcore.GetResourceOauth2TokenInput) {
		in.ResourceOauth2ReturnUrl = &s.app.ReturnURL
		if s.began != nil {
			in.SessionUri = s.began.SessionUri
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// usable wants the session to wait for its user as if nothing had happened.
func (s *attempts) usable(t *testing.T) {
	t.Helper()
	if out := s.ask(t); out.SessionStatus != data.SessionStatusInProgress || out.AuthorizationUrl == nil || *out.AuthorizationUrl != *s.began.AuthorizationUrl {
		t.Errorf("the session is spoilt: %+v", out)
	}
}

// served wants the agent to have the token.
func (s *attempts) served(t *testing.T) {
	t.Helper()
	if out := s.ask(t); out.AccessToken == nil {
		t.Errorf("the agent has no token: %+v", out)
	}
}

// open makes an attempt in a browser, up to the vendor's page, and gives the callback URL to which the vendor will send it once the person approves.
func (s *attempts) open(b *tab) (callback string) {
	b.t.Helper()
	b.visit(*s.began.AuthorizationUrl)
	b.reads("Sign in")
	return approve(b.t, b.address())
}

// approve answers the vendor's page in a browser's stead.
func approve(t testing.TB, page string) (callback string) {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(page, url.Values{"decision": {"approve"}, "username": {"person"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("the vendor answered HTTP %d", resp.StatusCode)
	}
	return resp.Header.Get("Location")
}

// stops wants an address to show a page of ours, from which nothing goes on.
func (s *attempts) stops(b *tab, address, heading string) {
	b.t.Helper()
	before := len(s.app.seen())
	b.visit(address)
	if at, got := b.address(), b.heading(); at != address || got != heading {
		b.t.Fatalf("the browser stands at %s before %q, not at %s before %q", at, got, address, heading)
	}
	if len(s.app.seen()) != before {
		b.t.Error("the application was told of it")
	}
}

// connects wants a callback to bring the browser to the application, which completes.
func (s *attempts) connects(b *tab, callback string) {
	b.t.Helper()
	b.visit(callback)
	b.reads("connected")
}

// Two browsers try at one session, in every order, and each is also led to the other's callback. Whichever comes first with its own callback connects; everything
// else shows a page and changes nothing.
func TestTwoBrowsersInEveryOrder(t *testing.T) {
	t.Parallel()
	e, app := twoBrowsers(t)
	type load struct {
		browser int
		own     bool // its own callback, or the other's
	}
	// Each browser loads the other's callback and then its own.
	var orders [][]load
	var interleave func(done []load, next [2]int)
	interleave = func(done []load, next [2]int) {
		if len(done) == 4 {
			orders = append(orders, done)
			return
		}
		for browser := range next {
			if next[browser] < 2 {
				after := next
				after[browser]++
				interleave(append(done[:len(done):len(done)], load{browser, next[browser] == 1}), after)
			}
		}
	}
	interleave(nil, [2]int{})
	profiles := [2]*tab{newTab(t), newTab(t)}
	for i, order := range orders {
		for first := range 2 {
			t.Run(fmt.Sprintf("%d opens first, then %v", first, order), func(t *testing.T) {
				s := begin(t, e, app, fmt.Sprintf("user-%d-%d", i, first))
				tabs := [2]*tab{profiles[0].in(t), profiles[1].in(t)}
				var callbacks [2]string
				for _, browser := range []int{first, 1 - first} {
					callbacks[browser] = s.open(tabs[browser])
				}
				connected := false
				for _, l := range order {
					b := tabs[l.browser]
					switch {
					case l.own && !connected:
						s.connects(b, callbacks[l.browser])
						connected = true
					case l.own:
						s.stops(b, callbacks[l.browser], answered)
					case connected:
						s.stops(b, callbacks[1-l.browser], answered)
					default:
						s.stops(b, callbacks[1-l.browser], startAgain)
						s.usable(t)
					}
				}
				s.served(t)
			})
		}
	}
	if got, want := e.Vendor.Count("authorization_code"), 2*len(orders); got != want {
		t.Errorf("%d codes were sent for %d sessions", got, want)
	}
}

// A callback counts only in the browser that asked, at the provider that was asked, once.
func TestCallbackElsewhere(t *testing.T) {
	t.Parallel()
	e, app := twoBrowsers(t)
	for name, test := range map[string]func(t *testing.T, s *attempts, b *tab, callback string){
		"in a fresh profile": func(t *testing.T, s *attempts, b *tab, callback string) {
			s.stops(newTab(t), callback, startAgain)
			s.usable(t)
			s.connects(b, callback)
		},
		"in a fresh profile, which then starts anew": func(t *testing.T, s *attempts, _ *tab, callback string) {
			fresh := newTab(t)
			s.stops(fresh, callback, startAgain)
			fresh.click("a")
			fresh.reads("Sign in")
			fresh.click("#approve")
			fresh.reads("connected")
		},
		"at another provider's address": func(t *testing.T, s *attempts, b *tab, callback string) {
			other, err := e.Admin.Control().GetOauth2CredentialProvider(t.Context(), &bedrockagentcorecontrol.GetOauth2CredentialProviderInput{Name: new("other")})
			if err != nil {
				t.Fatal(err)
			}
			_, query, _ := strings.Cut(callback, "?")
			s.stops(b, *other.CallbackUrl+"?"+query, startAgain)
			s.usable(t)
			s.connects(b, callback)
		},
		"at an address of no provider": func(t *testing.T, s *attempts, b *tab, callback string) {
			_, query, _ := strings.Cut(callback, "?")
			s.stops(b, e.URL+"/identities/oauth2/callback/00000000-0000-8000-8000-000000000000?"+query, "This link is not known")
			s.usable(t)
			s.connects(b, callback)
		},
		"in a profile that comes too late": func(t *testing.T, s *attempts, b *tab, callback string) {
			s.connects(b, callback)
			late := newTab(t)
			s.stops(late, *s.began.AuthorizationUrl, answered)
			s.stops(late, callback, answered)
		},
		"again in the same browser": func(t *testing.T, s *attempts, b *tab, callback string) {
			s.connects(b, callback)
			s.stops(b, callback, answered)
			s.stops(b, *s.began.AuthorizationUrl, answered)
		},
		"of somebody who wants an account of theirs connected": func(t *testing.T, s *attempts, b *tab, callback string) {
			evil := begin(t, e, app, "mallory")
			lure := evil.open(newTab(t))
			s.isSignedIn()
			evil.stops(b, lure, startAgain)
			evil.usable(t)
			s.usable(t)
			s.connects(b, callback)
		},
		"of somebody who wants the person's account, and is believed": func(t *testing.T, s *attempts, b *tab, callback string) {
			evil := begin(t, e, app, "mallory")
			lure := evil.open(newTab(t))
			s.isSignedIn()
			evil.stops(b, lure, startAgain)
			b.click("a")
			b.reads("Sign in")
			b.click("#approve")
			b.reads("not connected") // the application knows whose browser this is
			if out := evil.ask(t); out.SessionStatus != data.SessionStatusFailed || out.AccessToken != nil {
				t.Errorf("mallory's agent got %+v", out)
			}
			s.connects(b, callback)
		},
		"after the browser opened the link once more": func(t *testing.T, s *attempts, b *tab, callback string) {
			s.open(b)
			s.connects(b, callback) // the first attempt is as good as the second
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, e, app, "user of "+name)
			b := newTab(t)
			test(t, s, b, s.open(b))
			s.served(t)
		})
	}
}

// A code that comes to the right browser, at the right callback, with the right state, but from another attempt, connects nobody: the vendor refuses it for the
// wrong verifier, and the agent asks anew.
func TestSwappedCodes(t *testing.T) {
	t.Parallel()
	e, app := twoBrowsers(t)
	swap := func(callback, other string) string {
		u, err := url.Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("code", code(t, other))
		u.RawQuery = q.Encode()
		return u.String()
	}
	profiles := [2]*tab{newTab(t), newTab(t)}
	for _, first := range []int{0, 1} {
		for _, sessions := range []int{1, 2} {
			t.Run(fmt.Sprintf("of %d sessions, browser %d first", sessions, first), func(t *testing.T) {
				tabs := [2]*tab{profiles[0].in(t), profiles[1].in(t)}
				var tries [2]*attempts
				var callbacks [2]string
				for i := range tries {
					tries[i] = tries[0]
					if i < sessions {
						tries[i] = begin(t, e, app, fmt.Sprintf("user %d of %d, %d", i, sessions, first))
					}
					callbacks[i] = tries[i].open(tabs[i])
				}
				for turn, i := range []int{first, 1 - first} {
					s := tries[i]
					if sessions == 1 && turn == 1 {
						s.stops(tabs[i], swap(callbacks[i], callbacks[1-i]), answered)
						continue
					}
					s.isSignedIn()
					tabs[i].visit(swap(callbacks[i], callbacks[1-i]))
					tabs[i].reads("not connected")
					if !strings.Contains(tabs[i].String(), "code_verifier does not match") {
						t.Errorf("the application is not told why: %s", tabs[i])
					}
					if out := s.ask(t); out.SessionStatus != data.SessionStatusFailed || out.AccessToken != nil {
						t.Errorf("the agent got %+v", out)
					}
				}
				for i := range sessions {
					s := begin(t, e, app, tries[i].user)
					s.connects(tabs[i], s.open(tabs[i]))
					s.served(t)
				}
			})
		}
	}
}

// code is that of a callback URL.
func code(t *testing.T, callback string) string {
	t.Helper()
	u, err := url.Parse(callback)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("%s has no code: %v", callback, err)
	}
	return u.Query().Get("code")
}

// Programs that look at links before people do, with cookies and redirects, as often as they like, and at the link on our page too, take nothing from the person.
func TestLinkPreviewIsHarmless(t *testing.T) {
	t.Parallel()
	e, app := twoBrowsers(t)
	for _, confirm := range []bool{false, true} {
		t.Run(fmt.Sprintf("confirm %v", confirm), func(t *testing.T) {
			if confirm {
				body, _ := json.Marshal(customProvider("vendor", e.Vendor.Issuer(), testenv.ClientID, testenv.ClientSecret, "CLIENT_SECRET_BASIC"))
				always := func(r *http.Request) { r.Header.Set("X-Credence-Confirm", "always") }
				if got := e.Admin.Call("/identities/UpdateOauth2CredentialProvider", string(body), always); got.Status != http.StatusOK {
					t.Fatalf("%+v", got)
				}
			}
			s := begin(t, e, app, fmt.Sprintf("user %v", confirm))
			bot := testenv.NewBrowser(t)
			for range 3 {
				_, page := bot.Follow(*s.began.AuthorizationUrl, app.URL)
				if confirm {
					_, page = bot.Follow(attemptLink(*s.began.AuthorizationUrl, page), app.URL)
				}
				if page == nil || page.StatusCode != http.StatusOK || page.Request.URL.Host != strings.TrimPrefix(e.Vendor.Issuer(), "http://") {
					t.Fatalf("the bot did not get to the vendor: %+v", page)
				}
			}
			head, err := bot.Client.Head(*s.began.AuthorizationUrl)
			if err != nil {
				t.Fatal(err)
			}
			_ = head.Body.Close()
			s.usable(t)
			b := newTab(t)
			if confirm {
				b.visit(*s.began.AuthorizationUrl)
				b.reads("Connect vendor for agent?")
				b.click("a.button")
				b.reads("Sign in")
				s.connects(b, approve(t, b.address()))
			} else {
				s.connects(b, s.open(b))
			}
			s.served(t)
		})
	}
}
