package e2e

import (
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// application is the web application around an agent: it shows its user the link to connect an account, is where the browser comes back to, and completes
// the session for the user whose browser it knows.
type application struct {
	URL       string // another site than the server's, for a browser
	ReturnURL string

	mu       sync.Mutex
	link     string
	complete func(sessionURI string) error
	returns  []comeback
}

// comeback is one browser at the return URL.
type comeback struct {
	Query   url.Values
	Referer string
}

var applicationPages = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>{{.Heading}}</title>
<h1>{{.Heading}}</h1>
{{with .Link}}<p><a id="connect" href="{{.}}">Connect your account</a></p>{{end}}
{{with .Text}}<p id="text">{{.}}</p>{{end}}
{{with .Frame}}<iframe src="{{.}}" width="600" height="600"></iframe>{{end}}
</html>
`))

// startApplication serves an application until the test ends.
func startApplication(t testing.TB) *application {
	a := &application{}
	mux := http.NewServeMux()
	render := func(w http.ResponseWriter, page map[string]string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// The application leaks its own address on purpose: what the server does with a Referer must not depend on others.
		w.Header().Set("Referrer-Policy", "unsafe-url")
		if err := applicationPages.Execute(w, page); err != nil {
			t.Error(err)
		}
	}
	show := func(w http.ResponseWriter, heading, link, text string) {
		render(w, map[string]string{"Heading": heading, "Link": link, "Text": text})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		show(w, "Your agent", a.link, "")
	})
	mux.HandleFunc("GET /frame", func(w http.ResponseWriter, r *http.Request) {
		render(w, map[string]string{"Heading": "A page around another", "Frame": r.URL.Query().Get("of")})
	})
	mux.HandleFunc("GET /return", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.returns = append(a.returns, comeback{r.URL.Query(), r.Referer()})
		complete := a.complete
		a.mu.Unlock()
		q := r.URL.Query()
		if q.Has("error") {
			show(w, "not connected", "", q.Get("error")+": "+q.Get("error_description"))
			return
		}
		if err := complete(q.Get("session_id")); err != nil {
			show(w, "not connected", "", err.Error())
			return
		}
		show(w, "connected", "", "")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a.URL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	a.ReturnURL = a.URL + "/return"
	return a
}

// offer sets the link that the application shows, and who completes what comes back.
func (a *application) offer(link string, complete func(sessionURI string) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.link, a.complete = link, complete
}

// seen are the browsers that came back so far.
func (a *application) seen() []comeback {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.returns[:len(a.returns):len(a.returns)]
}
