package control

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

// CreateWorkloadIdentity makes a workload identity.
func (c *Control) CreateWorkloadIdentity(ctx context.Context, caller iam.Caller, in *wire.CreateWorkloadIdentityInput) (*wire.CreateWorkloadIdentityOutput, error) {
	arn := c.ARNs.Workload(caller.Account, in.Name)
	if err := c.allowTagged(caller, "CreateWorkloadIdentity", in.Tags, c.ARNs.Directory(caller.Account), arn); err != nil {
		return nil, err
	}
	if err := checkReturnURLs(in.AllowedResourceOauth2ReturnUrls); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	now := time.Now()
	w := store.Workload{
		Account: caller.Account, Name: in.Name, Incarnation: rand.Text(), ReturnURLs: in.AllowedResourceOauth2ReturnUrls,
		CompleteBySessionURI: in.CompleteBySessionUri != nil && *in.CompleteBySessionUri, CreatedAt: now, UpdatedAt: now,
	}
	err := c.Store.InsertWorkload(w, store.Tags{Resource: workloadResource(in.Name), Values: in.Tags})
	if errors.Is(err, fault.Conflict) { // the API has no ConflictException here
		f := fault.Invalid("name", "a workload identity named %q already exists", in.Name)
		f.Reason = fault.ResourceConflict
		return nil, f
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok && f.Kind == fault.Quota {
		// Nor has it an exception for quotas. Of those that it has, this one is not repeated by SDKs, as ThrottlingException would be, to no avail.
		return nil, fault.Invalid("name", "%s", f.Msg)
	}
	if err != nil {
		return nil, err
	}
	return &wire.CreateWorkloadIdentityOutput{
		Name: w.Name, WorkloadIdentityArn: arn, AllowedResourceOauth2ReturnUrls: w.ReturnURLs, CompleteBySessionUri: &w.CompleteBySessionURI,
	}, nil
}

// GetWorkloadIdentity tells a workload identity.
func (c *Control) GetWorkloadIdentity(ctx context.Context, caller iam.Caller, in *wire.GetWorkloadIdentityInput) (*wire.GetWorkloadIdentityOutput, error) {
	arn := c.ARNs.Workload(caller.Account, in.Name)
	if err := c.allow(caller, "GetWorkloadIdentity", c.ARNs.Directory(caller.Account), arn); err != nil {
		return nil, err
	}
	w, err := c.Store.Workload(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, notFound(err, arn)
	}
	return (*wire.GetWorkloadIdentityOutput)(c.describeWorkload(w)), nil
}

func (c *Control) describeWorkload(w store.Workload) *wire.UpdateWorkloadIdentityOutput {
	return &wire.UpdateWorkloadIdentityOutput{
		Name: w.Name, WorkloadIdentityArn: c.ARNs.Workload(w.Account, w.Name), AllowedResourceOauth2ReturnUrls: w.ReturnURLs,
		CreatedTime: wire.Time{Time: w.CreatedAt}, LastUpdatedTime: wire.Time{Time: w.UpdatedAt}, CompleteBySessionUri: &w.CompleteBySessionURI,
	}
}

// ListWorkloadIdentities lists the workload identities of the account by name, at most 20 at a time.
func (c *Control) ListWorkloadIdentities(ctx context.Context, caller iam.Caller, in *wire.ListWorkloadIdentitiesInput) (*wire.ListWorkloadIdentitiesOutput, error) {
	const operation = "ListWorkloadIdentities"
	page, err := c.page(ctx, caller, operation, in.NextToken, in.MaxResults, 20)
	if err != nil {
		return nil, err
	}
	if err := c.allow(caller, operation, c.ARNs.Directory(caller.Account)); err != nil {
		return nil, err
	}
	rows, more, err := c.Store.Workloads(ctx, caller.Account, page)
	if err != nil {
		return nil, err
	}
	out := &wire.ListWorkloadIdentitiesOutput{WorkloadIdentities: make([]wire.WorkloadIdentityType, len(rows))}
	for i, w := range rows {
		out.WorkloadIdentities[i] = wire.WorkloadIdentityType{Name: w.Name, WorkloadIdentityArn: c.ARNs.Workload(w.Account, w.Name)}
		page.After = w.Name
	}
	out.NextToken, err = c.nextToken(ctx, caller.Account, operation, page.After, more)
	return out, err
}

// UpdateWorkloadIdentity replaces the list of return URLs, when one is given.
func (c *Control) UpdateWorkloadIdentity(ctx context.Context, caller iam.Caller, in *wire.UpdateWorkloadIdentityInput) (*wire.UpdateWorkloadIdentityOutput, error) {
	arn := c.ARNs.Workload(caller.Account, in.Name)
	if err := c.allow(caller, "UpdateWorkloadIdentity", c.ARNs.Directory(caller.Account), arn); err != nil {
		return nil, err
	}
	if err := checkReturnURLs(in.AllowedResourceOauth2ReturnUrls); err != nil {
		return nil, err
	}
	w, err := c.Store.Workload(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, notFound(err, arn)
	}
	if in.AllowedResourceOauth2ReturnUrls != nil {
		w.ReturnURLs = in.AllowedResourceOauth2ReturnUrls
	}
	if in.CompleteBySessionUri != nil {
		w.CompleteBySessionURI = *in.CompleteBySessionUri
	}
	w.UpdatedAt = time.Now()
	if err := c.Vault.UpdateWorkload(w); err != nil {
		return nil, notFound(err, arn)
	}
	return c.describeWorkload(w), nil
}

// DeleteWorkloadIdentity removes a workload identity; its workload access tokens, grants and authorization sessions end with it.
func (c *Control) DeleteWorkloadIdentity(_ context.Context, caller iam.Caller, in *wire.DeleteWorkloadIdentityInput) (*wire.DeleteWorkloadIdentityOutput, error) {
	arn := c.ARNs.Workload(caller.Account, in.Name)
	if err := c.allow(caller, "DeleteWorkloadIdentity", c.ARNs.Directory(caller.Account), arn); err != nil {
		return nil, err
	}
	return &wire.DeleteWorkloadIdentityOutput{}, notFound(c.Vault.DeleteWorkload(caller.Account, in.Name, workloadResource(in.Name)), arn)
}

// The names of resources in the tags table.
func workloadResource(name string) string {
	return "workload-identity-directory/default/workload-identity/" + name
}

func oauth2ProviderResource(name string) string {
	return "token-vault/default/oauth2credentialprovider/" + name
}

func paymentProviderResource(name string) string {
	return "token-vault/default/paymentcredentialprovider/" + name
}

func apiKeyProviderResource(name string) string {
	return "token-vault/default/apikeycredentialprovider/" + name
}
