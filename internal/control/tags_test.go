package control_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

func (b *bed) tag(t *testing.T, arn string, tags map[string]string) error {
	t.Helper()
	_, err := b.TagResource(t.Context(), administrator(t, alpha), &wire.TagResourceInput{ResourceArn: arn, Tags: tags})
	return err
}

// The vault is there from the first provider on, the directory always.
func TestTagsOfVaultAndDirectory(t *testing.T) {
	b := open(t)
	must(t, b.tag(t, directoryARN, map[string]string{"team": "x"}))
	b.wantTags(t, "workload-identity-directory/default", map[string]string{"team": "x"})
	wantNotFound(t, b.tag(t, vaultARN, map[string]string{"team": "x"}), vaultARN)
	_, err := b.ListTagsForResource(t.Context(), administrator(t, alpha), &wire.ListTagsForResourceInput{ResourceArn: vaultARN})
	wantNotFound(t, err, vaultARN)
	_, err = b.CreateApiKeyCredentialProvider(t.Context(), administrator(t, alpha), &wire.CreateApiKeyCredentialProviderInput{Name: "one", ApiKey: plantedSecret()})
	must(t, err)
	must(t, b.tag(t, vaultARN, map[string]string{"team": "x"}))
	b.wantTags(t, "token-vault/default", map[string]string{"team": "x"})
}

// Names that only AWS may give are refused wherever tags are given, and nothing is written.
func TestReservedTags(t *testing.T) {
	b := open(t)
	c, ctx := administrator(t, alpha), t.Context()
	_, err := b.CreateWorkloadIdentity(ctx, c, &wire.CreateWorkloadIdentityInput{Name: "agent"})
	must(t, err)
	before := b.rows(t)
	for _, name := range []string{"aws:", "aws:cloudformation:stack-id", "AWS:x", "aWs:createdBy"} {
		tags := map[string]string{"fine": "x", name: "x", "zoo": "x"}
		for operation, call := range map[string]func() error{
			"TagResource": func() error { return b.tag(t, workloadARN, tags) },
			"CreateWorkloadIdentity": func() error {
				_, err := b.CreateWorkloadIdentity(ctx, c, &wire.CreateWorkloadIdentityInput{Name: "other", Tags: tags})
				return err
			},
			"CreateOauth2CredentialProvider": func() error {
				_, err := b.CreateOauth2CredentialProvider(ctx, c, &wire.CreateOauth2CredentialProviderInput{
					Name: "github", CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github("client", plantedSecret()), Tags: tags,
				})
				return err
			},
			"CreateApiKeyCredentialProvider": func() error {
				_, err := b.CreateApiKeyCredentialProvider(ctx, c, &wire.CreateApiKeyCredentialProviderInput{Name: "github", ApiKey: plantedSecret(), Tags: tags})
				return err
			},
			"CreatePaymentCredentialProvider": func() error {
				_, err := b.CreatePaymentCredentialProvider(ctx, c, &wire.CreatePaymentCredentialProviderInput{
					Name: "wallet", CredentialProviderVendor: wire.VendorCoinbaseCDP, ProviderConfigurationInput: coinbase("key", edKey, ""), Tags: tags,
				})
				return err
			},
		} {
			t.Run(operation+" "+name, func(t *testing.T) { wantInvalid(t, call(), fmt.Sprintf("tags[%q]", name), "reserved") })
		}
	}
	if b.rows(t) != before {
		t.Error("rows changed")
	}
	must(t, b.tag(t, workloadARN, map[string]string{"aws": "x", "aws.x:y": "x", "x:aws:": "x"}))
}

// Fifty tags are the most, whoever comes first: what would go beyond is not done in part.
func TestTagLimit(t *testing.T) {
	b := open(t)
	_, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.CreateWorkloadIdentityInput{Name: "agent", Tags: map[string]string{"first": "x"}})
	must(t, err)
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() {
			tags := map[string]string{}
			for j := range 10 {
				tags[fmt.Sprintf("%d-%d", i, j)] = "x"
			}
			errs[i] = b.tag(t, workloadARN, tags)
		})
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case fault.KindOf(err) != fault.Quota:
			t.Error(err)
		}
	}
	tags, err := b.Store.Tags(t.Context(), alpha, strings.TrimPrefix(workloadARN, "arn:aws:bedrock-agentcore:eu-west-1:"+alpha+":"))
	must(t, err)
	if done != 4 || len(tags) != 41 {
		t.Errorf("%d of 10 were taken, which makes %d tags", done, len(tags))
	}
}

// A namesake of what was deleted has no tags of it.
func TestTagsEndWithTheirResource(t *testing.T) {
	b := open(t)
	ctx, c := t.Context(), administrator(t, alpha)
	for _, o := range b.operations(ctx) {
		if !strings.HasPrefix(o.name, "Delete") {
			must(t, o.call(c))
		}
	}
	for _, arn := range []string{workloadARN, oauth2ARN, apiKeyARN} {
		must(t, b.tag(t, arn, map[string]string{"old": "x"}))
	}
	for _, prefix := range []string{"Delete", "Create"} {
		for _, o := range b.operations(ctx) {
			if strings.HasPrefix(o.name, prefix) {
				must(t, o.call(c))
			}
		}
	}
	for _, arn := range []string{workloadARN, oauth2ARN, apiKeyARN} {
		out, err := b.ListTagsForResource(ctx, c, &wire.ListTagsForResourceInput{ResourceArn: arn})
		must(t, err)
		if out.Tags == nil || len(out.Tags) != 0 {
			t.Errorf("%s has the tags %v", arn, out.Tags)
		}
	}
}

// Rights to one resource are no rights to the tags of another, by any way to write its ARN.
func TestTagsNeedRightsToTheirResource(t *testing.T) {
	b := open(t)
	for _, name := range []string{"agent", "other"} {
		_, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.CreateWorkloadIdentityInput{Name: name})
		must(t, err)
	}
	c := caller(t, alpha, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":%q}]}`, workloadARN))
	for _, arn := range []string{
		workloadARN, strings.Replace(workloadARN, "/agent", "/./agent", 1), strings.Replace(workloadARN, "/agent", "/other/../agent", 1),
		strings.Replace(workloadARN, "/agent", "//agent", 1), workloadARN + "/", workloadARN + " ", strings.Replace(workloadARN, "agent", "AGENT", 1),
		strings.Replace(workloadARN, "eu-west-1", "EU-WEST-1", 1), strings.Replace(workloadARN, "arn:aws:", "ARN:aws:", 1),
	} {
		before := b.rows(t)
		for name, call := range map[string]func(iam.Caller) error{
			"TagResource": func(c iam.Caller) error {
				_, err := b.TagResource(t.Context(), c, &wire.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "b"}})
				return err
			},
			"UntagResource": func(c iam.Caller) error {
				_, err := b.UntagResource(t.Context(), c, &wire.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}})
				return err
			},
			"ListTagsForResource": func(c iam.Caller) error {
				_, err := b.ListTagsForResource(t.Context(), c, &wire.ListTagsForResourceInput{ResourceArn: arn})
				return err
			},
		} {
			if err := call(c); err == nil {
				t.Errorf("%s of %s succeeds", name, arn)
			}
		}
		if b.rows(t) != before {
			t.Errorf("%s: rows changed", arn)
		}
	}
}
