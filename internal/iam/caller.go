package iam

import (
	"crypto/x509"
	"net/netip"
	"time"

	"credence/internal/telemetry"
)

// Kind is what sort of principal signed a request: the value of the condition key aws:PrincipalType.
type Kind string

// The kinds. The zero Kind is a user.
const (
	KindUser        Kind = "User"
	KindAssumedRole Kind = "AssumedRole" // a role session, with credentials from STS
)

// Caller is who signed a request. Only a verified signature makes one; planes take it as a parameter, never from a context.
type Caller struct {
	Account     string     // 12 digits
	ARN         string     // arn:aws:iam::ACCOUNT:user/NAME, or arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	AccessKeyID string     //
	Policies    []*Policy  // identity policies of the user or role
	SourceIP    netip.Addr // the peer, or what a trusted proxy says
	RequestID   string     // of this request
	Secure      bool       // it came over TLS, as far as the server or its trusted proxy can tell

	Kind   Kind
	Name   string            // of the user or the role
	UserID string            // aws:userid: the user's unique id, or ROLE_ID:SESSION
	Tags   map[string]string // of the principal; those of the session stand over those of the role

	Boundary *Policy // permissions boundary: what it does not allow is denied; nil when there is none
	// Session is of a role session, and nil of a user.
	Session *Session

	// Certificates are those that the client of the TLS connection presented, its own first. Nobody has verified more than that it has the key. Only who needs no
	// signature has any.
	Certificates []*x509.Certificate

	Span *telemetry.Span // of this request; nil when it is not traced
}

// Session is what is known of a role session beside its role.
type Session struct {
	Name           string    // RoleSessionName
	IssuedAt       time.Time // when its credentials were
	SourceIdentity string    // "" when none was set
	Policies       []*Policy // session policies: what they do not allow is denied; none when empty
	// Issuer and Subject are of the web identity token, or the trust bundle and SPIFFE ID of the certificate, that the role was assumed with.
	Issuer, Subject string
}

// PrincipalARN is the value of aws:PrincipalArn: of a role session it is the role's ARN.
func (c *Caller) PrincipalARN() string {
	if c.Kind == KindAssumedRole {
		return Role(c.Account, c.Name)
	}
	return c.ARN
}

// Role is a role of an account.
func Role(account, name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// AssumedRole is a session of a role.
func AssumedRole(account, role, session string) string {
	return "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session
}
