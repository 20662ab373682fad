package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"credence/internal/telemetry"
)

// Times of kept documents. A server's Cache-Control counts between the bounds; without one, the default.
const (
	minDocumentAge     = 30 * time.Second
	defaultDocumentAge = 10 * time.Minute
	maxDocumentAge     = time.Hour
	staleDocumentAge   = 24 * time.Hour  // an old document is better than none while its server is away
	failedDocumentAge  = 2 * time.Second // a server that is away is not asked again at once
	maxDocuments       = 10_000
	maxDocument        = 512 << 10
)

// documents fetches JSON documents and keeps them.
type documents[T any] struct {
	name    string // of its spans
	http    Doer
	parse   func(body []byte, url string) (T, error)
	kept    *otter.Cache[string, *document[T]]
	flights singleflight.Group
}

type document[T any] struct {
	mu      sync.Mutex
	value   T
	have    bool
	fetched time.Time
	until   time.Time
	err     error // of the last fetch, until failed is failedDocumentAge ago
	failed  time.Time
}

func newDocuments[T any](name string, http Doer, parse func(body []byte, url string) (T, error)) *documents[T] {
	return &documents[T]{name: name, http: http, parse: parse, kept: otter.Must(&otter.Options[string, *document[T]]{MaximumSize: maxDocuments})}
}

// get is the document at url, fetched when the kept one is too old, or, when it must be newer than a time, was fetched before that.
// Whatever is asked, a server is asked at most every minDocumentAge.
func (d *documents[T]) get(ctx context.Context, url string, newerThan time.Time) (T, error) {
	doc, _ := d.kept.ComputeIfAbsent(url, func() (*document[T], bool) { return &document[T]{}, false })
	if v, err, done := doc.look(newerThan); done {
		return v, err
	}
	_, _, _ = d.flights.Do(url, func() (any, error) {
		if _, _, done := doc.look(newerThan); done {
			return nil, nil
		}
		v, age, err := d.fetch(context.WithoutCancel(ctx), url)
		doc.keep(v, age, err)
		return nil, nil
	})
	v, err, _ := doc.look(time.Time{})
	return v, err
}

// look answers from what is kept; done is false when it has to be fetched.
func (doc *document[T]) look(newerThan time.Time) (v T, err error, done bool) {
	doc.mu.Lock()
	defer doc.mu.Unlock()
	now := time.Now()
	asked := doc.fetched
	if doc.failed.After(asked) {
		asked = doc.failed
	}
	switch {
	case doc.have && now.Before(doc.until) && (!newerThan.After(doc.fetched) || now.Sub(asked) < minDocumentAge):
		return doc.value, nil, true
	case now.Sub(doc.failed) < failedDocumentAge:
		if doc.have && now.Sub(doc.fetched) < staleDocumentAge {
			return doc.value, nil, true
		}
		return v, doc.err, true
	}
	return v, errors.New("not fetched"), false
}

func (doc *document[T]) keep(v T, age time.Duration, err error) {
	doc.mu.Lock()
	defer doc.mu.Unlock()
	if err != nil {
		doc.err, doc.failed = err, time.Now()
		return
	}
	doc.value, doc.have, doc.err, doc.failed = v, true, nil, time.Time{}
	doc.fetched = time.Now()
	doc.until = doc.fetched.Add(age)
}

func (d *documents[T]) fetch(ctx context.Context, url string) (v T, age time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return v, 0, fmt.Errorf("%q is not a URL", url)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	call := telemetry.Call(ctx, d.name, req.URL.Host)
	defer func() {
		if err != nil {
			call.Done("unusable", true)
		} else {
			call.Done("", false)
		}
	}()
	resp, err := d.http.Do(req)
	if err != nil {
		return v, 0, fmt.Errorf("%q cannot be fetched: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	call.SetStatus(resp.StatusCode)
	if resp.StatusCode != http.StatusOK {
		return v, 0, fmt.Errorf("%q answered HTTP %d", url, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return v, 0, fmt.Errorf("%q cannot be read: %w", url, err)
	}
	if len(body) > maxDocument {
		return v, 0, fmt.Errorf("%q is larger than %d bytes", url, maxDocument)
	}
	v, err = d.parse(body, url)
	return v, documentAge(resp.Header), err
}

// documentAge reads Cache-Control (RFC 9111 section 5.2.2) within our bounds.
func documentAge(h http.Header) time.Duration {
	age := defaultDocumentAge
	for directive := range strings.SplitSeq(strings.ToLower(h.Get("Cache-Control")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return minDocumentAge
		case "max-age":
			if seconds, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil {
				age = time.Duration(min(max(seconds, 0), int(maxDocumentAge/time.Second))) * time.Second
			}
		}
	}
	return min(max(age, minDocumentAge), maxDocumentAge)
}

const userAgent = "credence"

// Discovery fetches the metadata of authorization servers and keeps it for as long as the server says, at most an hour.
type Discovery struct {
	documents *documents[Metadata]
}

// NewDiscovery makes a Discovery. check refuses a URL that may not be used; every endpoint that a document names goes through it.
func NewDiscovery(http Doer, check func(url string) error) *Discovery {
	return &Discovery{newDocuments("discovery document", http, func(body []byte, url string) (Metadata, error) {
		m, err := ParseMetadata(body, url)
		if err != nil {
			return Metadata{}, err
		}
		return m, m.check(url, check)
	})}
}

// check refuses metadata from url with an endpoint that may not be used.
func (m Metadata) check(url string, check func(url string) error) error {
	for name, endpoint := range map[string]string{
		"authorization_endpoint": m.AuthorizationEndpoint, "token_endpoint": m.TokenEndpoint, "jwks_uri": m.JWKSURI, "revocation_endpoint": m.RevocationEndpoint,
		"registration_endpoint": m.RegistrationEndpoint, "device_authorization_endpoint": m.DeviceAuthorizationEndpoint,
		"pushed_authorization_request_endpoint":       m.PushedAuthorizationRequestEndpoint,
		"token_endpoint of the mtls_endpoint_aliases": m.MTLSEndpointAliases.TokenEndpoint, "revocation_endpoint of the mtls_endpoint_aliases": m.MTLSEndpointAliases.RevocationEndpoint,
		"pushed_authorization_request_endpoint of the mtls_endpoint_aliases": m.MTLSEndpointAliases.PushedAuthorizationRequestEndpoint,
		"device_authorization_endpoint of the mtls_endpoint_aliases":         m.MTLSEndpointAliases.DeviceAuthorizationEndpoint,
	} {
		if endpoint == "" {
			continue
		}
		if err := check(endpoint); err != nil {
			return fmt.Errorf("%q has a %s that cannot be used: %w", url, name, err)
		}
	}
	return nil
}

// Metadata is what the discovery document at url says (RFC 8414, OpenID Connect Discovery 1.0). The error is one sentence that names the URL.
func (d *Discovery) Metadata(ctx context.Context, url string) (Metadata, error) {
	return d.documents.get(ctx, url, time.Time{})
}
