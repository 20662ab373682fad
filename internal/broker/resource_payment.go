package broker

import (
	"context"
	"errors"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/payment"
	"credence/internal/vault"
	"credence/internal/wire"
)

// GetResourcePaymentToken signs one request to a payment vendor. Any workload access token will do: keys belong to the provider, not to a user.
func (b *Broker) GetResourcePaymentToken(ctx context.Context, c iam.Caller, in *wire.GetResourcePaymentTokenInput) (*wire.GetResourcePaymentTokenOutput, error) {
	arn := b.ARNs.PaymentProvider(c.Account, in.ResourceCredentialProviderName)
	req := access.Request{Action: "bedrock-agentcore:GetResourcePaymentToken", Resources: []string{arn}}
	a, err := b.open(ctx, c, in.WorkloadIdentityToken)
	if err != nil {
		return nil, b.Gate.Refuse(c, req, err)
	}
	req.Resources = append(req.Resources, b.agentResources(c.Account, a.row.Name)...)
	b.concerns(&req, a, in.ResourceCredentialProviderName)
	if err := b.Gate.AllowIssue(ctx, c, req); err != nil {
		return nil, err
	}
	p, err := b.Vault.PaymentProvider(ctx, c.Account, in.ResourceCredentialProviderName)
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "Resource not found: %s", arn)
	}
	if err != nil {
		return nil, err
	}
	out := &wire.PaymentTokenResponseOutput{}
	coinbase, privy := in.PaymentTokenRequest.CoinbaseCdpTokenRequest, in.PaymentTokenRequest.StripePrivyTokenRequest
	switch {
	case p.Config.Vendor == wire.VendorCoinbaseCDP && coinbase != nil:
		out.CoinbaseCdpTokenResponse, err = b.coinbaseTokens(ctx, p, coinbase)
	case p.Config.Vendor == wire.VendorStripePrivy && privy != nil:
		out.StripePrivyTokenResponse, err = b.privyTokens(ctx, p, privy)
	case p.Config.Vendor == wire.VendorCoinbaseCDP:
		err = fault.Invalid("paymentTokenRequest", "must have coinbaseCdpTokenRequest, since the vendor of provider %s is %s", p.Row.Name, p.Config.Vendor)
	default:
		err = fault.Invalid("paymentTokenRequest", "must have stripePrivyTokenRequest, since the vendor of provider %s is %s", p.Row.Name, p.Config.Vendor)
	}
	if err != nil {
		return nil, err
	}
	return &wire.GetResourcePaymentTokenOutput{PaymentTokenResponse: out}, nil
}

func (b *Broker) coinbaseTokens(ctx context.Context, p *vault.PaymentProvider, in *wire.CoinbaseCdpTokenRequestInput) (*wire.CoinbaseCdpTokenResponseOutput, error) {
	const path = "paymentTokenRequest.coinbaseCdpTokenRequest"
	signer, err := b.Vault.Coinbase(ctx, p)
	if err != nil {
		return nil, err
	}
	r, now := payment.Request{Method: in.RequestMethod, Host: or(in.RequestHost, payment.CoinbaseHost), Path: in.RequestPath}, time.Now()
	out := &wire.CoinbaseCdpTokenResponseOutput{}
	if out.BearerToken, err = signer.Bearer(r, now); err != nil {
		return nil, err
	}
	if !or(in.IncludeWalletAuthToken, false) {
		return out, nil
	}
	if !signer.HasWallet() {
		return nil, fault.Invalid(path+".includeWalletAuthToken", "needs a wallet secret, and provider %s has none: update it with walletSecret", p.Row.Name)
	}
	if out.WalletAuthToken, err = signer.WalletAuth(r, or(in.RequestBody, ""), now); err != nil {
		return nil, bodyFault(path, err)
	}
	return out, nil
}

func (b *Broker) privyTokens(ctx context.Context, p *vault.PaymentProvider, in *wire.StripePrivyTokenRequestInput) (*wire.StripePrivyTokenResponseOutput, error) {
	signer, err := b.Vault.Privy(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &wire.StripePrivyTokenResponseOutput{AppId: p.Config.AppID, BasicAuthToken: signer.BasicAuth()}
	if !or(in.IncludeAuthorizationSignature, false) {
		return out, nil
	}
	// Privy takes signatures on what changes something; the API names no method, and what agents call are POSTs.
	r := payment.Request{Method: wire.HttpPost, Host: or(in.RequestHost, payment.PrivyHost), Path: in.RequestPath}
	signature, expiry, err := signer.Authorize(r, in.RequestBody.Reveal(), time.Now())
	if err != nil {
		return nil, bodyFault("paymentTokenRequest.stripePrivyTokenRequest", err)
	}
	out.AuthorizationSignature, out.RequestExpiry = signature, new(expiry.UnixMilli())
	return out, nil
}

// bodyFault says which member an error about a body is about. Others are ours.
func bodyFault(path string, err error) error {
	for _, known := range []error{payment.ErrNotJSON, payment.ErrNotObject, payment.ErrNumber} {
		if errors.Is(err, known) {
			return fault.Invalid(path+".requestBody", "%v", known)
		}
	}
	return err
}

// or is what p points to, or the default.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
