package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"credence/internal/egress"
	"credence/internal/oauth"
)

// publisher serves one document, changeable at any time, and counts how often it was asked. As a Doer it answers without a network that a
// bubble's time would wait for.
type publisher struct {
	mu     sync.Mutex
	answer http.HandlerFunc
	asked  int
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked++
	answer := p.answer
	p.mu.Unlock()
	answer(w, r)
}

func (p *publisher) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

func (p *publisher) set(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *publisher) wantAsked(t *testing.T, want int, when string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != want {
		t.Errorf("%s: asked %d times, want %d", when, p.asked, want)
	}
}

func cached(cacheControl, body string) http.HandlerFunc {
	return says(http.StatusOK, map[string]string{"Cache-Control": cacheControl}, body)
}

const (
	idp    = "https://idp.example"
	idpURL = idp + "/.well-known/openid-configuration"
)

// document names the issuer idp; tokenEndpoint tells one version from another.
func document(tokenEndpoint string) string {
	return fmt.Sprintf(`{"issuer":%q,"authorization_endpoint":"https://idp.example/authorize","token_endpoint":%q,"jwks_uri":"https://idp.example/jwks"}`,
		idp, tokenEndpoint)
}

func anyURL(string) error { return nil }

func wantTokenEndpoint(t *testing.T, d *oauth.Discovery, want string) {
	t.Helper()
	m, err := d.Metadata(context.Background(), idpURL)
	if err != nil || m.TokenEndpoint != want {
		t.Errorf("token endpoint %q, %v, want %q", m.TokenEndpoint, err, want)
	}
}

func wantDiscoveryError(t *testing.T, d *oauth.Discovery, says string) {
	t.Helper()
	m, err := d.Metadata(context.Background(), idpURL)
	if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), idpURL) {
		t.Errorf("error %v, want one with %q and the URL", err, says)
	}
	if m.Issuer != "" || m.TokenEndpoint != "" {
		t.Errorf("metadata came with the error: %+v", m)
	}
}

// A document is kept for as long as its server says, but no shorter than 30 seconds and no longer than an hour.
func TestDiscoveryAge(t *testing.T) {
	for cacheControl, want := range map[string]time.Duration{
		"":                           10 * time.Minute,
		"public":                     10 * time.Minute,
		"max-age=300":                5 * time.Minute,
		"Public, MAX-AGE = 300":      10 * time.Minute, // no directive: RFC 9111 has no blanks there
		"public, Max-Age=300":        5 * time.Minute,
		`private,max-age="300"`:      5 * time.Minute,
		"max-age=30":                 30 * time.Second,
		"max-age=5":                  30 * time.Second,
		"max-age=0":                  30 * time.Second,
		"max-age=-1":                 30 * time.Second,
		"no-cache":                   30 * time.Second,
		"no-store":                   30 * time.Second,
		"max-age=3600, no-store":     30 * time.Second,
		"No-Store, max-age=3600":     30 * time.Second,
		"max-age=3600":               time.Hour,
		"max-age=3601":               time.Hour,
		"max-age=31536000,immutable": time.Hour,
		"max-age=soon":               10 * time.Minute,
		"max-age=":                   10 * time.Minute,
	} {
		t.Run(cacheControl, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &publisher{answer: cached(cacheControl, document("https://idp.example/token"))}
				d := oauth.NewDiscovery(p, anyURL)
				wantTokenEndpoint(t, d, "https://idp.example/token")
				p.set(cached(cacheControl, document("https://idp.example/token2")))
				time.Sleep(want - time.Nanosecond)
				wantTokenEndpoint(t, d, "https://idp.example/token")
				p.wantAsked(t, 1, "just before "+want.String())
				time.Sleep(time.Nanosecond)
				wantTokenEndpoint(t, d, "https://idp.example/token2")
				p.wantAsked(t, 2, "after "+want.String())
			})
		})
	}
}

// An old document is better than none while its server is away, for a day.
func TestDiscoveryOfAServerThatIsAway(t *testing.T) {
	for name, away := range map[string]http.HandlerFunc{
		"HTTP 503":    says(http.StatusServiceUnavailable, nil, "no"),
		"HTTP 404":    says(http.StatusNotFound, nil, document("https://evil.example/token")),
		"HTTP 302":    says(http.StatusFound, map[string]string{"Location": "https://evil.example/"}, ""),
		"no document": says(http.StatusOK, nil, "<html>maintenance</html>"),
		"a stranger":  says(http.StatusOK, nil, strings.ReplaceAll(document("https://evil.example/token"), idp, "https://evil.example")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &publisher{answer: cached("max-age=3600", document("https://idp.example/token"))}
				d := oauth.NewDiscovery(p, anyURL)
				wantTokenEndpoint(t, d, "https://idp.example/token")
				p.set(away)
				time.Sleep(time.Hour)
				wantTokenEndpoint(t, d, "https://idp.example/token")
				p.wantAsked(t, 2, "when the document is too old")
				wantTokenEndpoint(t, d, "https://idp.example/token")
				p.wantAsked(t, 2, "at once again")
				time.Sleep(2 * time.Second)
				wantTokenEndpoint(t, d, "https://idp.example/token")
				p.wantAsked(t, 3, "2 s later")
				time.Sleep(23*time.Hour - 2*time.Second - time.Nanosecond)
				wantTokenEndpoint(t, d, "https://idp.example/token")
				time.Sleep(time.Nanosecond)
				if m, err := d.Metadata(t.Context(), idpURL); err == nil {
					t.Errorf("a document of yesterday is still believed: %+v", m)
				}
				p.set(cached("", document("https://idp.example/token3")))
				time.Sleep(2 * time.Second)
				wantTokenEndpoint(t, d, "https://idp.example/token3")
			})
		})
	}
}

// A server that is away is not asked again at once by everybody who needs it.
func TestFailureIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{answer: says(http.StatusBadGateway, nil, "secret-looking body")}
		d := oauth.NewDiscovery(p, anyURL)
		for range 5 {
			wantDiscoveryError(t, d, "answered HTTP 502")
		}
		time.Sleep(2*time.Second - time.Nanosecond)
		wantDiscoveryError(t, d, "answered HTTP 502")
		p.wantAsked(t, 1, "within 2 s")
		p.set(cached("", document("https://idp.example/token")))
		time.Sleep(time.Nanosecond)
		wantTokenEndpoint(t, d, "https://idp.example/token")
		p.wantAsked(t, 2, "after 2 s")
	})
}

// Many callers who need a document at the same moment share one fetch. That the first of them gives up is not the others' affair.
func TestDiscoveryOnceForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		p := &publisher{answer: func(w http.ResponseWriter, r *http.Request) {
			<-answer
			if err := r.Context().Err(); err != nil {
				t.Errorf("the fetch ended with a caller's context: %v", err)
			}
			cached("", document("https://idp.example/token"))(w, r)
		}}
		d := oauth.NewDiscovery(p, anyURL)
		ctx, giveUp := context.WithCancel(t.Context())
		go func() { _, _ = d.Metadata(ctx, idpURL) }()
		synctest.Wait() // until it leads
		var others sync.WaitGroup
		for range 50 {
			others.Go(func() { wantTokenEndpoint(t, d, "https://idp.example/token") })
		}
		synctest.Wait()
		giveUp()
		synctest.Wait()
		close(answer)
		others.Wait()
		p.wantAsked(t, 1, "51 callers at once")
	})
}

func TestDiscoveryKeepsIssuersApart(t *testing.T) {
	p := &publisher{answer: func(w http.ResponseWriter, r *http.Request) {
		issuer := "https://" + r.URL.Host
		cached("", fmt.Sprintf(`{"issuer":%q,"token_endpoint":"%s/token"}`, issuer, issuer))(w, r)
	}}
	d := oauth.NewDiscovery(p, anyURL)
	for range 2 {
		for _, issuer := range []string{"https://one.example", "https://two.example"} {
			m, err := d.Metadata(t.Context(), issuer+"/.well-known/openid-configuration")
			if err != nil || m.Issuer != issuer || m.TokenEndpoint != issuer+"/token" {
				t.Errorf("%s: %+v, %v", issuer, m, err)
			}
		}
	}
	p.wantAsked(t, 2, "two documents, each asked for twice")
}

// Every endpoint that a document names is judged before anybody sees it.
func TestDiscoveryEndpoints(t *testing.T) {
	out, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint"} {
		for _, endpoint := range []string{
			"javascript:alert(1)//idp.example", "http://idp.example/x", "https://10.0.0.1/x", "https://[::ffff:10.0.0.1]/x", "https://[64:ff9b::a00:1]/x",
			"https://169.254.169.254/latest", "https://0.0.0.0/x", "https://167772161/x", "https://127.0.0.1/x", "https://localhost/x", "file:///etc/passwd",
			"https://user:pw@idp.example/x", "//idp.example/x", "/x", "https://idp.example/x#y", "https://idp.example\\@10.0.0.1/", " ",
		} {
			t.Run(member+" "+endpoint, func(t *testing.T) {
				d := oauth.NewDiscovery(&publisher{answer: says(http.StatusOK, nil, fmt.Sprintf(`{"issuer":%q,%q:%q}`, idp, member, endpoint))}, out.CheckURL)
				wantDiscoveryError(t, d, member)
			})
		}
	}
	t.Run("good ones", func(t *testing.T) {
		d := oauth.NewDiscovery(&publisher{answer: says(http.StatusOK, nil, document("https://idp.example:8443/token?tenant=1"))}, out.CheckURL)
		wantTokenEndpoint(t, d, "https://idp.example:8443/token?tenant=1")
	})
}

func TestDiscoverySize(t *testing.T) {
	padded := func(size int) string {
		body := document("https://idp.example/token")
		return body + strings.Repeat(" ", size-len(body))
	}
	t.Run("512 KiB", func(t *testing.T) {
		wantTokenEndpoint(t, oauth.NewDiscovery(&publisher{answer: says(http.StatusOK, nil, padded(512<<10))}, anyURL), "https://idp.example/token")
	})
	t.Run("one byte more", func(t *testing.T) {
		wantDiscoveryError(t, oauth.NewDiscovery(&publisher{answer: says(http.StatusOK, nil, padded(512<<10+1))}, anyURL), "larger than 524288 bytes")
	})
	t.Run("without end", func(t *testing.T) {
		done := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}))
		defer server.Close()
		out, err := egress.New(egress.Config{Dev: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := oauth.NewDiscovery(out, out.CheckURL).Metadata(t.Context(), server.URL); err == nil {
			t.Error("an endless document was read to its end")
		}
		<-done
	})
}

// A document says who its issuer is by where it stands: one that stands elsewhere is not looked for there.
func TestDiscoveryFollowsNoRedirect(t *testing.T) {
	target := newVendor(t, says(http.StatusOK, nil, "{}"))
	v := newVendor(t, nil)
	target.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for _, status := range []int{301, 302, 303, 307, 308} {
		v.Config.Handler = http.RedirectHandler(target.URL+"/.well-known/openid-configuration", status)
		out, err := egress.New(egress.Config{Dev: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = oauth.NewDiscovery(out, out.CheckURL).Metadata(t.Context(), v.URL+"/.well-known/openid-configuration")
		if want := fmt.Sprintf("answered HTTP %d", status); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A URL that may not be fetched is refused by the client, and says so.
func TestDiscoveryOfAForbiddenURL(t *testing.T) {
	out, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := oauth.NewDiscovery(out, out.CheckURL)
	for _, u := range []string{"http://idp.example/x", "https://10.0.0.1/x", "file:///etc/passwd"} {
		if _, err := d.Metadata(t.Context(), u); !errors.Is(err, egress.ErrForbidden) || !strings.Contains(err.Error(), u) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if _, err := d.Metadata(t.Context(), "https://%zz/"); err == nil || !strings.Contains(err.Error(), "is not a URL") {
		t.Errorf("%v", err)
	}
}
