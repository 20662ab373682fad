package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"credence/internal/secret"
)

// maxLifetime bounds expires_in: beyond ten years a number is nonsense, and enough of them overflow.
const maxLifetime = 10 * 365 * 24 * time.Hour

// response is an answer of a token or revocation endpoint, with what is needed to read it.
type response struct {
	status    int
	header    http.Header
	body      []byte
	separator string          // of the scope member
	sent      []secret.String // the secrets of the request
}

// readResponse finds the token or the reason why there is none. A 2xx answer with an access token is a success even if it holds an error
// too, because a rotated refresh token in it must not be lost; only Slack's "ok":false outweighs it.
func readResponse(r response) (Token, error) {
	m, readable := parseMembers(r.header.Get("Content-Type"), r.body)
	switch {
	case r.status >= 300 && r.status <= 399:
		return Token{}, &Error{Outcome: Refused, Status: r.status, Err: fmt.Errorf("the token endpoint redirected (%d); give its final URL", r.status)}
	case r.status < 200 || r.status > 299:
		return Token{}, m.refusal(r)
	case !readable:
		return Token{}, &Error{Outcome: Unknown, Status: r.status, Err: errors.New("the answer is neither JSON nor a form")}
	case m["ok"] == false:
		return Token{}, m.refusal(r)
	}
	grant := m
	// Slack (oauth.v2.access) nests the token of a user when no bot token was asked for.
	if nested, ok := m["authed_user"].(map[string]any); ok && m.text("access_token") == "" {
		grant = nested
	}
	access := grant.text("access_token")
	switch {
	case access != "":
		return Token{
			AccessToken:  secret.New(access),
			RefreshToken: secret.New(grant.text("refresh_token")),
			TokenType:    grant.tokenType(),
			ExpiresIn:    grant.expiresIn(),
			Scopes:       grant.scopes(r.separator),

			IssuedTokenType: clean(grant.text("issued_token_type"), maxCode, r.sent),
			IDToken:         secret.New(grant.text("id_token")),
		}, nil
	case m.hasError():
		return Token{}, m.refusal(r)
	}
	return Token{}, &Error{Outcome: Unknown, Status: r.status, Err: errors.New("the answer has no access_token")}
}

// members are those of a JSON object (numbers as json.Number) or the first values of a form.
type members map[string]any

// parseMembers takes a JSON object whatever its content type says, because vendors mislabel it, and a form only when it is called one or
// plain text, because any HTML page would pass for a form.
func parseMembers(contentType string, body []byte) (members, bool) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if bytes.HasPrefix(body, []byte("{")) {
		var m members
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil {
			return nil, false
		}
		_, err := dec.Token()
		return m, errors.Is(err, io.EOF)
	}
	mediaType, _, _ := mime.ParseMediaType(contentType)
	if mediaType != "application/x-www-form-urlencoded" && mediaType != "text/plain" && contentType != "" {
		return nil, false
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, false
	}
	m := make(members, len(form))
	for name, values := range form {
		m[name] = values[0]
	}
	return m, true
}

// text is a member that is a string, or "".
func (m members) text(name string) string {
	s, _ := m[name].(string)
	return s
}

func (m members) tokenType() string {
	if t := clean(m.text("token_type"), maxCode, nil); t != "" {
		return t
	}
	return "Bearer"
}

// expiresIn reads a number of seconds, also as a string or a fraction. Vendors write 0 or -1 for tokens that do not expire.
func (m members) expiresIn() time.Duration {
	var text string
	switch v := m["expires_in"].(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return duration(seconds, maxLifetime)
}

// duration clamps a vendor's number of seconds, which may be negative, infinite or no number, to between 0 and limit.
func duration(seconds float64, limit time.Duration) time.Duration {
	switch {
	case seconds >= limit.Seconds():
		return limit
	case seconds > 0:
		return time.Duration(seconds * float64(time.Second))
	}
	return 0
}

// scopes reads a string or an array (Twitch). GitHub Apps answer with an empty scope, which says nothing about the token.
func (m members) scopes(separator string) []string {
	var all []string
	split := func(s string) {
		if separator != "" {
			s = strings.ReplaceAll(s, separator, " ")
		}
		all = append(all, strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })...)
	}
	switch v := m["scope"].(type) {
	case string:
		split(v)
	case []any:
		for _, element := range v {
			if s, ok := element.(string); ok {
				split(s)
			}
		}
	}
	return all
}
