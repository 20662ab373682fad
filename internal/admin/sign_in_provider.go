package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/wire"
)

// Metadata tells what an authorization server says of itself; *oauth.Discovery does.
type Metadata interface {
	Metadata(ctx context.Context, url string) (oauth.Metadata, error)
}

func (a *Admin) signInProviderARN(account, name string) string {
	return a.ARNs.Extension(account, "sign-in-provider", name)
}

// allowSignInProvider is the first call of every operation on sign-in providers.
func (a *Admin) allowSignInProvider(c iam.Caller, operation, name string) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{a.signInProviderARN(c.Account, name)}})
}

// defaultScopes are asked for where nobody said others.
var defaultScopes = []string{"openid", "profile", "email"}

// PutSignInProvider has people of the account sign in at an issuer. Which roles they get is said by the roles' trust policies. Another issuer or client under the same name
// ends the sessions of those who came by the earlier one.
func (a *Admin) PutSignInProvider(ctx context.Context, c iam.Caller, in *wire.PutSignInProviderInput) (*wire.PutSignInProviderOutput, error) {
	if err := a.allowSignInProvider(c, "PutSignInProvider", in.Name); err != nil {
		return nil, err
	}
	scopes := in.Scopes
	if scopes == nil {
		scopes = defaultScopes
	}
	if !slices.Contains(scopes, "openid") {
		return nil, fault.Invalid("scopes", "must have openid: an issuer says who somebody is only to whoever asks for that")
	}
	for _, s := range scopes {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, fault.Invalid("scopes", "has %.100q, which is no scope", s)
		}
	}
	if _, err := a.signInMetadata(ctx, in.Issuer); err != nil {
		return nil, fault.Invalid("issuer", "%v", err)
	}
	now := time.Now()
	p := store.SignInProvider{Account: c.Account, Name: in.Name, Incarnation: rand.Text(), Issuer: in.Issuer, ClientID: in.ClientId, Scopes: scopes, CreatedAt: now, UpdatedAt: now}
	old, err := a.Store.SignInProvider(ctx, c.Account, in.Name)
	switch {
	case err == nil && old.Issuer == p.Issuer && old.ClientID == p.ClientID:
		p.Incarnation = old.Incarnation
	case err != nil && !errors.Is(err, fault.NotFound):
		return nil, err
	}
	if p, err = a.Vault.PutSignInProvider(ctx, p, or(in.ClientSecret, secret.String{})); err != nil {
		return nil, err
	}
	return (*wire.PutSignInProviderOutput)(new(a.describeSignInProvider(p))), nil
}

// signInMetadata is what an issuer says of itself, if that is enough for people to sign in. The error reads on after the issuer's member.
func (a *Admin) signInMetadata(ctx context.Context, issuer string) (oauth.Metadata, error) {
	if err := a.CheckURL(issuer); err != nil {
		return oauth.Metadata{}, err
	}
	m, err := a.Metadata.Metadata(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	switch {
	case err != nil:
		return m, err
	case m.Issuer != issuer:
		return m, errors.New("must be written as its discovery document does, " + strconv.Quote(m.Issuer) + ": ID tokens are compared with it byte for byte")
	case m.AuthorizationEndpoint == "" || m.TokenEndpoint == "" || m.JWKSURI == "":
		return m, errors.New("must be an OpenID Connect issuer whose discovery document names authorization_endpoint, token_endpoint and jwks_uri")
	}
	return m, nil
}

func (a *Admin) describeSignInProvider(p store.SignInProvider) wire.SignInProvider {
	return wire.SignInProvider{
		Name: p.Name, SignInProviderArn: a.signInProviderARN(p.Account, p.Name), Issuer: p.Issuer, ClientId: p.ClientID, PublicClient: new(p.ClientSecret == nil), Scopes: p.Scopes,
		RedirectUri: a.redirectURI(p), SignInUrl: a.ConsoleURL + SignInPath(p.Account, p.Name), CreatedTime: wire.Time{Time: p.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.UpdatedAt},
	}
}

// Paths of the console that are built in this plane.
const (
	ConsolePath = "/console/"
	signInPath  = ConsolePath + "sign-in/"
	// CallbackPath is where issuers send browsers back to; account and provider follow, so that no issuer's answer passes for another's (RFC 9700 section 4.4).
	CallbackPath = ConsolePath + "callback/"
)

// SignInPath is where people of an account begin to sign in at a provider.
func SignInPath(account, provider string) string { return signInPath + account + "/" + provider }

func (a *Admin) redirectURI(p store.SignInProvider) string {
	return a.ConsoleURL + CallbackPath + p.Account + "/" + p.Name
}

// ListSignInProviders lists where people of the account sign in, without secrets.
func (a *Admin) ListSignInProviders(ctx context.Context, c iam.Caller, _ *wire.ListSignInProvidersInput) (*wire.ListSignInProvidersOutput, error) {
	if err := a.allowSignInProvider(c, "ListSignInProviders", "*"); err != nil {
		return nil, err
	}
	rows, err := a.Store.SignInProviders(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListSignInProvidersOutput{SignInProviders: make([]wire.SignInProvider, len(rows))}
	for i, p := range rows {
		out.SignInProviders[i] = a.describeSignInProvider(p)
	}
	return out, nil
}

// DeleteSignInProvider ends a provider, and the sessions of whoever came by it.
func (a *Admin) DeleteSignInProvider(_ context.Context, c iam.Caller, in *wire.DeleteSignInProviderInput) (*wire.DeleteSignInProviderOutput, error) {
	if err := a.allowSignInProvider(c, "DeleteSignInProvider", in.Name); err != nil {
		return nil, err
	}
	err := a.Store.DeleteSignInProvider(c.Account, in.Name)
	if err == fault.NotFound {
		return nil, fault.New(fault.NotFound, "Resource not found: %s", a.signInProviderARN(c.Account, in.Name))
	}
	return &wire.DeleteSignInProviderOutput{}, err
}
