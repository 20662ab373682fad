package broker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/audit"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

func (f *fixture) ceiling(kind store.CeilingKind, name string, c wire.Ceiling) {
	f.t.Helper()
	f.must(f.Vault.PutCeiling(context.Background(), account, vault.Ceiling{Kind: kind, Name: name, Ceiling: c, UpdatedAt: time.Now(), UpdatedBy: f.caller.ARN}))
}

// mayDo are the scopes of a token, as its vendor knows it.
func (f *fixture) mayDo(token string) string {
	f.t.Helper()
	info, ok := f.vendor.Introspect(token)
	if !ok {
		f.t.Fatal("the vendor does not know the token")
	}
	return strings.Join(slices.Sorted(slices.Values(info.Scopes)), " ")
}

func scopes(l ...string) func(*tokenInput) { return func(in *tokenInput) { in.Scopes = l } }

const words = `The ceiling of credential provider "vendor" does not allow `

// A grant of read and admin, and then a ceiling of read: whatever hands out its token gives one that may only read, or a denial that names the ceiling.
func TestCeilingsBiteOldGrants(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		out := f.needsConsent("alice", scopes("read", "admin"))
		back := f.consent(browser{}, out.AuthorizationUrl)
		f.must(f.complete(back.Get("session_id"), "alice"))
		wide := f.token("alice", scopes("read", "admin"))
		if got := f.mayDo(wide); got != "admin read" {
			t.Fatalf("granted %q", got)
		}
		poll := func(in *tokenInput) { in.SessionUri = out.SessionUri }

		f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{Scopes: []string{"read", "write"}})
		cached := f.token("alice")
		polled := f.token("alice", poll)
		n := len(f.vendor.Requests())
		again := f.token("alice")
		if len(f.vendor.Requests()) != n || again != cached {
			t.Error("every request asks the vendor anew")
		}
		only := func(how, token string) {
			if got := f.mayDo(token); token == wide || got != "read" {
				t.Errorf("%s: the token may %q", how, got)
			}
		}
		only("cached", cached)
		only("polled", polled)
		time.Sleep(2 * time.Hour)
		refreshed := f.token("alice")
		only("refreshed", refreshed)
		if refreshed == cached {
			t.Error("nothing was refreshed")
		}
		served, err := f.ask("alice")
		if f.must(err); !slices.Equal(served.GrantedScopes, []string{"read"}) {
			t.Errorf("grantedScopes %q", served.GrantedScopes)
		}
		n = len(f.vendor.Requests())
		for _, edit := range []func(*tokenInput){scopes("read", "admin"), func(in *tokenInput) { scopes("admin")(in); poll(in) }} {
			time.Sleep(time.Second) // so that its event is the last
			_, err := f.ask("alice", edit)
			is(t, err, fault.AccessDenied, words+`the scope "admin", but ["read" "write"]`)
			if e := f.lastEvent(); e.Outcome != audit.Denied || !strings.HasPrefix(e.Reason, `ceiling of credential provider "vendor": the scope "admin"`) {
				t.Errorf("recorded %+v", e)
			}
		}
		if len(f.vendor.Requests()) != n {
			t.Error("the vendor was asked for what is denied")
		}

		// A ceiling that leaves nothing of the grant; and one of the workload identity on top of the provider's.
		f.ceiling(store.CeilingWorkload, "agent", wire.Ceiling{Scopes: []string{"write"}})
		_, err = f.ask("alice", scopes())
		is(t, err, fault.AccessDenied, "The ceiling of ")
		if len(f.vendor.Requests()) != n {
			t.Error("the vendor was asked for what is denied")
		}

		// What the user granted comes back when the ceilings go.
		f.must(f.Vault.DeleteCeiling(account, store.CeilingWorkload, "agent"))
		f.must(f.Vault.DeleteCeiling(account, store.CeilingProvider, "vendor"))
		if got := f.mayDo(f.token("alice", scopes("admin"))); got != "admin read" {
			t.Errorf("without a ceiling the token may %q", got)
		}
	})
}

// What is set at one replica bites at the other, on either engine, and on the grants that it has in its cache: cached, polled and refreshed tokens, and every other limit.
func TestCeilingsBiteOnReplicas(t *testing.T) {
	onTwoReplicas(t, func(t *testing.T, a, b *fixture, within func(string, func() bool)) {
		out := a.needsConsent("alice", scopes("read", "admin"))
		a.must(a.complete(a.consent(browser{}, out.AuthorizationUrl).Get("session_id"), "alice"))
		poll := func(in *tokenInput) { in.SessionUri = out.SessionUri }
		wide := b.token("alice", scopes("read", "admin"))
		if got := b.mayDo(wide); got != "admin read" || b.token("alice", poll) != wide {
			t.Fatalf("granted %q", got)
		}

		a.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{Scopes: []string{"read"}})
		within("a ceiling of scopes", func() bool { return b.mayDo(b.token("alice")) == "read" })
		if got := b.mayDo(b.token("alice", poll)); got != "read" {
			t.Errorf("polled: the token may %q", got)
		}
		_, err := b.ask("alice", scopes("read", "admin"))
		is(t, err, fault.AccessDenied, words+`the scope "admin"`)
		p, err := b.Vault.OAuth2Provider(t.Context(), account, "vendor")
		b.must(err)
		g, err := b.refreshUnderLease(t.Context(), p, account, b.row("alice").Key, func(store.Grant) bool { return false }, false)
		if b.must(err); !slices.Equal(g.TokenScopes, []string{"read"}) {
			t.Errorf("refreshed: the token may %q", g.TokenScopes)
		}
		a.must(a.Vault.DeleteCeiling(account, store.CeilingProvider, "vendor"))
		within("its end", func() bool {
			out, err := b.ask("alice", scopes("read", "admin"))
			return err == nil && b.mayDo(out.AccessToken) == "admin read"
		})

		resource := func(in *tokenInput) { in.Resources = []string{"https://api.example"} }
		for what, c := range map[string]struct {
			kind    store.CeilingKind
			ceiling wire.Ceiling
			user    string
			edit    func(*tokenInput)
		}{
			"workloads": {store.CeilingProvider, wire.Ceiling{WorkloadNames: []string{"other"}}, "alice", scopes("read")},
			"providers": {store.CeilingWorkload, wire.Ceiling{ResourceCredentialProviderNames: []string{"other"}}, "alice", scopes("read")},
			"users":     {store.CeilingProvider, wire.Ceiling{Users: []wire.GrantUser{{UserId: new("bob")}}}, "alice", scopes("read")},
			"flows":     {store.CeilingWorkload, wire.Ceiling{Oauth2Flows: []string{"M2M"}}, "alice", scopes("read")},
			"resources": {store.CeilingProvider, wire.Ceiling{Resources: []string{"https://other.example"}}, "", resource},
			"age":       {store.CeilingProvider, wire.Ceiling{MaximumGrantAgeSeconds: new(int32(0))}, "alice", scopes("read")}, // its user has to consent anew
		} {
			served := func() bool {
				out, err := b.ask(c.user, c.edit)
				if err != nil {
					is(t, err, fault.AccessDenied, "The ceiling of ")
				}
				return err == nil && out.AccessToken != ""
			}
			of := map[store.CeilingKind]string{store.CeilingProvider: "vendor", store.CeilingWorkload: "agent"}[c.kind]
			if !served() {
				t.Fatalf("%s: nothing is served before", what)
			}
			a.ceiling(c.kind, of, c.ceiling)
			within("a ceiling of "+what, func() bool { return !served() })
			a.must(a.Vault.DeleteCeiling(account, c.kind, of))
			within("the end of a ceiling of "+what, served)
		}
	})
}

// A refresh that nobody asked for is narrowed, too; a token that a vendor did not narrow is not handed out, and the vendor is not asked again and again.
func TestCeilingsOfTokensThatCannotBeNarrowed(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice", scopes("read", "admin"))
	f.granted("bob", scopes("read", "admin"))
	f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{Scopes: []string{"read"}})
	p, err := f.Vault.OAuth2Provider(t.Context(), account, "vendor")
	f.must(err)
	g, err := f.refreshUnderLease(t.Context(), p, account, f.row("alice").Key, func(store.Grant) bool { return false }, false)
	if f.must(err); !slices.Equal(g.TokenScopes, []string{"read"}) || !slices.Contains(g.GrantedScopes, "admin") {
		t.Errorf("the token may %q of %q", g.TokenScopes, g.GrantedScopes)
	}

	f.vendor.Set(func(b *fakeidp.Behaviour) { b.RenameScopes = map[string]string{"read": "everything"} })
	for _, user := range []string{"", "bob"} {
		_, err = f.ask(user)
		is(t, err, fault.AccessDenied, words+`the scope "everything", which the vendor's token has`)
		n := len(f.vendor.Requests())
		_, err = f.ask(user)
		is(t, err, fault.AccessDenied, words)
		if len(f.vendor.Requests()) != n {
			t.Errorf("the vendor is asked with every request for user %q", user)
		}
	}
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.RenameScopes, b.OmitScope = nil, true })
	_, err = f.ask("", scopes())
	is(t, err, fault.AccessDenied, words+"a token whose scopes neither the request nor the vendor says")
}

// Each limit of a ceiling, of a provider and of a workload identity.
func TestCeilingLimits(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice")
	f.token("")
	resource := func(in *tokenInput) { in.Resources = []string{"https://api.example"} }
	for name, test := range map[string]struct {
		kind    store.CeilingKind
		ceiling wire.Ceiling
		user    string
		edit    []func(*tokenInput)
		denied  string // "" when it is allowed
	}{
		"another workload":         {store.CeilingProvider, wire.Ceiling{WorkloadNames: []string{"other"}}, "alice", nil, `the workload identity "agent"`},
		"the workload":             {store.CeilingProvider, wire.Ceiling{WorkloadNames: []string{"other", "agent"}}, "alice", nil, ""},
		"another provider":         {store.CeilingWorkload, wire.Ceiling{ResourceCredentialProviderNames: []string{"other"}}, "alice", nil, `the credential provider "vendor"`},
		"the provider":             {store.CeilingWorkload, wire.Ceiling{ResourceCredentialProviderNames: []string{"vendor"}}, "alice", nil, ""},
		"another user":             {store.CeilingProvider, wire.Ceiling{Users: []wire.GrantUser{{UserId: new("bob")}}}, "alice", nil, `the user id:"alice"`},
		"a user of a JWT":          {store.CeilingWorkload, wire.Ceiling{Users: []wire.GrantUser{{Jwt: &wire.GrantJwtUser{Issuer: "", Subject: "alice"}}}}, "alice", nil, `the user id:"alice"`},
		"users of an issuer":       {store.CeilingProvider, wire.Ceiling{UserIssuers: []string{"https://idp.example"}}, "alice", nil, `the user id:"alice"`},
		"the user":                 {store.CeilingProvider, wire.Ceiling{Users: []wire.GrantUser{{UserId: new("alice")}}}, "alice", nil, ""},
		"no user":                  {store.CeilingProvider, wire.Ceiling{Users: []wire.GrantUser{{UserId: new("bob")}}}, "", nil, ""},
		"another flow":             {store.CeilingWorkload, wire.Ceiling{Oauth2Flows: []string{"M2M"}}, "alice", nil, "the flow USER_FEDERATION"},
		"the flow":                 {store.CeilingWorkload, wire.Ceiling{Oauth2Flows: []string{"M2M"}}, "", nil, ""},
		"no scope at all":          {store.CeilingProvider, wire.Ceiling{Scopes: []string{}}, "", nil, `the scope "read", but []`},
		"a resource":               {store.CeilingProvider, wire.Ceiling{Resources: []string{"https://api.example"}}, "", []func(*tokenInput){resource}, ""},
		"another resource":         {store.CeilingProvider, wire.Ceiling{Resources: []string{"https://other.example"}}, "", []func(*tokenInput){resource}, `the resource or audience "https://api.example"`},
		"no resource, so any":      {store.CeilingProvider, wire.Ceiling{Resources: []string{"https://api.example"}}, "", nil, "a request without resources or audiences"},
		"another audience, though": {store.CeilingProvider, wire.Ceiling{Resources: []string{"https://api.example"}}, "", []func(*tokenInput){resource, func(in *tokenInput) { in.Audiences = []string{"x"} }}, `the resource or audience "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			of := map[store.CeilingKind]string{store.CeilingProvider: "vendor", store.CeilingWorkload: "agent"}[test.kind]
			f.ceiling(test.kind, of, test.ceiling)
			defer func() { f.must(f.Vault.DeleteCeiling(account, test.kind, of)) }()
			out, err := f.ask(test.user, test.edit...)
			switch {
			case test.denied != "":
				is(t, err, fault.AccessDenied, `does not allow `+test.denied)
			case err != nil || out.AccessToken == "":
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
	f.ceiling(store.CeilingWorkload, "agent", wire.Ceiling{Users: []wire.GrantUser{{UserId: new("bob")}}})
	_, err := f.GetWorkloadAccessTokenForUserId(t.Context(), f.caller, &wire.GetWorkloadAccessTokenForUserIdInput{WorkloadName: "agent", UserId: "alice"})
	is(t, err, fault.AccessDenied, `The ceiling of workload identity "agent" does not allow the user id:"alice"`)
}

// A grant older than the ceiling allows asks its user anew; what comes of that is young again, and nothing is lost when the ceiling goes.
func TestCeilingOfAge(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.granted("alice")
		f.granted("bob")
		f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{MaximumGrantAgeSeconds: new(int32(86400))})
		time.Sleep(23 * time.Hour)
		f.token("alice")
		time.Sleep(2 * time.Hour)
		f.granted("alice") // which needs a consent, and then gives a token
		time.Sleep(23 * time.Hour)
		f.token("alice")
		f.needsConsent("bob")
		f.must(f.Vault.DeleteCeiling(account, store.CeilingProvider, "vendor"))
		f.token("bob")

		// Polled, though its consent is not over yet; and grown too old while a vendor took its time.
		asked := f.needsConsent("carol")
		f.must(f.complete(f.consent(browser{}, asked.AuthorizationUrl).Get("session_id"), "carol"))
		f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{MaximumGrantAgeSeconds: new(int32(60))})
		time.Sleep(2 * time.Minute)
		out, err := f.ask("carol", func(in *tokenInput) { in.SessionUri = asked.SessionUri })
		if f.must(err); out.AccessToken != "" || out.SessionStatus == nil || *out.SessionStatus != wire.SessionFailed {
			t.Errorf("polled: %+v", out)
		}
		f.granted("dora")
		f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{MaximumGrantAgeSeconds: new(int32(7200))})
		time.Sleep(2*time.Hour - time.Second)
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.Stall = 2 * time.Second })
		_, err = f.ask("dora")
		is(t, err, fault.AccessDenied, words+"a grant older than 7200 seconds")
	})
}

// No more is asked of a user than a ceiling allows, though he once agreed to more.
func TestCeilingsOfWhatIsAsked(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.granted("alice", scopes("read", "admin"))
	f.ceiling(store.CeilingProvider, "vendor", wire.Ceiling{Scopes: []string{"read", "write"}})
	if got := f.mayDo(f.granted("alice", scopes("write"))); got != "read write" {
		t.Errorf("the token may %q", got)
	}
	if asked := f.row("alice").AskedScopes; slices.Contains(asked, "admin") {
		t.Errorf("asked for %q", asked)
	}
}
