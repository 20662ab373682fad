package broker

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/store"
	"credence/internal/wire"
)

// A client-credentials token whose lifetime the vendor does not say is used for an hour.
const defaultM2MLifetime = time.Hour

// m2m serves a workload that acts for itself (client credentials, RFC 6749 section 4.4). Tokens are kept until shortly before they end.
func (b *Broker) m2m(ctx context.Context, r request) (*wire.GetResourceOauth2TokenOutput, string, error) {
	current, err := b.Vault.Grant(ctx, r.agent.account, r.key)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return nil, "", err
	}
	have := err == nil && !forced(r.in)
	if have && fresh(current) {
		out, err := b.answer(ctx, current)
		return out, "cached", err
	}
	g, err := b.issue(ctx, r, current, have)
	if err != nil {
		if have && valid(current) && (errors.Is(err, fault.Throttled) || errors.Is(err, errUnderWay)) {
			out, err := b.answer(ctx, current)
			return out, "stale", err
		}
		return nil, "", err
	}
	out, err := b.answer(ctx, g)
	return out, "issued", err
}

// issue gets a token from the vendor, once for all who wait for it. With a current grant, it waits no longer than that bears.
func (b *Broker) issue(ctx context.Context, r request, current store.Grant, have bool) (store.Grant, error) {
	force, kind, wait := forced(r.in), "m2m ", time.Duration(0)
	if force {
		kind = "m2m forced "
	}
	if have {
		wait = patience(current)
	}
	return share(b, kind+r.agent.account+r.key, wait, func() (store.Grant, error) {
		ctx := context.WithoutCancel(ctx)
		if g, err := b.Vault.ReloadGrant(ctx, r.agent.account, r.key); err == nil && !force && fresh(g) {
			return g, nil // a flight ended just before this one began, or that of another replica
		}
		return b.clientCredentials(ctx, r)
	})
}

func (b *Broker) clientCredentials(ctx context.Context, r request) (store.Grant, error) {
	v, err := b.vendor(ctx, r.provider)
	if err != nil {
		return store.Grant{}, err
	}
	e, err := b.endpoint(ctx, r.provider, v)
	if err != nil {
		return store.Grant{}, err
	}
	t, err := b.vendorCall(ctx, r.agent.account, v.TokenEndpoint, v, "client_credentials", func(ctx context.Context) (oauth.Token, error) {
		return b.OAuth.ClientCredentials(ctx, e, oauth.ClientCredentialsGrant{
			GrantType: v.M2MGrantType, Scopes: r.in.Scopes, ScopeSeparator: v.ScopeSeparator, Resources: r.in.Resources, Audiences: r.in.Audiences, Extra: parameters(r.in),
		})
	})
	if err != nil {
		return store.Grant{}, vendorFault(r.provider, err)
	}
	g := newGrant(r.agent, r.provider, wire.FlowM2M, r.key, r.in.Scopes)
	g.UserKey = "" // the token is the workload's own, whoever it acts for just now
	if err := b.fill(ctx, &g, t, cmp.Or(v.Lifetime, defaultM2MLifetime)); err != nil {
		return store.Grant{}, err
	}
	g.RefreshToken = nil // RFC 6749 section 4.4.3: none belongs here, and none is kept
	_, err = b.Writes.PutGrant(g)
	if errors.Is(err, fault.NotFound) {
		b.revokeLost(r.provider, g)
		return store.Grant{}, fault.New(fault.NotFound, "The provider or the workload identity was deleted or changed meanwhile: try again")
	}
	return g, err
}

// parameters are the custom parameters of a request that may be sent.
func parameters(in *wire.GetResourceOauth2TokenInput) url.Values {
	extra := url.Values{}
	for name, value := range in.CustomParameters {
		if !oauth.IsProtected(name) {
			extra.Set(name, value.Reveal())
		}
	}
	return extra
}
