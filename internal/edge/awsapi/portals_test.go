package awsapi_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/testenv"
)

// The SDK's client makes, finds, changes and deletes consent portals, and knows our refusals by their types.
func TestConsentPortalsWithTheSDK(t *testing.T) {
	e := testenv.Start(t)
	w := newWorld(t, e, e.Admin)
	client, ctx := w.Control(), t.Context()
	got, err := client.GetConsentPortal(ctx, &bedrockagentcorecontrol.GetConsentPortalInput{ConsentPortalIdentifier: aws.String(w.arn("consent-portal/" + w.portal))})
	if err != nil {
		t.Fatal(err)
	}
	if *got.ConsentPortalId != w.portal || *got.Name != "portal2" || got.Status != types.ConsentPortalStatusActive || *got.PortalUrl != e.URL+"/portals/"+w.portal ||
		*got.IdpConfig.CredentialProviderArn != w.signIn || got.Description != nil || time.Since(*got.CreatedAt).Abs() > time.Minute || !got.UpdatedAt.Equal(*got.CreatedAt) {
		t.Errorf("%+v", got)
	}
	updated, err := client.UpdateConsentPortal(ctx, &bedrockagentcorecontrol.UpdateConsentPortalInput{ConsentPortalIdentifier: &w.portal, Description: aws.String("new")})
	if err != nil || *updated.Description != "new" {
		t.Errorf("%+v, %v", updated, err)
	}
	pages := bedrockagentcorecontrol.NewListConsentPortalsPaginator(client, &bedrockagentcorecontrol.ListConsentPortalsInput{MaxResults: aws.Int32(1)})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.ConsentPortals {
			names = append(names, *p.Name)
		}
	}
	if len(names) != 2 || names[0] != "portal" || names[1] != "portal2" {
		t.Errorf("listed %q", names)
	}
	_, err = client.CreateConsentPortal(ctx, &bedrockagentcorecontrol.CreateConsentPortalInput{
		Name: aws.String("portal"), ExecutionRoleArn: got.ExecutionRoleArn, IdpConfig: got.IdpConfig, Sources: got.Sources,
	})
	if _, ok := errors.AsType[*types.ConflictException](err); !ok {
		t.Errorf("%v, want ConflictException", err)
	}
	_, err = client.CreateConsentPortal(ctx, &bedrockagentcorecontrol.CreateConsentPortalInput{
		Name: aws.String("portal3"), ExecutionRoleArn: got.ExecutionRoleArn, IdpConfig: got.IdpConfig, Sources: append(got.Sources, got.Sources...),
	})
	if invalid, ok := errors.AsType[*types.ValidationException](err); !ok || len(invalid.FieldList) != 1 || *invalid.FieldList[0].Name != "sources" || *invalid.FieldList[0].Message != "must have exactly 1 items; it has 2" {
		t.Errorf("%v, want ValidationException about sources", err)
	}
	if _, err := client.DeleteConsentPortal(ctx, &bedrockagentcorecontrol.DeleteConsentPortalInput{ConsentPortalIdentifier: &w.portal}); err != nil {
		t.Error(err)
	}
	_, err = client.GetConsentPortal(ctx, &bedrockagentcorecontrol.GetConsentPortalInput{ConsentPortalIdentifier: &w.portal})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("%v, want ResourceNotFoundException", err)
	}
}
