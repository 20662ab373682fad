package admin

import (
	"slices"

	"credence/internal/fault"
	"credence/internal/iam"
)

// checkTrust refuses a trust policy that says more than somebody meant, or names an issuer that Credence would not call.
func (a *Admin) checkTrust(c iam.Caller, member, document string, everySubject bool) error {
	p, err := iam.ParseTrustPolicy(c.Account, []byte(document), iam.Subjects(everySubject))
	if err != nil {
		return fault.Invalid(member, "%v", err)
	}
	for _, issuer := range slices.Concat(p.Issuers(), p.SignInIssuers()) {
		if err := a.CheckURL(issuer); err != nil {
			return fault.Invalid(member, "the issuer %q: %v", issuer, err)
		}
	}
	return nil
}
