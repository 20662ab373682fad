package control

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// found is what a protected resource and one of its authorization servers say of themselves.
type found struct {
	resource     oauth.ProtectedResource
	server       oauth.Metadata
	documentURL  string
	registration wire.Registration
}

// DiscoverMcpServer finds out where tokens for an MCP server come from, so that a person can judge it. Nothing is stored, and no client is made.
func (c *Control) DiscoverMcpServer(ctx context.Context, caller iam.Caller, in *wire.DiscoverMcpServerInput) (*wire.DiscoverMcpServerOutput, error) {
	if err := c.Gate.Allow(caller, access.Request{Action: "credence:DiscoverMcpServer", Resources: []string{c.ARNs.Vault(caller.Account, iam.DefaultVault)}}); err != nil {
		return nil, err
	}
	f, err := c.explore(ctx, in.Url, value(in.Issuer))
	if err != nil {
		return nil, err
	}
	out := &wire.DiscoverMcpServerOutput{
		Resource: f.resource.Resource, ScopesSupported: f.resource.Scopes, AuthorizationServers: f.resource.AuthorizationServers, Issuer: f.server.Issuer,
		AuthorizationEndpoint: f.server.AuthorizationEndpoint, TokenEndpoint: f.server.TokenEndpoint, Registration: f.registration,
	}
	if f.resource.Name != "" {
		out.ResourceName = &f.resource.Name
	}
	return out, nil
}

// explore asks a resource and its authorization server, the first of its list or the one named.
func (c *Control) explore(ctx context.Context, address, issuer string) (f found, err error) {
	if f.resource, err = c.Explorer.ProtectedResource(ctx, address); err != nil {
		return f, invalidBy("url", err)
	}
	if issuer == "" {
		issuer = f.resource.AuthorizationServers[0]
	}
	if !slices.Contains(f.resource.AuthorizationServers, issuer) {
		return f, fault.Invalid("issuer", "%q is none of the authorization servers that %q names: %q", issuer, f.resource.Resource, f.resource.AuthorizationServers)
	}
	if f.server, f.documentURL, err = c.Explorer.AuthorizationServer(ctx, issuer); err != nil {
		return f, invalidBy("url", err)
	}
	public := len(f.server.TokenEndpointAuthMethods) == 0 || slices.Contains(f.server.TokenEndpointAuthMethods, string(oauth.None))
	switch {
	case f.server.ClientIDMetadataDocumentSupported && public && c.reachable(issuer):
		f.registration = wire.RegistrationMetadataDocument
	case f.server.RegistrationEndpoint != "":
		f.registration = wire.RegistrationDynamic
	default:
		return f, fault.Invalid("url", "its authorization server %q takes neither client ID metadata documents that this server could serve nor registrations: register a client there by hand (credence provider callback-url NAME tells its redirect URI), "+
			"and create a CustomOauth2 provider with it", issuer)
	}
	return f, nil
}

// reachable tells whether a vendor can fetch a document from us: such URLs are https (draft-ietf-oauth-client-id-metadata-document section 3), and one of this machine
// is of use to a vendor on it alone.
func (c *Control) reachable(issuer string) bool {
	return strings.HasPrefix(c.PublicURL, "https://") && (!onThisMachine(c.PublicURL) || onThisMachine(issuer))
}

func onThisMachine(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

func invalidBy(member string, err error) error {
	f := fault.Invalid(member, "is of no use: %v", err)
	f.Err = err
	return f
}

// CreateOauth2CredentialProviderFromMcpServer makes a client at the authorization server of an MCP server, and the provider for it. What the caller has confirmed must
// still be so.
func (c *Control) CreateOauth2CredentialProviderFromMcpServer(ctx context.Context, caller iam.Caller, in *wire.CreateOauth2CredentialProviderFromMcpServerInput) (*wire.CreateOauth2CredentialProviderFromMcpServerOutput, error) {
	arn := c.ARNs.OAuth2Provider(caller.Account, in.Name)
	req := access.Request{Action: "credence:CreateOauth2CredentialProviderFromMcpServer", Resources: []string{arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)}}
	if err := c.Gate.Allow(caller, req); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	taken := fault.New(fault.Conflict, "An OAuth2 credential provider named %q already exists", in.Name)
	if _, err := c.Vault.OAuth2Provider(ctx, caller.Account, in.Name); !errors.Is(err, fault.NotFound) {
		if err == nil {
			err = taken
		}
		return nil, err
	}
	f, err := c.explore(ctx, in.Url, in.Issuer)
	if err != nil {
		return nil, err
	}
	if f.resource.Resource != in.Resource {
		return nil, fault.Invalid("resource", "%q was confirmed, but the server says %q now: look at it again with DiscoverMcpServer", in.Resource, f.resource.Resource)
	}
	now := time.Now()
	p := vault.OAuth2Provider{
		Config: provider.Config{Vendor: wire.VendorCustomOauth2, DiscoveryURL: f.documentURL, Resource: f.resource.Resource},
		Row: store.OAuth2Provider{
			Account: caller.Account, Name: in.Name, Incarnation: rand.Text(), Generation: rand.Text(), Vendor: string(wire.VendorCustomOauth2), CreatedAt: now, UpdatedAt: now,
		},
	}
	if p.Row.CallbackID, err = c.Vault.CallbackID(ctx, caller.Account, in.Name); err != nil {
		return nil, err
	}
	var client oauth.RegisteredClient
	if f.registration == wire.RegistrationMetadataDocument {
		p.Config.ClientID = provider.ClientMetadataURL(c.PublicURL, p.Row.CallbackID)
		p.Config.Registration = &provider.Registration{Method: provider.MetadataDocument, AuthMethod: oauth.None}
	} else if client, err = c.register(ctx, &p, f.server); err != nil {
		return nil, err
	}
	if err = c.Vault.SealRegistrationToken(ctx, &p.Row, client.AccessToken); err == nil {
		err = c.Vault.InsertOAuth2Provider(ctx, p, client.Secret, store.Tags{Resource: oauth2ProviderResource(in.Name), Values: in.Tags})
	}
	if err != nil {
		if client.ConfigurationURI != "" { // nobody else knows the client; if this fails, it is of use to nobody
			_ = c.OAuth.DeleteClient(context.WithoutCancel(ctx), client.ConfigurationURI, client.AccessToken)
		}
		if errors.Is(err, fault.Conflict) {
			return nil, taken
		}
		return nil, err
	}
	d, err := c.describeOAuth2Provider(ctx, &p)
	if err != nil {
		return nil, err
	}
	out := wire.CreateOauth2CredentialProviderFromMcpServerOutput(created(d))
	return &out, nil
}

// register makes a client at an authorization server (RFC 7591) and puts it into a provider, but for its secrets.
func (c *Control) register(ctx context.Context, p *vault.OAuth2Provider, server oauth.Metadata) (oauth.RegisteredClient, error) {
	method, ok := provider.AuthMethodFor(server)
	if !ok {
		return oauth.RegisteredClient{}, fault.Invalid("url", "is of no use: its authorization server has clients authenticate by %q alone", server.TokenEndpointAuthMethods)
	}
	client, err := c.OAuth.Register(ctx, server.RegistrationEndpoint, provider.ClientMetadata(c.PublicURL, p.Row.CallbackID, p.Row.Name, method))
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Outcome == oauth.Refused {
		return client, fault.Invalid("url", "is of no use: its authorization server registers no client: %v", err)
	}
	if err != nil {
		return client, &fault.Fault{Kind: fault.Throttled, Msg: "The client was not registered: " + err.Error() + "; try again later", RetryAfter: 5 * time.Second, Err: err}
	}
	p.Config.Register(client, server.RegistrationEndpoint, c.CheckURL)
	if p.Config.Registration.ConfigurationURI == "" {
		client.ConfigurationURI, client.AccessToken = "", secret.String{}
	}
	return client, nil
}
