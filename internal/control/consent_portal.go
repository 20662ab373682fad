package control

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

// noSignIn are the vendors at which users cannot sign in to a consent portal: they issue no access tokens that are JWTs.
var noSignIn = []wire.CredentialProviderVendor{
	wire.VendorGithubOauth2, wire.VendorSlackOauth2, wire.VendorSalesforceOauth2, wire.VendorAtlassianOauth2, wire.VendorLinkedinOauth2,
}

// CreateConsentPortal makes a consent portal. Whoever makes one needs rights to what it uses, too: it acts for everyone who signs in there.
func (c *Control) CreateConsentPortal(ctx context.Context, caller iam.Caller, in *wire.CreateConsentPortalInput) (*wire.CreateConsentPortalOutput, error) {
	now := time.Now()
	p := store.ConsentPortal{
		Account: caller.Account, ID: in.Name + "-" + strings.ToLower(rand.Text()[:10]), Name: in.Name, Source: in.Sources[0].Identifier, CreatedAt: now, UpdatedAt: now,
		HasProvider: true, HasWorkload: true,
	}
	resources := []string{c.ARNs.ConsentPortal(caller.Account, p.ID), in.IdpConfig.CredentialProviderArn}
	if isWorkloadARN(p.Source) {
		resources = append(resources, p.Source)
	}
	if err := c.allowTagged(caller, "CreateConsentPortal", in.Tags, resources...); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := c.changePortal(ctx, &p, in.Description, &in.ExecutionRoleArn, in.IdpConfig); err != nil {
		return nil, err
	}
	if err := c.findSource(ctx, &p); err != nil {
		return nil, err
	}
	err := c.Store.InsertConsentPortal(p, store.Tags{Resource: consentPortalResource(p.ID), Values: in.Tags})
	if errors.Is(err, fault.Conflict) {
		return nil, fault.New(fault.Conflict, "A consent portal named %q already exists", in.Name)
	}
	if err != nil {
		return nil, err
	}
	return (*wire.CreateConsentPortalOutput)(c.describePortal(p)), nil
}

// consentPortalResource is the name of a consent portal in the tags table.
func consentPortalResource(id string) string { return "consent-portal/" + id }

// isWorkloadARN tells a workload identity from a gateway, whatever its account.
func isWorkloadARN(identifier string) bool {
	return strings.Contains(identifier, ":"+workloadResource(""))
}

// findSource looks up a source that is a workload identity. A gateway is nothing that Credence has: its name is kept.
func (c *Control) findSource(ctx context.Context, p *store.ConsentPortal) error {
	if !isWorkloadARN(p.Source) {
		return nil
	}
	w, err := c.Store.Workload(ctx, p.Account, c.named(p.Account, p.Source, workloadResource("")))
	if errors.Is(err, fault.NotFound) {
		return fault.Invalid("sources[0].identifier", "names no workload identity of this account: %s", p.Source)
	}
	p.Workload, p.WorkloadIncarnation = w.Name, w.Incarnation
	return err
}

// changePortal takes over what a request says; nil leaves a thing as it is.
func (c *Control) changePortal(ctx context.Context, p *store.ConsentPortal, description, role *string, idp *wire.ConsentPortalIdpConfig) error {
	if description != nil {
		p.Description = *description
	}
	if role != nil {
		if account := strings.Split(*role, ":")[4]; account != p.Account {
			return fault.Invalid("executionRoleArn", "must be a role of this account, %s, not of %s", p.Account, account)
		}
		p.ExecutionRole = *role
	}
	if idp == nil {
		return nil
	}
	const member = "idpConfig.credentialProviderArn"
	row, err := c.Store.OAuth2Provider(ctx, p.Account, c.named(p.Account, idp.CredentialProviderArn, oauth2ProviderResource("")))
	if errors.Is(err, fault.NotFound) {
		return fault.Invalid(member, "names no OAuth2 credential provider of this account: %s", idp.CredentialProviderArn)
	}
	if err != nil {
		return err
	}
	if vendor := wire.CredentialProviderVendor(row.Vendor); slices.Contains(noSignIn, vendor) {
		return fault.Invalid(member, "is a provider of %s, whose access tokens are no JWTs, so users cannot sign in with it: name one of another vendor", vendor)
	}
	p.Provider, p.ProviderIncarnation, p.HasProvider = row.Name, row.Incarnation, true
	p.Scopes, p.Audience = idp.Scopes, ""
	if idp.Audience != nil {
		p.Audience = *idp.Audience
	}
	return nil
}

// portal reads an identifier, which is an id or an ARN.
func (c *Control) portal(caller iam.Caller, identifier string) (id, arn string) {
	if !strings.HasPrefix(identifier, "arn:") {
		return identifier, c.ARNs.ConsentPortal(caller.Account, identifier)
	}
	return c.named(caller.Account, identifier, consentPortalResource("")), identifier
}

// GetConsentPortal tells a consent portal.
func (c *Control) GetConsentPortal(ctx context.Context, caller iam.Caller, in *wire.GetConsentPortalInput) (*wire.GetConsentPortalOutput, error) {
	id, arn := c.portal(caller, in.ConsentPortalIdentifier)
	if err := c.allow(caller, "GetConsentPortal", arn); err != nil {
		return nil, err
	}
	p, err := c.Store.ConsentPortal(ctx, caller.Account, id)
	if err != nil {
		return nil, notFound(err, arn)
	}
	return c.describePortal(p), nil
}

// portalStatus is computed: a portal whose provider or workload identity was deleted has failed, and a namesake of that does not revive it.
func portalStatus(p store.ConsentPortal) (status wire.ConsentPortalStatus, reason *string) {
	switch {
	case p.Workload != "" && !p.HasWorkload:
		return wire.PortalFailed, new("The workload identity that it served was deleted: delete this consent portal, too")
	case !p.HasProvider:
		return wire.PortalFailed, new("The credential provider at which users signed in was deleted: give another by UpdateConsentPortal")
	}
	return wire.PortalActive, nil
}

func (c *Control) portalURL(p store.ConsentPortal) *string {
	return new(c.PublicURL + "/portals/" + p.ID)
}

func portalSources(p store.ConsentPortal) []wire.ConsentPortalSource {
	return []wire.ConsentPortalSource{{Identifier: p.Source, Type: wire.SourceGateway}}
}

func (c *Control) describePortal(p store.ConsentPortal) *wire.GetConsentPortalOutput {
	status, reason := portalStatus(p)
	out := &wire.GetConsentPortalOutput{
		ConsentPortalArn: new(c.ARNs.ConsentPortal(p.Account, p.ID)), ConsentPortalId: &p.ID, Name: &p.Name, ExecutionRoleArn: &p.ExecutionRole,
		IdpConfig: &wire.ConsentPortalIdpConfig{CredentialProviderArn: c.ARNs.OAuth2Provider(p.Account, p.Provider), Scopes: p.Scopes},
		PortalUrl: c.portalURL(p), Sources: portalSources(p), Status: &status, StatusReason: reason,
		CreatedAt: wire.Time{Time: p.CreatedAt}, UpdatedAt: wire.Time{Time: p.UpdatedAt},
	}
	if p.Description != "" {
		out.Description = &p.Description
	}
	if p.Audience != "" {
		out.IdpConfig.Audience = &p.Audience
	}
	return out
}

// ListConsentPortals lists the consent portals of the account by name, at most 100 at a time.
func (c *Control) ListConsentPortals(ctx context.Context, caller iam.Caller, in *wire.ListConsentPortalsInput) (*wire.ListConsentPortalsOutput, error) {
	const operation = "ListConsentPortals"
	page, err := c.page(ctx, caller, operation, in.NextToken, in.MaxResults, 100)
	if err != nil {
		return nil, err
	}
	if err := c.allow(caller, operation, c.ARNs.ConsentPortal(caller.Account, "*")); err != nil {
		return nil, err
	}
	rows, more, err := c.Store.ConsentPortals(ctx, caller.Account, page)
	if err != nil {
		return nil, err
	}
	out := &wire.ListConsentPortalsOutput{ConsentPortals: make([]wire.ConsentPortalSummary, len(rows))}
	for i, p := range rows {
		d := c.describePortal(p)
		out.ConsentPortals[i] = wire.ConsentPortalSummary{
			ConsentPortalArn: d.ConsentPortalArn, ConsentPortalId: d.ConsentPortalId, Name: d.Name, Description: d.Description, PortalUrl: d.PortalUrl,
			Sources: d.Sources, Status: d.Status, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		}
		page.After = p.Name
	}
	out.NextToken, err = c.nextToken(ctx, caller.Account, operation, page.After, more)
	return out, err
}

// UpdateConsentPortal replaces what the request gives: the description, the role, or how users sign in.
func (c *Control) UpdateConsentPortal(ctx context.Context, caller iam.Caller, in *wire.UpdateConsentPortalInput) (*wire.UpdateConsentPortalOutput, error) {
	id, arn := c.portal(caller, in.ConsentPortalIdentifier)
	resources := []string{arn}
	if in.IdpConfig != nil {
		resources = append(resources, in.IdpConfig.CredentialProviderArn)
	}
	if err := c.allow(caller, "UpdateConsentPortal", resources...); err != nil {
		return nil, err
	}
	var p store.ConsentPortal
	err := again(func() (err error) {
		if p, err = c.Store.ConsentPortal(ctx, caller.Account, id); err != nil {
			return notFound(err, arn)
		}
		if err := c.changePortal(ctx, &p, in.Description, in.ExecutionRoleArn, in.IdpConfig); err != nil {
			return err
		}
		p.UpdatedAt = time.Now()
		return c.Store.UpdateConsentPortal(p)
	})
	if err != nil {
		return nil, err
	}
	return (*wire.UpdateConsentPortalOutput)(c.describePortal(p)), nil
}

// DeleteConsentPortal removes a consent portal. What it used stays.
func (c *Control) DeleteConsentPortal(_ context.Context, caller iam.Caller, in *wire.DeleteConsentPortalInput) (*wire.DeleteConsentPortalOutput, error) {
	id, arn := c.portal(caller, in.ConsentPortalIdentifier)
	if err := c.allow(caller, "DeleteConsentPortal", arn); err != nil {
		return nil, err
	}
	return &wire.DeleteConsentPortalOutput{}, notFound(c.Store.DeleteConsentPortal(caller.Account, id, consentPortalResource(id)), arn)
}
