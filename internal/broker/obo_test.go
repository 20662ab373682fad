package broker

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// onBehalf makes the provider trade JWTs in a way, and has the account trust the vendor's own JWTs.
func (f *fixture) onBehalf(how provider.OnBehalfOf) {
	f.t.Helper()
	f.change("vendor", false, func(c *provider.Config) { c.OnBehalfOf = &how })
	_, err := f.store.PutTrustedIssuer(store.TrustedIssuer{Account: account, Issuer: issuer, Audiences: []string{"app"}, CreatedAt: time.Now()})
	f.must(err)
}

// jwt is a user's, for the application and for the client at the vendor; no two are the same.
func (f *fixture) jwt(sub string, lifetime time.Duration) secret.String {
	return secret.New(f.vendor.Sign(map[string]any{"sub": sub, "aud": []string{"app", "client"}, "exp": time.Now().Add(lifetime).Unix(), "jti": newHandle()}))
}

// by is a request with a workload access token made from a JWT.
func (f *fixture) by(jwt secret.String) func(*tokenInput) {
	f.t.Helper()
	wat, err := f.GetWorkloadAccessTokenForJWT(context.Background(), f.caller, &wire.GetWorkloadAccessTokenForJWTInput{WorkloadName: "agent", UserToken: jwt})
	f.must(err)
	return func(in *tokenInput) {
		in.WorkloadIdentityToken, in.Oauth2Flow = secret.New(wat.WorkloadAccessToken), wire.FlowOnBehalfOfTokenExchange
	}
}

// oboRow is what is stored for a JWT.
func (f *fixture) oboRow(jwt secret.String, user string) (store.Grant, error) {
	f.t.Helper()
	ctx := context.Background()
	p, err := f.Vault.OAuth2Provider(ctx, account, "vendor")
	f.must(err)
	w, err := f.Vault.Workload(ctx, account, "agent")
	f.must(err)
	a := agent{account, f.caller.ARN, workload.Token{JWT: jwt, User: workload.User{Kind: workload.KindJWT, Issuer: issuer, Subject: user}}, w}
	in := &tokenInput{Oauth2Flow: wire.FlowOnBehalfOfTokenExchange, Scopes: []string{"read"}}
	return f.store.Grant(ctx, account, identify(a, p, in, f.Resolver.Traits(p.Config)).key())
}

var (
	byExchange = provider.OnBehalfOf{GrantType: wire.GrantTypeTokenExchange}
	withActor  = provider.OnBehalfOf{GrantType: wire.GrantTypeTokenExchange, Actor: wire.ActorM2M, ActorScopes: []string{"act"}}
)

// Tokens of one user that were got by different JWTs, callers, agents, scopes, targets, parameters or settings are never taken for one another, and say who acts.
func TestFlowOnBehalfOfTellsRequestsApart(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.onBehalf(withActor)
	f.vendor.AddClient(fakeidp.Client{ID: "another", Secret: "client-secret"})
	f.addProvider("second")
	f.change("second", true, func(c *provider.Config) { c.ClientID, c.OnBehalfOf = "another", new(withActor) })
	f.addWorkload("another agent")

	one, two := f.jwt("alice", 5*time.Minute), f.jwt("alice", 5*time.Minute)
	byOne, byTwo := f.by(one), f.by(two)
	tokens, kinds := map[string]string{}, 0
	distinct := func(kind, actor string, edit ...func(*tokenInput)) {
		t.Helper()
		kinds++
		token := f.token("", edit...)
		if other, ok := tokens[token]; ok {
			t.Errorf("%s is given the token of %s", kind, other)
		}
		tokens[token] = kind
		info, _ := f.vendor.Introspect(token)
		if info.Subject != "alice" || info.Actor != actor {
			t.Errorf("%s: the token is of %q, and %q acts", kind, info.Subject, info.Actor)
		}
		if again := f.token("", edit...); again != token {
			t.Errorf("%s is not served from the vault", kind)
		}
		if n := f.vendor.Count(fakeidp.TokenExchange); n != kinds {
			t.Errorf("%s: %d exchanges, want %d", kind, n, kinds)
		}
	}
	distinct("a JWT", "client", byOne)
	distinct("another JWT of the same user", "client", byTwo)
	admin := f.caller
	for _, role := range []string{"one", "two"} {
		f.caller.ARN = iam.User(account, role)
		distinct("caller "+role, "client", byOne)
	}
	f.caller = admin
	distinct("another client", "another", byOne, func(in *tokenInput) { in.ResourceCredentialProviderName = "second" })
	other, err := f.GetWorkloadAccessTokenForJWT(t.Context(), f.caller, &wire.GetWorkloadAccessTokenForJWTInput{WorkloadName: "another agent", UserToken: one})
	f.must(err)
	distinct("another agent", "client", byOne, func(in *tokenInput) { in.WorkloadIdentityToken = secret.New(other.WorkloadAccessToken) })
	for kind, edit := range map[string]func(*tokenInput){
		"more scopes": func(in *tokenInput) { in.Scopes = []string{"read", "write"} }, "no scopes": func(in *tokenInput) { in.Scopes = nil },
		"a resource": func(in *tokenInput) { in.Resources = []string{"https://r/1"} }, "an audience": func(in *tokenInput) { in.Audiences = []string{"https://r/1"} },
		"a parameter": func(in *tokenInput) { in.CustomParameters = map[string]secret.String{"p": secret.New("1")} },
		"another one": func(in *tokenInput) { in.CustomParameters = map[string]secret.String{"prompt": secret.New("none")} },
	} {
		distinct(kind, "client", byOne, edit)
	}
	f.change("vendor", false, func(c *provider.Config) { c.OnBehalfOf = new(byExchange) })
	distinct("no actor any more", "", byOne)
	if f.token("", byOne, func(in *tokenInput) { in.Scopes = []string{"read", "read"} }) != f.token("", byOne) {
		t.Error("the same set of scopes gets two tokens")
	}
	if n := f.vendor.Count("client_credentials"); n != 3 {
		t.Errorf("%d actor tokens for two agents at one provider and one at another", n)
	}
}

// A token that lives on at the vendor is not served any more when the JWT has ended, not even one just got; one that ends before is renewed.
func TestFlowOnBehalfOfEndsWithTheJWT(t *testing.T) {
	setUp := func(t *testing.T, dir string, test func(*fixture)) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, dir)
			defer func() { f.Wait(); f.must(f.store.Close()) }()
			f.onBehalf(withActor)
			test(f)
		})
	}
	dir := t.TempDir
	refused := func(t *testing.T, f *fixture, edit ...func(*tokenInput)) {
		t.Helper()
		n := f.vendor.Count(fakeidp.TokenExchange)
		_, err := f.ask("", edit...)
		is(t, err, fault.Unauthorized, "GetWorkloadAccessTokenForJWT")
		if more := f.vendor.Count(fakeidp.TokenExchange) - n; more != 0 {
			t.Errorf("%d exchanges of a JWT that has ended", more)
		}
	}
	t.Run("a token of an hour", func(t *testing.T) {
		setUp(t, dir(), func(f *fixture) {
			jwt := f.jwt("alice", 2*time.Minute)
			end := time.Now().Add(2 * time.Minute).Truncate(time.Second)
			by := f.by(jwt)
			first, err := f.ask("", by)
			f.must(err)
			if !first.AccessTokenExpiresAt.Equal(end) {
				t.Errorf("said to end at %s, with a JWT to %s", first.AccessTokenExpiresAt, end)
			}
			if row, err := f.oboRow(jwt, "alice"); err != nil || !row.ExpiresAt.Equal(end) {
				t.Errorf("kept until %s, %v", row.ExpiresAt, err)
			}
			for range 119 {
				time.Sleep(time.Second)
				if f.token("", by) != first.AccessToken {
					t.Fatal("not served from the vault")
				}
			}
			time.Sleep(time.Until(end))
			if _, alive := f.vendor.Introspect(first.AccessToken); !alive {
				t.Error("the token has ended at the vendor: this proves nothing")
			}
			refused(t, f, by)
			refused(t, f, by, func(in *tokenInput) { in.ForceAuthentication = new(true) })
			f.crash()
			refused(t, f, by)
			f.must(f.store.Purge(time.Now().Add(time.Second)))
			if _, err := f.oboRow(jwt, "alice"); err == nil {
				t.Error("it is kept for ever")
			}
		})
	})
	t.Run("a token without an end", func(t *testing.T) {
		setUp(t, dir(), func(f *fixture) {
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.OmitExpiresIn = true })
			by := f.by(f.jwt("alice", time.Minute))
			f.token("", by)
			time.Sleep(time.Minute)
			refused(t, f, by)
		})
	})
	t.Run("a JWT that ends during the exchange", func(t *testing.T) {
		setUp(t, dir(), func(f *fixture) {
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue = 10 * time.Second })
			by := f.by(f.jwt("alice", 15*time.Second)) // ten for the actor's token
			_, err := f.ask("", by)
			is(t, err, fault.Unauthorized, "expired")
		})
	})
	t.Run("a token of a minute", func(t *testing.T) {
		setUp(t, dir(), func(f *fixture) {
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Minute })
			by := f.by(f.jwt("alice", 5*time.Minute))
			first := f.token("", by)
			time.Sleep(53 * time.Second)
			if f.token("", by) != first {
				t.Error("renewed too early")
			}
			time.Sleep(2 * time.Second)
			second := f.token("", by)
			if second == first {
				t.Error("not renewed")
			}
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
			time.Sleep(55 * time.Second)
			if f.token("", by) != second {
				t.Error("a token that is valid is not served while the vendor is away")
			}
			time.Sleep(time.Minute)
			_, err := f.ask("", by)
			is(t, err, fault.Throttled, "503")
		})
	})
}

// What is sent to the vendor: the JWT as the user's word, what the request says, and what the provider's way adds; parameters of the request replace only what they may.
func TestFlowOnBehalfOf(t *testing.T) {
	microsoft := func(c *provider.Config) {
		c.Vendor, c.DiscoveryURL, c.OnBehalfOf = wire.VendorMicrosoftOauth2, "", nil
		c.Metadata = &provider.Metadata{Issuer: issuer, AuthorizationEndpoint: issuer + "/authorize", TokenEndpoint: issuer + "/token"}
	}
	parameters := func(kv ...string) func(*tokenInput) {
		return func(in *tokenInput) {
			in.CustomParameters = map[string]secret.String{}
			for i := 0; i < len(kv); i += 2 {
				in.CustomParameters[kv[i]] = secret.New(kv[i+1])
			}
		}
	}
	const jwtType = "urn:ietf:params:oauth:token-type:jwt"
	for name, c := range map[string]struct {
		how       provider.OnBehalfOf
		config    func(*provider.Config)
		behaviour func(*fakeidp.Behaviour)
		edit      func(*tokenInput)
		want      url.Values // JWT and ACTOR stand for the tokens
		anonymous bool
	}{
		"token exchange": {
			how: byExchange, want: url.Values{"grant_type": {fakeidp.TokenExchange}, "subject_token": {"JWT"}, "subject_token_type": {jwtType}, "scope": {"read"}},
		},
		"without scopes, for resources and audiences": {
			how: byExchange, edit: func(in *tokenInput) {
				in.Scopes, in.Resources, in.Audiences = nil, []string{"https://r/1", "https://r/2"}, []string{"a", "b"}
			},
			want: url.Values{"grant_type": {fakeidp.TokenExchange}, "subject_token": {"JWT"}, "subject_token_type": {jwtType}, "resource": {"https://r/1", "https://r/2"}, "audience": {"a", "b"}},
		},
		"with an actor": {
			how: withActor, want: url.Values{"grant_type": {fakeidp.TokenExchange}, "subject_token": {"JWT"}, "subject_token_type": {jwtType}, "scope": {"read"},
				"actor_token": {"ACTOR"}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"}},
		},
		"other types": {
			how:  byExchange,
			edit: parameters("subject_token_type", "urn:ietf:params:oauth:token-type:access_token", "requested_token_type", "urn:ietf:params:oauth:token-type:access_token", "tenant", "x"),
			want: url.Values{"grant_type": {fakeidp.TokenExchange}, "subject_token": {"JWT"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
				"requested_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "tenant": {"x"}, "scope": {"read"}},
		},
		"what may not be replaced": {
			how: withActor,
			edit: parameters("subject_token", "evil", "actor_token", "evil", "actor_token_type", "evil", "assertion", "evil", "grant_type", "password", "scope", "admin",
				"client_id", "evil", "client_secret", "evil", "client_assertion", "evil"),
			want: url.Values{"grant_type": {fakeidp.TokenExchange}, "subject_token": {"JWT"}, "subject_token_type": {jwtType}, "scope": {"read"},
				"actor_token": {"ACTOR"}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"}},
		},
		"no client": {
			how: provider.OnBehalfOf{GrantType: wire.GrantTypeTokenExchange, NoClient: true}, behaviour: func(b *fakeidp.Behaviour) { b.NoClientExchange = true }, anonymous: true,
			want: url.Values{"grant_type": {fakeidp.TokenExchange}, "subject_token": {"JWT"}, "subject_token_type": {jwtType}, "scope": {"read"}},
		},
		"no client, but an actor, who has one": {
			how: provider.OnBehalfOf{GrantType: wire.GrantTypeTokenExchange, Actor: wire.ActorM2M, NoClient: true}, behaviour: func(b *fakeidp.Behaviour) { b.NoClientExchange = true }, anonymous: true,
			want: url.Values{"grant_type": {fakeidp.TokenExchange}, "subject_token": {"JWT"}, "subject_token_type": {jwtType}, "scope": {"read"},
				"actor_token": {"ACTOR"}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"}},
		},
		"JWT grant": {
			how:  provider.OnBehalfOf{GrantType: wire.GrantTypeJwtAuthorizationGrant},
			want: url.Values{"grant_type": {fakeidp.JWTBearer}, "assertion": {"JWT"}, "scope": {"read"}},
		},
		"Microsoft": {
			config: microsoft, behaviour: func(b *fakeidp.Behaviour) { b.OnBehalfOf = true },
			want: url.Values{"grant_type": {fakeidp.JWTBearer}, "assertion": {"JWT"}, "scope": {"read"}, "requested_token_use": {"on_behalf_of"}, "client_id": {"client"}, "client_secret": {"client-secret"}},
		},
		"Microsoft, replaced": {
			config: microsoft, edit: parameters("requested_token_use", "another"),
			want: url.Values{"grant_type": {fakeidp.JWTBearer}, "assertion": {"JWT"}, "scope": {"read"}, "requested_token_use": {"another"}, "client_id": {"client"}, "client_secret": {"client-secret"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.onBehalf(c.how)
			if c.config != nil {
				f.change("vendor", true, c.config)
			}
			if c.behaviour != nil {
				f.vendor.Set(c.behaviour)
			}
			if c.edit == nil {
				c.edit = func(*tokenInput) {}
			}
			jwt := f.jwt("alice", time.Minute)
			token := f.token("", f.by(jwt), c.edit)
			if info, ok := f.vendor.Introspect(token); !ok || info.Subject != "alice" {
				t.Errorf("the vendor says of the token: %+v", info)
			}
			requests := f.vendor.Requests()
			last := requests[len(requests)-1]
			if last.Form.Get("subject_token") != "" {
				last.Form.Set("subject_token", strings.ReplaceAll(last.Form.Get("subject_token"), jwt.Reveal(), "JWT"))
			}
			if last.Form.Get("assertion") != "" {
				last.Form.Set("assertion", strings.ReplaceAll(last.Form.Get("assertion"), jwt.Reveal(), "JWT"))
			}
			if actor := last.Form.Get("actor_token"); actor != "" {
				if info, ok := f.vendor.Introspect(actor); !ok || info.Subject != "client" {
					t.Errorf("the vendor says of the actor's token: %+v", info)
				}
				last.Form.Set("actor_token", "ACTOR")
			}
			if diff := cmp.Diff(c.want, last.Form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			if basic := last.Header.Get("Authorization") != ""; basic == (c.anonymous || c.config != nil) {
				t.Errorf("an Authorization header: %v", basic)
			}
		})
	}
}

// Whatever the vendor gives with a token, no refresh token of this flow is written.
func TestOnBehalfOfKeepsNoRefreshToken(t *testing.T) {
	for _, grantType := range []wire.OnBehalfOfTokenExchangeGrantType{wire.GrantTypeTokenExchange, wire.GrantTypeJwtAuthorizationGrant} {
		f := newFixture(t, t.TempDir())
		f.onBehalf(provider.OnBehalfOf{GrantType: grantType})
		jwt := f.jwt("alice", time.Minute)
		given := f.token("", f.by(jwt))
		row, err := f.oboRow(jwt, "alice")
		f.must(err)
		if row.RefreshToken != nil {
			t.Errorf("%s: a refresh token is kept", grantType)
		}
		if name, err := f.Vault.UserName(t.Context(), row); err != nil || name != `jwt:"`+issuer+`" "alice"` {
			t.Errorf("%s: kept for %q, %v", grantType, name, err)
		}
		if info, _ := f.vendor.Introspect(given); info.Family == 0 || f.vendor.Snapshot().NoRefreshToken {
			t.Error("the vendor gave no refresh token: this proves nothing")
		}
	}
}

// Only a workload access token that was made from a JWT will do, at a provider that has a way; and a refusal says what to do, by the vendor's own code.
func TestFlowOnBehalfOfRefusals(t *testing.T) {
	f := newFixture(t, t.TempDir())
	exchange := func(in *tokenInput) { in.Oauth2Flow = wire.FlowOnBehalfOfTokenExchange }
	jwt := f.jwt("alice", time.Minute)
	f.onBehalf(byExchange)
	by := f.by(jwt)
	for _, user := range []string{"", "alice"} {
		_, err := f.ask(user, exchange)
		is(t, err, fault.Validation, "get one with GetWorkloadAccessTokenForJWT")
	}
	f.change("vendor", false, func(c *provider.Config) { c.OnBehalfOf = nil })
	_, err := f.ask("", by)
	is(t, err, fault.Validation, "onBehalfOfTokenExchangeConfig")
	f.addProvider("google")
	f.change("google", true, func(c *provider.Config) { c.Vendor, c.DiscoveryURL = wire.VendorGoogleOauth2, "" })
	_, err = f.ask("", by, func(in *tokenInput) { in.ResourceCredentialProviderName = "google" })
	is(t, err, fault.Validation, "vendor GoogleOauth2 has no way")
	if n := f.vendor.Count(fakeidp.TokenExchange); n != 0 {
		t.Errorf("%d exchanges", n)
	}

	f.change("vendor", false, func(c *provider.Config) { c.OnBehalfOf = new(withActor) })
	for _, c := range []struct {
		failures  fakeidp.Failures
		kind      error
		says      string
		usersTurn bool
	}{
		{fakeidp.Failures{ErrorCode: "interaction_required", Suberror: "basic_action"}, fault.Validation, "interaction_required: basic_action", true},
		{fakeidp.Failures{ErrorCode: "invalid_grant", Suberror: "consent_required"}, fault.Validation, "invalid_grant: consent_required", true},
		{fakeidp.Failures{ErrorCode: "consent_required"}, fault.Validation, "consent_required", true},
		{fakeidp.Failures{ErrorCode: "invalid_target"}, fault.Validation, "invalid_target", false},
		{fakeidp.Failures{ErrorCode: "unsupported_grant_type"}, fault.Validation, `offer the grant types ["authorization_code" "client_credentials" "refresh_token"]`, false},
		{fakeidp.Failures{ErrorCode: "invalid_client", Status: 401}, fault.Validation, "invalid_client", false},
		{fakeidp.Failures{Status: 503, RetryAfter: "3"}, fault.Throttled, "503", false},
		{fakeidp.Failures{CutAfterIssue: true}, fault.Throttled, "try again later", false},
	} {
		t.Run(c.says, func(t *testing.T) {
			f.vendor.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{} })
			f.token("", func(in *tokenInput) { in.Scopes = withActor.ActorScopes }) // the actor's is there
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Failures = c.failures })
			_, err := f.ask("", by)
			is(t, err, c.kind, c.says)
			if strings.Contains(errText(err), "has to consent or to sign in") != c.usersTurn {
				t.Errorf("says %q", errText(err))
			}
			if strings.Contains(fmt.Sprint(err), jwt.Reveal()) {
				t.Error("the JWT is in the error")
			}
		})
	}
	t.Run("the actor's token", func(t *testing.T) {
		f.change("vendor", false, func(c *provider.Config) {
			c.OnBehalfOf = &provider.OnBehalfOf{GrantType: wire.GrantTypeTokenExchange, Actor: wire.ActorM2M, ActorScopes: []string{"forbidden"}}
		})
		f.vendor.Set(func(b *fakeidp.Behaviour) {
			*b = fakeidp.Behaviour{Failures: fakeidp.Failures{ErrorCode: "invalid_scope"}}
		})
		_, err := f.ask("", by)
		is(t, err, fault.Validation, "The actor token of provider vendor cannot be had by client credentials")
		is(t, err, fault.Validation, "invalid_scope")
	})
}

// Many who ask for the same at once cause one exchange and one actor token.
func TestOnBehalfOfSingleFlight(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.onBehalf(withActor)
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.StallAfterIssue = 20 * time.Millisecond })
	by := [2]func(*tokenInput){f.by(f.jwt("alice", time.Minute)), f.by(f.jwt("alice", time.Minute))}
	var tokens [64]string
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() { tokens[i] = f.token("", by[i%2]) })
	}
	all.Wait()
	for i, token := range tokens {
		if token != tokens[i%2] {
			t.Fatalf("request %d has another token", i)
		}
	}
	if tokens[0] == tokens[1] || f.vendor.Count(fakeidp.TokenExchange) != 2 || f.vendor.Count("client_credentials") != 1 {
		t.Errorf("%d exchanges, %d actor tokens", f.vendor.Count(fakeidp.TokenExchange), f.vendor.Count("client_credentials"))
	}
}

// A write that fails, or a process that dies, between the vendor's answer and the write costs a token and nothing else: the next request gets another.
func TestOnBehalfOfFaults(t *testing.T) {
	for name, how := range map[string]func(func() (int64, error)) (int64, error){"the write is lost": lost, "its answer is lost": unheard} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", crash ", crash), func(t *testing.T) {
				f := newFixture(t, t.TempDir())
				f.onBehalf(withActor)
				by := f.by(f.jwt("alice", time.Minute))
				f.faults.next(fine, how) // the actor's, the exchange's
				if out, err := f.ask("", by); err == nil {
					t.Errorf("a token that is not written is handed out: %+v", out)
				}
				if crash {
					f.crash()
				}
				if info, ok := f.vendor.Introspect(f.token("", by)); !ok || info.Subject != "alice" || info.Actor != "client" {
					t.Errorf("the next token: %+v", info)
				}
				if n := f.vendor.Count("client_credentials"); n != 1 {
					t.Errorf("%d actor tokens", n)
				}
			})
		}
	}
}
