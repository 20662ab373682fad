//go:build full

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/testenv"
)

// hydra is Ory Hydra (tools/hydra) in memory.
type hydra struct {
	t             *testing.T
	issuer, admin string
}

func startHydra(t *testing.T) hydra {
	t.Helper()
	var ports [2]int
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			t.Fatal(err)
		}
	}
	h := hydra{t, fmt.Sprintf("http://localhost:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])}
	config := filepath.Join(t.TempDir(), "hydra.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, hydraConfig, ports[0], ports[1], h.issuer), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	program := exec.CommandContext(t.Context(), filepath.Join("..", "..", ".servers", "hydra"), "serve", "all", "--dev", "--config", config)
	program.Stdout, program.Stderr = &said, &said
	if err := program.Start(); err != nil {
		t.Fatalf("make test-full builds it: %v", err)
	}
	t.Cleanup(func() { // t.Context has ended: it is killed
		_ = program.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	await(t, "hydra to be ready", func() bool {
		var ready struct{ Status string }
		return readJSON(t.Context(), h.admin+"/health/ready", &ready) == nil && ready.Status == "ok"
	})
	return h
}

const hydraConfig = `
dsn: memory
serve:
  public: {host: 127.0.0.1, port: %d}
  admin: {host: 127.0.0.1, port: %d}
urls:
  self: {issuer: %q}
secrets: {system: [any of more than sixteen characters]}
strategies: {access_token: jwt}
`

func (h hydra) post(path string, in any) {
	h.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.admin+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusCreated {
		said, _ := io.ReadAll(resp.Body)
		h.t.Fatalf("%s: %s\n%s", path, resp.Status, said)
	}
}

// trust has hydra take JWTs of an issuer for the word of its users.
func (h hydra) trust(ctx context.Context, issuer string) {
	h.t.Helper()
	var document struct {
		JWKS string `json:"jwks_uri"`
	}
	var keys jose.JSONWebKeySet
	if err := readJSON(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &document); err != nil {
		h.t.Fatal(err)
	}
	if err := readJSON(ctx, document.JWKS, &keys); err != nil {
		h.t.Fatal(err)
	}
	for _, key := range keys.Keys {
		h.post("/admin/trust/grants/jwt-bearer/issuers", object{
			"issuer": issuer, "allow_any_subject": true, "scope": []string{"read"}, "jwk": key, "expires_at": time.Now().Add(time.Hour).UTC(),
		})
	}
}

// An agent comes with the JWT of a user of one server and gets that user's token of hydra, which takes a JWT once, and only one that is meant for it.
func TestFlowJWTGrantAtHydra(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	h := startHydra(t)
	h.trust(t.Context(), e.Vendor.Issuer())
	const id, password = "agent client", "planted agent secret"
	e.Plant(password)
	h.post("/admin/clients", object{
		"client_id": id, "client_secret": password, "grant_types": []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "scope": "read", "token_endpoint_auth_method": "client_secret_post",
	})
	a := administrator(e)
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent"})
	in := customProvider("hydra", h.issuer, id, password, "CLIENT_SECRET_POST")
	in["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object)["onBehalfOfTokenExchangeConfig"] = object{"grantType": "JWT_AUTHORIZATION_GRANT"}
	call[object](a, "CreateOauth2CredentialProvider", in)

	request := func(user, audience string) object {
		userToken := e.Vendor.Sign(map[string]any{"sub": user, "aud": []string{"application", audience}, "jti": user + audience, "iat": time.Now().Unix()})
		wat := call[struct {
			WorkloadAccessToken string `json:"workloadAccessToken"`
		}](a, "GetWorkloadAccessTokenForJWT", object{"workloadName": "agent", "userToken": userToken}).WorkloadAccessToken
		e.Plant(userToken, wat)
		return object{"workloadIdentityToken": wat, "resourceCredentialProviderName": "hydra", "oauth2Flow": "ON_BEHALF_OF_TOKEN_EXCHANGE", "scopes": []string{"read"}}
	}
	for _, user := range []string{"bob", "carol"} {
		r := request(user, h.issuer+"/oauth2/token")
		got := call[token](a, "GetResourceOauth2Token", r)
		claims, err := keysOf(h.issuer).read(t.Context(), got.AccessToken, h.issuer)
		if err != nil {
			t.Fatalf("the token of %s: %v", user, err)
		}
		if claims["sub"] != user || claims["client_id"] != id {
			t.Errorf("the token of %s is one of %v, for whom %v acts", user, claims["sub"], claims["client_id"])
		}
		if again := call[token](a, "GetResourceOauth2Token", r); again.AccessToken != got.AccessToken {
			t.Errorf("%s: another token for the same JWT, which the server would not have taken again", user)
		}
		r["forceAuthentication"] = true
		if refused := a.refusal("GetResourceOauth2Token", r); refused.Name != "ValidationException" || !strings.Contains(refused.Message, "jti") {
			t.Errorf("%s: the same JWT once more: %+v", user, refused)
		}
	}
	if refused := a.refusal("GetResourceOauth2Token", request("bob", "https://elsewhere.example")); refused.Name != "ValidationException" || !strings.Contains(refused.Message, "invalid_grant") {
		t.Errorf("a JWT for somebody else: %+v", refused)
	}
}
