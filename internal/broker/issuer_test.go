package broker

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/workload"
)

// ourIssuer is the account as an issuer.
var ourIssuer = vault.IssuerURL(publicURL, account)

func workloadARN(name string) string {
	return iam.ARNs{Region: "us-east-1"}.Workload(account, name)
}

// vouched has the vendor take the account's word for a client of each workload identity, and the provider authenticate by it.
func (f *fixture) vouched(workloads ...string) {
	f.t.Helper()
	f.vendor.Trust(ourIssuer, func() (set jose.JSONWebKeySet, err error) {
		keys, err := f.Vault.IssuerKeys(f.t.Context(), account)
		for _, k := range keys {
			set.Keys = append(set.Keys, k.Public)
		}
		return set, err
	})
	for _, name := range workloads {
		f.vendor.AddClient(fakeidp.Client{ID: "client of " + name, Issuer: ourIssuer, Subject: workloadARN(name)})
	}
	f.change("vendor", true, func(c *provider.Config) { c.ClientID, c.AuthMethod = "", wire.MethodAwsIamIdTokenJwt })
}

// watOf is a workload access token of a workload identity for itself.
func (f *fixture) watOf(w store.Workload) secret.String {
	f.t.Helper()
	wat, err := workload.Mint(f.t.Context(), f.Vault, account, workload.Token{Workload: w.Name, Incarnation: w.Incarnation})
	f.must(err)
	return wat
}

// post is somebody else's token request; the answer is its status.
func (f *fixture) post(form url.Values) int {
	req := httptest.NewRequest(http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.vendor.Handler().ServeHTTP(w, req)
	return w.Code
}

// sent are the forms of the token requests that the vendor saw.
func (f *fixture) sent() (forms []url.Values) {
	for _, r := range f.vendor.Requests() {
		if r.Path == "/token" {
			forms = append(forms, r.Form)
		}
	}
	return forms
}

func claimsOf(t *testing.T, token string) (claims jwt.Claims) {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err == nil {
		err = parsed.UnsafeClaimsWithoutVerification(&claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// The issuer vouches for each workload identity by its own name, for the token endpoint, for five minutes, anew with each request; no secret is sent, and no
// client id when the provider has none.
func TestClientAuthByIDToken(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.addWorkload("another")
	f.vouched("agent", "another")
	one := f.token("")
	w, err := f.Vault.Workload(t.Context(), account, "another")
	f.must(err)
	two := f.token("", func(in *tokenInput) { in.WorkloadIdentityToken = f.watOf(w) })
	for token, client := range map[string]string{one: "client of agent", two: "client of another"} {
		if info, ok := f.vendor.Introspect(token); !ok || info.ClientID != client {
			t.Errorf("%s: %+v", client, info)
		}
	}
	seen := map[string]bool{}
	for i, form := range f.sent() {
		c := claimsOf(t, form.Get("client_assertion"))
		if form.Has("client_id") || form.Has("client_secret") || seen[c.ID] || c.Issuer != ourIssuer || c.Subject != workloadARN([]string{"agent", "another"}[i]) ||
			len(c.Audience) != 1 || c.Audience[0] != issuer+"/token" || c.Expiry.Time().Sub(c.IssuedAt.Time()) != 5*time.Minute {
			t.Errorf("request %d: %+v", i, c)
		}
		seen[c.ID] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d requests", len(seen))
	}
	// Nobody else is believed: a workload identity that the vendor does not know.
	f.addWorkload("stranger")
	w, err = f.Vault.Workload(t.Context(), account, "stranger")
	f.must(err)
	if _, err := f.ask("", func(in *tokenInput) { in.WorkloadIdentityToken = f.watOf(w) }); !errors.Is(err, fault.Validation) {
		t.Errorf("a stranger: %v", err)
	}
	// A user cannot be asked by a client without an id, and that is said before anything is begun.
	var refused *fault.Fault
	if _, err := f.ask("alice"); !errors.As(err, &refused) || refused.Kind != fault.Validation || refused.Fields[0].Name != "resourceCredentialProviderName" {
		t.Errorf("a user is asked: %v", err)
	}
}

// A user's consent, its renewal and its end: each request has a token of its own, also when the keys of the issuer were withdrawn in between.
func TestFlowUserFederationByIDToken(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vouched("agent")
		f.change("vendor", true, func(c *provider.Config) { c.ClientID = "client of agent" })
		first := f.granted("alice")
		f.must(f.Vault.RotateIssuerKeys(t.Context(), account, true))
		time.Sleep(59*time.Minute + 30*time.Second)
		if second := f.token("alice"); second == first {
			t.Error("it is not renewed")
		}
		forms := f.sent()
		if len(forms) != 2 {
			t.Fatalf("%d requests", len(forms))
		}
		for i, grantType := range []string{"authorization_code", "refresh_token"} {
			c := claimsOf(t, forms[i].Get("client_assertion"))
			if forms[i].Get("grant_type") != grantType || forms[i].Get("client_id") != "client of agent" || c.Subject != workloadARN("agent") {
				t.Errorf("%v by %+v", forms[i], c)
			}
		}
	})
}

// An agent says who it is when it acts for a user: the actor is the workload identity, whatever the client.
func TestFlowActorByIDToken(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vouched("agent")
	f.change("vendor", true, func(c *provider.Config) { c.ClientID, c.AuthMethod = "client", "" })
	f.onBehalf(provider.OnBehalfOf{GrantType: wire.GrantTypeTokenExchange, Actor: wire.ActorAwsIamIdTokenJwt})
	token := f.token("", f.by(f.jwt("alice", 5*time.Minute)))
	if info, _ := f.vendor.Introspect(token); info.Subject != "alice" || info.Actor != workloadARN("agent") || info.ClientID != "client" {
		t.Errorf("%+v", info)
	}
	form := f.sent()[0]
	if c := claimsOf(t, form.Get("actor_token")); form.Get("actor_token_type") != "urn:ietf:params:oauth:token-type:jwt" || c.Issuer != ourIssuer || len(c.Audience) != 1 || c.Audience[0] != issuer+"/token" {
		t.Errorf("%v, %+v", form, c)
	}
	if f.vendor.Count("client_credentials") != 0 {
		t.Error("an actor token was asked of the vendor")
	}
}

// What a caller may have signed in his own name proves no client, though it is for the same endpoint: he is no workload identity.
func TestClientAuthNobodyElseIsTheClient(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vouched("agent")
	callers, _, err := f.Vault.SignIDToken(t.Context(), vault.IDToken{
		Account: account, Issuer: ourIssuer, Subject: f.caller.ARN, Audience: []string{issuer + "/token"}, Algorithm: wire.WebIdentityTokenRS256, Life: time.Minute,
		Tags: map[string]string{"sub": workloadARN("agent")},
	})
	f.must(err)
	post := func(assertion string) int {
		return f.post(url.Values{
			"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
		})
	}
	f.token("")
	if code := post(f.sent()[0].Get("client_assertion")); code != 200 {
		t.Fatalf("the client's own token is refused, so this test proves nothing: %d", code)
	}
	if code := post(callers.Reveal()); code != 401 {
		t.Errorf("a caller is taken for a workload identity: %d", code)
	}
}

// A vendor whose clock is a little behind takes our ID tokens; one whose clock is far behind refuses them, and that is told.
func TestClientAuthByIDTokenOfAnotherTime(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vouched("agent")
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.ClockBehind = 8 * time.Second })
	f.token("")
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.DPoP.ClockBehind = 5 * time.Minute })
	_, err := f.ask("", func(in *tokenInput) { in.ForceAuthentication = new(true) })
	is(t, err, fault.Validation, "invalid_client")
	if n := len(f.sent()); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// A vendor that wants ID tokens for its token endpoint refuses those for its issuer, and is told none for anybody else.
func TestClientAuthByIDTokenForTheIssuer(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vouched("agent")
	f.change("vendor", false, func(c *provider.Config) { c.AssertionAudience = wire.AudienceIssuer })
	_, err := f.ask("")
	is(t, err, fault.Validation, "invalid_client")
	sent := f.sent()
	if len(sent) != 1 || claimsOf(t, sent[0].Get("client_assertion")).Audience[0] != issuer {
		t.Errorf("%d requests: %v", len(sent), sent)
	}
}

// Our issuer's keys are rotated while an ID token is on its way: what an earlier key signed is taken to its end, and so is what the next one signs from its first moment on. Only
// when the keys are withdrawn is what was on its way refused, and the next token is signed by a key that stays.
func TestClientAuthIssuerKeysRotatedInMidFlow(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vouched("agent")
		var meanwhile func()
		f.vendor.Trust(ourIssuer, func() (set jose.JSONWebKeySet, err error) { // what the vendor reads when the ID token has reached it
			if meanwhile != nil {
				meanwhile()
			}
			keys, err := f.Vault.IssuerKeys(t.Context(), account)
			for _, k := range keys {
				set.Keys = append(set.Keys, k.Public)
			}
			return set, err
		})
		signedBy := func(during func()) (kid string, _ error) {
			t.Helper()
			meanwhile = during
			_, err := f.ask("", func(in *tokenInput) { in.ForceAuthentication = new(true) })
			sent := f.sent()
			parsed, parseErr := jwt.ParseSigned(sent[len(sent)-1].Get("client_assertion"), []jose.SignatureAlgorithm{jose.RS256})
			f.must(parseErr)
			return parsed.Headers[0].KeyID, err
		}
		rotate := func(withdraw bool) func() {
			return func() { f.must(f.Vault.RotateIssuerKeys(t.Context(), account, withdraw)) }
		}
		first, err := signedBy(rotate(false))
		f.must(err)
		time.Sleep(24*time.Hour - time.Second)
		last, err := signedBy(func() { time.Sleep(2 * time.Second) }) // the next key signs by the time that it arrives
		f.must(err)
		next, err := signedBy(nil)
		f.must(err)
		if first != last || next == first {
			t.Errorf("signed by %s, %s and %s", first, last, next)
		}
		if _, err := signedBy(rotate(true)); err == nil {
			t.Error("a key that was withdrawn is still good")
		}
		after, err := signedBy(nil)
		f.must(err)
		if after == next {
			t.Error("signed by a key that was withdrawn")
		}
	})
}
