package e2e

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"credence/internal/testenv"
)

// federation is everything of one consent of a user at the real vendor.
type federation struct {
	agent   *agent
	app     *application
	user    string
	request object // of GetResourceOauth2Token
}

// atVendor prepares a workload identity and a provider for a client of the real vendor.
func atVendor(a *agent, v *vendor, client, method, user string) *federation {
	a.t.Helper()
	app := startApplication(a.t)
	workload, provider := "agent-"+client, "vendor-"+client
	call[object](a, "CreateWorkloadIdentity", object{"name": workload, "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	c := v.clients[client]
	made := call[oauth2Provider](a, "CreateOauth2CredentialProvider", customProvider(provider, v.issuer, c.ID, c.Secret, method))
	v.register(a.t, client, made.CallbackURL)
	return &federation{a, app, user, object{
		"workloadIdentityToken": a.wat(workload, user), "resourceCredentialProviderName": provider, "oauth2Flow": "USER_FEDERATION",
		"scopes": []string{"openid", "offline_access"}, "resourceOauth2ReturnUrl": app.ReturnURL,
		"customParameters": object{"prompt": "consent"}, // without it this vendor gives no refresh token
	}}
}

// begin asks for a token and puts the link that comes instead into the application.
func (c *federation) begin() {
	c.agent.t.Helper()
	delete(c.request, "sessionUri")
	began := call[token](c.agent, "GetResourceOauth2Token", c.request)
	if began.AuthorizationURL == "" {
		c.agent.t.Fatalf("no consent is asked for: %+v", began)
	}
	c.agent.secrets = append(c.agent.secrets, handle(began.SessionURI))
	c.app.offer(began.AuthorizationURL, func(sessionURI string) error { return c.agent.complete(sessionURI, c.user) })
	c.request["sessionUri"] = began.SessionURI
}

// handle is the part of a session URI that is a secret.
func handle(sessionURI string) string { return sessionURI[strings.LastIndex(sessionURI, ":")+1:] }

// poll asks how the session stands.
func (c *federation) poll() token {
	c.agent.t.Helper()
	return call[token](c.agent, "GetResourceOauth2Token", c.request)
}

// leave goes from the application to the vendor, whose first page has a heading.
func (c *federation) leave(b *tab, heading string) {
	b.t.Helper()
	b.visit(c.app.URL)
	b.click("#connect")
	b.reads(heading)
}

// signIn goes on to the vendor's consent page, as its user.
func (c *federation) signIn(b *tab) {
	b.t.Helper()
	b.fill("[name=login]", c.user)
	b.fill("[name=password]", "any"+enterKey)
	b.reads("Authorize")
}

// agree goes on from the vendor's consent page to the application.
func (c *federation) agree(b *tab) {
	b.t.Helper()
	b.click("[type=submit]")
	b.reads("connected")
}

// A user goes with a real browser from the application to a real vendor and back, and the agent gets a token that the vendor knows: with HTTP Basic and with the
// secret in the body, for client ids and secrets of every character. No Referer tells the vendor or the application where the browser came from.
func TestFlowUserFederationAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	v := realVendor(e)
	for client, method := range map[string]string{"basic": "CLIENT_SECRET_BASIC", "post": "CLIENT_SECRET_POST"} {
		t.Run(method, func(t *testing.T) {
			c := atVendor(a.in(t), v, client, method, "alice")
			c.begin()
			b := newTab(t)
			c.leave(b, "Sign-in")
			b.shoot("vendor login " + client)
			c.signIn(b)
			b.shoot("vendor consent " + client)
			if got := c.poll(); got.SessionStatus != "IN_PROGRESS" || got.AccessToken != "" {
				t.Errorf("while the user thinks: %+v", got)
			}
			c.agree(b)
			b.shoot("return page " + client)

			got := c.poll()
			issued := v.issued(t, 1, client, c.user, "authorization_code")
			if len(issued) != 1 || got.AccessToken == "" || got.AccessToken != issued[0].AccessToken || issued[0].Method != strings.ToLower(method) {
				t.Fatalf("the agent has %+v, the vendor issued %+v", got, issued)
			}
			if issued[0].RefreshToken == "" {
				t.Error("the vendor gave no refresh token, so this consent proves too little")
			}
			for _, back := range c.app.seen() {
				if back.Referer != "" {
					t.Errorf("the return URL was told %q", back.Referer)
				}
			}
		})
	}
	if got := v.referers(); len(got) > 0 {
		t.Errorf("the vendor was told %q", got)
	}
}

// A user who denies at the vendor comes back to the application with the vendor's error, and the session has failed; the next one may succeed.
func TestFlowDeniedAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v := realVendor(e)
	c := atVendor(administrator(e), v, "basic", "CLIENT_SECRET_BASIC", "dora")
	c.request["customState"] = "the application's own"
	c.begin()
	b := newTab(t)
	c.leave(b, "Sign-in")
	c.signIn(b)
	b.click(".login-help a") // [ Cancel ]
	b.reads("not connected")
	if !strings.Contains(b.String(), "access_denied: ") {
		t.Errorf("the person is not told what happened: %s", b)
	}
	b.shoot("return page denied")
	back := c.app.seen()
	if len(back) != 1 || back[0].Query.Get("state") != "the application's own" || back[0].Query.Get("session_id") == "" || back[0].Query.Has("code") {
		t.Errorf("the return URL got %v", back)
	}
	if got := c.poll(); got.SessionStatus != "FAILED" || got.AccessToken != "" || got.AuthorizationURL != "" {
		t.Errorf("polled: %+v", got)
	}
	if err := c.agent.complete(back[0].Query.Get("session_id"), c.user); err == nil || !strings.HasPrefix(err.Error(), "AccessDeniedException") || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("completed all the same: %+v", err)
	}

	c.begin()
	c.leave(b, "Authorize") // it knows the user by now
	c.agree(b)
	if got := c.poll(); got.AccessToken == "" {
		t.Errorf("the second session: %+v", got)
	}
}

// At a vendor that rotates refresh tokens and revokes the grant when a spent one comes back, an agent has a valid token for ever: each expiry costs exactly one
// refresh, however many ask at once, and the token stays one for the same resource (RFC 8707). When the grant is revoked after all, the agent is told to ask the
// user again.
func TestFlowRefreshAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v := realVendor(e)
	c := atVendor(administrator(e), v, "short", "CLIENT_SECRET_BASIC", "rosa")
	const resource = "https://api.example/"
	c.request["scopes"], c.request["resources"] = []string{"openid", "offline_access", "read"}, []string{resource}
	c.begin()
	b := newTab(t)
	c.leave(b, "Sign-in")
	c.signIn(b)
	c.agree(b)
	delete(c.request, "sessionUri")

	handedOut := map[string]bool{}
	await(t, "two generations of tokens after the first", func() bool {
		for _, got := range crowd(c, 4) {
			if got.AccessToken == "" {
				t.Fatalf("an agent without a token: %+v", got)
			}
			if got := audience(t, got.AccessToken); got != resource {
				t.Fatalf("after %d tokens, one is for %q", len(handedOut), got)
			}
			handedOut[got.AccessToken] = true
		}
		return len(handedOut) == 3
	})
	refreshes := v.issued(t, 2, "short", c.user, "refresh_token")
	if len(refreshes) != 2 {
		t.Errorf("%d refreshes for two expiries", len(refreshes))
	}
	before := v.issued(t, 1, "short", c.user, "authorization_code")[0].RefreshToken
	for i, r := range refreshes {
		if r.Spent != before || r.RefreshToken == before || !handedOut[r.AccessToken] {
			t.Errorf("refresh %d: %+v", i, r)
		}
		before = r.RefreshToken
	}
	if at := slices.IndexFunc(v.seen(), func(e vendorEvent) bool { return e.Event == "revoked" && e.Client == "short" }); at >= 0 {
		t.Fatal("the vendor revoked the grant")
	}

	v.replay(t, "short", refreshes[0].Spent) // now somebody spends a refresh token twice
	await(t, "the agent to be told of the revoked grant", func() bool {
		got := call[token](c.agent, "GetResourceOauth2Token", c.request)
		return got.AccessToken == "" && got.AuthorizationURL != ""
	})
	c.begin()
	c.leave(b, "Authorize") // it knows the user by now
	c.agree(b)
	if got := c.poll(); got.AccessToken == "" || handedOut[got.AccessToken] {
		t.Errorf("after the new consent: %+v", got)
	}
}

// crowd asks for the token many times at once.
func crowd(c *federation, n int) []token {
	c.agent.t.Helper()
	replies := make([]answer, n)
	var asking sync.WaitGroup
	for i := range replies {
		asking.Go(func() { replies[i] = c.agent.ask("GetResourceOauth2Token", object{"input": c.request}) })
	}
	asking.Wait()
	all := make([]token, n)
	for i, r := range replies {
		all[i] = finish[token](c.agent, "GetResourceOauth2Token", r)
	}
	return all
}

// A workload gets a token of its own at a real vendor; for a resource (RFC 8707) it is a JWT for that audience and not the one for another.
func TestFlowM2MAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	v := realVendor(e)
	c := v.clients["machine"]
	call[object](a, "CreateWorkloadIdentity", object{"name": "machine"})
	call[object](a, "CreateOauth2CredentialProvider", customProvider("machine-vendor", v.issuer, c.ID, c.Secret, "CLIENT_SECRET_BASIC"))
	ask := func(resources ...string) string {
		in := object{"workloadIdentityToken": a.wat("machine", ""), "resourceCredentialProviderName": "machine-vendor", "scopes": []string{"read"}, "oauth2Flow": "M2M"}
		if len(resources) > 0 {
			in["resources"] = resources
		}
		return call[token](a, "GetResourceOauth2Token", in).AccessToken
	}
	tokens := map[string]string{"none": ask(), "one": ask("https://one.example/"), "two": ask("https://two.example/")}
	for name, again := range map[string]string{"none": ask(), "one": ask("https://one.example/"), "two": ask("https://two.example/")} {
		if again != tokens[name] {
			t.Errorf("resource %s: not served from the vault", name)
		}
	}
	for name, want := range map[string]string{"one": "https://one.example/", "two": "https://two.example/"} {
		if got := audience(t, tokens[name]); got != want {
			t.Errorf("resource %s: the token is for %q", name, got)
		}
	}
	if strings.Count(tokens["none"], ".") == 2 {
		t.Error("a token without a resource is a JWT, so the vendor tells resources apart no longer")
	}
	issued := v.issued(t, 3, "machine", "", "client_credentials")
	if len(issued) != 3 {
		t.Errorf("the vendor was asked %d times for three tokens", len(issued))
	}
	for name, token := range tokens {
		if !slices.ContainsFunc(issued, func(e vendorEvent) bool { return e.AccessToken == token }) {
			t.Errorf("resource %s: the vendor did not issue the token", name)
		}
	}
}
