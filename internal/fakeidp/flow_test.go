package fakeidp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"credence/internal/fakeidp"
)

func TestCodeFlow(t *testing.T) {
	v := start(t)
	back := get(t, v, authorizationURL(v, "resource", "https://api.example/")).location(t)
	if back.Get("state") != "state-1" || back.Get("iss") != v.Issuer() {
		t.Errorf("callback %v, want the state and iss %s", back, v.Issuer())
	}

	a := redeem(t, v, back.Get("code")).wantOK(t)
	if a.json["token_type"] != "Bearer" || a.json["expires_in"] != 3600.0 || a.json["scope"] != "read write" {
		t.Errorf("answer %s, want a Bearer token of 3600 s for read write", a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", a.header.Get("Cache-Control"))
	}

	access, refreshToken := a.token(t, "access_token"), a.token(t, "refresh_token")
	for _, value := range []string{back.Get("code"), access, refreshToken} {
		if !strings.HasPrefix(value, "fakeidp-secret-") {
			t.Errorf("%q does not begin with the mark", value)
		}
	}
	want := fakeidp.TokenInfo{
		Subject: "alice", ClientID: agent.ID, Scopes: []string{"read", "write"}, Resources: []string{"https://api.example/"}, Family: 1,
	}
	got, ok := v.Introspect(refreshToken)
	if !ok {
		t.Error("the refresh token is not live")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refresh token (-want +got):\n%s", diff)
	}
	want.Expiry = time.Now().Add(time.Hour)
	got, ok = v.Introspect(access)
	if !ok {
		t.Error("the access token is not live")
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(time.Minute)); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}

	a = resource(t, v, access).wantOK(t)
	if diff := cmp.Diff(map[string]any{"sub": "alice", "scope": "read write", "client_id": agent.ID}, a.json); diff != "" {
		t.Errorf("resource (-want +got):\n%s", diff)
	}
}

func TestResourceRefusesOtherTokens(t *testing.T) {
	v := start(t)
	a := redeem(t, v, authorize(t, v))
	for _, value := range []string{"", "unknown", a.token(t, "refresh_token")} {
		refused := resource(t, v, value)
		refused.wantError(t, http.StatusUnauthorized, "invalid_token")
		if !strings.HasPrefix(refused.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("WWW-Authenticate %q, want a Bearer challenge", refused.header.Get("WWW-Authenticate"))
		}
	}
	req := request(t, http.MethodGet, v.at("/resource"), nil)
	req.Header.Set("Authorization", "Basic "+a.token(t, "access_token"))
	mustSend(t, v, req).wantError(t, http.StatusUnauthorized, "invalid_token")
}

func TestClientCredentials(t *testing.T) {
	v := start(t)
	a := clientCredentials(t, v).wantOK(t)
	if _, ok := a.json["refresh_token"]; ok {
		t.Error("client_credentials answered a refresh token (RFC 6749 section 4.4.3)")
	}
	info, ok := v.Introspect(a.token(t, "access_token"))
	if !ok || info.Subject != agent.ID || info.ClientID != agent.ID {
		t.Errorf("token %+v, %t, want a live one of the client itself", info, ok)
	}
	mustSend(t, v, tokenRequest(t, v, "client_credentials", "resource", "/relative")).wantError(t, http.StatusBadRequest, "invalid_target")
}

func TestMark(t *testing.T) {
	v := start(t)
	v.Mark = "canary."
	if value := clientCredentials(t, v).token(t, "access_token"); !strings.HasPrefix(value, "canary.") {
		t.Errorf("token %q, want the prefix canary.", value)
	}
}

func TestAuthorizeRefusesOnAPage(t *testing.T) {
	v := start(t)
	for name, address := range map[string]string{
		"unknown client":                authorizationURL(v, "client_id", "other"),
		"unregistered redirect URI":     authorizationURL(v, "redirect_uri", callback+"&more=1"),
		"no redirect URI":               authorizationURL(v, "redirect_uri", ""),
		"two redirect URIs":             authorizationURL(v) + "&redirect_uri=" + url.QueryEscape("https://evil.example/"),
		"two clients":                   authorizationURL(v) + "&client_id=other",
		"a query that cannot be parsed": authorizationURL(v) + "&bad=%zz",
	} {
		t.Run(name, func(t *testing.T) {
			if a := get(t, v, address); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
				t.Errorf("answer %d to %q, want 400 and no redirect", a.status, a.header.Get("Location"))
			}
		})
	}
	t.Run("fragment", func(t *testing.T) {
		v.AddClient(fakeidp.Client{ID: "anywhere", Secret: "s"})
		if a := get(t, v, authorizationURL(v, "client_id", "anywhere", "redirect_uri", callback+"#f")); a.status != http.StatusBadRequest {
			t.Errorf("answer %d, want 400", a.status)
		}
		get(t, v, authorizationURL(v, "client_id", "anywhere", "redirect_uri", "https://agent.example/callback?provider=fake&any=1")).location(t)
	})
}

func TestAuthorizeRefusesAtTheCallback(t *testing.T) {
	v := start(t)
	for name, test := range map[string]struct{ address, code string }{
		"response type":       {authorizationURL(v, "response_type", "token"), "unsupported_response_type"},
		"no PKCE":             {authorizationURL(v, "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"plain PKCE":          {authorizationURL(v, "code_challenge_method", "plain"), "invalid_request"},
		"challenge too short": {authorizationURL(v, "code_challenge", "short"), "invalid_request"},
		"repeated parameter":  {authorizationURL(v) + "&scope=more", "invalid_request"},
		"relative resource":   {authorizationURL(v, "resource", "/relative"), "invalid_target"},
		"resource fragment":   {authorizationURL(v, "resource", "https://api.example/#f"), "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			back := get(t, v, test.address).location(t)
			if back.Get("error") != test.code || back.Has("code") || back.Get("state") != "state-1" || back.Get("iss") != v.Issuer() {
				t.Errorf("callback %v, want error %s with state and iss", back, test.code)
			}
		})
	}
}

func TestTokenRefuses(t *testing.T) {
	v := start(t)
	other := fakeidp.Client{ID: "other", Secret: "other"}
	v.AddClient(other)
	code := authorize(t, v)
	refreshToken := redeem(t, v, authorize(t, v)).token(t, "refresh_token")

	redemption := func() url.Values {
		return url.Values{
			"grant_type": {"authorization_code"}, "client_id": {agent.ID}, "client_secret": {agent.Secret},
			"code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		}
	}
	refreshing := func() url.Values {
		return url.Values{
			"grant_type": {"refresh_token"}, "client_id": {agent.ID}, "client_secret": {agent.Secret}, "refresh_token": {refreshToken},
		}
	}
	for name, test := range map[string]struct {
		form   url.Values // good but for the change
		change func(url.Values)
		code   string
	}{
		"another redirect URI":       {redemption(), func(f url.Values) { f.Set("redirect_uri", callback+"/") }, "invalid_grant"},
		"another verifier":           {redemption(), func(f url.Values) { f.Set("code_verifier", verifier+"x") }, "invalid_grant"},
		"no verifier":                {redemption(), func(f url.Values) { f.Del("code_verifier") }, "invalid_grant"},
		"unknown code":               {redemption(), func(f url.Values) { f.Set("code", "unknown") }, "invalid_grant"},
		"code of another client":     {redemption(), as(other), "invalid_grant"},
		"resource not consented":     {redemption(), func(f url.Values) { f.Set("resource", "https://api.example/") }, "invalid_target"},
		"repeated parameter":         {redemption(), func(f url.Values) { f.Add("code", code) }, "invalid_request"},
		"no grant type":              {redemption(), func(f url.Values) { f.Del("grant_type") }, "invalid_request"},
		"unknown grant type":         {redemption(), func(f url.Values) { f.Set("grant_type", "password") }, "unsupported_grant_type"},
		"unknown refresh token":      {refreshing(), func(f url.Values) { f.Set("refresh_token", "unknown") }, "invalid_grant"},
		"refresh token of another":   {refreshing(), as(other), "invalid_grant"},
		"refresh beyond the scope":   {refreshing(), func(f url.Values) { f.Set("scope", "read admin") }, "invalid_scope"},
		"refresh beyond the targets": {refreshing(), func(f url.Values) { f.Set("resource", "https://api.example/") }, "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			test.change(test.form)
			mustSend(t, v, request(t, http.MethodPost, v.at("/token"), test.form)).wantError(t, http.StatusBadRequest, test.code)
		})
	}
	t.Run("and nothing was spent", func(t *testing.T) {
		redeem(t, v, code).wantOK(t)
		refresh(t, v, refreshToken).wantOK(t)
	})
}

func as(client fakeidp.Client) func(url.Values) {
	return func(form url.Values) {
		form.Set("client_id", client.ID)
		form.Set("client_secret", client.Secret)
	}
}

// A verifier that RFC 7636 does not allow is refused even when it fits its challenge.
func TestTokenRefusesAShortVerifier(t *testing.T) {
	v := start(t)
	const sum = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ" // SHA-256 of hello
	code := get(t, v, authorizationURL(v, "code_challenge", sum)).location(t).Get("code")
	req := tokenRequest(t, v, "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", "hello")
	mustSend(t, v, req).wantError(t, http.StatusBadRequest, "invalid_grant")
}

func TestCodeReplayRevokesItsTokens(t *testing.T) {
	v := start(t)
	code := authorize(t, v)
	a := redeem(t, v, code).wantOK(t)
	for range 2 {
		redeem(t, v, code).wantError(t, http.StatusBadRequest, "invalid_grant")
	}
	resource(t, v, a.token(t, "access_token")).wantError(t, http.StatusUnauthorized, "invalid_token")
	refresh(t, v, a.token(t, "refresh_token")).wantError(t, http.StatusBadRequest, "invalid_grant")
	if v.FamiliesKilled() != 1 || v.Live() != 0 {
		t.Errorf("%d families killed, %d tokens live, want 1 and 0", v.FamiliesKilled(), v.Live())
	}
}

func TestClientAuthentication(t *testing.T) {
	v := start(t)
	basicOnly := fakeidp.Client{ID: "basic", Secret: "b", AuthMethods: []string{fakeidp.Basic}}
	postOnly := fakeidp.Client{ID: "post", Secret: "p", AuthMethods: []string{fakeidp.Post}}
	v.AddClient(basicOnly)
	v.AddClient(postOnly)

	grant := url.Values{"grant_type": {"client_credentials"}}
	byBasic := func(id, secret string, form url.Values) *http.Request {
		req := request(t, http.MethodPost, v.at("/token"), form)
		req.SetBasicAuth(id, secret)
		return req
	}
	encoded := func(c fakeidp.Client) *http.Request {
		return byBasic(url.QueryEscape(c.ID), url.QueryEscape(c.Secret), grant)
	}
	byPost := func(c fakeidp.Client) *http.Request {
		form := url.Values{"grant_type": {"client_credentials"}}
		as(c)(form)
		return request(t, http.MethodPost, v.at("/token"), form)
	}
	bearer := request(t, http.MethodPost, v.at("/token"), grant)
	bearer.Header.Set("Authorization", "Bearer x")

	for name, test := range map[string]struct {
		req    *http.Request
		status int
		code   string // "" = granted
	}{
		"basic":                       {encoded(agent), 200, ""},
		"post":                        {byPost(agent), 200, ""},
		"basic where basic is a must": {encoded(basicOnly), 200, ""},
		"post where basic is a must":  {byPost(basicOnly), 401, "invalid_client"},
		"post where post is a must":   {byPost(postOnly), 200, ""},
		"basic where post is a must":  {encoded(postOnly), 401, "invalid_client"},
		"basic without form-encoding": {byBasic("basic", "b%", grant), 401, "invalid_client"},
		"basic, wrong secret":         {byBasic("basic", "wrong", grant), 401, "invalid_client"},
		"post, wrong secret":          {byPost(fakeidp.Client{ID: "post", Secret: "wrong"}), 401, "invalid_client"},
		"unknown client":              {byPost(fakeidp.Client{ID: "unknown", Secret: "p"}), 401, "invalid_client"},
		"no client":                   {byPost(fakeidp.Client{}), 401, "invalid_client"},
		"another scheme":              {bearer, 401, "invalid_client"},
		"two methods":                 {byBasic("basic", "b", url.Values{"grant_type": {"client_credentials"}, "client_secret": {"b"}}), 400, "invalid_request"},
		"two client IDs":              {byBasic("basic", "b", url.Values{"grant_type": {"client_credentials"}, "client_id": {"post"}}), 400, "invalid_request"},
		"the same client ID twice":    {byBasic("basic", "b", url.Values{"grant_type": {"client_credentials"}, "client_id": {"basic"}}), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := mustSend(t, v, test.req)
			if test.code == "" {
				a.wantOK(t)
				return
			}
			a.wantError(t, test.status, test.code)
			if got := a.header.Get("WWW-Authenticate"); (got != "") != (test.status == http.StatusUnauthorized) {
				t.Errorf("WWW-Authenticate %q with status %d", got, test.status)
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	v := start(t)
	other := fakeidp.Client{ID: "other", Secret: "other"}
	v.AddClient(other)
	a := redeem(t, v, authorize(t, v))
	access, refreshToken := a.token(t, "access_token"), a.token(t, "refresh_token")

	revoke(t, v, other, access).wantError(t, http.StatusBadRequest, "invalid_grant")
	revoke(t, v, other, refreshToken).wantError(t, http.StatusBadRequest, "invalid_grant")
	revoke(t, v, fakeidp.Client{ID: agent.ID, Secret: "wrong"}, access).wantError(t, http.StatusUnauthorized, "invalid_client")
	revoke(t, v, agent, "").wantError(t, http.StatusBadRequest, "invalid_request")
	revoke(t, v, agent, "unknown").wantOK(t)
	resource(t, v, access).wantOK(t)

	revoke(t, v, agent, access).wantOK(t)
	resource(t, v, access).wantError(t, http.StatusUnauthorized, "invalid_token")
	a = refresh(t, v, refreshToken).wantOK(t)

	revoke(t, v, agent, a.token(t, "refresh_token")).wantOK(t)
	resource(t, v, a.token(t, "access_token")).wantError(t, http.StatusUnauthorized, "invalid_token")
	refresh(t, v, a.token(t, "refresh_token")).wantError(t, http.StatusBadRequest, "invalid_grant")
	if v.FamiliesKilled() != 0 {
		t.Error("a revocation counts as misuse")
	}
}

func TestRevokeAll(t *testing.T) {
	v := start(t)
	a := redeem(t, v, authorize(t, v))
	code := authorize(t, v)
	v.RevokeAll()
	resource(t, v, a.token(t, "access_token")).wantError(t, http.StatusUnauthorized, "invalid_token")
	refresh(t, v, a.token(t, "refresh_token")).wantError(t, http.StatusBadRequest, "invalid_grant")
	redeem(t, v, code).wantError(t, http.StatusBadRequest, "invalid_grant")
	for _, token := range []string{a.token(t, "access_token"), a.token(t, "refresh_token")} {
		if info, ok := v.Introspect(token); ok {
			t.Errorf("still live: %+v", info)
		}
	}
	if v.Live() != 0 || v.FamiliesKilled() != 0 {
		t.Errorf("%d tokens live, %d families killed by misuse, want 0 and 0", v.Live(), v.FamiliesKilled())
	}
	redeem(t, v, authorize(t, v)).wantOK(t)
}

func TestRequests(t *testing.T) {
	v := start(t)
	before := time.Now()
	get(t, v, v.at("/nowhere?a=1"))
	req := request(t, http.MethodPost, v.at("/token"), url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}})
	req.SetBasicAuth("wrong", "wrong")
	mustSend(t, v, req)
	clientCredentials(t, v)
	mustSend(t, v, request(t, http.MethodPost, v.at("/revoke"), url.Values{"grant_type": {"client_credentials"}}))

	all := v.Requests()
	if len(all) != 4 {
		t.Fatalf("%d requests, want 4", len(all))
	}
	if r := all[0]; r.Method != http.MethodGet || r.Path != "/nowhere" || r.Query.Get("a") != "1" || r.Time.Before(before) {
		t.Errorf("first request %+v", r)
	}
	if r := all[1]; r.Form.Get("scope") != "read" || !strings.HasPrefix(r.Header.Get("Authorization"), "Basic ") || r.Time.Before(all[0].Time) {
		t.Errorf("second request %+v", r)
	}
	if n := v.Count("client_credentials"); n != 2 {
		t.Errorf("%d client_credentials requests, want 2: the refused one and the granted one", n)
	}
	if n := v.Count("refresh_token"); n != 0 {
		t.Errorf("%d refresh_token requests, want 0", n)
	}
}

func TestAFormThatCannotBeRead(t *testing.T) {
	v := start(t)
	req := request(t, http.MethodPost, v.at("/token?bad=%zz"), url.Values{"grant_type": {"client_credentials"}})
	mustSend(t, v, req).wantError(t, http.StatusBadRequest, "invalid_request")
	if len(v.Requests()) != 1 {
		t.Error("it was not recorded")
	}
}

func TestMisuseByATestPanics(t *testing.T) {
	v := fakeidp.New("https://vendor.example")
	for name, misuse := range map[string]func(){
		"issuer without scheme": func() { fakeidp.New("vendor.example") },
		"issuer with a query":   func() { fakeidp.New("https://vendor.example/?a=1") },
		"client without secret": func() { v.AddClient(fakeidp.Client{ID: "a"}) },
		"client without ID":     func() { v.AddClient(fakeidp.Client{Secret: "a"}) },
		"client method":         func() { v.AddClient(fakeidp.Client{ID: "a", Secret: "a", AuthMethods: []string{"basic"}}) },
		"claim that is no JSON": func() { v.Sign(map[string]any{"f": func() {}}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "fakeidp: ") {
					t.Errorf("panic %q, want one that begins with fakeidp:", text)
				}
			}()
			misuse()
		})
	}
}
