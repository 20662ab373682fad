package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"credence/internal/testenv"
)

// active asks the real vendor whether it knows a token (RFC 7662).
func (v *vendor) active(t testing.TB, client, token string) bool {
	t.Helper()
	c := v.clients[client]
	form := url.Values{"token": {token}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.issuer+"/token/introspection", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var said struct{ Active bool }
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("introspection: HTTP %d, %v", resp.StatusCode, err)
	}
	return said.Active
}

// A workload identity is deleted, and a real vendor does not know its user's tokens any more: RFC 7009, by the endpoint that the vendor's own document names.
func TestFlowRevocationAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	a := administrator(e)
	v := realVendor(e)
	const client, user = "basic", "gloria"
	c := atVendor(a, v, client, "CLIENT_SECRET_BASIC", user)
	c.begin()
	b := newTab(t)
	c.leave(b, "Sign-in")
	c.signIn(b)
	c.agree(b)
	if c.poll().AccessToken == "" {
		t.Fatal("there is no token to revoke")
	}
	issued := v.issued(t, 1, client, user, "authorization_code")[0]
	if !v.active(t, client, issued.RefreshToken) {
		t.Fatal("the vendor does not know its own refresh token")
	}
	call[object](a, "DeleteWorkloadIdentity", object{"name": "agent-" + client})
	await(t, "the vendor to be told", func() bool { return e.Pending() == 0 })
	if v.active(t, client, issued.RefreshToken) || v.active(t, client, issued.AccessToken) {
		t.Error("the vendor takes the tokens for good")
	}
	for _, event := range e.Audit(testenv.Account) {
		if event.Action == "credence:RevokeAtVendor" && !strings.HasPrefix(event.Reason, "revoked (workload_deleted): refresh_token: HTTP 200") {
			t.Errorf("receipt: %s %s", event.Outcome, event.Reason)
		}
	}
}
