package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"credence/internal/testenv"
)

// An agent comes with the JWT of a user of one server, and gets a token of another, which says whose it is and who acts. The other server demands an actor, and
// gives a refresh token, which nobody keeps (that nothing of the vendor's is found in clear, all tests of this package see to).
func TestFlowTokenExchangeAtZitadel(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v, err := newZitadelTrusting(e.Vendor.Issuer(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = v.stop() })
	v.plant(e)
	a := administrator(e)
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent"})
	client := v.clients["machine"]
	create := func(name string, way object) {
		t.Helper()
		in := customProvider(name, v.issuer, client.ID, client.Secret, "CLIENT_SECRET_BASIC")
		in["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object)["onBehalfOfTokenExchangeConfig"] = way
		call[object](a, "CreateOauth2CredentialProvider", in)
	}
	create("with-actor", object{"grantType": "TOKEN_EXCHANGE", "tokenExchangeGrantTypeConfig": object{"actorTokenContent": "M2M", "actorTokenScopes": []string{"act"}}})
	create("without-actor", object{"grantType": "TOKEN_EXCHANGE", "tokenExchangeGrantTypeConfig": object{"actorTokenContent": "NONE"}})

	for _, user := range []string{"bob", "carol"} {
		userToken := e.Vendor.Sign(map[string]any{"sub": user, "aud": "application"})
		wat := call[struct {
			WorkloadAccessToken string `json:"workloadAccessToken"`
		}](a, "GetWorkloadAccessTokenForJWT", object{"workloadName": "agent", "userToken": userToken}).WorkloadAccessToken
		e.Plant(userToken, wat)
		request := object{
			"workloadIdentityToken": wat, "resourceCredentialProviderName": "with-actor", "oauth2Flow": "ON_BEHALF_OF_TOKEN_EXCHANGE",
			"scopes": []string{"read"}, "audiences": []string{"https://api.example", "https://other.example"},
		}
		got := call[token](a, "GetResourceOauth2Token", request)
		if got.AuthorizationURL != "" || got.SessionURI != "" {
			t.Errorf("%s is asked: %+v", user, got)
		}
		claims, err := keysOf(v.issuer).read(t.Context(), got.AccessToken, v.issuer)
		if err != nil {
			t.Fatalf("the token of %s: %v", user, err)
		}
		actor, _ := claims["act"].(map[string]any)
		if claims["sub"] != user || actor["sub"] != client.ID || len(actor) != 1 {
			t.Errorf("the token of %s is one of %v, for whom %v acts", user, claims["sub"], claims["act"])
		}
		if aud := fmt.Sprint(claims["aud"]); aud != "[https://api.example https://other.example]" {
			t.Errorf("the token is for %s", aud)
		}
		if said := v.last(t, "urn:ietf:params:oauth:grant-type:token-exchange"); said.AccessToken != got.AccessToken || said.RefreshToken == "" || said.Client != "machine" || said.Method != "client_secret_basic" {
			t.Errorf("the vendor answered %+v", said)
		}
		request["resourceCredentialProviderName"] = "without-actor"
		if refused := a.refusal("GetResourceOauth2Token", request); !strings.Contains(refused.Message, "impersonation") { // the server says so with a status of 500
			t.Errorf("without an actor: %+v", refused)
		}
		request["resourceCredentialProviderName"], request["workloadIdentityToken"] = "with-actor", a.wat("agent", user)
		if refused := a.refusal("GetResourceOauth2Token", request); refused.Name != "ValidationException" || !strings.Contains(refused.Message, "GetWorkloadAccessTokenForJWT") {
			t.Errorf("with a user id: %+v", refused)
		}
	}
	if n := len(slices.DeleteFunc(v.seen(), func(e vendorEvent) bool { return e.Event != "token" || e.GrantType != "client_credentials" })); n != 1 {
		t.Errorf("%d actor tokens for one agent", n)
	}
}

// VerifyExchangeSubjectToken takes JWTs of the server that is trusted.
func (s *zitadelStorage) VerifyExchangeSubjectToken(ctx context.Context, token string, _ oidc.TokenType) (string, string, map[string]any, error) {
	claims, err := keysOf(s.trusted).read(ctx, token, s.trusted)
	if err != nil {
		return "", "", nil, err
	}
	subject, _ := claims["sub"].(string)
	return token, subject, claims, nil
}

// VerifyExchangeActorToken takes JWTs of the issuer of who acts, beside the server's own tokens.
func (s *zitadelStorage) VerifyExchangeActorToken(ctx context.Context, token string, _ oidc.TokenType) (string, string, map[string]any, error) {
	if s.actors == "" {
		return "", "", nil, errors.New("not one of ours")
	}
	claims, err := keysOf(s.actors).read(ctx, token, s.actors)
	if err != nil {
		return "", "", nil, err
	}
	subject, _ := claims["sub"].(string)
	return token, subject, claims, nil
}

// GetPrivateClaimsFromTokenExchangeRequest adds the claim act (RFC 8693 section 4.1), which the example leaves to whoever wants it.
func (s *zitadelStorage) GetPrivateClaimsFromTokenExchangeRequest(ctx context.Context, r op.TokenExchangeRequest) (map[string]any, error) {
	claims, err := s.Storage.GetPrivateClaimsFromTokenExchangeRequest(ctx, r)
	if actor := r.GetExchangeActor(); err == nil && actor != "" {
		if claims == nil {
			claims = map[string]any{}
		}
		claims["act"] = map[string]any{"sub": actor}
	}
	return claims, err
}

// keysOf are the keys that the discovery document of an issuer leads to.
type keysOf string

// read verifies a JWT of an issuer that has not expired.
func (issuer keysOf) read(ctx context.Context, token, iss string) (map[string]any, error) {
	var document struct {
		JWKS string `json:"jwks_uri"`
	}
	var set jose.JSONWebKeySet
	if err := readJSON(ctx, strings.TrimSuffix(string(issuer), "/")+"/.well-known/openid-configuration", &document); err != nil {
		return nil, err
	}
	if err := readJSON(ctx, document.JWKS, &set); err != nil {
		return nil, err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return nil, err
	}
	var registered jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(set, &registered, &all); err != nil {
		return nil, err
	}
	return all, registered.ValidateWithLeeway(jwt.Expected{Issuer: iss, Time: time.Now()}, 0)
}

func readJSON(ctx context.Context, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
