package broker

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// dpop is how token requests for a grant prove possession of a key: of that which its tokens are bound to, or else of a new one where provider or vendor want it.
func (b *Broker) dpop(ctx context.Context, v provider.Vendor, g store.Grant) (*oauth.DPoP, error) {
	if g.ProofKey != nil {
		key, err := b.proofKey(ctx, g)
		return &oauth.DPoP{Key: key}, err
	}
	if v.DPoP == provider.DPoPNever {
		return nil, nil
	}
	key, err := oauth.NewProofKey()
	return &oauth.DPoP{Key: key, OnDemand: v.DPoP == provider.DPoPOnDemand}, err
}

func (b *Broker) proofKey(ctx context.Context, g store.Grant) (*oauth.ProofKey, error) {
	text, err := b.Vault.ProofKey(ctx, g)
	if err != nil {
		return nil, err
	}
	return oauth.ParseProofKey(text)
}

// CreateDpopProof signs what an access token of the type DPoP has to come with at a resource server (RFC 9449 section 7): the key does not leave the vault. The
// token must be one that the same workload and user have now, and the request none to the vendor itself, of which only Credence is the client.
func (b *Broker) CreateDpopProof(ctx context.Context, c iam.Caller, in *wire.CreateDpopProofInput) (*wire.CreateDpopProofOutput, error) {
	req := access.Request{Action: "credence:CreateDpopProof", Resources: []string{b.ARNs.OAuth2Provider(c.Account, in.ResourceCredentialProviderName)}}
	a, err := b.open(ctx, c, in.WorkloadIdentityToken)
	if err != nil {
		return nil, b.Gate.Refuse(c, req, err)
	}
	req.Resources = append(req.Resources, b.agentResources(c.Account, a.row.Name)...)
	b.concerns(&req, a, in.ResourceCredentialProviderName)
	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
		return nil, err
	}
	p, err := b.oauth2Provider(ctx, c.Account, in.ResourceCredentialProviderName)
	if err != nil {
		return nil, err
	}
	g, err := b.boundGrant(ctx, a, p, in)
	if err != nil {
		return nil, err
	}
	v, err := b.vendor(ctx, p)
	if err != nil {
		return nil, err
	}
	req.Flow = wire.Oauth2Flow(g.Flow)
	req.Targets = slices.Concat(g.Resources, g.Audiences)
	if err := b.beneath(ctx, c, req, v, g); err != nil {
		return nil, err
	}
	for _, own := range []string{v.TokenEndpoint, v.PushEndpoint, v.Revocation.Endpoint} {
		if own != "" && sameResource(own, in.Htu) {
			return nil, fault.Invalid("htu", "%q is an endpoint of the vendor for its client, which is Credence: a proof is for a resource server", in.Htu)
		}
	}
	key, err := b.proofKey(ctx, g)
	if err != nil {
		return nil, err
	}
	proof := oauth.Proof{Method: in.Htm, URL: in.Htu, AccessToken: in.AccessToken}
	if in.Nonce != nil {
		proof.Nonce = *in.Nonce
	}
	signed, err := key.Sign(proof)
	if err != nil {
		return nil, fault.Invalid("htu", "%v", err)
	}
	if err := b.Gate.NotFrozen(ctx, c, req); err != nil {
		return nil, err
	}
	return &wire.CreateDpopProofOutput{DpopProof: signed.Reveal()}, nil
}

// boundGrant finds the grant of an access token. A token that is another's, over, or not bound to a key gets the answer of one that never was.
func (b *Broker) boundGrant(ctx context.Context, a agent, p *vault.OAuth2Provider, in *wire.CreateDpopProofInput) (store.Grant, error) {
	all, err := b.Vault.BoundGrants(ctx, p, a.row.Incarnation, a.token.User.Key())
	if err != nil {
		return store.Grant{}, err
	}
	for _, g := range all {
		if !valid(g) {
			continue
		}
		token, err := b.Vault.AccessToken(ctx, g)
		if err != nil {
			return store.Grant{}, err
		}
		if token.Equal(in.AccessToken) {
			return g, nil
		}
	}
	return store.Grant{}, fault.Invalid("accessToken", "is no token of the type %s that this workload and user have of provider %s now: get it anew with GetResourceOauth2Token", oauth.TokenTypeDPoP, p.Row.Name)
}

// sameResource reports whether two URLs differ in nothing but query, fragment and what a URL may be spelled like.
func sameResource(a, b string) bool {
	u, errA := url.Parse(a)
	w, errB := url.Parse(b)
	path := func(u *url.URL) string { return strings.TrimSuffix(u.JoinPath().Path, "/") }
	return errA == nil && errB == nil && provider.SameOrigin(a, b) && path(u) == path(w)
}
