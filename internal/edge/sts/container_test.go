package sts_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/sts"

	"credence/internal/audit"
	"credence/internal/testenv"
)

// An unmodified SDK that has the address of the container credentials and a token file is a session of the role; with the token of another subject, nobody.
func TestContainerCredentials(t *testing.T) {
	e := testenv.Start(t)
	newRole(t, e, "agent", federated(e, "spiffe://acme.example/mail"))
	file := filepath.Join(t.TempDir(), "token")
	full := e.URL + "/credence/container-credentials?" + url.Values{"RoleArn": {roleARN("agent")}, "DurationSeconds": {"900"}}.Encode()
	for name, value := range map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": full, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file, "AWS_ENDPOINT_URL_STS": e.URL, "AWS_REGION": "eu-west-3",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_ROLE_ARN": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "",
	} {
		t.Setenv(name, value)
	}
	whoami := func(subject string) (string, error) {
		must(t, os.WriteFile(file, []byte(webToken(e, subject)), 0o600))
		cfg, err := config.LoadDefaultConfig(t.Context())
		must(t, err)
		out, err := sdk.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sdk.GetCallerIdentityInput{})
		if err != nil {
			return "", err
		}
		return *out.Arn, nil
	}
	if arn, err := whoami("spiffe://acme.example/mail"); arn != "arn:aws:sts::"+testenv.Account+":assumed-role/agent/container" || err != nil {
		t.Errorf("%s, %v", arn, err)
	}
	if arn, err := whoami("spiffe://acme.example/other"); err == nil || !strings.Contains(err.Error(), "Not authorized to perform sts:AssumeRoleWithWebIdentity") {
		t.Errorf("%s, %v", arn, err)
	}
	if events := e.Audit(testenv.Account); events[len(events)-1].Outcome != audit.Denied || events[len(events)-1].Subject != "spiffe://acme.example/other" {
		t.Errorf("recorded %+v", events[len(events)-1])
	}
	for name, edit := range map[string]func(*http.Request){
		"no token":               func(*http.Request) {},
		"a token in the address": func(r *http.Request) { r.URL.RawQuery += "&WebIdentityToken=x" },
		"two tokens":             func(r *http.Request) { r.Header["Authorization"] = []string{"a", "b"} },
		"two roles":              func(r *http.Request) { r.URL.RawQuery += "&RoleArn=x"; r.Header.Set("Authorization", "x") },
		"a role that is no ARN":  func(r *http.Request) { r.URL.RawQuery = "RoleArn=x"; r.Header.Set("Authorization", "abcd") },
		"policies that are unheard": func(r *http.Request) {
			r.URL.RawQuery += "&PolicyArns.member.1.arn=x"
			r.Header.Set("Authorization", "abcd")
		},
	} {
		r, err := http.NewRequest(http.MethodGet, full, nil)
		must(t, err)
		edit(r)
		if a := e.Do(r); a.Status != 400 || !strings.Contains(a.Body, `"code":"ValidationError"`) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}
