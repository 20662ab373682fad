package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestLoginPage(t *testing.T) {
	v := newVendor(t)
	id := v.openLogin()
	resp, body := v.get(v.auth + "/login?id=" + id)
	for _, want := range []string{`value="alice"`, `<label for="user">`, testClientID, `name="id" value="` + id + `"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, want) {
			t.Errorf("Content-Security-Policy %q lacks %s", csp, want)
		}
	}
	for _, test := range []struct{ name, user, want string }{
		{"blank", "  ", "Type a user name"},
		{"long", strings.Repeat("ä", 65), "shorter"},
		{"the client's id", testClientID, "belongs to an application"},
	} {
		t.Run("refuses a "+test.name+" name", func(t *testing.T) {
			resp, body := v.post(v.auth+"/login", url.Values{"id": {id}, "user": {test.user}})
			if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, test.want) || !strings.Contains(body, `aria-invalid="true"`) {
				t.Errorf("%s\n%s", resp.Status, body)
			}
		})
	}
}

func TestConsentPage(t *testing.T) {
	v := newVendor(t)
	id := v.openLogin()
	t.Run("needs a user", func(t *testing.T) {
		if resp, _ := v.get(v.auth + "/consent?id=" + id); resp.Request.URL.Path != "/login" {
			t.Errorf("led to %s", resp.Request.URL)
		}
		if resp, _ := v.post(v.auth+"/consent", url.Values{"id": {id}, "decision": {"allow"}}); resp.Request.URL.Path != "/login" {
			t.Errorf("led to %s", resp.Request.URL)
		}
	})
	t.Run("names client, user and scopes, escaped", func(t *testing.T) {
		_, body := v.post(v.auth+"/login", url.Values{"id": {id}, "user": {"<b>eve</b>"}})
		for _, want := range []string{testClientID, "&lt;b&gt;eve&lt;/b&gt;", "calendar.read", "See the events", "offline_access", "while you are away"} {
			if !strings.Contains(body, want) {
				t.Errorf("the page lacks %s", want)
			}
		}
	})
	t.Run("names only the scopes asked for", func(t *testing.T) {
		id := v.openLogin("scope", "calendar.read")
		if _, body := v.post(v.auth+"/login", url.Values{"id": {id}, "user": {"alice"}}); strings.Contains(body, "offline_access") {
			t.Error("the page names offline_access")
		}
	})
}

func TestEveryNameTheFormTakesSignsIn(t *testing.T) {
	v := newVendor(t)
	name := strings.Repeat("ä", 64) // the maxlength of the form, in characters
	answer := v.token(codeRequest(v.decide(name, "allow").Get("code")))
	if status, c := v.events(answer.AccessToken); status != http.StatusOK || c.Owner != name {
		t.Errorf("got %d %+v", status, c)
	}
}

func TestConsentIsGivenOnce(t *testing.T) {
	v := newVendor(t)
	id := v.openLogin()
	v.post(v.auth+"/login", url.Values{"id": {id}, "user": {"alice"}})
	allow := url.Values{"id": {id}, "decision": {"allow"}}
	if resp, body := v.post(v.auth+"/consent", allow); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s\n%s", resp.Status, body)
	}
	if resp, body := v.post(v.auth+"/consent", allow); resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "This sign-in is over") {
		t.Errorf("%s\n%s", resp.Status, body)
	}
}

func TestAnythingButAllowDenies(t *testing.T) {
	v := newVendor(t)
	for _, decision := range []string{"deny", ""} {
		if back := v.decide("alice", decision); back.Get("error") != "access_denied" || back.Get("state") != "st&te" || back.Has("code") {
			t.Errorf("decision %q: the client received %v", decision, back)
		}
	}
}

func TestFormsRefusePostsFromOtherSites(t *testing.T) {
	v := newVendor(t)
	id := v.openLogin()
	v.post(v.auth+"/login", url.Values{"id": {id}, "user": {"alice"}})
	for _, path := range []string{"/login", "/consent"} {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			form := url.Values{"id": {id}, "user": {"mallory"}, "decision": {"allow"}}
			if resp, _ := v.post(v.auth+path, form, header...); resp.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s with %v: %s", path, header, resp.Status)
			}
		}
	}
	if _, body := v.get(v.auth + "/consent?id=" + id); !strings.Contains(body, "<strong>alice</strong>") {
		t.Errorf("the sign-in was changed:\n%s", body)
	}
}
