package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"credence/internal/testenv"
)

const deviceHeader = "X-Credence-Device-Authorization"

// byDevice prepares a workload identity and a provider that allows device authorizations, for a client of the real vendor.
func byDevice(a *agent, v *vendor, client, method, user string) *federation {
	a.t.Helper()
	app := startApplication(a.t)
	workload, provider := "agent-"+client, "vendor-"+client
	call[object](a, "CreateWorkloadIdentity", object{"name": workload, "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	c := v.clients[client]
	extended[object](a, "CreateOauth2CredentialProvider", customProvider(provider, v.issuer, c.ID, c.Secret, method), object{deviceHeader: "true"})
	return &federation{a, app, user, object{
		"workloadIdentityToken": a.wat(workload, user), "resourceCredentialProviderName": provider, "oauth2Flow": "USER_FEDERATION",
		"scopes": []string{"openid", "offline_access"}, "resourceOauth2ReturnUrl": app.ReturnURL,
	}}
}

// beginByDevice is begin, by a code that the user enters at the vendor.
func (c *federation) beginByDevice() {
	c.agent.t.Helper()
	delete(c.request, "sessionUri")
	began := extended[token](c.agent, "GetResourceOauth2Token", c.request, object{deviceHeader: "true"})
	c.agent.secrets = append(c.agent.secrets, handle(began.SessionURI))
	c.app.offer(began.AuthorizationURL, func(sessionURI string) error { return c.agent.complete(sessionURI, c.user) })
	c.request["sessionUri"] = began.SessionURI
}

// A user sees the code on our page, enters it at the vendor on another device, and the page goes on to the application by itself; the agent gets a token that the
// vendor knows.
func TestDeviceFlowInBrowser(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v := realVendor(e)
	c := byDevice(administrator(e), v, "device", "CLIENT_SECRET_BASIC", "dieter")
	c.beginByDevice()
	b, phone := newTab(t), newTab(t)
	c.leave(b, "Connect vendor-device for agent-device")
	for _, says := range []string{testenv.Account, "dieter", "offline_access", "localhost"} {
		if !strings.Contains(b.String(), says) {
			t.Errorf("the page does not say %q: %s", says, b)
		}
	}
	b.looks("page device code")
	if links := evaluate[int](b, `document.querySelectorAll('a, button, input, [tabindex]').length`); links != 1 {
		t.Errorf("%d controls on a page with one way on", links)
	}
	if !evaluate[bool](b, `document.activeElement.matches('a[href^="`+v.issuer+`/device"][target="_blank"][rel~="noopener"]')`) {
		t.Error("the keyboard does not begin at the way to the vendor")
	}
	b.shoot("page device code focus")
	code := evaluate[string](b, `document.querySelector('.code').innerText`)

	phone.visit(v.issuer + "/device")
	phone.fill("[name=user_code]", code+enterKey)
	phone.click(`[form="op.deviceConfirmForm"][autofocus]`)
	phone.reads("Sign-in")
	c.signIn(phone)
	if got := c.poll(); got.SessionStatus != "IN_PROGRESS" || got.AccessToken != "" {
		t.Errorf("while the user thinks: %+v", got)
	}
	phone.click("[type=submit]")
	b.reads("connected")
	got := c.poll()
	if got.AccessToken == "" || !slices.ContainsFunc(v.seen(), func(e vendorEvent) bool {
		return e.Event == "token" && e.Client == "device" && e.AccessToken == got.AccessToken && strings.HasSuffix(e.GrantType, ":device_code")
	}) {
		t.Errorf("the agent has %+v", got)
	}
}

// Approved by somebody in a browser that has never seen our page: in progress, then failed, and the vendor does not take the tokens any more. A provider that has not opted
// in refuses.
func TestDeviceFlowForeignBrowser(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v := realVendor(e)
	c := byDevice(administrator(e), v, "hasty", "CLIENT_SECRET_POST", "dora")
	var issued vendorEvent
	await(t, "an approval in time", func() bool { // its codes are good for seconds
		c.beginByDevice()
		_, page := newPerson(t, "dora").visit(c.app.link)
		_, code, _ := strings.Cut(page, `<p class="code"><code>`)
		code, _, _ = strings.Cut(code, "<")
		victim := newPerson(t, "victor")
		victim.code = code
		victim.visit(v.issuer + "/device")
		for {
			got := c.poll()
			if at := slices.IndexFunc(v.seen(), func(e vendorEvent) bool { return e.Event == "token" && e.Client == "hasty" }); at >= 0 {
				issued = v.seen()[at]
				return true
			}
			if got.SessionStatus == "FAILED" {
				return false
			}
		}
	})
	await(t, "the session to fail", func() bool {
		got := c.poll()
		if got.AccessToken != "" {
			t.Fatalf("a token was served: %+v", got)
		}
		return got.SessionStatus == "FAILED"
	})
	await(t, "the vendor to be told", func() bool { return e.Pending() == 0 })
	if v.active(t, "hasty", issued.RefreshToken) || v.active(t, "hasty", issued.AccessToken) {
		t.Error("the vendor takes the tokens for good")
	}
	if at := slices.IndexFunc(v.seen(), func(e vendorEvent) bool { return e.Event == "revoked" && e.Client == "hasty" }); at < 0 {
		t.Error("the vendor's log has no revocation")
	}

	plain := customProvider("plain", v.issuer, v.clients["hasty"].ID, v.clients["hasty"].Secret, "CLIENT_SECRET_POST")
	call[object](c.agent, "CreateOauth2CredentialProvider", plain)
	c.request["resourceCredentialProviderName"] = "plain"
	delete(c.request, "sessionUri")
	refused := c.agent.ask("GetResourceOauth2Token", object{"input": c.request, "headers": object{deviceHeader: "true"}})
	if refused.Error == nil || refused.Error.Name != "ValidationException" || refused.Error.Metadata.HTTPStatusCode != http.StatusBadRequest {
		t.Errorf("not opted in: %+v", refused)
	}
}

// What is wrong with a provider is said, one sentence each, at a real vendor; nothing is issued there.
func TestProviderCheckAtRealVendor(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	v := realVendor(e)
	a, cli := administrator(e), commandLine(e)
	c := v.clients["post"]
	provider := func(name, clientID, secret string) string {
		return call[oauth2Provider](a, "CreateOauth2CredentialProvider", customProvider(name, v.issuer, clientID, secret, "CLIENT_SECRET_POST")).CallbackURL
	}
	v.register(t, "post", provider("right", c.ID, c.Secret))
	v.register(t, "post", provider("wrong-secret", c.ID, "a secret of nobody"))
	provider("not-registered", c.ID, c.Secret)
	provider("wrong-client", "nobody", c.Secret)
	call[object](a, "CreateOauth2CredentialProvider", customProvider("away", "http://127.0.0.1:1", c.ID, c.Secret, "CLIENT_SECRET_POST"))
	for name, want := range map[string][]string{
		"right":          {"ok", "ok", "ok", "ok"},
		"wrong-secret":   {"ok", "failed", "ok", "ok"},
		"not-registered": {"ok", "ok", "ok", "failed"},
		"wrong-client":   {"ok", "failed", "ok", "failed"},
		"away":           {"failed", "unknown", "unknown", "unknown"},
	} {
		said, err := cli.run("", "provider", "test", name, "--endpoint", e.URL)
		var got []string
		for line := range strings.Lines(said) {
			if !strings.HasPrefix(line, "credence: ") {
				got = append(got, strings.Fields(line)[0])
			}
		}
		if !slices.Equal(got, want) || (err != nil) != slices.Contains(want, "failed") {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
		for _, secret := range []string{c.Secret, "a secret of nobody"} {
			if strings.Contains(said, secret) {
				t.Errorf("%s: a secret is shown: %s", name, said)
			}
		}
		t.Logf("%s:\n%s", name, said)
	}
}
