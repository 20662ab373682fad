package control_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/audit"
	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

const (
	googleARN  = vaultARN + "/oauth2credentialprovider/google"
	roleARN    = "arn:aws:iam::" + alpha + ":role/portals/acme"
	portalsARN = "arn:aws:bedrock-agentcore:eu-west-1:" + alpha + ":consent-portal/"
)

// portalInput is a good consent portal of alpha, with changes.
func portalInput(changes ...func(*wire.CreateConsentPortalInput)) *wire.CreateConsentPortalInput {
	in := &wire.CreateConsentPortalInput{
		Name: "acme", ExecutionRoleArn: roleARN, IdpConfig: &wire.ConsentPortalIdpConfig{CredentialProviderArn: googleARN, Scopes: []string{"email"}},
		Sources: []wire.ConsentPortalSource{{Identifier: workloadARN, Type: wire.SourceGateway}},
	}
	for _, change := range changes {
		change(in)
	}
	return in
}

// openForPortals has what a consent portal needs, in both accounts.
func openForPortals(t *testing.T) *bed {
	t.Helper()
	b := open(t)
	b.forPortals(t)
	return b
}

func (b *bed) forPortals(t *testing.T) {
	t.Helper()
	for _, account := range []string{alpha, beta} {
		_, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, account), &wire.CreateWorkloadIdentityInput{Name: "agent"})
		must(t, err)
		b.createSignIn(t, account, "google")
	}
}

func (b *bed) createSignIn(t *testing.T, account, name string) {
	t.Helper()
	_, err := b.CreateOauth2CredentialProvider(t.Context(), administrator(t, account), &wire.CreateOauth2CredentialProviderInput{
		Name: name, CredentialProviderVendor: wire.VendorGoogleOauth2, Oauth2ProviderConfigInput: google("client-1", plantedSecret()),
	})
	must(t, err)
}

func (b *bed) createPortal(t *testing.T, changes ...func(*wire.CreateConsentPortalInput)) *wire.GetConsentPortalOutput {
	t.Helper()
	out, err := b.CreateConsentPortal(t.Context(), administrator(t, alpha), portalInput(changes...))
	must(t, err)
	return (*wire.GetConsentPortalOutput)(out)
}

func (b *bed) getPortal(t *testing.T, identifier string) *wire.GetConsentPortalOutput {
	t.Helper()
	out, err := b.GetConsentPortal(t.Context(), administrator(t, alpha), &wire.GetConsentPortalInput{ConsentPortalIdentifier: identifier})
	must(t, err)
	must(t, wire.Validate(out))
	return out
}

func TestConsentPortal(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := openIn(t, dir, egress.Config{})
		b.forPortals(t)
		c, ctx, noon := administrator(t, alpha), t.Context(), wire.Time{Time: time.Now()}
		created := b.createPortal(t, func(in *wire.CreateConsentPortalInput) {
			in.Description, in.IdpConfig.Audience, in.Tags = new("for all"), new("https://api.acme.example"), map[string]string{"team": "x"}
		})
		id := *created.ConsentPortalId
		if !regexp.MustCompile(`^acme-[a-z0-9]{10}$`).MatchString(id) {
			t.Errorf("the id is %q", id)
		}
		want := &wire.GetConsentPortalOutput{
			ConsentPortalArn: new(portalsARN + id), ConsentPortalId: &id, Name: new("acme"), Description: new("for all"), ExecutionRoleArn: new(roleARN),
			IdpConfig: &wire.ConsentPortalIdpConfig{CredentialProviderArn: googleARN, Scopes: []string{"email"}, Audience: new("https://api.acme.example")},
			PortalUrl: new(publicURL + "/portals/" + id), Sources: []wire.ConsentPortalSource{{Identifier: workloadARN, Type: wire.SourceGateway}},
			Status: new(wire.PortalActive), CreatedAt: noon, UpdatedAt: noon,
		}
		check := func(got *wire.GetConsentPortalOutput) {
			t.Helper()
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		}
		check(created)
		check(b.getPortal(t, id))
		check(b.getPortal(t, portalsARN+id))
		b.wantTags(t, "consent-portal/"+id, map[string]string{"team": "x"})
		must(t, b.tag(t, portalsARN+id, map[string]string{"more": "y"}))
		list, err := b.ListConsentPortals(ctx, c, &wire.ListConsentPortalsInput{})
		must(t, err)
		wantList := []wire.ConsentPortalSummary{{
			ConsentPortalArn: want.ConsentPortalArn, ConsentPortalId: want.ConsentPortalId, Name: want.Name, Description: want.Description, PortalUrl: want.PortalUrl,
			Sources: want.Sources, Status: want.Status, CreatedAt: noon, UpdatedAt: noon,
		}}
		if d := cmp.Diff(wantList, list.ConsentPortals); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}

		// Each member is replaced alone, what is not given stays.
		b.createSignIn(t, alpha, "other")
		for identifier, in := range map[string]*wire.UpdateConsentPortalInput{
			id:              {Description: new("")},
			portalsARN + id: {ExecutionRoleArn: new(roleARN + "2")},
		} {
			time.Sleep(time.Hour)
			in.ConsentPortalIdentifier = identifier
			out, err := b.UpdateConsentPortal(ctx, c, in)
			must(t, err)
			if in.Description != nil {
				want.Description = nil
			} else {
				want.ExecutionRoleArn = in.ExecutionRoleArn
			}
			want.UpdatedAt = wire.Time{Time: time.Now()}
			check((*wire.GetConsentPortalOutput)(out))
			check(b.getPortal(t, id))
		}
		out, err := b.UpdateConsentPortal(ctx, c, &wire.UpdateConsentPortalInput{ConsentPortalIdentifier: id, IdpConfig: &wire.ConsentPortalIdpConfig{
			CredentialProviderArn: vaultARN + "/oauth2credentialprovider/other", Scopes: []string{},
		}})
		must(t, err)
		want.IdpConfig = &wire.ConsentPortalIdpConfig{CredentialProviderArn: vaultARN + "/oauth2credentialprovider/other", Scopes: []string{}}
		check((*wire.GetConsentPortalOutput)(out))
		check(b.getPortal(t, id))

		_, err = b.DeleteConsentPortal(ctx, c, &wire.DeleteConsentPortalInput{ConsentPortalIdentifier: portalsARN + id})
		must(t, err)
		b.wantTags(t, "consent-portal/"+id, map[string]string{})
		_, err = b.GetConsentPortal(ctx, c, &wire.GetConsentPortalInput{ConsentPortalIdentifier: id})
		wantNotFound(t, err, portalsARN+id)
		if again := b.createPortal(t); *again.ConsentPortalId == id {
			t.Error("the id is that of the deleted one")
		}
	})
}

// What a portal cannot be is refused by name, when it is made and when it is changed, and nothing is written. What another account has is answered
// like what nobody has.
func TestConsentPortalRefusals(t *testing.T) {
	b := openForPortals(t)
	for vendor, config := range map[vendor]*configInput{
		wire.VendorGithubOauth2:     github("client", plantedSecret()),
		wire.VendorSlackOauth2:      {SlackOauth2ProviderConfig: &vendorInput{ClientId: "client", ClientSecret: plantedSecret()}},
		wire.VendorSalesforceOauth2: {SalesforceOauth2ProviderConfig: &vendorInput{ClientId: "client", ClientSecret: plantedSecret()}},
		wire.VendorAtlassianOauth2:  {AtlassianOauth2ProviderConfig: &vendorInput{ClientId: "client", ClientSecret: plantedSecret()}},
		wire.VendorLinkedinOauth2:   {LinkedinOauth2ProviderConfig: &vendorInput{ClientId: "client", ClientSecret: plantedSecret()}},
	} {
		_, err := b.createProvider(t, string(vendor), vendor, config)
		must(t, err)
	}
	b.createSignIn(t, beta, "theirs")
	_, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, beta), &wire.CreateWorkloadIdentityInput{Name: "theirs"})
	must(t, err)
	portal := b.createPortal(t, func(in *wire.CreateConsentPortalInput) { in.Name = "there" })

	type change = func(*wire.CreateConsentPortalInput)
	provider := func(arn string) change {
		return func(in *wire.CreateConsentPortalInput) { in.IdpConfig.CredentialProviderArn = arn }
	}
	source := func(arn string) change {
		return func(in *wire.CreateConsentPortalInput) { in.Sources[0].Identifier = arn }
	}
	const idp, src = "idpConfig.credentialProviderArn", "sources[0].identifier"
	other := func(arn string) string { return strings.Replace(arn, alpha, beta, 1) }
	tests := map[string]struct {
		change       change
		member, says string
		creationOnly bool
	}{
		"no such provider":            {provider(googleARN + "-not"), idp, "names no OAuth2 credential provider of this account: " + googleARN + "-not", false},
		"another account's":           {provider(other(googleARN)), idp, "names no OAuth2 credential provider of this account: " + other(googleARN), false},
		"another account's, not mine": {provider(other(vaultARN) + "/oauth2credentialprovider/theirs"), idp, "names no OAuth2", false},
		"another region's":            {provider(strings.Replace(googleARN, "eu-west-1", "us-east-1", 1)), idp, "names no OAuth2", false},
		"another partition's":         {provider(strings.Replace(googleARN, "arn:aws:", "arn:aws-us-gov:", 1)), idp, "names no OAuth2", false},
		"another account's role": {func(in *wire.CreateConsentPortalInput) { in.ExecutionRoleArn = other(roleARN) }, "executionRoleArn",
			"must be a role of this account, " + alpha + ", not of " + beta, false},
		"no such workload":                     {source(workloadARN + "-not"), src, "names no workload identity of this account: " + workloadARN + "-not", true},
		"another account's workload":           {source(other(workloadARN)), src, "names no workload identity of this account: " + other(workloadARN), true},
		"another account's workload, not mine": {source(strings.Replace(other(workloadARN), "agent", "theirs", 2)), src, "names no workload", true},
		"another region's workload":            {source(strings.Replace(workloadARN, "eu-west-1", "us-east-1", 1)), src, "names no workload", true},
		"a reserved tag":                       {func(in *wire.CreateConsentPortalInput) { in.Tags = map[string]string{"aws:x": ""} }, `tags["aws:x"]`, "reserved", true},
	}
	for _, vendor := range []string{"GithubOauth2", "SlackOauth2", "SalesforceOauth2", "AtlassianOauth2", "LinkedinOauth2"} {
		test := tests["no such provider"]
		test.change, test.says = provider(vaultARN+"/oauth2credentialprovider/"+vendor), "is a provider of "+vendor
		tests[vendor] = test
	}
	before := b.rows(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := portalInput(test.change)
			_, err := b.CreateConsentPortal(t.Context(), administrator(t, alpha), in)
			wantInvalid(t, err, test.member, test.says)
			if !test.creationOnly {
				_, err := b.UpdateConsentPortal(t.Context(), administrator(t, alpha), &wire.UpdateConsentPortalInput{
					ConsentPortalIdentifier: *portal.ConsentPortalId, Description: new("changed"), ExecutionRoleArn: &in.ExecutionRoleArn, IdpConfig: in.IdpConfig,
				})
				wantInvalid(t, err, test.member, test.says)
			}
			if b.rows(t) != before {
				t.Error("rows changed")
			}
		})
	}
}

// Gateways are nothing that Credence has: their ids and ARNs are kept as they are.
func TestConsentPortalOfAGateway(t *testing.T) {
	b := openForPortals(t)
	for name, identifier := range map[string]string{"by-id": "my-gateway-0123456789", "by-arn": "arn:aws:bedrock-agentcore:us-west-2:" + beta + ":gateway/my-gateway-0123456789"} {
		created := b.createPortal(t, func(in *wire.CreateConsentPortalInput) { in.Name, in.Sources[0].Identifier = name, identifier })
		if got := b.getPortal(t, *created.ConsentPortalId); got.Sources[0].Identifier != identifier || *got.Status != wire.PortalActive {
			t.Errorf("%+v is %s", got.Sources, *got.Status)
		}
	}
}

func TestConsentPortalNameIsTaken(t *testing.T) {
	b := openForPortals(t)
	errs := make([]error, 5)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = b.CreateConsentPortal(t.Context(), administrator(t, alpha), portalInput()) })
	}
	wg.Wait()
	conflicts := 0
	for _, err := range errs {
		if f, ok := errors.AsType[*fault.Fault](err); ok && f.Kind == fault.Conflict && f.Msg == `A consent portal named "acme" already exists` {
			conflicts++
		}
	}
	if conflicts != 4 {
		t.Errorf("%v, want four conflicts", errs)
	}
	in := portalInput()
	in.ExecutionRoleArn, in.IdpConfig.CredentialProviderArn, in.Sources[0].Identifier = strings.Replace(roleARN, alpha, beta, 1), strings.Replace(googleARN, alpha, beta, 1), strings.Replace(workloadARN, alpha, beta, 1)
	_, err := b.CreateConsentPortal(t.Context(), administrator(t, beta), in)
	must(t, err)
}

// Updates of different members at the same time all last.
func TestConsentPortalConcurrentUpdates(t *testing.T) {
	b := openForPortals(t)
	id := *b.createPortal(t).ConsentPortalId
	var wg sync.WaitGroup
	for _, in := range []wire.UpdateConsentPortalInput{
		{Description: new("new")}, {ExecutionRoleArn: new(roleARN + "2")}, {IdpConfig: &wire.ConsentPortalIdpConfig{CredentialProviderArn: googleARN, Scopes: []string{"new"}}},
	} {
		in.ConsentPortalIdentifier = id
		wg.Go(func() {
			if _, err := b.UpdateConsentPortal(t.Context(), administrator(t, alpha), &in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := b.getPortal(t, id)
	if *got.Description != "new" || *got.ExecutionRoleArn != roleARN+"2" || got.IdpConfig.Scopes[0] != "new" {
		t.Errorf("%+v", got)
	}
}

// A portal fails with what it rests on; a namesake of that revives nothing. Another provider can be given, another workload identity cannot.
func TestConsentPortalFails(t *testing.T) {
	b := openForPortals(t)
	c, ctx := administrator(t, alpha), t.Context()
	id := *b.createPortal(t).ConsentPortalId
	want := func(status wire.ConsentPortalStatus, reason string) {
		t.Helper()
		got := b.getPortal(t, id)
		if *got.Status != status || (got.StatusReason == nil) != (reason == "") || reason != "" && !strings.Contains(*got.StatusReason, reason) {
			t.Errorf("it is %s because %v", *got.Status, got.StatusReason)
		}
		list, err := b.ListConsentPortals(ctx, c, &wire.ListConsentPortalsInput{})
		must(t, err)
		if *list.ConsentPortals[0].Status != status {
			t.Errorf("listed as %s", *list.ConsentPortals[0].Status)
		}
	}
	update := func(in wire.UpdateConsentPortalInput) {
		t.Helper()
		in.ConsentPortalIdentifier = id
		_, err := b.UpdateConsentPortal(ctx, c, &in)
		must(t, err)
	}
	signIn := wire.UpdateConsentPortalInput{IdpConfig: portalInput().IdpConfig}
	want(wire.PortalActive, "")

	_, err := b.DeleteOauth2CredentialProvider(ctx, c, &wire.DeleteOauth2CredentialProviderInput{Name: "google"})
	must(t, err)
	want(wire.PortalFailed, "credential provider")
	b.createSignIn(t, alpha, "google")
	want(wire.PortalFailed, "credential provider")
	update(wire.UpdateConsentPortalInput{Description: new("x")})
	want(wire.PortalFailed, "credential provider")
	update(signIn)
	want(wire.PortalActive, "")

	_, err = b.DeleteWorkloadIdentity(ctx, c, &wire.DeleteWorkloadIdentityInput{Name: "agent"})
	must(t, err)
	want(wire.PortalFailed, "workload identity")
	_, err = b.CreateWorkloadIdentity(ctx, c, &wire.CreateWorkloadIdentityInput{Name: "agent"})
	must(t, err)
	update(signIn)
	want(wire.PortalFailed, "workload identity")
}

// Every operation on portals asks for its own action on each of its resources, the portal and what it will use; whoever lacks one learns and changes
// nothing.
func TestConsentPortalsNeedTheirRights(t *testing.T) {
	b := openForPortals(t)
	ctx := t.Context()
	id := *b.createPortal(t).ConsentPortalId
	portal := portalsARN + id
	for _, o := range []operation{
		{"CreateConsentPortal", []string{portalsARN + "new-*", googleARN, workloadARN}, func(c iam.Caller) error {
			_, err := b.CreateConsentPortal(ctx, c, portalInput(func(in *wire.CreateConsentPortalInput) { in.Name = "new" }))
			return err
		}},
		{"GetConsentPortal", []string{portal}, func(c iam.Caller) error {
			_, err := b.GetConsentPortal(ctx, c, &wire.GetConsentPortalInput{ConsentPortalIdentifier: id})
			return err
		}},
		{"ListConsentPortals", []string{portalsARN + "*"}, func(c iam.Caller) error {
			_, err := b.ListConsentPortals(ctx, c, &wire.ListConsentPortalsInput{})
			return err
		}},
		{"UpdateConsentPortal", []string{portal}, func(c iam.Caller) error {
			_, err := b.UpdateConsentPortal(ctx, c, &wire.UpdateConsentPortalInput{ConsentPortalIdentifier: portal})
			return err
		}},
		{"UpdateConsentPortal", []string{portal, googleARN}, func(c iam.Caller) error {
			_, err := b.UpdateConsentPortal(ctx, c, &wire.UpdateConsentPortalInput{ConsentPortalIdentifier: id, IdpConfig: portalInput().IdpConfig})
			return err
		}},
		{"DeleteConsentPortal", []string{portal}, func(c iam.Caller) error {
			_, err := b.DeleteConsentPortal(ctx, c, &wire.DeleteConsentPortalInput{ConsentPortalIdentifier: id})
			return err
		}},
	} {
		refused := func(policy string) {
			t.Helper()
			before, recorded := b.rows(t), len(b.events(t, alpha))
			if err := o.call(caller(t, alpha, policy)); !errors.Is(err, fault.AccessDenied) {
				t.Errorf("%s with %s: %v, want access_denied", o.name, policy, err)
			}
			events := b.events(t, alpha)[recorded:]
			if b.rows(t) != before || len(events) != 1 || events[0].Outcome != audit.Denied || events[0].Action != "bedrock-agentcore:"+o.name || len(events[0].Resources) != len(o.resources) {
				t.Errorf("%s with %s: rows changed, or recorded %+v", o.name, policy, events)
			}
		}
		refused(allowOn("GetTokenVault", "*"))
		for i := range o.resources {
			refused(allowOn(o.name, append(slices.Delete(slices.Clone(o.resources), i, i+1), "arn:aws:bedrock-agentcore:eu-west-1:"+beta+":*")...))
		}
		if err := o.call(caller(t, alpha, allowOn(o.name, o.resources...))); err != nil {
			t.Errorf("%s with the rights it needs: %v", o.name, err)
		}
	}
}

// A portal of another account is answered like one that nobody has, by id and by ARN.
func TestConsentPortalsOfOthers(t *testing.T) {
	b := openForPortals(t)
	id := *b.createPortal(t).ConsentPortalId
	before := b.rows(t)
	theirs := strings.Replace(portalsARN, alpha, beta, 1)
	for identifier, named := range map[string]string{
		id: theirs + id, "acme-aaaaaaaaaa": theirs + "acme-aaaaaaaaaa", portalsARN + id: portalsARN + id, theirs + id: theirs + id, portalsARN + "acme-aaaaaaaaaa": portalsARN + "acme-aaaaaaaaaa",
	} {
		for _, call := range []func() error{
			func() error {
				_, err := b.GetConsentPortal(t.Context(), administrator(t, beta), &wire.GetConsentPortalInput{ConsentPortalIdentifier: identifier})
				return err
			},
			func() error {
				_, err := b.UpdateConsentPortal(t.Context(), administrator(t, beta), &wire.UpdateConsentPortalInput{ConsentPortalIdentifier: identifier, Description: new("x")})
				return err
			},
			func() error {
				_, err := b.DeleteConsentPortal(t.Context(), administrator(t, beta), &wire.DeleteConsentPortalInput{ConsentPortalIdentifier: identifier})
				return err
			},
		} {
			wantNotFound(t, call(), named)
		}
	}
	if b.rows(t) != before {
		t.Error("rows changed")
	}
}
