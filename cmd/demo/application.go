package main

import (
	"html/template"
	"net/http"
)

// application is where the agent lives and its users are signed in. It shows one page: the one that a browser comes back to.
type application struct {
	returned chan returned
}

// returned is a browser that came back, with what Credence gave it, and the way to tell it how things went.
type returned struct {
	sessionID string
	problem   string // the vendor's error
	done      chan error
}

// userID is who is signed in to the application in the browser that comes back. A real one takes it from its own session cookie, never from the address.
const userID = "alice"

var returnPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title>
<style>
:root { color-scheme: light dark; --back: #f2f4f8; --card: #fff; --text: #1b2331; --soft: #566074; --line: #d8dee8 }
@media (prefers-color-scheme: dark) { :root { --back: #10141c; --card: #1a202c; --text: #e8ecf4; --soft: #a4aec0; --line: #3a4457 } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; box-sizing: border-box; background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 26rem; padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: 1rem; overflow-wrap: anywhere }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25 } p { margin: 0; color: var(--soft) }
</style></head><body><main><h1>{{.Title}}</h1><p>{{.Text}}</p></main></body></html>`))

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/connected" {
		http.NotFound(w, r)
		return
	}
	b := returned{sessionID: r.FormValue("session_id"), problem: r.FormValue("error"), done: make(chan error, 1)}
	select {
	case a.returned <- b:
	default: // reloaded; the first one counts
		b.done <- nil
	}
	page := struct{ Title, Text string }{"Your calendar is connected", "You can close this page. The agent goes on in the terminal."}
	switch err := <-b.done; {
	case b.problem != "":
		page.Title, page.Text = "Your calendar is not connected", "Acme Calendar said: "+b.problem+". The demo has ended; run it again to consent."
	case err != nil:
		page.Title, page.Text = "Your calendar is not connected", err.Error()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = returnPage.Execute(w, page)
}
