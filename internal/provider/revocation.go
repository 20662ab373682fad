package provider

import (
	"net/url"
	"strings"

	"credence/internal/oauth"
)

// Revocation is how a vendor is told that a token is over. Without an Endpoint it cannot be told.
type Revocation struct {
	// Endpoint is a URL, in which {client_id} stands for the client's; or, when it begins with a slash, what stands in the place of /token in the path of
	// the provider's token endpoint, wherever that is.
	Endpoint string
	OnHost   string // instead of Endpoint, a URL with {host}, when the provider's config says a host
	Auth     oauth.AuthMethod
	Method   string // "" is POST
	// Parameter that holds the token; "" is token.
	Parameter string
	NoHint    bool            // it does not take token_type_hint
	JSON      bool            // it takes JSON, not a form
	Token     oauth.TokenKind // the only kind that it takes; "" is both, of which each is sent
	Reach     Reach
	// GoneStatus is the HTTP status for a token that the vendor does not know, where that is no 2xx.
	GoneStatus int

	Note, Source string // for people: what to know, in Markdown, and the vendor's public documentation
}

// Reach is what a revocation may end beside the token. Grants that are still in use must not end with one that is not.
type Reach string

// The reaches. The zero value is for vendors that do not say: RFC 7009 section 2.1 leaves it to them.
const (
	ReachPerson Reach = ""       // whatever this client has of the person
	ReachGrant  Reach = "grant"  // nothing but what came of the same consent
	ReachClient Reach = "client" // what this client has of other people, too
)

// at is the URL of the revocation endpoint of a provider; "" when nothing is known of one that belongs to its token endpoint: a token never goes to
// another server than the one that it is from.
func (r Revocation) at(tokenEndpoint string, c Config) string {
	endpoint := r.Endpoint
	switch {
	case strings.HasPrefix(endpoint, "/"):
		u, err := url.Parse(tokenEndpoint)
		if err != nil || u.Host == "" {
			return ""
		}
		before, after, ok := cutSegment(u.EscapedPath(), "/token")
		if !ok {
			return ""
		}
		endpoint = u.Scheme + "://" + u.Host + before + endpoint + after
	case c.Metadata != nil:
		return ""
	case c.Host != "":
		endpoint = strings.ReplaceAll(r.OnHost, "{host}", c.Host)
	}
	return strings.ReplaceAll(endpoint, "{client_id}", url.PathEscape(c.ClientID))
}

// cutSegment cuts a path around a whole segment, in whatever case.
func cutSegment(path, segment string) (before, after string, ok bool) {
	i := strings.Index(strings.ToLower(path)+"/", segment+"/")
	if i < 0 {
		return "", "", false
	}
	return path[:i], path[i+len(segment):], true
}
