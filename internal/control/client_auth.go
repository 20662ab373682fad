package control

import (
	"cmp"
	"time"

	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/wire"
)

const authMethodMember = "tokenEndpointAuthMethod"

// authMethod takes over a method that the API has no word for. What a request leaves out stays as it was in current, unless it says another; current is nil for a
// provider that is created.
func authMethod(cfg *provider.Config, method *wire.TokenEndpointAuthMethod, current *provider.Config) error {
	listed := cfg.Metadata != nil && len(cfg.Metadata.TokenEndpointAuthMethods) > 0
	switch {
	case method == nil && current != nil && cfg.AuthMethod == "" && !listed:
		cfg.TokenEndpointAuthMethod = current.TokenEndpointAuthMethod
	case method == nil:
	case cfg.Vendor != wire.VendorCustomOauth2:
		return fault.Invalid(authMethodMember, "is for %s: %s has methods of its own", wire.VendorCustomOauth2, cfg.Vendor)
	case cfg.AuthMethod != "":
		return fault.Invalid(authMethodMember, "%s cannot be given together with clientAuthenticationMethod %s", *method, cfg.AuthMethod)
	case listed:
		return fault.Invalid(authMethodMember, "%s cannot be given together with tokenEndpointAuthMethods %q", *method, cfg.Metadata.TokenEndpointAuthMethods)
	default:
		cfg.TokenEndpointAuthMethod = *method
	}
	return nil
}

// minHMACKey is the length in bytes of a key of HS256 (RFC 7518 section 3.2).
const minHMACKey = 32

// checkClientSecret refuses a secret that the client's method cannot use. value is what a given secret is, wherever it is kept.
func checkClientSecret(cfg provider.Config, given given, value secret.String) error {
	if given.isZero() {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return fault.Invalid(given.member(), "with "+authMethodMember+" "+string(cfg.TokenEndpointAuthMethod)+" "+format, args...)
	}
	switch cfg.SecretKind() {
	case provider.NoSecret:
		if cfg.TokenEndpointAuthMethod == wire.AuthMethodNone {
			return refuse("there is no secret: leave it out, or choose another method")
		}
	case provider.HMACKey:
		if value.Len() < minHMACKey {
			return refuse("must have %d bytes or more, and has %d: it signs by HS256", minHMACKey, value.Len())
		}
	case provider.Certificate:
		cert, err := oauth.ParseClientCertificate(value)
		switch {
		case err != nil:
			return refuse("it %v", err)
		case time.Now().After(cert.Leaf.NotAfter):
			return refuse("it has a certificate that ended at %s", cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// signedRequests takes over whether authorization requests are signed, which takes the key of a client that signs.
func signedRequests(cfg *provider.Config, required *bool, current *provider.Config) error {
	if required != nil {
		cfg.SignedRequests = *required
	} else if current != nil {
		cfg.SignedRequests = current.SignedRequests
	}
	if cfg.SignedRequests && cfg.AuthMethod != wire.MethodPrivateKeyJwt {
		return fault.Invalid("requireSignedRequestObject", "needs clientAuthenticationMethod %s, whose key signs the requests", wire.MethodPrivateKeyJwt)
	}
	return nil
}

const assertionAudienceMember = "clientAssertionAudience"

// assertionAudience takes over whom client assertions and ID tokens are for. What is left out stays while anything is signed.
func assertionAudience(cfg *provider.Config, audience *wire.ClientAssertionAudience, current *provider.Config) error {
	switch {
	case audience != nil && !cfg.Signs():
		return fault.Invalid(assertionAudienceMember, "%s needs clientAuthenticationMethod %s or %s, %s %s or actorTokenContent %s: nothing is signed with %s", *audience, wire.MethodPrivateKeyJwt,
			wire.MethodAwsIamIdTokenJwt, authMethodMember, wire.AuthMethodClientSecretJWT, wire.ActorAwsIamIdTokenJwt, cmp.Or(string(cfg.AuthMethod), string(cfg.TokenEndpointAuthMethod), string(cfg.Vendor)))
	case audience != nil:
		cfg.AssertionAudience = *audience
	case current != nil && cfg.Signs():
		cfg.AssertionAudience = current.AssertionAudience
	}
	return nil
}
