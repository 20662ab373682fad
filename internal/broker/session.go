package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"credence/internal/fault"
	"credence/internal/store"
)

const sessionPrefix = "urn:ietf:params:oauth:request_uri:"

// newHandle makes an unguessable handle of the characters that the API's RequestUri allows.
func newHandle() string { return rand.Text() }

// digest is how a handle stands in a row: whoever reads the row cannot use it.
func digest(handle string) string {
	sum := sha256.Sum256([]byte(handle))
	return hex.EncodeToString(sum[:])
}

func sessionURI(handle string) string { return sessionPrefix + handle }

func (b *Broker) authorizationURL(uri string) string {
	return b.PublicURL + "/identities/oauth2/authorize?request_uri=" + url.QueryEscape(uri)
}

// session finds a session by its sessionUri; fault.NotFound when it has not that form or there is none.
func (b *Broker) session(ctx context.Context, uri string) (store.Session, error) {
	handle, ok := strings.CutPrefix(uri, sessionPrefix)
	if !ok || handle == "" {
		return store.Session{}, fault.NotFound
	}
	return b.Vault.Session(ctx, digest(handle))
}

// host names the host of a URL for a person; for a private-use scheme, the scheme.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return cmp.Or(u.Host, u.Scheme)
}

// withQuery adds parameters to a URL and keeps its own as they are; registration refuses return URLs that have one of ours.
func withQuery(raw string, add url.Values) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", err
	}
	u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+add.Encode(), "&")
	return u.String(), nil
}
