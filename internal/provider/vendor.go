package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"credence/internal/oauth"
	"credence/internal/wire"
)

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

// Traits is what is known of a provider's vendor without asking it: a preset, or the bare CustomOauth2. Its endpoints may be missing.
func (r *Resolver) Traits(c Config) Vendor {
	v, ok := r.presets[c.Vendor]
	if !ok {
		v = Vendor{Name: c.Vendor, AuthMethod: oauth.ClientSecretBasic}
	}
	v.AuthMethod = c.method(v.AuthMethod)
	return v
}

// Vendor is the vendor behind a provider, with its endpoints. For a discovery URL it may ask the vendor (kept at most an hour); an error says why that failed.
func (r *Resolver) Vendor(ctx context.Context, c Config) (Vendor, error) {
	v := r.Traits(c)
	if v.TokenEndpoint != "" {
		return v, nil
	}
	if c.Vendor != wire.VendorCustomOauth2 {
		return Vendor{}, fmt.Errorf("vendor %s is not known to this version", c.Vendor)
	}
	if c.Metadata != nil {
		v.Issuer, v.AuthorizationEndpoint, v.TokenEndpoint = c.Metadata.Issuer, c.Metadata.AuthorizationEndpoint, c.Metadata.TokenEndpoint
		return v, nil
	}
	m, err := r.discovery.Metadata(ctx, c.DiscoveryURL)
	if err != nil {
		return Vendor{}, err
	}
	v.Issuer, v.AuthorizationEndpoint, v.TokenEndpoint = m.Issuer, m.AuthorizationEndpoint, m.TokenEndpoint
	v.IssInResponse = m.AuthorizationResponseIssParameterSupported
	// Basic is the default, but of no use where the vendor lists its methods and basic is not among them.
	if c.AuthMethod == "" && len(m.TokenEndpointAuthMethods) > 0 && !slices.Contains(m.TokenEndpointAuthMethods, string(v.AuthMethod)) &&
		slices.Contains(m.TokenEndpointAuthMethods, string(oauth.ClientSecretPost)) {
		v.AuthMethod = oauth.ClientSecretPost
	}
	return v, nil
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
