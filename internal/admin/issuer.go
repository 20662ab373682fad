package admin

import (
	"context"

	"github.com/go-jose/go-jose/v4"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/vault"
	"credence/internal/wire"
)

// IssuerMetadata is the discovery document of an account as an issuer of ID tokens (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2), as far as
// somebody needs it who verifies them: nobody signs in here.
type IssuerMetadata struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Claims        []string `json:"claims_supported"`
}

// IssuerMetadata is public, so it asks nobody's policies, like the other documents below; fault.NotFound when there is no such account.
func (a *Admin) IssuerMetadata(ctx context.Context, account string) (*IssuerMetadata, error) {
	if err := a.Vault.AccountExists(ctx, account); err != nil {
		return nil, err
	}
	issuer := vault.IssuerURL(a.PublicURL, account)
	return &IssuerMetadata{
		Issuer: issuer, JWKSURI: issuer + "/jwks", ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"},
		Algorithms: wire.WebIdentityTokenAlgorithm("").Values(), Claims: []string{"iss", "sub", "aud", "iat", "exp", "jti", "https://sts.amazonaws.com/"},
	}, nil
}

// IssuerKeySet is the JWK Set by which ID tokens of an account are verified; fault.NotFound when there is no such account.
func (a *Admin) IssuerKeySet(ctx context.Context, account string) (*jose.JSONWebKeySet, error) {
	keys, err := a.Vault.IssuerKeys(ctx, account)
	if err != nil {
		return nil, err
	}
	set := &jose.JSONWebKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public)
	}
	return set, nil
}

// ClientKeySet is the JWK Set of one key that signs client assertions, for vendors that take a URL (jwks_uri) in place of a key; fault.NotFound when the key
// signs nothing.
func (a *Admin) ClientKeySet(ctx context.Context, account, keyID string) (*jose.JSONWebKeySet, error) {
	public, err := a.Vault.PublishedKey(ctx, account, keyID)
	if err != nil {
		return nil, err
	}
	return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: keyID, Use: "sig"}}}, nil
}

// allowIssuerKeys is the first call of every operation on the account as an issuer.
func (a *Admin) allowIssuerKeys(c iam.Caller, operation string) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{a.ARNs.Extension(c.Account, "issuer", "default")}})
}

// DescribeIssuer tells what whoever shall trust the account's ID tokens has to know, and its keys.
func (a *Admin) DescribeIssuer(ctx context.Context, c iam.Caller, _ *wire.DescribeIssuerInput) (*wire.DescribeIssuerOutput, error) {
	if err := a.allowIssuerKeys(c, "DescribeIssuer"); err != nil {
		return nil, err
	}
	return a.describeIssuer(ctx, c.Account)
}

func (a *Admin) describeIssuer(ctx context.Context, account string) (*wire.DescribeIssuerOutput, error) {
	keys, err := a.Vault.IssuerKeys(ctx, account)
	if err != nil {
		return nil, err
	}
	issuer := vault.IssuerURL(a.PublicURL, account)
	out := &wire.DescribeIssuerOutput{Issuer: issuer, JwksUri: issuer + "/jwks", Keys: make([]wire.IssuerKey, len(keys))}
	for i, k := range keys {
		out.Keys[i] = wire.IssuerKey{
			KeyId: k.Public.KeyID, SigningAlgorithm: wire.WebIdentityTokenAlgorithm(k.Public.Algorithm), KeyState: k.State,
			CreationDate: wire.Time{Time: k.CreatedAt}, SigningDate: wire.Time{Time: k.SignsAt},
		}
		if !k.EndsAt.IsZero() {
			out.Keys[i].RemovalDate = &wire.Time{Time: k.EndsAt}
		}
	}
	return out, nil
}

// RotateIssuerKeys gives the account's issuer new keys before their time.
func (a *Admin) RotateIssuerKeys(ctx context.Context, c iam.Caller, in *wire.RotateIssuerKeysInput) (*wire.RotateIssuerKeysOutput, error) {
	if err := a.allowIssuerKeys(c, "RotateIssuerKeys"); err != nil {
		return nil, err
	}
	if err := a.Vault.RotateIssuerKeys(ctx, c.Account, or(in.Withdraw, false)); err != nil {
		return nil, err
	}
	out, err := a.describeIssuer(ctx, c.Account)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the keys are rotated, but cannot be shown")
	}
	return (*wire.RotateIssuerKeysOutput)(out), nil
}
