package vault

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/sigv4"
	"credence/internal/store"
)

// RoleSession is a session of a role, as its token holds it. No row remembers it: a deleted role, another one of its name, or a revocation ends it.
type RoleSession struct {
	Account        string
	Role           string // name
	RoleID         string // of the one that was assumed
	Generation     int64  // of its sessions
	Name           string // RoleSessionName
	AccessKeyID    string
	Secret         secret.String
	Issued         time.Time
	Expires        time.Time
	Tags           map[string]string
	SourceIdentity string
	Policy         string // session policy document; "" for none
	Issuer         string // of the web identity token, or the trust anchor
	Subject        string
}

const (
	sessionPrefix    = "csts1."
	sessionKind      = "session credentials"
	sessionKeyPrefix = "ASIA"
	// maxSessionToken keeps requests that carry one well below what servers take for headers.
	maxSessionToken = 16 << 10
)

// SessionCredentials are what a session signs with.
type SessionCredentials struct {
	AccessKey
	Token   secret.String // X-Amz-Security-Token
	Expires time.Time
}

// sealedSession is the plaintext of a session token.
type sealedSession struct {
	Role           string            `json:"r"`
	RoleID         string            `json:"i"`
	Generation     int64             `json:"g"`
	Name           string            `json:"n"`
	AccessKeyID    string            `json:"k"`
	Secret         string            `json:"s"`
	Issued         int64             `json:"b"` // unix milliseconds
	Expires        int64             `json:"e"`
	Tags           map[string]string `json:"t,omitempty"`
	SourceIdentity string            `json:"d,omitempty"`
	Policy         string            `json:"p,omitempty"`
	Issuer         string            `json:"f,omitempty"`
	Subject        string            `json:"u,omitempty"`
}

// NewSession makes credentials for a session; it fills AccessKeyID and Secret. What does not fit into a token is a Validation fault.
func (v *Vault) NewSession(ctx context.Context, s RoleSession) (SessionCredentials, error) {
	k := NewAccessKey()
	k.ID = sessionKeyPrefix + strings.TrimPrefix(k.ID, keyPrefix)
	plaintext, err := json.Marshal(sealedSession{
		s.Role, s.RoleID, s.Generation, s.Name, k.ID, k.Secret.Reveal(), s.Issued.UnixMilli(), s.Expires.UnixMilli(), s.Tags, s.SourceIdentity, s.Policy, s.Issuer, s.Subject,
	})
	if err != nil {
		return SessionCredentials{}, err
	}
	handle, err := v.SealHandle(ctx, s.Account, sessionKind, plaintext)
	if err != nil {
		return SessionCredentials{}, err
	}
	token := sessionPrefix + s.Account + "." + handle
	if len(token) > maxSessionToken {
		return SessionCredentials{}, fault.Invalid("Policy", "and the tags of the session are too long together: its token would have %d characters, at most %d are possible", len(token), maxSessionToken)
	}
	return SessionCredentials{AccessKey: k, Token: secret.New(token), Expires: time.UnixMilli(s.Expires.UnixMilli()).UTC()}, nil
}

// openSession opens a session token; fault.NotFound for what is none.
func (v *Vault) openSession(ctx context.Context, token secret.String) (RoleSession, error) {
	rest, ok := strings.CutPrefix(token.Reveal(), sessionPrefix)
	account, handle, dot := strings.Cut(rest, ".")
	if !ok || !dot || !iam.ValidAccount(account) || token.Len() > maxSessionToken {
		return RoleSession{}, fault.NotFound
	}
	plaintext, ok, err := v.OpenHandle(ctx, account, sessionKind, handle)
	if err != nil {
		return RoleSession{}, err
	}
	var s sealedSession
	if !ok || json.Unmarshal(plaintext, &s) != nil {
		return RoleSession{}, fault.NotFound
	}
	return RoleSession{
		account, s.Role, s.RoleID, s.Generation, s.Name, s.AccessKeyID, secret.New(s.Secret), time.UnixMilli(s.Issued), time.UnixMilli(s.Expires), s.Tags, s.SourceIdentity, s.Policy, s.Issuer, s.Subject,
	}, nil
}

// sessionCaller is what is kept of a session beside who it is.
type sessionCaller struct {
	token   [sha256.Size]byte // digest
	expires time.Time
}

// check is of every request: another token than the one that was opened, or one past its end, is nobody's.
func (s *sessionCaller) check(token secret.String) error {
	digest := sha256.Sum256([]byte(token.Reveal()))
	if subtle.ConstantTimeCompare(digest[:], s.token[:]) != 1 {
		return unknownCaller()
	}
	if !time.Now().Before(s.expires) {
		return fault.New(fault.ExpiredCaller, "The session credentials expired at %s", s.expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// loadSession finds whom a session token names, with the role as it is now.
func (v *Vault) loadSession(ctx context.Context, c sigv4.Credential) (*caller, error) {
	s, err := v.openSession(ctx, c.SessionToken)
	if err != nil {
		return nil, err
	}
	if s.AccessKeyID != c.AccessKeyID {
		return nil, fault.NotFound
	}
	r, err := v.store.Role(ctx, s.Account, s.Role)
	if err != nil {
		return nil, err
	}
	if r.ID != s.RoleID {
		return nil, fault.NotFound
	}
	if !r.HasSession(s.RoleID, s.Generation, s.Issued) {
		return nil, fault.New(fault.ExpiredCaller, "The sessions of role %q that were issued up to %s were revoked", r.Name, r.RevokedBefore.Format(time.RFC3339))
	}
	tags := maps.Clone(r.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	maps.Copy(tags, s.Tags)
	out := &caller{
		who: iam.Caller{
			Account: s.Account, ARN: iam.AssumedRole(s.Account, s.Role, s.Name), AccessKeyID: s.AccessKeyID, Kind: iam.KindAssumedRole, Name: s.Role, UserID: s.RoleID + ":" + s.Name, Tags: tags,
			Session: &iam.Session{Name: s.Name, IssuedAt: s.Issued, SourceIdentity: s.SourceIdentity, Issuer: s.Issuer, Subject: s.Subject},
		},
		session: &sessionCaller{sha256.Sum256([]byte(c.SessionToken.Reveal())), s.Expires}, signing: map[signingScope][]byte{},
	}
	if s.Policy != "" {
		p, err := iam.ParsePolicy([]byte(s.Policy))
		if err != nil {
			return nil, fmt.Errorf("the session policy of %s: %w", out.who.ARN, err)
		}
		out.who.Session.Policies = []*iam.Policy{p}
	}
	return out, v.loadPolicies(ctx, out, store.RolePrincipal(s.Role))
}

// Principal is a user, or a session of a role, of an account by the ARN of user or role, as if a request of it had come; fault.NotFound when there is none.
func (v *Vault) Principal(ctx context.Context, account, arn string) (iam.Caller, error) {
	c := &caller{who: iam.Caller{Account: account, ARN: arn}}
	if name, ok := strings.CutPrefix(arn, iam.User(account, "")); ok {
		u, err := v.store.User(ctx, account, name)
		if err != nil {
			return c.who, err
		}
		c.who.Kind, c.who.Name, c.who.UserID, c.who.Tags = iam.KindUser, u.Name, u.ID, u.Tags
		err = v.loadPolicies(ctx, c, store.UserPrincipal(name))
		return c.who, err
	}
	name, ok := strings.CutPrefix(arn, iam.Role(account, ""))
	if !ok {
		return c.who, fault.NotFound
	}
	r, err := v.store.Role(ctx, account, name)
	if err != nil {
		return c.who, err
	}
	c.who.Kind, c.who.Name, c.who.UserID, c.who.Tags = iam.KindAssumedRole, r.Name, r.ID+":", r.Tags
	c.who.Session = &iam.Session{IssuedAt: time.Now()}
	err = v.loadPolicies(ctx, c, store.RolePrincipal(name))
	return c.who, err
}
