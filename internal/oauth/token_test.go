package oauth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/oauth"
	"credence/internal/secret"
)

const aToken = `{"access_token":"at","token_type":"Bearer","expires_in":3600}`

func TestForms(t *testing.T) {
	extra := url.Values{
		"login_hint": {"alice"}, "audience": {"extra"}, "requested_token_use": {"on_behalf_of"},
		"client_id": {"evil"}, "CLIENT_SECRET": {"evil"}, "scope[]": {"admin"}, "redirect.uri": {"https://evil.example"}, "grant_type": {"password"}, "code": {"evil"},
	}
	for _, tc := range []struct {
		name string
		call func(*oauth.Client, oauth.Endpoint) (oauth.Token, error)
		want url.Values
	}{
		{"code", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.ExchangeCode(t.Context(), e, oauth.CodeGrant{
				Code: secret.New("c&d=e"), Verifier: secret.New("v"), RedirectURI: "https://credence.example/callback/1?a=b",
				Resources: []string{"https://a.example", "https://b.example"}, Audiences: []string{"x"}, Extra: extra,
			})
		}, url.Values{
			"grant_type": {"authorization_code"}, "code": {"c&d=e"}, "code_verifier": {"v"}, "redirect_uri": {"https://credence.example/callback/1?a=b"},
			"resource": {"https://a.example", "https://b.example"}, "audience": {"x"}, "login_hint": {"alice"}, "requested_token_use": {"on_behalf_of"},
		}},
		{"client credentials", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{Scopes: []string{"read", "write"}, Resources: []string{"r"}, Extra: extra})
		}, url.Values{
			"grant_type": {"client_credentials"}, "scope": {"read write"}, "resource": {"r"}, "audience": {"extra"}, "login_hint": {"alice"},
			"requested_token_use": {"on_behalf_of"},
		}},
		{"client credentials with another separator", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{Scopes: []string{"read", "write"}, ScopeSeparator: ","})
		}, url.Values{"grant_type": {"client_credentials"}, "scope": {"read,write"}}},
		{"client credentials without scopes", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{})
		}, url.Values{"grant_type": {"client_credentials"}}},
		{"refresh", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.Refresh(t.Context(), e, oauth.RefreshGrant{
				RefreshToken: secret.New("r+t"), Scopes: []string{"read", "write"}, ScopeSeparator: ",", Audiences: []string{"y"}, Extra: extra,
			})
		}, url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {"r+t"}, "scope": {"read,write"}, "audience": {"y"}, "login_hint": {"alice"},
			"requested_token_use": {"on_behalf_of"},
		}},
		{"token exchange", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.ExchangeToken(t.Context(), e, oauth.TokenExchangeGrant{
				SubjectToken: secret.New("a.b.c"), Scopes: []string{"read", "write"}, Resources: []string{"https://a.example", "https://b.example"}, Audiences: []string{"x", "y"},
				ActorTokenType: oauth.TokenTypeAccessToken, Extra: extra,
			})
		}, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"a.b.c"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
			"scope": {"read write"}, "resource": {"https://a.example", "https://b.example"}, "audience": {"x", "y"}, "login_hint": {"alice"}, "requested_token_use": {"on_behalf_of"},
		}},
		{"token exchange with an actor and other types", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.ExchangeToken(t.Context(), e, oauth.TokenExchangeGrant{
				SubjectToken: secret.New("a.b.c"), ActorToken: secret.New("at"), ActorTokenType: oauth.TokenTypeAccessToken, Scopes: []string{"read", "write"}, ScopeSeparator: ",",
				Extra: url.Values{"subject_token_type": {oauth.TokenTypeAccessToken}, "requested_token_type": {oauth.TokenTypeJWT}, "actor_token": {"evil"}, "Actor.Token-Type": {"evil"}},
			})
		}, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"a.b.c"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			"requested_token_type": {"urn:ietf:params:oauth:token-type:jwt"}, "actor_token": {"at"}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "scope": {"read,write"},
		}},
		{"JWT grant", func(c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
			return c.ExchangeJWT(t.Context(), e, oauth.JWTGrant{Assertion: secret.New("a.b.c"), Scopes: []string{"read"}, Resources: []string{"r"}, Audiences: []string{"x"}, Extra: extra})
		}, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"a.b.c"}, "scope": {"read"}, "resource": {"r"}, "audience": {"x"}, "login_hint": {"alice"},
			"requested_token_use": {"on_behalf_of"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newVendor(t, says(200, nil, aToken))
			if _, err := tc.call(newClient(), endpoint(v)); err != nil {
				t.Fatal(err)
			}
			got := v.only(t)
			if diff := cmp.Diff(tc.want, got.form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			if got.method != http.MethodPost || len(got.query) > 0 {
				t.Errorf("%s with the query %v", got.method, got.query)
			}
			for name, want := range map[string]string{
				"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", "User-Agent": "credence",
			} {
				if got.header.Get(name) != want {
					t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
				}
			}
		})
	}
}

// A scope that the vendor would read as two was authorized as one.
func TestScopesThatAreTwo(t *testing.T) {
	v := newVendor(t, says(200, nil, aToken))
	for _, tc := range []struct{ scope, separator string }{
		{"read admin", ""}, {"read,admin", ","}, {"read admin", ","}, {"read\tadmin", ""}, {"read\nadmin", ""}, {"", ""}, {"lésen", ""},
	} {
		_, err := newClient().ClientCredentials(t.Context(), endpoint(v), oauth.ClientCredentialsGrant{Scopes: []string{"a", tc.scope}, ScopeSeparator: tc.separator})
		if e := failure(t, oauth.Token{}, err); e.Outcome != oauth.NotSent || !strings.Contains(e.Error(), fmt.Sprintf("%q", tc.scope)) {
			t.Errorf("%q by client credentials: %v", tc.scope, err)
		}
		_, err = newClient().Refresh(t.Context(), endpoint(v), oauth.RefreshGrant{Scopes: []string{tc.scope}, ScopeSeparator: tc.separator})
		if e := failure(t, oauth.Token{}, err); e.Outcome != oauth.NotSent {
			t.Errorf("%q by refresh: %v", tc.scope, err)
		}
		_, err = newClient().ExchangeToken(t.Context(), endpoint(v), oauth.TokenExchangeGrant{Scopes: []string{tc.scope}, ScopeSeparator: tc.separator})
		if e := failure(t, oauth.Token{}, err); e.Outcome != oauth.NotSent {
			t.Errorf("%q by token exchange: %v", tc.scope, err)
		}
		_, err = newClient().ExchangeJWT(t.Context(), endpoint(v), oauth.JWTGrant{Scopes: []string{tc.scope}, ScopeSeparator: tc.separator})
		if e := failure(t, oauth.Token{}, err); e.Outcome != oauth.NotSent {
			t.Errorf("%q by JWT grant: %v", tc.scope, err)
		}
	}
	if len(v.requests) != 0 {
		t.Errorf("%d requests arrived", len(v.requests))
	}
}

func TestClientAuthentication(t *testing.T) {
	const id, sec = "id:/+%@ &=é", "s:/+%@ &=~*é"
	t.Run("basic", func(t *testing.T) {
		v := newVendor(t, says(200, nil, aToken))
		e := endpoint(v)
		e.Auth = oauth.ClientAuth{Method: oauth.ClientSecretBasic, ID: id, Secret: secret.New(sec)}
		if _, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{}); err != nil {
			t.Fatal(err)
		}
		got := v.only(t)
		user, password, ok := (&http.Request{Header: got.header}).BasicAuth()
		if !ok || strings.ContainsAny(user+password, ": ") {
			t.Fatalf("Authorization: %q %q %v", user, password, ok)
		}
		gotID, err1 := url.QueryUnescape(user)
		gotSecret, err2 := url.QueryUnescape(password)
		if gotID != id || gotSecret != sec || err1 != nil || err2 != nil {
			t.Errorf("%q %q, want %q %q", gotID, gotSecret, id, sec)
		}
		if got.form.Has("client_id") || got.form.Has("client_secret") {
			t.Errorf("the form has the credentials too: %v", got.form)
		}
	})
	// The example of RFC 6749 section 4.1.3.
	t.Run("basic as in the RFC", func(t *testing.T) {
		v := newVendor(t, says(200, nil, aToken))
		e := endpoint(v)
		e.Auth = oauth.ClientAuth{Method: oauth.ClientSecretBasic, ID: "s6BhdRkqt3", Secret: secret.New("gX1fBat3bV")}
		if _, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{}); err != nil {
			t.Fatal(err)
		}
		if got := v.only(t).header.Get("Authorization"); got != "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW" {
			t.Errorf("Authorization: %s", got)
		}
	})
	t.Run("post", func(t *testing.T) {
		v := newVendor(t, says(200, nil, aToken))
		e := endpoint(v)
		e.Auth = oauth.ClientAuth{Method: oauth.ClientSecretPost, ID: id, Secret: secret.New(sec)}
		e.Header = http.Header{"Authorization": {"Bearer preset"}}
		if _, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{}); err != nil {
			t.Fatal(err)
		}
		got := v.only(t)
		if got.form.Get("client_id") != id || got.form.Get("client_secret") != sec || got.header.Get("Authorization") != "" {
			t.Errorf("form %v, Authorization %q", got.form, got.header.Get("Authorization"))
		}
	})
	t.Run("assertion", func(t *testing.T) {
		v := newVendor(t, says(400, nil, `{"error":"invalid_client","error_description":"no: planted-assertion"}`))
		e := endpoint(v)
		e.Auth = oauth.ClientAuth{Method: oauth.PrivateKeyJWT, ID: id, Assertion: secret.New("planted-assertion")}
		_, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{Extra: url.Values{"client_assertion": {"other"}}})
		if err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("the error repeats the assertion: %v", err)
		}
		got := v.only(t)
		if got.form.Get("client_id") != id || got.form.Get("client_assertion") != "planted-assertion" || got.form.Has("client_secret") || got.header.Get("Authorization") != "" ||
			got.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("form %v, Authorization %q", got.form, got.header.Get("Authorization"))
		}
	})
	t.Run("anonymous", func(t *testing.T) {
		v := newVendor(t, says(200, nil, aToken))
		e := endpoint(v)
		e.Auth = oauth.ClientAuth{Method: oauth.Anonymous, ID: id, Secret: secret.New(sec)}
		if _, err := newClient().ExchangeToken(t.Context(), e, oauth.TokenExchangeGrant{SubjectToken: secret.New(userToken)}); err != nil {
			t.Fatal(err)
		}
		if got := v.only(t); got.form.Has("client_id") || got.form.Has("client_secret") || got.header.Get("Authorization") != "" {
			t.Errorf("form %v, Authorization %q", got.form, got.header.Get("Authorization"))
		}
	})
	t.Run("none of them", func(t *testing.T) {
		v := newVendor(t, says(200, nil, aToken))
		e := endpoint(v)
		e.Auth.Method = "attest_jwt_client_auth"
		token, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{})
		if e := failure(t, token, err); e.Outcome != oauth.NotSent || !strings.Contains(e.Error(), "attest_jwt_client_auth") || len(v.requests) != 0 {
			t.Errorf("%v, %d requests", err, len(v.requests))
		}
	})
}

func TestPresetHeaders(t *testing.T) {
	v := newVendor(t, says(200, nil, aToken))
	e := endpoint(v)
	e.Header = http.Header{"user-agent": {"special/1.0"}, "Accept": {"text/html"}, "Content-Type": {"text/plain"}, "Notion-Version": {"2022-06-28"}}
	if _, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{}); err != nil {
		t.Fatal(err)
	}
	got := v.only(t).header
	for name, want := range map[string]string{
		"User-Agent": "special/1.0", "Notion-Version": "2022-06-28", "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded",
	} {
		if !cmp.Equal(got[name], []string{want}) {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

func TestAnswers(t *testing.T) {
	const maxLifetime = 10 * 365 * 24 * time.Hour
	jsonAnswer, form, text, html := "application/json", "application/x-www-form-urlencoded; charset=utf-8", "text/plain; charset=utf-8", "text/html"
	token := func(access string, expires time.Duration, scopes ...string) oauth.Token {
		return oauth.Token{AccessToken: secret.New(access), TokenType: "Bearer", ExpiresIn: expires, Scopes: scopes}
	}
	for _, tc := range []struct {
		name, contentType, separator, body string
		want                               oauth.Token
	}{
		{"RFC 6749", jsonAnswer, "", `{"access_token":"at","token_type":"example","expires_in":3600,"refresh_token":"rt","scope":"a b","example_parameter":{"x":[1]}}`,
			oauth.Token{AccessToken: secret.New("at"), RefreshToken: secret.New("rt"), TokenType: "example", ExpiresIn: time.Hour, Scopes: []string{"a", "b"}}},
		{"the least", jsonAnswer, "", `{"access_token":"at"}`, token("at", 0)},
		{"a status of 201 and no content type", "", "", `{"access_token":"at"}`, token("at", 0)},
		{"JSON called HTML", html, "", ` {"access_token":"at"} `, token("at", 0)},
		{"JSON called a form", form, "", `{"access_token":"at"}`, token("at", 0)},
		{"a byte order mark", jsonAnswer, "", "\ufeff" + `{"access_token":"at"}`, token("at", 0)},
		{"escapes", jsonAnswer, "", `{"access_token":"a\u0074\/"}`, token("at/", 0)},
		{"a null error", jsonAnswer, "", `{"access_token":"at","error":null,"ok":true}`, token("at", 0)},
		{"an error beside the token", jsonAnswer, "", `{"access_token":"at","error":"invalid_scope"}`, token("at", 0)},

		{"expires_in as a string", jsonAnswer, "", `{"access_token":"at","expires_in":" 3600 "}`, token("at", time.Hour)},
		{"expires_in as a fraction", jsonAnswer, "", `{"access_token":"at","expires_in":3599.5}`, token("at", 3599500*time.Millisecond)},
		{"expires_in as the string of a fraction", jsonAnswer, "", `{"access_token":"at","expires_in":"3600.0"}`, token("at", time.Hour)},
		{"expires_in with an exponent", jsonAnswer, "", `{"access_token":"at","expires_in":3.6e3}`, token("at", time.Hour)},
		{"expires_in 0", jsonAnswer, "", `{"access_token":"at","expires_in":0}`, token("at", 0)},
		{"expires_in -1", jsonAnswer, "", `{"access_token":"at","expires_in":-1}`, token("at", 0)},
		{"expires_in null", jsonAnswer, "", `{"access_token":"at","expires_in":null}`, token("at", 0)},
		{"expires_in never", jsonAnswer, "", `{"access_token":"at","expires_in":"never"}`, token("at", 0)},
		{"expires_in NaN", jsonAnswer, "", `{"access_token":"at","expires_in":"NaN"}`, token("at", 0)},
		{"expires_in an object", jsonAnswer, "", `{"access_token":"at","expires_in":{}}`, token("at", 0)},
		{"expires_in huge", jsonAnswer, "", `{"access_token":"at","expires_in":99999999999999999999}`, token("at", maxLifetime)},
		{"expires_in beyond a float", jsonAnswer, "", `{"access_token":"at","expires_in":1e999}`, token("at", maxLifetime)},
		{"expires_in far below zero", jsonAnswer, "", `{"access_token":"at","expires_in":-1e999}`, token("at", 0)},

		{"scope as an array", jsonAnswer, "", `{"access_token":"at","scope":["chat:read","chat:edit",7,""]}`, token("at", 0, "chat:read", "chat:edit")},
		{"scope with commas (GitHub)", jsonAnswer, ",", `{"access_token":"at","scope":"repo,gist, user"}`, token("at", 0, "repo", "gist", "user")},
		{"scope with commas that are no separator", jsonAnswer, "", `{"access_token":"at","scope":"repo,gist"}`, token("at", 0, "repo,gist")},
		{"an empty scope (GitHub App)", jsonAnswer, ",", `{"access_token":"at","scope":""}`, token("at", 0)},
		{"scope with spaces to spare", jsonAnswer, "", `{"access_token":"at","scope":" a  b "}`, token("at", 0, "a", "b")},
		{"scope a number", jsonAnswer, "", `{"access_token":"at","scope":7}`, token("at", 0)},

		{"token_type null", jsonAnswer, "", `{"access_token":"at","token_type":null}`, token("at", 0)},
		{"refresh_token null", jsonAnswer, "", `{"access_token":"at","refresh_token":null}`, token("at", 0)},

		{"a form", form, "", "access_token=a%2Bt&scope=a+b&expires_in=3600&token_type=Bearer", token("a+t", time.Hour, "a", "b")},
		{"a form as plain text (GitHub without Accept)", text, ",", "access_token=at&scope=repo%2Cgist&token_type=Bearer", token("at", 0, "repo", "gist")},
		{"Slack with a user's token alone", jsonAnswer, ",",
			`{"ok":true,"app_id":"A1","authed_user":{"id":"U1","scope":"chat:write,users:read","access_token":"xoxp","token_type":"user","refresh_token":"xoxe","expires_in":43200}}`,
			oauth.Token{AccessToken: secret.New("xoxp"), RefreshToken: secret.New("xoxe"), TokenType: "user", ExpiresIn: 12 * time.Hour, Scopes: []string{"chat:write", "users:read"}}},
		{"Slack with both tokens", jsonAnswer, ",", `{"ok":true,"access_token":"xoxb","scope":"chat:write","authed_user":{"access_token":"xoxp"}}`,
			token("xoxb", 0, "chat:write")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status := 200
			if tc.contentType == "" {
				status = 201
			}
			v := newVendor(t, says(status, map[string]string{"Content-Type": tc.contentType}, tc.body))
			e := endpoint(v)
			e.ResponseScopeSeparator = tc.separator
			got, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(secret.String.Equal)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// One POST for each call, whatever happens to it: a second one with the other client authentication, or by net/http's own retry, would
// find the code or refresh token spent.
func TestOnePostPerCall(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"invalid_client":   says(401, map[string]string{"WWW-Authenticate": "Basic"}, `{"error":"invalid_client"}`),
		"400":              says(400, nil, `{"error":"invalid_request"}`),
		"503":              says(503, map[string]string{"Retry-After": "0"}, ``),
		"408":              says(408, map[string]string{"Connection": "close"}, ``),
		"307":              says(307, map[string]string{"Location": "/elsewhere"}, ``),
		"hangs up":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut in mid-body":  says(200, map[string]string{"Content-Length": "1000"}, aToken),
		"a useless answer": says(200, nil, `{}`),
	} {
		for _, c := range calls {
			for _, method := range []oauth.AuthMethod{oauth.ClientSecretBasic, oauth.ClientSecretPost} {
				t.Run(name+"/"+c.name+"/"+string(method), func(t *testing.T) {
					works := true
					v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
						if works {
							says(200, nil, aToken)(w, r)
							return
						}
						answer(w, r)
					})
					client, e := newClient(), endpoint(v)
					e.Auth.Method = method
					e.Header = http.Header{"Idempotency-Key": {"k"}} // for net/http a leave to retry
					if _, err := c.call(t, client, e); err != nil {  // leaves an idle connection behind
						t.Fatal(err)
					}
					works, v.requests = false, nil
					token, err := c.call(t, client, e)
					failure(t, token, err)
					v.only(t)
				})
			}
		}
	}
}

func TestThroughEgress(t *testing.T) {
	v := newVendor(t, says(200, nil, aToken))
	out, err := egress.New(egress.Config{Dev: true, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	client := &oauth.Client{HTTP: out, NotSent: egress.NotSent}
	for _, c := range calls {
		token, err := c.call(t, client, endpoint(v))
		if err != nil || token.AccessToken.Reveal() != "at" {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	t.Run("what was not sent is told from what was", func(t *testing.T) {
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
		end := make(chan struct{})
		slow := newVendor(t, func(http.ResponseWriter, *http.Request) { <-end })
		t.Cleanup(func() { close(end) })
		aborting := newVendor(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		redirecting := newVendor(t, says(307, map[string]string{"Location": v.URL}, ""))
		large := newVendor(t, says(200, nil, `{"access_token":"`+strings.Repeat("a", 2<<20)+`"}`))
		for _, tc := range []struct {
			name, url string
			want      oauth.Outcome
			text      string
		}{
			{"refused", "http://" + closed.Addr().String(), oauth.NotSent, "connection refused"},
			{"forbidden", "http://169.254.169.254/token", oauth.NotSent, "never reached"},
			{"no URL", "http://[::bad", oauth.NotSent, "not sent"},
			{"timeout", slow.URL, oauth.Unknown, "no complete answer came in time"},
			{"hung up", aborting.URL, oauth.Unknown, "the connection broke"},
			{"redirected", redirecting.URL, oauth.Refused, "redirected (307); give its final URL"},
			{"too large", large.URL, oauth.Unknown, "larger than 512 KiB"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				e := endpoint(v)
				e.URL = tc.url
				token, err := client.Refresh(t.Context(), e, oauth.RefreshGrant{RefreshToken: secret.New(refreshToken)})
				if e := failure(t, token, err); e.Outcome != tc.want || !strings.Contains(e.Error(), tc.text) {
					t.Errorf("%s: %v, want %s: %s", e.Outcome, e, tc.want, tc.text)
				}
			})
		}
		if n := len(v.requests); n != len(calls) {
			t.Errorf("the target of the redirect got %d requests", n-len(calls))
		}
	})
}

// A transport that fails gives Unknown unless NotSent says otherwise, and its text, which may quote the server, is not repeated.
func TestTransportFailures(t *testing.T) {
	raw := func(t *testing.T, answer string) *vendor {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
				}
				_, _ = io.WriteString(conn, answer)
				conn.Close()
			}
		}()
		v := newVendor(t, nil)
		v.URL = "http://" + l.Addr().String()
		return v
	}
	for name, answer := range map[string]string{
		"no HTTP":         refreshToken + " is not welcome\r\n\r\n",
		"a bad status":    "HTTP/1.1 " + refreshToken + "\r\n\r\n",
		"a bad header":    "HTTP/1.1 200 OK\r\n" + refreshToken + "\r\n\r\n",
		"cut in mid-body": "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + aToken,
		"nothing":         "",
	} {
		t.Run(name, func(t *testing.T) {
			token, err := refresh(t, raw(t, answer))
			e := failure(t, token, err)
			if e.Outcome != oauth.Unknown || strings.Contains(fmt.Sprintf("%v %+v %s", e, *e, e.Err), refreshToken) {
				t.Errorf("%s: %v", e.Outcome, e)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		end := make(chan struct{})
		arrived := make(chan struct{})
		v := newVendor(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-end })
		t.Cleanup(func() { close(end) })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		token, err := newClient().Refresh(ctx, endpoint(v), oauth.RefreshGrant{RefreshToken: secret.New(refreshToken)})
		if e := failure(t, token, err); e.Outcome != oauth.Unknown || !errors.Is(err, context.Canceled) || !strings.Contains(e.Error(), "cancelled") {
			t.Errorf("%s: %v", e.Outcome, err)
		}
	})
}
