package oauth_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"credence/internal/oauth"
	"credence/internal/secret"
)

const revokedToken = "planted-token-that-is-revoked"

// revoke sends one revocation to a server that answers so, and gives the request as it arrived.
func revoke(t *testing.T, r oauth.Revocation, answer func(http.ResponseWriter)) (seen *http.Request, body, said string, err error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		seen, body = req, string(text)
		answer(w)
	}))
	defer server.Close()
	r.URL = server.URL + "/revoke"
	client := &oauth.Client{HTTP: server.Client()}
	said, err = client.Revoke(t.Context(), r, oauth.RefreshToken, secret.New(revokedToken))
	return seen, body, said, err
}

func ok(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }

// What is sent, to the letter.
func TestRevocationRequests(t *testing.T) {
	client := func(m oauth.AuthMethod) oauth.ClientAuth {
		return oauth.ClientAuth{Method: m, ID: "a:b", Secret: secret.New("s")}
	}
	for name, test := range map[string]struct {
		r                         oauth.Revocation
		method, auth, ctype, body string
	}{
		"RFC 7009, basic":        {oauth.Revocation{Auth: client(oauth.ClientSecretBasic)}, "POST", "Basic YSUzQWI6cw==", "application/x-www-form-urlencoded", "token=" + revokedToken + "&token_type_hint=refresh_token"},
		"RFC 7009, post":         {oauth.Revocation{Auth: client(oauth.ClientSecretPost)}, "POST", "", "application/x-www-form-urlencoded", "client_id=a%3Ab&client_secret=s&token=" + revokedToken + "&token_type_hint=refresh_token"},
		"a public client":        {oauth.Revocation{Auth: oauth.ClientAuth{Method: oauth.ClientSecretBasic, ID: "a:b"}}, "POST", "", "application/x-www-form-urlencoded", "client_id=a%3Ab&token=" + revokedToken + "&token_type_hint=refresh_token"},
		"the client's id alone":  {oauth.Revocation{Auth: client(oauth.None), NoHint: true}, "POST", "", "application/x-www-form-urlencoded", "client_id=a%3Ab&token=" + revokedToken},
		"anonymous":              {oauth.Revocation{Auth: client(oauth.Anonymous), NoHint: true}, "POST", "", "application/x-www-form-urlencoded", "token=" + revokedToken},
		"by the token":           {oauth.Revocation{Auth: client(oauth.Bearer), Method: "DELETE"}, "DELETE", "Bearer " + revokedToken, "", ""},
		"JSON, its own name":     {oauth.Revocation{Auth: client(oauth.ClientSecretBasic), Method: "DELETE", JSON: true, NoHint: true, Parameter: "access_token"}, "DELETE", "Basic YSUzQWI6cw==", "application/json", `{"access_token":"` + revokedToken + `"}`},
		"a header of the preset": {oauth.Revocation{Auth: client(oauth.Anonymous), Header: http.Header{"Notion-Version": {"1"}, "Authorization": {"x"}}}, "POST", "", "application/x-www-form-urlencoded", "token=" + revokedToken + "&token_type_hint=refresh_token"},
	} {
		t.Run(name, func(t *testing.T) {
			seen, body, said, err := revoke(t, test.r, ok)
			if err != nil || said != "HTTP 200" {
				t.Fatal(said, err)
			}
			if seen.Method != test.method || seen.Header.Get("Authorization") != test.auth || seen.Header.Get("Content-Type") != test.ctype || body != test.body {
				t.Errorf("%s %q %q %q", seen.Method, seen.Header.Get("Authorization"), seen.Header.Get("Content-Type"), body)
			}
		})
	}
}

// What an answer means. Whatever says that the token is not alive is as good as success; nothing repeats the token.
func TestRevocationAnswers(t *testing.T) {
	answer := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	basic := oauth.Revocation{Auth: oauth.ClientAuth{Method: oauth.ClientSecretBasic, ID: "id", Secret: secret.New("planted-client-secret")}}
	bearer := oauth.Revocation{Auth: oauth.ClientAuth{Method: oauth.Bearer}}
	github := basic
	github.GoneStatus = http.StatusNotFound
	for name, test := range map[string]struct {
		r       oauth.Revocation
		answer  func(http.ResponseWriter)
		said    string
		outcome oauth.Outcome // of the error; "" is none
	}{
		"200":                          {basic, answer(200, ""), "HTTP 200", ""},
		"204":                          {basic, func(w http.ResponseWriter) { w.WriteHeader(204) }, "HTTP 204", ""},
		"200, JSON":                    {basic, answer(200, `{"status":"success"}`), "HTTP 200", ""},
		"200, true":                    {basic, answer(200, `true`), "HTTP 200", ""},
		"200, but it says no":          {basic, answer(200, `{"ok":false,"error":"missing_scope"}`), "", oauth.Refused},
		"200 with an error":            {basic, answer(200, `{"error":"invalid_client"}`), "", oauth.Refused},
		"200, gone":                    {bearer, answer(200, `{"ok":false,"error":"token_revoked"}`), "HTTP 200 token_revoked: the token was not alive any more", ""},
		"400 invalid_token":            {basic, answer(400, `{"error":"invalid_token"}`), "HTTP 400 invalid_token: the token was not alive any more", ""},
		"400 of another's":             {basic, answer(400, `{"error":"invalid_grant"}`), "", oauth.Refused},
		"401 of a client":              {basic, answer(401, `{"error":"invalid_client"}`), "", oauth.Refused},
		"401 of a token":               {bearer, answer(401, ``), "HTTP 401: the token was not alive any more", ""},
		"404":                          {basic, answer(404, ``), "", oauth.Refused},
		"404 that means gone":          {github, answer(404, `{"message":"Not Found"}`), "HTTP 404: the token was not alive any more", ""},
		"503":                          {basic, answer(503, ``), "", oauth.Temporary},
		"503 of a token":               {bearer, answer(503, `{"error":"invalid_token"}`), "", oauth.Temporary},
		"429":                          {bearer, answer(429, `{"ok":false,"error":"ratelimited"}`), "", oauth.Temporary},
		"302":                          {basic, answer(302, ``), "", oauth.Refused},
		"400 that repeats the secrets": {basic, answer(400, `{"error":"no","error_description":"`+revokedToken+` planted-client-secret"}`), "", oauth.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, said, err := revoke(t, test.r, test.answer)
			e, _ := errors.AsType[*oauth.Error](err)
			if test.outcome == "" && err != nil || test.outcome != "" && (e == nil || e.Outcome != test.outcome) || said != test.said {
				t.Fatalf("%q, %v", said, err)
			}
			if e != nil && (strings.Contains(e.Error(), "planted") || (e.Outcome == oauth.Temporary) != (e.RetryAfter == 7*time.Second)) {
				t.Errorf("%v, again after %s", e, e.RetryAfter)
			}
		})
	}
	t.Run("an unknown method", func(t *testing.T) {
		_, _, _, err := revoke(t, oauth.Revocation{Auth: oauth.ClientAuth{Method: "magic", ID: "a", Secret: secret.New("s")}}, ok)
		if e, _ := errors.AsType[*oauth.Error](err); e == nil || e.Outcome != oauth.NotSent {
			t.Error(err)
		}
	})
}
