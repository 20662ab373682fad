package control_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3/driver"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/control"
	"credence/internal/egress"
	"credence/internal/external"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
)

const (
	alpha = "111111111111"
	beta  = "222222222222"

	publicURL = "https://credence.example"
	planted   = "planted-secret-0123456789" // no answer and no error may hold it
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is the plane over a real database, with a second connection to look at it.
type bed struct {
	*control.Control
	kek       *vault.KEK
	content   *sql.Stmt // every row
	elsewhere string    // directory of alpha's secrets that are kept elsewhere
}

func open(t testing.TB) *bed {
	t.Helper()
	return openIn(t, t.TempDir(), egress.Config{})
}

func openIn(t testing.TB, dir string, out egress.Config) *bed {
	t.Helper()
	key, err := vault.NewMasterKey()
	must(t, err)
	keyFile := filepath.Join(dir, "master.key")
	must(t, os.WriteFile(keyFile, key, 0o600))
	b := new(bed)
	b.kek, err = vault.OpenKEK("file:" + keyFile)
	must(t, err)
	path := filepath.Join(dir, "credence.db")
	s, err := store.Open(context.Background(), store.Config{Path: path})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	metrics := telemetry.New()
	b.elsewhere = filepath.Join(dir, "elsewhere")
	prefixes, err := external.ParsePrefixes([]string{alpha + "=file://" + b.elsewhere + "/", beta + "=file://" + b.elsewhere + "-beta/"})
	must(t, err)
	v, err := vault.New(context.Background(), vault.Config{Store: s, KEK: b.kek, External: external.New(prefixes), Metrics: metrics})
	must(t, err)
	must(t, v.CreateAccount(alpha))
	must(t, v.CreateAccount(beta))
	client, err := egress.New(out)
	must(t, err)
	b.Control = control.New(control.Config{
		Vault: v, Store: s, Gate: access.New(audit.New(s), v, iam.ARNs{Region: "us-east-1"}, metrics), Resolver: provider.NewResolver(provider.Presets, oauth.NewDiscovery(client, client.CheckURL)),
		ARNs: iam.ARNs{Region: "eu-west-1"}, CheckURL: client.CheckURL, PublicURL: publicURL,
		OAuth: &oauth.Client{HTTP: client, NotSent: egress.NotSent}, Explorer: oauth.Explorer{HTTP: client, Check: client.CheckURL},
	})
	file, err := driver.Open("file:" + path + "?_pragma=busy_timeout(10000)")
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	b.content, err = file.Prepare(content(t, file))
	must(t, err)
	return b
}

func caller(t testing.TB, account, policy string) iam.Caller {
	t.Helper()
	p, err := iam.ParsePolicy([]byte(policy))
	must(t, err)
	return iam.Caller{Account: account, ARN: iam.User(account, "admin"), Policies: []*iam.Policy{p}}
}

func administrator(t testing.TB, account string) iam.Caller { return caller(t, account, iam.AllowAll) }

// content is a query for every row of every table but the audit log's, as text.
func content(t testing.TB, file *sql.DB) string {
	t.Helper()
	var query string
	must(t, file.QueryRow(`SELECT group_concat(one, ' UNION ALL ') || ' ORDER BY 1' FROM (
		SELECT 'SELECT ''' || m.name || ' '' || ' || group_concat('quote(' || c.name || ')', ' || '' '' || ') || ' FROM ' || m.name AS one
		FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name <> 'audit_batches' GROUP BY m.name)`).Scan(&query))
	return query
}

// rows is every row of every table but the audit log's.
func (b *bed) rows(t *testing.T) string {
	t.Helper()
	rows, err := b.content.Query()
	must(t, err)
	var out strings.Builder
	for rows.Next() {
		var row string
		must(t, rows.Scan(&row))
		fmt.Fprintln(&out, row)
	}
	must(t, rows.Err())
	return out.String()
}

// events are those of an account, in order.
func (b *bed) events(t *testing.T, account string) (all []audit.Event) {
	t.Helper()
	batches, err := b.Store.AuditBatches(context.Background(), account)
	must(t, err)
	for _, batch := range batches {
		for line := range bytes.Lines(batch.Events) {
			var e audit.Event
			must(t, json.Unmarshal(line, &e))
			all = append(all, e)
		}
	}
	return all
}

// wantInvalid wants a Validation fault about one member.
func wantInvalid(t *testing.T, err error, member string, says ...string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != member {
		t.Errorf("got %v, want a validation fault about %s", err, member)
		return
	}
	for _, s := range says {
		if !strings.Contains(f.Msg, s) {
			t.Errorf("%q does not say %q", f.Msg, s)
		}
	}
	if strings.Contains(f.Error(), planted) {
		t.Errorf("the error holds a secret: %v", f)
	}
}

// wantNotFound wants the API's answer for a resource that is not there.
func wantNotFound(t *testing.T, err error, arn string) {
	t.Helper()
	if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Kind != fault.NotFound || f.Msg != "Resource not found: "+arn {
		t.Errorf("got %v, want not_found for %s", err, arn)
	}
}

// wantNoSecrets looks for the planted secret in an answer as clients get it.
func wantNoSecrets(t *testing.T, out any) {
	t.Helper()
	text, err := json.Marshal(out)
	must(t, err)
	if bytes.Contains(text, []byte(planted)) || bytes.Contains(text, []byte(secret.Redacted)) {
		t.Errorf("an answer holds a secret: %s", text)
	}
}

func (b *bed) wantTags(t *testing.T, resource string, want map[string]string) {
	t.Helper()
	tags, err := b.Store.Tags(t.Context(), alpha, resource)
	must(t, err)
	if d := cmp.Diff(want, tags); d != "" {
		t.Errorf("tags of %s (-want +got)\n%s", resource, d)
	}
}

func plantedSecret() *secret.String { return new(secret.New(planted)) }

// operation is one operation of the plane on things of one name.
type operation struct {
	name      string
	resources []string // that the caller must have rights to
	call      func(iam.Caller) error
}

const (
	directoryARN = "arn:aws:bedrock-agentcore:eu-west-1:" + alpha + ":workload-identity-directory/default"
	workloadARN  = directoryARN + "/workload-identity/agent"
	vaultARN     = "arn:aws:bedrock-agentcore:eu-west-1:" + alpha + ":token-vault/default"
	oauth2ARN    = vaultARN + "/oauth2credentialprovider/github"
	apiKeyARN    = vaultARN + "/apikeycredentialprovider/github"
	paymentARN   = vaultARN + "/paymentcredentialprovider/wallet"
)

// operations are all of the plane, in an order in which each finds what it needs.
func (b *bed) operations(ctx context.Context) []operation {
	workload, oauth2, apiKey := []string{directoryARN, workloadARN}, []string{oauth2ARN, vaultARN}, []string{apiKeyARN, vaultARN}
	payment := []string{paymentARN, vaultARN}
	return []operation{
		{"CreateWorkloadIdentity", workload, func(c iam.Caller) error {
			_, err := b.CreateWorkloadIdentity(ctx, c, &wire.CreateWorkloadIdentityInput{Name: "agent"})
			return err
		}},
		{"GetWorkloadIdentity", workload, func(c iam.Caller) error {
			_, err := b.GetWorkloadIdentity(ctx, c, &wire.GetWorkloadIdentityInput{Name: "agent"})
			return err
		}},
		{"ListWorkloadIdentities", []string{directoryARN}, func(c iam.Caller) error {
			_, err := b.ListWorkloadIdentities(ctx, c, &wire.ListWorkloadIdentitiesInput{})
			return err
		}},
		{"UpdateWorkloadIdentity", workload, func(c iam.Caller) error {
			_, err := b.UpdateWorkloadIdentity(ctx, c, &wire.UpdateWorkloadIdentityInput{Name: "agent", CompleteBySessionUri: new(true)})
			return err
		}},
		{"CreateOauth2CredentialProvider", oauth2, func(c iam.Caller) error {
			_, err := b.CreateOauth2CredentialProvider(ctx, c, &wire.CreateOauth2CredentialProviderInput{
				Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github("client", plantedSecret()),
			})
			return err
		}},
		{"GetOauth2CredentialProvider", oauth2, func(c iam.Caller) error {
			_, err := b.GetOauth2CredentialProvider(ctx, c, &wire.GetOauth2CredentialProviderInput{Name: "github"})
			return err
		}},
		{"ListOauth2CredentialProviders", []string{vaultARN}, func(c iam.Caller) error {
			_, err := b.ListOauth2CredentialProviders(ctx, c, &wire.ListOauth2CredentialProvidersInput{})
			return err
		}},
		{"UpdateOauth2CredentialProvider", oauth2, func(c iam.Caller) error {
			_, err := b.UpdateOauth2CredentialProvider(ctx, c, &wire.UpdateOauth2CredentialProviderInput{
				Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github("client", plantedSecret()),
			})
			return err
		}},
		{"CreateApiKeyCredentialProvider", apiKey, func(c iam.Caller) error {
			_, err := b.CreateApiKeyCredentialProvider(ctx, c, &wire.CreateApiKeyCredentialProviderInput{Name: "github", ApiKey: plantedSecret()})
			return err
		}},
		{"GetApiKeyCredentialProvider", apiKey, func(c iam.Caller) error {
			_, err := b.GetApiKeyCredentialProvider(ctx, c, &wire.GetApiKeyCredentialProviderInput{Name: "github"})
			return err
		}},
		{"ListApiKeyCredentialProviders", []string{vaultARN}, func(c iam.Caller) error {
			_, err := b.ListApiKeyCredentialProviders(ctx, c, &wire.ListApiKeyCredentialProvidersInput{})
			return err
		}},
		{"UpdateApiKeyCredentialProvider", apiKey, func(c iam.Caller) error {
			_, err := b.UpdateApiKeyCredentialProvider(ctx, c, &wire.UpdateApiKeyCredentialProviderInput{Name: "github", ApiKey: plantedSecret()})
			return err
		}},
		{"CreatePaymentCredentialProvider", payment, func(c iam.Caller) error {
			_, err := b.CreatePaymentCredentialProvider(ctx, c, &wire.CreatePaymentCredentialProviderInput{
				Name: "wallet", CredentialProviderVendor: wire.VendorCoinbaseCDP, ProviderConfigurationInput: coinbase("key", edKey, ""),
			})
			return err
		}},
		{"GetPaymentCredentialProvider", payment, func(c iam.Caller) error {
			_, err := b.GetPaymentCredentialProvider(ctx, c, &wire.GetPaymentCredentialProviderInput{Name: "wallet"})
			return err
		}},
		{"ListPaymentCredentialProviders", []string{vaultARN}, func(c iam.Caller) error {
			_, err := b.ListPaymentCredentialProviders(ctx, c, &wire.ListPaymentCredentialProvidersInput{})
			return err
		}},
		{"UpdatePaymentCredentialProvider", payment, func(c iam.Caller) error {
			_, err := b.UpdatePaymentCredentialProvider(ctx, c, &wire.UpdatePaymentCredentialProviderInput{
				Name: "wallet", CredentialProviderVendor: wire.VendorCoinbaseCDP, ProviderConfigurationInput: coinbase("key", edKey, ""),
			})
			return err
		}},
		{"GetTokenVault", []string{vaultARN}, func(c iam.Caller) error {
			_, err := b.GetTokenVault(ctx, c, &wire.GetTokenVaultInput{})
			return err
		}},
		{"TagResource", []string{workloadARN}, func(c iam.Caller) error {
			_, err := b.TagResource(ctx, c, &wire.TagResourceInput{ResourceArn: workloadARN, Tags: map[string]string{"team": "x"}})
			return err
		}},
		{"ListTagsForResource", []string{workloadARN}, func(c iam.Caller) error {
			_, err := b.ListTagsForResource(ctx, c, &wire.ListTagsForResourceInput{ResourceArn: workloadARN})
			return err
		}},
		{"UntagResource", []string{workloadARN}, func(c iam.Caller) error {
			_, err := b.UntagResource(ctx, c, &wire.UntagResourceInput{ResourceArn: workloadARN, TagKeys: []string{"team"}})
			return err
		}},
		{"DeleteWorkloadIdentity", workload, func(c iam.Caller) error {
			_, err := b.DeleteWorkloadIdentity(ctx, c, &wire.DeleteWorkloadIdentityInput{Name: "agent"})
			return err
		}},
		{"DeleteOauth2CredentialProvider", oauth2, func(c iam.Caller) error {
			_, err := b.DeleteOauth2CredentialProvider(ctx, c, &wire.DeleteOauth2CredentialProviderInput{Name: "github"})
			return err
		}},
		{"DeleteApiKeyCredentialProvider", apiKey, func(c iam.Caller) error {
			_, err := b.DeleteApiKeyCredentialProvider(ctx, c, &wire.DeleteApiKeyCredentialProviderInput{Name: "github"})
			return err
		}},
		{"DeletePaymentCredentialProvider", payment, func(c iam.Caller) error {
			_, err := b.DeletePaymentCredentialProvider(ctx, c, &wire.DeletePaymentCredentialProviderInput{Name: "wallet"})
			return err
		}},
	}
}

func allowOn(operation string, resources ...string) string {
	list, _ := json.Marshal(resources) // strings always marshal
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:%s","Resource":%s}]}`, operation, list)
}

// Every operation asks for its own action on each of its resources, whether what it names exists or not; whoever lacks one of them is told nothing
// and changes nothing. One event is recorded of each decision.
func TestEveryOperationNeedsItsRights(t *testing.T) {
	b := open(t)
	const denyAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`
	refused := func(t *testing.T, o operation, policy string) {
		t.Helper()
		before, recorded := b.rows(t), len(b.events(t, alpha))
		if err := o.call(caller(t, alpha, policy)); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("with %s: %v, want access_denied", policy, err)
		}
		if b.rows(t) != before {
			t.Errorf("with %s: rows changed", policy)
		}
		events := b.events(t, alpha)
		if len(events) != recorded+1 {
			t.Fatalf("%d events recorded, want 1", len(events)-recorded)
		}
		e := events[recorded]
		if e.Action != "bedrock-agentcore:"+o.name || e.Outcome != audit.Denied || !cmp.Equal(e.Resources, o.resources) || e.Caller != iam.User(alpha, "admin") {
			t.Errorf("recorded %+v", e)
		}
	}
	for _, o := range b.operations(t.Context()) {
		t.Run(o.name, func(t *testing.T) {
			refused(t, o, denyAll)
			refused(t, o, allowOn("GetWorkloadAccessToken", "*"))
			for i := range o.resources {
				refused(t, o, allowOn(o.name, append(slices.Delete(slices.Clone(o.resources), i, i+1), "arn:aws:bedrock-agentcore:eu-west-1:"+beta+":*")...))
			}
			recorded := len(b.events(t, alpha))
			if err := o.call(caller(t, alpha, allowOn(o.name, o.resources...))); err != nil {
				t.Errorf("with the rights it needs: %v", err)
			}
			if events := b.events(t, alpha); len(events) != recorded+1 || events[recorded].Outcome != audit.Allowed {
				t.Errorf("recorded %+v, want one that was allowed", events[recorded:])
			}
			refused(t, o, denyAll)
		})
	}
}

// What cannot be recorded is not done.
func TestNothingIsDoneUnrecorded(t *testing.T) {
	b := open(t)
	must(t, b.Store.Close())
	for _, o := range b.operations(t.Context()) {
		if err := o.call(administrator(t, alpha)); fault.KindOf(err) != fault.Internal || err == nil {
			t.Errorf("%s: %v, want internal", o.name, err)
		}
	}
}

// What is not there gets the same answer everywhere, with its ARN.
func TestNotFound(t *testing.T) {
	b := open(t)
	arns := map[string]string{"Workload": workloadARN, "Oauth2": oauth2ARN, "ApiKey": apiKeyARN, "Payment": paymentARN, "agResource": workloadARN}
	for _, o := range b.operations(t.Context()) {
		if strings.HasPrefix(o.name, "Create") || strings.HasPrefix(o.name, "List") || o.name == "GetTokenVault" {
			continue
		}
		for part, arn := range arns {
			if strings.Contains(o.name, part) {
				before := b.rows(t)
				wantNotFound(t, o.call(administrator(t, alpha)), arn)
				if b.rows(t) != before {
					t.Errorf("%s: rows changed", o.name)
				}
			}
		}
	}
}

// Accounts do not see each other's things, though the names are equal.
func TestAccountsAreApart(t *testing.T) {
	b := open(t)
	all := b.operations(t.Context())
	for _, o := range all {
		if !strings.HasPrefix(o.name, "Delete") {
			must(t, o.call(administrator(t, alpha)))
		}
	}
	for _, o := range all {
		if strings.HasPrefix(o.name, "Create") || strings.HasPrefix(o.name, "List") {
			continue
		}
		before := b.rows(t)
		if err := o.call(administrator(t, beta)); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s in another account: %v, want not_found", o.name, err)
		}
		if b.rows(t) != before {
			t.Errorf("%s in another account changed rows", o.name)
		}
	}
	out, err := b.ListWorkloadIdentities(t.Context(), administrator(t, beta), &wire.ListWorkloadIdentitiesInput{})
	if err != nil || len(out.WorkloadIdentities) != 0 || out.NextToken != nil {
		t.Errorf("%+v, %v", out, err)
	}
	for _, o := range all {
		if strings.HasPrefix(o.name, "Create") {
			if err := o.call(administrator(t, beta)); err != nil {
				t.Errorf("%s with the same name in another account: %v", o.name, err)
			}
		}
	}
}

func TestTokenVault(t *testing.T) {
	b := open(t)
	c := administrator(t, alpha)
	get := func(id *string) (*wire.GetTokenVaultOutput, error) {
		return b.GetTokenVault(t.Context(), c, &wire.GetTokenVaultInput{TokenVaultId: id})
	}
	_, err := get(nil)
	wantNotFound(t, err, vaultARN)
	_, err = b.CreateApiKeyCredentialProvider(t.Context(), c, &wire.CreateApiKeyCredentialProviderInput{Name: "one", ApiKey: plantedSecret()})
	must(t, err)
	for name, id := range map[string]*string{"without an id": nil, "by id": new("default")} {
		out, err := get(id)
		must(t, err)
		if out.TokenVaultId != "default" || *out.KmsConfiguration != (wire.KmsConfiguration{KeyType: wire.KeyServiceManaged}) || out.LastModifiedDate.IsZero() {
			t.Errorf("%s: %+v", name, out)
		}
	}
	_, err = get(new("other"))
	wantNotFound(t, err, strings.Replace(vaultARN, "default", "other", 1))
}
