package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"credence/internal/server"
	"credence/internal/testca"
	"credence/internal/testenv"
)

func credence(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTrustBundleCommands(t *testing.T) {
	e := testenv.Start(t)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(e.Config.DataDir, "credentials"))
	t.Setenv("CREDENCE_ENDPOINT", e.URL)
	root := testca.New(t)
	bundle := root.File(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"put", "acme.example", bundle}, 0, "CN=Test Root"},
		{[]string{"list"}, 0, "acme.example\t"},
		{[]string{"put", "acme.example", file(t, "none.pem", "none")}, 1, "no certificate"},
		{[]string{"put", "https://acme.example", bundle}, 1, "trustDomain"},
		{[]string{"delete", "acme.example"}, 0, "trusted no more"},
		{[]string{"delete", "acme.example"}, 1, "ResourceNotFoundException"},
	} {
		code, out, errs := credence(t, append([]string{"trust-bundle"}, c.args...)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: %d %s%s", c.args, code, out, errs)
		}
	}
	if code, out, errs := credence(t, "trust-bundle", "list"); code != 0 || out != "" {
		t.Errorf("%d %s%s", code, out, errs)
	}
}

// An unmodified AWS SDK whose credential_process is this program, with nothing but an X.509-SVID, is a session of the role.
func TestCredentialProcess(t *testing.T) {
	ca, root := testca.New(t), testca.New(t)
	cert, key := ca.Server(t)
	e := testenv.Start(t, func(c *server.Config) { c.TLSCert, c.TLSKey = cert, key })
	e.Client = ca.Client(t, nil)
	for operation, body := range map[string]string{
		"PutTrustBundle": `{"trustDomain":"acme.example","certificates":"` + strings.ReplaceAll(root.PEM(), "\n", `\n`) + `"}`,
		"CreateRole": `{"roleName":"agent","assumeRolePolicyDocument":"` + strings.ReplaceAll(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"X509":"acme.example"},"Action":"sts:AssumeRoleWithCertificate",`+
			`"Condition":{"ForAnyValue:StringEquals":{"x509:SAN/URI":"spiffe://acme.example/mail"}}}}`, `"`, `\"`) + `"}`,
	} {
		if a := e.Admin.Call("/credence/"+operation, body); a.Status/100 != 2 {
			t.Fatalf("%s: %s", operation, a.Body)
		}
	}
	role := "arn:aws:iam::" + testenv.Account + ":role/agent"
	args := func(id string) []string {
		own := root.Intermediate(t).SVID(t, id)
		var chain string
		for _, der := range own.Certificate {
			chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
		private, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"credential-process", role, "--endpoint", e.URL, "--server-ca", ca.File(t), "--certificate", file(t, "svid.pem", chain),
			"--private-key", file(t, "svid_key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))), "--duration", "15m"}
	}
	if code, out, errs := credence(t, args("spiffe://acme.example/other")...); code != 1 || out != "" || !strings.Contains(errs, "Not authorized to perform sts:AssumeRoleWithCertificate (AccessDenied)") {
		t.Errorf("another workload: %d %s%s", code, out, errs)
	}
	if code, _, errs := credence(t, append(args("spiffe://acme.example/mail"), "--endpoint", "http://127.0.0.1:1")...); code != 1 || !strings.Contains(errs, "must be https") {
		t.Errorf("in clear: %d %s", code, errs)
	}
	t.Setenv("AWS_CONFIG_FILE", file(t, "config", "[default]\nregion = us-east-1\ncredential_process = credence "+strings.Join(args("spiffe://acme.example/mail"), " ")+"\n"))
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_CA_BUNDLE", ca.File(t))
	cfg, err := config.LoadDefaultConfig(context.Background(), config.WithBaseEndpoint(e.URL))
	if err != nil {
		t.Fatal(err)
	}
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:sts::" + testenv.Account + ":assumed-role/agent/certificate"; *out.Arn != want {
		t.Errorf("%s, want %s", *out.Arn, want)
	}
}
