//go:build full

package openbao

import (
	"context"
	"maps"
	"testing"
	"time"

	"credence/internal/secret"
	"credence/internal/testvault"
)

// The engines and logins of a real Vault are as the documented server of the other tests has them.
func TestReal(t *testing.T) {
	address, token := testvault.Start(t)
	root, err := New(Config{Address: address, Login: Login{Token: secret.New(token)}})
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path string, in, out any) {
		t.Helper()
		if err := root.Do(context.Background(), method, path, in, out); err != nil {
			t.Fatal(err)
		}
	}
	do("POST", "sys/mounts/one", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}}, nil)
	do("POST", "sys/mounts/two", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}, nil)
	value := map[string]any{"password": "s3cret", "port": 5432}
	do("POST", "one/app/db", value, nil)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a new mount of version 2 is upgraded first
		if err := root.Do(t.Context(), "POST", "two/data/app/db", map[string]any{"data": value}, nil); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	do("POST", "sys/auth/approle", map[string]string{"type": "approle"}, nil)
	do("POST", "sys/policies/acl/p", map[string]string{"policy": `path "one/*" { capabilities = ["read"] } path "two/data/*" { capabilities = ["read"] }`}, nil)
	do("POST", "auth/approle/role/agents", map[string]any{"token_policies": "p", "token_ttl": "60s"}, nil)
	var role struct {
		ID string `json:"role_id"`
	}
	var id struct {
		ID string `json:"secret_id"`
	}
	do("GET", "auth/approle/role/agents/role-id", nil, &role)
	do("POST", "auth/approle/role/agents/secret-id", nil, &id)

	c, err := New(Config{Address: address, Login: Login{RoleID: role.ID, SecretIDFile: file(t, id.ID)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, mount := range []string{"one", "two"} {
		got, err := c.Read(t.Context(), mount, "app/db")
		if want := map[string]string{"password": "s3cret", "port": "5432"}; err != nil || !maps.Equal(reveal(got), want) {
			t.Errorf("%s: %v, %v", mount, reveal(got), err)
		}
		if _, err := c.Read(t.Context(), mount, "app/none"); status(err) != 404 {
			t.Errorf("%s: a secret that is not there: %v", mount, err)
		}
	}
	c.session.renew = time.Now().Add(-time.Second)
	first := c.session.token
	if _, err := c.Read(t.Context(), "one", "app/db"); err != nil || !c.session.token.Equal(first) || !c.session.renew.After(time.Now()) {
		t.Errorf("renewal: %v, next in %s", err, time.Until(c.session.renew))
	}
	do("POST", "auth/token/revoke", map[string]string{"token": first.Reveal()}, nil)
	c.session.since = time.Now().Add(-relogin)
	if _, err := c.Read(t.Context(), "one", "app/db"); err != nil || c.session.token.Equal(first) {
		t.Errorf("after the token was revoked: %v", err)
	}
	do("DELETE", "two/data/app/db", nil, nil)
	if _, err := c.Read(t.Context(), "two", "app/db"); status(err) != 404 {
		t.Errorf("a deleted secret: %v", err)
	}
	if _, err := c.Read(t.Context(), "three", "app/db"); status(err) != 403 {
		t.Errorf("no such engine: %v", err)
	}
	do("PUT", "sys/seal", nil, nil)
	if _, err := c.Read(t.Context(), "one", "app/db"); err == nil || status(err) != 0 {
		t.Errorf("sealed: %v", err)
	}
}
