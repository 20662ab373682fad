package fakeidp

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Quirks are ways of real vendors that no RFC has.
type Quirks struct {
	ScopeSeparator  string     // of scope in requests; "" is a space
	AuthorizeNeeds  url.Values // the authorization endpoint answers invalid_request without these parameters
	OfflineNeeds    url.Values // a refresh token comes only of an authorization request with these parameters
	HeaderNeeds     string     // the token endpoint answers 429 to a request without this header, or with that of a mere HTTP library
	JSONRequests    bool       // the token endpoint takes a JSON object, no form
	M2MGrantType    string     // instead of client_credentials
	M2MNeeds        string     // a parameter without which the client itself gets nothing
	ErrorsAre200    bool       // refusals come with the status 200
	OKMember        bool       // every JSON answer says "ok": whether it is a success
	NestedUserToken bool       // a token that no scope was asked for stands in authed_user
}

// readJSON makes a form of a JSON body, so that the rest need not know. A body that is no object of strings is left alone.
func readJSON(r *http.Request) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return
	}
	var members map[string]string
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &members) != nil {
		return
	}
	for name, value := range members {
		r.PostForm.Set(name, value)
	}
}

// checkToken refuses a token request that has not the form which the vendor wants.
func (q Quirks) checkToken(r *http.Request) *refusal {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if want := map[bool]string{true: "application/json", false: "application/x-www-form-urlencoded"}[q.JSONRequests]; mediaType != want {
		return &refusal{code: "invalid_request", description: "the body must be " + want}
	}
	if value := r.Header.Get(q.HeaderNeeds); q.HeaderNeeds != "" && (value == "" || strings.HasPrefix(value, "Go-http-client")) {
		return &refusal{http.StatusTooManyRequests, "too_many_requests", "the header " + q.HeaderNeeds + " must say who asks"}
	}
	return nil
}

// has reports whether parameters have all that are needed.
func has(parameters, needed url.Values) bool {
	for name, values := range needed {
		if parameters.Get(name) != values[0] {
			return false
		}
	}
	return true
}

func (q Quirks) scopes(text string) []string {
	if q.ScopeSeparator == "" {
		return strings.Fields(text)
	}
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(q.ScopeSeparator, r) })
}

// reword changes a JSON answer's members and status.
func (q Quirks) reword(status int, members map[string]any) (int, map[string]any) {
	success := status == http.StatusOK && members["error"] == nil
	if q.NestedUserToken && success && members["scope"] == "" {
		members = map[string]any{"authed_user": members}
	}
	if q.OKMember {
		members["ok"] = success
	}
	if q.ErrorsAre200 && status < 500 && status != http.StatusTooManyRequests {
		status = http.StatusOK
	}
	return status, members
}
