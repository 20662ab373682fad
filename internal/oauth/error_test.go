package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"credence/internal/oauth"
	"credence/internal/secret"
)

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name              string
		status            int
		contentType, body string
		outcome           oauth.Outcome
		code, text        string // text is a piece of the error
	}{
		{"invalid_grant", 400, "application/json", `{"error":"invalid_grant","error_description":"The code has expired."}`, oauth.Refused, "invalid_grant",
			"the vendor refused the request: invalid_grant: The code has expired. (HTTP 400)"},
		{"invalid_grant, more closely (Microsoft)", 400, "application/json", `{"error":"invalid_grant","error_description":"AADSTS65001: No consent.","suberror":"consent_required"}`,
			oauth.Refused, "invalid_grant", "the vendor refused the request: invalid_grant: consent_required: AADSTS65001: No consent. (HTTP 400)"},
		{"invalid_client", 401, "application/json", `{"error":"invalid_client"}`, oauth.Refused, "invalid_client", "invalid_client (HTTP 401)"},
		{"400 without a body (glewlwyd)", 400, "", "", oauth.Refused, "", "(HTTP 400)"},
		{"403 without a body", 403, "", "", oauth.Refused, "", "(HTTP 403)"},
		{"404 with a page", 404, "text/html", "<html>page canary</html>", oauth.Refused, "", "(HTTP 404)"},
		{"400 with a form", 400, "application/x-www-form-urlencoded", "error=invalid_scope&error_description=no+such+scope", oauth.Refused, "invalid_scope", "no such scope"},
		{"200 with an error (GitHub)", 200, "application/json", `{"error":"bad_verification_code","error_description":"The code is incorrect.","error_uri":"https://docs"}`,
			oauth.Refused, "bad_verification_code", "The code is incorrect."},
		{"200 with an error in a form", 200, "text/plain", "error=bad_verification_code", oauth.Refused, "bad_verification_code", ""},
		{"200 with ok false (Slack)", 200, "application/json", `{"ok":false,"error":"invalid_code"}`, oauth.Refused, "invalid_code", "invalid_code (HTTP 200)"},
		{"ok false beside a token", 200, "application/json", `{"ok":false,"access_token":"at"}`, oauth.Refused, "", ""},
		{"an error object (Facebook)", 400, "application/json", `{"error":{"type":"OAuthException","message":"Invalid verification code","code":100}}`, oauth.Refused,
			"OAuthException", "Invalid verification code"},
		{"an error of another type", 400, "application/json", `{"error":true,"error_description":["x"]}`, oauth.Refused, "", "(HTTP 400)"},
		{"a token with 400", 400, "application/json", aToken, oauth.Refused, "", ""},
		{"301", 301, "text/html", "<a href=/x>moved</a>", oauth.Refused, "", "the token endpoint redirected (301); give its final URL"},
		{"304", 304, "", "", oauth.Refused, "", "redirected (304)"},

		{"408", 408, "", "", oauth.Temporary, "", "the vendor cannot answer for now (HTTP 408)"},
		{"429", 429, "application/json", `{"error":"rate_limited"}`, oauth.Temporary, "rate_limited", "rate_limited"},
		{"500", 500, "text/html", "<html>", oauth.Temporary, "", "(HTTP 500)"},
		{"503 with a code", 503, "application/json", `{"error":"invalid_grant"}`, oauth.Temporary, "invalid_grant", ""},
		{"temporarily_unavailable with 400", 400, "application/json", `{"error":"temporarily_unavailable"}`, oauth.Temporary, "temporarily_unavailable", ""},
		{"ratelimited with 200 (Slack)", 200, "application/json", `{"ok":false,"error":"ratelimited"}`, oauth.Temporary, "ratelimited", ""},

		{"200 without a token", 200, "application/json", `{"token_type":"Bearer"}`, oauth.Unknown, "", "the answer has no access_token (HTTP 200)"},
		{"an empty token", 200, "application/json", `{"access_token":""}`, oauth.Unknown, "", "no access_token"},
		{"a token of another type", 200, "application/json", `{"access_token":{"v":"at"}}`, oauth.Unknown, "", "no access_token"},
		{"an empty answer", 200, "", "", oauth.Unknown, "", "no access_token"},
		{"204", 204, "", "", oauth.Unknown, "", "no access_token"},
		{"a page", 200, "text/html", "access_token=at<html>", oauth.Unknown, "", "neither JSON nor a form"},
		{"half a JSON", 200, "application/json", `{"access_token":"at"`, oauth.Unknown, "", "neither JSON nor a form"},
		{"a JSON and more", 200, "application/json", `{"access_token":"at"}}`, oauth.Unknown, "", "neither JSON nor a form"},
		{"a JSON array", 200, "application/json", `[{"access_token":"at"}]`, oauth.Unknown, "", "neither JSON nor a form"},
		{"a form with bad escapes", 200, "application/x-www-form-urlencoded", "access_token=%zz", oauth.Unknown, "", "neither JSON nor a form"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := newVendor(t, says(tc.status, map[string]string{"Content-Type": tc.contentType}, tc.body))
			token, err := refresh(t, v)
			e := failure(t, token, err)
			if e.Outcome != tc.outcome || e.Code != tc.code || e.Status != tc.status || !strings.Contains(e.Error(), tc.text) {
				t.Errorf("%s, code %q, status %d: %v", e.Outcome, e.Code, e.Status, e)
			}
			if silent := tc.status == 400 && tc.body == ""; e.Silent != silent {
				t.Errorf("silent: %t", e.Silent)
			}
			if strings.Contains(e.Error(), "canary") || strings.Contains(e.Error(), "<") {
				t.Errorf("the error repeats the answer: %v", e)
			}
			if !strings.Contains(e.Error(), fmt.Sprint(tc.status)) {
				t.Errorf("the error has no status: %v", e)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, tc := range []struct {
		value    string
		min, max time.Duration
	}{
		{"", 0, 0},
		{"0", 0, 0},
		{"120", 2 * time.Minute, 2 * time.Minute},
		{"1.5", 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"3601", time.Hour, time.Hour},
		{"99999999999999999999999", time.Hour, time.Hour},
		{"-5", 0, 0},
		{"-99999999999999999999999", 0, 0},
		{"soon", 0, 0},
		{"NaN", 0, 0},
		{in(time.Minute), 55 * time.Second, time.Minute},
		{in(24 * time.Hour), time.Hour, time.Hour},
		{in(-time.Minute), 0, 0},
	} {
		for _, status := range []int{408, 429, 503} {
			v := newVendor(t, says(status, map[string]string{"Retry-After": tc.value}, ""))
			token, err := refresh(t, v)
			if e := failure(t, token, err); e.RetryAfter < tc.min || e.RetryAfter > tc.max || e.Outcome != oauth.Temporary {
				t.Errorf("%d with %q: %v (%s), want %v to %v", status, tc.value, e.RetryAfter, e.Outcome, tc.min, tc.max)
			}
		}
	}
}

func TestDescriptionsAreCleaned(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
	for _, tc := range []struct{ name, sent, want string }{
		{"plain words", "The refresh token has expired.", "The refresh token has expired."},
		{"other scripts", "Jeton expiré · 期限切れ", "Jeton expiré · 期限切れ"},
		{"lines and controls", "one\r\ntwo\tthree\x00\x1b[31m\u202efour", "one two three [31m four"},
		{"a trace id", "AADSTS70008: expired. Trace ID: 0b9e3a60-1f2c-4d3e-9d0a-5d2b4e6f7a8b", "AADSTS70008: expired. Trace ID: 0b9e3a60-1f2c-4d3e-9d0a-5d2b4e6f7a8b"},
		{"an address", "see https://docs.example.com/errors/invalid-grant", "see https://docs.example.com/errors/invalid-grant"},
		{"a long word", "unsupported_grant_type_for_this_client", "unsupported_grant_type_for_this_client"},
		{"a JWT", "bad assertion " + jwt + "!", "bad assertion [cut]!"},
		{"a GitHub token", "bad gho_16C7e42F292c6912E7710c838347Ae178B4a", "bad [cut]"},
		{"twenty digits of hex", "code 4f9a0c1b2d3e4f5a6b7c is used", "code [cut] is used"},
		{"letters of both cases", "AbCdEfGhIjKlMnOpQrStUv", "[cut]"},
		{"what was sent", "no such token: " + refreshToken, "no such token: [cut]"},
		{"the client secret", "secret " + clientSecret + " is wrong", "secret [cut] is wrong"},
		{"the client secret in form encoding", "secret " + url.QueryEscape(clientSecret), "secret [cut]"},
		{"the Authorization header", "got Basic " + base64.StdEncoding.EncodeToString([]byte("client:"+url.QueryEscape(clientSecret))), "got Basic [cut]"},
		{"too long", strings.Repeat("ä ", 400), strings.Repeat("ä ", 149) + "ä…"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body, err := json.Marshal(map[string]string{"error": "invalid_grant", "error_description": tc.sent})
			if err != nil {
				t.Fatal(err)
			}
			token, err := refresh(t, newVendor(t, says(400, nil, string(body))))
			if e := failure(t, token, err); e.Description != tc.want || utf8.RuneCountInString(e.Description) > 300 {
				t.Errorf("%q, want %q", e.Description, tc.want)
			}
		})
	}
	t.Run("short credentials", func(t *testing.T) {
		v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
			says(400, nil, `{"error":"invalid_client","error_description":"got `+r.Header.Get("Authorization")+`"}`)(w, r)
		})
		e := endpoint(v)
		e.Auth.ID, e.Auth.Secret = "c", secret.New("hi")
		token, err := newClient().ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{})
		if e := failure(t, token, err); e.Description != "got Basic [cut]" {
			t.Errorf("%q", e.Description)
		}
	})
	t.Run("the code is bounded too", func(t *testing.T) {
		token, err := refresh(t, newVendor(t, says(400, nil, `{"error":"`+strings.Repeat("x ", 100)+`"}`)))
		if e := failure(t, token, err); utf8.RuneCountInString(e.Code) != 64 {
			t.Errorf("%q", e.Code)
		}
	})
}

// A vendor that quotes the whole request gets none of its secrets into an error, and neither does one that quotes a token of its own.
func TestNoSecretInErrors(t *testing.T) {
	const issued = "canary-issued-token-9f8e7d6c5b4a39281706"
	for _, status := range []int{200, 302, 400, 401, 429, 500} {
		for _, c := range calls {
			for _, method := range []oauth.AuthMethod{oauth.ClientSecretBasic, oauth.ClientSecretPost} {
				t.Run(fmt.Sprintf("%d/%s/%s", status, c.name, method), func(t *testing.T) {
					v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
						echo := fmt.Sprint(r.PostForm, r.PostForm.Encode(), r.Header, issued)
						if user, password, ok := r.BasicAuth(); ok {
							echo += fmt.Sprint(user, " ", password)
						}
						w.Header().Set("X-Debug", issued)
						w.Header().Set("Location", "https://elsewhere.example/?token="+issued)
						body, _ := json.Marshal(map[string]any{"error": echo, "error_description": echo, "suberror": echo, "message": echo, "refresh_token": issued, "id_token": issued})
						says(status, nil, string(body))(w, r)
					})
					e := endpoint(v)
					e.Auth.Method = method
					token, err := c.call(t, newClient(), e)
					failed := failure(t, token, err)
					printed := fmt.Sprintf("%v %+v %#v %q", failed, failed, *failed, failed.Description)
					basic := base64.StdEncoding.EncodeToString([]byte("client:" + url.QueryEscape(clientSecret)))
					for _, s := range []string{clientSecret, url.QueryEscape(clientSecret), basic, code, verifier, refreshToken, userToken, actorToken, issued} {
						if strings.Contains(printed, s) {
							t.Errorf("%q is in the error: %s", s, printed)
						}
					}
				})
			}
		}
	}
}
