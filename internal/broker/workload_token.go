package broker

import (
	"context"
	"errors"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/wire"
	"credence/internal/workload"
)

// GetWorkloadAccessToken mints a token for a workload that acts for itself.
func (b *Broker) GetWorkloadAccessToken(ctx context.Context, c iam.Caller, in *wire.GetWorkloadAccessTokenInput) (*wire.GetWorkloadAccessTokenOutput, error) {
	wat, err := b.mint(ctx, c, "bedrock-agentcore:GetWorkloadAccessToken", in.WorkloadName, workload.User{}, secret.String{})
	return &wire.GetWorkloadAccessTokenOutput{WorkloadAccessToken: wat.Reveal()}, err
}

// GetWorkloadAccessTokenForUserId mints a token for a workload that acts for a user whom the caller names; nobody verifies the name.
func (b *Broker) GetWorkloadAccessTokenForUserId(ctx context.Context, c iam.Caller, in *wire.GetWorkloadAccessTokenForUserIdInput) (*wire.GetWorkloadAccessTokenForUserIdOutput, error) {
	wat, err := b.mint(ctx, c, "bedrock-agentcore:GetWorkloadAccessTokenForUserId", in.WorkloadName, workload.User{Kind: workload.KindID, ID: in.UserId}, secret.String{})
	return &wire.GetWorkloadAccessTokenForUserIdOutput{WorkloadAccessToken: wat.Reveal()}, err
}

// GetWorkloadAccessTokenForJWT mints a token for a workload that acts for the user of a verified JWT.
func (b *Broker) GetWorkloadAccessTokenForJWT(ctx context.Context, c iam.Caller, in *wire.GetWorkloadAccessTokenForJWTInput) (*wire.GetWorkloadAccessTokenForJWTOutput, error) {
	const action = "bedrock-agentcore:GetWorkloadAccessTokenForJWT"
	user, err := b.Users.Verify(ctx, c.Account, in.UserToken, time.Now())
	if err != nil {
		return nil, b.Gate.Refuse(c, b.mintRequest(c, action, in.WorkloadName, workload.User{}, secret.String{}), err)
	}
	c.Span.Set("issuer", user.Issuer)
	c.Span.Set("user_sub", workload.Claims(in.UserToken).Subject)
	wat, err := b.mint(ctx, c, action, in.WorkloadName, user, in.UserToken)
	return &wire.GetWorkloadAccessTokenForJWTOutput{WorkloadAccessToken: wat.Reveal()}, err
}

func (b *Broker) mintRequest(c iam.Caller, action, name string, user workload.User, jwt secret.String) access.Request {
	req := access.Request{Action: action, Workload: name, User: user.String(), UserKey: user.Key(), Resources: []string{b.ARNs.Directory(c.Account), b.ARNs.Workload(c.Account, name)}}
	actsFor(&req, user, jwt)
	return req
}

func (b *Broker) mint(ctx context.Context, c iam.Caller, action, name string, user workload.User, jwt secret.String) (secret.String, error) {
	if err := b.Gate.AllowIssue(ctx, c, b.mintRequest(c, action, name, user, jwt)); err != nil {
		return secret.String{}, err
	}
	w, err := b.Vault.Workload(ctx, c.Account, name)
	if errors.Is(err, fault.NotFound) {
		return secret.String{}, fault.New(fault.NotFound, "Resource not found: %s", b.ARNs.Workload(c.Account, name))
	}
	if err != nil {
		return secret.String{}, err
	}
	return workload.Mint(ctx, b.Vault, c.Account, workload.Token{Workload: w.Name, Incarnation: w.Incarnation, User: user, JWT: jwt, Minter: c.ARN})
}
