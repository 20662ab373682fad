package control_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/wire"
)

func (b *bed) getAPIKeyProvider(t *testing.T, name string) *wire.GetApiKeyCredentialProviderOutput {
	t.Helper()
	out, err := b.GetApiKeyCredentialProvider(t.Context(), administrator(t, alpha), &wire.GetApiKeyCredentialProviderInput{Name: name})
	must(t, err)
	wantNoSecrets(t, out)
	return out
}

// storedAPIKey is what an agent would be given.
func (b *bed) storedAPIKey(t *testing.T, name string) string {
	t.Helper()
	p, err := b.Vault.APIKeyProvider(t.Context(), alpha, name)
	must(t, err)
	key, err := b.Vault.APIKey(t.Context(), p)
	must(t, err)
	return key.Reveal()
}

func TestAPIKeyProvider(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := openIn(t, dir, egress.Config{})
		c := administrator(t, alpha)
		created, err := b.CreateApiKeyCredentialProvider(t.Context(), c, &wire.CreateApiKeyCredentialProviderInput{
			Name: "github", ApiKey: plantedSecret(), ApiKeySecretSource: new(wire.SourceManaged), Tags: map[string]string{"team": "x"},
		})
		must(t, err)
		wantNoSecrets(t, created)
		noon := time.Now()
		p, err := b.Vault.APIKeyProvider(t.Context(), alpha, "github")
		must(t, err)
		want := &wire.GetApiKeyCredentialProviderOutput{
			ApiKeySecretArn: &wire.Secret{SecretArn: b.ARNs.Secret(alpha, "apikey", "github", p.Incarnation)}, ApiKeySecretJsonKey: new("api_key_value"),
			ApiKeySecretSource: new(wire.SourceManaged), Name: "github", CredentialProviderArn: apiKeyARN,
			CreatedTime: wire.Time{Time: noon}, LastUpdatedTime: wire.Time{Time: noon},
		}
		if d := cmp.Diff(want, b.getAPIKeyProvider(t, "github")); d != "" {
			t.Error(d)
		}
		wantCreated := &wire.CreateApiKeyCredentialProviderOutput{
			ApiKeySecretArn: want.ApiKeySecretArn, ApiKeySecretJsonKey: want.ApiKeySecretJsonKey, ApiKeySecretSource: want.ApiKeySecretSource, Name: "github",
			CredentialProviderArn: apiKeyARN,
		}
		if d := cmp.Diff(wantCreated, created); d != "" {
			t.Error(d)
		}
		must(t, wire.Validate(created))
		b.wantTags(t, "token-vault/default/apikeycredentialprovider/github", map[string]string{"team": "x"})
		if got := b.storedAPIKey(t, "github"); got != planted {
			t.Errorf("stored %q", got)
		}

		time.Sleep(time.Hour)
		before := b.rows(t)
		for _, key := range []*secret.String{nil, new(secret.String)} {
			out, err := b.UpdateApiKeyCredentialProvider(t.Context(), c, &wire.UpdateApiKeyCredentialProviderInput{Name: "github", ApiKey: key})
			must(t, err)
			if d := cmp.Diff(want, (*wire.GetApiKeyCredentialProviderOutput)(out)); d != "" {
				t.Error(d)
			}
		}
		if b.rows(t) != before || b.storedAPIKey(t, "github") != planted {
			t.Error("an update without a key changed rows")
		}
		out, err := b.UpdateApiKeyCredentialProvider(t.Context(), c, &wire.UpdateApiKeyCredentialProviderInput{Name: "github", ApiKey: new(secret.New("another key"))})
		must(t, err)
		want.LastUpdatedTime = wire.Time{Time: noon.Add(time.Hour)}
		if d := cmp.Diff(want, (*wire.GetApiKeyCredentialProviderOutput)(out)); d != "" {
			t.Error(d)
		}
		if got := b.storedAPIKey(t, "github"); got != "another key" {
			t.Errorf("stored %q after the update", got)
		}
	})
}

func TestAPIKeyProviderNameIsTaken(t *testing.T) {
	b := open(t)
	c := administrator(t, alpha)
	create := func(key string) error {
		_, err := b.CreateApiKeyCredentialProvider(t.Context(), c, &wire.CreateApiKeyCredentialProviderInput{
			Name: "github", ApiKey: new(secret.New(key)), Tags: map[string]string{"k": key},
		})
		return err
	}
	must(t, create("one"))
	before, first := b.rows(t), b.getAPIKeyProvider(t, "github").ApiKeySecretArn.SecretArn
	err := create("two")
	if fault.KindOf(err) != fault.Conflict || b.rows(t) != before {
		t.Errorf("%v, want a conflict that changes nothing", err)
	}
	_, err = b.DeleteApiKeyCredentialProvider(t.Context(), c, &wire.DeleteApiKeyCredentialProviderInput{Name: "github"})
	must(t, err)
	_, err = b.GetApiKeyCredentialProvider(t.Context(), c, &wire.GetApiKeyCredentialProviderInput{Name: "github"})
	wantNotFound(t, err, apiKeyARN)
	must(t, create("three"))
	if again := b.getAPIKeyProvider(t, "github").ApiKeySecretArn.SecretArn; again == first {
		t.Errorf("the ARN of the secret is that of the deleted one, %s", again)
	}
	if got := b.storedAPIKey(t, "github"); got != "three" {
		t.Errorf("stored %q", got)
	}
}

// What cannot be done is refused by name, at creation and at update, and nothing is written.
func TestAPIKeyProviderRefusals(t *testing.T) {
	b := open(t)
	c := administrator(t, alpha)
	_, err := b.CreateApiKeyCredentialProvider(t.Context(), c, &wire.CreateApiKeyCredentialProviderInput{Name: "there", ApiKey: plantedSecret()})
	must(t, err)
	before := b.rows(t)
	reference := &wire.SecretReference{SecretId: "mine", JsonKey: "key"}
	for name, test := range map[string]struct {
		key        *secret.String
		source     *wire.SecretSource
		config     *wire.SecretReference
		member     string
		says       string
		createOnly bool
	}{
		"external":               {nil, new(wire.SourceExternal), reference, "apiKeySecretConfig", `Access denied when retrieving secret "mine"`, false},
		"external with a key":    {plantedSecret(), new(wire.SourceExternal), nil, "apiKeySecretConfig", "is required when apiKeySecretSource is EXTERNAL", false},
		"a reference":            {nil, nil, reference, "apiKeySecretSource", "must be EXTERNAL when apiKeySecretConfig is given", false},
		"a reference and a key":  {plantedSecret(), nil, reference, "apiKeySecretConfig", "cannot be given together with apiKey:", false},
		"a managed reference":    {plantedSecret(), new(wire.SourceManaged), reference, "apiKeySecretConfig", "cannot be given together with apiKey:", false},
		"both and external":      {plantedSecret(), new(wire.SourceExternal), reference, "apiKeySecretConfig", "cannot be given together with apiKey:", false},
		"no key":                 {nil, nil, nil, "apiKey", "is required", true},
		"no key but a source":    {nil, new(wire.SourceManaged), nil, "apiKey", "is required", true},
		"an empty key":           {new(secret.String), nil, nil, "apiKey", "is required", true},
		"external, an empty key": {new(secret.String), new(wire.SourceExternal), nil, "apiKeySecretConfig", "is required when", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.CreateApiKeyCredentialProvider(t.Context(), c, &wire.CreateApiKeyCredentialProviderInput{
				Name: "github", ApiKey: test.key, ApiKeySecretSource: test.source, ApiKeySecretConfig: test.config,
			})
			wantInvalid(t, err, test.member, test.says)
			if !test.createOnly {
				_, err := b.UpdateApiKeyCredentialProvider(t.Context(), c, &wire.UpdateApiKeyCredentialProviderInput{
					Name: "there", ApiKey: test.key, ApiKeySecretSource: test.source, ApiKeySecretConfig: test.config,
				})
				wantInvalid(t, err, test.member, test.says)
			}
			if b.rows(t) != before {
				t.Error("rows changed")
			}
		})
	}
}
