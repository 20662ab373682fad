package fakeidp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"credence/internal/fakeidp"
)

const (
	callback = "https://agent.example/callback?provider=fake"
	verifier = "correct-horse-battery-staple~correct.horse_battery"
)

// agent's ID and secret change when they are not form-encoded in Basic credentials (RFC 6749 section 2.3.1).
var agent = fakeidp.Client{ID: "agent:+1", Secret: "s/+% 'é@:", RedirectURIs: []string{callback}}

// bed is a vendor with a browser that follows no redirect.
type bed struct {
	*fakeidp.Vendor
	browser *http.Client
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func start(t *testing.T) bed {
	t.Helper()
	v := fakeidp.Start(t)
	v.AddClient(agent)
	return bed{v, &http.Client{CheckRedirect: stay}}
}

// at is the URL of an endpoint.
func (v bed) at(path string) string { return strings.TrimSuffix(v.Issuer(), "/") + path }

type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any // nil when the body is no JSON object
}

// token is a member of the answer that must be there.
func (a answer) token(t *testing.T, member string) string {
	t.Helper()
	value, ok := a.json[member].(string)
	if !ok || value == "" {
		t.Fatalf("answer %d %s has no %s", a.status, a.body, member)
	}
	return value
}

func (a answer) wantError(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || a.json["error"] != code {
		t.Fatalf("answer %d %s, want %d with error %s", a.status, a.body, status, code)
	}
}

func (a answer) wantOK(t *testing.T) answer {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("answer %d %s, want 200", a.status, a.body)
	}
	return a
}

func (v bed) send(req *http.Request) (answer, error) {
	resp, err := v.browser.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	_ = json.Unmarshal(body, &a.json)
	return a, nil
}

func mustSend(t *testing.T, v bed, req *http.Request) answer {
	t.Helper()
	a, err := v.send(req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func get(t *testing.T, v bed, address string) answer {
	t.Helper()
	return mustSend(t, v, request(t, http.MethodGet, address, nil))
}

func request(t *testing.T, method, address string, form url.Values) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

// tokenRequest is authenticated by form parameters; pairs are names and values.
func tokenRequest(t *testing.T, v bed, grantType string, pairs ...string) *http.Request {
	t.Helper()
	form := url.Values{"grant_type": {grantType}, "client_id": {agent.ID}, "client_secret": {agent.Secret}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return request(t, http.MethodPost, v.at("/token"), form)
}

func clientCredentials(t *testing.T, v bed) answer {
	t.Helper()
	return mustSend(t, v, tokenRequest(t, v, "client_credentials", "scope", "read write"))
}

func refresh(t *testing.T, v bed, refreshToken string, pairs ...string) answer {
	t.Helper()
	return mustSend(t, v, tokenRequest(t, v, "refresh_token", append(pairs, "refresh_token", refreshToken)...))
}

func redeem(t *testing.T, v bed, code string) answer {
	t.Helper()
	return mustSend(t, v, redemption(t, v, code))
}

func redemption(t *testing.T, v bed, code string) *http.Request {
	t.Helper()
	return tokenRequest(t, v, "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)
}

// authorizationURL asks for read and write; pairs are names and values that replace or, when empty, remove parameters.
func authorizationURL(v bed, pairs ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {agent.ID}, "redirect_uri": {callback}, "scope": {"read write"}, "state": {"state-1"},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			query.Del(pairs[i])
		}
	}
	return v.at("/authorize?") + query.Encode()
}

// location is the query that the browser takes to the callback.
func (a answer) location(t *testing.T) url.Values {
	t.Helper()
	to := a.header.Get("Location")
	u, err := url.Parse(to)
	if err != nil || a.status != http.StatusSeeOther || !strings.HasPrefix(to, "https://agent.example/callback?") || u.Query().Get("provider") != "fake" {
		t.Fatalf("answer %d %s to %q, want 303 to the callback with its own query", a.status, a.body, to)
	}
	return u.Query()
}

func authorize(t *testing.T, v bed) string {
	t.Helper()
	code := get(t, v, authorizationURL(v)).location(t).Get("code")
	if code == "" {
		t.Fatal("the callback has no code")
	}
	return code
}

func resource(t *testing.T, v bed, accessToken string) answer {
	t.Helper()
	req := request(t, http.MethodGet, v.at("/resource"), nil)
	req.Header.Set("Authorization", "Bearer "+accessToken)
	return mustSend(t, v, req)
}

func revoke(t *testing.T, v bed, client fakeidp.Client, token string) answer {
	t.Helper()
	form := url.Values{"token": {token}, "client_id": {client.ID}, "client_secret": {client.Secret}}
	return mustSend(t, v, request(t, http.MethodPost, v.at("/revoke"), form))
}
