package fakeidp_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fakeidp"
)

// Each switch changes the answer to an otherwise good client_credentials request for read and write.
func TestWordingOfTokenAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fakeidp.Behaviour)
		want   map[string]any // the answer without its access token
	}{
		"correct": {
			func(*fakeidp.Behaviour) {},
			map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": "read write"},
		},
		"AccessTokenLifetime": {
			func(b *fakeidp.Behaviour) { b.AccessTokenLifetime = time.Minute },
			map[string]any{"token_type": "Bearer", "expires_in": 60.0, "scope": "read write"},
		},
		"OmitTokenType": {
			func(b *fakeidp.Behaviour) { b.OmitTokenType = true },
			map[string]any{"expires_in": 3600.0, "scope": "read write"},
		},
		"OmitExpiresIn": {
			func(b *fakeidp.Behaviour) { b.OmitExpiresIn = true },
			map[string]any{"token_type": "Bearer", "scope": "read write"},
		},
		"ExpiresInString": {
			func(b *fakeidp.Behaviour) { b.ExpiresInString = true },
			map[string]any{"token_type": "Bearer", "expires_in": "3600", "scope": "read write"},
		},
		"OmitScope": {
			func(b *fakeidp.Behaviour) { b.OmitScope = true },
			map[string]any{"token_type": "Bearer", "expires_in": 3600.0},
		},
		"ScopeArray": {
			func(b *fakeidp.Behaviour) { b.ScopeArray = true },
			map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": []any{"read", "write"}},
		},
		"ScopeComma": {
			func(b *fakeidp.Behaviour) { b.ScopeComma = true },
			map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": "read,write"},
		},
		"NarrowScopes": {
			func(b *fakeidp.Behaviour) { b.NarrowScopes = []string{"write", "admin"} },
			map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": "write"},
		},
		"NarrowScopes to none": {
			func(b *fakeidp.Behaviour) { b.NarrowScopes, b.ScopeArray = []string{}, true },
			map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": []any{}},
		},
		"RenameScopes": {
			func(b *fakeidp.Behaviour) { b.RenameScopes = map[string]string{"read": "https://api.example/read"} },
			map[string]any{"token_type": "Bearer", "expires_in": 3600.0, "scope": "https://api.example/read write"},
		},
		"ExtraTokenMembers": {
			func(b *fakeidp.Behaviour) {
				b.ExtraTokenMembers = map[string]any{"ok": true, "expires_in": -1, "scope": nil}
			},
			map[string]any{"token_type": "Bearer", "expires_in": -1.0, "ok": true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := start(t)
			v.Set(test.change)
			a := clientCredentials(t, v).wantOK(t)
			a.token(t, "access_token")
			delete(a.json, "access_token")
			if diff := cmp.Diff(test.want, a.json); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFormEncoded(t *testing.T) {
	v := start(t)
	v.Set(func(b *fakeidp.Behaviour) { b.FormEncoded, b.ScopeArray = true, true })
	parse := func(a answer) url.Values {
		form, err := url.ParseQuery(a.body)
		if err != nil || a.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Fatalf("answer %s %q, want a form", a.header.Get("Content-Type"), a.body)
		}
		return form
	}
	form := parse(clientCredentials(t, v).wantOK(t))
	if _, ok := v.Introspect(form.Get("access_token")); !ok || form.Get("expires_in") != "3600" || len(form["scope"]) != 2 {
		t.Errorf("answer %v, want a live token of 3600 s with two scopes", form)
	}
	if form := parse(refresh(t, v, "unknown")); form.Get("error") != "invalid_grant" {
		t.Errorf("answer %v, want invalid_grant", form)
	}
}

// Each switch makes the token endpoint fail, and leaves the grant as it was or processes it, as it says.
func TestFailures(t *testing.T) {
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		change func(*fakeidp.Behaviour)
		check  func(*testing.T, answer, error)
		spent  bool // the refresh token that was sent
	}{
		"CutBefore": {
			func(b *fakeidp.Behaviour) { b.CutBefore = true },
			wantCut, false,
		},
		"RedirectTo": {
			func(b *fakeidp.Behaviour) { b.RedirectTo = elsewhere.URL + "/token" },
			func(t *testing.T, a answer, _ error) {
				if a.status != http.StatusTemporaryRedirect || a.header.Get("Location") != elsewhere.URL+"/token" {
					t.Errorf("answer %d to %q", a.status, a.header.Get("Location"))
				}
			}, false,
		},
		"OKWithError": {
			func(b *fakeidp.Behaviour) { b.OKWithError = "bad_verification_code" },
			func(t *testing.T, a answer, _ error) { a.wantError(t, http.StatusOK, "bad_verification_code") }, false,
		},
		"OKWithError with ExtraTokenMembers": {
			func(b *fakeidp.Behaviour) {
				b.OKWithError, b.ExtraTokenMembers = "invalid_refresh_token", map[string]any{"ok": false}
			},
			func(t *testing.T, a answer, _ error) {
				a.wantError(t, http.StatusOK, "invalid_refresh_token")
				if a.json["ok"] != false {
					t.Errorf("answer %s, want ok false", a.body)
				}
			}, false,
		},
		"ErrorCode": {
			func(b *fakeidp.Behaviour) { b.ErrorCode = "invalid_grant" },
			func(t *testing.T, a answer, _ error) { a.wantError(t, http.StatusBadRequest, "invalid_grant") }, false,
		},
		"ErrorCode with Status": {
			func(b *fakeidp.Behaviour) { b.ErrorCode, b.Status = "invalid_client", http.StatusUnauthorized },
			func(t *testing.T, a answer, _ error) { a.wantError(t, http.StatusUnauthorized, "invalid_client") }, false,
		},
		"Status with RetryAfter": {
			func(b *fakeidp.Behaviour) { b.Status, b.RetryAfter = http.StatusServiceUnavailable, "17" },
			func(t *testing.T, a answer, _ error) {
				if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "17" || a.json != nil {
					t.Errorf("answer %d, Retry-After %q, %s", a.status, a.header.Get("Retry-After"), a.body)
				}
			}, false,
		},
		"CutAfterIssue": {
			func(b *fakeidp.Behaviour) { b.CutAfterIssue = true },
			wantCut, true,
		},
		"NotJSON": {
			func(b *fakeidp.Behaviour) { b.NotJSON = true },
			func(t *testing.T, a answer, _ error) {
				if a.status != http.StatusOK || a.json != nil || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
					t.Errorf("answer %d %s %s", a.status, a.header.Get("Content-Type"), a.body)
				}
			}, true,
		},
		"HugeBody": {
			func(b *fakeidp.Behaviour) { b.HugeBody = true },
			func(t *testing.T, a answer, _ error) {
				a.wantOK(t).token(t, "access_token")
				if len(a.body) < 8<<20 {
					t.Errorf("%d bytes, want 8 MiB", len(a.body))
				}
			}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := start(t)
			first := redeem(t, v, authorize(t, v))
			v.Set(test.change)
			req := tokenRequest(t, v, "refresh_token", "refresh_token", first.token(t, "refresh_token"))
			a, err := v.send(req)
			test.check(t, a, err)
			if _, unspent := v.Introspect(first.token(t, "refresh_token")); unspent == test.spent {
				t.Errorf("refresh token spent: %t, want %t", !unspent, test.spent)
			}
			if live := v.Live(); live > 1 != test.spent {
				t.Errorf("%d access tokens live", live)
			}
		})
	}
}

func wantCut(t *testing.T, a answer, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), io.EOF.Error()) {
		t.Errorf("answer %d, %v, want a connection closed without an answer", a.status, err)
	}
}

func TestTimes(t *testing.T) {
	v := start(t)
	v.Set(func(b *fakeidp.Behaviour) { b.Times, b.Status, b.OmitScope = 2, http.StatusTooManyRequests, true })
	for range 2 {
		if a := clientCredentials(t, v); a.status != http.StatusTooManyRequests {
			t.Fatalf("answer %d, want 429", a.status)
		}
		get(t, v, authorizationURL(v)) // no token request: does not count
	}
	for range 2 {
		a := clientCredentials(t, v).wantOK(t)
		if _, ok := a.json["scope"]; ok {
			t.Error("Times also cleared a switch that is no failure")
		}
	}
	v.Set(func(b *fakeidp.Behaviour) { b.Status = http.StatusTooManyRequests })
	for range 3 {
		if a := clientCredentials(t, v); a.status != http.StatusTooManyRequests {
			t.Fatalf("answer %d, want 429 until changed", a.status)
		}
	}
}

// The end of a test waits for no stalled request.
func TestStartEndsStalledRequests(t *testing.T) {
	began := time.Now()
	result := make(chan error, 1)
	t.Run("stalled", func(t *testing.T) {
		v := start(t)
		v.Set(func(b *fakeidp.Behaviour) { b.Stall = time.Hour })
		req := tokenRequest(t, v, "client_credentials").WithContext(context.WithoutCancel(t.Context()))
		go func() {
			_, err := v.send(req)
			result <- err
		}()
		for v.Count("client_credentials") == 0 {
			time.Sleep(time.Millisecond)
		}
	})
	if err := <-result; err == nil {
		t.Error("the stalled request was answered")
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAuthorizeBehaviour(t *testing.T) {
	v := start(t)
	t.Run("Subject", func(t *testing.T) {
		v.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{Subject: "bob"} })
		if info, _ := v.Introspect(redeem(t, v, authorize(t, v)).token(t, "access_token")); info.Subject != "bob" {
			t.Errorf("subject %q, want bob", info.Subject)
		}
	})
	t.Run("Deny", func(t *testing.T) {
		v.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{Deny: "temporarily_unavailable", ShowLogin: true} })
		back := get(t, v, authorizationURL(v)).location(t)
		if back.Get("error") != "temporarily_unavailable" || back.Get("error_description") == "" || back.Has("code") || back.Get("state") != "state-1" {
			t.Errorf("callback %v", back)
		}
	})
	t.Run("LieAboutIss", func(t *testing.T) {
		v.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{LieAboutIss: "https://evil.example"} })
		if back := get(t, v, authorizationURL(v)).location(t); back.Get("iss") != "https://evil.example" || !back.Has("code") {
			t.Errorf("callback %v", back)
		}
	})
	t.Run("OmitIss", func(t *testing.T) {
		v.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{OmitIss: true} })
		if back := get(t, v, authorizationURL(v)).location(t); back.Has("iss") || !back.Has("code") {
			t.Errorf("callback %v", back)
		}
	})
	t.Run("no state", func(t *testing.T) {
		if back := get(t, v, authorizationURL(v, "state", "")).location(t); back.Has("state") {
			t.Errorf("callback %v, want no state where none was sent", back)
		}
	})
	t.Run("CodeLifetime", func(t *testing.T) {
		v.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{CodeLifetime: time.Nanosecond} })
		redeem(t, v, authorize(t, v)).wantError(t, http.StatusBadRequest, "invalid_grant")
	})
}

func TestShowLogin(t *testing.T) {
	v := start(t)
	v.Set(func(b *fakeidp.Behaviour) { b.ShowLogin = true })
	address := authorizationURL(v, "scope", "read <script>")
	page := get(t, v, address).wantOK(t)
	for _, part := range []string{
		`<form method="post">`, `name="username" value="alice"`, `name="decision" value="approve"`, `name="decision" value="deny"`, "read &lt;script&gt;",
	} {
		if !strings.Contains(page.body, part) {
			t.Errorf("the page lacks %s:\n%s", part, page.body)
		}
	}
	submit := func(decision string) url.Values {
		return mustSend(t, v, request(t, http.MethodPost, address, url.Values{"username": {"carol"}, "decision": {decision}})).location(t)
	}
	if back := submit("deny"); back.Get("error") != "access_denied" || back.Has("code") || back.Get("state") != "state-1" {
		t.Errorf("callback after Deny %v", back)
	}
	a := redeem(t, v, submit("approve").Get("code"))
	if info, _ := v.Introspect(a.token(t, "access_token")); info.Subject != "carol" {
		t.Errorf("subject %q, want carol", info.Subject)
	}
}

func TestRevokeStatus(t *testing.T) {
	v := start(t)
	access := clientCredentials(t, v).token(t, "access_token")
	v.Set(func(b *fakeidp.Behaviour) { b.RevokeStatus = http.StatusServiceUnavailable })
	if a := revoke(t, v, agent, access); a.status != http.StatusServiceUnavailable {
		t.Errorf("answer %d, want 503", a.status)
	}
	resource(t, v, access).wantOK(t)
}
