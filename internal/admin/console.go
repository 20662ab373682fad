package admin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/store"
)

// ConsoleSession is somebody at the console.
type ConsoleSession struct {
	Caller     iam.Caller // as if he had signed a request
	Provider   string     // name of the sign-in provider that he came by; "" of an access key
	BreakGlass bool       // he came by an access key
	Expires    time.Time
}

// ConsoleSession finds who sits at a browser that has a handle, with roles, keys and policies as they are now; fault.NotFound when it stands for nobody any more. c says
// where the request came from.
func (a *Admin) ConsoleSession(ctx context.Context, c iam.Caller, handle secret.String) (*ConsoleSession, error) {
	n, content, err := a.Vault.ConsoleSession(ctx, handle, store.ConsoleSignedIn)
	if err != nil {
		return nil, err
	}
	var of consoleContent
	if err := json.Unmarshal(content, &of); err != nil {
		return nil, err
	}
	out := &ConsoleSession{Provider: n.Provider, BreakGlass: of.Token == "", Expires: n.ExpiresAt}
	if out.BreakGlass {
		out.Caller, err = a.Vault.KeyCaller(ctx, of.AccessKeyID)
	} else {
		out.Caller, err = a.Vault.SessionCaller(ctx, of.AccessKeyID, secret.New(of.Token))
	}
	switch {
	case errors.Is(err, fault.UnknownCaller), errors.Is(err, fault.ExpiredCaller), err == nil && out.Caller.Account != n.Account:
		return nil, fault.Wrap(fault.NotFound, err, "the session is over")
	case err != nil:
		return nil, err
	}
	out.Caller.RequestID, out.Caller.SourceIP, out.Caller.Secure = c.RequestID, c.SourceIP, c.Secure
	return out, nil
}

// SignOut ends the session of a browser. It is ended before that is recorded: nobody must stay in because the audit log cannot be written.
func (a *Admin) SignOut(_ context.Context, c iam.Caller, handle secret.String) error {
	if err := a.Vault.EndConsoleSession(handle); err != nil && !errors.Is(err, fault.NotFound) {
		return err
	}
	return a.Gate.AllowEveryone(c, access.Request{Action: "credence:SignOut", Resources: []string{a.consoleARN(c.Account)}})
}

func (a *Admin) consoleARN(account string) string {
	return a.ARNs.Extension(account, "console", "default")
}

// breakGlassLife is how long somebody may stay who came by an access key.
const breakGlassLife = 15 * time.Minute

// BreakGlass lets a user in who shows an access key, when nobody can sign in otherwise. c is a stranger. Whoever may not credence:BreakGlass is denied.
func (a *Admin) BreakGlass(ctx context.Context, c iam.Caller, accessKeyID string, shown secret.String, next string) (*SignedIn, error) {
	user, err := a.Vault.CheckAccessKey(ctx, accessKeyID, shown)
	if errors.Is(err, fault.UnknownCaller) {
		return nil, &SignInStop{Cause: SignInWrongKey, Err: err}
	}
	if err != nil {
		return nil, err
	}
	user.RequestID, user.SourceIP, user.Secure = c.RequestID, c.SourceIP, c.Secure
	if err := a.Gate.Allow(user, access.Request{Action: "credence:BreakGlass", Resources: []string{a.consoleARN(user.Account)}}); err != nil {
		return nil, err
	}
	a.Log.WarnContext(ctx, "somebody is at the console by an access key", "account", user.Account, "user", user.ARN, "access_key", user.AccessKeyID, "from", user.SourceIP.String(), "id", user.RequestID)
	n := store.ConsoleSession{Kind: store.ConsoleSignedIn, ExpiresAt: time.Now().Add(breakGlassLife)}
	return a.keepConsoleSession(ctx, user.Account, n, consoleContent{AccessKeyID: user.AccessKeyID}, LocalPath(next))
}
