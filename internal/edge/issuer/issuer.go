// Package issuer is the door at which everybody reads what an account, as an issuer, publishes: discovery documents and keys.
//
// It protects verifiers from documents that are older than the rotation of keys allows, and accounts from being told apart: what is not published,
// for whatever reason, is the same 404. It decides nothing itself.
package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"credence/internal/admin"
	"credence/internal/fault"
)

// Operation is one row of the table: a document by its path, in which {account} and {key} stand for one segment each.
type Operation struct {
	Name string
	Path string
	Life time.Duration // that caches may keep it
	read func(ctx context.Context, labels map[string]string) (any, error)
}

// Operations are all documents. Those of an issuer live for an hour, of which the rotation of keys knows; a key of a client that is disabled shall be gone sooner.
func Operations(a *admin.Admin) []Operation {
	metadata := func(ctx context.Context, l map[string]string) (any, error) {
		return a.IssuerMetadata(ctx, l["account"])
	}
	return []Operation{
		{"OpenIDConfiguration", "/issuer/{account}/.well-known/openid-configuration", time.Hour, metadata},
		{"AuthorizationServerMetadata", "/.well-known/oauth-authorization-server/issuer/{account}", time.Hour, metadata}, // RFC 8414 section 3.1
		{"IssuerKeySet", "/issuer/{account}/jwks", time.Hour, func(ctx context.Context, l map[string]string) (any, error) {
			return a.IssuerKeySet(ctx, l["account"])
		}},
		{"ClientKeySet", "/issuer/{account}/keys/{key}/jwks", 5 * time.Minute, func(ctx context.Context, l map[string]string) (any, error) {
			return a.ClientKeySet(ctx, l["account"], l["key"])
		}},
	}
}

// Door is the http.Handler, for GET and HEAD.
type Door struct {
	operations []Operation
	log        *slog.Logger
}

// New makes the door.
func New(operations []Operation, log *slog.Logger) *Door { return &Door{operations, log} }

// Serves reports whether a path, as it came, is one of the door's, whatever stands in the place of labels.
func Serves(path string) bool {
	return strings.HasPrefix(path, "/issuer/") || strings.HasPrefix(path, "/.well-known/oauth-authorization-server/issuer/")
}

// ServeHTTP answers a document, or that there is none.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	for _, op := range d.operations {
		labels, ok := match(op.Path, r.URL.EscapedPath())
		if !ok {
			continue
		}
		document, err := op.read(r.Context(), labels)
		if errors.Is(err, fault.NotFound) {
			break
		}
		text, marshalErr := json.Marshal(document)
		if err = errors.Join(err, marshalErr); err != nil {
			d.log.ErrorContext(r.Context(), "document cannot be answered", "document", op.Name, "cause", err.Error())
			h.Set("Retry-After", "5")
			answer(w, http.StatusServiceUnavailable, "no-store", `{"error":"temporarily_unavailable"}`)
			return
		}
		answer(w, http.StatusOK, fmt.Sprintf("public, max-age=%d", op.Life/time.Second), string(text))
		return
	}
	answer(w, http.StatusNotFound, "no-store", `{"error":"not_found"}`)
}

func answer(w http.ResponseWriter, status int, cache, text string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", cache)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// match finds the labels of a path. A segment that is encoded is none that was published.
func match(pattern, path string) (map[string]string, bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	labels := map[string]string{}
	for i, segment := range want {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			labels[strings.TrimSuffix(name, "}")] = got[i]
		} else if segment != got[i] {
			return nil, false
		}
	}
	return labels, true
}
