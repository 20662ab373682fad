package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"credence/internal/testenv"
)

// A client that a real vendor gives no bearer tokens to: tokens for a user, their renewal and tokens of its own are bound to keys of the vault, by proofs with the
// vendor's nonce; the agent gets the proof that the vendor's userinfo wants, and nothing else helps it there.
func TestFlowDPoPAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	v := realVendor(e)
	client := v.clients["bound"]
	app := startApplication(t)
	call[object](a, "CreateWorkloadIdentity", object{"name": "prover", "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	made := extended[oauth2Provider](a, "CreateOauth2CredentialProvider", customProvider("bound", v.issuer, client.ID, client.Secret, "CLIENT_SECRET_BASIC"),
		object{"X-Credence-Dpop-Bound-Access-Tokens": "true"})
	v.register(t, "bound", made.CallbackURL)
	c := &federation{a, app, "dora", object{
		"workloadIdentityToken": a.wat("prover", "dora"), "resourceCredentialProviderName": "bound", "oauth2Flow": "USER_FEDERATION",
		"scopes": []string{"openid", "offline_access"}, "resourceOauth2ReturnUrl": app.ReturnURL, "customParameters": object{"prompt": "consent"},
	}}
	c.begin()
	b := newTab(t)
	c.leave(b, "Sign-in")
	c.signIn(b)
	c.agree(b)
	first := c.poll().AccessToken
	v.usesProof(t, e, c, first)
	time.Sleep(shortLife)
	second := c.poll().AccessToken
	if second == first {
		t.Fatal("the token was not renewed")
	}
	v.usesProof(t, e, c, second)
	if issued := v.issued(t, 1, "bound", "dora", "refresh_token"); issued[0].AccessToken != second {
		t.Errorf("the vendor issued %+v", issued)
	}
	m2m := object{"workloadIdentityToken": a.wat("prover", ""), "resourceCredentialProviderName": "bound", "scopes": []string{"read"}, "oauth2Flow": "M2M"}
	if got := call[token](a, "GetResourceOauth2Token", m2m); got.AccessToken == "" {
		t.Errorf("M2M: %+v", got)
	}
}

// usesProof brings a token to the vendor's userinfo: as a bearer token, with a proof for elsewhere, and with one that fits.
func (v *vendor) usesProof(t *testing.T, e *testenv.Env, c *federation, token string) {
	t.Helper()
	endpoint := v.discover(t).Userinfo
	ask := func(scheme, proof string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", scheme+" "+token)
		if proof != "" {
			req.Header.Set("DPoP", proof)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	prove := func(htu, nonce string) string {
		t.Helper()
		in := object{"workloadIdentityToken": c.request["workloadIdentityToken"], "resourceCredentialProviderName": "bound", "accessToken": token, "htm": "GET", "htu": htu}
		if nonce != "" {
			in["nonce"] = nonce
		}
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		answer := e.Admin.Call("/credence/CreateDpopProof", string(body))
		var out struct{ DpopProof string }
		if err := json.Unmarshal([]byte(answer.Body), &out); err != nil || answer.Status != 200 {
			t.Fatalf("%d %s", answer.Status, answer.Body)
		}
		return out.DpopProof
	}
	if resp := ask("Bearer", ""); resp.StatusCode < 400 {
		t.Errorf("as a bearer token: %d", resp.StatusCode)
	}
	nonce := ask("DPoP", prove(endpoint, "")).Header.Get("DPoP-Nonce")
	if resp := ask("DPoP", prove(endpoint+"2", nonce)); resp.StatusCode != 401 {
		t.Errorf("with a proof for elsewhere: %d", resp.StatusCode)
	}
	resp := ask("DPoP", prove(endpoint, nonce))
	var claims struct{ Sub string }
	if err := json.NewDecoder(resp.Body).Decode(&claims); err != nil || resp.StatusCode != 200 || claims.Sub != c.user {
		t.Errorf("with a proof and the nonce %q: %d %+v %v", nonce, resp.StatusCode, claims, err)
	}
}
