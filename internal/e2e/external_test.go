package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"credence/internal/server"
	"credence/internal/testenv"
)

// mounted is a secret as Kubernetes mounts it: files that are symlinks into a folder, itself behind a symlink that a rotation replaces.
type mounted struct {
	t   testing.TB
	dir string
}

// put rotates all members at once.
func (m mounted) put(members map[string]string) {
	m.t.Helper()
	version, err := os.MkdirTemp(m.dir, "..2026_*")
	if err != nil {
		m.t.Fatal(err)
	}
	for name, text := range members {
		if err := os.WriteFile(filepath.Join(version, name), []byte(text), 0o600); err != nil {
			m.t.Fatal(err)
		}
		if err := os.Symlink("..data/"+name, filepath.Join(m.dir, name)); err != nil && !os.IsExist(err) {
			m.t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Base(version), filepath.Join(m.dir, "..data_tmp")); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")); err != nil {
		m.t.Fatal(err)
	}
}

func (m mounted) id(member string) string { return "file://" + m.dir + "/" + member }

// An agent gets tokens of a real vendor for a client whose secret is mounted, and a key that is mounted; rotations are seen at once and without a restart. Another
// account's mount is out of reach by every road. What is mounted is nowhere in what the server keeps.
func TestSecretsElsewhere(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	mine, theirs := mounted{t, filepath.Join(top, "mine")}, mounted{t, filepath.Join(top, "mine-too")}
	for _, m := range []mounted{mine, theirs} {
		if err := os.Mkdir(m.dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e := testenv.Start(t, func(c *server.Config) {
		c.External = []string{testenv.Account + "=file://" + mine.dir + "/", "210987654321=file://" + theirs.dir + "/"}
	})
	a, v := administrator(e), realVendor(e)
	client := v.clients["mounted"]
	const apiKey, rotatedKey, otherKey = "planted-mounted-key", "planted-rotated-key", "planted-key-of-another"
	e.Plant(apiKey, rotatedKey, otherKey)
	mine.put(map[string]string{"client_secret": "planted-old-secret\n", "api_key": apiKey})
	theirs.put(map[string]string{"api_key": otherKey})
	e.Plant("planted-old-secret")

	external := func(m mounted, member string) object {
		return object{"secretId": m.id(member), "jsonKey": member}
	}
	provider := customProvider("vendor", v.issuer, client.ID, "", "CLIENT_SECRET_BASIC")
	config := provider["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object)
	delete(config, "clientSecret")
	config["clientSecretSource"], config["clientSecretConfig"] = "EXTERNAL", external(mine, "client_secret")
	type described struct {
		Source  string `json:"clientSecretSource"`
		JSONKey string `json:"clientSecretJsonKey"`
		ARN     struct {
			SecretARN string `json:"secretArn"`
		} `json:"clientSecretArn"`
	}
	if got := call[described](a, "CreateOauth2CredentialProvider", provider); got.Source != "EXTERNAL" || got.JSONKey != "client_secret" || !strings.HasPrefix(got.ARN.SecretARN, "arn:aws:secretsmanager:") {
		t.Errorf("made %+v", got)
	}
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent"})
	call[object](a, "CreateApiKeyCredentialProvider", object{"name": "weather", "apiKeySecretSource": "EXTERNAL", "apiKeySecretConfig": external(mine, "api_key")})
	wat := a.wat("agent", "")
	request := object{"workloadIdentityToken": wat, "resourceCredentialProviderName": "vendor", "oauth2Flow": "M2M", "scopes": []string{"read"}}

	// The vendor does not take what is mounted; then it is rotated.
	if got := a.refusal("GetResourceOauth2Token", request); got.Name != "ValidationException" || !strings.Contains(got.Message, "invalid_client") {
		t.Errorf("with the old secret: %+v", got)
	}
	mine.put(map[string]string{"client_secret": client.Secret + "\n", "api_key": rotatedKey})
	got := call[token](a, "GetResourceOauth2Token", request)
	if !slices.ContainsFunc(v.issued(t, 1, "mounted", "", "client_credentials"), func(e vendorEvent) bool { return e.AccessToken == got.AccessToken }) {
		t.Errorf("with the rotated secret: %+v", got)
	}
	type key struct {
		APIKey string `json:"apiKey"`
	}
	keyRequest := object{"workloadIdentityToken": wat, "resourceCredentialProviderName": "weather"}
	if got := call[key](a, "GetResourceApiKey", keyRequest).APIKey; got != rotatedKey {
		t.Errorf("the key is %q", got)
	}

	// What is another's is refused by the member's name when it is given, and when the mount leads there later.
	for _, id := range []string{theirs.id("api_key"), mine.id("../mine-too/api_key"), mine.id("%2e%2e/mine-too/api_key"), mine.id("none"), "agents/weather"} {
		got := a.refusal("UpdateApiKeyCredentialProvider", object{"name": "weather", "apiKeySecretSource": "EXTERNAL", "apiKeySecretConfig": object{"secretId": id, "jsonKey": "api_key"}})
		if got.Name != "ValidationException" || !got.Typed || len(got.Fields) != 1 || got.Fields[0].Name != "apiKeySecretConfig" {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if err := os.Remove(filepath.Join(mine.dir, "api_key")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../mine-too/api_key", filepath.Join(mine.dir, "api_key")); err != nil {
		t.Fatal(err)
	}
	if got := a.refusal("GetResourceApiKey", keyRequest); got.Name != "AccessDeniedException" || !got.Typed || !strings.Contains(got.Message, "Access denied when retrieving secret") || strings.Contains(got.Message, otherKey) {
		t.Errorf("through a swapped symlink: %+v", got)
	}

	// Kept here from now on.
	call[object](a, "UpdateApiKeyCredentialProvider", object{"name": "weather", "apiKey": apiKey})
	if got := call[key](a, "GetResourceApiKey", keyRequest).APIKey; got != apiKey {
		t.Errorf("the key is %q", got)
	}
}
