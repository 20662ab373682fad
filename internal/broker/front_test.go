package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/provider"
)

// A vendor that refuses resources is told none, at any of its endpoints; tokens for different resources stay apart all the same.
func TestWithoutResourceIndicators(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, dir)
		defer func() { f.Wait(); f.must(f.store.Close()) }()
		f.vendor.Set(func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Minute })
		f.change("vendor", false, func(c *provider.Config) { c.ResourceIndicators = new(false) })
		resources := func(r ...string) func(*tokenInput) { return func(in *tokenInput) { in.Resources = r } }
		first := f.granted("alice", resources("https://one.example"))
		time.Sleep(time.Minute)
		f.token("alice", resources("https://one.example"))
		f.needsConsent("alice", resources("https://two.example"))
		if f.token("", resources("https://one.example")) == f.token("", resources("https://two.example")) || first == "" {
			t.Error("one token for two resources")
		}
		if f.vendor.Count("refresh_token") == 0 {
			t.Error("nothing was refreshed")
		}
		for _, r := range f.vendor.Requests() {
			if r.Form.Has("resource") || r.Query.Has("resource") {
				t.Errorf("%s is told %v %v", r.Path, r.Query["resource"], r.Form["resource"])
			}
		}
		f.change("vendor", false, func(c *provider.Config) { c.ResourceIndicators = nil })
		f.token("", resources("https://three.example"))
		all := f.vendor.Requests()
		if got := all[len(all)-1].Form.Get("resource"); got != "https://three.example" {
			t.Errorf("by default the vendor is told %q", got)
		}
	})
}

// A provider's own resource is that of requests and imported grants that name none, and is told only to a vendor that takes resources.
func TestResourceOfProvider(t *testing.T) {
	f := newFixture(t, t.TempDir())
	elsewhere, own := f.grantElsewhere("bob"), "https://mcp.example/mcp"
	f.change("vendor", false, func(c *provider.Config) { c.Resource = own })
	told := func() []string {
		all := f.vendor.Requests()
		return all[len(all)-1].Form["resource"]
	}
	f.token("")
	if got := told(); !slices.Equal(got, []string{own}) {
		t.Errorf("a request that names none: the vendor is told %q", got)
	}
	f.token("", func(in *tokenInput) { in.Resources = []string{"https://one.example"} })
	if got := told(); !slices.Equal(got, []string{"https://one.example"}) {
		t.Errorf("a request that names one: the vendor is told %q", got)
	}
	f.change("vendor", false, func(c *provider.Config) { c.ResourceIndicators = new(false) })
	f.token("", func(in *tokenInput) { in.Scopes = []string{"other"} })
	if got := told(); got != nil {
		t.Errorf("a vendor that takes none is told %q", got)
	}
	_, err := f.importing(false, importOf("bob", elsewhere))
	f.must(err)
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.Status = 503 })
	if _, err := f.ask("bob"); !errors.Is(err, fault.Throttled) { // else the user would be asked
		t.Errorf("an imported grant is not found: %v", err)
	}
}

// A vendor that wants signed requests gets none from a client without a key: the person sees a page, the log says what is missing.
func TestSignedRequestsNeedAKey(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.vendor.Set(func(b *fakeidp.Behaviour) { b.ExtraMetadata = map[string]any{"require_signed_request_object": true} })
	out := f.needsConsent("alice")
	location, err := f.openURL(browser{}, out.AuthorizationUrl)
	if cause(err) != CauseVendorRefused || location != "" || !strings.Contains(err.(*Interruption).Err.Error(), "PRIVATE_KEY_JWT") {
		t.Errorf("%q %v", location, err)
	}
}
