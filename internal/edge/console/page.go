package console

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"time"

	"credence/internal/admin"
	"credence/internal/edge/door"
	"credence/internal/fault"
	"credence/internal/telemetry"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed console.css
	consoleCSS template.CSS

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		"style": door.PageStyle, "more": func() template.CSS { return consoleCSS }, "utc": utc, "words": words,
	}).Parse(pageHTML))

	contentSecurityPolicy = door.PagePolicy("'self'", door.PageStyle(), consoleCSS)
)

// words are those of the name of an action, which is one long word, and the prefix of its service: where a line may break.
func words(action string) (all []string) {
	start := 0
	for i := 1; i < len(action); i++ {
		if action[i-1] == ':' || action[i] >= 'A' && action[i] <= 'Z' && action[i-1] >= 'a' && action[i-1] <= 'z' {
			all, start = append(all, action[start:i]), i
		}
	}
	return append(all, action[start:])
}

// utc is a time as pages write it.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// page is one page; one of its pointers says what is on it.
type page struct {
	Title   string
	Session *admin.ConsoleSession // of whom it is for; nil: of a stranger
	At      string                // path, for the navigation

	Message *message
	SignIn  *signInPage
	Choose  *admin.RoleChoice
	Home    *homePage
	Audit   *auditPage
	Grants  *grantsPage
}

// message says what happened, and what to do.
type message struct{ What, Do, Link, LinkText, Reference string }

type signInPage struct{ Next string }

func (v *visit) show(status int, p page) {
	p.Session, p.At = v.session, v.r.URL.Path
	v.status = door.WritePage(v.w, v.Log, status, pageTemplate, p)
}

// forward has a browser go on by itself, from a page of ours.
func (v *visit) forward(to, title string) {
	v.w.Header().Set("Refresh", "0; url="+to)
	v.show(http.StatusOK, page{Title: title, Message: &message{Link: to, LinkText: "Continue"}})
}

// stops are the pages for what can come between.
var stops = map[admin.SignInCause]struct {
	status          int
	title, what, do string
}{
	admin.SignInUnknown: {http.StatusNotFound, "This link is not known", "It may be incomplete, or from too long ago.", "Ask whoever looks after the account for the link by which to sign in."},
	admin.SignInForeign: {http.StatusBadRequest, "Please start again in this browser",
		"The answer came to a browser that did not ask, or more than ten minutes late. Nobody was signed in.", "If it was you who wanted to sign in, start again. If somebody sent you here, close this page."},
	admin.SignInAnswered:    {http.StatusGone, "This was already answered", "Each sign-in has one answer, and this one was used.", "Start again to sign in."},
	admin.SignInChanged:     {http.StatusGone, "This sign-in was changed", "Since you began, the people who look after the account have changed how to sign in.", "Ask them for the link."},
	admin.SignInWrongIssuer: {http.StatusBadRequest, "The answer came from another server", "Another server than the one that you were sent to gave the answer. Nobody was signed in.", "You can try again. If this page comes back, tell the people who look after the account."},
	admin.SignInAway:        {http.StatusServiceUnavailable, "The identity provider does not answer", "The server at which you sign in cannot be reached at the moment, or its answers are unusable.", "Wait a minute, then try again."},
	admin.SignInRefused:     {http.StatusForbidden, "The identity provider did not vouch for you", "Its answer cannot be accepted. Nobody was signed in.", "You can try again. If this page comes back, tell the people who look after the account, and give them the reference below."},
	admin.SignInNobody:      {http.StatusForbidden, "You may not come in", "The identity provider knows you, but nobody has given you a role here.", "Show this page to the people who look after the account if that should be otherwise."},
	admin.SignInWrongKey:    {http.StatusForbidden, "This access key is not accepted", "The access key is unknown, inactive, or its secret is another one.", "Look at both again, and try once more."},
}

func stopOf(err error) (*admin.SignInStop, bool) { return errors.AsType[*admin.SignInStop](err) }

// fail shows why a browser cannot go on, and tells whose fault that is. The log has the cause, and never the query.
func (v *visit) fail(ctx context.Context, name string, err error) (whose telemetry.ErrorType, kind string) {
	id := v.from.RequestID
	if stop, ok := stopOf(err); ok {
		attrs := []any{"id", id, "operation", name, "why", string(stop.Cause)}
		if stop.Err != nil {
			attrs = append(attrs, "cause", stop.Err.Error())
		}
		v.Log.InfoContext(ctx, "sign-in stopped", attrs...)
		s := stops[stop.Cause]
		m := message{What: s.what, Do: s.do, Reference: id, Link: signInPath, LinkText: "Sign in"}
		if stop.Cause == admin.SignInNobody {
			m.What += " You are " + stop.Subject + " at " + stop.Issuer + "."
		}
		if stop.Code != "" {
			m.What += " It said: " + stop.Code + "."
		}
		if stop.Retry != "" {
			m.Link, m.LinkText = stop.Retry, "Try again"
		}
		v.show(s.status, page{Title: s.title, Message: &m})
		return telemetry.User, string(stop.Cause)
	}
	f := door.Fault(err)
	status, p := http.StatusInternalServerError, page{Title: "Something went wrong on our side", Message: &message{What: f.Msg, Reference: id}}
	switch f.Kind {
	case fault.AccessDenied:
		status, p.Title = http.StatusForbidden, "You may not do this"
	case fault.Validation:
		status, p.Title = http.StatusBadRequest, "This cannot be asked for"
	case fault.Throttled:
		status, p.Title = http.StatusTooManyRequests, "Too many requests"
	}
	if v.session == nil {
		p.Message.Link, p.Message.LinkText = signInPath, "Sign in"
	}
	v.show(status, p)
	door.LogRefusal(ctx, v.Log, id, name, status, f, 0)
	return door.ErrorType(f.Kind, status), string(f.Kind)
}
