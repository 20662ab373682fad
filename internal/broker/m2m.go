package broker

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

// A token of a flow without users' consent whose lifetime the vendor does not say is used for an hour.
const defaultM2MLifetime = time.Hour

// m2m serves a workload that acts for itself (client credentials, RFC 6749 section 4.4). Tokens are kept until shortly before they end.
func (b *Broker) m2m(ctx context.Context, r request) (*wire.GetResourceOauth2TokenOutput, string, error) {
	g, outcome, err := b.issued(ctx, r, r.enough, b.clientCredentials)
	if err == nil {
		err = r.tooShort(g)
	}
	if err != nil {
		return nil, "", err
	}
	out, err := b.answer(ctx, r, g)
	return out, outcome, err
}

// issued is a grant for which the vendor asks no user: the one there is as long as it is enough, else a new one. While the vendor is away, the old one serves
// as long as it is valid.
func (b *Broker) issued(ctx context.Context, r request, enough func(store.Grant) bool, issue func(context.Context, request) (store.Grant, error)) (_ store.Grant, outcome string, _ error) {
	current, err := b.Vault.Grant(ctx, r.agent.account, r.key)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return store.Grant{}, "", err
	}
	force := forced(r.in)
	have := err == nil && current.State == store.GrantActive && !force
	if have && enough(current) {
		return current, "cached", nil
	}
	kind, wait := "issue ", time.Duration(0)
	if force {
		kind = "issue forced "
	}
	if have {
		wait = patience(current)
	}
	g, err := share(b, kind+r.agent.account+r.key, wait, func() (store.Grant, error) { // once for all who wait for it
		ctx := context.WithoutCancel(ctx)
		if g, err := b.Vault.ReloadGrant(ctx, r.agent.account, r.key); err == nil && !force && g.State == store.GrantActive && enough(g) {
			return g, nil // a flight ended just before this one began, or that of another replica
		}
		return issue(ctx, r)
	})
	if err != nil && have && valid(current) && (errors.Is(err, fault.Throttled) || errors.Is(err, errUnderWay)) {
		if now, ended := b.still(ctx, current); ended == nil {
			return now, "stale", nil
		}
	}
	if err == nil && !b.within(r.ceilings, r.traits, g) {
		b.stubborn.add(g)
	}
	return g, "issued", err
}

func (b *Broker) clientCredentials(ctx context.Context, r request) (store.Grant, error) {
	v, err := b.vendor(ctx, r.provider)
	if err != nil {
		return store.Grant{}, err
	}
	e, err := b.endpoint(ctx, r.provider, v, r.agent.row.Name, store.Grant{})
	if err != nil {
		return store.Grant{}, err
	}
	t, err := b.vendorCall(ctx, r.agent.account, v.TokenEndpoint, v, "client_credentials", func(ctx context.Context) (oauth.Token, error) {
		return b.OAuth.ClientCredentials(ctx, e, oauth.ClientCredentialsGrant{
			GrantType: v.M2MGrantType, Scopes: r.in.Scopes, ScopeSeparator: v.ScopeSeparator, Resources: v.Resources(r.in.Resources), Audiences: r.in.Audiences, Extra: parameters(r.in),
		})
	})
	if err != nil {
		b.failing(r.provider, err)
		return store.Grant{}, unsupported(v, err, vendorFault(r.provider, err))
	}
	g := newGrant(r.agent, r.provider, wire.FlowM2M, r.key, r.in.Scopes)
	g.UserKey = ""                   // the token is the workload's own, whoever it acts for just now
	t.RefreshToken = secret.String{} // RFC 6749 section 4.4.3: none belongs here, and none is kept
	if err := b.fill(ctx, &g, t, cmp.Or(v.Lifetime, defaultM2MLifetime)); err != nil {
		return store.Grant{}, err
	}
	return b.put(r, g)
}

// put writes a grant that a vendor has just given; when its provider or workload identity is gone, the vendor hears of it.
func (b *Broker) put(r request, g store.Grant) (store.Grant, error) {
	g.UsedAt = time.Now()
	_, err := b.Writes.PutGrant(g)
	if errors.Is(err, fault.NotFound) {
		b.revokeLost(r.provider, g)
		return store.Grant{}, fault.New(fault.NotFound, "The provider or the workload identity was deleted, changed or frozen meanwhile: try again")
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
