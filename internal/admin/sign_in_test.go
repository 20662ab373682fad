package admin

import (
	"net/url"
	"strings"
	"testing"
)

// Wherever somebody wants to be sent after a sign-in, a browser that is sent there stays at the console.
func FuzzLocalPath(f *testing.F) {
	for _, next := range []string{"/console/", "/console/audit?outcome=denied", "//evil.example/console/", "/console/../x", "/console//evil.example", `/console/\evil.example`, "/console/%2e%2e/", "https://evil.example/console/", "/console/\t//evil"} {
		f.Add(next)
	}
	console, err := url.Parse("https://vault.example/console/sign-in")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		local := LocalPath(next)
		if local == "" {
			return
		}
		to, err := console.Parse(local)
		if err != nil || local != next || to.Scheme != "https" || to.Host != "vault.example" || to.User != nil || !strings.HasPrefix(to.Path, ConsolePath) || strings.ContainsAny(local, "\\\t\r\n ") {
			t.Errorf("%q leads to %v, %v", next, to, err)
		}
	})
}
