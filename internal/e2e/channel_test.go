package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/fakeidp"
	"credence/internal/testenv"
)

// A browser shows none of our pages in another's frame. Nor can a page around take a person who is signed in at the vendor through a consent that they do not see:
// the attempt's cookie does not go where the address bar does not.
func TestFramedNowhere(t *testing.T) {
	t.Parallel()
	e, app := twoBrowsers(t)
	a := administrator(e)
	extended[object](a, "CreateOauth2CredentialProvider", customProvider("asking", e.Vendor.Issuer(), testenv.ClientID, testenv.ClientSecret, "CLIENT_SECRET_BASIC"), object{"X-Credence-Confirm": "always"})
	s := begin(t, e, app, "alice")
	asking := call[token](a, "GetResourceOauth2Token", object{
		"workloadIdentityToken": *s.wat, "resourceCredentialProviderName": "asking", "scopes": []string{"read"}, "oauth2Flow": "USER_FEDERATION", "resourceOauth2ReturnUrl": app.ReturnURL,
	}).AuthorizationURL
	e.Vendor.Set(func(b *fakeidp.Behaviour) { b.ShowLogin = false }) // it knows the person and asks nothing
	for name, address := range map[string]string{
		"the confirmation page":          asking,
		"a page that stops":              e.URL + "/identities/oauth2/authorize?request_uri=none",
		"a consent that needs no person": *s.began.AuthorizationUrl,
	} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.visit(app.URL + "/frame?of=" + url.QueryEscape(address))
			b.reads("A page around another")
			var console []string
			await(t, "the browser to refuse the frame", func() bool {
				_, said := b.seen.take()
				console = append(console, said...)
				return slices.ContainsFunc(console, func(text string) bool {
					return strings.Contains(text, e.URL) && (strings.Contains(text, "frame-ancestors") || strings.Contains(text, "X-Frame-Options"))
				})
			})
			if len(app.seen()) > 0 {
				t.Errorf("the application was told of it: %v", app.seen())
			}
			s.usable(t)
		})
	}
}

// Where a browser is sent with a session id is never something that it would run, read from the disk or guess at. Such URLs are refused when they are registered,
// and nothing is written.
func TestReturnURLsAreRefused(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	e.Admin.CreateWorkload("kept")
	c := e.Admin.Control()
	for _, bad := range []string{
		"javascript:alert(1)", "JavaScript:alert(1)", "javascript://app.example/%0aalert(1)", "data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHA+", "file:///etc/passwd", "vbscript:x", "blob:https://app.example/1",
		"about:blank", "//evil.example/return", "/return", `https:\\evil.example`, "https://", "http://app.example/return", "https://user@app.example/", "https://app.example/#here", "view-source:https://app.example/",
		"https://app.example/return?session_id=1", "https://app.example/ return",
	} {
		t.Run(bad, func(t *testing.T) {
			urls := []string{testenv.ReturnURL, bad}
			_, err := c.CreateWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.CreateWorkloadIdentityInput{Name: new("refused"), AllowedResourceOauth2ReturnUrls: urls})
			refusedReturnURL(t, err)
			_, err = c.UpdateWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.UpdateWorkloadIdentityInput{Name: new("kept"), AllowedResourceOauth2ReturnUrls: urls})
			refusedReturnURL(t, err)
		})
	}
	if _, err := c.GetWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.GetWorkloadIdentityInput{Name: new("refused")}); !is[*control.ResourceNotFoundException](err) {
		t.Errorf("a refused workload identity: %v", err)
	}
	got, err := c.GetWorkloadIdentity(t.Context(), &bedrockagentcorecontrol.GetWorkloadIdentityInput{Name: new("kept")})
	if err != nil || !slices.Equal(got.AllowedResourceOauth2ReturnUrls, []string{testenv.ReturnURL}) {
		t.Errorf("after refused updates: %+v, %v", got, err)
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// refusedReturnURL wants an error that says which URL it was.
func refusedReturnURL(t *testing.T, err error) {
	t.Helper()
	refusal, ok := errors.AsType[*control.ValidationException](err)
	if !ok || len(refusal.FieldList) != 1 || *refusal.FieldList[0].Name != "allowedResourceOauth2ReturnUrls[1]" {
		t.Errorf("got %v", err)
	}
}

// Whatever stands in a query, of a browser, a vendor or a stranger, at any address, in any form, is in no log, though it logs every request.
func TestQueriesInNoLog(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	const mark = "planted-in-a-query"
	queries := []string{
		"request_uri=" + mark, "request_uri=urn:ietf:params:oauth:request_uri:" + mark, "code=" + mark + "&state=" + mark, "state=" + mark + "&error=" + mark + "&error_description=" + mark, "state=" + mark + "&state=" + mark,
		mark, "%zz" + mark, mark + ";" + mark, "attempt=" + mark + "&request_uri=" + mark, "X-Amz-Credential=" + mark + "&X-Amz-Signature=" + mark, "code=" + strings.Repeat(mark, 1000),
	}
	provider, err := e.Admin.Control().GetOauth2CredentialProvider(t.Context(), &bedrockagentcorecontrol.GetOauth2CredentialProviderInput{Name: new("vendor")})
	if err != nil {
		t.Fatal(err)
	}
	callback := strings.TrimPrefix(*provider.CallbackUrl, e.URL)
	for _, path := range []string{
		"/identities/oauth2/authorize", "/identities/oauth2/authorize/", callback, callback + "/", "/identities/oauth2/callback/none", "/identities/oauth2/callback/", "/identities/oauth2/callback//none", "/identities/CreateWorkloadIdentity",
		"/healthz", "/readyz", "/metrics", "/", "/unknown", "//",
	} {
		for _, q := range queries {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut} {
				request := e.Admin.Sign(path, "{}", "bedrock-agentcore", time.Now())
				request.Method, request.URL.RawQuery = method, q
				e.Do(request)
			}
			e.Admin.Call(path+"?"+q, "{}")
		}
	}

	// And where the query is the vendor's own.
	for name, behave := range map[string]func(*fakeidp.Behaviour){
		"denied": func(b *fakeidp.Behaviour) { b.Deny = mark }, "issuer": func(b *fakeidp.Behaviour) { b.LieAboutIss = "https://" + mark },
	} {
		e.Vendor.Set(behave)
		out, err := e.Admin.Token(e.Admin.WAT("agent", name), "vendor", "USER_FEDERATION")
		if err != nil {
			t.Fatal(err)
		}
		testenv.NewBrowser(t).Follow(*out.AuthorizationUrl+"&utm="+mark, testenv.ReturnURL)
		e.Vendor.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{} })
	}

	log := e.Log()
	for line := range strings.Lines(log) {
		if strings.Contains(line, mark) {
			t.Fatalf("the log has a query: %s", line)
		}
	}
	for _, want := range []string{"browser request interrupted", "why=unknown", "why=wrong_issuer", "request refused"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q, so this test proves too little", want)
		}
	}
	for _, event := range e.Audit(testenv.Account) {
		if text, _ := json.Marshal(event); strings.Contains(string(text), mark) {
			t.Errorf("the audit log has a query: %s", text)
		}
	}
}
