package control

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"credence/internal/fault"
)

var goodReturnURLs = []string{
	"https://app.example/return",
	"https://app.example",
	"https://app.example:8443/return?tenant=1&lang=de",
	"https://app.example/return?next=%2Fhome%3Fstate%3D1", // state is part of a value
	"https://app.example/state/session_id?states=1&my_state=2",
	"https://app.example/return?",
	"https://app.example/a%20b",
	"https://xn--bcher-kva.example/",
	"https://10.0.0.1/return", // the browser goes there, not Credence
	"https://127.0.0.1/return",
	"http://localhost/return",
	"http://localhost:3000/return?x=1",
	"http://LOCALHOST:3000/",
	"http://127.0.0.1",
	"http://127.0.0.1:49152/callback",
	"http://[::1]/",
	"http://[::1]:3000/return",
	"com.example.app:/oauth2/return",
	"com.example.app://return",
	"com.example.app:return?x=1",
	"com.googleusercontent.apps.123-abc:/oauth2redirect",
}

var badReturnURLs = map[string][]string{
	"https, http on this machine": { // what a browser would run, read or guess at
		"javascript:alert(1)", "javascript://app.example/%0aalert(1)", "data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHNjcmlwdD4=",
		"file:///etc/passwd", "vbscript:msgbox(1)", "blob:https://app.example/1-2-3", "about:blank", "view-source:https://app.example/", "filesystem:https://app.example/x",
		"ws://app.example/", "ftp://app.example/", "mailto:a@app.example", "myapp:/return", "chrome-extension://abc/x", "intent://x",
		"//app.example/return", "/return", "return", "", "?x=1", "app.example/return", ".", "..",
	},
	"http is for this machine": {
		"http://app.example/return", "http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "http://localhost.", "http://localhosts/", "http://evil.localhost/",
		"http://127.1/", "http://127.0.1/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://2130706433/", "http://0177.0.0.1/", "http://127.0.0.2/", "http://0.0.0.0/",
		"http://[::ffff:127.0.0.1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::]/", "http://10.0.0.1/", "http:///return", "http:/localhost/",
		"http:localhost", "http://:3000/", "http:",
	},
	"has no host": {"https:///return", "https:return", "https:/app.example/return", "https://:443/", "https:", "https://?x=1"},
	"has a space, b": {"https://app.example/a b", " https://app.example/", "https://app.example/ ", "https://app.example/\t", "https://app.example/\n", "java\nscript:alert(1)",
		"java\tscript:alert(1)",
		"https://app.example\\@evil.example/", "https:\\\\app.example\\", "https://app.example/\x00", "https://app.example/\x7f", "https://app.example/\u00a0",
		"https://b\u00fccher.example/",
		"https://app.example/\u202e", "https://app.example\u3002evil.example/", "\ufeffhttps://app.example/", "https://app.example/\xff", "http://localhost\r\nx"},
	"user or a fragment": {
		"https://user@app.example/", "https://user:password@app.example/", "https://@app.example/", "http://localhost@evil.example/", "http://localhost:3000@evil.example/",
		"https://app.example/#", "https://app.example/#fragment", "https://app.example/return#access_token=x", "com.example.app:/return#x", "com.example.app://user@host/",
	},
	"in lower case": {"HTTPS://app.example/", "Https://app.example/", "HTTP://localhost/", "hTTp://localhost/", "JAVASCRIPT:alert(1)", "Com.example.app:/return"},
	"malformed query": {
		"https://app.example/?a;state=1", "https://app.example/?x=%zz", "https://app.example/?%=1", "com.example.app:/x?a=%", "https://app.example/?a=1;session_id=2",
	},
	"is not a URL": {"https://[::1", "https://app.example:port/", "https://%zz/", ":", ":/x", "https://app.example/%", "1https://app.example/",
		"http://[::1]evil.example/", "https://app%2eexample/"},
}

func TestReturnURLs(t *testing.T) {
	for _, u := range goodReturnURLs {
		if err := checkReturnURL(u); err != nil {
			t.Errorf("%q %v", u, err)
		}
	}
	for says, urls := range badReturnURLs {
		for _, u := range urls {
			if err := checkReturnURL(u); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q: %v, want an error that says %q", u, err, says)
			}
		}
	}
}

// A parameter that will be added when the browser comes back must not be there, however it is written.
func TestReturnURLsWithReservedParameters(t *testing.T) {
	for _, base := range []string{"https://app.example/return", "http://localhost:3000", "com.example.app:/return", "com.example.app:return", "https://app.example"} {
		for _, name := range []string{"session_id", "state", "error", "error_description"} {
			percent := ""
			for _, b := range []byte(name) {
				percent += fmt.Sprintf("%%%02X", b)
			}
			for _, query := range []string{
				name + "=1", name + "=", name, "a=1&" + name + "=2", "&&" + name, percent + "=1", strings.ToLower(percent), name[:2] + percent[6:], percent[:3] + name[1:] + "=%20",
				"a=1&a=2&" + name + "&b", name + "=1&" + name + "=2",
			} {
				if err := checkReturnURL(base + "?" + query); err == nil || !strings.Contains(err.Error(), `"`+name+`"`) {
					t.Errorf("%s?%s: %v, want an error that names %s", base, query, err, name)
				}
			}
			for _, query := range []string{"x" + name + "=1", name + "x=1", strings.ToUpper(name) + "=1", name + "%00=1", "a=" + name, name + "[]=1", "+" + name} {
				if err := checkReturnURL(base + "?" + query); err != nil {
					t.Errorf("%s?%s %v", base, query, err)
				}
			}
		}
	}
}

// The error names the one that is wrong.
func TestReturnURLErrorNamesItsPlace(t *testing.T) {
	err := checkReturnURLs([]string{"https://app.example/", "com.example.app:/x", "javascript:alert(1)", "data:,"})
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != "allowedResourceOauth2ReturnUrls[2]" {
		t.Errorf("%v", err)
	}
}

var (
	scheme   = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	loopback = regexp.MustCompile(`^(?i:localhost|127\.0\.0\.1|\[::1\])(:[0-9]*)?$`)
)

// What is accepted is read here by hand, as RFC 3986 section 3 has it: no parser stands between the rule and its proof.
func FuzzCheckReturnURL(f *testing.F) {
	for _, u := range goodReturnURLs {
		f.Add(u)
	}
	for _, urls := range badReturnURLs {
		for _, u := range urls {
			f.Add(u)
		}
	}
	f.Add("https://app.example/?%73tate=1")
	f.Add("a.b:?state")
	f.Fuzz(func(t *testing.T, raw string) {
		if checkReturnURL(raw) != nil {
			return
		}
		if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == '#' }) {
			t.Errorf("%q has a character that browsers and parsers read differently", raw)
		}
		before, rest, found := strings.Cut(raw, ":")
		if !found || !scheme.MatchString(before) {
			t.Fatalf("%q has no scheme in lower case", raw)
		}
		hierarchy, query, _ := strings.Cut(rest, "?")
		after, hasAuthority := strings.CutPrefix(hierarchy, "//")
		authority, _, _ := strings.Cut(after, "/")
		if hasAuthority && strings.Contains(authority, "@") {
			t.Errorf("%q has a user", raw)
		}
		switch {
		case before == "https":
			if host, _, _ := strings.Cut(authority, ":"); !hasAuthority || host == "" {
				t.Errorf("%q has no host", raw)
			}
		case before == "http":
			if !hasAuthority || !loopback.MatchString(authority) {
				t.Errorf("%q is http to another host", raw)
			}
		case !strings.Contains(before, "."):
			t.Errorf("%q has a scheme that is nobody's own", raw)
		}
		for pair := range strings.SplitSeq(query, "&") {
			name, _, _ := strings.Cut(pair, "=")
			decoded, err := url.QueryUnescape(name)
			if err != nil || strings.Contains(pair, ";") {
				t.Errorf("%q has a query that is read in two ways", raw)
			}
			if slices.Contains([]string{"session_id", "state", "error", "error_description"}, decoded) {
				t.Errorf("%q has the parameter %s", raw, decoded)
			}
		}
	})
}
