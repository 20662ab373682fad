package fakeidp

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// loginPage posts to its own URL, so the authorization request in the query comes back with the decision.
var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en">
<title>Sign in to the fake vendor</title>
<h1>Sign in</h1>
<p>{{.ClientID}} asks for: {{.Scope}}</p>
<form method="post">
<p><label for="username">User name</label> <input id="username" name="username" value="{{.Subject}}" required autofocus></p>
<p><button id="approve" name="decision" value="approve">Approve</button> <button id="deny" name="decision" value="deny">Deny</button></p>
</form>
</html>
`))

// s256 is the form of a code challenge (RFC 7636 section 4.2): 32 bytes, base64url without padding.
var s256 = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// serveAuthorize is the authorization endpoint (RFC 6749 section 4.1.1). The request is in the query; a POST adds the decision of loginPage.
func (v *Vendor) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	b := v.snapshot()
	query, problem := v.request(r.URL.Query(), b)
	var callback *url.URL
	if problem == "" {
		callback, problem = v.callback(query)
	}
	if problem != "" {
		http.Error(w, problem, http.StatusBadRequest) // a page: an answer for a wrong client or redirect URI is sent nowhere
		return
	}
	subject := cmp.Or(b.Subject, "alice")
	err := checkAuthorization(query)
	if err == nil && !has(query, b.AuthorizeNeeds) {
		err = &refusal{code: "invalid_request", description: "a parameter is missing that this vendor needs"}
	}
	if err == nil {
		switch {
		case b.Deny != "":
			err = &refusal{code: b.Deny, description: "the vendor refused"}
		case r.Method == http.MethodPost:
			subject = cmp.Or(r.PostForm.Get("username"), subject)
			if r.PostForm.Get("decision") != "approve" {
				err = &refusal{code: "access_denied", description: "the user denied the request"}
			}
		case b.ShowLogin:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			_ = loginPage.Execute(w, map[string]string{"ClientID": query.Get("client_id"), "Scope": query.Get("scope"), "Subject": subject})
			return
		}
	}

	v.answered(r.URL.Query().Get("request_uri"))
	answer := callback.Query()
	if err != nil {
		answer.Set("error", err.code)
		answer.Set("error_description", err.description)
	} else {
		answer.Set("code", v.newCode(query, subject, b))
	}
	if query.Has("state") {
		answer.Set("state", query.Get("state"))
	}
	if !b.OmitIss {
		answer.Set("iss", cmp.Or(b.LieAboutIss, v.issuer))
	}
	callback.RawQuery = answer.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, callback.String(), http.StatusSeeOther)
}

// callback is where the answer goes, or the problem with it.
func (v *Vendor) callback(query url.Values) (_ *url.URL, problem string) {
	v.mu.Lock()
	client, ok := v.clients[query.Get("client_id")]
	v.mu.Unlock()
	if !ok {
		return nil, "client_id is unknown"
	}
	if len(query["client_id"]) > 1 || len(query["redirect_uri"]) > 1 {
		return nil, "client_id or redirect_uri comes more than once"
	}
	redirectURI := query.Get("redirect_uri")
	u, err := url.Parse(redirectURI)
	if err != nil || !u.IsAbs() || u.Fragment != "" {
		return nil, "redirect_uri is no absolute URI without a fragment"
	}
	if len(client.RedirectURIs) > 0 && !slices.Contains(client.RedirectURIs, redirectURI) {
		return nil, "redirect_uri is not registered for this client"
	}
	return u, ""
}

func checkAuthorization(query url.Values) *refusal {
	if err := checkUnique(query); err != nil {
		return err
	}
	if query.Get("response_type") != "code" {
		return &refusal{code: "unsupported_response_type", description: "response_type must be code"}
	}
	if query.Get("code_challenge_method") != "S256" || !s256.MatchString(query.Get("code_challenge")) {
		return &refusal{code: "invalid_request", description: "PKCE is required: code_challenge_method S256 and its code_challenge"}
	}
	return checkResources(query["resource"])
}

// newCode makes the grant and the code that stands for it.
func (v *Vendor) newCode(query url.Values, subject string, b Behaviour) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	value := v.secretValue("code")
	v.codes[value] = &code{
		family:      v.newFamily(query.Get("client_id"), subject, b.scopes(query.Get("scope")), query["resource"]),
		redirectURI: query.Get("redirect_uri"),
		challenge:   query.Get("code_challenge"),
		nonce:       query.Get("nonce"),
		thumbprint:  query.Get("dpop_jkt"),
		expiry:      time.Now().Add(cmp.Or(b.CodeLifetime, 10*time.Minute)),
		offline:     has(query, b.OfflineNeeds),
	}
	return value
}

// checkUnique refuses parameters that come twice (RFC 6749 section 3.1), but for those that other RFCs let repeat.
func checkUnique(parameters url.Values) *refusal {
	for name, values := range parameters {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return &refusal{code: "invalid_request", description: "a parameter comes more than once: " + name}
		}
	}
	return nil
}

// checkResources refuses what is no resource indicator: an absolute URI without a fragment (RFC 8707 section 2).
func checkResources(resources []string) *refusal {
	for _, resource := range resources {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || u.Fragment != "" {
			return &refusal{code: "invalid_target", description: "resource must be an absolute URI without a fragment"}
		}
	}
	return nil
}
