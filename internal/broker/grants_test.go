package broker

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// describe is a user's grant as an operator sees it.
func (f *fixture) describe(user string) *wire.DescribeGrantOutput {
	f.t.Helper()
	out, err := f.DescribeGrant(context.Background(), f.caller, &wire.DescribeGrantInput{GrantId: f.row(user).Key})
	f.must(err)
	return out
}

func (f *fixture) list(in wire.ListGrantsInput) (all []wire.Grant) {
	f.t.Helper()
	for pages := 0; ; pages++ {
		out, err := f.ListGrants(context.Background(), f.caller, &in)
		f.must(err)
		all = append(all, out.Grants...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return all
		}
		if pages > 100 {
			f.t.Fatal("the list has no end")
		}
	}
}

func byID(id string) *wire.GrantUser { return &wire.GrantUser{UserId: &id} }

// A list has the grants for which all that is asked for holds, each once, on pages of any size, and those of no other account.
func TestListGrants(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.addProvider("other")
	f.addWorkload("agent2")
	atOther := func(in *tokenInput) { in.ResourceCredentialProviderName = "other" }
	f.granted("alice")
	f.granted("bob")
	f.granted("alice", atOther)
	f.granted("alice", f.of("agent2", "alice"))
	f.token("")
	revoked := f.row("bob").Key
	_, err := f.RevokeGrant(context.Background(), f.caller, &wire.RevokeGrantInput{GrantId: revoked})
	f.must(err)
	for name, test := range map[string]struct {
		in   wire.ListGrantsInput
		want int
	}{
		"all":              {wire.ListGrantsInput{}, 5},
		"of a user":        {wire.ListGrantsInput{User: byID("alice")}, 3},
		"of a JWT's user":  {wire.ListGrantsInput{User: &wire.GrantUser{Jwt: &wire.GrantJwtUser{Issuer: "https://idp.example", Subject: "alice"}}}, 0},
		"of a workload":    {wire.ListGrantsInput{WorkloadName: new("agent2")}, 1},
		"at a provider":    {wire.ListGrantsInput{ResourceCredentialProviderName: new("other")}, 1},
		"user at provider": {wire.ListGrantsInput{User: byID("bob"), ResourceCredentialProviderName: new("other")}, 0},
		"active":           {wire.ListGrantsInput{State: new(wire.GrantActive)}, 4},
		"revoked":          {wire.ListGrantsInput{State: new(wire.GrantRevoked)}, 1},
		"degraded":         {wire.ListGrantsInput{State: new(wire.GrantDegraded)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int32{1, 2, 100} {
				test.in.NextToken, test.in.MaxResults = nil, &size
				all := f.list(test.in)
				seen := map[string]bool{}
				for _, g := range all {
					seen[g.GrantId] = true
					if in := test.in.User; in != nil && (g.User == nil || *g.User != workload.UserNamed(in).String()) {
						t.Errorf("a grant of %v", g.User)
					}
				}
				if len(all) != test.want || len(seen) != test.want {
					t.Errorf("%d on pages of %d, %d different, want %d", len(all), size, len(seen), test.want)
				}
			}
		})
	}
	elsewhere := f.caller
	elsewhere.Account = "222222222222"
	f.must(f.Vault.CreateAccount(elsewhere.Account))
	out, err := f.ListGrants(context.Background(), elsewhere, &wire.ListGrantsInput{})
	if err != nil || len(out.Grants) != 0 {
		t.Errorf("another account sees %d grants, %v", len(out.Grants), err)
	}
	if _, err = f.DescribeGrant(context.Background(), elsewhere, &wire.DescribeGrantInput{GrantId: revoked}); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if _, err = f.RevokeGrant(context.Background(), elsewhere, &wire.RevokeGrantInput{GrantId: f.row("alice").Key}); fault.KindOf(err) != fault.NotFound || f.row("alice").State != store.GrantActive {
		t.Error(err)
	}
}

// Every state shows for what it is, with the next step, and no token with it.
func TestGrantStates(t *testing.T) {
	for state, bring := range map[wire.GrantState]func(*fixture){
		wire.GrantActive:  func(*fixture) {},
		wire.GrantExpired: func(*fixture) { time.Sleep(untilEnd) },
		wire.GrantRefreshing: func(f *fixture) {
			time.Sleep(untilEnd)
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 5 * time.Second })
			go func() { _, _ = f.ask("alice") }()
			time.Sleep(time.Second)
		},
		wire.GrantDegraded: func(f *fixture) {
			time.Sleep(untilMargin)
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
			f.token("alice")
		},
		wire.GrantNeedsConsent: func(f *fixture) {
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.NoRefreshToken = true })
			f.granted("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
			time.Sleep(untilEnd)
		},
		wire.GrantDead: func(f *fixture) {
			f.vendor.RevokeAll()
			time.Sleep(untilEnd)
			f.needsConsent("alice")
		},
		wire.GrantRevoked: func(f *fixture) {
			_, err := f.RevokeGrants(context.Background(), f.caller, &wire.RevokeGrantsInput{All: new(true)})
			f.must(err)
		},
	} {
		t.Run(string(state), func(t *testing.T) {
			timed(t, func(t *testing.T, f *fixture, token string) {
				bring(f)
				g := f.describe("alice")
				if g.State != state || g.NextStep == "" || *g.User != `id:"alice"` || g.WorkloadName != "agent" || g.ResourceCredentialProviderName != "vendor" ||
					!strings.HasSuffix(g.GrantArn, ":"+account+":grant/"+g.GrantId) || !slices.Equal(g.GrantedScopes, []string{"read"}) {
					t.Errorf("%+v", g)
				}
				if (g.LastError != nil) != (state == wire.GrantDegraded || state == wire.GrantDead) {
					t.Errorf("last error %v", g.LastError)
				}
				if n := len(f.list(wire.ListGrantsInput{State: &state})); n != 1 {
					t.Errorf("listed %d times by its state", n)
				}
				text, err := json.Marshal(g)
				f.must(err)
				if strings.Contains(string(text), token) || strings.Contains(string(text), f.vendor.Mark) {
					t.Error("a token is shown")
				}
				f.Wait()
			})
		})
	}
}

// What is revoked is served no more, from no cache, and its tokens are dead at the vendor; what is not meant lives. A new consent begins anew.
func TestRevokeGrants(t *testing.T) {
	for name, test := range map[string]struct {
		revoke func(*fixture) (int, error)
		spared []string // users
	}{
		"one": {func(f *fixture) (int, error) {
			out, err := f.RevokeGrant(context.Background(), f.caller, &wire.RevokeGrantInput{GrantId: f.row("alice").Key})
			if err == nil && out.State != wire.GrantRevoked {
				f.t.Errorf("it is %s", out.State)
			}
			return 1, err
		}, []string{"bob", ""}},
		"a user's": {some(wire.RevokeGrantsInput{User: byID("alice")}), []string{"bob", ""}},
		"a user's at a provider": {some(wire.RevokeGrantsInput{User: byID("alice"), WorkloadName: new("agent"), ResourceCredentialProviderName: new("vendor")}),
			[]string{"bob", ""}},
		"a workload's":  {some(wire.RevokeGrantsInput{WorkloadName: new("agent")}), nil},
		"a provider's":  {some(wire.RevokeGrantsInput{ResourceCredentialProviderName: new("vendor")}), nil},
		"the account's": {some(wire.RevokeGrantsInput{All: new(true)}), nil},
		"nobody's":      {some(wire.RevokeGrantsInput{WorkloadName: new("other")}), []string{"alice", "bob", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fixture) {
				tokens := map[string]string{"alice": f.granted("alice"), "bob": f.granted("bob"), "": f.token("")}
				created := f.row("alice").CreatedAt
				time.Sleep(time.Second)
				n, err := test.revoke(f)
				if err != nil || n != len(tokens)-len(test.spared) {
					t.Errorf("%d revoked, %v", n, err)
				}
				served := func(user string) {
					out, err := f.ask(user)
					f.must(err)
					if spared := slices.Contains(test.spared, user); (out.AccessToken == tokens[user]) != spared || !spared && user != "" && out.AuthorizationUrl == "" {
						t.Errorf("%q: %+v", user, out)
					}
				}
				served("alice")
				served("bob")
				f.tellVendors()
				served("") // the workload gets another by itself; while it has one, the vendor would not be told of the first
				for user, token := range tokens {
					if _, live := f.vendor.Introspect(token); live != slices.Contains(test.spared, user) {
						t.Errorf("%q: live %t at the vendor", user, live)
					}
				}
				if len(f.receipts()) != n || f.pending() != 0 {
					t.Errorf("%d receipts, %d pending", len(f.receipts()), f.pending())
				}
				for _, r := range f.receipts() {
					if r.Outcome != audit.Performed || !strings.HasPrefix(r.Reason, "revoked (grant_revoked): ") {
						t.Errorf("receipt %+v", r)
					}
				}
				again, err := test.revoke(f)
				if name != "one" && (err != nil || again > 1) { // M2M got another
					t.Errorf("again: %d, %v", again, err)
				}
				if slices.Contains(test.spared, "alice") {
					return
				}
				if row := f.row("alice"); row.AccessToken != nil || row.RefreshToken != nil {
					t.Error("a revoked grant holds tokens")
				}
				token := f.granted("alice")
				if g := f.describe("alice"); token == tokens["alice"] || g.State != wire.GrantActive || !g.CreatedTime.After(created) {
					t.Errorf("after a new consent: %+v", g)
				}
			})
		})
	}
}

func some(in wire.RevokeGrantsInput) func(*fixture) (int, error) {
	return func(f *fixture) (int, error) {
		out, err := f.RevokeGrants(context.Background(), f.caller, &in)
		if err != nil {
			return 0, err
		}
		return int(*out.RevokedGrants), nil
	}
}

// Nobody revokes a whole account by saying nothing.
func TestRevokeGrantsWantsToBeMeant(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	for _, in := range []wire.RevokeGrantsInput{{}, {All: new(false)}, {All: new(true), WorkloadName: new("agent")}} {
		_, err := f.RevokeGrants(context.Background(), f.caller, &in)
		is(t, err, fault.Validation, "all: ")
	}
	f.token("alice")
}

// A consent begun before a revocation cannot bring the grant back; one begun afterwards can. Wider scopes of before are not asked for again.
func TestRevocationEndsConsentsInFlight(t *testing.T) {
	f := newFixture(t, t.TempDir())
	wide := func(in *tokenInput) { in.Scopes = []string{"read", "write"} }
	f.granted("alice", wide)
	out := f.needsConsent("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
	authorized := f.consent(browser{}, out.AuthorizationUrl).Get("session_id")
	pending := f.needsConsent("alice", func(in *tokenInput) { in.ForceAuthentication = new(true) })
	_, err := some(wire.RevokeGrantsInput{User: byID("alice")})(f)
	f.must(err)
	is(t, f.complete(authorized, "alice"), fault.AccessDenied, "its grant was revoked meanwhile")
	if _, err := f.openURL(browser{}, pending.AuthorizationUrl); err == nil {
		t.Error("a session of before goes on")
	}
	f.needsConsent("alice")
	f.granted("alice")
	if scopes := f.row("alice").AskedScopes; !slices.Equal(scopes, []string{"read"}) {
		t.Errorf("asked for %q again", scopes)
	}
}

// A token that was revoked while its refresh was waited for is not served as a stale one.
func TestRevokedGrantIsNotServedStale(t *testing.T) {
	timed(t, func(t *testing.T, f *fixture, first string) {
		time.Sleep(untilMargin)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall, b.Status = 2*time.Second, 503 })
		var done sync.WaitGroup
		done.Go(func() {
			if out, err := f.ask("alice"); err != nil || out.AccessToken != "" || out.AuthorizationUrl == "" {
				t.Errorf("served %+v, %v", out, err)
			}
		})
		time.Sleep(time.Second)
		_, err := some(wire.RevokeGrantsInput{All: new(true)})(f)
		f.must(err)
		done.Wait()
	})
}
