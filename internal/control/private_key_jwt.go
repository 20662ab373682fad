package control

import (
	"context"
	"errors"

	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/secret"
	"credence/internal/vault"
	"credence/internal/wire"
)

// privateKeyJWT is what a request says of client assertions.
type privateKeyJWT struct {
	path string // of the member
	in   wire.PrivateKeyJwtConfig
}

// assertions puts into p what a provider needs to sign client assertions, and takes away what another method has no use for. What the request leaves out
// stays as it is in current; a provider that is created has none. The key must be one of the account that signs for this client.
func (c *Control) assertions(ctx context.Context, j privateKeyJWT, current, p *vault.OAuth2Provider) error {
	if p.Config.SecretKind() == provider.NoSecret {
		p.Row.ClientSecret = nil
	}
	if p.Config.AuthMethod != wire.MethodPrivateKeyJwt {
		p.Row.AssertionKey, p.Row.AssertionClaims = "", nil
		return nil
	}
	algorithm, keyID, claims := wire.SigningAlgorithm(""), "", vault.AssertionClaims{}
	if current != nil {
		var err error
		algorithm, keyID = current.Config.SigningAlgorithm, current.Row.AssertionKey
		if claims, err = c.Vault.AssertionClaims(ctx, current.Row); err != nil {
			return err
		}
	}
	keyMember := j.path + ".privateKeySource.kmsKeySource.kmsKeyArn"
	if j.in.PrivateKeySource != nil {
		var ok bool
		arn := j.in.PrivateKeySource.KmsKeySource.KmsKeyArn
		if keyID, ok = c.ARNs.KeyID(p.Row.Account, arn); !ok {
			return fault.Invalid(keyMember, "key %s is not registered", keyIDOf(arn))
		}
	}
	if j.in.SigningAlgorithm != nil {
		algorithm = *j.in.SigningAlgorithm
	}
	if j.in.AdditionalHeaderClaims != nil {
		claims.Header = revealed(j.in.AdditionalHeaderClaims)
	}
	if j.in.AdditionalPayloadClaims != nil {
		claims.Payload = revealed(j.in.AdditionalPayloadClaims)
	}
	switch {
	case keyID == "":
		return fault.Invalid(j.path+".privateKeySource", "is required with %s", wire.MethodPrivateKeyJwt)
	case algorithm == "":
		return fault.Invalid(j.path+".signingAlgorithm", "is required with %s", wire.MethodPrivateKeyJwt)
	}
	if err := c.checkClaims(j.path, claims, p.Config); err != nil {
		return err
	}
	if err := c.Vault.CheckAssertionKey(ctx, p.Row.Account, keyID, p.Config.ClientID, algorithm); err != nil {
		if f, ok := errors.AsType[*fault.Fault](err); ok && f.Kind == fault.Validation {
			return fault.Invalid(keyMember, "%s", f.Msg)
		}
		return err
	}
	p.Config.SigningAlgorithm, p.Row.AssertionKey = algorithm, keyID
	return c.Vault.SealAssertionClaims(ctx, &p.Row, claims)
}

func revealed(m map[string]secret.String) map[string]string {
	out := make(map[string]string, len(m))
	for name, value := range m {
		out[name] = value.Reveal()
	}
	return out
}

// checkClaims refuses additional claims that an assertion has of its own. aud may be chosen: the vendor's token endpoint or its issuer. Those of a discovery
// document are known only when something is signed.
func (c *Control) checkClaims(path string, claims vault.AssertionClaims, cfg provider.Config) error {
	for name := range claims.Header {
		if vault.ReservedClaim(name) {
			return fault.Invalid(path+".additionalHeaderClaims", "must not have %q, which the assertion has of its own", name)
		}
	}
	for name, value := range claims.Payload {
		if name != "aud" {
			if vault.ReservedClaim(name) {
				return fault.Invalid(path+".additionalPayloadClaims", "must not have %q, which the assertion has of its own", name)
			}
			continue
		}
		if cfg.AssertionAudience == wire.AudienceIssuer {
			return fault.Invalid(path+".additionalPayloadClaims", `must not have "aud" together with %s %s`, assertionAudienceMember, cfg.AssertionAudience)
		}
		if v := c.Resolver.Located(cfg); v.TokenEndpoint != "" && value != v.TokenEndpoint && value != v.Issuer {
			return fault.Invalid(path+".additionalPayloadClaims", `"aud" must be the token endpoint or the issuer of the provider: %q or %q`, v.TokenEndpoint, v.Issuer)
		}
	}
	return nil
}

// describeAssertions tells what a provider has for client assertions; nil when its client authenticates otherwise.
func (c *Control) describeAssertions(ctx context.Context, p *vault.OAuth2Provider) (*wire.PrivateKeyJwtConfigOutput, error) {
	if p.Config.AuthMethod != wire.MethodPrivateKeyJwt {
		return nil, nil
	}
	claims, err := c.Vault.AssertionClaims(ctx, p.Row)
	if err != nil {
		return nil, err
	}
	return &wire.PrivateKeyJwtConfigOutput{
		PrivateKeySource: &wire.PrivateKeySource{KmsKeySource: &wire.KmsKeySourceType{KmsKeyArn: c.ARNs.Key(p.Row.Account, p.Row.AssertionKey)}},
		SigningAlgorithm: &p.Config.SigningAlgorithm, AdditionalHeaderClaims: claims.Header, AdditionalPayloadClaims: claims.Payload,
	}, nil
}
