package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/testenv"
)

// domains are two oidc-providers (testdata/js/domains.mjs).
type domains struct {
	program  *program
	idp, api string // issuers

	mu     sync.Mutex
	events []domainEvent
}

type domainEvent struct {
	Event       string `json:"event"` // listening signed-in token refused failed
	Issuer      string `json:"issuer"`
	API         string `json:"api"`
	User        string `json:"user"`
	IDToken     string `json:"idToken"`
	Client      string `json:"client"`
	AccessToken string `json:"accessToken"`
	Error       string `json:"error"`
	Description string `json:"description"`
}

func startDomains(t *testing.T) *domains {
	t.Helper()
	d := &domains{}
	listening := make(chan domainEvent, 1)
	var err error
	d.program, err = node("domains.mjs", nil, func(line []byte) {
		var e domainEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Errorf("the servers wrote %q: %v", line, err)
			return
		}
		d.mu.Lock()
		d.events = append(d.events, e)
		d.mu.Unlock()
		if e.Event == "listening" {
			listening <- e
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if said, err := d.program.stop(); err != nil || t.Failed() {
			t.Logf("domains: %v\n%s\n%+v", err, said, d.seen())
		}
	})
	select {
	case e := <-listening:
		d.idp, d.api = e.Issuer, e.API
	case <-time.After(patience):
		t.Fatal("the servers do not listen")
	}
	return d
}

func (d *domains) seen() []domainEvent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

func (d *domains) of(event, user string) []domainEvent {
	return slices.DeleteFunc(d.seen(), func(e domainEvent) bool { return e.Event != event || e.User != user })
}

// signIn is the ID token that a user brings along from the identity provider.
func (d *domains) signIn(t *testing.T, user string) (idToken string) {
	t.Helper()
	if err := d.program.tell(object{"user": user}); err != nil {
		t.Fatal(err)
	}
	await(t, user+" to sign in", func() bool {
		in := d.of("signed-in", user)
		if len(in) > 0 {
			idToken = in[len(in)-1].IDToken
		}
		return len(in) > 0
	})
	return idToken
}

// A user signs in at the company's identity provider and nowhere else; the agent gets that user's token of another domain, whose server knows the user and the agent
// by the identity provider's word.
func TestFlowIDJAGAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	d := startDomains(t)
	e.T.Cleanup(func() {
		for _, event := range d.seen() {
			if event.IDToken != "" || event.AccessToken != "" {
				e.Plant(event.IDToken + event.AccessToken)
			}
		}
		e.Plant("the secret of agents at idp", "the secret of agents at api")
	})
	a := administrator(e)
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent"})
	create := func(name, issuer string, way object, headers object) object {
		in := customProvider(name, issuer, "agent at "+name, "the secret of agents at "+name, "CLIENT_SECRET_POST")
		in["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object)["onBehalfOfTokenExchangeConfig"] = way
		return extended[object](a, "CreateOauth2CredentialProvider", in, headers)
	}
	create("idp", d.idp, object{"grantType": "TOKEN_EXCHANGE"}, object{})
	create("api", d.api, object{"grantType": "JWT_AUTHORIZATION_GRANT"}, object{"X-Credence-Identity-Assertion-Provider": "idp"})

	request := func(userToken string) object {
		wat := call[struct {
			WorkloadAccessToken string `json:"workloadAccessToken"`
		}](a, "GetWorkloadAccessTokenForJWT", object{"workloadName": "agent", "userToken": userToken}).WorkloadAccessToken
		e.Plant(wat)
		return object{
			"workloadIdentityToken": wat, "resourceCredentialProviderName": "api", "oauth2Flow": "ON_BEHALF_OF_TOKEN_EXCHANGE", "scopes": []string{"read"}, "resources": []string{"https://things.example/"},
		}
	}
	for _, user := range []string{"bob", "carol"} {
		r := request(d.signIn(t, user))
		got := call[token](a, "GetResourceOauth2Token", r)
		claims, err := keysOf(d.api).read(t.Context(), got.AccessToken, d.api)
		if err != nil {
			t.Fatalf("the token of %s: %v", user, err)
		}
		if said := fmt.Sprint(claims["sub"], claims["client_id"], claims["aud"], claims["scope"]); said != fmt.Sprint(user, "agent at api", "https://things.example/", "read") {
			t.Errorf("the token of %s says %s", user, said)
		}
		if again := call[token](a, "GetResourceOauth2Token", r); again.AccessToken != got.AccessToken || len(d.of("token", user)) != 1 {
			t.Errorf("%s: another token for the same JWT", user)
		}
	}
	// Who is not signed in at this identity provider has no token of it to show, and what another says of him goes nowhere.
	foreign := e.Vendor.Sign(map[string]any{"sub": "bob", "aud": "application"})
	e.Plant(foreign)
	if refused := a.refusal("GetResourceOauth2Token", request(foreign)); refused.Name != "ValidationException" || !strings.Contains(refused.Message, "made from a JWT of") {
		t.Errorf("a JWT of another issuer: %+v", refused)
	}
	if refused := d.of("refused", ""); len(refused) != 0 {
		t.Errorf("the servers refused %+v", refused)
	}
}
