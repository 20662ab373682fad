package broker

import (
	"context"
	"slices"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/vault"
	"credence/internal/wire"
)

// request is one GetResourceOauth2Token, as far as its handles, rights and provider are known.
type request struct {
	in       *wire.GetResourceOauth2TokenInput
	agent    agent
	provider *vault.OAuth2Provider
	traits   provider.Vendor // without endpoints
	idp      *request        // the same at the user's identity provider, whose assertion the provider wants; nil: none
	key      string          // of the grant that would serve it
	caller   iam.Caller
	allowed  access.Request // what was decided on
	ceilings []vault.Ceiling

	narrowing *stubborn // nil: no ceiling counts
}

// GetResourceOauth2Token hands out an access token to a resource, or says where a user has to consent first.
func (b *Broker) GetResourceOauth2Token(ctx context.Context, c iam.Caller, in *wire.GetResourceOauth2TokenInput) (*wire.GetResourceOauth2TokenOutput, error) {
	out, outcome, err := b.resourceToken(ctx, c, in)
	if err != nil {
		outcome = string(fault.KindOf(err))
	}
	b.Metrics.Tokens.WithLabelValues(string(in.Oauth2Flow), outcome).Inc()
	c.Span.Set("oauth2.flow", string(in.Oauth2Flow))
	c.Span.Set("credence.outcome", outcome)
	return out, err
}

func (b *Broker) resourceToken(ctx context.Context, c iam.Caller, in *wire.GetResourceOauth2TokenInput) (_ *wire.GetResourceOauth2TokenOutput, outcome string, _ error) {
	// Handles first: a token or session that is not the caller's is answered like one that does not exist.
	req := access.Request{Action: "bedrock-agentcore:GetResourceOauth2Token", Resources: make([]string, 0, 4)}
	req.Resources = append(req.Resources, b.ARNs.OAuth2Provider(c.Account, in.ResourceCredentialProviderName))
	a, err := b.open(ctx, c, in.WorkloadIdentityToken)
	if err != nil {
		return nil, "", b.Gate.Refuse(c, req, err)
	}
	req.Resources = append(req.Resources, b.agentResources(c.Account, a.row.Name)...)
	if in.DeviceAuthorization != nil && *in.DeviceAuthorization {
		req.Note = deviceNote
	}
	b.concerns(&req, a, in.ResourceCredentialProviderName)
	req.Flow, req.Scopes, req.Targets = in.Oauth2Flow, in.Scopes, in.Resources
	if len(in.Audiences) > 0 {
		req.Targets = slices.Concat(in.Resources, in.Audiences)
	}
	s, err := b.polledSession(ctx, a, in)
	if err != nil {
		return nil, "", b.Gate.Refuse(c, req, err)
	}

	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
		return nil, "", err
	}
	p, err := b.oauth2Provider(ctx, c.Account, in.ResourceCredentialProviderName)
	if err != nil {
		return nil, "", err
	}
	if err := mayAskDevice(p, in); err != nil {
		return nil, "", err
	}
	if named := resourcesOf(p, in.Resources); len(named) != len(in.Resources) {
		of := *in
		of.Resources = named
		in = &of
	}
	traits := b.Resolver.Traits(p.Config)
	ceilings, err := b.Vault.Ceilings(ctx, c.Account, a.row.Name, p.Row.Name)
	if err != nil {
		return nil, "", err
	}
	who := identify(a, p, in, traits)
	r := request{in, a, p, traits, nil, "", c, req, ceilings, &b.stubborn}
	if r.idp, err = b.atIdentityProvider(ctx, r); err != nil {
		return nil, "", err
	}
	if r.idp != nil {
		who.actor += r.idp.provider.Row.Generation + actor(a, r.idp.traits.OnBehalfOf)
	}
	r.key = who.key()
	switch in.Oauth2Flow {
	case wire.FlowM2M:
		return b.m2m(ctx, r)
	case wire.FlowUserFederation:
		if s != nil {
			return b.poll(ctx, r, *s)
		}
		return b.userFederation(ctx, r)
	case wire.FlowOnBehalfOfTokenExchange:
		return b.onBehalfOf(ctx, r)
	}
	return nil, "", fault.Invalid("oauth2Flow", "%s is not supported by this version of Credence", in.Oauth2Flow)
}

// resourcesOf are the resources of a request that names some or none (RFC 8707): then it is for the provider's own, if that has one.
func resourcesOf(p *vault.OAuth2Provider, named []string) []string {
	if len(named) == 0 && p.Config.Resource != "" {
		return []string{p.Config.Resource}
	}
	return named
}
