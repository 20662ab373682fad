package fakeidp

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const pushLifetime = time.Minute

// pushed is an authorization request that waits for its browser.
type pushed struct {
	form   url.Values
	expiry time.Time
}

// servePush is the pushed authorization request endpoint (RFC 9126 section 2).
func (v *Vendor) servePush(w http.ResponseWriter, r *http.Request) {
	b := v.snapshot()
	if !b.Pushed || b.PushStatus != 0 {
		status := b.PushStatus
		if !b.Pushed {
			status = http.StatusNotFound
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	requestURI, err := v.push(r)
	if err != nil {
		b.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": requestURI, "expires_in": int(pushLifetime / time.Second)})
}

func (v *Vendor) push(r *http.Request) (string, *refusal) {
	v.mu.Lock()
	client, err := v.authenticate(r)
	v.mu.Unlock()
	switch form := r.PostForm; {
	case err != nil:
		return "", err
	case form.Get("client_id") != client.ID:
		return "", &refusal{code: "invalid_request", description: "client_id is missing in the form, or another's"}
	case form.Has("request_uri"):
		return "", &refusal{code: "invalid_request", description: "request_uri cannot be pushed"}
	}
	if _, problem := v.callback(r.PostForm); problem != "" {
		return "", &refusal{code: "invalid_request", description: problem}
	}
	if err := checkAuthorization(r.PostForm); err != nil {
		return "", err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	requestURI := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	v.pushed[requestURI] = pushed{r.PostForm, time.Now().Add(pushLifetime)}
	return requestURI, nil
}

// request is what an authorization request says, wherever it says it; problem, when that is nowhere.
func (v *Vendor) request(query url.Values, b Behaviour) (_ url.Values, problem string) {
	requestURI := query.Get("request_uri")
	if requestURI == "" {
		if b.PushRequired {
			return nil, "authorization requests must be pushed"
		}
		return query, ""
	}
	for name := range query {
		if !slices.Contains([]string{"client_id", "request_uri"}, name) {
			return nil, "the browser brings a parameter beside client_id and request_uri: " + name
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.pushed[requestURI]
	if !ok || time.Now().After(p.expiry) || p.form.Get("client_id") != query.Get("client_id") {
		return nil, "request_uri is unknown, expired, used or another client's"
	}
	return p.form, ""
}

// answered ends a request_uri: it is good for one answer.
func (v *Vendor) answered(requestURI string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.pushed, requestURI)
}
