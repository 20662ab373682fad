package oauth

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"credence/internal/secret"
)

// Whatever a vendor answers: no panic, either a token that is in the answer or an *Error that is fit to print and holds no secret.
func FuzzTokenResponse(f *testing.F) {
	const sent = "canary-refresh-1"
	for _, body := range []string{
		`{"access_token":"at","expires_in":"3600","scope":["a","b"],"refresh_token":"rt"}`, `{"ok":false,"error":"invalid_code"}`, `access_token=at&scope=a%2Cb`,
		`{"error":{"type":"x","message":"canary-refresh-1"}}`, `{"authed_user":{"access_token":"at","expires_in":-1e999}}`, "\ufeff{}", `[]`, `{"access_token":""}`, `<html>`,
		`{"error":"e","error_description":"\u0000canary-refresh-1\u202e"}`, `{"access_token":"at","scope":" , "}`, "",
	} {
		for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded", "text/html", ""} {
			for _, status := range []int{200, 302, 400, 503} {
				f.Add([]byte(body), contentType, status)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string, status int) {
		header := http.Header{"Content-Type": {contentType}, "Retry-After": {contentType}}
		token, err := readResponse(response{status, header, body, ",", []secret.String{secret.New(sent)}})
		if err == nil {
			access := token.AccessToken.Reveal()
			m, readable := parseMembers(contentType, body)
			nested, _ := m["authed_user"].(map[string]any)
			if status < 200 || status > 299 || access == "" || !readable || access != m.text("access_token") && access != members(nested).text("access_token") {
				t.Errorf("a token from %d %q %q", status, contentType, body)
			}
			if !bytes.Contains(body, []byte("access_token")) && !bytes.ContainsAny(body, `\%`) {
				t.Errorf("a token from %q", body)
			}
			if token.ExpiresIn < 0 || token.ExpiresIn > maxLifetime || token.TokenType == "" {
				t.Errorf("expires in %v, type %q", token.ExpiresIn, token.TokenType)
			}
			for _, scope := range token.Scopes {
				if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) {
					t.Errorf("scope %q", scope)
				}
			}
			return
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || token.AccessToken.Len()+token.RefreshToken.Len() > 0 {
			t.Fatalf("%v", err)
		}
		if e.Outcome != Refused && e.Outcome != Temporary && e.Outcome != Unknown || e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter {
			t.Errorf("%+v", e)
		}
		if utf8.RuneCountInString(e.Code) > maxCode || utf8.RuneCountInString(e.Description) > maxDescription {
			t.Errorf("too long: %q", e.Error())
		}
		for _, form := range []string{sent, url.QueryEscape(sent)} {
			if strings.Contains(e.Error(), form) {
				t.Errorf("a secret in %q", e.Error())
			}
		}
		if strings.ContainsFunc(e.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not fit to print: %q", e.Error())
		}
	})
}
