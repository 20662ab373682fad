// Package admin is the plane of the installation's own matters. Its operations are extensions of the API.
//
// It protects who may come in: which issuers' users an account accepts, and who sits at its console; what everything rests on: the keys of an account; and who is told what becomes of its grants.
package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
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
	"credence/internal/workload"
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

	// ConsoleURL, without a slash at the end, is where browsers reach the console.
	ConsoleURL string
	Metadata   Metadata // of issuers at which people sign in
	Codes      Codes
	IDTokens   IDTokens

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

// PutTrustedIssuer has the account accept user JWTs of an issuer, when they name one of the audiences. The issuer is compared bytewise with the claim iss. Other claims
// make other users: what is stored for those that there are stays theirs.
func (a *Admin) PutTrustedIssuer(ctx context.Context, c iam.Caller, in *wire.PutTrustedIssuerInput) (*wire.PutTrustedIssuerOutput, error) {
	if err := a.allowIssuer(c, "PutTrustedIssuer", in.Issuer); err != nil {
		return nil, err
	}
	if err := a.CheckURL(in.Issuer); err != nil {
		return nil, fault.Invalid("issuer", "%v", err)
	}
	if len(in.UserKeyClaims) > 0 {
		if err := workload.CheckUserKeyClaims(in.UserKeyClaims); err != nil {
			return nil, fault.Invalid("userKeyClaims", "%v", err)
		}
	}
	if err := a.frozenUsersStayFrozen(ctx, c.Account, in.Issuer, in.UserKeyClaims); err != nil {
		return nil, err
	}
	i := store.TrustedIssuer{Account: c.Account, Issuer: in.Issuer, Audiences: in.Audiences, UserKeyClaims: in.UserKeyClaims, CreatedAt: time.Now()}
	i, err := a.Store.PutTrustedIssuer(i)
	if err != nil {
		return nil, err
	}
	return (*wire.PutTrustedIssuerOutput)(new(describe(i))), nil
}

// frozenUsersStayFrozen refuses to change the claims that make users of an issuer while freezes name some: their JWTs would make users that nothing stops.
func (a *Admin) frozenUsersStayFrozen(ctx context.Context, account, issuer string, claims []string) error {
	now, err := a.Store.TrustedIssuer(ctx, account, issuer)
	switch {
	case err == nil && (len(claims) == 0 || sameSet(now.UserKeyClaims, claims)):
		return nil
	case err != nil && !errors.Is(err, fault.NotFound):
		return err
	case len(claims) == 0:
		claims = []string{"sub"}
	}
	freezes, err := a.Vault.Freezes(ctx, account)
	if err != nil {
		return err
	}
	for _, f := range freezes {
		if f.Kind != store.FreezeUser {
			continue
		}
		name, err := a.Vault.FrozenUser(ctx, f)
		if err != nil {
			return err
		}
		user, err := workload.ParseUser(name)
		if err != nil {
			return err
		}
		if user.Verified() && user.Issuer == issuer && !sameSet(user.MadeBy(), claims) {
			return fault.Invalid("userKeyClaims", "cannot be %q while the user %s is frozen, whose JWTs would then make another user that is not: freeze the workload identities or the account instead, or credence unfreeze it", claims, user)
		}
	}
	return nil
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func describe(i store.TrustedIssuer) wire.TrustedIssuer {
	return wire.TrustedIssuer{Issuer: i.Issuer, Audiences: i.Audiences, UserKeyClaims: i.UserKeyClaims, CreatedTime: wire.Time{Time: i.CreatedAt}}
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
