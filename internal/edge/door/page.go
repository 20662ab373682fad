package door

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page.css
var pageCSS string

// PageStyle is the style sheet that the pages of all doors have.
func PageStyle() template.CSS { return template.CSS(pageCSS) }

// PagePolicy is a Content-Security-Policy for pages that have their style sheets in them and nothing else: nothing may be loaded, run or framed, and forms go to
// formAction only.
func PagePolicy(formAction string, styles ...template.CSS) string {
	var hashes strings.Builder
	for _, s := range styles {
		sum := sha256.Sum256([]byte(s))
		hashes.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	return "default-src 'none'; style-src" + hashes.String() + "; form-action " + formAction + "; frame-ancestors 'none'; base-uri 'none'"
}

// ProtectPage sets the headers of every answer to a browser, redirects included: its address may hold a code, and goes nowhere else.
func ProtectPage(w http.ResponseWriter, policy string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
}

// WritePage answers with a page, or, when that cannot be made, with nothing on it; it returns the status that it sent.
func WritePage(w http.ResponseWriter, log *slog.Logger, status int, of *template.Template, content any) int {
	var out bytes.Buffer
	if err := of.Execute(&out, content); err != nil {
		log.Error("page not rendered", "cause", err.Error())
		status = http.StatusInternalServerError
		out.Reset()
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
	return status
}
