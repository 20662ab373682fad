package broker

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// Keys of grants are on disk: a change of the function would lose every grant.
func TestGrantKeyGolden(t *testing.T) {
	base := identity{account: "111111111111", generation: "g", incarnation: "w", userKey: "u", flow: wire.FlowUserFederation}
	full := base
	full.resources, full.audiences, full.parameters, full.scopes = []string{"r2", "r1"}, []string{"a"}, map[string]string{"b": "2", "a": "1"}, []string{"s"}
	behalf := full
	behalf.flow, behalf.subject, behalf.actor = wire.FlowOnBehalfOfTokenExchange, "j", "c"
	for _, c := range []struct {
		i    identity
		want string
	}{
		{behalf, "bdcecf09137b6d748acb0859864b2cac1cf93fe3f308c070573dcb5bc75083f3"},
		{base, "8506b272372f32cab351db4d6de0f1dcb4bec5532c05e22674607177b5c90424"},
		{full, "0e72a5ec1a84c94631c83a198aa95f7b00e186e5b534f0d830c808ef5eb0aacd"},
	} {
		if got := c.i.key(); got != c.want {
			t.Errorf("%+v\ngot  %s\nwant %s", c.i, got, c.want)
		}
	}
}

func drawIdentity(t *rapid.T, name string) identity {
	// Few letters and separators, so that values collide if fields can run into each other.
	text := rapid.StringOfN(rapid.RuneFrom([]rune("a|+,\x00")), 0, 3, -1)
	list := rapid.SliceOfN(text, 0, 3)
	return identity{
		account: text.Draw(t, name+" account"), generation: text.Draw(t, name+" generation"), incarnation: text.Draw(t, name+" incarnation"), userKey: text.Draw(t, name+" user"),
		subject: text.Draw(t, name+" subject"), actor: text.Draw(t, name+" actor"),
		flow: rapid.SampledFrom([]wire.Oauth2Flow{wire.FlowM2M, wire.FlowUserFederation, wire.FlowOnBehalfOfTokenExchange, "a", ""}).Draw(t, name+" flow"), resources: list.Draw(t, name+" resources"), audiences: list.Draw(t, name+" audiences"),
		parameters: rapid.MapOfN(text, text, 0, 2).Draw(t, name+" parameters"), scopes: list.Draw(t, name+" scopes"),
	}
}

// Two identities share a key exactly when every field is the same, lists taken as sets.
func TestGrantKeyTellsEveryFieldApart(t *testing.T) {
	set := func(l []string) []string { return slices.Compact(slices.Sorted(slices.Values(l))) }
	rapid.Check(t, func(t *rapid.T) {
		a := drawIdentity(t, "a")
		b := a
		if rapid.Bool().Draw(t, "other") {
			b = drawIdentity(t, "b")
		} else { // one field, shifted to a neighbour or changed
			other := drawIdentity(t, "b")
			switch rapid.IntRange(0, 11).Draw(t, "field") {
			case 0:
				b.account = other.account
			case 1:
				b.generation = other.generation
			case 2:
				b.incarnation = other.incarnation
			case 3:
				b.userKey = other.userKey
			case 4:
				b.flow = other.flow
			case 5:
				b.resources = other.resources
			case 6:
				b.audiences = other.audiences
			case 7:
				b.parameters = other.parameters
			case 8:
				b.resources, b.audiences = a.audiences, a.resources
			case 9:
				b.subject = other.subject
			case 10:
				b.actor = other.actor
			case 11:
				b.subject, b.actor = a.actor, a.subject
			}
		}
		same := a.account == b.account && a.generation == b.generation && a.incarnation == b.incarnation && a.userKey == b.userKey && a.flow == b.flow &&
			slices.Equal(set(a.resources), set(b.resources)) && slices.Equal(set(a.audiences), set(b.audiences)) &&
			maps.Equal(a.parameters, b.parameters) && slices.Equal(set(a.scopes), set(b.scopes)) &&
			(a.flow != wire.FlowOnBehalfOfTokenExchange || a.subject == b.subject && a.actor == b.actor) // others have none
		if (a.key() == b.key()) != same {
			t.Fatalf("same is %v for\n%+v\n%+v", same, a, b)
		}
	})
}

// a|b with c is not a with b|c.
func TestGrantKeyListsDoNotRunTogether(t *testing.T) {
	for _, pair := range [][2]identity{
		{{resources: []string{"a|b", "c"}}, {resources: []string{"a", "b|c"}}},
		{{resources: []string{"a"}, audiences: []string{"b"}}, {resources: []string{"a", "b"}}},
		{{userKey: "a", incarnation: "b"}, {userKey: "b", incarnation: "a"}},
		{{parameters: map[string]string{"a": "b"}}, {parameters: map[string]string{"ab": ""}}},
		{{resources: []string{""}}, {}},
	} {
		if pair[0].key() == pair[1].key() {
			t.Errorf("%+v and %+v share a key", pair[0], pair[1])
		}
	}
	if (identity{resources: []string{"a", "b", "a"}}).key() != (identity{resources: []string{"b", "a"}}).key() {
		t.Error("a list is not a set")
	}
}

// Requests that differ in what the token is never share one, one after the other or all at once; those that differ in how the user is asked do.
func TestRequestsThatShareAGrant(t *testing.T) {
	f := newFixture(t, t.TempDir())
	params := func(kv ...string) func(*tokenInput) {
		return func(in *tokenInput) {
			in.CustomParameters = map[string]secret.String{}
			for i := 0; i < len(kv); i += 2 {
				in.CustomParameters[kv[i]] = secret.New(kv[i+1])
			}
		}
	}
	resources := func(r ...string) func(*tokenInput) { return func(in *tokenInput) { in.Resources = r } }
	audiences := func(a ...string) func(*tokenInput) { return func(in *tokenInput) { in.Audiences = a } }
	scopes := func(s ...string) func(*tokenInput) { return func(in *tokenInput) { in.Scopes = s } }

	t.Run("M2M", func(t *testing.T) {
		different := []func(*tokenInput){
			func(*tokenInput) {}, scopes("write"), scopes("read", "write"), scopes(), resources("https://r/1"), resources("https://r/1", "https://r/2"), audiences("https://r/1"),
			audiences("x"), params("p", "1"), params("p", "2"), params("q", "1"), params("prompt", "none"),
		}
		tokens := make([]string, 64*len(different))
		var wg sync.WaitGroup
		for n := range tokens {
			wg.Go(func() { tokens[n] = f.token("", different[n%len(different)]) })
		}
		wg.Wait()
		whose := map[string]int{}
		for n, token := range tokens {
			k := n % len(different)
			if owner, ok := whose[token]; ok && owner != k {
				t.Errorf("requests %d and %d share a token", owner, k)
			}
			whose[token] = k
		}
		if len(whose) != len(different) || f.vendor.Count("client_credentials") != len(different) {
			t.Errorf("%d tokens of %d requests to the vendor for %d kinds", len(whose), f.vendor.Count("client_credentials"), len(different))
		}
		if f.token("", scopes("write", "read", "write")) != f.token("", scopes("read", "write")) {
			t.Error("the same set of scopes gets two tokens")
		}
	})
	t.Run("USER_FEDERATION", func(t *testing.T) {
		alice := f.granted("alice")
		for name, edit := range map[string]func(*tokenInput){
			"prompt":     params("prompt", "consent"),
			"login_hint": params("login_hint", "alice@example.com", "prompt", "login"),
			"protected":  params("client_id", "another"),
			"no scopes":  scopes(),
		} {
			if f.token("alice", edit) != alice {
				t.Errorf("%s asks for another grant", name)
			}
		}
		for name, edit := range map[string]func(*tokenInput){
			"a parameter": params("tenant", "x"), "a resource": resources("https://r/1"), "an audience": audiences("https://r/1"), "a wider scope": scopes("read", "write"),
		} {
			t.Run(name, func(t *testing.T) { f.needsConsent("alice", edit) })
		}
		f.needsConsent("Alice")
		f.needsConsent("alice ")
	})
}

func TestServes(t *testing.T) {
	google := provider.Presets[0]
	p := &vault.OAuth2Provider{}
	exact := &vault.OAuth2Provider{Config: provider.Config{ScopeMatch: wire.ScopeMatchExact}}
	const email = "https://www.googleapis.com/auth/userinfo.email"
	active := func(asked, granted []string) store.Grant {
		return store.Grant{State: store.GrantActive, AskedScopes: asked, GrantedScopes: granted}
	}
	for _, c := range []struct {
		name   string
		g      store.Grant
		p      *vault.OAuth2Provider
		scopes []string
		want   bool
	}{
		{"nothing asked", active(nil, nil), p, nil, true},
		{"a part of what was asked", active([]string{"a", "b"}, nil), p, []string{"b"}, true},
		{"a part of what was granted", active(nil, []string{"a", "b"}), p, []string{"b"}, true},
		{"asked under one name, granted under another", active([]string{"email"}, []string{email}), p, []string{"email"}, true},
		{"an alias", active(nil, []string{email}), p, []string{"email"}, true},
		{"the other way round", active([]string{"email"}, nil), p, []string{email}, true},
		{"more than was asked or granted", active([]string{"a"}, []string{"b"}), p, []string{"a", "b", "c"}, false},
		{"a dead grant", store.Grant{State: store.GrantDead, AskedScopes: []string{"a"}}, p, []string{"a"}, false},
		{"exact: the same set", active([]string{"a", "b", "c"}, []string{"b", "a"}), exact, []string{"a", "b", "a"}, true},
		{"exact: a part", active([]string{"a", "b"}, []string{"a", "b"}), exact, []string{"a"}, false},
		{"exact: asked but not granted", active([]string{"a", "b"}, []string{"a"}), exact, []string{"a", "b"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := serves(c.g, c.p, google, c.scopes); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// The margin is a tenth of a token's life, at most a minute, so that tokens of ten seconds work as well as those of an hour.
func TestMargin(t *testing.T) {
	now := time.Now()
	for lifetime, want := range map[time.Duration]time.Duration{10 * time.Second: time.Second, 5 * time.Minute: 30 * time.Second, time.Hour: time.Minute, 24 * time.Hour: time.Minute} {
		g := store.Grant{ObtainedAt: now, ExpiresAt: now.Add(lifetime)}
		if got := margin(g); got != want {
			t.Errorf("margin of %v is %v, want %v", lifetime, got, want)
		}
	}
	if forever := (store.Grant{ObtainedAt: now}); !fresh(forever) || !valid(forever) {
		t.Error("a token without an end has ended")
	}
}
