package fakeidp

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
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
	// NoClientExchange: token exchanges have no client authentication, and are refused with one.
	NoClientExchange bool
	// OnBehalfOf: the JWT grant is Entra's on-behalf-of flow. It wants requested_token_use and a JWT whose audience is the client, and no resource.
	OnBehalfOf bool
	Revoking   Revoking
}

// Revoking is how a vendor takes revocations, to the letter: a request that has anything else is refused.
type Revoking struct {
	At        string // method and path below the issuer; "" is POST /revoke
	Auth      string // Basic, Post, ByID, ByToken or ByNobody; "" is Basic or Post
	Parameter string // that holds the token; "" is token
	NoHint    bool   // token_type_hint is refused
	JSON      bool   // a JSON object, no form
	Only      string // the one kind that it takes, access_token or refresh_token; "" is either
	Family    bool   // an access token takes its family along
	Forgets   bool   // a refresh token that was rotated is unknown, and takes nothing along
	Status    int    // of success; 0 = 200
}

// Client authentication of revocations, beside Basic and Post.
const (
	ByID     = "none"      // the client id alone
	ByToken  = "bearer"    // the token that is to be revoked, and no parameter
	ByNobody = "anonymous" // none at all
)

// revokes reports whether a request is one to the revocation endpoint.
func (q Revoking) revokes(r *http.Request, path string) bool {
	at := q.At
	if at == "" {
		at = "POST /revoke"
	}
	return r.Method+" "+strings.TrimPrefix(r.URL.EscapedPath(), path) == at
}

// token is the token that a revocation request is about, and the id of the client that it must belong to, "" when any will do. It needs v.mu held.
func (q Revoking) token(v *Vendor, r *http.Request) (value, clientID string, _ *refusal) {
	parameter := q.Parameter
	if parameter == "" {
		parameter = "token"
	}
	allowed := []string{parameter}
	if !q.NoHint {
		allowed = append(allowed, "token_type_hint")
	}
	value = r.PostForm.Get(parameter)
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch q.Auth {
	case ByToken:
		if scheme != "Bearer" {
			return "", "", &refusal{http.StatusUnauthorized, "invalid_token", "the token must authenticate the request"}
		}
		if t := v.accessTokens[bearer]; t == nil || !t.live() {
			return "", "", &refusal{http.StatusUnauthorized, "invalid_token", "the token is unknown or dead"}
		}
		value, allowed = bearer, nil
	case ByID, ByNobody:
		if scheme != "" {
			return "", "", &refusal{code: "invalid_request", description: "no Authorization header is wanted"}
		}
		if q.Auth == ByID {
			clientID, allowed = r.PostForm.Get("client_id"), append(allowed, "client_id")
		}
	default:
		client, method, err := v.identify(r)
		if err != nil {
			return "", "", err
		}
		if q.Auth != "" && method != q.Auth {
			return "", "", &refusal{http.StatusUnauthorized, "invalid_client", "revocations take " + q.Auth}
		}
		clientID, allowed = client.ID, append(allowed, "client_id", "client_secret")
	}
	for name := range r.PostForm {
		if !slices.Contains(allowed, name) {
			return "", "", &refusal{code: "invalid_request", description: "the parameter " + name + " is not known"}
		}
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); len(r.PostForm) > 0 && (mediaType == "application/json") != q.JSON {
		return "", "", &refusal{code: "invalid_request", description: "the body is " + mediaType}
	}
	return value, clientID, nil
}

// readJSON makes a form of a JSON body, so that the rest need not know. A body that is no object of strings is left alone.
func readJSON(r *http.Request) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return
	}
	var members map[string]string
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
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
