package webhook_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"credence/internal/secret"
	"credence/internal/webhook"
)

// The vector of the reference libraries of Standard Webhooks, with the prefix of a secret and without.
func TestSignVector(t *testing.T) {
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	for _, key := range []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		got, err := webhook.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`), secret.New(key))
		if err != nil || got != want {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestNewSecret(t *testing.T) {
	a, b := webhook.NewSecret().Reveal(), webhook.NewSecret().Reveal()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a, "whsec_"))
	if a == b || err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(a, "whsec_") {
		t.Errorf("%d bytes, %v, alike: %t", len(key), err, a == b)
	}
}

// A secret that does not fit is in no error.
func TestSignTellsNoSecret(t *testing.T) {
	_, err := webhook.Sign("id", time.Now(), nil, secret.New("whsec_planted!"))
	if err == nil || strings.Contains(err.Error(), "planted") {
		t.Error(err)
	}
}

// What is sent is taken by another implementation, by each of the secrets, and not when anything of it is changed.
func TestSendIsVerifiedByAnother(t *testing.T) {
	old, current, other := webhook.NewSecret(), webhook.NewSecret(), webhook.NewSecret()
	var header http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	m := webhook.Message{ID: "msg_1", Body: []byte(`{"type":"grant.revoked"}`)}
	if err := webhook.Send(t.Context(), direct{}, server.URL, m, current, old); err != nil {
		t.Fatal(err)
	}
	verify := func(s secret.String, body []byte, h http.Header) error {
		v, err := standardwebhooks.NewWebhook(s.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return v.Verify(body, h)
	}
	for _, s := range []secret.String{current, old} {
		if err := verify(s, body, header); err != nil {
			t.Error(err)
		}
	}
	if verify(other, body, header) == nil {
		t.Error("taken with another secret")
	}
	if verify(current, append(body, ' '), header) == nil {
		t.Error("taken with another body")
	}
	for _, name := range []string{"webhook-id", "webhook-timestamp"} {
		changed := header.Clone()
		changed.Set(name, header.Get("webhook-timestamp")+"1")
		if verify(current, body, changed) == nil {
			t.Errorf("taken with another %s", name)
		}
	}
}

// direct follows no redirect.
type direct struct{}

func (direct) Do(r *http.Request) (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }

// Whatever is no 2xx is a failure, a redirect included; what the receiver says is not told.
func TestSendStatus(t *testing.T) {
	for status, taken := range map[int]bool{200: true, 202: true, 204: true, 301: false, 307: false, 400: false, 410: false, 500: false} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			if status != 204 {
				_, _ = io.WriteString(w, "planted-answer")
			}
		}))
		err := webhook.Send(t.Context(), direct{}, server.URL, webhook.Message{ID: "msg_1", Body: []byte(`{}`)}, webhook.NewSecret())
		server.Close()
		if (err == nil) != taken || asked != 1 || errors.Is(err, webhook.Gone) != (status == 410) {
			t.Errorf("%d: %v, asked %d times", status, err, asked)
		}
		if err != nil && strings.Contains(err.Error(), "planted-answer") {
			t.Error(err)
		}
	}
}
