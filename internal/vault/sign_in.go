package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/sigv4"
	"credence/internal/store"
)

func signInPlace(p store.SignInProvider) place {
	return place{"sign_in_providers", "client_secret", p.Account, p.Name + "/" + p.Incarnation}
}

// PutSignInProvider adds or replaces a provider with its client secret, which is empty of a public client.
func (v *Vault) PutSignInProvider(ctx context.Context, p store.SignInProvider, s secret.String) (_ store.SignInProvider, err error) {
	p.ClientSecret = nil
	if !s.IsZero() {
		if p.ClientSecret, err = v.seal(ctx, signInPlace(p), []byte(s.Reveal())); err != nil {
			return p, err
		}
	}
	return v.store.PutSignInProvider(p)
}

// SignInSecret is the client secret of a provider, empty of a public client.
func (v *Vault) SignInSecret(ctx context.Context, p store.SignInProvider) (secret.String, error) {
	if p.ClientSecret == nil {
		return secret.String{}, nil
	}
	plaintext, err := v.open(ctx, signInPlace(p), p.ClientSecret)
	return secret.New(string(plaintext)), err
}

// NewConsoleHandle is what a browser holds for a row of console sessions: the account, a dot, and 256 random bits.
func NewConsoleHandle(account string) secret.String {
	return secret.New(account + "." + rand.Text() + rand.Text())
}

// consoleRow tells the account that a handle is of, and the id of its row; not ok for what is none.
func consoleRow(handle secret.String) (account, id string, ok bool) {
	account, rest, ok := strings.Cut(handle.Reveal(), ".")
	if !ok || rest == "" || handle.Len() > 128 || !iam.ValidAccount(account) {
		return "", "", false
	}
	sum := sha256.Sum256([]byte(handle.Reveal()))
	return account, hex.EncodeToString(sum[:]), true
}

func consolePlace(n store.ConsoleSession) place {
	return place{"console_sessions", "content", n.Account, string(n.Kind) + "/" + n.ID}
}

// InsertConsoleSession keeps what a browser's handle stands for; fault.Conflict when there is something already. n has no account, id and content yet.
func (v *Vault) InsertConsoleSession(ctx context.Context, n store.ConsoleSession, handle secret.String, content []byte) (err error) {
	var ok bool
	if n.Account, n.ID, ok = consoleRow(handle); !ok {
		return fault.NotFound
	}
	if n.Content, err = v.seal(ctx, consolePlace(n), content); err != nil {
		return err
	}
	return v.store.InsertConsoleSession(n)
}

// ConsoleSession finds and opens what a browser's handle stands for; fault.NotFound when that is nothing any more.
func (v *Vault) ConsoleSession(ctx context.Context, handle secret.String, kind store.ConsoleSessionKind) (store.ConsoleSession, []byte, error) {
	account, id, ok := consoleRow(handle)
	if !ok {
		return store.ConsoleSession{}, nil, fault.NotFound
	}
	n, err := v.store.ConsoleSession(ctx, account, id, kind)
	if err != nil {
		return n, nil, err
	}
	content, err := v.open(ctx, consolePlace(n), n.Content)
	return n, content, err
}

// EndConsoleSession forgets what a browser's handle stands for; fault.NotFound when that is nothing any more.
func (v *Vault) EndConsoleSession(handle secret.String) error {
	account, id, ok := consoleRow(handle)
	if !ok {
		return fault.NotFound
	}
	return v.store.DeleteConsoleSession(account, id)
}

// SessionCaller is who has the session token of a role session, with role and policies as they are now. What ended it is an UnknownCaller or ExpiredCaller fault.
func (v *Vault) SessionCaller(ctx context.Context, accessKeyID string, token secret.String) (iam.Caller, error) {
	c, err := v.loadSession(ctx, sigv4.Credential{AccessKeyID: accessKeyID, SessionToken: token})
	if errors.Is(err, fault.NotFound) {
		return iam.Caller{}, unknownCaller()
	}
	if err == nil {
		err = c.session.check(token)
	}
	if err != nil {
		return iam.Caller{}, err
	}
	return c.who, nil
}

// KeyCaller is the user of an access key, as he is now; fault.UnknownCaller when the key is unknown or inactive.
func (v *Vault) KeyCaller(ctx context.Context, accessKeyID string) (iam.Caller, error) {
	c, err := v.loadCaller(ctx, accessKeyID)
	if errors.Is(err, fault.NotFound) {
		return iam.Caller{}, unknownCaller()
	}
	if err != nil {
		return iam.Caller{}, err
	}
	return c.who, nil
}

// CheckAccessKey is the user of an access key whose secret somebody shows. A key that is unknown or inactive and a wrong secret are the same fault.UnknownCaller.
func (v *Vault) CheckAccessKey(ctx context.Context, accessKeyID string, shown secret.String) (iam.Caller, error) {
	c, err := v.loadCaller(ctx, accessKeyID)
	if errors.Is(err, fault.NotFound) {
		return iam.Caller{}, unknownCaller()
	}
	if err != nil {
		return iam.Caller{}, err
	}
	s, err := v.callerSecret(ctx, c, secret.String{})
	if err != nil {
		return iam.Caller{}, err
	}
	if !s.Equal(shown) {
		return iam.Caller{}, unknownCaller()
	}
	return c.who, nil
}
