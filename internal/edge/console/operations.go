package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"credence/internal/admin"
	"credence/internal/fault"
	"credence/internal/secret"
)

// Operation is one row of the table.
type Operation struct {
	Name   string
	Method string
	Path   string // {label} is one segment
	// Action is what policies are asked about; "" where nobody is asked.
	Action   string
	Stranger bool // who comes has no session yet
	call     func(ctx context.Context, v *visit) error
}

const (
	signInPath     = "/console/sign-in"
	rolePath       = "/console/role"
	auditLogPath   = "/console/audit"
	grantListPath  = "/console/grants"
	signOutPath    = "/console/sign-out"
	breakGlassPath = "/console/break-glass"
)

// Operations are all of the door.
func Operations() []Operation {
	return []Operation{
		{Name: "ConsoleStart", Method: http.MethodGet, Path: "/console", Stranger: true, call: start},
		{Name: "ConsoleSignIn", Method: http.MethodGet, Path: signInPath, Stranger: true, call: signIn},
		{Name: "ConsoleBeginSignIn", Method: http.MethodGet, Path: signInPath + "/{account}/{provider}", Stranger: true, call: beginSignIn},
		{Name: "ConsoleFinishSignIn", Method: http.MethodGet, Path: admin.CallbackPath + "{account}/{provider}", Stranger: true, call: finishSignIn},
		{Name: "ConsoleRoles", Method: http.MethodGet, Path: rolePath, Stranger: true, call: roles},
		{Name: "ConsolePickRole", Method: http.MethodPost, Path: rolePath, Stranger: true, call: pickRole},
		{Name: "ConsoleBreakGlass", Method: http.MethodPost, Path: breakGlassPath, Action: "credence:BreakGlass", Stranger: true, call: breakGlass},

		{Name: "ConsoleHome", Method: http.MethodGet, Path: admin.ConsolePath, call: home},
		{Name: "ConsoleAudit", Method: http.MethodGet, Path: auditLogPath, Action: "credence:QueryAudit", call: auditLog},
		{Name: "ConsoleGrants", Method: http.MethodGet, Path: grantListPath, Action: "credence:ListGrants", call: grants},
		{Name: "ConsoleSignOut", Method: http.MethodPost, Path: signOutPath, call: signOut},
	}
}

// DefaultRates are how many requests a second one account may send of each operation, by name; of strangers, one address.
func DefaultRates() map[string]int {
	rates := map[string]int{}
	for _, op := range Operations() {
		rates[op.Name] = 20
	}
	rates["ConsoleBreakGlass"] = 2
	return rates
}

// labels reads those of a path, if it is one of the operation's.
func (op *Operation) labels(path string) (map[string]string, bool) {
	want, have := strings.Split(op.Path, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil, false
	}
	labels := map[string]string{}
	for i, w := range want {
		name, ok := strings.CutPrefix(w, "{")
		if !ok && w != have[i] {
			return nil, false
		}
		if ok {
			value, err := url.PathUnescape(have[i])
			if err != nil || value == "" {
				return nil, false
			}
			labels[strings.TrimSuffix(name, "}")] = value
		}
	}
	return labels, true
}

func start(_ context.Context, v *visit) error {
	v.redirect(admin.ConsolePath)
	return nil
}

// signIn shows where people begin who have no link, and what the form on it leads to.
func signIn(_ context.Context, v *visit) error {
	next := admin.LocalPath(v.form.Get("next"))
	if account, provider := strings.TrimSpace(v.form.Get("account")), strings.TrimSpace(v.form.Get("provider")); account != "" && provider != "" {
		to := signInPath + "/" + url.PathEscape(account) + "/" + url.PathEscape(provider)
		if next != "" {
			to += "?next=" + url.QueryEscape(next)
		}
		v.forward(to, "Signing in") // a page, since a form must lead to no other site
		return nil
	}
	v.show(http.StatusOK, page{Title: "Sign in to Credence", SignIn: &signInPage{Next: next}})
	return nil
}

func beginSignIn(ctx context.Context, v *visit) error {
	location, keep, err := v.Admin.BeginSignIn(ctx, v.labels["account"], v.labels["provider"], v.form.Get("next"))
	if err != nil {
		return err
	}
	v.keep(keep)
	v.redirect(location)
	return nil
}

func finishSignIn(ctx context.Context, v *visit) error {
	in, err := v.Admin.FinishSignIn(ctx, v.from, v.labels["account"], v.labels["provider"], v.r.URL.RawQuery, func(name string) string { return v.cookie(name).Reveal() })
	v.count("oidc", err)
	if err != nil {
		return err
	}
	v.enter(in)
	return nil
}

// enter gives a browser what it came for. It goes on from a page of ours: a redirect would still be the issuer's doing, and carry no strict cookie.
func (v *visit) enter(in *admin.SignedIn) {
	if in.Spent != "" {
		v.forget(in.Spent)
	}
	v.keep(in.Keep)
	if in.Choose {
		v.forward(rolePath, "Signing in")
		return
	}
	v.forward(in.Next, "You are signed in")
}

// roles shows what a person may pick from.
func roles(ctx context.Context, v *visit) error {
	choices, err := v.Admin.RoleChoices(ctx, v.from, v.cookie(admin.ChoiceCookie))
	if err != nil {
		return err
	}
	v.show(http.StatusOK, page{Title: "As which role?", Choose: choices})
	return nil
}

func pickRole(ctx context.Context, v *visit) error {
	in, err := v.Admin.PickRole(ctx, v.from, v.cookie(admin.ChoiceCookie), v.form.Get("role"))
	if err != nil {
		return err
	}
	v.enter(in)
	return nil
}

func breakGlass(ctx context.Context, v *visit) error {
	in, err := v.Admin.BreakGlass(ctx, v.from, strings.TrimSpace(v.form.Get("access-key-id")), secret.New(strings.TrimSpace(v.form.Get("secret-access-key"))), v.form.Get("next"))
	v.count("break_glass", err)
	if err != nil {
		return err
	}
	v.enter(in)
	return nil
}

// count counts a sign-in by how it ended.
func (v *visit) count(kind string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = string(fault.KindOf(err))
		if stop, ok := stopOf(err); ok {
			outcome = string(stop.Cause)
		}
	}
	v.Metrics.SignIns.WithLabelValues(kind, outcome).Inc()
}

func signOut(ctx context.Context, v *visit) error {
	v.forget(admin.SessionCookie)
	if err := v.Admin.SignOut(ctx, v.session.Caller, v.handle); err != nil {
		return err
	}
	v.session = nil
	v.show(http.StatusOK, page{Title: "You are signed out", Message: &message{What: "Your session is over.", Link: signInPath, LinkText: "Sign in again"}})
	return nil
}
