package provider

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"credence/internal/oauth"
	"credence/internal/wire"
)

// Vendor is a far OAuth server, as data: a preset, or what a CustomOauth2 provider says of its own.
type Vendor struct {
	Name                  wire.CredentialProviderVendor
	Issuer                string // "" when the vendor has none
	AuthorizationEndpoint string
	TokenEndpoint         string
	DiscoveryURL          string   // shown to clients instead of the endpoints, where the vendor has one
	PushEndpoint          string   // where authorization requests are pushed (RFC 9126); "": the browser takes them along
	PushRequired          bool     // the vendor takes no others
	DPoP                  DPoP     // whether tokens are bound to a key (RFC 9449)
	SignedRequests        bool     // the vendor takes no authorization request that is not signed (RFC 9101)
	NoResources           bool     // the vendor refuses to be told resources (RFC 8707), so they are left out
	GrantTypes            []string // that the vendor's metadata offer, which need not be all
	IssInResponse         bool     // the vendor sends iss to the callback (RFC 9207)
	AuthMethod            oauth.AuthMethod

	OfCustomer    bool   // each customer has a server of its own: the provider's config says its issuer and endpoints
	HostOverride  bool   // the vendor also runs on other hosts, with the same paths: the provider's config may say which
	DefaultTenant string // in the place of tenantPlace in issuer and endpoints, when the provider's config has none

	ScopeSeparator         string        // in requests; "" is a space
	ResponseScopeSeparator string        // in answers; "" is a space
	AuthorizeParameters    url.Values    // always sent to the authorization endpoint, unless the request gives its own
	Header                 http.Header   // of requests to the token endpoint
	JSONRequest            bool          // the token endpoint takes JSON, not a form
	M2MGrantType           string        // "" is client_credentials
	Lifetime               time.Duration // of a token, when the answer has no expires_in; 0: it does not end
	// FrontChannelOnly are names of customParameters that change the consent but not the token, beside those that every vendor has.
	FrontChannelOnly []string
	// ScopeAliases are names under which the vendor grants what was asked by another.
	ScopeAliases map[string]string
	// RefreshTokenReusable: a refresh token stays good after use, so one that may have been spent can be tried again.
	RefreshTokenReusable bool
	// RefreshTokenGrace is how long a refresh token that was rotated is answered again with what followed it, so one that may have been spent can be
	// tried again for so long; 0: the vendor may take that for theft.
	RefreshTokenGrace time.Duration
	// RefreshTokenIdle is how long a refresh token may lie unused before the vendor forgets it; 0: no such time is known.
	RefreshTokenIdle time.Duration

	OnBehalfOf *OnBehalfOf // nil: the vendor has no way
	Revocation Revocation

	// For people, in Markdown: what to register at the vendor, what gives refresh tokens, and the vendor's public documentation.
	Register, Refresh, Source string
}

// DPoP says when token requests prove possession of a key, which the tokens are then bound to.
type DPoP string

// The values of DPoP.
const (
	DPoPNever    DPoP = ""
	DPoPOnDemand DPoP = "on_demand" // the vendor knows it, and may refuse a request without
	DPoPAlways   DPoP = "always"    // the provider's config, or a preset, says so
)

// tenantPlace stands in the issuer and endpoints of a preset where its tenant goes.
const tenantPlace = "{tenant}"

// Resolver turns configs into vendors.
type Resolver struct {
	presets   map[wire.CredentialProviderVendor]Vendor
	discovery *oauth.Discovery
}

// NewResolver makes a resolver over a table of presets.
func NewResolver(presets []Vendor, discovery *oauth.Discovery) *Resolver {
	r := &Resolver{presets: map[wire.CredentialProviderVendor]Vendor{}, discovery: discovery}
	for _, p := range presets {
		r.presets[p.Name] = p
	}
	return r
}

// Preset finds the preset of a vendor.
func (r *Resolver) Preset(name wire.CredentialProviderVendor) (Vendor, bool) {
	p, ok := r.presets[name]
	return p, ok
}

// Traits is how a provider's vendor behaves: a preset, or the bare CustomOauth2. Its endpoints are not those of the provider.
func (r *Resolver) Traits(c Config) Vendor {
	v, ok := r.presets[c.Vendor]
	if !ok {
		v = Vendor{Name: c.Vendor, AuthMethod: oauth.ClientSecretBasic, OnBehalfOf: c.OnBehalfOf}
	}
	v.AuthMethod = c.method(v.AuthMethod)
	if c.RefreshTokenGraceSeconds > 0 {
		v.RefreshTokenGrace = time.Duration(c.RefreshTokenGraceSeconds) * time.Second
	}
	if c.RefreshTokenIdleSeconds > 0 {
		v.RefreshTokenIdle = time.Duration(c.RefreshTokenIdleSeconds) * time.Second
	}
	if c.ResourceIndicators != nil {
		v.NoResources = !*c.ResourceIndicators
	}
	v.SignedRequests = c.SignedRequests
	if c.DPoPBound {
		v.DPoP = DPoPAlways
	}
	return v
}

// Located is the vendor behind a provider with its endpoints, as far as they are known without asking it: all but those of a discovery URL.
func (r *Resolver) Located(c Config) Vendor {
	v := r.Traits(c)
	if c.Metadata != nil {
		v.Issuer, v.AuthorizationEndpoint, v.TokenEndpoint, v.DiscoveryURL = c.Metadata.Issuer, c.Metadata.AuthorizationEndpoint, c.Metadata.TokenEndpoint, ""
		v.Revocation.Endpoint = v.Revocation.at(v.TokenEndpoint, c)
		return v
	}
	for _, u := range []*string{&v.Issuer, &v.AuthorizationEndpoint, &v.TokenEndpoint, &v.DiscoveryURL} {
		*u = strings.ReplaceAll(*u, tenantPlace, url.PathEscape(cmp.Or(c.Tenant, v.DefaultTenant)))
		if c.Host != "" {
			*u = withHost(*u, c.Host)
		}
	}
	v.Revocation.Endpoint = v.Revocation.at(v.TokenEndpoint, c)
	return v
}

func withHost(raw, host string) string {
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		return raw
	}
	u.Host = host
	return u.String()
}

// Vendor is the vendor behind a provider, with its endpoints. For a discovery URL it may ask the vendor (kept at most an hour); an error says why that failed.
func (r *Resolver) Vendor(ctx context.Context, c Config) (Vendor, error) {
	v := r.Located(c)
	if v.TokenEndpoint != "" {
		return v, nil
	}
	if c.Vendor != wire.VendorCustomOauth2 {
		return Vendor{}, fmt.Errorf("vendor %s is not known to this version", c.Vendor)
	}
	m, err := r.discovery.Metadata(ctx, c.DiscoveryURL)
	if err != nil {
		return Vendor{}, err
	}
	v.Issuer, v.AuthorizationEndpoint, v.TokenEndpoint = m.Issuer, m.AuthorizationEndpoint, m.TokenEndpoint
	if v.DPoP == DPoPNever && slices.Contains(m.DPoPSigningAlgs, "ES256") {
		v.DPoP = DPoPOnDemand
	}
	v.SignedRequests = v.SignedRequests || m.RequireSignedRequestObject
	v.PushEndpoint, v.PushRequired = m.PushedAuthorizationRequestEndpoint, m.RequirePushedAuthorizationRequests
	v.GrantTypes = m.GrantTypes
	v.IssInResponse, v.Revocation.Endpoint = m.AuthorizationResponseIssParameterSupported, m.RevocationEndpoint
	if v.AuthMethod == oauth.TLSClientAuth {
		alias := m.MTLSEndpointAliases
		v.TokenEndpoint, v.PushEndpoint = cmp.Or(alias.TokenEndpoint, v.TokenEndpoint), cmp.Or(alias.PushedAuthorizationRequestEndpoint, v.PushEndpoint)
		v.Revocation.Endpoint = cmp.Or(alias.RevocationEndpoint, v.Revocation.Endpoint)
	}
	// Basic is the default, but of no use where the vendor lists its methods and basic is not among them.
	if c.AuthMethod == "" && c.TokenEndpointAuthMethod == "" && c.Registration == nil && len(m.TokenEndpointAuthMethods) > 0 && !slices.Contains(m.TokenEndpointAuthMethods, string(v.AuthMethod)) &&
		slices.Contains(m.TokenEndpointAuthMethods, string(oauth.ClientSecretPost)) {
		v.AuthMethod = oauth.ClientSecretPost
	}
	return v, nil
}

// Has reports whether a URL is on a host of the vendor: that of its issuer, its authorization endpoint or its token endpoint. What authenticates a client there
// goes nowhere else.
func (v Vendor) Has(target string) bool {
	for _, own := range []string{v.Issuer, v.AuthorizationEndpoint, v.TokenEndpoint} {
		if own != "" && SameOrigin(own, target) {
			return true
		}
	}
	return false
}

// SameOrigin reports whether two URLs have the same scheme, host and port.
func SameOrigin(a, b string) bool { return origin(a) == origin(b) }

// Resources are those that the vendor is told of the ones that a request names.
func (v Vendor) Resources(named []string) []string {
	if v.NoResources {
		return nil
	}
	return named
}

// Metadata is the discovery document of the vendor behind a provider, whatever endpoints the provider uses; ok is false when none is known.
func (r *Resolver) Metadata(ctx context.Context, c Config) (m oauth.Metadata, ok bool, _ error) {
	at := cmp.Or(c.DiscoveryURL, r.Located(c).DiscoveryURL)
	if at == "" {
		return m, false, nil
	}
	m, err := r.discovery.Metadata(ctx, at)
	return m, err == nil, err
}

// frontChannelOnly are OpenID Connect's and common parameters that steer a consent but do not change the token it gives.
var frontChannelOnly = []string{"prompt", "login_hint", "domain_hint", "display", "ui_locales", "max_age", "id_token_hint"}

// FrontChannel reports whether a custom parameter steers only the consent.
func (v Vendor) FrontChannel(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(frontChannelOnly, name) || slices.Contains(v.FrontChannelOnly, name)
}

// CanonicalScope is the name under which a scope is compared.
func (v Vendor) CanonicalScope(scope string) string {
	if alias, ok := v.ScopeAliases[scope]; ok {
		return alias
	}
	return scope
}
