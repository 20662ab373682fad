package broker

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

const apiIssuer = "http://api.example"

// crossDomain has provider "api" get its assertions at provider "vendor", where the users are.
func (f *fixture) crossDomain(idp provider.OnBehalfOf) (api *fakeidp.Vendor) {
	f.t.Helper()
	f.onBehalf(idp)
	api = f.addVendor("api", apiIssuer)
	api.AddClient(fakeidp.Client{ID: "client at the api", Secret: "client-secret"})
	api.Trust(issuer, func() (jose.JSONWebKeySet, error) { return f.vendor.PublicKeys(), nil })
	f.change("api", true, func(c *provider.Config) {
		c.ClientID, c.OnBehalfOf = "client at the api", &provider.OnBehalfOf{GrantType: wire.GrantTypeJwtAuthorizationGrant, AssertionProvider: "vendor"}
	})
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.IDJAG.Clients = map[string]string{apiIssuer: "client at the api"} })
	return api
}

func atAPI(in *tokenInput) { in.ResourceCredentialProviderName = "api" }

// tokenForms are the token requests that a vendor saw.
func tokenForms(v *fakeidp.Vendor) (all []url.Values) {
	for _, r := range v.Requests() {
		if strings.HasSuffix(r.Path, "/token") {
			all = append(all, r.Form)
		}
	}
	return all
}

// The user's identity provider sees the JWT, and the client's way to ask for an assertion for the other server; that server sees the assertion and nothing else.
func TestFlowIDJAG(t *testing.T) {
	for name, c := range map[string]struct {
		idp   provider.OnBehalfOf
		edit  func(*tokenInput)
		want  url.Values // at the identity provider; JWT and ACTOR stand for the tokens
		actor string
	}{
		"plain": {idp: byExchange, edit: func(*tokenInput) {}, want: url.Values{
			"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "scope": {"read"},
		}},
		"resources": {idp: byExchange, edit: func(in *tokenInput) { in.Resources = []string{"https://r/1", "https://r/2"} }, want: url.Values{
			"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "scope": {"read"}, "resource": {"https://r/1", "https://r/2"},
		}},
		"an actor": {idp: withActor, edit: func(*tokenInput) {}, actor: "client", want: url.Values{
			"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "scope": {"read"}, "actor_token": {"ACTOR"}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		}},
		"parameters": {idp: byExchange, edit: func(in *tokenInput) {
			in.CustomParameters = map[string]secret.String{
				"subject_token_type": secret.New("urn:ietf:params:oauth:token-type:jwt"), "requested_token_type": secret.New("evil"), "audience": secret.New("http://evil.example"), "tenant": secret.New("x"),
			}
		}, want: url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}, "scope": {"read"}, "tenant": {"x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			api := f.crossDomain(c.idp)
			jwt := f.jwt("alice", 5*time.Minute)
			out, err := f.ask("", f.by(jwt), atAPI, c.edit)
			f.must(err)
			info, ok := api.Introspect(out.AccessToken)
			if !ok || info.Subject != "alice" || info.ClientID != "client at the api" || info.Actor != c.actor {
				t.Errorf("the token: %+v", info)
			}
			if time.Until(out.AccessTokenExpiresAt.Time) > 5*time.Minute { // the JWT's end; the vendor gives an hour
				t.Errorf("it is said to end at %s", out.AccessTokenExpiresAt)
			}
			forms := tokenForms(f.vendor)
			got := forms[len(forms)-1]
			if got.Get("subject_token") == jwt.Reveal() {
				got.Set("subject_token", "JWT")
			}
			if info, ok := f.vendor.Introspect(got.Get("actor_token")); ok && info.Subject == "client" {
				got.Set("actor_token", "ACTOR")
			}
			c.want["grant_type"], c.want["subject_token"] = []string{fakeidp.TokenExchange}, []string{"JWT"}
			c.want["requested_token_type"], c.want["audience"] = []string{"urn:ietf:params:oauth:token-type:id-jag"}, []string{apiIssuer}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("at the identity provider (-want +got):\n%s", d)
			}
			forms = tokenForms(api)
			if len(forms) != 1 || len(forms[0]) != 2 || forms[0].Get("grant_type") != fakeidp.JWTBearer || forms[0].Get("assertion") == jwt.Reveal() {
				t.Errorf("at the authorization server: %v", forms)
			}
		})
	}
}

// What the identity provider made narrower is told, though the authorization server says nothing of it.
func TestFlowIDJAGSaysItsScopes(t *testing.T) {
	f := newFixture(t, t.TempDir())
	api := f.crossDomain(byExchange)
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.NarrowScopes = []string{"read"} })
	api.Set(func(b *fakeidp.Behaviour) { b.OmitScope = true })
	out, err := f.ask("", f.by(f.jwt("alice", 5*time.Minute)), atAPI, func(in *tokenInput) { in.Scopes = []string{"read", "write"} })
	f.must(err)
	if d := cmp.Diff([]string{"read"}, out.GrantedScopes); d != "" {
		t.Error(d)
	}
}

// An answer of the identity provider that is no assertion for this authorization server and this client goes to nobody.
func TestFlowIDJAGThatIsNotForTheVendor(t *testing.T) {
	for want, spoil := range map[string]func(*fakeidp.Behaviour){
		"issued_token_type": func(b *fakeidp.Behaviour) {
			b.ExtraTokenMembers = map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
		},
		"token_type is":               func(b *fakeidp.Behaviour) { b.ExtraTokenMembers = map[string]any{"token_type": "Bearer"} },
		"no JWT":                      func(b *fakeidp.Behaviour) { b.ExtraTokenMembers = map[string]any{"access_token": "opaque"} },
		`typ is "JWT"`:                func(b *fakeidp.Behaviour) { b.IDJAG.Typ = "JWT" },
		`typ is "at+jwt"`:             func(b *fakeidp.Behaviour) { b.IDJAG.Typ = "at+jwt" },
		`for ["http://evil.example"]`: func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"aud": "http://evil.example"} },
		`for ["http://api.example" "http://evil.example"]`: func(b *fakeidp.Behaviour) {
			b.IDJAG.Claims = map[string]any{"aud": []string{apiIssuer, "http://evil.example"}}
		},
		"for []":                       func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"aud": nil} },
		`for the client "another"`:     func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"client_id": "another"} },
		`for the client ""`:            func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"client_id": nil} },
		`issuer is "http://e.example"`: func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"iss": "http://e.example"} },
		"no subject":                   func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"sub": nil} },
		"it has ended":                 func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"exp": time.Now().Unix()} },
		"or never ends":                func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"exp": nil} },
		"right types":                  func(b *fakeidp.Behaviour) { b.IDJAG.Claims = map[string]any{"aud": 1} },
	} {
		t.Run(want, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			api := f.crossDomain(byExchange)
			f.vendor.Set(spoil)
			_, err := f.ask("", f.by(f.jwt("alice", 5*time.Minute)), atAPI)
			is(t, err, fault.Validation, want)
			if n := len(tokenForms(api)); n != 0 {
				t.Errorf("%d requests came to the authorization server", n)
			}
		})
	}
}

// Tokens got by assertions are told apart, and kept, like all of this flow: by JWT, caller, scopes, and the identity provider that vouched.
func TestFlowIDJAGTellsRequestsApart(t *testing.T) {
	f := newFixture(t, t.TempDir())
	api := f.crossDomain(byExchange)
	one, two := f.by(f.jwt("alice", 5*time.Minute)), f.by(f.jwt("alice", 5*time.Minute))
	n := 0
	tokens := map[string]bool{}
	distinct := func(kind string, edit ...func(*tokenInput)) {
		t.Helper()
		n++
		token := f.token("", append(edit, atAPI)...)
		if tokens[token] {
			t.Errorf("%s is given the token of another", kind)
		}
		tokens[token] = true
		if again := f.token("", append(edit, atAPI)...); again != token {
			t.Errorf("%s is not served from the vault", kind)
		}
		if at, there := f.vendor.Count(fakeidp.TokenExchange), api.Count(fakeidp.JWTBearer); at != n || there != n {
			t.Errorf("%s: %d assertions, %d of them used, want %d", kind, at, there, n)
		}
	}
	distinct("a JWT", one)
	distinct("another JWT of the same user", two)
	distinct("other scopes", one, func(in *tokenInput) { in.Scopes = []string{"write"} })
	admin := f.caller
	f.caller.ARN = iam.User(account, "role")
	distinct("another caller", one)
	f.caller = admin
	f.change("vendor", false, func(c *provider.Config) { c.OnBehalfOf = new(withActor) })
	distinct("an actor", one)
	f.change("vendor", true, func(*provider.Config) {})
	distinct("another generation of the identity provider", one)
	f.change("api", false, func(c *provider.Config) {
		c.OnBehalfOf = &provider.OnBehalfOf{GrantType: wire.GrantTypeJwtAuthorizationGrant}
	})
	if _, err := f.ask("", one, atAPI); err == nil {
		t.Error("a token got by an assertion serves a provider that sends the JWT itself")
	}
}

// A token that lives on at the vendor ends here with the JWT, whatever the assertion says of its own end.
func TestFlowIDJAGEndsWithTheJWT(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		api := f.crossDomain(byExchange)
		by := f.by(f.jwt("alice", time.Minute))
		token := f.token("", by, atAPI)
		time.Sleep(59 * time.Second)
		if f.token("", by, atAPI) != token {
			t.Error("not served from the vault")
		}
		time.Sleep(time.Second)
		if _, alive := api.Introspect(token); !alive {
			t.Error("the token has ended at the vendor: this proves nothing")
		}
		_, err := f.ask("", by, atAPI)
		is(t, err, fault.Unauthorized, "GetWorkloadAccessTokenForJWT")
		if n := f.vendor.Count(fakeidp.TokenExchange); n != 1 {
			t.Errorf("%d exchanges", n)
		}
	})
}

// A user's JWT is shown to nobody but the identity provider that made it.
func TestFlowIDJAGGoesToTheJWTsOwnIssuer(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.crossDomain(byExchange)
	other := f.addVendor("other", "http://other.example")
	_, err := f.store.PutTrustedIssuer(store.TrustedIssuer{Account: account, Issuer: "http://other.example", Audiences: []string{"app"}, CreatedAt: time.Now()})
	f.must(err)
	foreign := secret.New(other.Sign(map[string]any{"sub": "alice", "aud": []string{"app", "client"}}))
	_, err = f.ask("", f.by(foreign), atAPI)
	is(t, err, fault.Validation, `"http://other.example", while provider api gets its assertions at provider vendor`)
	if n := len(tokenForms(f.vendor)); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Who uses an identity provider by way of another provider must be allowed to use it, and it must not be frozen, exist and still give assertions: also for what is kept.
func TestFlowIDJAGNeedsTheIdentityProvider(t *testing.T) {
	f := newFixture(t, t.TempDir())
	api := f.crossDomain(byExchange)
	by := f.by(f.jwt("alice", 5*time.Minute))
	f.token("", by, atAPI)
	refused := func(kind error, fragment string) {
		t.Helper()
		_, err := f.ask("", by, atAPI)
		is(t, err, kind, fragment)
	}
	admin := f.caller
	policy, err := iam.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
		{"Effect":"Deny","Action":"bedrock-agentcore:GetResourceOauth2Token","Resource":"` + f.ARNs.OAuth2Provider(account, "vendor") + `"}]}`))
	f.must(err)
	f.caller.Policies = []*iam.Policy{policy}
	refused(fault.AccessDenied, "vendor")
	f.caller = admin
	ctx := context.Background()
	_, err = f.Vault.PutFreeze(ctx, store.Freeze{Account: account, Kind: store.FreezeProvider, ID: "vendor", CreatedAt: time.Now()}, "")
	f.must(err)
	refused(fault.AccessDenied, `"vendor" is frozen`)
	f.must(f.Vault.DeleteFreeze(account, store.FreezeProvider, "vendor"))
	f.change("vendor", false, func(c *provider.Config) { c.OnBehalfOf = nil })
	refused(fault.Validation, "provider vendor, which has no onBehalfOfTokenExchangeConfig")
	f.must(f.Vault.DeleteOAuth2Provider(account, "vendor", ""))
	refused(fault.NotFound, "vendor")
	if n := len(tokenForms(f.vendor)) + len(tokenForms(api)); n != 2 {
		t.Errorf("%d token requests", n)
	}
}

// What the identity provider refuses is told as its refusal, with what the user can do; an audience in the request is refused, since it would be another one's.
func TestFlowIDJAGRefused(t *testing.T) {
	f := newFixture(t, t.TempDir())
	api := f.crossDomain(byExchange)
	by := f.by(f.jwt("alice", 5*time.Minute))
	for code, want := range map[string]string{"insufficient_user_authentication": "come with a new JWT", "invalid_target": "The vendor of provider vendor refused"} {
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode = code })
		_, err := f.ask("", by, atAPI)
		is(t, err, fault.Validation, code)
		is(t, err, fault.Validation, want)
	}
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.ErrorCode = "" })
	_, err := f.ask("", by, atAPI, func(in *tokenInput) { in.Audiences = []string{"https://r/1"} })
	is(t, err, fault.Validation, "name resources")
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.IDJAG.Clients = nil })
	_, err = f.ask("", by, atAPI)
	is(t, err, fault.Validation, "invalid_target")
	if n := len(tokenForms(api)); n != 0 {
		t.Errorf("%d requests came to the authorization server", n)
	}
}
