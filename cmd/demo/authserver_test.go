package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	testClientID     = "travel-agent"
	testClientSecret = "s3cret%with+signs"
	testRedirectURI  = "http://127.0.0.1:1/callback"
	testVerifier     = "a-code-verifier-of-more-than-forty-three-letters"
	testScope        = "calendar.read offline_access"
)

// vendor is a running authorization server with its resource API, and a browser and a client that use them.
type vendor struct {
	t       *testing.T
	auth    string // issuer
	api     string
	browser *http.Client
}

func newVendor(t *testing.T) vendor {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	a, err := newAuthServer(issuer, testClientID, testClientSecret, "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	a.setRedirectURI(testRedirectURI)
	server.Config.Handler = a
	server.Start()
	t.Cleanup(server.Close)
	api := httptest.NewServer(newResource(a))
	t.Cleanup(api.Close)

	browser := server.Client()
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), testRedirectURI) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return vendor{t, issuer, api.URL, browser}
}

// authorizationRequest is one that works, but for the changes; an empty value takes a parameter away.
func authorizationRequest(changes ...string) url.Values {
	challenge := sha256.Sum256([]byte(testVerifier))
	q := url.Values{
		"response_type":         {"code"},
		"client_id":             {testClientID},
		"redirect_uri":          {testRedirectURI},
		"scope":                 {testScope},
		"state":                 {"st&te"},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}
	for change := range slices.Chunk(changes, 2) {
		q.Set(change[0], change[1])
		if change[1] == "" {
			q.Del(change[0])
		}
	}
	return q
}

func (v vendor) do(r *http.Request) (*http.Response, string) {
	v.t.Helper()
	resp, err := v.browser.Do(r.WithContext(v.t.Context()))
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(body)
}

func (v vendor) get(address string) (*http.Response, string) {
	v.t.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(r)
}

func (v vendor) post(address string, form url.Values, header ...string) (*http.Response, string) {
	v.t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	return v.do(r)
}

// openLogin starts a sign-in and returns its id.
func (v vendor) openLogin(changes ...string) string {
	v.t.Helper()
	resp, body := v.get(v.auth + "/authorize?" + authorizationRequest(changes...).Encode())
	id := resp.Request.URL.Query().Get("id")
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/login" || id == "" {
		v.t.Fatalf("authorize led to %s: %s\n%s", resp.Request.URL, resp.Status, body)
	}
	return id
}

// decide signs user in and answers the consent page; it returns the query that the client's redirect URI receives.
func (v vendor) decide(user, decision string, changes ...string) url.Values {
	v.t.Helper()
	id := v.openLogin(changes...)
	if resp, body := v.post(v.auth+"/login", url.Values{"id": {id}, "user": {user}}); resp.Request.URL.Path != "/consent" {
		v.t.Fatalf("login led to %s: %s\n%s", resp.Request.URL, resp.Status, body)
	}
	resp, body := v.post(v.auth+"/consent", url.Values{"id": {id}, "decision": {decision}})
	location, err := resp.Location()
	if err != nil {
		v.t.Fatalf("consent: %s: %v\n%s", resp.Status, err, body)
	}
	return location.Query()
}

// tokenAnswer is what the token endpoint says, good or bad.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
	status       int
}

func tokenRequest(grantType string, parameters ...string) url.Values {
	form := url.Values{"grant_type": {grantType}}
	for pair := range slices.Chunk(parameters, 2) {
		form.Set(pair[0], pair[1])
	}
	return form
}

func codeRequest(code string, changes ...string) url.Values {
	return tokenRequest("authorization_code",
		append([]string{"code", code, "redirect_uri", testRedirectURI, "code_verifier", testVerifier}, changes...)...)
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func (v vendor) token(form url.Values) tokenAnswer {
	v.t.Helper()
	resp, body := v.post(v.auth+"/token", form, "Authorization", basic(testClientID, testClientSecret))
	answer := tokenAnswer{status: resp.StatusCode}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		v.t.Fatalf("token endpoint: %s: %v\n%s", resp.Status, err, body)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		v.t.Errorf("token endpoint: Cache-Control is %q", got)
	}
	return answer
}

func (v vendor) events(accessToken string) (int, calendar) {
	v.t.Helper()
	r, err := http.NewRequest("GET", v.api+"/events", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+accessToken)
	resp, body := v.do(r)
	var c calendar
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			v.t.Fatalf("events: %v\n%s", err, body)
		}
	}
	return resp.StatusCode, c
}

func TestAuthorizationCode(t *testing.T) {
	v := newVendor(t)
	back := v.decide("bob", "allow")
	if back.Get("state") != "st&te" || back.Get("code") == "" || back.Has("error") {
		t.Fatalf("the client received %v", back)
	}

	first := v.token(codeRequest(back.Get("code")))
	if first.status != http.StatusOK || first.TokenType != "Bearer" || first.ExpiresIn != 60 || first.Scope != testScope || first.RefreshToken == "" {
		t.Fatalf("code exchange: %+v", first)
	}
	if status, c := v.events(first.AccessToken); status != http.StatusOK || c.Owner != "bob" || len(c.Events) == 0 {
		t.Fatalf("events with the first token: %d %+v", status, c)
	}

	second := v.token(tokenRequest("refresh_token", "refresh_token", first.RefreshToken))
	if second.status != http.StatusOK || second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken || second.Scope != testScope {
		t.Fatalf("refresh: %+v", second)
	}
	if status, c := v.events(second.AccessToken); status != http.StatusOK || c.Owner != "bob" {
		t.Fatalf("events after the refresh: %d %+v", status, c)
	}
	if again := v.token(tokenRequest("refresh_token", "refresh_token", first.RefreshToken)); again.status != http.StatusBadRequest || again.Error != "invalid_grant" {
		t.Errorf("the rotated refresh token still answers: %+v", again)
	}
	if third := v.token(tokenRequest("refresh_token", "refresh_token", second.RefreshToken)); third.status != http.StatusOK {
		t.Errorf("the newest refresh token: %+v", third)
	}
}

func TestAuthorizationWithoutOfflineAccessGivesNoRefreshToken(t *testing.T) {
	v := newVendor(t)
	answer := v.token(codeRequest(v.decide("alice", "allow", "scope", "openid calendar.read unknown").Get("code")))
	if answer.status != http.StatusOK || answer.RefreshToken != "" || answer.Scope != "calendar.read" {
		t.Errorf("got %+v", answer)
	}
}

func TestCodeExchangeRefuses(t *testing.T) {
	v := newVendor(t)
	for _, test := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"another redirect URI", []string{"redirect_uri", "http://127.0.0.1:2/callback"}, "invalid_grant"},
		{"another verifier", []string{"code_verifier", strings.Repeat("x", 43)}, "invalid_grant"},
		{"no verifier", []string{"code_verifier", ""}, "invalid_request"},
		{"another code", []string{"code", "guessed"}, "invalid_grant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code := v.decide("alice", "allow").Get("code")
			if got := v.token(codeRequest(code, test.changes...)); got.status != http.StatusBadRequest || got.Error != test.want {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
	t.Run("a code used before", func(t *testing.T) {
		code := v.decide("alice", "allow").Get("code")
		if got := v.token(codeRequest(code)); got.status != http.StatusOK {
			t.Fatalf("first use: %+v", got)
		}
		if got := v.token(codeRequest(code)); got.Error != "invalid_grant" {
			t.Errorf("second use: %+v", got)
		}
	})
	t.Run("a code that failed before", func(t *testing.T) {
		code := v.decide("alice", "allow").Get("code")
		v.token(codeRequest(code, "code_verifier", strings.Repeat("x", 43)))
		if got := v.token(codeRequest(code)); got.Error != "invalid_grant" {
			t.Errorf("second use: %+v", got)
		}
	})
}

func TestRefreshScopes(t *testing.T) {
	v := newVendor(t)
	first := v.token(codeRequest(v.decide("alice", "allow").Get("code")))
	if got := v.token(tokenRequest("refresh_token", "refresh_token", first.RefreshToken, "scope", "calendar.read calendar.write")); got.Error != "invalid_scope" {
		t.Errorf("a wider scope: %+v", got)
	}
	narrow := v.token(tokenRequest("refresh_token", "refresh_token", first.RefreshToken, "scope", "offline_access"))
	if narrow.status != http.StatusOK || narrow.Scope != "offline_access" {
		t.Fatalf("a narrower scope after a refused one: %+v", narrow)
	}
	if status, _ := v.events(narrow.AccessToken); status != http.StatusForbidden {
		t.Errorf("events without calendar.read: %d", status)
	}
	if wide := v.token(tokenRequest("refresh_token", "refresh_token", narrow.RefreshToken)); wide.Scope != testScope {
		t.Errorf("the refresh token lost scopes: %+v", wide)
	}
}

func TestClientCredentials(t *testing.T) {
	v := newVendor(t)
	answer := v.token(tokenRequest("client_credentials", "scope", testScope))
	if answer.status != http.StatusOK || answer.RefreshToken != "" || answer.Scope != "calendar.read" {
		t.Fatalf("got %+v", answer)
	}
	if status, c := v.events(answer.AccessToken); status != http.StatusOK || c.Owner != testClientID {
		t.Errorf("events: %d %+v", status, c)
	}
	if answer := v.token(tokenRequest("client_credentials")); answer.Error != "invalid_scope" {
		t.Errorf("without a scope: %+v", answer)
	}
}

func TestClientAuthentication(t *testing.T) {
	v := newVendor(t)
	form := tokenRequest("client_credentials", "scope", "calendar.read")
	for _, test := range []struct {
		name, authorization string
		form                url.Values
		want                int
	}{
		{"HTTP Basic", basic(testClientID, testClientSecret), form, http.StatusOK},
		{"the form", "", tokenRequest("client_credentials", "scope", "calendar.read", "client_id", testClientID, "client_secret", testClientSecret), http.StatusOK},
		{"a wrong secret", basic(testClientID, "guessed"), form, http.StatusUnauthorized},
		{"no secret", basic(testClientID, ""), form, http.StatusUnauthorized},
		{"an unknown client", basic("other", testClientSecret), form, http.StatusUnauthorized},
		{"nothing", "", form, http.StatusBadRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, endpoint := range []string{"/token", "/revoke"} {
				test.form.Set("token", "unknown")
				if resp, body := v.post(v.auth+endpoint, test.form, "Authorization", test.authorization); resp.StatusCode != test.want {
					t.Errorf("%s: %s %s", endpoint, resp.Status, body)
				}
			}
		})
	}
}

func TestRevocation(t *testing.T) {
	v := newVendor(t)
	revoke := func(token string) {
		t.Helper()
		resp, body := v.post(v.auth+"/revoke", url.Values{"token": {token}}, "Authorization", basic(testClientID, testClientSecret))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("revoke: %s %s", resp.Status, body)
		}
	}
	first := v.token(codeRequest(v.decide("alice", "allow").Get("code")))
	second := v.token(tokenRequest("refresh_token", "refresh_token", first.RefreshToken))
	other := v.token(codeRequest(v.decide("alice", "allow").Get("code")))

	revoke(first.AccessToken)
	if status, _ := v.events(first.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("a revoked access token: %d", status)
	}
	if status, _ := v.events(second.AccessToken); status != http.StatusOK {
		t.Errorf("another access token of the grant: %d", status)
	}
	revoke(second.RefreshToken)
	if status, _ := v.events(second.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("an access token of a revoked grant: %d", status)
	}
	if got := v.token(tokenRequest("refresh_token", "refresh_token", second.RefreshToken)); got.Error != "invalid_grant" {
		t.Errorf("a revoked refresh token: %+v", got)
	}
	if status, _ := v.events(other.AccessToken); status != http.StatusOK {
		t.Errorf("another grant of the same user: %d", status)
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	v := newVendor(t)
	for _, test := range []struct {
		name    string
		changes []string
	}{
		{"an unknown client", []string{"client_id", "other"}},
		{"another redirect URI", []string{"redirect_uri", "http://127.0.0.1:2/callback"}},
		{"the implicit flow", []string{"response_type", "token"}},
		{"a request object", []string{"request", "e30.e30."}},
	} {
		t.Run(test.name+", to the person", func(t *testing.T) {
			resp, body := v.get(v.auth + "/authorize?" + authorizationRequest(test.changes...).Encode())
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "error_description") && !strings.Contains(body, "request_not_supported") {
				t.Errorf("%s %s", resp.Status, body)
			}
		})
	}
	for _, test := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"no PKCE", []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		{"plain PKCE", []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"unknown scopes only", []string{"scope", "calendar.write openid"}, "invalid_scope"},
	} {
		t.Run(test.name+", to the client", func(t *testing.T) {
			resp, body := v.get(v.auth + "/authorize?" + authorizationRequest(test.changes...).Encode())
			location, err := resp.Location()
			if err != nil {
				t.Fatalf("%s %s", resp.Status, body)
			}
			if q := location.Query(); q.Get("error") != test.want || q.Get("state") != "st&te" || q.Has("code") {
				t.Errorf("the client received %v", q)
			}
		})
	}
	t.Run("a redirect URI encoded twice gets no other address", func(t *testing.T) {
		q := v.decide("alice", "allow", "redirect_uri", url.QueryEscape(testRedirectURI))
		if q.Get("code") == "" {
			t.Errorf("the client received %v", q)
		}
	})
}

func TestDiscovery(t *testing.T) {
	v := newVendor(t)
	_, body := v.get(v.auth + "/.well-known/openid-configuration")
	var metadata map[string]any
	if err := json.Unmarshal([]byte(body), &metadata); err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]string{
		"issuer":                 v.auth,
		"authorization_endpoint": v.auth + "/authorize",
		"token_endpoint":         v.auth + "/token",
		"revocation_endpoint":    v.auth + "/revoke",
	} {
		if metadata[member] != want {
			t.Errorf("%s is %v, want %s", member, metadata[member], want)
		}
	}
	for member, want := range map[string][]any{
		"scopes_supported":                      {"calendar.read", "offline_access"},
		"grant_types_supported":                 {"authorization_code", "refresh_token", "client_credentials"},
		"code_challenge_methods_supported":      {"S256"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post"},
	} {
		if got, _ := metadata[member].([]any); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", member, got, want)
		}
	}
}

// Lifetimes, by a clock that the test owns: the handlers are called without a network.
func TestLifetimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := newAuthServer("http://127.0.0.1:1", testClientID, testClientSecret, testRedirectURI, 6*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		api := newResource(a)
		serve := func(h http.Handler, method, target, authorization string, form url.Values) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, target, bytes.NewReader([]byte(form.Encode())))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		client := basic(testClientID, testClientSecret)
		// begin gets as far as a code when allow is set, else as far as the login page.
		begin := func(allow bool) (id, code string) {
			w := serve(a, "GET", "/authorize?"+authorizationRequest().Encode(), "", nil)
			login, err := w.Result().Location()
			if err != nil {
				t.Fatal(w.Code, w.Body)
			}
			id = login.Query().Get("id")
			if allow {
				serve(a, "POST", "/login", "", url.Values{"id": {id}, "user": {"alice"}})
				time.Sleep(time.Minute) // which the code does not lose
				w = serve(a, "POST", "/consent", "", url.Values{"id": {id}, "decision": {"allow"}})
				back, err := w.Result().Location()
				if err != nil {
					t.Fatal(w.Code, w.Body)
				}
				code = back.Query().Get("code")
			}
			return id, code
		}

		_, code := begin(true)
		time.Sleep(requestLifetime - time.Second)
		w := serve(a, "POST", "/token", client, codeRequest(code))
		var tokens tokenAnswer
		if err := json.Unmarshal(w.Body.Bytes(), &tokens); err != nil || tokens.ExpiresIn != 6 {
			t.Fatalf("a code just before its end: %d %+v %v", w.Code, tokens, err)
		}
		time.Sleep(6*time.Second - time.Nanosecond)
		if w := serve(api, "GET", "/events", "Bearer "+tokens.AccessToken, nil); w.Code != http.StatusOK {
			t.Errorf("an access token just before its end: %d", w.Code)
		}
		time.Sleep(time.Nanosecond)
		if w := serve(api, "GET", "/events", "Bearer "+tokens.AccessToken, nil); w.Code != http.StatusUnauthorized {
			t.Errorf("an access token at its end: %d", w.Code)
		}

		_, code = begin(true)
		id, _ := begin(false)
		time.Sleep(requestLifetime)
		if w := serve(a, "POST", "/token", client, codeRequest(code)); w.Code != http.StatusBadRequest {
			t.Errorf("a code at its end: %d %s", w.Code, w.Body)
		}
		if w := serve(a, "GET", "/login?id="+id, "", nil); w.Code != http.StatusNotFound {
			t.Errorf("a sign-in at its end: %d", w.Code)
		}
		if w := serve(a, "POST", "/token", client, tokenRequest("refresh_token", "refresh_token", tokens.RefreshToken)); w.Code != http.StatusOK {
			t.Errorf("a refresh token has no end: %d %s", w.Code, w.Body)
		}
	})
}

func TestNewAuthServerRefuses(t *testing.T) {
	const issuer = "http://127.0.0.1:8090"
	for _, test := range []struct {
		name, issuer, id, secret string
		lifetime                 time.Duration
		want                     string
	}{
		{"an address that others reach", "http://192.0.2.1:8090", "c", "s", time.Minute, "loopback"},
		{"a host name", "http://demo.example", "c", "s", time.Minute, "loopback"},
		{"https", "https://127.0.0.1:8090", "c", "s", time.Minute, "http://127.0.0.1:PORT"},
		{"a path", issuer + "/", "c", "s", time.Minute, "http://127.0.0.1:PORT"},
		{"no client id", issuer, "", "s", time.Minute, "client id"},
		{"no client secret", issuer, "c", "", time.Minute, "client secret"},
		{"a lifetime that rounds to nothing", issuer, "c", "s", 900 * time.Millisecond, "1s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := newAuthServer(test.issuer, test.id, test.secret, "", test.lifetime); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	for _, good := range []string{issuer, "http://localhost:8090", "http://[::1]:8090"} {
		if _, err := newAuthServer(good, "c", "s", "", time.Second); err != nil {
			t.Error(err)
		}
	}
}
