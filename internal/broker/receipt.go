package broker

import (
	"context"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/iam"
	"credence/internal/store"
)

// refreshReceipt is what the audit log says of a refresh that reached the vendor: nobody need have asked for it.
func (b *Broker) refreshReceipt(ctx context.Context, g store.Grant, o audit.Outcome, how string) error {
	user, err := b.Vault.UserName(ctx, g)
	if err != nil {
		return err
	}
	c := iam.Caller{Account: g.Account, ARN: b.grantARN(g.Account, g.Key)}
	return b.Gate.Receipt(c, b.vendorRequest("credence:RefreshAtVendor", g.Account, g.Workload, g.Provider, user), o, how)
}

// consentReceipt is what the audit log says of a step of a consent that no request of an agent decides.
func (b *Broker) consentReceipt(s store.Session, user string, o audit.Outcome, how string) error {
	c := iam.Caller{Account: s.Account, ARN: b.ARNs.Extension(s.Account, "authorization-session", s.ID)}
	return b.Gate.Receipt(c, b.vendorRequest("credence:Consent", s.Account, s.Workload, s.Provider, user), o, how)
}

// vendorRequest is what the server does at a vendor.
func (b *Broker) vendorRequest(action, account, workload, provider, user string) access.Request {
	return access.Request{
		Action: action, Resources: []string{b.ARNs.OAuth2Provider(account, provider), b.ARNs.Workload(account, workload)}, Workload: workload, Provider: provider, User: user,
	}
}
