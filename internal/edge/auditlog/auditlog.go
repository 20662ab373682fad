// Package auditlog is the door at which tools for tiled transparency logs read audit logs (c2sp.org/tlog-tiles).
//
// It protects what entries tell of people: without a token for the account, everything is the same 401. It decides nothing itself.
package auditlog

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"credence/internal/fault"
)

// Reader reads the checkpoint or a tile of an account's log by a token; *admin.Admin does.
type Reader interface {
	ReadAuditLog(ctx context.Context, account, token, path string) ([]byte, error)
}

// Door is the http.Handler, for GET and HEAD.
type Door struct {
	reader Reader
	log    *slog.Logger
}

// New makes the door.
func New(reader Reader, log *slog.Logger) *Door { return &Door{reader, log} }

const prefix = "/audit/"

// Serves reports whether a path, as it came, is one of the door's.
func Serves(path string) bool { return strings.HasPrefix(path, prefix) }

// ServeHTTP answers a checkpoint or a tile. The token is a bearer's (RFC 6750), or the password of whatever user (RFC 7617), for tools that know nothing but a URL.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	account, path, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), prefix), "/")
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		_, token, _ = r.BasicAuth()
	}
	content, err := d.reader.ReadAuditLog(r.Context(), account, token, path)
	switch {
	case errors.Is(err, fault.Unauthorized):
		h.Set("WWW-Authenticate", `Basic realm="audit log"`)
		answer(w, http.StatusUnauthorized, "text/plain; charset=utf-8", "no-store", []byte("a token for this log is required\n"))
	case errors.Is(err, fault.NotFound):
		answer(w, http.StatusNotFound, "text/plain; charset=utf-8", "no-store", []byte("there is no such tile\n"))
	case err != nil:
		d.log.ErrorContext(r.Context(), "an audit log cannot be read", "cause", err.Error())
		h.Set("Retry-After", "5")
		answer(w, http.StatusServiceUnavailable, "text/plain; charset=utf-8", "no-store", []byte("it cannot be read now\n"))
	case path == "checkpoint":
		answer(w, http.StatusOK, "text/plain; charset=utf-8", "no-store", content)
	default:
		answer(w, http.StatusOK, "application/octet-stream", "private, max-age=31536000, immutable", content)
	}
}

func answer(w http.ResponseWriter, status int, kind, cache string, content []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", cache)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	_, _ = w.Write(content)
}
