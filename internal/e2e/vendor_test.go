package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/testenv"
)

// vendor is a real one, with a record of what happened there.
type vendor struct {
	issuer  string
	clients map[string]vendorClient // by name
	allow   func(client, redirectURI string, jwk json.RawMessage) error
	stop    func() (said string, err error)

	mu     sync.Mutex
	events []vendorEvent
}

type vendorClient struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// vendorEvent is something that happened at the vendor; Event says which of the members it has.
type vendorEvent struct {
	Event        string         `json:"event"` // listening registered request code token refused revoked failed
	Issuer       string         `json:"issuer"`
	Clients      []vendorClient `json:"clients"`
	Client       string         `json:"client"` // name
	User         string         `json:"user"`
	RedirectURI  string         `json:"redirectUri"`
	Path         string         `json:"path"`
	Referer      string         `json:"referer"`
	Code         string         `json:"code"`
	GrantType    string         `json:"grantType"`
	Method       string         `json:"method"` // of the request, or by which the client authenticated
	Spent        string         `json:"spent"`  // refresh token
	AccessToken  string         `json:"accessToken"`
	RefreshToken string         `json:"refreshToken"`
	IDToken      string         `json:"idToken"`
	Error        string         `json:"error"`
	Description  string         `json:"description"`
	Detail       string         `json:"detail"` // of a refusal, which clients are not told
}

// shortLife is how long access tokens of the client "short" live: long enough for a few requests on a slow machine, short enough to wait for.
const shortLife = 6 * time.Second

// startVendor starts the one vendor of all tests. They run at once: who counts what happened there counts a client or a user of its own.
var startVendor = sync.OnceValues(func() (*vendor, error) {
	v, err := newVendor()
	if err == nil {
		stopAtEnd(func() { _, _ = v.stop() })
	}
	return v, err
})

// newVendor starts an oidc-provider (testdata/js/vendor.mjs).
func newVendor() (*vendor, error) {
	v := &vendor{clients: map[string]vendorClient{}}
	listening := make(chan error, 1)
	program, err := node("vendor.mjs", nil, func(line []byte) {
		var e vendorEvent
		if err := json.Unmarshal(line, &e); err != nil {
			listening <- fmt.Errorf("the vendor wrote %q: %w", line, err)
			return
		}
		v.add(e)
		if e.Event == "listening" {
			v.issuer = e.Issuer
			for _, c := range e.Clients {
				v.clients[c.Name] = c
			}
			listening <- nil
		}
	}, fmt.Sprint(int(shortLife.Seconds())))
	if err != nil {
		return nil, err
	}
	v.allow = func(client, redirectURI string, jwk json.RawMessage) error {
		return program.tell(map[string]any{"client": client, "redirectUri": redirectURI, "jwk": jwk})
	}
	v.stop = program.stop
	select {
	case err := <-listening:
		return v, err
	case <-time.After(patience):
		said, err := v.stop()
		return nil, fmt.Errorf("the vendor does not listen: %v\n%s", err, said)
	}
}

// realVendor is the shared vendor. All that it has handed out by then is looked for when the test of e ends.
func realVendor(e *testenv.Env) *vendor {
	e.T.Helper()
	v, err := startVendor()
	if err != nil {
		e.T.Fatal(err)
	}
	v.plant(e)
	return v
}

func (v *vendor) plant(e *testenv.Env) { e.T.Cleanup(func() { e.Plant(v.secrets()...) }) }

// add records what happened.
func (v *vendor) add(e vendorEvent) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, e)
}

// secrets are all that must never be found in clear at Credence.
func (v *vendor) secrets() (all []string) {
	for _, c := range v.clients {
		all = append(all, c.Secret)
	}
	for _, e := range v.seen() {
		all = append(all, e.Code, e.AccessToken, e.RefreshToken, e.IDToken)
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// seen is all that happened so far.
func (v *vendor) seen() []vendorEvent {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.events)
}

// register tells the vendor the redirect URI of a client, as a developer does in a vendor's console.
func (v *vendor) register(t testing.TB, client, redirectURI string) {
	t.Helper()
	v.registerWith(t, client, redirectURI, nil)
}

// registerWith is register, with the public key (a JWK) of a client that signs.
func (v *vendor) registerWith(t testing.TB, client, redirectURI string, jwk json.RawMessage) {
	t.Helper()
	if err := v.allow(client, redirectURI, jwk); err != nil {
		t.Fatal(err)
	}
	await(t, "the vendor to register "+redirectURI, func() bool {
		return slices.ContainsFunc(v.seen(), func(e vendorEvent) bool {
			return e.Event == "registered" && e.Client == client && e.RedirectURI == redirectURI
		})
	})
}

// issued waits for n answers of the token endpoint to a client for a user, and gives all of that grant type.
func (v *vendor) issued(t testing.TB, n int, client, user, grantType string) (all []vendorEvent) {
	t.Helper()
	await(t, fmt.Sprintf("%d tokens by %s", n, grantType), func() bool {
		all = slices.DeleteFunc(v.seen(), func(e vendorEvent) bool {
			return e.Event != "token" || e.Client != client || e.User != user || e.GrantType != grantType
		})
		return len(all) >= n
	})
	return all
}

// referers are the addresses that browsers told the vendor they came from.
func (v *vendor) referers() (all []string) {
	for _, e := range v.seen() {
		if e.Referer != "" && !strings.HasPrefix(e.Referer, v.issuer) {
			all = append(all, e.Referer)
		}
	}
	return all
}

// replay sends a spent refresh token, as a thief or a careless second process would. The vendor revokes the whole grant.
func (v *vendor) replay(t testing.TB, client, spent string) {
	t.Helper()
	c := v.clients[client]
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.issuer+"/token", strings.NewReader(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {spent}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	await(t, "the vendor to revoke the grant", func() bool {
		return slices.ContainsFunc(v.seen(), func(e vendorEvent) bool { return e.Event == "revoked" && e.Client == client })
	})
}

// audience is the claim aud of a JWT access token (RFC 9068).
func audience(t testing.TB, token string) string {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	return strings.Join(claims.Audience, " ")
}
