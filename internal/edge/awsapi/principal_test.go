package awsapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"credence/internal/iam"
	"credence/internal/testenv"
)

// A key that was disabled or deleted is as unknown as none with the next request; an enabled one is good again. What is used is told.
func TestAccessKeysBiteAtOnce(t *testing.T) {
	e := testenv.Start(t)
	do := func(operation, body string) testenv.Answer {
		t.Helper()
		a := e.Admin.Call("/credence/"+operation, body)
		if a.Status/100 != 2 {
			t.Fatalf("%s: %s", operation, a.Body)
		}
		return a
	}
	do("CreateUser", `{"userName":"ci"}`)
	var k struct{ AccessKeyId, SecretAccessKey string }
	if err := json.Unmarshal([]byte(do("CreateAccessKey", `{"userName":"ci"}`).Body), &k); err != nil {
		t.Fatal(err)
	}
	e.Plant(k.SecretAccessKey)
	ci := e.As(testenv.Account, k.AccessKeyId, k.SecretAccessKey, "")
	wants := func(when string, status int, kind string) {
		t.Helper()
		if a := ci.Call("/credence/ListUsers", `{}`); a.Status != status || a.Type() != kind {
			t.Errorf("%s: %d %s", when, a.Status, a.Body)
		}
	}
	update := func(status string) {
		do("UpdateAccessKey", `{"userName":"ci","accessKeyId":"`+k.AccessKeyId+`","status":"`+status+`"}`)
	}
	wants("without rights", http.StatusForbidden, "AccessDeniedException")
	do("PutUserPolicy", `{"userName":"ci","policyName":"all","policyDocument":"`+anyPolicy+`"}`)
	wants("with rights", http.StatusOK, "")
	update("Inactive")
	wants("disabled", http.StatusForbidden, "UnrecognizedClientException")
	update("Active")
	wants("enabled", http.StatusOK, "")
	do("DeleteUserPolicy", `{"userName":"ci","policyName":"all"}`)
	wants("without rights again", http.StatusForbidden, "AccessDeniedException")
	do("DeleteUser", `{"userName":"ci"}`)
	wants("deleted", http.StatusForbidden, "UnrecognizedClientException")
}

// Names of another account's users and roles are as unknown as any.
func TestPrincipalsOfAnotherAccount(t *testing.T) {
	e := testenv.Start(t)
	theirs := e.NewAccount("222222222222")
	e.NewUser("222222222222", "only-theirs", iam.AllowAll)
	if a := theirs.Call("/credence/CreateRole", `{"roleName":"only-theirs","assumeRolePolicyDocument":"`+strings.ReplaceAll(trustPolicy, `"`, `\"`)+`"}`); a.Status != 201 {
		t.Fatal(a.Body)
	}
	for _, operation := range []string{
		"GetUser", "ListAccessKeys", "CreateAccessKey", "ListUserPolicies", "DeleteUser", "PutUserPolicy", "GetUserPolicy", "DeleteUserPolicy",
		"GetRole", "UpdateRole", "DeleteRole", "RevokeRoleSessions", "ListRolePolicies", "PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy",
	} {
		ask := func(name string) testenv.Answer {
			return e.Admin.Call("/credence/"+operation, `{"userName":"`+name+`","roleName":"`+name+`","policyName":"test","policyDocument":"`+anyPolicy+`"}`)
		}
		a, b := ask("only-theirs"), ask("only-nobody")
		if a.Status != 404 || strings.ReplaceAll(a.Body, "only-theirs", "only-nobody") != b.Body {
			t.Errorf("%s: %d %s\n%d %s", operation, a.Status, a.Body, b.Status, b.Body)
		}
	}
	for operation, body := range map[string]string{"CreateAccount": `{"accountId":"333333333333"}`, "ListAccounts": `{}`} {
		if a := theirs.Call("/credence/"+operation, body); a.Status != 403 || !strings.Contains(a.Message(), "Only callers of the operator's account") {
			t.Errorf("%s by an administrator of another account: %d %s", operation, a.Status, a.Body)
		}
	}
}

// A replica that starts does not make the first administrator's key anew when somebody ended it.
func TestEndedFirstKeyStaysEnded(t *testing.T) {
	e := testenv.Start(t, testenv.OnPostgreSQL(t))
	boss := e.NewUser(testenv.Account, "boss", iam.AllowAll)
	if a := boss.Call("/credence/DeleteUser", `{"userName":"admin"}`); a.Status != 204 {
		t.Fatal(a.Body)
	}
	e.Restart()
	if a := e.As(testenv.Account, boss.Credentials().AccessKeyID, boss.Credentials().SecretAccessKey, "").Call("/credence/GetUser", `{"userName":"admin"}`); a.Status != 404 {
		t.Errorf("the first administrator is back: %s", a.Body)
	}
	if e.Server.FirstStart != nil {
		t.Errorf("it calls itself a first start: %+v", e.Server.FirstStart)
	}
}
