package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"time"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
)

const (
	// registerPause is the least time between two registrations of a provider's client: a vendor that says of each that it does not know it gets no more.
	registerPause = time.Minute
	// probePause is how long a vendor is believed to know a client before a person is sent there.
	probePause = time.Minute
)

// ClientMetadata is the document of a client whose id is the document's URL; fault.NotFound when the callback id is that of no such client.
func (b *Broker) ClientMetadata(ctx context.Context, callbackID string) (m oauth.ClientMetadata, _ error) {
	p, err := b.Vault.OAuth2ProviderByCallback(ctx, callbackID)
	if err != nil {
		return m, err
	}
	own := provider.ClientMetadataURL(b.PublicURL, callbackID)
	if r := p.Config.Registration; r == nil || r.Method != provider.MetadataDocument || p.Config.ClientID != own {
		return m, fault.NotFound
	}
	m = provider.ClientMetadata(b.PublicURL, callbackID, p.Row.Name, p.Config.Registration.AuthMethod)
	m.ClientID = own
	return m, nil
}

// forgotten reports whether a vendor does not know the client of a provider that can be registered anew.
func forgotten(p *vault.OAuth2Provider, err error) bool {
	e, ok := errors.AsType[*oauth.Error](err)
	return ok && e.Outcome == oauth.Refused && e.Code == "invalid_client" && p.Config.Registration != nil && p.Config.Registration.Method == provider.Dynamic
}

// reregistered is the provider after its vendor was made to know its client again, nil when cause is of another kind or that failed. The generation stays: issuer,
// account and redirect URI are the same, and there is no other client any more that secrets or tokens could belong to. So grants are served for as long as their
// access tokens last; whether their refresh tokens have outlived the client, the vendor says.
func (b *Broker) reregistered(ctx context.Context, p *vault.OAuth2Provider, cause error) *vault.OAuth2Provider {
	if !forgotten(p, cause) {
		return nil
	}
	next, err := share(b, "register "+p.Row.Account+p.Row.Incarnation, 0, func() (*vault.OAuth2Provider, error) {
		return b.reregister(context.WithoutCancel(ctx), p)
	})
	if err != nil {
		b.Log.WarnContext(ctx, "a vendor has forgotten a client, and registers it no more", "account", p.Row.Account, "provider", p.Row.Name, "cause", err.Error())
		return nil
	}
	return next
}

func (b *Broker) reregister(ctx context.Context, p *vault.OAuth2Provider) (*vault.OAuth2Provider, error) {
	lease, err := b.lease(p.Row.Account, "register/"+p.Row.Incarnation)
	if err != nil {
		return nil, err
	}
	defer lease.release()
	now, err := b.Vault.ReloadOAuth2Provider(ctx, p.Row.Account, p.Row.Name)
	if err != nil {
		return nil, err
	}
	if now.Row.Incarnation != p.Row.Incarnation || now.Row.Version != p.Row.Version { // somebody was quicker
		return now, nil
	}
	if last, ok := b.registered.Load(p.Row.Incarnation); ok && time.Since(last.(time.Time)) < registerPause {
		return nil, errors.New("it was registered anew less than a minute ago")
	}
	b.registered.Store(p.Row.Incarnation, time.Now())

	next, client := *now, oauth.RegisteredClient{}
	r := now.Config.Registration
	metadata := provider.ClientMetadata(b.PublicURL, now.Row.CallbackID, now.Row.Name, r.AuthMethod)
	known, err := b.knownClient(ctx, now, metadata)
	switch {
	case err != nil:
		return nil, err
	case known != nil:
		client = *known
	default:
		if client, err = b.OAuth.Register(ctx, r.Endpoint, metadata); err != nil {
			return nil, err
		}
	}
	next.Config.Register(client, r.Endpoint, b.CheckURL)
	next.Row.ClientSecret, next.Row.UpdatedAt = nil, time.Now()
	token := client.AccessToken
	if next.Config.Registration.ConfigurationURI == "" {
		token = secret.String{}
	}
	if err = b.Vault.SealRegistrationToken(ctx, &next.Row, token); err == nil {
		err = b.Vault.UpdateOAuth2Provider(ctx, next, client.Secret)
	}
	if err != nil {
		if known == nil && !token.IsZero() { // nobody else knows the client; if this fails, it is of use to nobody
			_ = b.OAuth.DeleteClient(ctx, next.Config.Registration.ConfigurationURI, token)
		}
		return nil, err
	}
	how := "the vendor had forgotten client " + now.Config.ClientID + "; it is " + client.ID + " now"
	if known != nil {
		how = "the vendor has changed the credentials of client " + client.ID
	}
	caller := iam.Caller{Account: p.Row.Account, ARN: b.ARNs.OAuth2Provider(p.Row.Account, p.Row.Name)}
	if err := b.Gate.Receipt(caller, access.Request{Action: "credence:RegisterClient", Resources: []string{caller.ARN}}, audit.Performed, how); err != nil {
		return nil, err
	}
	return b.Vault.ReloadOAuth2Provider(ctx, p.Row.Account, p.Row.Name)
}

// knownClient is the client as the vendor has it (RFC 7592), which may have got another secret; nil when the vendor cannot be asked or has forgotten it. An error says
// that the vendor knows the client just as it is here, or does not say.
func (b *Broker) knownClient(ctx context.Context, p *vault.OAuth2Provider, m oauth.ClientMetadata) (*oauth.RegisteredClient, error) {
	if p.Config.Registration.ConfigurationURI == "" {
		return nil, nil
	}
	token, err := b.Vault.RegistrationToken(ctx, p)
	if err != nil {
		return nil, err
	}
	client, err := b.OAuth.ReadClient(ctx, p.Config.Registration.ConfigurationURI, token, m)
	if e, ok := errors.AsType[*oauth.Error](err); ok && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, e.Status) {
		return nil, nil // RFC 7592 section 2.1
	}
	if err != nil {
		return nil, err
	}
	have, err := b.Vault.ClientSecret(ctx, p)
	if err == nil && client.ID == p.Config.ClientID && client.Secret.Equal(have) && client.AuthMethod == p.Config.Registration.AuthMethod {
		err = errors.New("the vendor knows the client, and refuses it all the same")
	}
	return &client, err
}

// known is the provider of a session, whose vendor knows its client as far as can be told: a person who is sent to a vendor that has forgotten it would get no further.
func (b *Broker) known(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor) *vault.OAuth2Provider {
	r := p.Config.Registration
	if r == nil || r.Method != provider.Dynamic {
		return p
	}
	if last, ok := b.probed.Load(p.Row.Incarnation); ok && time.Since(last.(time.Time)) < probePause {
		return p
	}
	err := b.probe(ctx, p, v)
	if next := b.reregistered(ctx, p, err); next != nil {
		return next
	}
	if !forgotten(p, err) {
		b.probed.Store(p.Row.Incarnation, time.Now())
	}
	return p
}

// probe has the vendor authenticate the client, by a code that nobody has issued: it is refused in any case, and how tells whether the client is known.
func (b *Broker) probe(ctx context.Context, p *vault.OAuth2Provider, v provider.Vendor) error {
	e, err := b.endpoint(ctx, p, v, "", store.Grant{})
	if err != nil {
		return err
	}
	_, err = b.vendorCall(ctx, p.Row.Account, v.TokenEndpoint, v, "probe", func(ctx context.Context) (oauth.Token, error) {
		return b.OAuth.ExchangeCode(ctx, e, oauth.CodeGrant{
			Code: secret.New("none-" + rand.Text()), Verifier: oauth.NewVerifier(), RedirectURI: provider.CallbackURL(b.PublicURL, p.Row.CallbackID),
		})
	})
	return err
}
