package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"credence/internal/secret"
)

// page is what the templates show.
type page struct {
	Title    string
	ID       string // of the sign-in, which the forms send back
	ClientID string
	User     string
	Problem  string // what was wrong with the form
	Scopes   []scope
}

// addPages adds what a person sees between the authorization request and the way back to the client: sign in, then allow or deny.
func (a *authServer) addPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /login", a.withPending(a.showLogin))
	mux.HandleFunc("POST /login", a.withPending(a.login))
	mux.HandleFunc("GET /consent", a.withPending(a.showConsent))
	mux.HandleFunc("POST /consent", a.withPending(a.consent))
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = io.WriteString(w, style)
	})
}

// withPending finds the sign-in that a request is about and calls step with a.mu held.
func (a *authServer) withPending(step func(w http.ResponseWriter, r *http.Request, id string, auth authorization)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("id") // reads the body, so before the lock
		a.mu.Lock()
		defer a.mu.Unlock()
		dropExpired(a.pending)
		auth, ok := a.pending[id]
		if !ok {
			show(w, http.StatusNotFound, "over", page{Title: "This sign-in is over"})
			return
		}
		step(w, r, id, auth)
	}
}

func (a *authServer) showLogin(w http.ResponseWriter, _ *http.Request, id string, auth authorization) {
	show(w, http.StatusOK, "login", page{Title: "Sign in", ID: id, ClientID: a.clientID, User: cmp.Or(auth.subject, "alice")})
}

func (a *authServer) login(w http.ResponseWriter, r *http.Request, id string, auth authorization) {
	auth.subject = strings.TrimSpace(r.PostFormValue("user"))
	var problem string
	switch {
	case auth.subject == "":
		problem = "Type a user name."
	case utf8.RuneCountInString(auth.subject) > 64:
		problem = "Type a shorter user name, of at most 64 letters."
	case auth.subject == a.clientID: // a client and a user must never be the same subject
		problem = "This name belongs to an application. Type another."
	}
	if problem != "" {
		show(w, http.StatusUnprocessableEntity, "login", page{Title: "Sign in", ID: id, ClientID: a.clientID, User: auth.subject, Problem: problem})
		return
	}
	a.pending[id] = auth
	http.Redirect(w, r, "/consent?id="+id, http.StatusSeeOther)
}

func (a *authServer) showConsent(w http.ResponseWriter, r *http.Request, id string, auth authorization) {
	if auth.subject == "" {
		http.Redirect(w, r, registeredClient{}.LoginURL(id), http.StatusSeeOther)
		return
	}
	show(w, http.StatusOK, "consent", page{Title: "Share your calendar?", ID: id, ClientID: a.clientID, User: auth.subject, Scopes: auth.scopes})
}

func (a *authServer) consent(w http.ResponseWriter, r *http.Request, id string, auth authorization) {
	if auth.subject == "" {
		http.Redirect(w, r, registeredClient{}.LoginURL(id), http.StatusSeeOther)
		return
	}
	delete(a.pending, id)
	var answer any
	if r.PostFormValue("decision") == "allow" {
		code := rand.Text()
		auth.expires = time.Now().Add(requestLifetime)
		a.codes[secret.New(code)] = auth
		answer = op.CodeResponseType{Code: code, State: auth.state}
	} else {
		denied := oidc.ErrAccessDenied()
		denied.State = auth.state
		answer = denied
	}
	location, err := auth.back(answer)
	if err != nil {
		http.Error(w, "the redirect URI of the client is no URL", http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, location, http.StatusSeeOther)
}

// show renders a whole page before it sends the first byte.
func show(w http.ResponseWriter, status int, name string, p page) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, p); err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// No form-action: browsers hold the redirect that answers a form against it, and ours leads to the client.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

var pages = template.Must(template.New("").Parse(`
{{- define "top" -}}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} · Acme Calendar</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<p class="brand">
<svg viewBox="0 0 24 24" aria-hidden="true"><rect x="2" y="4" width="20" height="18" rx="4"/><path d="M7 2v4M17 2v4"/><path d="M8 14.5l3 3 5-6"/></svg>
Acme Calendar
</p>
<h1>{{.Title}}</h1>
{{end}}

{{- define "bottom"}}
</main>
<footer>Acme Calendar is a demo: nothing here is real.</footer>
</body>
</html>
{{end}}

{{- define "login"}}{{template "top" .}}
<p>to continue to <strong>{{.ClientID}}</strong></p>
<form method="post" action="/login">
<input type="hidden" name="id" value="{{.ID}}">
<label for="user">User name</label>
<input id="user" name="user" value="{{.User}}" maxlength="64" required autofocus autocomplete="username" autocapitalize="none" spellcheck="false"
 aria-describedby="hint"{{if .Problem}} aria-invalid="true"{{end}}>
{{if .Problem}}<p id="hint" class="hint problem" role="alert">{{.Problem}}</p>
{{else}}<p id="hint" class="hint">Any name will do, and there is no password.</p>
{{end}}<div class="actions"><button class="primary">Continue</button></div>
</form>
{{template "bottom"}}{{end}}

{{- define "consent"}}{{template "top" .}}
<p><strong>{{.ClientID}}</strong> asks to:</p>
<ul>
{{range .Scopes}}<li>{{.Meaning}}<code>{{.Name}}</code></li>
{{end}}</ul>
<form method="post" action="/consent">
<input type="hidden" name="id" value="{{.ID}}">
<div class="actions">
<button class="primary" name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</div>
</form>
<p class="hint">You are signed in as <strong>{{.User}}</strong>. <a href="/login?id={{.ID}}">Use another name</a></p>
{{template "bottom"}}{{end}}

{{- define "over"}}{{template "top" .}}
<p>It was completed already, or it waited for more than ten minutes. Go back to the application and start again.</p>
{{template "bottom"}}{{end}}`))

const style = `
:root {
	color-scheme: light dark;
	--back: #f2f4f8; --card: #fff; --line: #d8dee8; --edge: #8390a7; --text: #1b2331; --soft: #566074; --accent: #1f5fd6; --on-accent: #fff; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
	:root { --back: #10141c; --card: #1a202c; --line: #3a4457; --edge: #6d7a93; --text: #e8ecf4; --soft: #a4aec0; --accent: #8ab4ff; --on-accent: #0d1b36; --bad: #ff9d94; }
}
* { box-sizing: border-box; }
body {
	margin: 0; min-height: 100vh; padding: 1rem; display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 1rem;
	background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
}
main {
	width: 100%; max-width: 26rem; padding: clamp(1.5rem, 6vw, 2.5rem); overflow-wrap: anywhere;
	background: var(--card); border: 1px solid var(--line); border-radius: 1rem; box-shadow: 0 .5rem 2rem rgb(0 0 0 / .08);
}
.brand { display: flex; align-items: center; gap: .5rem; margin: 0 0 1.5rem; font-weight: 600; }
.brand svg { width: 1.75rem; height: 1.75rem; fill: none; stroke: var(--accent); stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
main > :last-child { margin-bottom: 0; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; }
h1 + p { margin: .25rem 0 1.25rem; color: var(--soft); }
h1 + p strong { color: var(--text); }
label { display: block; margin-bottom: .375rem; font-weight: 600; }
input:not([type=hidden]), button {
	width: 100%; padding: .7rem .875rem; font: inherit; color: inherit;
	border: 1px solid var(--edge); border-radius: .5rem; background: transparent;
}
input[aria-invalid] { border-color: var(--bad); }
ul { margin: 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: .75rem; }
li { padding: .75rem 1rem; }
li + li { border-top: 1px solid var(--line); }
code { display: block; color: var(--soft); font-size: .8125rem; }
.hint { margin: .5rem 0 0; font-size: .875rem; color: var(--soft); }
.problem { color: var(--bad); }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.5rem 0 0; }
button { flex: 1 1 8rem; font-weight: 600; cursor: pointer; }
button:hover { border-color: var(--accent); }
.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.primary:hover { filter: brightness(1.08); }
a { color: var(--accent); }
form + .hint { margin-top: 1.25rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
footer { color: var(--soft); font-size: .8125rem; text-align: center; }
`
