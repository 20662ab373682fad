package oauth_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"credence/internal/oauth"
	"credence/internal/secret"
)

func TestParseCallback(t *testing.T) {
	state := oauth.NewVerifier().Reveal() // long and random, like any state of ours
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tc := range []struct {
		name, query string
		want        oauth.Callback
	}{
		{"a code", "code=c%2Fd&state=s", oauth.Callback{Code: secret.New("c/d"), State: secret.New("s")}},
		{"a code and an issuer", "code=c&state=s&iss=https%3A%2F%2Fidp.example&session_state=x&scope=a+b", oauth.Callback{
			Code: secret.New("c"), State: secret.New("s"), Issuer: "https://idp.example"}},
		{"an error", "error=access_denied&error_description=The+user%0Asaid+no&state=s", oauth.Callback{
			State: secret.New("s"), Error: "access_denied", ErrorDescription: "The user said no"}},
		{"an empty error beside a code", "error=&code=c&state=s", oauth.Callback{Code: secret.New("c"), State: secret.New("s")}},
		{"an error that quotes the state", "error=invalid&error_description=state+" + state + "+is+unknown&state=" + state, oauth.Callback{
			State: secret.New(state), Error: "invalid", ErrorDescription: "state [cut] is unknown"}},
		{"the longest code and state", "code=" + long(8<<10) + "&state=" + long(1<<10), oauth.Callback{Code: secret.New(long(8 << 10)), State: secret.New(long(1 << 10))}},
		{"unknown parameters may come twice", "code=c&state=s&x=1&x=2", oauth.Callback{Code: secret.New("c"), State: secret.New("s")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := oauth.ParseCallback(tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(secret.String.Equal)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, tc := range []struct{ name, query, want string }{
		{"empty", "", "no state"},
		{"no state", "code=hunter2", "no state"},
		{"an empty state", "code=hunter2&state=", "no state"},
		{"state alone", "state=hunter2", "neither a code nor an error"},
		{"an empty code", "code=&state=hunter2", "neither a code nor an error"},
		{"an invisible error", "error=%00%e2%80%8b&state=hunter2", "neither a code nor an error"},
		{"both", "code=hunter2&error=access_denied&state=s", "both a code and an error"},
		{"two states", "code=c&state=hunter2&state=t", "more than one state"},
		{"two equal states", "code=c&state=hunter2&state=hunter2", "more than one state"},
		{"two codes", "code=hunter2&code=d&state=s", "more than one code"},
		{"two issuers", "code=c&state=s&iss=hunter2&iss=b", "more than one iss"},
		{"two errors", "error=a&error=hunter2&state=s", "more than one error"},
		{"a long code", "state=s&code=" + long(8<<10+1), "code is larger than 8192 bytes"},
		{"a long state", "code=c&state=" + long(1<<10+1), "state is larger than 1024 bytes"},
		{"a long issuer", "code=c&state=s&iss=" + long(2<<10+1), "iss is larger than 2048 bytes"},
		{"a long query", "code=c&state=s&x=" + long(16<<10), "query is larger than 16384 bytes"},
		{"bad escapes", "code=hunter2%zz&state=s", "malformed"},
		{"a semicolon", "code=hunter2;state=s", "malformed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := oauth.ParseCallback(tc.query)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
			if !got.Code.IsZero() || !got.State.IsZero() {
				t.Error("a value came with the error")
			}
		})
	}
}

func TestCheckIssuer(t *testing.T) {
	const idp = "https://idp.example"
	for _, tc := range []struct {
		iss, issuer string
		promised    bool
		want        string // a piece of the error
	}{
		{idp, idp, true, ""},
		{idp, idp, false, ""},
		{"", idp, false, ""},
		{"", "", false, ""},
		{idp, "", false, ""},
		{"", idp, true, "has no iss"},
		{"https://evil.example", idp, true, "another issuer"},
		{"https://evil.example", idp, false, "another issuer"},
		{idp + "/", idp, false, "another issuer"},
	} {
		err := oauth.Callback{Issuer: tc.iss}.CheckIssuer(tc.issuer, tc.promised)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// Whatever a browser brings: one state, and either one code or an error that is fit to print.
func FuzzCallback(f *testing.F) {
	for _, seed := range []string{
		"code=c&state=s", "error=access_denied&error_description=no%0d%0a&state=s&iss=https%3A%2F%2Fidp.example", "state=s&state=t&code=c", "code=%zz", "error=%00&state=s",
		"code=c&error=e&state=s", "error_description=x&state=s", "error=s&error_description=ss&state=s",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		cb, err := oauth.ParseCallback(raw)
		if err != nil {
			if cb != (oauth.Callback{}) {
				t.Error("a value came with the error")
			}
			return
		}
		query, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		if len(query["state"]) != 1 || query["state"][0] != cb.State.Reveal() || cb.State.IsZero() {
			t.Errorf("state of %q", raw)
		}
		if cb.Code.IsZero() == (cb.Error == "") || cb.Code.Reveal() != query.Get("code") || len(query["code"]) > 1 {
			t.Errorf("code of %q", raw)
		}
		checkText(t, cb.Error, 64)
		checkText(t, cb.ErrorDescription, 300)
	})
}

func checkText(t *testing.T, s string, limit int) {
	t.Helper()
	if utf8.RuneCountInString(s) > limit || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("not fit to print: %q", s)
	}
}
