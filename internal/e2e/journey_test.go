// Package e2e holds tests only: journeys through the whole server, with real clients on one side and real vendors on the other.
package e2e

import (
	"testing"

	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"

	"credence/internal/testenv"
)

// An agent gets a token for itself; the second request is served from the vault, also after a restart.
func TestFlowM2MAtAwkwardVendor(t *testing.T) {
	e := testenv.Start(t)
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	wat := e.Admin.WAT("agent", "")
	out, err := e.Admin.Token(wat, "vendor", data.Oauth2FlowTypeM2m)
	if err != nil {
		t.Fatal(err)
	}
	info, ok := e.Vendor.Introspect(*out.AccessToken)
	if !ok || info.ClientID != testenv.ClientID {
		t.Errorf("the vendor does not know the token: %+v", info)
	}
	again, err := e.Admin.Token(wat, "vendor", data.Oauth2FlowTypeM2m)
	if err != nil || *again.AccessToken != *out.AccessToken {
		t.Errorf("not served from the vault: %v", err)
	}
	e.Restart()
	again, err = e.Admin.Token(wat, "vendor", data.Oauth2FlowTypeM2m)
	if err != nil || *again.AccessToken != *out.AccessToken {
		t.Errorf("not served from the vault after a restart: %v", err)
	}
	if n := e.Vendor.Count("client_credentials"); n != 1 {
		t.Errorf("the vendor was asked %d times", n)
	}
}

// A user consents in a browser, the application completes, the agent gets the user's token: on each engine.
func TestFlowUserFederationAtAwkwardVendor(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { userFederation(t, testenv.Start(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { userFederation(t, testenv.Start(t, testenv.OnPostgreSQL(t))) })
}

func userFederation(t *testing.T, e *testenv.Env) {
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	token := e.Admin.Consent("agent", "vendor", "alice")
	if info, ok := e.Vendor.Introspect(token); !ok || info.Subject == "" {
		t.Errorf("the vendor does not know the token: %+v", info)
	}
	e.Restart()
	out, err := e.Admin.Token(e.Admin.WAT("agent", "alice"), "vendor", data.Oauth2FlowTypeUserFederation)
	if err != nil || out.AccessToken == nil || *out.AccessToken != token {
		t.Errorf("the grant did not survive a restart: %+v %v", out, err)
	}
	out, err = e.Admin.Token(e.Admin.WAT("agent", "bob"), "vendor", data.Oauth2FlowTypeUserFederation)
	if err != nil || out.AccessToken != nil || out.AuthorizationUrl == nil {
		t.Errorf("another user: %+v %v", out, err)
	}
}
