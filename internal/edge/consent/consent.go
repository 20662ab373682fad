// Package consent is the door for browsers: the authorize endpoint that a user is sent to, and the callbacks that vendors send them back to.
//
// It protects people in the middle of a consent: no page can be framed, cached, scripted or leak its address onwards, and an answer from
// a browser that did not ask changes nothing. It decides nothing itself.
package consent

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"credence/internal/broker"
)

// Authorizations is what the door calls; *broker.Broker is one. Errors that a person can act on are *broker.Interruption.
type Authorizations interface {
	OpenAuthorization(ctx context.Context, requestURI, attemptID string, cookie func(name string) string) (*broker.Opening, error)
	FinishAuthorization(ctx context.Context, callbackID, query string, cookie func(name string) string) (*broker.Closing, error)
}

// Config is what the door is made of.
type Config struct {
	Authorizations Authorizations
	Secure         bool // browsers come over https
	Log            *slog.Logger
}

// Door answers browsers.
type Door struct{ Config }

// New makes the door.
func New(cfg Config) *Door { return &Door{cfg} }

// ServeHTTP tells the two endpoints apart by the path as it came: http.ServeMux would answer an untidy one itself, without the headers that protect.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w)
	path := r.URL.EscapedPath()
	if id, ok := strings.CutPrefix(path, "/identities/oauth2/callback/"); ok {
		d.callback(w, r, id)
	} else if path == "/identities/oauth2/authorize" {
		d.authorize(w, r)
	} else {
		d.interrupt(w, "none", &broker.Interruption{Cause: broker.CauseUnknown})
	}
}

func (d *Door) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	o, err := d.Authorizations.OpenAuthorization(r.Context(), q.Get("request_uri"), q.Get("attempt"), cookies(r))
	if err != nil {
		d.interrupt(w, "authorize", err)
		return
	}
	if o.Cookie != nil {
		http.SetCookie(w, d.cookie(o.Cookie.Name, o.Cookie.Value, o.Cookie.Life))
	}
	if o.Confirm != nil {
		d.show(w, http.StatusOK, confirmation(*o.Confirm))
		return
	}
	redirect(w, o.Location)
}

func (d *Door) callback(w http.ResponseWriter, r *http.Request, id string) {
	c, err := d.Authorizations.FinishAuthorization(r.Context(), id, r.URL.RawQuery, cookies(r))
	if err != nil {
		d.interrupt(w, "callback", err)
		return
	}
	http.SetCookie(w, d.cookie(c.Spent, "", -time.Second))
	redirect(w, c.Location)
}

// redirect is http.Redirect without its body, which would repeat the address in a page.
func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// protect sets the headers of every answer to a browser, redirects included: the address holds the vendor's code, and goes nowhere else.
func protect(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
}

func cookies(r *http.Request) func(string) string {
	return func(name string) string {
		c, err := r.Cookie(name)
		if err != nil {
			return ""
		}
		return c.Value
	}
}

// cookie is for this host only; Lax, since the vendor's redirect has to bring it back.
func (d *Door) cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: d.Secure, SameSite: http.SameSiteLaxMode,
	}
}

// interrupt shows why a browser cannot go on. The log has the cause, and never the query.
func (d *Door) interrupt(w http.ResponseWriter, endpoint string, err error) {
	id := uuid.NewString()
	i, ok := errors.AsType[*broker.Interruption](err)
	if !ok {
		d.Log.Error("browser request failed", "id", id, "endpoint", endpoint, "cause", err.Error())
		d.show(w, http.StatusInternalServerError, failure(id))
		return
	}
	attrs := []any{"id", id, "endpoint", endpoint, "why", string(i.Cause)}
	if i.Err != nil {
		attrs = append(attrs, "cause", i.Err.Error())
	}
	d.Log.Info("browser request interrupted", attrs...)
	p := interruptions[i.Cause]
	p.Reference, p.Link = id, i.Reopen
	if p.LinkText == "" {
		p.Link = ""
	}
	d.show(w, p.status, p)
}
