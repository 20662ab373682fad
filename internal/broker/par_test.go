package broker

import (
	"net/url"
	"strings"
	"testing"

	"credence/internal/fakeidp"
	"credence/internal/provider"
)

// A vendor that offers pushed authorization requests gets them from us, with everything in them and the client authenticated; the browser takes along nothing but
// the client id and what the vendor made of this one.
func TestFlowPushedAuthorization(t *testing.T) {
	for name, method := range map[string]string{"by Basic": "", "by Post": "client_secret_post"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Pushed, b.PushRequired = true, true })
			if method != "" {
				f.change("vendor", false, func(c *provider.Config) { c.AuthMethod = "CLIENT_SECRET_POST" })
			}
			out := f.needsConsent("alice", func(in *tokenInput) { in.Scopes = []string{"openid", "read"} })
			mine, other := browser{}, browser{}
			seen := map[string]bool{}
			var last string
			for _, b := range []browser{mine, other, mine} {
				location, err := f.openURL(b, out.AuthorizationUrl)
				f.must(err)
				u, err := url.Parse(location)
				f.must(err)
				q := u.Query()
				if len(q) != 2 || q.Get("client_id") != "client" || q.Get("request_uri") == "" || seen[q.Get("request_uri")] {
					t.Errorf("the browser takes along %v", q)
				}
				seen[q.Get("request_uri")] = true
				last = location
			}
			for _, r := range f.vendor.Requests() {
				if r.Path != "/par" {
					continue
				}
				if r.Form.Get("state") == "" || r.Form.Get("code_challenge") == "" || r.Form.Get("scope") != "openid read" || r.Form.Get("nonce") == "" || r.Form.Get("client_id") != "client" {
					t.Errorf("pushed %v", r.Form)
				}
				if (r.Header.Get("Authorization") != "") == (method != "") || r.Form.Has("client_secret") != (method != "") {
					t.Errorf("authenticated by %v and %q", r.Form, r.Header.Get("Authorization"))
				}
			}
			if len(seen) != 3 {
				t.Errorf("%d requests for three attempts", len(seen))
			}
			id, query := f.approve(last)
			c, err := f.FinishAuthorization(t.Context(), id, query, mine.cookie)
			f.must(err)
			back, err := url.Parse(c.Location)
			f.must(err)
			f.must(f.complete(back.Query().Get("session_id"), "alice"))
			f.token("alice")
		})
	}
}

// A vendor that does not take a pushed request ends in a page, changes nothing, and is not asked past that endpoint.
func TestFlowPushFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fakeidp.Behaviour)
		want   Cause
		says   string
	}{
		"refused":     {func(b *fakeidp.Behaviour) { b.PushStatus = 400 }, CauseVendorRefused, "HTTP 400"},
		"away":        {func(b *fakeidp.Behaviour) { b.PushStatus = 503 }, CauseVendorAway, "HTTP 503"},
		"redirecting": {func(b *fakeidp.Behaviour) { b.PushStatus = 307 }, CauseVendorRefused, "redirected"},
		"demanded, but nowhere": {func(b *fakeidp.Behaviour) {
			b.ExtraMetadata = map[string]any{"pushed_authorization_request_endpoint": nil, "require_pushed_authorization_requests": true}
		}, CauseVendorRefused, "pushed_authorization_request_endpoint"},
		"at another host": {func(b *fakeidp.Behaviour) {
			b.ExtraMetadata = map[string]any{"pushed_authorization_request_endpoint": "http://evil.example/par"}
		}, CauseVendorRefused, "http://evil.example/par"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir())
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.Pushed = true; c.change(b) })
			out := f.needsConsent("alice")
			location, err := f.openURL(browser{}, out.AuthorizationUrl)
			if cause(err) != c.want || location != "" {
				t.Fatalf("%q %v", location, err)
			}
			if i := err.(*Interruption); i.Err == nil || !strings.Contains(i.Err.Error(), c.says) {
				t.Errorf("the operator is told %v", i.Err)
			}
			if f.wire.hosts()["evil.example"] {
				t.Error("the other host was asked")
			}
			f.vendor.Set(func(b *fakeidp.Behaviour) { b.PushStatus, b.ExtraMetadata = 0, nil })
			if c.change != nil && strings.HasPrefix(c.says, "HTTP") { // a document of before is kept for a while
				back := f.consent(browser{}, out.AuthorizationUrl)
				f.must(f.complete(back.Get("session_id"), "alice"))
			}
		})
	}
}
