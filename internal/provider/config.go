// Package provider knows credential providers: what is stored of one, the vendors that are presets, and how both become the endpoints of a flow.
//
// It protects users from their tokens going to the wrong vendor: every preset's endpoints are written here, a discovery document counts only
// when it names the issuer it was asked for, and a change of issuer, endpoint host or client id starts a new generation.
package provider

import (
	"cmp"
	"net/url"
	"strings"

	"credence/internal/oauth"
	"credence/internal/wire"
)

// Config is what is stored of an OAuth2 credential provider, but for its secret.
type Config struct {
	Vendor       wire.CredentialProviderVendor `json:"vendor"`
	ClientID     string                        `json:"clientId,omitempty"`
	DiscoveryURL string                        `json:"discoveryUrl,omitempty"` // CustomOauth2: this or Metadata
	Tenant       string                        `json:"tenant,omitempty"`       // MicrosoftOauth2
	Host         string                        `json:"host,omitempty"`         // of a preset with HostOverride, instead of its own
	Metadata     *Metadata                     `json:"metadata,omitempty"`     // also of a preset, instead of its own
	// AuthMethod as the API said it; "" means the default.
	AuthMethod wire.ClientAuthenticationMethod `json:"clientAuthenticationMethod,omitempty"`
	// TokenEndpointAuthMethod is one that the API has no word for, instead of AuthMethod.
	TokenEndpointAuthMethod wire.TokenEndpointAuthMethod `json:"tokenEndpointAuthMethod,omitempty"`
	// SigningAlgorithm of client assertions, with PRIVATE_KEY_JWT.
	SigningAlgorithm wire.SigningAlgorithm `json:"signingAlgorithm,omitempty"`
	// AssertionAudience is whom client assertions and ID tokens are for; "": the token endpoint, or what the additional claims of PRIVATE_KEY_JWT say.
	AssertionAudience wire.ClientAssertionAudience `json:"assertionAudience,omitempty"`
	Confirm           wire.Confirm                 `json:"confirm,omitempty"`
	ScopeMatch        wire.ScopeMatch              `json:"scopeMatch,omitempty"`
	DPoPBound         bool                         `json:"dpopBound,omitempty"` // tokens are bound to keys (RFC 9449)
	// ResourceIndicators says whether the vendor is told resources (RFC 8707); nil: as the vendor's preset has it.
	ResourceIndicators *bool       `json:"resourceIndicators,omitempty"`
	SignedRequests     bool        `json:"signedRequests,omitempty"` // authorization requests are signed (RFC 9101)
	OnBehalfOf         *OnBehalfOf `json:"onBehalfOf,omitempty"`     // CustomOauth2
	// Resource is that of requests that name none themselves (RFC 8707); "": they have none.
	Resource string `json:"resource,omitempty"`
	// Registration is nil for a client that was entered by hand.
	Registration *Registration `json:"registration,omitempty"`
	// DeviceAuthorization says that consents may be asked for by RFC 8628.
	DeviceAuthorization bool `json:"deviceAuthorization,omitempty"`
	// RefreshTokenGraceSeconds is Vendor.RefreshTokenGrace of this provider; 0: the preset's.
	RefreshTokenGraceSeconds int32 `json:"refreshTokenGraceSeconds,omitempty"`
	// RefreshTokenIdleSeconds is Vendor.RefreshTokenIdle of this provider; 0: the preset's.
	RefreshTokenIdleSeconds int32 `json:"refreshTokenIdleSeconds,omitempty"`
	// MinimumValiditySeconds is how long tokens must live on when they are handed out, unless a request says otherwise.
	MinimumValiditySeconds int32 `json:"minimumValiditySeconds,omitempty"`
}

// Metadata are explicit endpoints (API shape Oauth2AuthorizationServerMetadata).
type Metadata struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorizationEndpoint"`
	TokenEndpoint            string   `json:"tokenEndpoint"`
	ResponseTypes            []string `json:"responseTypes,omitempty"`
	TokenEndpointAuthMethods []string `json:"tokenEndpointAuthMethods,omitempty"`
}

// SameGeneration reports whether secrets, codes and tokens made under c may be used under next: nothing changed of the issuer, of an
// endpoint's scheme, host or port, and of the client id. A discovery URL stands for its issuer.
func (c Config) SameGeneration(next Config) bool {
	if c.Vendor != next.Vendor || c.ClientID != next.ClientID || c.DiscoveryURL != next.DiscoveryURL || c.Tenant != next.Tenant || c.Host != next.Host || (c.Metadata == nil) != (next.Metadata == nil) {
		return false
	}
	if c.Metadata == nil {
		return true
	}
	a, b := *c.Metadata, *next.Metadata
	return a.Issuer == b.Issuer && origin(a.AuthorizationEndpoint) == origin(b.AuthorizationEndpoint) && origin(a.TokenEndpoint) == origin(b.TokenEndpoint)
}

// SameClient reports whether two providers are, as far as can be told, one client at one vendor.
func (c Config) SameClient(other Config) bool {
	if c.Vendor != other.Vendor || c.ClientID != other.ClientID || c.DiscoveryURL != other.DiscoveryURL || c.Host != other.Host || (c.Metadata == nil) != (other.Metadata == nil) {
		return false
	}
	return c.Metadata == nil || origin(c.Metadata.TokenEndpoint) == origin(other.Metadata.TokenEndpoint)
}

func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	port := cmp.Or(u.Port(), map[string]string{"https": "443", "http": "80"}[u.Scheme])
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// method is how the client authenticates: as it was registered, what the API said, else what explicit metadata lists first, else otherwise.
func (c Config) method(otherwise oauth.AuthMethod) oauth.AuthMethod {
	if c.Registration != nil {
		return c.Registration.AuthMethod
	}
	switch c.AuthMethod {
	case wire.MethodClientSecretBasic:
		return oauth.ClientSecretBasic
	case wire.MethodClientSecretPost:
		return oauth.ClientSecretPost
	case wire.MethodPrivateKeyJwt, wire.MethodAwsIamIdTokenJwt: // who signs is another matter
		return oauth.PrivateKeyJWT
	}
	if c.TokenEndpointAuthMethod != "" {
		return oauth.AuthMethod(c.TokenEndpointAuthMethod)
	}
	if c.Metadata != nil && len(c.Metadata.TokenEndpointAuthMethods) > 0 {
		return oauth.AuthMethod(c.Metadata.TokenEndpointAuthMethods[0])
	}
	return otherwise
}

// Signs reports whether anything is signed for the vendor that says whom it is for.
func (c Config) Signs() bool {
	return c.AuthMethod == wire.MethodPrivateKeyJwt || c.AuthMethod == wire.MethodAwsIamIdTokenJwt || c.TokenEndpointAuthMethod == wire.AuthMethodClientSecretJWT ||
		c.OnBehalfOf != nil && c.OnBehalfOf.Actor == wire.ActorAwsIamIdTokenJwt
}

// SecretKind is what the client secret of a provider is. One of a kind is never used as another.
type SecretKind string

// The kinds.
const (
	Password    SecretKind = "password"    // it is sent
	HMACKey     SecretKind = "hmac_key"    // it signs assertions
	Certificate SecretKind = "certificate" // a certificate that is shown, and its private key
	NoSecret    SecretKind = "none"
)

// SecretKind is the kind of the client's secret.
func (c Config) SecretKind() SecretKind {
	switch {
	case c.Registration != nil && c.Registration.AuthMethod == oauth.None:
		return NoSecret
	case c.Registration != nil:
		return Password
	case c.TokenEndpointAuthMethod == wire.AuthMethodClientSecretJWT:
		return HMACKey
	case c.TokenEndpointAuthMethod == wire.AuthMethodTLSClientAuth:
		return Certificate
	case c.TokenEndpointAuthMethod == wire.AuthMethodNone, c.AuthMethod == wire.MethodPrivateKeyJwt, c.AuthMethod == wire.MethodAwsIamIdTokenJwt:
		return NoSecret
	}
	return Password
}

// CallbackURL is the redirect URI of a provider, to be registered at its vendor.
func CallbackURL(publicURL, callbackID string) string {
	return publicURL + "/identities/oauth2/callback/" + callbackID
}
