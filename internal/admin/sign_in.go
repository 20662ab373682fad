package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/oauth"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/workload"
)

// Codes are exchanged at issuers; *oauth.Client does.
type Codes interface {
	PushAuthorization(ctx context.Context, e oauth.Endpoint, r oauth.AuthorizationRequest) (location string, err error)
	ExchangeCode(ctx context.Context, e oauth.Endpoint, g oauth.CodeGrant) (oauth.Token, error)
}

// IDTokens are verified; *workload.Verifier does.
type IDTokens interface {
	VerifyIDToken(ctx context.Context, in workload.IDToken) (claims map[string]any, err error)
}

// SignInCause is why a sign-in does not go on.
type SignInCause string

// The causes.
const (
	SignInUnknown     SignInCause = "unknown"      // there is no such provider, or what the browser has stands for nothing any more
	SignInForeign     SignInCause = "foreign"      // the answer came to a browser that did not ask
	SignInAnswered    SignInCause = "answered"     // there was an answer already
	SignInChanged     SignInCause = "changed"      // the provider is another one than when the browser left
	SignInWrongIssuer SignInCause = "wrong_issuer" // another issuer than the one that was asked answered
	SignInAway        SignInCause = "away"         // the issuer does not answer
	SignInRefused     SignInCause = "refused"      // the issuer refuses the person or the client, or its ID token is none for us
	SignInNobody      SignInCause = "nobody"       // no role trusts this person
	SignInWrongKey    SignInCause = "wrong_key"    // the access key is unknown, inactive, or its secret another one
)

// SignInStop is why a sign-in does not go on, in words for a person.
type SignInStop struct {
	Cause           SignInCause
	Issuer, Subject string // of SignInNobody
	Code            string // of SignInRefused: the issuer's error code, if it gave one
	Retry           string // path where to begin again; "" when that is not known
	Err             error  // for logs
}

func (e *SignInStop) Error() string { return "sign-in stopped: " + string(e.Cause) }

// Unwrap gives the cause.
func (e *SignInStop) Unwrap() error { return e.Err }

// attemptLife is how long a person may take at the issuer, or to pick a role.
const attemptLife = 10 * time.Minute

// attemptKind is of handles that a browser has while its person is at the issuer.
const attemptKind = "sign-in attempt"

// attempt is what such a handle seals.
type attempt struct {
	Provider    string `json:"p"`
	Incarnation string `json:"i"`
	State       string `json:"s"`
	Nonce       string `json:"n"`
	Verifier    string `json:"v"`
	Next        string `json:"x,omitempty"`
	Expires     int64  `json:"e"` // unix
}

// SignInCookie is something that a browser has to keep.
type SignInCookie struct {
	Name  string
	Value secret.String
	Life  time.Duration
}

// attemptCookie is the name of the cookie of an attempt, which its state tells: a browser may have several.
func attemptCookie(state string) string {
	sum := sha256.Sum256([]byte(state))
	return "credence-sign-in-" + hex.EncodeToString(sum[:8])
}

// BeginSignIn makes an attempt to sign in at a provider: where the browser has to go, and what it has to keep. next is where its person wanted to go.
func (a *Admin) BeginSignIn(ctx context.Context, account, provider, next string) (location string, keep SignInCookie, err error) {
	p, err := a.Store.SignInProvider(ctx, account, provider)
	if errors.Is(err, fault.NotFound) {
		return "", keep, &SignInStop{Cause: SignInUnknown, Err: err}
	}
	if err != nil {
		return "", keep, err
	}
	m, err := a.signInMetadata(ctx, p.Issuer)
	if err != nil {
		return "", keep, &SignInStop{Cause: SignInAway, Retry: SignInPath(account, provider), Err: err}
	}
	verifier := oauth.NewVerifier()
	t := attempt{p.Name, p.Incarnation, rand.Text(), rand.Text(), verifier.Reveal(), LocalPath(next), time.Now().Add(attemptLife).Unix()}
	text, err := json.Marshal(t)
	if err != nil {
		return "", keep, err
	}
	handle, err := a.Vault.SealHandle(ctx, account, attemptKind, text)
	if err != nil {
		return "", keep, err
	}
	r := oauth.AuthorizationRequest{
		Endpoint: m.AuthorizationEndpoint, ClientID: p.ClientID, RedirectURI: a.redirectURI(p), State: t.State, Nonce: t.Nonce, Scopes: p.Scopes, Verifier: verifier,
	}
	if m.RequirePushedAuthorizationRequests {
		e, err := a.signInEndpoint(ctx, p, m, m.PushedAuthorizationRequestEndpoint)
		if err != nil {
			return "", keep, err
		}
		location, err = a.Codes.PushAuthorization(ctx, e, r)
		if err != nil {
			return "", keep, a.notExchanged(p, err)
		}
	} else if location, err = r.URL(); err != nil {
		return "", keep, &SignInStop{Cause: SignInAway, Err: err}
	}
	return location, SignInCookie{attemptCookie(t.State), secret.New(handle), attemptLife}, nil
}

// signInEndpoint is an endpoint of a provider's issuer, with the client's authentication.
func (a *Admin) signInEndpoint(ctx context.Context, p store.SignInProvider, m oauth.Metadata, endpoint string) (oauth.Endpoint, error) {
	s, err := a.Vault.SignInSecret(ctx, p)
	if err != nil {
		return oauth.Endpoint{}, err
	}
	e := oauth.Endpoint{URL: endpoint, Auth: oauth.ClientAuth{Method: oauth.ClientSecretBasic, ID: p.ClientID, Secret: s}}
	methods := m.TokenEndpointAuthMethods
	switch {
	case s.IsZero():
		e.Auth.Method = oauth.None
	case len(methods) > 0 && !slices.Contains(methods, string(oauth.ClientSecretBasic)) && slices.Contains(methods, string(oauth.ClientSecretPost)):
		e.Auth.Method = oauth.ClientSecretPost
	}
	return e, nil
}

// notExchanged words what an issuer answered.
func (a *Admin) notExchanged(p store.SignInProvider, err error) error {
	stop := &SignInStop{Cause: SignInAway, Retry: SignInPath(p.Account, p.Name), Err: err}
	if e, ok := errors.AsType[*oauth.Error](err); ok && e.Outcome == oauth.Refused {
		stop.Cause, stop.Code = SignInRefused, e.Code
	}
	return stop
}

// SignedIn is where a sign-in came to.
type SignedIn struct {
	Keep    SignInCookie
	Spent   string // name of the cookie that is of no use any more; "" when there is none
	Choose  bool   // of several roles one has to be picked
	Next    string // path to go to
	Expires time.Time
}

// The cookies of the console.
const (
	SessionCookie = "credence-console"
	ChoiceCookie  = "credence-sign-in-choice"
)

// FinishSignIn takes the answer that an issuer sent through a browser. c is a stranger; cookie tells what the browser kept.
func (a *Admin) FinishSignIn(ctx context.Context, c iam.Caller, account, provider, query string, cookie func(name string) string) (*SignedIn, error) {
	answer, err := oauth.ParseCallback(query)
	if err != nil {
		return nil, &SignInStop{Cause: SignInUnknown, Err: err}
	}
	name := attemptCookie(answer.State.Reveal())
	t, err := a.openAttempt(ctx, account, cookie(name))
	if err != nil {
		return nil, err
	}
	again := SignInPath(account, provider)
	if t == nil || t.Provider != provider || !answer.State.Equal(secret.New(t.State)) {
		return nil, &SignInStop{Cause: SignInForeign, Retry: again}
	}
	p, err := a.Store.SignInProvider(ctx, account, provider)
	if errors.Is(err, fault.NotFound) || err == nil && p.Incarnation != t.Incarnation {
		return nil, &SignInStop{Cause: SignInChanged, Err: err}
	}
	if err != nil {
		return nil, err
	}
	m, err := a.signInMetadata(ctx, p.Issuer)
	if err != nil {
		return nil, &SignInStop{Cause: SignInAway, Retry: again, Err: err}
	}
	if err := answer.CheckIssuer(p.Issuer, m.AuthorizationResponseIssParameterSupported); err != nil {
		return nil, &SignInStop{Cause: SignInWrongIssuer, Retry: again, Err: err}
	}
	// One answer for each attempt, whatever it says.
	spent := store.ConsoleSession{Kind: store.ConsoleAttempt, ExpiresAt: time.Now().Add(attemptLife)}
	switch err := a.Vault.InsertConsoleSession(ctx, spent, secret.New(account+"."+t.State), nil); {
	case errors.Is(err, fault.Conflict):
		return nil, &SignInStop{Cause: SignInAnswered, Retry: again, Err: err}
	case err != nil:
		return nil, err
	}
	if answer.Error != "" {
		return nil, &SignInStop{Cause: SignInRefused, Code: answer.Error, Retry: again, Err: errors.New(answer.Error + ": " + answer.ErrorDescription)}
	}
	claims, err := a.identify(ctx, p, m, answer.Code, *t)
	if err != nil {
		return nil, err
	}
	out, err := a.admit(ctx, c, p, claims, t.Next, nil)
	if err != nil {
		return nil, err
	}
	out.Spent = name
	return out, nil
}

// openAttempt opens the handle of an attempt; nil when it is none, or too old.
func (a *Admin) openAttempt(ctx context.Context, account, handle string) (*attempt, error) {
	if handle == "" || !iam.ValidAccount(account) {
		return nil, nil
	}
	text, ok, err := a.Vault.OpenHandle(ctx, account, attemptKind, handle)
	var t attempt
	if err != nil || !ok || json.Unmarshal(text, &t) != nil || time.Now().Unix() >= t.Expires {
		return nil, err
	}
	return &t, nil
}

// identify exchanges a code, once, and answers the claims of the ID token that came. Whatever else came is not kept.
func (a *Admin) identify(ctx context.Context, p store.SignInProvider, m oauth.Metadata, code secret.String, t attempt) (map[string]any, error) {
	e, err := a.signInEndpoint(ctx, p, m, m.TokenEndpoint)
	if err != nil {
		return nil, err
	}
	token, err := a.Codes.ExchangeCode(ctx, e, oauth.CodeGrant{Code: code, Verifier: secret.New(t.Verifier), RedirectURI: a.redirectURI(p)})
	if err != nil {
		return nil, a.notExchanged(p, err)
	}
	stop := &SignInStop{Cause: SignInRefused, Retry: SignInPath(p.Account, p.Name)}
	if token.IDToken.IsZero() {
		stop.Err = errors.New("the issuer's answer has no id_token")
		return nil, stop
	}
	claims, err := a.IDTokens.VerifyIDToken(ctx, workload.IDToken{Token: token.IDToken, Issuer: p.Issuer, ClientID: p.ClientID, Nonce: t.Nonce})
	if err != nil {
		stop.Err = err
		if fault.KindOf(err) == fault.Throttled {
			stop.Cause = SignInAway
		}
		return nil, stop
	}
	return claims, nil
}

// choice is what a browser's handle stands for while its person picks a role.
type choice struct {
	Claims map[string]any `json:"claims"`
	Next   string         `json:"next,omitempty"`
}

// candidate is a role that trusts somebody.
type candidate struct {
	session  session
	decision iam.Decision
}

// admit begins the session of whom claims are, if one role trusts them, or the one that he picked; of several, one has to be picked.
func (a *Admin) admit(ctx context.Context, c iam.Caller, p store.SignInProvider, claims map[string]any, next string, pick func(role string) bool) (*SignedIn, error) {
	c.Account, c.ARN = p.Account, webIdentity(claims)
	found, err := a.candidates(ctx, c, p, claims)
	if err != nil {
		return nil, err
	}
	if pick != nil {
		found = slices.DeleteFunc(found, func(f candidate) bool { return !pick(f.session.role.Name) })
	}
	switch len(found) {
	case 0:
		s := SignInStop{Cause: SignInNobody}
		s.Issuer, s.Subject = p.Issuer, text(claims, "sub")
		r := access.Request{Action: iam.SignIn, Resources: []string{a.signInProviderARN(p.Account, p.Name)}}
		c.Session = &iam.Session{Issuer: s.Issuer, Subject: s.Subject}
		return nil, a.Gate.AllowStranger(c, r, iam.Decision{Missing: iam.Trust}, &s)
	case 1:
		return a.beginConsoleSession(ctx, c, p, found[0], next)
	}
	content, err := json.Marshal(choice{claims, next})
	if err != nil {
		return nil, err
	}
	handle := vault.NewConsoleHandle(p.Account)
	n := store.ConsoleSession{Kind: store.ConsoleChoice, Provider: p.Name, ProviderIncarnation: p.Incarnation, ExpiresAt: time.Now().Add(attemptLife)}
	if err := a.Vault.InsertConsoleSession(ctx, n, handle, content); err != nil {
		return nil, err
	}
	return &SignedIn{Keep: SignInCookie{ChoiceCookie, handle, attemptLife}, Choose: true}, nil
}

// candidates are the roles of the account that trust whom claims are, by name.
func (a *Admin) candidates(ctx context.Context, c iam.Caller, p store.SignInProvider, claims map[string]any) ([]candidate, error) {
	roles, err := a.Store.Roles(ctx, p.Account)
	if err != nil {
		return nil, err
	}
	tags, err := tagsOfToken(claims)
	if err != nil {
		return nil, &SignInStop{Cause: SignInRefused, Err: err}
	}
	var found []candidate
	for _, r := range roles {
		trust, err := iam.ParseTrustPolicy(p.Account, []byte(r.TrustPolicy), iam.Subjects(r.EverySubject))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(trust.SignInIssuers(), p.Issuer) {
			continue
		}
		s := session{role: r, name: sessionName(claims), most: maxSession(r), issuer: p.Issuer, subject: text(claims, "sub"), sourceIdentity: text(claims, claimSourceIdentity), tags: tags}
		d := trust.Evaluate(&iam.TrustRequest{
			Claims: claims, SignIn: true, SessionName: s.name, SourceIdentity: s.sourceIdentity, Tags: tags, SourceIP: c.SourceIP, Secure: c.Secure, Region: a.ARNs.Region,
		})
		if d.Allowed {
			found = append(found, candidate{s, d})
		}
	}
	return found, nil
}

// sessionName is a name for the session of whom claims are: his address, if his issuer verified it, or his subject, in what such names are made of. It proves nothing.
func sessionName(claims map[string]any) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+=,.@-", r)) {
			return r
		}
		return '-'
	}, cmp.Or(text(claims, "email"), text(claims, "sub")))
	if len(name) < 2 {
		name = "person-" + name
	}
	return name[:min(len(name), 64)]
}

func text(claims map[string]any, claim string) string {
	s, _ := claims[claim].(string)
	return s
}

// consoleContent is what the handle of a session stands for.
type consoleContent struct {
	AccessKeyID string `json:"k"`
	Token       string `json:"t,omitempty"` // of a role session; "" of a user
}

// beginConsoleSession begins a role session, and a new handle for it: one that somebody could have given the browser before is worth nothing.
func (a *Admin) beginConsoleSession(ctx context.Context, c iam.Caller, p store.SignInProvider, as candidate, next string) (*SignedIn, error) {
	credentials, err := a.beginSession(ctx, c, iam.SignIn, as.session, as.decision)
	if err != nil {
		return nil, err
	}
	n := store.ConsoleSession{Kind: store.ConsoleSignedIn, Provider: p.Name, ProviderIncarnation: p.Incarnation, ExpiresAt: credentials.Expires}
	return a.keepConsoleSession(ctx, p.Account, n, consoleContent{credentials.ID, credentials.Token.Reveal()}, next)
}

func (a *Admin) keepConsoleSession(ctx context.Context, account string, n store.ConsoleSession, of consoleContent, next string) (*SignedIn, error) {
	content, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	handle := vault.NewConsoleHandle(account)
	if err := a.Vault.InsertConsoleSession(ctx, n, handle, content); err != nil {
		return nil, err
	}
	if next == "" {
		next = ConsolePath
	}
	return &SignedIn{Keep: SignInCookie{SessionCookie, handle, time.Until(n.ExpiresAt)}, Next: next, Expires: n.ExpiresAt}, nil
}

// webIdentity is how the audit log names whoever an issuer vouches for.
func webIdentity(claims map[string]any) string {
	return "web-identity:" + strconv.Quote(text(claims, "iss")) + " " + strconv.Quote(text(claims, "sub"))
}

// RoleChoice is what a person may pick from.
type RoleChoice struct {
	Account, Issuer, Subject string
	Roles                    []string
}

// RoleChoices are the roles that the person may pick from whose browser has a handle.
func (a *Admin) RoleChoices(ctx context.Context, c iam.Caller, handle secret.String) (*RoleChoice, error) {
	p, chosen, err := a.openChoice(ctx, handle)
	if err != nil {
		return nil, err
	}
	found, err := a.candidates(ctx, c, p, chosen.Claims)
	if err != nil {
		return nil, err
	}
	out := &RoleChoice{Account: p.Account, Issuer: p.Issuer, Subject: text(chosen.Claims, "sub")}
	for _, f := range found {
		out.Roles = append(out.Roles, f.session.role.Name)
	}
	return out, nil
}

// PickRole begins the session of the role that a person picks, if it trusts him still. It can be done once.
func (a *Admin) PickRole(ctx context.Context, c iam.Caller, handle secret.String, role string) (*SignedIn, error) {
	p, chosen, err := a.openChoice(ctx, handle)
	if err != nil {
		return nil, err
	}
	if err := a.Vault.EndConsoleSession(handle); err != nil {
		return nil, stopUnknown(err)
	}
	out, err := a.admit(ctx, c, p, chosen.Claims, chosen.Next, func(name string) bool { return name == role })
	if err != nil {
		return nil, err
	}
	out.Spent = ChoiceCookie
	return out, nil
}

func (a *Admin) openChoice(ctx context.Context, handle secret.String) (p store.SignInProvider, chosen choice, err error) {
	n, content, err := a.Vault.ConsoleSession(ctx, handle, store.ConsoleChoice)
	if err != nil {
		return p, chosen, stopUnknown(err)
	}
	if err := json.Unmarshal(content, &chosen); err != nil {
		return p, chosen, err
	}
	p, err = a.Store.SignInProvider(ctx, n.Account, n.Provider)
	return p, chosen, stopUnknown(err)
}

// stopUnknown makes what is not there a stop.
func stopUnknown(err error) error {
	if errors.Is(err, fault.NotFound) {
		return &SignInStop{Cause: SignInUnknown, Err: err}
	}
	return err
}

// LocalPath is a path below the console that somebody may be sent to; "" for any other text.
func LocalPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(next, ConsolePath) || strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r == '\\' || r > '~' }) ||
		strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/.") {
		return ""
	}
	return next
}
