package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"credence/internal/secret"
)

// requestLifetime bounds a sign-in under way and then the code that comes out of it: the most that RFC 6749 section 4.1.2 recommends.
const requestLifetime = 10 * time.Minute

const scopeCalendarRead = "calendar.read"

// scope is a scope and what the consent page says about it.
type scope struct{ Name, Meaning string }

// offeredScopes are all that a client can get. offline_access stands for the refresh token.
var offeredScopes = []scope{
	{scopeCalendarRead, "See the events in your calendar"},
	{oidc.ScopeOfflineAccess, "Keep this access while you are away"},
}

// authServer is the vendor of the demo, "Acme Calendar": an OAuth 2.0 authorization server with one registered client, everything in memory.
//
// It has no passwords, so it serves loopback only. All its tokens are opaque and random, so it has no keys to publish and gives no ID tokens.
// The library reads and checks the requests (RFC 6749, RFC 7636, RFC 7009); the methods that it calls, named by op.Server, decide and remember.
type authServer struct {
	op.UnimplementedServer

	issuer       string
	clientID     string
	clientSecret secret.String
	lifetime     time.Duration // of access tokens
	handler      http.Handler

	mu          sync.Mutex // guards what follows
	redirectURI string
	pending     map[string]authorization        // sign-ins under way, by the id in the pages' addresses
	codes       map[secret.String]authorization // allowed, not yet exchanged
	access      map[secret.String]accessToken
	refresh     map[secret.String]*grant
}

// authorization is one authorization request on its way to a code.
type authorization struct {
	redirectURI string
	state       string
	scopes      []scope
	challenge   oidc.CodeChallenge
	subject     string // empty until somebody signed in
	expires     time.Time
}

func (auth authorization) expired() bool { return !time.Now().Before(auth.expires) }

// grant is what one subject allowed; all tokens that come of it point here.
type grant struct {
	subject string
	scopes  []string
}

type accessToken struct {
	grant   *grant
	scopes  []string // those of the grant, or fewer when a refresh asked for fewer
	expires time.Time
}

func (t accessToken) expired() bool { return !time.Now().Before(t.expires) }

// newAuthServer makes the authorization server at issuer, the root of an http URL with a loopback host. Its one client authenticates by clientSecret
// and receives codes at redirectURI, which may be empty until setRedirectURI. accessTokenLifetime is at least a second, the unit of expires_in.
// The library logs its routes and refused requests to slog.Default().
func newAuthServer(issuer, clientID, clientSecret, redirectURI string, accessTokenLifetime time.Duration) (*authServer, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "http" || u.Path != "" || (u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()) {
		return nil, fmt.Errorf("issuer %q: the authorization server of the demo has no passwords and serves loopback only; use http://127.0.0.1:PORT", issuer)
	}
	if clientID == "" || clientSecret == "" {
		return nil, fmt.Errorf("client %q: give both a client id and a client secret", clientID)
	}
	if accessTokenLifetime < time.Second {
		return nil, fmt.Errorf("access token lifetime %v: give at least 1s", accessTokenLifetime)
	}
	a := &authServer{
		issuer:       issuer,
		clientID:     clientID,
		clientSecret: secret.New(clientSecret),
		lifetime:     accessTokenLifetime,
		redirectURI:  redirectURI,
		pending:      map[string]authorization{},
		codes:        map[secret.String]authorization{},
		access:       map[secret.String]accessToken{},
		refresh:      map[secret.String]*grant{},
	}

	protocol := op.RegisterServer(a, endpoints, op.WithServerCORSOptions(nil))
	mux := http.NewServeMux()
	mux.Handle("GET "+oidc.DiscoveryEndpoint, protocol)
	mux.Handle("GET "+endpoints.Authorization.Relative(), protocol)
	mux.Handle("POST "+endpoints.Token.Relative(), protocol)
	mux.Handle("POST "+endpoints.Revocation.Relative(), protocol)
	a.addPages(mux)
	a.handler = http.NewCrossOriginProtection().Handler(mux)
	return a, nil
}

var endpoints = op.Endpoints{
	Authorization: op.NewEndpoint("authorize"),
	Token:         op.NewEndpoint("token"),
	Revocation:    op.NewEndpoint("revoke"),
}

// ServeHTTP serves the protocol and the pages. It refuses posts that come from pages of other sites.
func (a *authServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	a.handler.ServeHTTP(w, r)
}

// setRedirectURI replaces the client's one redirect URI: Credence names its callback URL only after it has the provider.
func (a *authServer) setRedirectURI(uri string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.redirectURI = uri
}

// Discovery answers with the metadata of OpenID Connect Discovery section 3, as far as it applies to a server without ID tokens.
func (a *authServer) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	authMethods := []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	return op.NewResponse(oidc.DiscoveryConfiguration{
		Issuer:                                 a.issuer,
		AuthorizationEndpoint:                  endpoints.Authorization.Absolute(a.issuer),
		TokenEndpoint:                          endpoints.Token.Absolute(a.issuer),
		RevocationEndpoint:                     endpoints.Revocation.Absolute(a.issuer),
		ScopesSupported:                        names(offeredScopes),
		ResponseTypesSupported:                 []string{string(oidc.ResponseTypeCode)},
		ResponseModesSupported:                 []string{string(oidc.ResponseModeQuery)},
		GrantTypesSupported:                    registeredClient{}.GrantTypes(),
		SubjectTypesSupported:                  []string{"public"},
		TokenEndpointAuthMethodsSupported:      authMethods,
		RevocationEndpointAuthMethodsSupported: authMethods,
		CodeChallengeMethodsSupported:          []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
	}), nil
}

// VerifyAuthRequest finds the client of an authorization request; the library then checks redirect URI and response type against it.
func (a *authServer) VerifyAuthRequest(_ context.Context, r *op.Request[oidc.AuthRequest]) (*op.ClientRequest[oidc.AuthRequest], error) {
	if r.Data.RequestParam != "" {
		return nil, oidc.ErrRequestNotSupported()
	}
	if r.Data.ClientID != a.clientID {
		return nil, oidc.ErrInvalidRequest().WithDescription("client_id %q is not registered here", r.Data.ClientID)
	}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: a.client()}, nil
}

// Authorize starts a sign-in and sends the browser to the login page. PKCE with S256 is required.
func (a *authServer) Authorize(_ context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	auth := authorization{
		redirectURI: r.Client.RedirectURIs()[0], // the library matched the request's against it, decoded once more than is right
		state:       r.Data.State,
		scopes:      offered(r.Data.Scopes),
		challenge:   oidc.CodeChallenge{Challenge: r.Data.CodeChallenge, Method: r.Data.CodeChallengeMethod},
		expires:     time.Now().Add(requestLifetime),
	}
	var refusal *oidc.Error
	switch {
	case auth.challenge.Challenge == "" || auth.challenge.Method != oidc.CodeChallengeMethodS256:
		refusal = oidc.ErrInvalidRequest().WithDescription("send a code_challenge, and S256 as code_challenge_method")
	case len(auth.scopes) == 0:
		refusal = oidc.ErrInvalidScope().WithDescription("none of the requested scopes is offered here")
	}
	if refusal != nil {
		refusal.State = auth.state
		location, err := auth.back(refusal)
		return op.NewRedirect(location), err
	}

	id := rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	dropExpired(a.pending)
	a.pending[id] = auth
	return op.NewRedirect(r.Client.LoginURL(id)), nil
}

// VerifyClient authenticates the client at the token and revocation endpoints, by HTTP Basic or by the form (RFC 6749 section 2.3.1).
func (a *authServer) VerifyClient(_ context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if r.Data.ClientID != a.clientID || !a.clientSecret.Equal(secret.New(r.Data.ClientSecret)) {
		return nil, op.NewStatusError(oidc.ErrInvalidClient().WithDescription("client_id or client_secret is wrong"), http.StatusUnauthorized)
	}
	return a.client(), nil
}

// CodeExchange answers the authorization_code grant. A code works once, whether the exchange succeeds or not.
func (a *authServer) CodeExchange(_ context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	dropExpired(a.codes)
	code := secret.New(r.Data.Code)
	auth, ok := a.codes[code]
	delete(a.codes, code)
	if !ok {
		return nil, oidc.ErrInvalidGrant().WithDescription("the code is unknown, used or expired")
	}
	if r.Data.RedirectURI != auth.redirectURI {
		return nil, oidc.ErrInvalidGrant().WithDescription("redirect_uri is not the one of the authorization request")
	}
	if err := op.AuthorizeCodeChallenge(r.Data.CodeVerifier, &auth.challenge); err != nil {
		return nil, err
	}
	g := &grant{auth.subject, names(auth.scopes)}
	return a.issue(g, g.scopes), nil
}

// RefreshToken answers the refresh_token grant. The refresh token is replaced, the old one works no more.
func (a *authServer) RefreshToken(_ context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := secret.New(r.Data.RefreshToken)
	g, ok := a.refresh[old]
	if !ok {
		return nil, oidc.ErrInvalidGrant().WithDescription("the refresh token is unknown, used or revoked")
	}
	scopes := g.scopes
	if len(r.Data.Scopes) > 0 {
		scopes = r.Data.Scopes
	}
	for _, s := range scopes {
		if !slices.Contains(g.scopes, s) {
			return nil, oidc.ErrInvalidScope().WithDescription("scope %q was not granted", s)
		}
	}
	delete(a.refresh, old)
	return a.issue(g, scopes), nil
}

// ClientCredentialsExchange answers the client_credentials grant: the client is its own subject.
func (a *authServer) ClientCredentialsExchange(_ context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	if !slices.Contains(r.Data.Scope, scopeCalendarRead) {
		return nil, oidc.ErrInvalidScope().WithDescription("ask for the scope %s", scopeCalendarRead)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	g := &grant{a.clientID, []string{scopeCalendarRead}} // never offline_access: RFC 6749 section 4.4.3
	return a.issue(g, g.scopes), nil
}

// Revocation ends a token (RFC 7009): a refresh token together with every access token of its grant. Unknown tokens are no error.
func (a *authServer) Revocation(_ context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	token := secret.New(r.Data.Token)
	delete(a.access, token)
	if g, ok := a.refresh[token]; ok {
		delete(a.refresh, token)
		maps.DeleteFunc(a.access, func(_ secret.String, t accessToken) bool { return t.grant == g })
	}
	return op.NewResponse(nil), nil
}

// issue makes an access token, and a refresh token when the grant has offline_access. The caller holds a.mu.
func (a *authServer) issue(g *grant, scopes []string) *op.Response {
	dropExpired(a.access)
	answer := oidc.AccessTokenResponse{
		AccessToken: rand.Text(),
		TokenType:   oidc.BearerToken,
		ExpiresIn:   uint64(a.lifetime.Seconds()),
		Scope:       scopes,
	}
	a.access[secret.New(answer.AccessToken)] = accessToken{g, scopes, time.Now().Add(a.lifetime)}
	if slices.Contains(g.scopes, oidc.ScopeOfflineAccess) {
		answer.RefreshToken = rand.Text()
		a.refresh[secret.New(answer.RefreshToken)] = g
	}
	return op.NewResponse(answer)
}

// verify finds an access token that still works.
func (a *authServer) verify(token secret.String) (accessToken, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	dropExpired(a.access)
	t, ok := a.access[token]
	return t, ok
}

// client is the registered client as of now.
func (a *authServer) client() registeredClient {
	a.mu.Lock()
	defer a.mu.Unlock()
	return registeredClient{a.clientID, a.redirectURI}
}

// back is the address that takes a code or an error to the client (RFC 6749 section 4.1.2).
func (auth authorization) back(parameters any) (string, error) {
	return op.AuthResponseURL(auth.redirectURI, oidc.ResponseTypeCode, oidc.ResponseModeQuery, parameters, oidc.NewEncoder())
}

func dropExpired[K comparable, V interface{ expired() bool }](m map[K]V) {
	maps.DeleteFunc(m, func(_ K, v V) bool { return v.expired() })
}

// offered leaves out of a request what this server does not have; RFC 6749 section 3.3 lets it, as the answer names the scopes granted.
func offered(asked []string) []scope {
	return slices.DeleteFunc(slices.Clone(offeredScopes), func(s scope) bool { return !slices.Contains(asked, s.Name) })
}

func names(scopes []scope) []string {
	var names []string
	for _, s := range scopes {
		names = append(names, s.Name)
	}
	return names
}

// registeredClient describes the client to the library: confidential, authorization code, refresh and client credentials, opaque tokens.
type registeredClient struct{ id, redirectURI string }

var _ op.Client = registeredClient{}

func (c registeredClient) GetID() string                     { return c.id }
func (c registeredClient) RedirectURIs() []string            { return []string{c.redirectURI} }
func (c registeredClient) LoginURL(id string) string         { return "/login?id=" + id }
func (registeredClient) PostLogoutRedirectURIs() []string    { return nil }
func (registeredClient) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (registeredClient) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (registeredClient) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (registeredClient) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeBearer }
func (registeredClient) IDTokenLifetime() time.Duration       { return 0 }
func (registeredClient) IDTokenUserinfoClaimsAssertion() bool { return false }
func (registeredClient) ClockSkew() time.Duration             { return 0 }
func (registeredClient) DevMode() bool                        { return false }
func (registeredClient) IsScopeAllowed(name string) bool      { return len(offered([]string{name})) > 0 }
func (registeredClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone
}
func (registeredClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone
}
func (registeredClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeClientCredentials}
}
