// Package admin is the plane of the installation's own matters. Its operations are extensions of the API.
//
// It protects who may come in: which issuers' users an account accepts; what everything rests on: the keys of an account; and who is told what becomes of its grants.
package admin

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/webhook"
	"credence/internal/wire"
	"credence/internal/witness"
)

// Config is what the plane is made of.
type Config struct {
	Vault    *vault.Vault
	Store    *store.Store // for rows without secrets
	Gate     *access.Gate
	ARNs     iam.ARNs
	CheckURL func(string) error // refuses a URL that Credence would not call
	// PublicURL, without a slash at the end, is where accounts are issuers.
	PublicURL string

	WebIdentities WebIdentities // of those who assume roles

	HTTP       webhook.Doer // to webhooks
	Deliveries Deliveries
	AuditLogs  AuditLogs
	Sinks      []witness.Sink // where checkpoints go
	// AuditRetention is how long entries of audit logs are kept; 0 for ever.
	AuditRetention time.Duration
	Metrics        *telemetry.Metrics
	Log            *slog.Logger
}

// Admin is the plane.
type Admin struct{ Config }

// New makes the plane.
func New(cfg Config) *Admin { return &Admin{cfg} }

// allowIssuer is the first call of every operation on trusted issuers; "" means all of them.
func (a *Admin) allowIssuer(c iam.Caller, operation, issuer string) error {
	id := "*"
	if issuer != "" {
		id = url.PathEscape(issuer)
	}
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{a.ARNs.Extension(c.Account, "trusted-issuer", id)}})
}

// PutTrustedIssuer has the account accept user JWTs of an issuer, when they name one of the audiences. The issuer is compared bytewise with the claim iss.
func (a *Admin) PutTrustedIssuer(_ context.Context, c iam.Caller, in *wire.PutTrustedIssuerInput) (*wire.PutTrustedIssuerOutput, error) {
	if err := a.allowIssuer(c, "PutTrustedIssuer", in.Issuer); err != nil {
		return nil, err
	}
	if err := a.CheckURL(in.Issuer); err != nil {
		return nil, fault.Invalid("issuer", "%v", err)
	}
	i := store.TrustedIssuer{Account: c.Account, Issuer: in.Issuer, Audiences: in.Audiences, CreatedAt: time.Now()}
	i, err := a.Store.PutTrustedIssuer(i)
	if err != nil {
		return nil, err
	}
	return (*wire.PutTrustedIssuerOutput)(new(describe(i))), nil
}

func describe(i store.TrustedIssuer) wire.TrustedIssuer {
	return wire.TrustedIssuer{Issuer: i.Issuer, Audiences: i.Audiences, CreatedTime: wire.Time{Time: i.CreatedAt}}
}

// ListTrustedIssuers lists the issuers whose user JWTs the account accepts.
func (a *Admin) ListTrustedIssuers(ctx context.Context, c iam.Caller, _ *wire.ListTrustedIssuersInput) (*wire.ListTrustedIssuersOutput, error) {
	if err := a.allowIssuer(c, "ListTrustedIssuers", ""); err != nil {
		return nil, err
	}
	rows, err := a.Store.TrustedIssuers(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListTrustedIssuersOutput{TrustedIssuers: make([]wire.TrustedIssuer, len(rows))}
	for i, r := range rows {
		out.TrustedIssuers[i] = describe(r)
	}
	return out, nil
}

// DeleteTrustedIssuer has the account accept no more user JWTs of an issuer.
func (a *Admin) DeleteTrustedIssuer(_ context.Context, c iam.Caller, in *wire.DeleteTrustedIssuerInput) (*wire.DeleteTrustedIssuerOutput, error) {
	if err := a.allowIssuer(c, "DeleteTrustedIssuer", in.Issuer); err != nil {
		return nil, err
	}
	err := a.Store.DeleteTrustedIssuer(c.Account, in.Issuer)
	if err == fault.NotFound {
		return nil, fault.New(fault.NotFound, "The issuer %q is not trusted in account %s", in.Issuer, c.Account)
	}
	return &wire.DeleteTrustedIssuerOutput{}, err
}
