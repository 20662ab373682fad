package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"credence/internal/server"
	"credence/internal/testenv"
)

// authorizationServer is a real one, and how it differs from the others.
type authorizationServer struct {
	name  string
	start func() (*vendor, error)

	scopes     []string
	parameters object // customParameters without which it gives no refresh token

	// What a person does from the first page to the application, and for a second consent in the same browser.
	consent, again func(*tab, *federation)

	user    string // the claim at userinfo that is the user's name
	revoked string // the error with which it answers a refresh token that was revoked
	secret  string // what the caller is told after a wrong client secret
}

// authorizationServers are those that the whole journey runs at.
//
//	               issuer      a refresh token needs            asks for consent  refuses
//	oidc-provider  an origin   offline_access, prompt=consent   each time         by RFC 6749
//	zitadel        ends in /   offline_access                   never             by RFC 6749
//	glewlwyd       has a path  nothing                          once              by HTTP status, often without a body
//
// All rotate refresh tokens and demand PKCE or take it; glewlwyd demands a nonce with openid, and does not decode ids and secrets in HTTP Basic.
var authorizationServers = []authorizationServer{
	{
		name: "oidc-provider", start: newVendor,
		scopes: []string{"openid", "offline_access"}, parameters: object{"prompt": "consent"},
		consent: func(b *tab, c *federation) { b.reads("Sign-in"); c.signIn(b); c.agree(b) },
		again:   func(b *tab, c *federation) { b.reads("Authorize"); c.agree(b) },
		user:    "sub", revoked: "invalid_grant", secret: "invalid_client",
	},
	{
		name: "zitadel", start: newZitadel,
		scopes:  []string{"openid", "offline_access", "profile"},
		consent: zitadelSignIn, again: zitadelSignIn,
		user: "sub", revoked: "invalid_grant", secret: "invalid_client",
	},
	{
		name: "glewlwyd", start: newGlewlwyd,
		scopes: []string{"openid", "read"},
		consent: func(b *tab, c *federation) {
			b.fill("#username", c.user)
			b.fill("#password", "password of alice"+enterKey)
			b.click("#grant-read")
			b.click(".btn-primary") // Grant access
			await(b.t, "the grant to be given", func() bool { return !strings.Contains(b.String(), "Client access grant") })
			b.click(".btn-success") // Continue
			b.reads("connected")
		},
		again: func(b *tab, _ *federation) { b.click(".btn-success"); b.reads("connected") },
		user:  "name", revoked: "", secret: "HTTP 403",
	},
}

func zitadelSignIn(b *tab, c *federation) {
	b.fill("#username", c.user)
	b.fill("#password", "any"+enterKey)
	b.reads("connected")
}

// At every server, and on each engine: a provider by its discovery document alone, a consent in a browser, a token that is the user's, refreshes with rotation, a new consent when
// the vendor's side has ended the grant, and a token for the workload itself.
func TestFlowJourney(t *testing.T) {
	run := func(name string, s authorizationServer, edit ...func(*server.Config)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := testenv.Start(t, edit...)
			v, err := s.start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if said, err := v.stop(); err != nil || t.Failed() {
					t.Logf("%s: %v\n%s", s.name, err, said)
				}
			})
			v.plant(e)
			a := administrator(e)
			t.Run("USER_FEDERATION", func(t *testing.T) { s.journey(t, v, atVendor(a.in(t), v, "short", "CLIENT_SECRET_BASIC", "alice")) })
			t.Run("M2M", func(t *testing.T) { s.machine(t, v, a.in(t)) })
		})
	}
	for _, s := range authorizationServers {
		run(s.name, s)
	}
	run("on PostgreSQL", authorizationServers[0], testenv.OnPostgreSQL(t))
}

func (s authorizationServer) journey(t *testing.T, v *vendor, c *federation) {
	document := v.discover(t)
	c.request["scopes"], c.request["customParameters"] = s.scopes, s.parameters
	if s.parameters == nil {
		delete(c.request, "customParameters")
	}
	isUsers := func(token string) {
		t.Helper()
		if claims := userinfo(t, document.Userinfo, token); claims[s.user] != c.user {
			t.Errorf("the token belongs to %v", claims)
		}
	}
	b := newTab(t)
	c.begin()
	b.visit(c.app.URL)
	b.click("#connect")
	s.consent(b, c)
	first := c.poll().AccessToken
	isUsers(first)

	delete(c.request, "sessionUri")
	second := c.another(t, first)
	isUsers(second)
	code, refresh := v.last(t, "authorization_code"), v.last(t, "refresh_token")
	if code.Client != "short" || code.Method != "client_secret_basic" || code.RefreshToken == "" {
		t.Errorf("the code was exchanged so: %+v", code)
	}
	if refresh.Spent != code.RefreshToken || refresh.RefreshToken == refresh.Spent || refresh.AccessToken != second {
		t.Errorf("the token was refreshed so: %+v", refresh)
	}

	v.revoke(t, document.Revocation, v.clients["short"], refresh.RefreshToken)
	var gone token
	await(t, "the agent to be told of the revoked grant", func() bool {
		gone = call[token](c.agent, "GetResourceOauth2Token", c.request)
		return gone.AccessToken != second
	})
	if gone.AuthorizationURL == "" || gone.AccessToken != "" {
		t.Fatalf("after the vendor revoked the grant: %+v", gone)
	}
	if refused := v.last(t, "refused"); refused.Error != s.revoked {
		t.Errorf("the vendor refused with %q", refused.Error)
	}
	c.begin()
	b.visit(c.app.URL)
	b.click("#connect")
	s.again(b, c)
	third := c.poll().AccessToken
	if third == second {
		t.Error("the new consent brought the old token")
	}
	isUsers(third)
}

// machine gets a token for a workload that acts for itself.
func (s authorizationServer) machine(t *testing.T, v *vendor, a *agent) {
	client := v.clients["machine"]
	ask := func(name, clientSecret string) answer {
		call[object](a, "CreateOauth2CredentialProvider", customProvider(name, v.issuer, client.ID, clientSecret, "CLIENT_SECRET_BASIC"))
		return a.ask("GetResourceOauth2Token", object{"input": object{
			"workloadIdentityToken": a.wat("agent-short", ""), "resourceCredentialProviderName": name, "scopes": []string{"read"}, "oauth2Flow": "M2M",
		}})
	}
	got := finish[token](a, "GetResourceOauth2Token", ask("machine-vendor", client.Secret)).AccessToken
	if info := v.introspect(t, client, got); info["active"] != true {
		t.Errorf("the vendor says of the machine's token: %v", info)
	}
	if issued := v.last(t, "client_credentials"); issued.Client != "machine" || issued.AccessToken != got {
		t.Errorf("the vendor issued %+v", issued)
	}
	wrong := ask("machine-vendor-wrong", "another secret")
	if wrong.Error == nil || wrong.Error.Name != "ValidationException" || !strings.Contains(wrong.Error.Message, s.secret) {
		t.Errorf("with a wrong secret: %+v", wrong.Error)
	}
}

// another waits until the agent gets another access token.
func (c *federation) another(t *testing.T, than string) (next string) {
	t.Helper()
	await(t, "another access token", func() bool {
		next = call[token](c.agent, "GetResourceOauth2Token", c.request).AccessToken
		return next != than
	})
	return next
}

// tap records what a token endpoint is asked and answers, for servers that do not tell.
func (v *vendor) tap(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/token") {
			server.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		form, _ := url.ParseQuery(string(body))
		var out struct {
			AccessToken      string `json:"access_token"`
			RefreshToken     string `json:"refresh_token"`
			IDToken          string `json:"id_token"`
			Error            string `json:"error"`
			ErrorDescription string `json:"error_description"`
		}
		_ = json.Unmarshal(answer.Body.Bytes(), &out) // some refusals have no body
		e := vendorEvent{
			Event: "token", Method: "client_secret_post", GrantType: form.Get("grant_type"), Code: form.Get("code"), Spent: form.Get("refresh_token"),
			AccessToken: out.AccessToken, RefreshToken: out.RefreshToken, IDToken: out.IDToken, Error: out.Error, Description: out.ErrorDescription,
		}
		if answer.Code != http.StatusOK {
			e.Event = "refused"
		}
		id := form.Get("client_id")
		if user, _, ok := r.BasicAuth(); ok {
			id, _ = url.QueryUnescape(user)
			e.Method = "client_secret_basic"
		}
		for name, c := range v.clients {
			if c.ID == id {
				e.Client = name
			}
		}
		v.add(e)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// last is the last answer of the token endpoint to a grant type, or the last refusal of any.
func (v *vendor) last(t *testing.T, grantTypeOrRefused string) (last vendorEvent) {
	t.Helper()
	await(t, "an answer to "+grantTypeOrRefused, func() bool {
		for _, e := range slices.Backward(v.seen()) {
			if e.Event == grantTypeOrRefused || e.Event == "token" && e.GrantType == grantTypeOrRefused {
				last = e
				return true
			}
		}
		return false
	})
	return last
}

// endpoints are those of a discovery document that no broker needs.
type endpoints struct {
	Userinfo      string `json:"userinfo_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Introspection string `json:"introspection_endpoint"`
}

func (v *vendor) discover(t *testing.T) (e endpoints) {
	t.Helper()
	fetch(t, http.MethodGet, strings.TrimSuffix(v.issuer, "/")+"/.well-known/openid-configuration", nil, func(*http.Request) {}, &e)
	return e
}

// userinfo is what a server says of the user of a token (OpenID Connect Core section 5.3).
func userinfo(t *testing.T, endpoint, token string) (claims map[string]any) {
	t.Helper()
	fetch(t, http.MethodGet, endpoint, nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, &claims)
	return claims
}

// introspect is what a server says of a token to its client (RFC 7662).
func (v *vendor) introspect(t *testing.T, c vendorClient, token string) (info map[string]any) {
	t.Helper()
	fetch(t, http.MethodPost, v.discover(t).Introspection, url.Values{"token": {token}}, c.authenticate, &info)
	return info
}

// revoke ends a grant at the server (RFC 7009).
func (v *vendor) revoke(t *testing.T, endpoint string, c vendorClient, refreshToken string) {
	t.Helper()
	fetch(t, http.MethodPost, endpoint, url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}, c.authenticate, nil)
}

func (c vendorClient) authenticate(r *http.Request) {
	r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
}

// fetch asks a server something that it must answer with 200; a nil form is no form.
func fetch(t *testing.T, method, endpoint string, form url.Values, with func(*http.Request), out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	with(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: HTTP %d %s, %v", endpoint, resp.StatusCode, text, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatalf("%s: %s: %v", endpoint, text, err)
	}
}
