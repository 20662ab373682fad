// Package consent is the door for browsers: the authorize endpoint that a user is sent to, and the callbacks that vendors send them back to.
//
// Vendors fetch here, too, what a client says of itself whose id is a URL.
//
// It protects people in the middle of a consent: no page can be framed, cached, scripted or leak its address onwards, and an answer from
// a browser that did not ask changes nothing. It decides nothing itself.
package consent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"credence/internal/broker"
	"credence/internal/edge/door"
	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/telemetry"
)

// Authorizations is what the door calls; *broker.Broker is one. Errors that a person can act on are *broker.Interruption.
type Authorizations interface {
	OpenAuthorization(ctx context.Context, requestURI, attemptID string, cookie func(name string) string) (*broker.Opening, error)
	FinishAuthorization(ctx context.Context, callbackID, query string, cookie func(name string) string) (*broker.Closing, error)
	ClientMetadata(ctx context.Context, callbackID string) (oauth.ClientMetadata, error)
}

// Config is what the door is made of.
type Config struct {
	Authorizations Authorizations
	Secure         bool // browsers come over https
	Log            *slog.Logger
	Tracer         *telemetry.Tracer // nil makes no spans
}

// Door answers browsers.
type Door struct{ Config }

// New makes the door.
func New(cfg Config) *Door { return &Door{cfg} }

// ServeHTTP tells the endpoints apart by the path as it came: http.ServeMux would answer an untidy one itself, without the headers that protect.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	door.ProtectPage(w, contentSecurityPolicy)
	path := r.URL.EscapedPath()
	if id, ok := strings.CutPrefix(path, "/identities/oauth2/callback/"); ok {
		d.serve(w, r, "callback", func(ctx context.Context) error { return d.callback(ctx, w, r, id) })
	} else if id, ok := strings.CutPrefix(path, "/identities/oauth2/client/"); ok {
		d.serve(w, r, "client", func(ctx context.Context) error { return d.client(ctx, w, id) })
	} else if path == "/identities/oauth2/authorize" {
		d.serve(w, r, "authorize", func(ctx context.Context) error { return d.authorize(ctx, w, r) })
	} else {
		_, _ = d.interrupt(r.Context(), w, "none", &broker.Interruption{Cause: broker.CauseUnknown})
	}
}

// serve takes a browser through one endpoint, in a span that has its name and never an address. It begins a trace: what a browser brings along is a stranger's.
func (d *Door) serve(w http.ResponseWriter, r *http.Request, endpoint string, step func(context.Context) error) {
	ctx, span := d.Tracer.Request(r.Context(), endpoint, time.Now(), "")
	whose, kind := telemetry.NoError, ""
	if err := step(ctx); err != nil {
		whose, kind = d.interrupt(ctx, w, endpoint, err)
	}
	span.End(whose, kind)
}

func (d *Door) authorize(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	o, err := d.Authorizations.OpenAuthorization(ctx, q.Get("request_uri"), q.Get("attempt"), cookies(r))
	if err != nil {
		return err
	}
	if o.Cookie != nil {
		http.SetCookie(w, d.cookie(o.Cookie.Name, o.Cookie.Value, o.Cookie.Life))
	}
	if o.Confirm != nil {
		d.show(w, http.StatusOK, confirmation(*o.Confirm))
		return nil
	}
	if o.Device != nil {
		// The page has no script: the browser asks again by itself, with the cookie that proves that it is the one that saw the page.
		w.Header().Set("Refresh", strconv.Itoa(int(o.Device.After/time.Second))+"; url="+o.Device.Reload)
		d.show(w, http.StatusOK, deviceCode(*o.Device))
		return nil
	}
	redirect(w, o.Location)
	return nil
}

func (d *Door) callback(ctx context.Context, w http.ResponseWriter, r *http.Request, id string) error {
	c, err := d.Authorizations.FinishAuthorization(ctx, id, r.URL.RawQuery, cookies(r))
	if err != nil {
		return err
	}
	http.SetCookie(w, d.cookie(c.Spent, "", -time.Second))
	redirect(w, c.Location)
	return nil
}

// clientAge is how long a vendor may keep a client's document.
const clientAge = 5 * time.Minute

// client answers a vendor with the document of a client whose id is its URL (draft-ietf-oauth-client-id-metadata-document).
func (d *Door) client(ctx context.Context, w http.ResponseWriter, id string) error {
	m, err := d.Authorizations.ClientMetadata(ctx, id)
	if errors.Is(err, fault.NotFound) {
		return &broker.Interruption{Cause: broker.CauseUnknown}
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "max-age="+strconv.Itoa(int(clientAge/time.Second)))
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
	return nil
}

// redirect is http.Redirect without its body, which would repeat the address in a page.
func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
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

// interrupt shows why a browser cannot go on, and tells whose fault that is. The log has the cause, and never the query.
func (d *Door) interrupt(ctx context.Context, w http.ResponseWriter, endpoint string, err error) (whose telemetry.ErrorType, kind string) {
	id := uuid.NewString()
	i, ok := errors.AsType[*broker.Interruption](err)
	if !ok {
		d.Log.ErrorContext(ctx, "browser request failed", "id", id, "endpoint", endpoint, "cause", err.Error())
		d.show(w, http.StatusInternalServerError, failure(id))
		return telemetry.System, "internal"
	}
	attrs := []any{"id", id, "endpoint", endpoint, "why", string(i.Cause)}
	if i.Err != nil {
		attrs = append(attrs, "cause", i.Err.Error())
	}
	d.Log.InfoContext(ctx, "browser request interrupted", attrs...)
	p := interruptions[i.Cause]
	p.Reference, p.Link = id, i.Reopen
	if p.LinkText == "" {
		p.Link = ""
	}
	d.show(w, p.status, p)
	if i.Cause == broker.CauseVendorAway {
		return telemetry.System, string(i.Cause)
	}
	return telemetry.User, string(i.Cause)
}
