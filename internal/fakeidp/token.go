package fakeidp

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// serveToken is the token endpoint (RFC 6749 section 3.2), with every way to fail.
func (v *Vendor) serveToken(w http.ResponseWriter, r *http.Request) {
	b := v.spend()
	stall(r.Context(), b.Stall)
	switch {
	case b.CutBefore:
		panic(http.ErrAbortHandler)
	case b.RedirectTo != "":
		http.Redirect(w, r, b.RedirectTo, http.StatusTemporaryRedirect)
		return
	case b.OKWithError != "":
		b.refuse(w, &refusal{http.StatusOK, b.OKWithError, "refused by a switch of the test"})
		return
	case b.ErrorCode != "" || b.Status != 0:
		if b.RetryAfter != "" {
			w.Header().Set("Retry-After", b.RetryAfter)
		}
		switch {
		case b.ErrorCode != "":
			b.refuse(w, &refusal{b.Status, b.ErrorCode, "refused by a switch of the test"})
		case b.Silent:
			w.WriteHeader(b.Status)
		default:
			http.Error(w, http.StatusText(b.Status), b.Status)
		}
		return
	}

	members, err := v.issue(r, b)
	v.giveNonce(w, b)
	if err != nil {
		b.refuse(w, err)
		return
	}
	stall(r.Context(), b.StallAfterIssue)
	switch {
	case b.CutAfterIssue:
		panic(http.ErrAbortHandler)
	case b.NotJSON:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>Welcome</title><p>Please sign in to the guest network.</p>"))
		return
	case b.HugeBody:
		members["padding"] = strings.Repeat("x", 8<<20)
	}
	b.answer(w, http.StatusOK, members)
}

// stall waits, or gives the connection up when the client does.
func stall(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

// refusal is an OAuth error answer (RFC 6749 section 5.2). Descriptions name parameters, never values that were sent.
type refusal struct {
	status            int // 0 = 400
	code, description string
}

func (b Behaviour) refuse(w http.ResponseWriter, err *refusal) {
	if err.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="fakeidp"`)
	}
	b.answer(w, cmp.Or(err.status, http.StatusBadRequest), map[string]any{"error": err.code, "error_description": err.description})
}

// answer words a token endpoint's answer as the switches say.
func (b Behaviour) answer(w http.ResponseWriter, status int, members map[string]any) {
	if status == http.StatusOK {
		override(members, b.ExtraTokenMembers)
	} else if b.Suberror != "" {
		members["suberror"] = b.Suberror
	}
	status, members = b.reword(status, members)
	if !b.FormEncoded {
		writeJSON(w, status, members)
		return
	}
	form := url.Values{}
	for name, value := range members {
		if list, ok := value.([]string); ok {
			form[name] = list
		} else {
			form.Set(name, fmt.Sprint(value))
		}
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(form.Encode()))
}

// newAnswer makes an access token and the members of the answer (RFC 6749 section 5.1). A refresh token of "" is left out.
func (v *Vendor) newAnswer(f *family, scopes, resources []string, refreshToken string, b Behaviour) map[string]any {
	lifetime := cmp.Or(b.AccessTokenLifetime, time.Hour)
	seconds := int64(lifetime.Seconds())
	members := map[string]any{"access_token": v.newAccessToken(f, scopes, resources, lifetime)}
	if refreshToken != "" {
		members["refresh_token"] = refreshToken
	}
	if !b.OmitTokenType {
		members["token_type"] = "Bearer"
	}
	switch {
	case b.OmitExpiresIn:
	case b.ExpiresInString:
		members["expires_in"] = strconv.FormatInt(seconds, 10)
	default:
		members["expires_in"] = seconds
	}
	switch {
	case b.OmitScope:
	case b.ScopeArray:
		members["scope"] = scopes
	case b.ScopeComma:
		members["scope"] = strings.Join(scopes, ",")
	default:
		members["scope"] = strings.Join(scopes, " ")
	}
	return members
}
