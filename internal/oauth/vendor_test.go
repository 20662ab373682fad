package oauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"credence/internal/oauth"
	"credence/internal/secret"
)

// The secrets of every request in these tests: no error may hold one of them.
const (
	clientSecret = "hunter2/secret +canary"
	code         = "canary-code-1"
	verifier     = "canary-verifier-0123456789-0123456789-0123456789"
	refreshToken = "canary-refresh-1"
	userToken    = "canary.user.1"
	actorToken   = "canary-actor-1"
)

// vendor is a token endpoint on a real listener.
type vendor struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

type received struct {
	method string
	header http.Header
	query  url.Values
	form   url.Values // of the body alone
}

// newVendor answers every request with answer, after it has recorded the request.
func newVendor(t *testing.T, answer http.HandlerFunc) *vendor {
	t.Helper()
	v := new(vendor)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		v.mu.Lock()
		v.requests = append(v.requests, received{r.Method, r.Header, r.URL.Query(), r.PostForm})
		v.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(v.Close)
	return v
}

// only is the one request that arrived.
func (v *vendor) only(t *testing.T) received {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.requests) != 1 {
		t.Fatalf("%d requests arrived, want 1", len(v.requests))
	}
	return v.requests[0]
}

// says is an answer as sent; a nil header is that of a JSON answer.
func says(status int, header map[string]string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// newClient is a Client over a plain http.Client; it never says NotSent.
func newClient() *oauth.Client {
	return &oauth.Client{HTTP: &http.Client{
		Timeout:       5 * time.Second,
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func endpoint(v *vendor) oauth.Endpoint {
	return oauth.Endpoint{
		URL:  v.URL + "/token",
		Auth: oauth.ClientAuth{Method: oauth.ClientSecretBasic, ID: "client", Secret: secret.New(clientSecret)},
	}
}

// calls are the requests, each with the secrets above.
var calls = []struct {
	name string
	call func(*testing.T, *oauth.Client, oauth.Endpoint) (oauth.Token, error)
}{
	{"code", func(t *testing.T, c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
		return c.ExchangeCode(t.Context(), e, oauth.CodeGrant{
			Code: secret.New(code), Verifier: secret.New(verifier), RedirectURI: "https://credence.example/callback/1",
		})
	}},
	{"refresh", func(t *testing.T, c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
		return c.Refresh(t.Context(), e, oauth.RefreshGrant{RefreshToken: secret.New(refreshToken)})
	}},
	{"client credentials", func(t *testing.T, c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
		return c.ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{Scopes: []string{"read"}})
	}},
	{"token exchange", func(t *testing.T, c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
		return c.ExchangeToken(t.Context(), e, oauth.TokenExchangeGrant{SubjectToken: secret.New(userToken), ActorToken: secret.New(actorToken), ActorTokenType: oauth.TokenTypeAccessToken})
	}},
	{"JWT grant", func(t *testing.T, c *oauth.Client, e oauth.Endpoint) (oauth.Token, error) {
		return c.ExchangeJWT(t.Context(), e, oauth.JWTGrant{Assertion: secret.New(userToken)})
	}},
}

// refresh is the call of the tests for which any will do.
func refresh(t *testing.T, v *vendor) (oauth.Token, error) {
	t.Helper()
	return newClient().Refresh(t.Context(), endpoint(v), oauth.RefreshGrant{RefreshToken: secret.New(refreshToken)})
}

// failure is the *Error that a call must end with.
func failure(t *testing.T, token oauth.Token, err error) *oauth.Error {
	t.Helper()
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		t.Fatalf("error = %v, want an *oauth.Error", err)
	}
	if !token.AccessToken.IsZero() || !token.RefreshToken.IsZero() {
		t.Error("a token came with the error")
	}
	return e
}
