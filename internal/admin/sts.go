package admin

import (
	"context"
	"regexp"
	"time"

	"credence/internal/access"
	"credence/internal/iam"
	"credence/internal/vault"
	"credence/internal/wire"
)

// GetCallerIdentity tells whoever signed the request who that is. It needs no right, and no policy can deny it, as at AWS: a caller knows already what it tells.
func (a *Admin) GetCallerIdentity(_ context.Context, c iam.Caller, _ *wire.GetCallerIdentityInput) (*wire.GetCallerIdentityOutput, error) {
	if err := a.Gate.AllowEveryone(c, access.Request{Action: "sts:GetCallerIdentity", Resources: []string{c.ARN}}); err != nil {
		return nil, err
	}
	return &wire.GetCallerIdentityOutput{Arn: c.ARN, Account: c.Account, UserId: c.UserID}, nil
}

// sessionTag is what keys and values of tags are made of (AWS STS API Reference, data type Tag).
var sessionTag = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// GetWebIdentityToken makes an ID token of the account's issuer that says who the caller is, for the services that it names as audience.
func (a *Admin) GetWebIdentityToken(ctx context.Context, c iam.Caller, in *wire.GetWebIdentityTokenInput) (*wire.GetWebIdentityTokenOutput, error) {
	if err := a.Gate.AllowIssue(ctx, c, access.Request{Action: "sts:GetWebIdentityToken", Resources: []string{c.ARN}}); err != nil {
		return nil, err
	}
	tags, err := tagsOfRequest(in.Tags)
	if err != nil {
		return nil, err
	}
	token, expires, err := a.Vault.SignIDToken(ctx, vault.IDToken{
		Account: c.Account, Issuer: vault.IssuerURL(a.PublicURL, c.Account), Subject: c.ARN, Audience: in.Audience, Algorithm: in.SigningAlgorithm,
		Life: time.Duration(or(in.DurationSeconds, 300)) * time.Second, Region: a.ARNs.Region, Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	return &wire.GetWebIdentityTokenOutput{WebIdentityToken: token.Reveal(), Expiration: wire.Time{Time: expires.UTC()}}, nil
}
