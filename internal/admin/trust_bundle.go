package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
	"credence/internal/workload"
)

// allowTrustBundle is the first call of every operation on trust bundles; * means all of them.
func (a *Admin) allowTrustBundle(c iam.Caller, operation, domain string) error {
	return a.Gate.Allow(c, access.Request{Action: "credence:" + operation, Resources: []string{a.ARNs.Extension(c.Account, "trust-bundle", domain)}})
}

// PutTrustBundle has the account know the CAs of a SPIFFE trust domain. Nobody comes in by that alone: a role must trust the domain.
func (a *Admin) PutTrustBundle(_ context.Context, c iam.Caller, in *wire.PutTrustBundleInput) (*wire.PutTrustBundleOutput, error) {
	if err := a.allowTrustBundle(c, "PutTrustBundle", in.TrustDomain); err != nil {
		return nil, err
	}
	now := time.Now()
	certificates, err := workload.ParseTrustBundle(in.TrustDomain, in.Certificates, now)
	if err != nil {
		return nil, fault.Invalid("certificates", "are no trust bundle: %v", err)
	}
	var der bytes.Buffer
	for _, c := range certificates {
		der.Write(c.Raw)
	}
	b, err := a.Store.PutTrustBundle(store.TrustBundle{Account: c.Account, Domain: in.TrustDomain, Certificates: der.Bytes(), CreatedAt: now, UpdatedAt: now})
	if err != nil {
		return nil, err
	}
	out, err := a.describeTrustBundle(b)
	return (*wire.PutTrustBundleOutput)(&out), err
}

func (a *Admin) describeTrustBundle(b store.TrustBundle) (wire.TrustBundle, error) {
	certificates, err := x509.ParseCertificates(b.Certificates)
	out := wire.TrustBundle{
		TrustBundleArn: a.ARNs.Extension(b.Account, "trust-bundle", b.Domain), TrustDomain: b.Domain, Authorities: make([]wire.X509Authority, len(certificates)),
		CreatedTime: wire.Time{Time: b.CreatedAt}, LastUpdatedTime: wire.Time{Time: b.UpdatedAt},
	}
	for i, c := range certificates {
		digest := sha256.Sum256(c.Raw)
		out.Authorities[i] = wire.X509Authority{Subject: c.Subject.String(), Sha256: hex.EncodeToString(digest[:]), ExpirationTime: wire.Time{Time: c.NotAfter}}
	}
	return out, err
}

// ListTrustBundles lists the trust bundles of the account.
func (a *Admin) ListTrustBundles(ctx context.Context, c iam.Caller, _ *wire.ListTrustBundlesInput) (*wire.ListTrustBundlesOutput, error) {
	if err := a.allowTrustBundle(c, "ListTrustBundles", "*"); err != nil {
		return nil, err
	}
	rows, err := a.Store.TrustBundles(ctx, c.Account)
	if err != nil {
		return nil, err
	}
	out := &wire.ListTrustBundlesOutput{TrustBundles: make([]wire.TrustBundle, len(rows))}
	for i, b := range rows {
		if out.TrustBundles[i], err = a.describeTrustBundle(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DeleteTrustBundle has the account trust no certificate of a trust domain any more. Sessions that there are go on to their end.
func (a *Admin) DeleteTrustBundle(_ context.Context, c iam.Caller, in *wire.DeleteTrustBundleInput) (*wire.DeleteTrustBundleOutput, error) {
	if err := a.allowTrustBundle(c, "DeleteTrustBundle", in.TrustDomain); err != nil {
		return nil, err
	}
	err := a.Store.DeleteTrustBundle(c.Account, in.TrustDomain)
	if err == fault.NotFound {
		return nil, fault.New(fault.NotFound, "Account %s has no trust bundle of %q", c.Account, in.TrustDomain)
	}
	return &wire.DeleteTrustBundleOutput{}, err
}

// authorities are the CAs of a trust domain that a role of an account trusts; fault.NotFound when it does not, or the account has none. They are read anew for every
// request, so that what is withdrawn is trusted on no replica any more.
func (a *Admin) authorities(ctx context.Context, account string, trust *iam.TrustPolicy) func(domain string) ([]*x509.Certificate, error) {
	return func(domain string) ([]*x509.Certificate, error) {
		if !slices.Contains(trust.Bundles(), domain) {
			return nil, fault.NotFound
		}
		b, err := a.Store.TrustBundle(ctx, account, domain)
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificates(b.Certificates)
	}
}
