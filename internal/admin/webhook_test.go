package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"credence/internal/admin"
	"credence/internal/audit"
	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/store"
	"credence/internal/wire"
)

// receiver is where webhooks lead to, without a network in between.
type receiver struct {
	mu       sync.Mutex
	status   int // 0: nothing answers
	requests []received
}

type received struct {
	header http.Header
	body   []byte
}

func (r *receiver) Do(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, received{req.Header, body})
	if r.status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: r.status, Body: http.NoBody}, nil
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// taken are the requests since the last call.
func (r *receiver) taken() (all []received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, r.requests = r.requests, nil
	return all
}

// work has the outbox worked off for a while. Days of polls would take minutes, so tests sleep without it.
func (b bed) work(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() { b.Deliver(ctx) })
	time.Sleep(d)
	stop()
	worker.Wait()
}

// hooked is a plane with a webhook, in a bubble.
func hooked(t *testing.T, test func(t *testing.T, b bed, r *receiver, secret string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credence.db")
	synctest.Test(t, func(t *testing.T) {
		b := openAt(t, path, egress.Config{})
		r := &receiver{status: 204}
		b.HTTP = r
		secret := b.hook(t, "hook")
		test(t, b, r, secret)
	})
}

// hook makes a webhook and gives its secret.
func (b bed) hook(t *testing.T, name string, events ...string) string {
	t.Helper()
	out, err := b.PutWebhook(t.Context(), administrator(t, alpha), &wire.PutWebhookInput{Name: name, Url: "https://hook.example/in", EventTypes: events})
	must(t, err)
	if out.Secret == nil {
		t.Fatal("a new webhook has no secret")
	}
	return *out.Secret
}

func (b bed) happen(t *testing.T, reason string) {
	t.Helper()
	must(t, b.store.TellProviderFailing(alpha, "vendor", reason))
}

func verify(t *testing.T, secret string, r received) error {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret)
	must(t, err)
	return v.Verify(r.body, r.header)
}

func (b bed) deliveries(t *testing.T, state string) []wire.WebhookDelivery {
	t.Helper()
	in := &wire.ListWebhookDeliveriesInput{Name: "hook"}
	if state != "" {
		in.State = new(wire.WebhookDeliveryState(state))
	}
	out, err := b.ListWebhookDeliveries(t.Context(), administrator(t, alpha), in)
	must(t, err)
	return out.Deliveries
}

// An event arrives, signed, with names and no more; and once.
func TestDelivery(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, r *receiver, secret string) {
		b.happen(t, "invalid_client")
		b.work(t, time.Minute)
		all := r.taken()
		if len(all) != 1 {
			t.Fatalf("%d requests", len(all))
		}
		must(t, verify(t, secret, all[0]))
		var body map[string]any
		must(t, json.Unmarshal(all[0].body, &body))
		data, _ := body["data"].(map[string]any)
		if body["type"] != "provider.failing" || data["account"] != alpha || data["resourceCredentialProviderName"] != "vendor" || data["reason"] != "invalid_client" || len(data) != 3 || len(body) != 3 {
			t.Errorf("%s", all[0].body)
		}
		if d := b.deliveries(t, "delivered"); len(d) != 1 || *d[0].Attempts != 1 || d[0].MessageId != all[0].header.Get("webhook-id") || strings.Contains(d[0].MessageId, ".") {
			t.Errorf("%+v", d)
		}
	})
}

// What is not taken is sent again, later each time, with the same id, until it is dead; a retry begins anew.
func TestDeliveryIsRepeatedUntilItIsDead(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, r *receiver, secret string) {
		r.answer(500)
		b.happen(t, "invalid_client")
		b.work(t, 3*time.Second)
		all := r.taken()
		const second, minute, hour = time.Second, time.Minute, time.Hour
		for _, pause := range []time.Duration{5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour} { // as the standard has it
			time.Sleep(max(0, pause-6*second))
			b.work(t, min(2*second, pause/4))
			if early := r.taken(); early != nil {
				t.Errorf("sent again before %s were over", pause)
			}
			time.Sleep(5*second + pause/5)
			b.work(t, 3*second)
			all = append(all, r.taken()...)
		}
		time.Sleep(48 * hour)
		b.work(t, 3*second)
		if all = append(all, r.taken()...); len(all) != 10 {
			t.Fatalf("%d attempts", len(all))
		}
		for _, got := range all {
			must(t, verifyAt(t, secret, got))
			if got.header.Get("webhook-id") != all[0].header.Get("webhook-id") || !bytes.Equal(got.body, all[0].body) {
				t.Error("an attempt differs")
			}
		}
		d := b.deliveries(t, "dead")
		if len(d) != 1 || *d[0].Attempts != 10 || d[0].LastError == nil || *d[0].LastError != "it answered 500 Internal Server Error" {
			t.Fatalf("%+v", d)
		}
		r.answer(204)
		out, err := b.RetryWebhookDeliveries(t.Context(), administrator(t, alpha), &wire.RetryWebhookDeliveriesInput{Name: "hook", MessageId: &d[0].MessageId})
		must(t, err)
		b.work(t, time.Minute)
		if again := r.taken(); *out.RetriedDeliveries != 1 || len(again) != 1 || !bytes.Equal(again[0].body, all[0].body) || len(b.deliveries(t, "delivered")) != 1 {
			t.Errorf("%d requests after the retry", len(again))
		}
		if _, err = b.RetryWebhookDeliveries(t.Context(), administrator(t, alpha), &wire.RetryWebhookDeliveriesInput{Name: "hook", MessageId: &d[0].MessageId}); !errors.Is(err, fault.Validation) {
			t.Error(err)
		}
	})
}

// verifyAt verifies a request that is old by now.
func verifyAt(t *testing.T, secret string, r received) error {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret)
	must(t, err)
	return v.VerifyIgnoringTimestamp(r.body, r.header)
}

// A receiver that says 410 wants nothing more, so it is not asked again.
func TestDeliveryToOneThatIsGone(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, r *receiver, _ string) {
		r.answer(410)
		b.happen(t, "invalid_client")
		for range 10 {
			b.work(t, 3*time.Second)
			time.Sleep(time.Hour)
		}
		if n := len(r.taken()); n != 1 || len(b.deliveries(t, "dead")) != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// forgetful is an outbox whose process dies before it writes that something arrived.
type forgetful struct {
	admin.Deliveries
	mu   sync.Mutex
	dead bool
}

func (f *forgetful) FinishDelivery(d store.Delivery) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		f.dead = false
		return errors.New("disk full")
	}
	return f.Deliveries.FinishDelivery(d)
}

// A process that dies between sending and writing sends again: the same message, not a lost one.
func TestDeliveryAtLeastOnce(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, r *receiver, _ string) {
		b.Deliveries = &forgetful{Deliveries: b.store, dead: true}
		b.happen(t, "invalid_client")
		b.work(t, 5*time.Minute)
		all := r.taken()
		if len(all) != 2 || all[0].header.Get("webhook-id") != all[1].header.Get("webhook-id") || len(b.deliveries(t, "delivered")) != 1 {
			t.Errorf("%d requests", len(all))
		}
	})
}

// After a rotation both secrets sign for a day, then the new one alone.
func TestWebhookSecretRotation(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, r *receiver, old string) {
		out, err := b.RotateWebhookSecret(t.Context(), administrator(t, alpha), &wire.RotateWebhookSecretInput{Name: "hook"})
		must(t, err)
		for _, step := range []struct {
			after    time.Duration
			oldSigns bool
		}{{0, true}, {25 * time.Hour, false}} {
			time.Sleep(step.after)
			b.happen(t, "invalid_client")
			b.work(t, time.Minute)
			all := r.taken()
			if len(all) != 1 {
				t.Fatalf("%d requests", len(all))
			}
			must(t, verifyAt(t, out.Secret, all[0]))
			if signs := verifyAt(t, old, all[0]) == nil; signs != step.oldSigns || out.Secret == old {
				t.Errorf("after %s the old secret signs: %t", step.after, signs)
			}
		}
	})
}

// A secret is shown when it is made and never again; it stands in clear nowhere.
func TestWebhookSecretIsShownOnce(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, _ *receiver, secret string) {
		c := administrator(t, alpha)
		put, err := b.PutWebhook(t.Context(), c, &wire.PutWebhookInput{Name: "hook", Url: "https://other.example/"})
		must(t, err)
		if put.Secret != nil || put.Webhook.Url != "https://other.example/" {
			t.Errorf("%+v", put)
		}
		list, err := b.ListWebhooks(t.Context(), c, &wire.ListWebhooksInput{})
		must(t, err)
		text, err := json.Marshal(list)
		must(t, err)
		w, err := b.store.Webhook(t.Context(), alpha, "hook")
		must(t, err)
		for _, seen := range [][]byte{text, w.Secret} {
			if bytes.Contains(seen, []byte(strings.TrimPrefix(secret, "whsec_"))) {
				t.Errorf("the secret is seen in %q", seen)
			}
		}
	})
}

// A test tells at once what became of it; it is no delivery.
func TestTestWebhook(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, r *receiver, secret string) {
		for status, problem := range map[int]string{204: "", 302: "it answered 302 Found", 0: "connection refused"} {
			r.answer(status)
			out, err := b.TestWebhook(t.Context(), administrator(t, alpha), &wire.TestWebhookInput{Name: "hook"})
			must(t, err)
			all := r.taken()
			if len(all) != 1 || *out.Delivered != (problem == "") || problem != "" && *out.Error != problem {
				t.Errorf("%d: %+v", status, out)
			}
			must(t, verify(t, secret, all[0]))
			if !bytes.Contains(all[0].body, []byte(`"webhook.test"`)) {
				t.Errorf("%s", all[0].body)
			}
		}
		if d := b.deliveries(t, ""); len(d) != 0 {
			t.Errorf("%+v", d)
		}
	})
}

// A webhook that does not answer keeps no other one waiting.
func TestDeadWebhookHoldsUpNoOther(t *testing.T) {
	hooked(t, func(t *testing.T, b bed, r *receiver, _ string) {
		r.answer(0)
		for i := range 50 {
			b.happen(t, strings.Repeat("x", i+1))
		}
		b.work(t, time.Minute)
		if n := len(r.taken()); n > 60 {
			t.Errorf("%d attempts in a minute at one that does not answer", n)
		}
	})
}

// What egress would not call is refused, and no name reaches over to another account.
func TestWebhookRefusals(t *testing.T) {
	b := open(t)
	for _, url := range []string{"http://hook.example", "https://10.0.0.1", "https://localhost", "https://169.254.169.254/", "https://user:planted@hook.example", "ftp://hook.example"} {
		if _, err := b.PutWebhook(t.Context(), administrator(t, alpha), &wire.PutWebhookInput{Name: "hook", Url: url}); !errors.Is(err, fault.Validation) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", url, err)
		}
	}
	b.hook(t, "hook")
	other := administrator(t, beta)
	for name, call := range map[string]func() error{
		"delete": func() error {
			_, err := b.DeleteWebhook(t.Context(), other, &wire.DeleteWebhookInput{Name: "hook"})
			return err
		},
		"rotate": func() error {
			_, err := b.RotateWebhookSecret(t.Context(), other, &wire.RotateWebhookSecretInput{Name: "hook"})
			return err
		},
		"test": func() error {
			_, err := b.TestWebhook(t.Context(), other, &wire.TestWebhookInput{Name: "hook"})
			return err
		},
		"deliveries": func() error {
			_, err := b.ListWebhookDeliveries(t.Context(), other, &wire.ListWebhookDeliveriesInput{Name: "hook"})
			return err
		},
		"retry": func() error {
			_, err := b.RetryWebhookDeliveries(t.Context(), other, &wire.RetryWebhookDeliveriesInput{Name: "hook"})
			return err
		},
	} {
		if err := call(); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nobody := caller(t, alpha, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:*","Resource":"*"}]}`)
	before := b.outcomes(t)
	if _, err := b.TestWebhook(t.Context(), nobody, &wire.TestWebhookInput{Name: "hook"}); !errors.Is(err, fault.AccessDenied) {
		t.Error(err)
	}
	if after := b.outcomes(t); !slices.Equal(after[len(before):], []audit.Outcome{audit.Denied}) {
		t.Errorf("recorded %v", after[len(before):])
	}
}

// A list goes on from its cursor, which is good for no other webhook.
func TestListWebhookDeliveries(t *testing.T) {
	b := open(t)
	b.hook(t, "hook")
	b.hook(t, "hook2")
	for _, reason := range []string{"a", "b", "c"} {
		b.happen(t, reason)
	}
	c := administrator(t, alpha)
	in := &wire.ListWebhookDeliveriesInput{Name: "hook", MaxResults: new(int32(2))}
	first, err := b.ListWebhookDeliveries(t.Context(), c, in)
	must(t, err)
	in.NextToken = first.NextToken
	second, err := b.ListWebhookDeliveries(t.Context(), c, in)
	must(t, err)
	if len(first.Deliveries) != 2 || len(second.Deliveries) != 1 || second.NextToken != nil || second.Deliveries[0].MessageId >= first.Deliveries[1].MessageId {
		t.Errorf("%+v\n%+v", first, second)
	}
	in.Name = "hook2"
	if _, err := b.ListWebhookDeliveries(t.Context(), c, in); !errors.Is(err, fault.Validation) {
		t.Error(err)
	}
}
