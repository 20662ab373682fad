package door

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
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
