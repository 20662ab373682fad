package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"credence/internal/broker"
	"credence/internal/edge/consent"
	"credence/internal/fakeidp"
	"credence/internal/oauth"
	"credence/internal/testenv"
)

// stopped answers every browser with one error: for pages that cannot be waited for.
type stopped struct{ err error }

func (s stopped) ClientMetadata(context.Context, string) (oauth.ClientMetadata, error) {
	return oauth.ClientMetadata{}, s.err
}

func (s stopped) OpenAuthorization(context.Context, string, string, func(string) string) (*broker.Opening, error) {
	return nil, s.err
}

func (s stopped) FinishAuthorization(context.Context, string, string, func(string) string) (*broker.Closing, error) {
	return nil, s.err
}

// stoppedDoor serves the consent door over one error and gives the address of its page.
func stoppedDoor(t *testing.T, err error) (address string) {
	t.Helper()
	server := httptest.NewServer(consent.New(consent.Config{Authorizations: stopped{err}, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	return server.URL + "/identities/oauth2/authorize?request_uri=any"
}

// Long names, and those that a browser could take for more, are where a page breaks.
var (
	longName  = strings.Repeat("a-rather-long-name", 6)
	longUser  = "somebody-with-a-long-name@a-company-with-a-long-name.example"
	longScope = "https://www.googleapis.com/auth/cloud-platform.read-only.of.everything.there.is"
	markup    = `"><script>document.title='taken'</script><img/src=x/onerror="document.title='taken'">`
)

// Every page that a person can meet on the way is readable on a phone and on a desk, by light and by dark and by keyboard alone; it fetches nothing, and its
// policy and its style agree. Pictures of all are in e2e-screenshots.
func TestPages(t *testing.T) {
	t.Parallel()
	e, app := twoBrowsers(t)
	a := administrator(e)
	away := fakeidp.Start(t)
	away.Set(func(b *fakeidp.Behaviour) { b.DiscoveryStatus = http.StatusServiceUnavailable })
	// provider makes a provider of its own for a page, so that pages do not disturb each other.
	provider := func(t *testing.T, name, issuer, confirm string) {
		extended[object](a.in(t), "CreateOauth2CredentialProvider", customProvider(name, issuer, testenv.ClientID, testenv.ClientSecret, "CLIENT_SECRET_BASIC"), object{"X-Credence-Confirm": confirm})
	}
	call[object](a, "CreateWorkloadIdentity", object{"name": longName, "allowedResourceOauth2ReturnUrls": []string{app.ReturnURL}})
	link := func(t *testing.T, workload, user, provider string, scopes ...string) string {
		a := a.in(t)
		return call[token](a, "GetResourceOauth2Token", object{
			"workloadIdentityToken": a.wat(workload, user), "resourceCredentialProviderName": provider, "scopes": append([]string{}, scopes...),
			"oauth2Flow": "USER_FEDERATION", "resourceOauth2ReturnUrl": app.ReturnURL,
		}).AuthorizationURL
	}

	unprotected := newTab(t)
	unprotected.visit(app.URL)
	if got := evaluate[[]string](unprotected, intrusions); len(got) != 8 {
		t.Fatalf("only %q happen on a page without a policy, so inert proves too little", got)
	}

	for _, p := range []struct {
		name    string
		open    func(t *testing.T, b *tab)
		heading string
		follow  string // heading behind the one link; "" when there is none
	}{
		{"unknown", func(_ *testing.T, b *tab) {
			b.visit(e.URL + "/identities/oauth2/authorize?request_uri=urn:ietf:params:oauth:request_uri:none")
		}, "This link is not known", ""},
		{"answered", func(t *testing.T, b *tab) {
			s := begin(t, e, app, "answered")
			callback := s.open(b)
			s.connects(b, callback)
			b.visit(callback)
		}, answered, ""},
		{"foreign browser", func(t *testing.T, b *tab) {
			b.visit(begin(t, e, app, "foreign").open(newTab(t)))
		}, startAgain, "Sign in"},
		{"wrong issuer", func(t *testing.T, b *tab) {
			s := begin(t, e, app, "wrong issuer")
			e.Vendor.Set(func(b *fakeidp.Behaviour) { b.LieAboutIss = "https://evil.example" })
			defer e.Vendor.Set(func(b *fakeidp.Behaviour) { b.LieAboutIss = "" })
			b.visit(s.open(b))
		}, "The answer came from another server", "Sign in"},
		{"provider changed", func(t *testing.T, b *tab) {
			provider(t, "changed", e.Vendor.Issuer(), "never")
			address := link(t, "agent", "alice", "changed", "read")
			call[object](a.in(t), "UpdateOauth2CredentialProvider", customProvider("changed", e.Vendor.Issuer(), "another-client", testenv.ClientSecret, "CLIENT_SECRET_BASIC"))
			b.visit(address)
		}, "This connection was changed", ""},
		{"vendor away", func(t *testing.T, b *tab) {
			provider(t, "away", away.Issuer(), "never")
			b.visit(link(t, "agent", "alice", "away", "read"))
		}, "The service does not answer", ""},
		{"confirmation", func(t *testing.T, b *tab) {
			provider(t, "calendar", e.Vendor.Issuer(), "always")
			b.visit(link(t, "agent", "alice", "calendar", "read", "write"))
		}, "Connect calendar for agent?", "Sign in"},
		{"confirmation of long names", func(t *testing.T, b *tab) {
			provider(t, longName, e.Vendor.Issuer(), "always")
			b.visit(link(t, longName, longUser, longName, longScope, "read", longScope+".write"))
		}, "Connect " + longName + " for " + longName + "?", "Sign in"},
		{"confirmation without scopes", func(t *testing.T, b *tab) {
			provider(t, "no-scopes", e.Vendor.Issuer(), "always")
			b.visit(link(t, "agent", "alice", "no-scopes"))
		}, "Connect no-scopes for agent?", "Sign in"},
		{"confirmation of markup", func(t *testing.T, b *tab) {
			provider(t, "markup", e.Vendor.Issuer(), "always")
			b.visit(link(t, "agent", markup, "markup", strings.Split(markup, " ")...))
			if !strings.Contains(b.String(), `onerror=`) {
				t.Errorf("the page does not say it as it is: %s", b)
			}
		}, "Connect markup for agent?", "Sign in"},
		{"expired", func(t *testing.T, b *tab) {
			b.visit(stoppedDoor(t, &broker.Interruption{Cause: broker.CauseExpired}))
		}, "This link has expired", ""},
		{"failure", func(t *testing.T, b *tab) {
			b.visit(stoppedDoor(t, errors.New("the disk is full")))
		}, "Something went wrong on our side", ""},
	} {
		t.Run(p.name, func(t *testing.T) {
			b := newTab(t)
			p.open(t, b)
			b.reads(p.heading)
			b.fetchesNothing()
			b.inert()
			b.reads(p.heading)
			b.looks("page " + p.name)
			b.works(p.name, p.follow)
		})
	}
}

// fetchesNothing wants a page to be one request, to which the browser has no objection.
func (b *tab) fetchesNothing() {
	b.t.Helper()
	address := b.address()
	b.seen.take()
	b.visit(address)
	requests, console := b.seen.take()
	requests = slices.DeleteFunc(requests, func(r string) bool { return strings.HasPrefix(r, "data:") }) // pictures of the browser's own controls
	if !slices.Equal(requests, []string{address}) {
		b.t.Errorf("the page fetches %q", requests)
	}
	for _, text := range console {
		if !strings.HasPrefix(text, "Failed to load resource: the server responded with a status of") { // the page itself, whose status is no 200
			b.t.Errorf("the browser objects: %s", text)
		}
	}
}

// intrusions tries what a page must not let happen even if something got into it, and gives what did happen.
const intrusions = `new Promise((done) => {
	const happened = new Set();
	window.intrude = (what) => happened.add(what);
	const add = (tag, about) => document.body.append(Object.assign(document.createElement(tag), about));
	add('script', { textContent: "intrude('a script')" });
	add('script', { src: "data:text/javascript,intrude('a script from elsewhere')" });
	add('button', { id: 'handler' });
	document.querySelector('#handler').setAttribute('onclick', "intrude('an event handler')");
	document.querySelector('#handler').click();
	add('a', { id: 'address', href: "javascript:intrude('an address')" });
	document.querySelector('#address').click();
	add('img', { onload: () => intrude('a picture'), src: 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==' });
	add('style', { textContent: 'h1 { visibility: hidden }' });
	add('base', { href: 'https://evil.example/' });
	fetch(location.href).then(() => intrude('a request'), () => {});
	setTimeout(() => {
		if (getComputedStyle(document.querySelector('h1')).visibility === 'hidden') intrude('a style');
		if (!document.baseURI.startsWith(location.origin)) intrude('a base');
		done([...happened].sort());
	}, 300);
})`

// inert wants a page to do nothing that somebody put into it, and leaves it as it was.
func (b *tab) inert() {
	b.t.Helper()
	address, heading := b.address(), b.heading()
	if happened := evaluate[[]string](b, intrusions); len(happened) > 0 {
		b.t.Errorf("the page lets happen: %q", happened)
	}
	evaluate[bool](b, `(() => {
		const form = Object.assign(document.createElement('form'), { action: location.origin + '/healthz' });
		document.body.append(form);
		form.submit();
		return true;
	})()`)
	if b.address() != address {
		b.t.Errorf("the page sent a form to %s", b.address())
	}
	b.visit(address)
	b.reads(heading)
	b.seen.take()
}

// unreadable finds text with a contrast to its ground of less than 4.5 (WCAG 2.2, success criterion 1.4.3).
const unreadable = `(() => {
	const luminance = (color) => {
		const [r, g, b] = color.match(/[\d.]+/g).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ground = (e) => {
		while (e && getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)') e = e.parentElement;
		return e ? getComputedStyle(e).backgroundColor : 'rgb(255, 255, 255)';
	};
	return [...document.body.querySelectorAll('*')]
		.filter((e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()))
		.filter((e) => {
			const [light, dark] = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((x, y) => y - x);
			return (light + 0.05) / (dark + 0.05) < 4.5;
		})
		.map((e) => e.innerText);
})()`

// looks takes pictures of a page, narrow and wide, light and dark, and wants it to fit and to be readable in each.
func (b *tab) looks(name string) {
	b.t.Helper()
	if lang, title := evaluate[string](b, `document.documentElement.lang`), evaluate[string](b, `document.title`); lang != "en" || title != evaluate[string](b, `document.querySelector('h1').textContent`) {
		b.t.Errorf("language %q, title %q", lang, title)
	}
	for _, width := range []int64{360, 1280} {
		run(b, "resize", chromedp.EmulateViewport(width, 800))
		for _, scheme := range []string{"light", "dark"} {
			if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
				b.t.Fatal(err)
			}
			variant := fmt.Sprintf("%s %d %s", name, width, scheme)
			if dark := evaluate[float64](b, `Number(getComputedStyle(document.body).backgroundColor.match(/\d+/)[0])`) < 128; dark != (scheme == "dark") {
				b.t.Errorf("%s: the page has other colours", variant)
			}
			if wide := evaluate[int64](b, `document.documentElement.scrollWidth`); wide > width {
				b.t.Errorf("%s: the page is %d wide", variant, wide)
			}
			if texts := evaluate[[]string](b, unreadable); len(texts) > 0 {
				b.t.Errorf("%s: too little contrast in %q", variant, texts)
			}
			b.shoot(variant)
		}
	}
}

// works wants the Tab key to reach the one link of a page and nothing else, to show that, and Enter to follow it.
func (b *tab) works(name, follow string) {
	b.t.Helper()
	links := evaluate[int](b, `document.querySelectorAll('a, button, input, [tabindex]').length`)
	if follow == "" {
		if links != 0 {
			b.t.Errorf("%d controls on a page without a way on", links)
		}
		return
	}
	if links != 1 {
		b.t.Errorf("%d controls on a page with one way on", links)
	}
	b.press(tabKey)
	if !evaluate[bool](b, `document.activeElement.matches('a[href]:focus-visible')`) {
		b.t.Fatal("Tab does not reach the link")
	}
	if outline := evaluate[string](b, `getComputedStyle(document.activeElement).outline`); !strings.Contains(outline, "solid") || strings.Contains(outline, "0px") {
		b.t.Errorf("the focus is not to be seen: outline %s", outline)
	}
	b.shoot("page " + name + " focus")
	b.press(enterKey)
	b.reads(follow)
}

// evaluate reads a value of the page.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	return run(b, expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}
