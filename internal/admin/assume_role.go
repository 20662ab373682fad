package admin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
	"credence/internal/workload"
)

// WebIdentities verify web identity tokens; *workload.Verifier does.
type WebIdentities interface {
	VerifyWebIdentity(ctx context.Context, token secret.String, issuers []string) (claims map[string]any, err error)
}

// notAuthorized is the one answer to whoever has no signature and may not assume a role: whether there is the role, or whom it trusts, is not told.
func notAuthorized(action string, cause error) error {
	return fault.Wrap(fault.AccessDenied, cause, "Not authorized to perform %s", action)
}

// maxChained is how long the session of a role may last that another role assumes (AWS IAM User Guide, "Role chaining"), in seconds.
const maxChained = 3600

// session is what somebody asks of a role.
type session struct {
	role           store.Role
	name           string
	seconds        *int32
	most           int32
	policy         *string
	tags           map[string]string
	sourceIdentity string
	issuer         string
	subject        string
}

// role finds a role by its ARN, with what its trust policy says; fault.NotFound when there is none.
func (a *Admin) trustedRole(ctx context.Context, arn string) (store.Role, *iam.TrustPolicy, error) {
	account, name, ok := strings.Cut(strings.TrimPrefix(arn, "arn:aws:iam::"), ":role/")
	if !ok || iam.Role(account, name) != arn {
		return store.Role{}, nil, fault.NotFound
	}
	r, err := a.Store.Role(ctx, account, name)
	if err != nil {
		return r, nil, err
	}
	trust, err := iam.ParseTrustPolicy(account, []byte(r.TrustPolicy), iam.Subjects(r.EverySubject))
	return r, trust, err
}

// AssumeRoleWithWebIdentity gives whoever brings a token of an issuer that a role trusts credentials of a session of that role. c is nobody: the request is not signed.
func (a *Admin) AssumeRoleWithWebIdentity(ctx context.Context, c iam.Caller, in *wire.AssumeRoleWithWebIdentityInput) (*wire.AssumeRoleWithWebIdentityOutput, error) {
	r, trust, err := a.trustedRole(ctx, in.RoleArn)
	if errors.Is(err, fault.NotFound) {
		return nil, notAuthorized(iam.AssumeRoleWithWebIdentity, err)
	}
	if err != nil {
		return nil, err
	}
	claims, err := a.WebIdentities.VerifyWebIdentity(ctx, secret.New(in.WebIdentityToken), trust.Issuers())
	if errors.Is(err, fault.Unauthorized) {
		return nil, notAuthorized(iam.AssumeRoleWithWebIdentity, err)
	}
	if err != nil {
		return nil, err
	}
	s := session{role: r, name: in.RoleSessionName, seconds: in.DurationSeconds, most: maxSession(r), policy: in.Policy}
	s.issuer, s.subject, s.sourceIdentity = text(claims, "iss"), text(claims, "sub"), text(claims, claimSourceIdentity)
	if s.tags, err = tagsOfToken(claims); err != nil {
		return nil, err
	}
	decision := trust.Evaluate(&iam.TrustRequest{
		Claims: claims, SessionName: s.name, SourceIdentity: s.sourceIdentity, Tags: s.tags, SourceIP: c.SourceIP, Secure: c.Secure, Region: a.ARNs.Region,
	})
	c.ARN = webIdentity(claims)
	credentials, err := a.beginSession(ctx, c, iam.AssumeRoleWithWebIdentity, s, decision)
	if err != nil {
		return nil, err
	}
	out := &wire.AssumeRoleWithWebIdentityOutput{
		Credentials: describeCredentials(credentials), SubjectFromWebIdentityToken: s.subject, AssumedRoleUser: assumedRoleUser(s), Provider: s.issuer, Audience: audience(claims),
	}
	if s.sourceIdentity != "" {
		out.SourceIdentity = &s.sourceIdentity
	}
	return out, nil
}

// errNoCertificate tells nothing of roles; without a certificate none is looked at.
var errNoCertificate = fault.New(fault.MissingSignature, "No client certificate came with this connection: "+
	"AssumeRoleWithCertificate needs one, on a TLS connection that ends at Credence itself, and not at a proxy before it")

// AssumeRoleWithCertificate gives whoever has an X.509-SVID of a trust domain that a role trusts credentials of a session of that role. c is nobody: the request is not
// signed, but its connection has the certificate.
func (a *Admin) AssumeRoleWithCertificate(ctx context.Context, c iam.Caller, in *wire.AssumeRoleWithCertificateInput) (*wire.AssumeRoleWithCertificateOutput, error) {
	if len(c.Certificates) == 0 {
		return nil, errNoCertificate
	}
	r, trust, err := a.trustedRole(ctx, in.RoleArn)
	if errors.Is(err, fault.NotFound) {
		return nil, notAuthorized(iam.AssumeRoleWithCertificate, err)
	}
	if err != nil {
		return nil, err
	}
	certificate, err := workload.VerifyCertificate(c.Certificates, a.authorities(ctx, r.Account, trust), time.Now())
	if errors.Is(err, fault.Unauthorized) {
		return nil, notAuthorized(iam.AssumeRoleWithCertificate, err)
	}
	if err != nil {
		return nil, err
	}
	s := session{role: r, name: in.RoleSessionName, seconds: in.DurationSeconds, most: maxSession(r), policy: in.Policy, issuer: certificate.Bundle, subject: certificate.URIs[0]}
	decision := trust.Evaluate(&iam.TrustRequest{Certificate: certificate, SessionName: s.name, SourceIP: c.SourceIP, Secure: c.Secure, Region: a.ARNs.Region})
	c.ARN = "certificate:" + strconv.Quote(s.subject)
	credentials, err := a.beginSession(ctx, c, iam.AssumeRoleWithCertificate, s, decision)
	if err != nil {
		return nil, err
	}
	return &wire.AssumeRoleWithCertificateOutput{
		Credentials: describeCredentials(credentials), SubjectFromCertificate: s.subject, AssumedRoleUser: assumedRoleUser(s), TrustDomain: s.issuer,
	}, nil
}

// beginSession is for a stranger of whom a trust policy has decided. The credentials are made first, so that what is recorded names them, and told last.
func (a *Admin) beginSession(ctx context.Context, c iam.Caller, action string, s session, decision iam.Decision) (vault.SessionCredentials, error) {
	var credentials vault.SessionCredentials
	var err error
	if decision.Allowed { // what is wrong with the request is only told to those who may
		if credentials, err = a.newSession(ctx, s); err != nil {
			return credentials, err
		}
		c.AccessKeyID = credentials.ID
	}
	c.Account, c.Session = s.role.Account, &iam.Session{Name: s.name, Issuer: s.issuer, Subject: s.subject}
	r := access.Request{Action: action, Resources: []string{iam.Role(s.role.Account, s.role.Name)}}
	if err := a.Gate.AllowStranger(c, r, decision, notAuthorized(action, nil)); err != nil {
		return vault.SessionCredentials{}, err
	}
	return credentials, nil
}

// AssumeRole gives a caller whom the role trusts, and who may do sts:AssumeRole on it, credentials of a session of that role.
func (a *Admin) AssumeRole(ctx context.Context, c iam.Caller, in *wire.AssumeRoleInput) (*wire.AssumeRoleOutput, error) {
	tags, err := tagsOfRequest(in.Tags)
	if err != nil {
		return nil, err
	}
	s := session{name: in.RoleSessionName, seconds: in.DurationSeconds, policy: in.Policy, tags: tags, sourceIdentity: or(in.SourceIdentity, ""), subject: c.ARN}
	if c.Session != nil {
		s.issuer, s.subject = c.Session.Issuer, c.Session.Subject
		if kept := c.Session.SourceIdentity; kept != "" { // it stays what it was, through every role
			if s.sourceIdentity != "" && s.sourceIdentity != kept {
				return nil, fault.Invalid("SourceIdentity", "must be %q, which the caller's session has", kept)
			}
			s.sourceIdentity = kept
		}
	}
	var decision iam.Decision
	r, trust, err := a.trustedRole(ctx, in.RoleArn)
	switch {
	case errors.Is(err, fault.NotFound) || err == nil && r.Account != c.Account: // other accounts' roles are as unknown as those that never were
		decision.Missing = iam.Trust
	case err != nil:
		return nil, err
	default:
		s.role, s.most = r, maxSession(r)
		if c.Session != nil {
			s.most = min(s.most, maxChained)
		}
		decision = trust.Evaluate(&iam.TrustRequest{
			Caller: &c, SessionName: s.name, SourceIdentity: s.sourceIdentity, Tags: tags, SourceIP: c.SourceIP, Secure: c.Secure, Region: a.ARNs.Region,
		})
	}
	if err := a.Gate.AllowTrusted(c, access.Request{Action: iam.AssumeRole, Resources: []string{in.RoleArn}, RequestTags: tags}, decision); err != nil {
		return nil, err
	}
	credentials, err := a.newSession(ctx, s)
	if err != nil {
		return nil, err
	}
	out := &wire.AssumeRoleOutput{Credentials: describeCredentials(credentials), AssumedRoleUser: assumedRoleUser(s)}
	if s.sourceIdentity != "" {
		out.SourceIdentity = &s.sourceIdentity
	}
	return out, nil
}

func maxSession(r store.Role) int32 { return int32(r.MaxSession / time.Second) }

// newSession makes the credentials of a session that is allowed.
func (a *Admin) newSession(ctx context.Context, s session) (vault.SessionCredentials, error) {
	seconds := or(s.seconds, min(defaultSession, s.most))
	if seconds > s.most {
		return vault.SessionCredentials{}, fault.Invalid("DurationSeconds", "must be at most %d, the longest session of this role; it is %d", s.most, seconds)
	}
	if s.policy != nil {
		if _, err := iam.ParsePolicy([]byte(*s.policy)); err != nil {
			return vault.SessionCredentials{}, fault.Invalid("Policy", "%v", err)
		}
	}
	now := time.Now()
	return a.Vault.NewSession(ctx, vault.RoleSession{
		Account: s.role.Account, Role: s.role.Name, RoleID: s.role.ID, Generation: s.role.Generation, Name: s.name, Issued: now, Expires: now.Add(time.Duration(seconds) * time.Second),
		Tags: s.tags, SourceIdentity: s.sourceIdentity, Policy: or(s.policy, ""), Issuer: s.issuer, Subject: s.subject,
	})
}

func describeCredentials(c vault.SessionCredentials) wire.SessionCredentials {
	return wire.SessionCredentials{AccessKeyId: c.ID, SecretAccessKey: c.Secret.Reveal(), SessionToken: c.Token.Reveal(), Expiration: wire.Time{Time: c.Expires}}
}

func assumedRoleUser(s session) wire.AssumedRoleUser {
	return wire.AssumedRoleUser{Arn: iam.AssumedRole(s.role.Account, s.role.Name, s.name), AssumedRoleId: s.role.ID + ":" + s.name}
}

// audience is the first that a token names.
func audience(claims map[string]any) string {
	switch v := claims["aud"].(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			first, _ := v[0].(string)
			return first
		}
	}
	return ""
}

// claimSourceIdentity is where an issuer says the source identity of a session.
const claimSourceIdentity = "https://aws.amazon.com/source_identity"

const maxTags = 50

// tagsOfToken are those that an issuer gives a session, in the form that AWS documents ("Passing session tags using AssumeRoleWithWebIdentity"): each has one value.
func tagsOfToken(claims map[string]any) (map[string]string, error) {
	const claim = "https://aws.amazon.com/tags"
	if claims[claim] == nil {
		return nil, nil
	}
	wrong := func(format string, args ...any) (map[string]string, error) {
		return nil, fault.Invalid("WebIdentityToken", "the claim "+claim+" "+format, args...)
	}
	all, _ := claims[claim].(map[string]any)
	principal, ok := all["principal_tags"].(map[string]any)
	if !ok || len(principal) > maxTags {
		return wrong("must have the member principal_tags, an object of at most %d tags", maxTags)
	}
	tags := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(principal)) {
		values, _ := principal[name].([]any)
		if one, ok := principal[name].(string); ok {
			values = []any{one}
		}
		if len(values) != 1 {
			return wrong("must have one value for each tag")
		}
		value, ok := values[0].(string)
		if !ok || !sessionTag.MatchString(name) || !sessionTag.MatchString(value) || name == "" || len(name) > 128 || len(value) > 256 {
			return wrong("has a tag that is none: keys of up to 128 and values of up to 256 letters, digits, spaces and _.:/=+-@ are")
		}
		tags[name] = value
	}
	return tags, nil
}

func tagsOfRequest(list []wire.SessionTag) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range list {
		if _, twice := tags[t.Key]; twice {
			return nil, fault.Invalid("Tags", "has the key %q twice", t.Key)
		}
		if !sessionTag.MatchString(t.Key) || !sessionTag.MatchString(t.Value) {
			return nil, fault.Invalid("Tags", "may have letters, digits, spaces and _.:/=+-@ in keys and values; the key %q or its value has others", t.Key)
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}
