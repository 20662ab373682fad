package control

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// clientSecretJSONKey is where a client secret that the vault keeps stands in what clients take for a Secrets Manager secret.
const clientSecretJSONKey = "client_secret"

// CreateOauth2CredentialProvider registers a vendor's client.
func (c *Control) CreateOauth2CredentialProvider(ctx context.Context, caller iam.Caller, in *wire.CreateOauth2CredentialProviderInput) (*wire.CreateOauth2CredentialProviderOutput, error) {
	arn := c.ARNs.OAuth2Provider(caller.Account, in.Name)
	if err := c.allowTagged(caller, "CreateOauth2CredentialProvider", in.Tags, arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	config, clientSecret, assertions, err := c.config(in.CredentialProviderVendor, in.Oauth2ProviderConfigInput, in.VendorHost)
	if err != nil {
		return nil, err
	}
	if err := c.options(ctx, caller, in.Name, &config, in.Oauth2ProviderOptions, nil); err != nil {
		return nil, err
	}
	if clientSecret.isZero() && config.SecretKind() != provider.NoSecret {
		return nil, fault.Invalid(clientSecret.path, "is required")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	looked, err := c.look(ctx, caller.Account, clientSecret)
	if err != nil {
		return nil, err
	}
	if err := checkClientSecret(config, clientSecret, looked); err != nil {
		return nil, err
	}
	callbackID, err := c.Vault.CallbackID(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	p := vault.OAuth2Provider{Config: config, Row: store.OAuth2Provider{
		Account: caller.Account, Name: in.Name, Incarnation: rand.Text(), Generation: rand.Text(), CallbackID: callbackID, Vendor: string(config.Vendor),
		ClientSecretAt: clientSecret.at, CreatedAt: now, UpdatedAt: now,
	}}
	if err := c.assertions(ctx, assertions, nil, &p); err != nil {
		return nil, err
	}
	err = c.Vault.InsertOAuth2Provider(ctx, p, clientSecret.value, store.Tags{Resource: oauth2ProviderResource(in.Name), Values: in.Tags})
	if errors.Is(err, fault.Conflict) {
		return nil, fault.New(fault.Conflict, "An OAuth2 credential provider named %q already exists", in.Name)
	}
	if err != nil {
		return nil, err
	}
	d, err := c.describeOAuth2Provider(ctx, &p)
	if err != nil {
		return nil, err
	}
	out := created(d)
	return &out, nil
}

// created is a new provider as the operations that make one answer it.
func created(d *wire.GetOauth2CredentialProviderOutput) wire.CreateOauth2CredentialProviderOutput {
	return wire.CreateOauth2CredentialProviderOutput{
		ClientSecretArn: d.ClientSecretArn, ClientSecretJsonKey: d.ClientSecretJsonKey, ClientSecretSource: d.ClientSecretSource, Name: d.Name,
		CredentialProviderArn: d.CredentialProviderArn, CallbackUrl: d.CallbackUrl, Oauth2ProviderConfigOutput: d.Oauth2ProviderConfigOutput, Status: d.Status,
		Oauth2ProviderOptions: d.Oauth2ProviderOptions, Resource: d.Resource, Registration: d.Registration,
	}
}

// GetCallbackUrl tells the callback URL that a provider of that name has or will have: vendors want it before they give the client id that a
// provider is created with.
func (c *Control) GetCallbackUrl(ctx context.Context, caller iam.Caller, in *wire.GetCallbackUrlInput) (*wire.GetCallbackUrlOutput, error) {
	req := access.Request{Action: "credence:GetCallbackUrl", Resources: []string{c.ARNs.OAuth2Provider(caller.Account, in.Name)}}
	if err := c.Gate.Allow(caller, req); err != nil {
		return nil, err
	}
	id, err := c.Vault.CallbackID(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, err
	}
	return &wire.GetCallbackUrlOutput{CallbackUrl: provider.CallbackURL(c.PublicURL, id)}, nil
}

// GetOauth2CredentialProvider tells a provider, without its secret.
func (c *Control) GetOauth2CredentialProvider(ctx context.Context, caller iam.Caller, in *wire.GetOauth2CredentialProviderInput) (*wire.GetOauth2CredentialProviderOutput, error) {
	arn := c.ARNs.OAuth2Provider(caller.Account, in.Name)
	if err := c.allow(caller, "GetOauth2CredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	p, err := c.Vault.OAuth2Provider(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, notFound(err, arn)
	}
	return c.describeOAuth2Provider(ctx, p)
}

// ListOauth2CredentialProviders lists the providers of the account by name, at most 20 at a time.
func (c *Control) ListOauth2CredentialProviders(ctx context.Context, caller iam.Caller, in *wire.ListOauth2CredentialProvidersInput) (*wire.ListOauth2CredentialProvidersOutput, error) {
	const operation = "ListOauth2CredentialProviders"
	page, err := c.page(ctx, caller, operation, in.NextToken, in.MaxResults, 20)
	if err != nil {
		return nil, err
	}
	if err := c.allow(caller, operation, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	rows, more, err := c.Vault.OAuth2Providers(ctx, caller.Account, page)
	if err != nil {
		return nil, err
	}
	out := &wire.ListOauth2CredentialProvidersOutput{CredentialProviders: make([]wire.Oauth2CredentialProviderItem, len(rows))}
	for i, p := range rows {
		out.CredentialProviders[i] = wire.Oauth2CredentialProviderItem{
			Name: p.Row.Name, CredentialProviderVendor: p.Config.Vendor, CredentialProviderArn: c.ARNs.OAuth2Provider(p.Row.Account, p.Row.Name),
			CreatedTime: wire.Time{Time: p.Row.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.Row.UpdatedAt},
		}
		page.After = p.Row.Name
	}
	out.NextToken, err = c.nextToken(ctx, caller.Account, operation, page.After, more)
	return out, err
}

// UpdateOauth2CredentialProvider replaces the configuration of a provider. The stored secret stays when none is given, unless issuer, an endpoint's host or the
// client id change: then secrets, codes and tokens of before must never go there, and a new generation begins with the secret in this request.
func (c *Control) UpdateOauth2CredentialProvider(ctx context.Context, caller iam.Caller, in *wire.UpdateOauth2CredentialProviderInput) (*wire.UpdateOauth2CredentialProviderOutput, error) {
	arn := c.ARNs.OAuth2Provider(caller.Account, in.Name)
	if err := c.allow(caller, "UpdateOauth2CredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	config, clientSecret, assertions, err := c.config(in.CredentialProviderVendor, in.Oauth2ProviderConfigInput, in.VendorHost)
	if err != nil {
		return nil, err
	}
	looked, err := c.look(ctx, caller.Account, clientSecret)
	if err != nil {
		return nil, err
	}
	var p vault.OAuth2Provider
	err = again(func() error {
		current, err := c.Vault.OAuth2Provider(ctx, caller.Account, in.Name)
		if err != nil {
			return notFound(err, arn)
		}
		if config.Vendor != current.Config.Vendor {
			return fault.Invalid("credentialProviderVendor", "is %s, but provider %q was created with %s: delete it and create it anew to change the vendor", config.Vendor, in.Name, current.Config.Vendor)
		}
		p = *current
		p.Config = config
		if err := c.options(ctx, caller, in.Name, &p.Config, in.Oauth2ProviderOptions, &current.Config); err != nil {
			return err
		}
		// A client stays registered until another, or a secret or method of its own, takes its place.
		if current.Config.SameGeneration(p.Config) && clientSecret.isZero() && p.Config.AuthMethod == "" && p.Config.TokenEndpointAuthMethod == "" {
			p.Config.Registration = current.Config.Registration
		} else {
			p.Row.RegistrationToken = nil
		}
		if err := checkClientSecret(p.Config, clientSecret, looked); err != nil {
			return err
		}
		kind, was := p.Config.SecretKind(), current.Config.SecretKind()
		if kind != was && kind != provider.NoSecret && clientSecret.isZero() {
			return fault.Invalid(clientSecret.path, "is required: with %s none was stored for this method", cmp.Or(string(current.Config.AuthMethod), string(current.Config.TokenEndpointAuthMethod), "the client authentication of before"))
		}
		if !current.Config.SameGeneration(p.Config) {
			if clientSecret.isZero() && kind != provider.NoSecret {
				return fault.Invalid(clientSecret.path, "is required when the issuer, the host of an endpoint or the client id changes: the stored secret is not sent to another vendor or for another client")
			}
			p.Row.Generation = rand.Text()
		}
		if err := clientSecret.checkKept(current.Row.ClientSecretAt); err != nil {
			return err
		}
		if clientSecret.at != (store.Reference{}) || kind == provider.NoSecret {
			p.Row.ClientSecretAt = clientSecret.at
		}
		if err := c.assertions(ctx, assertions, current, &p); err != nil {
			return err
		}
		p.Row.UpdatedAt = time.Now()
		return c.Vault.UpdateOAuth2Provider(ctx, p, clientSecret.value)
	})
	if err != nil {
		return nil, err
	}
	d, err := c.describeOAuth2Provider(ctx, &p)
	if err != nil {
		return nil, err
	}
	return &wire.UpdateOauth2CredentialProviderOutput{
		ClientSecretArn: d.ClientSecretArn, ClientSecretJsonKey: d.ClientSecretJsonKey, ClientSecretSource: d.ClientSecretSource, Name: d.Name,
		CredentialProviderVendor: d.CredentialProviderVendor, CredentialProviderArn: d.CredentialProviderArn, CallbackUrl: d.CallbackUrl,
		Oauth2ProviderConfigOutput: d.Oauth2ProviderConfigOutput, CreatedTime: d.CreatedTime, LastUpdatedTime: d.LastUpdatedTime, Status: d.Status,
		Oauth2ProviderOptions: d.Oauth2ProviderOptions, Resource: d.Resource, Registration: d.Registration,
	}, nil
}

// DeleteOauth2CredentialProvider removes a provider; its grants and authorization sessions end with it.
func (c *Control) DeleteOauth2CredentialProvider(_ context.Context, caller iam.Caller, in *wire.DeleteOauth2CredentialProviderInput) (*wire.DeleteOauth2CredentialProviderOutput, error) {
	arn := c.ARNs.OAuth2Provider(caller.Account, in.Name)
	if err := c.allow(caller, "DeleteOauth2CredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	return &wire.DeleteOauth2CredentialProviderOutput{}, notFound(c.Vault.DeleteOAuth2Provider(caller.Account, in.Name, oauth2ProviderResource(in.Name)), arn)
}

// vendorConfig is what a vendor's member of the union says: all of them are alike but for that of CustomOauth2.
type vendorConfig struct {
	clientID             string
	secret               *secret.String
	source               *wire.SecretSource
	reference            *wire.SecretReference
	tenant               *string
	issuer, auth, tokens *string // issuer and endpoints
}

// vendorMember finds the member of the union that belongs to a vendor, and what it says; nil when the union has another.
func vendorMember(vendor wire.CredentialProviderVendor, in *wire.Oauth2ProviderConfigInput) (member string, _ *vendorConfig) {
	plain := func(member string, v *wire.VendorOauth2ProviderConfigInput) (string, *vendorConfig) {
		if v == nil {
			return member, nil
		}
		return member, &vendorConfig{clientID: v.ClientId, secret: v.ClientSecret, source: v.ClientSecretSource, reference: v.ClientSecretConfig}
	}
	switch vendor {
	case wire.VendorGoogleOauth2:
		return plain("googleOauth2ProviderConfig", in.GoogleOauth2ProviderConfig)
	case wire.VendorGithubOauth2:
		return plain("githubOauth2ProviderConfig", in.GithubOauth2ProviderConfig)
	case wire.VendorSlackOauth2:
		return plain("slackOauth2ProviderConfig", in.SlackOauth2ProviderConfig)
	case wire.VendorSalesforceOauth2:
		return plain("salesforceOauth2ProviderConfig", in.SalesforceOauth2ProviderConfig)
	case wire.VendorAtlassianOauth2:
		return plain("atlassianOauth2ProviderConfig", in.AtlassianOauth2ProviderConfig)
	case wire.VendorLinkedinOauth2:
		return plain("linkedinOauth2ProviderConfig", in.LinkedinOauth2ProviderConfig)
	case wire.VendorMicrosoftOauth2:
		v := in.MicrosoftOauth2ProviderConfig
		if v == nil {
			return "microsoftOauth2ProviderConfig", nil
		}
		return "microsoftOauth2ProviderConfig", &vendorConfig{clientID: v.ClientId, secret: v.ClientSecret, source: v.ClientSecretSource, reference: v.ClientSecretConfig, tenant: v.TenantId}
	}
	v := in.IncludedOauth2ProviderConfig
	if v == nil {
		return "includedOauth2ProviderConfig", nil
	}
	return "includedOauth2ProviderConfig", &vendorConfig{
		clientID: v.ClientId, secret: v.ClientSecret, source: v.ClientSecretSource, reference: v.ClientSecretConfig,
		issuer: v.Issuer, auth: v.AuthorizationEndpoint, tokens: v.TokenEndpoint,
	}
}

// config reads the union member that belongs to the vendor, and refuses what this version cannot do.
func (c *Control) config(vendor wire.CredentialProviderVendor, in *wire.Oauth2ProviderConfigInput, host *string) (provider.Config, given, privateKeyJWT, error) {
	const union = "oauth2ProviderConfigInput"
	cfg := provider.Config{Vendor: vendor}
	refuse := func(member, format string, args ...any) (provider.Config, given, privateKeyJWT, error) {
		return cfg, given{}, privateKeyJWT{}, fault.Invalid(member, format, args...)
	}
	preset, isPreset := c.Resolver.Preset(vendor)
	if host != nil {
		if !preset.HostOverride {
			return refuse("vendorHost", "is for vendors with several hosts, not for %s", vendor)
		}
		cfg.Host = *host
	}
	if vendor == wire.VendorCustomOauth2 {
		if in.CustomOauth2ProviderConfig == nil {
			return refuse(union, "must have the member customOauth2ProviderConfig for vendor %s", vendor)
		}
		return c.customConfig(cfg, union+".customOauth2ProviderConfig", in.CustomOauth2ProviderConfig)
	}
	if !isPreset {
		return refuse("credentialProviderVendor", "%s is not supported by this server: use CustomOauth2 with the vendor's endpoints", vendor)
	}
	member, v := vendorMember(vendor, in)
	if v == nil {
		return refuse(union, "must have the member %s for vendor %s", member, vendor)
	}
	path := union + "." + member
	cfg.ClientID = v.clientID
	if v.tenant != nil {
		if !validTenant(*v.tenant) {
			return refuse(path+".tenantId", "%q must be the id or a domain name of a directory: letters, digits, dots and hyphens", *v.tenant)
		}
		cfg.Tenant = *v.tenant
	}
	if err := c.endpoints(&cfg, preset, path, v); err != nil {
		return cfg, given{}, privateKeyJWT{}, err
	}
	if cfg.Host != "" {
		if err := c.CheckURL(c.Resolver.Located(cfg).TokenEndpoint); err != nil {
			return refuse("vendorHost", "makes the token endpoint a URL that %v", err)
		}
	}
	s, err := giveSecret(path+".clientSecret", path+".clientSecret", v.secret, v.source, v.reference)
	return cfg, s, privateKeyJWT{}, err
}

// validTenant is true of what stays one segment of a path.
func validTenant(tenant string) bool {
	return strings.Trim(tenant, ".") != "" && strings.Trim(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == ""
}

// endpoints takes over the issuer and endpoints that a config gives: all of them where each customer has a server of its own, else what shall
// differ from the preset's.
func (c *Control) endpoints(cfg *provider.Config, preset provider.Vendor, path string, v *vendorConfig) error {
	m := provider.Metadata{Issuer: preset.Issuer, AuthorizationEndpoint: preset.AuthorizationEndpoint, TokenEndpoint: preset.TokenEndpoint}
	given := false
	for _, u := range []struct {
		member string
		given  *string
		to     *string
	}{{"issuer", v.issuer, &m.Issuer}, {"authorizationEndpoint", v.auth, &m.AuthorizationEndpoint}, {"tokenEndpoint", v.tokens, &m.TokenEndpoint}} {
		if u.given == nil || *u.given == "" {
			if preset.OfCustomer {
				return fault.Invalid(path+"."+u.member, "is required for %s, of which each customer has a server of its own", cfg.Vendor)
			}
			continue
		}
		if err := c.CheckURL(*u.given); err != nil {
			return fault.Invalid(path+"."+u.member, "%v", err)
		}
		*u.to, given = *u.given, true
	}
	if given {
		cfg.Metadata = &m
	}
	return nil
}

func (c *Control) customConfig(cfg provider.Config, path string, in *wire.CustomOauth2ProviderConfigInput) (provider.Config, given, privateKeyJWT, error) {
	refuse := func(member, format string, args ...any) (provider.Config, given, privateKeyJWT, error) {
		return cfg, given{}, privateKeyJWT{}, fault.Invalid(path+"."+member, format, args...)
	}
	switch {
	case in.PrivateKeyJwtConfig != nil && value(in.ClientAuthenticationMethod) != wire.MethodPrivateKeyJwt:
		return refuse("privateKeyJwtConfig", "is for clientAuthenticationMethod %s", wire.MethodPrivateKeyJwt)
	case in.PrivateEndpoint != nil:
		return refuse("privateEndpoint", "is a thing of AWS networks: to reach a private authorization server, start Credence with --allow-private-hosts HOST")
	case in.PrivateEndpointOverrides != nil:
		return refuse("privateEndpointOverrides", "is a thing of AWS networks: to reach a private authorization server, start Credence with --allow-private-hosts HOST")
	case value(in.ClientId) == "" && value(in.ClientAuthenticationMethod) != wire.MethodAwsIamIdTokenJwt: // whose tokens say by their subject who the client is
		return refuse("clientId", "is required")
	}
	cfg.ClientID, cfg.AuthMethod = value(in.ClientId), value(in.ClientAuthenticationMethod)
	var err error
	if cfg.OnBehalfOf, err = onBehalfOf(path+".onBehalfOfTokenExchangeConfig", in.OnBehalfOfTokenExchangeConfig); err != nil {
		return cfg, given{}, privateKeyJWT{}, err
	}
	d := in.OauthDiscovery
	if d.DiscoveryUrl != nil {
		if err := c.CheckURL(*d.DiscoveryUrl); err != nil {
			return refuse("oauthDiscovery.discoveryUrl", "%v", err)
		}
		cfg.DiscoveryURL = *d.DiscoveryUrl
	} else {
		m := d.AuthorizationServerMetadata
		const metadata = "oauthDiscovery.authorizationServerMetadata"
		for _, u := range []struct{ member, url string }{{"issuer", m.Issuer}, {"authorizationEndpoint", m.AuthorizationEndpoint}, {"tokenEndpoint", m.TokenEndpoint}} {
			if err := c.CheckURL(u.url); err != nil {
				return refuse(metadata+"."+u.member, "%v", err)
			}
		}
		if cfg.AuthMethod != "" && len(m.TokenEndpointAuthMethods) > 0 {
			return refuse("clientAuthenticationMethod", "cannot be given together with %s.tokenEndpointAuthMethods", metadata)
		}
		cfg.Metadata = &provider.Metadata{
			Issuer: m.Issuer, AuthorizationEndpoint: m.AuthorizationEndpoint, TokenEndpoint: m.TokenEndpoint,
			ResponseTypes: m.ResponseTypes, TokenEndpointAuthMethods: m.TokenEndpointAuthMethods,
		}
	}
	s, err := giveSecret(path+".clientSecret", path+".clientSecret", in.ClientSecret, in.ClientSecretSource, in.ClientSecretConfig)
	if err == nil && cfg.SecretKind() == provider.NoSecret && !s.isZero() {
		err = fault.Invalid(s.member(), "is not used with %s", cfg.AuthMethod)
	}
	return cfg, s, privateKeyJWT{path + ".privateKeyJwtConfig", value(in.PrivateKeyJwtConfig)}, err
}

func (c *Control) describeOAuth2Provider(ctx context.Context, p *vault.OAuth2Provider) (*wire.GetOauth2CredentialProviderOutput, error) {
	out := &wire.GetOauth2CredentialProviderOutput{
		Name: p.Row.Name, CredentialProviderArn: c.ARNs.OAuth2Provider(p.Row.Account, p.Row.Name), CredentialProviderVendor: p.Config.Vendor,
		CallbackUrl:                new(provider.CallbackURL(c.PublicURL, p.Row.CallbackID)),
		Oauth2ProviderConfigOutput: c.describeConfig(p.Config),
		CreatedTime:                wire.Time{Time: p.Row.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.Row.UpdatedAt}, Status: new(wire.StatusReady),
	}
	out.ClientSecretArn, out.ClientSecretJsonKey, out.ClientSecretSource = described(c.ARNs.Secret(p.Row.Account, "oauth2", p.Row.Name, p.Row.Incarnation), clientSecretJSONKey, p.Row.ClientSecretAt)
	out.Oauth2ProviderOptions = describeOptions(&p.Config)
	if p.Config.Resource != "" {
		out.Resource = &p.Config.Resource
	}
	if r := p.Config.Registration; r != nil {
		out.Registration = new(wire.RegistrationDynamic)
		if r.Method == provider.MetadataDocument {
			*out.Registration = wire.RegistrationMetadataDocument
		}
	}
	var err error
	if custom := out.Oauth2ProviderConfigOutput.CustomOauth2ProviderConfig; custom != nil {
		custom.PrivateKeyJwtConfig, err = c.describeAssertions(ctx, p)
	}
	return out, err
}

func (c *Control) describeConfig(cfg provider.Config) *wire.Oauth2ProviderConfigOutput {
	if cfg.Vendor == wire.VendorCustomOauth2 {
		out := &wire.CustomOauth2ProviderConfigOutput{OauthDiscovery: &wire.Oauth2Discovery{}, OnBehalfOfTokenExchangeConfig: describeOnBehalfOf(cfg.OnBehalfOf)}
		if cfg.ClientID != "" {
			out.ClientId = &cfg.ClientID
		}
		if cfg.AuthMethod != "" {
			out.ClientAuthenticationMethod = &cfg.AuthMethod
		}
		if m := cfg.Metadata; m != nil {
			out.OauthDiscovery.AuthorizationServerMetadata = &wire.Oauth2AuthorizationServerMetadata{
				Issuer: m.Issuer, AuthorizationEndpoint: m.AuthorizationEndpoint, TokenEndpoint: m.TokenEndpoint,
				ResponseTypes: m.ResponseTypes, TokenEndpointAuthMethods: m.TokenEndpointAuthMethods,
			}
		} else {
			out.OauthDiscovery.DiscoveryUrl = &cfg.DiscoveryURL
		}
		return &wire.Oauth2ProviderConfigOutput{CustomOauth2ProviderConfig: out}
	}
	v := c.Resolver.Located(cfg)
	out := &wire.VendorOauth2ProviderConfigOutput{OauthDiscovery: &wire.Oauth2Discovery{}, ClientId: &cfg.ClientID}
	if v.DiscoveryURL != "" {
		out.OauthDiscovery.DiscoveryUrl = &v.DiscoveryURL
	} else {
		// The API demands an issuer; a vendor that has none is named by its authorization endpoint.
		out.OauthDiscovery.AuthorizationServerMetadata = &wire.Oauth2AuthorizationServerMetadata{
			Issuer: cmp.Or(v.Issuer, origin(v.AuthorizationEndpoint)), AuthorizationEndpoint: v.AuthorizationEndpoint, TokenEndpoint: v.TokenEndpoint,
		}
	}
	switch cfg.Vendor {
	case wire.VendorGoogleOauth2:
		return &wire.Oauth2ProviderConfigOutput{GoogleOauth2ProviderConfig: out}
	case wire.VendorGithubOauth2:
		return &wire.Oauth2ProviderConfigOutput{GithubOauth2ProviderConfig: out}
	case wire.VendorSlackOauth2:
		return &wire.Oauth2ProviderConfigOutput{SlackOauth2ProviderConfig: out}
	case wire.VendorSalesforceOauth2:
		return &wire.Oauth2ProviderConfigOutput{SalesforceOauth2ProviderConfig: out}
	case wire.VendorMicrosoftOauth2:
		return &wire.Oauth2ProviderConfigOutput{MicrosoftOauth2ProviderConfig: out}
	case wire.VendorAtlassianOauth2:
		return &wire.Oauth2ProviderConfigOutput{AtlassianOauth2ProviderConfig: out}
	case wire.VendorLinkedinOauth2:
		return &wire.Oauth2ProviderConfigOutput{LinkedinOauth2ProviderConfig: out}
	}
	return &wire.Oauth2ProviderConfigOutput{IncludedOauth2ProviderConfig: out}
}

func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return u.Scheme + "://" + u.Host
}
