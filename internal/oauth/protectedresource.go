package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ProtectedResource is what a protected resource says about itself (RFC 9728 section 2).
type ProtectedResource struct {
	Resource             string   `json:"resource"`
	Name                 string   `json:"resource_name"`
	AuthorizationServers []string `json:"authorization_servers"` // issuers
	Scopes               []string `json:"scopes_supported"`
}

// Explorer finds out, from the URL of a protected resource alone, where tokens for it come from. Everything that it reads is a stranger's word: no URL is
// asked or handed on that Check refuses.
type Explorer struct {
	HTTP  Doer
	Check func(url string) error // refuses a URL that may not be used
}

// ProtectedResource is the metadata of the resource at rawURL: where its challenge says that it is (RFC 9728 section 5.1), else at its well-known place
// (section 3.1). The resource that it names is the one that was asked for (section 3.3), since a token that is for another would be given away. The error is
// one sentence.
func (e Explorer) ProtectedResource(ctx context.Context, rawURL string) (ProtectedResource, error) {
	if err := e.Check(rawURL); err != nil {
		return ProtectedResource{}, fmt.Errorf("it %w", err)
	}
	asked, err := url.Parse(rawURL)
	if err != nil {
		return ProtectedResource{}, fmt.Errorf("%q is not a URL", rawURL)
	}
	where, err := e.challenge(ctx, rawURL)
	if err != nil {
		return ProtectedResource{}, err
	}
	if where == "" {
		at := *asked
		at.Path, at.RawPath = "/.well-known/oauth-protected-resource"+strings.TrimSuffix(asked.Path, "/"), ""
		where = at.String()
	} else if err := e.Check(where); err != nil {
		return ProtectedResource{}, fmt.Errorf("the challenge of %q names metadata at a URL that cannot be used: it %w", rawURL, err)
	}
	metadata, err := get(ctx, e, "protected resource metadata", where, func(body []byte, url string) (m ProtectedResource, err error) {
		if err := json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &m); err != nil {
			return m, fmt.Errorf("%q is no protected resource metadata", url)
		}
		return m, nil
	})
	switch {
	case err != nil:
		return ProtectedResource{}, err
	case !sameResource(rawURL, metadata.Resource):
		return ProtectedResource{}, fmt.Errorf("the metadata at %q is that of another resource, %.300q, and not of the %q that was asked for: if that is what you mean, give its URL", where, metadata.Resource, rawURL)
	case len(metadata.AuthorizationServers) == 0:
		return ProtectedResource{}, fmt.Errorf("the metadata at %q names no authorization server", where)
	}
	return metadata, nil
}

// sameResource compares resource identifiers. A URL without a path may be written with and without its slash (RFC 3986 section 6.2.3).
func sameResource(a, b string) bool {
	if a == b {
		return true
	}
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	if errA != nil || errB != nil || strings.Trim(ua.Path+ub.Path, "/") != "" {
		return false
	}
	ua.Path, ub.Path = "", ""
	return ua.String() == ub.String()
}

// resourceMetadata is the parameter of a challenge.
var resourceMetadata = regexp.MustCompile(`(?i)(?:^|[\s,])resource_metadata\s*=\s*(?:"([^"\\]*)"|([^\s",]+))`)

// challenge asks a resource without a token, and finds where it says that its metadata is; "" when it does not say.
func (e Explorer) challenge(ctx context.Context, rawURL string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return "", fmt.Errorf("%q is not a URL", rawURL)
	}
	req.Header.Set("Accept", "application/json, text/event-stream") // what a client of the Model Context Protocol sends
	req.Header.Set("User-Agent", userAgent)
	resp, err := e.HTTP.Do(req)
	if err != nil {
		return "", fmt.Errorf("%q cannot be asked: %w", rawURL, err)
	}
	_ = resp.Body.Close()
	for _, header := range resp.Header.Values("WWW-Authenticate") {
		if m := resourceMetadata.FindStringSubmatch(header); m != nil {
			return m[1] + m[2], nil
		}
	}
	return "", nil
}

// AuthorizationServer is the metadata of an issuer (RFC 8414, OpenID Connect Discovery), and where it stands. Its issuer is the one that was asked for, its
// endpoints may be used, and it takes PKCE with S256. The error is one sentence.
func (e Explorer) AuthorizationServer(ctx context.Context, issuer string) (m Metadata, documentURL string, _ error) {
	if err := e.Check(issuer); err != nil {
		return m, "", fmt.Errorf("its authorization server %.300q cannot be used: it %w", issuer, err)
	}
	var first error
	for _, documentURL := range wellKnown(issuer) {
		m, err := get(ctx, e, "discovery document", documentURL, ParseMetadata)
		switch {
		case err == nil && m.Issuer != issuer:
			err = fmt.Errorf("%q is the discovery document of another issuer, %.300q", documentURL, m.Issuer)
		case err == nil:
			err = m.check(documentURL, e.Check)
		}
		switch {
		case err != nil:
			if first == nil {
				first = err
			}
		case m.AuthorizationEndpoint == "" || m.TokenEndpoint == "":
			return m, "", fmt.Errorf("%q has no authorization_endpoint or no token_endpoint", documentURL)
		case !slices.Contains(m.CodeChallengeMethods, "S256"):
			return m, "", fmt.Errorf("%q does not say that its server takes PKCE with S256 (code_challenge_methods_supported), without which a code could be stolen", documentURL)
		default:
			return m, documentURL, nil
		}
	}
	if first == nil {
		first = fmt.Errorf("%.300q cannot be an issuer", issuer)
	}
	return Metadata{}, "", first
}

// wellKnown are the places of an issuer's document in the order in which clients look: RFC 8414 section 3.1, then OpenID Connect's.
func wellKnown(issuer string) []string {
	all := documentURLs(issuer)
	if len(all) != 4 {
		return all
	}
	return slices.Compact([]string{all[3], all[1], all[0]})
}

// get fetches a document, once.
func get[T any](ctx context.Context, e Explorer, name, url string, parse func(body []byte, url string) (T, error)) (T, error) {
	v, _, err := (&documents[T]{name: name, http: e.HTTP, parse: parse}).fetch(ctx, url)
	return v, err
}
