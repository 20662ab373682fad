package access_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"credence/internal/access"
	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
)

const account = "123456789012"

// bed is a gate over a real log in a real database.
type bed struct {
	*access.Gate
	store   *store.Store
	metrics *telemetry.Metrics
}

func open(t *testing.T) bed {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "credence.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	m := telemetry.New()
	return bed{access.New(audit.New(s), nil, iam.ARNs{Region: "us-east-1"}, m), s, m}
}

// events are those that are durable now.
func (b bed) events(t *testing.T) []audit.Event {
	t.Helper()
	batches, err := b.store.AuditBatches(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	var out []audit.Event
	for _, batch := range batches {
		for line := range bytes.Lines(batch.Events) {
			var e audit.Event
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			out = append(out, e)
		}
	}
	return out
}

// counted is the value of credence_audit_events_total for an outcome.
func (b bed) counted(t *testing.T, outcome string) float64 {
	t.Helper()
	families, err := b.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "credence_audit_events_total" && m.GetLabel()[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func caller(t *testing.T, policies ...string) iam.Caller {
	t.Helper()
	c := iam.Caller{
		Account: account, ARN: iam.User(account, "agent"), AccessKeyID: "AKIAEXAMPLE", SourceIP: netip.MustParseAddr("192.0.2.7"), RequestID: "request-1",
	}
	for _, text := range policies {
		p, err := iam.ParsePolicy([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c.Policies = append(c.Policies, p)
	}
	return c
}

const (
	arnOne = "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default"
	arnTwo = "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/oauth2credentialprovider/github"

	allowOne = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:*","Resource":"` + arnOne + `"}]}`
	denyTwo  = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"` + arnTwo + `"}]}`
)

var request = access.Request{
	Action: "bedrock-agentcore:GetResourceOauth2Token", Resources: []string{arnOne, arnTwo}, Workload: "agent", User: `id:"alice"`,
}

// recorded is the event that every decision about request by caller must leave.
func recorded(o audit.Outcome, reason string) audit.Event {
	return audit.Event{
		Account: account, Caller: "arn:aws:iam::123456789012:user/agent", AccessKey: "AKIAEXAMPLE", SourceIP: "192.0.2.7", RequestID: "request-1",
		Action: request.Action, Resources: request.Resources, Workload: "agent", User: `id:"alice"`, Outcome: o, Reason: reason,
	}
}

func wantEvents(t *testing.T, b bed, want ...audit.Event) {
	t.Helper()
	got := b.events(t)
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Event{}, "ID", "Time")); d != "" {
		t.Errorf("recorded events (-want +got)\n%s", d)
	}
	for _, e := range got {
		if id, err := uuid.Parse(e.ID); err != nil || id.Version() != 7 {
			t.Errorf("event id %q is no UUIDv7", e.ID)
		}
		if age := time.Since(e.Time); age < 0 || age > time.Minute {
			t.Errorf("event time %s is not now", e.Time)
		}
	}
}

func TestAllow(t *testing.T) {
	b := open(t)
	if err := b.Allow(caller(t, iam.AllowAll), request); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, b, recorded(audit.Allowed, ""))
	if n := b.counted(t, "allowed"); n != 1 {
		t.Errorf("%v allowed events counted, want 1", n)
	}
}

func TestDeny(t *testing.T) {
	const sentence = "User: arn:aws:iam::123456789012:user/agent is not authorized to perform: bedrock-agentcore:GetResourceOauth2Token on resource: "
	const nothingAllows = " because no identity-based policy allows the bedrock-agentcore:GetResourceOauth2Token action"
	for name, test := range map[string]struct {
		policies []string
		message  string
		reason   string
	}{
		"no policy at all":                    {nil, sentence + arnOne + nothingAllows, "no identity-based policy allows " + arnOne},
		"one of two resources is not allowed": {[]string{allowOne}, sentence + arnTwo + nothingAllows, "no identity-based policy allows " + arnTwo},
		"an explicit deny wins": {[]string{iam.AllowAll, denyTwo}, sentence + arnTwo + " with an explicit deny in an identity-based policy",
			"identity-based policy, statement 1 denies " + arnTwo},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			err := b.Allow(caller(t, test.policies...), request)
			f, ok := errors.AsType[*fault.Fault](err)
			if !ok || f.Kind != fault.AccessDenied || f.Msg != test.message {
				t.Errorf("got %v\nwant access_denied: %s", err, test.message)
			}
			wantEvents(t, b, recorded(audit.Denied, test.reason))
			if n := b.counted(t, "denied"); n != 1 {
				t.Errorf("%v denied events counted, want 1", n)
			}
		})
	}
}

// A request that names nothing asks for nothing in particular, so nothing can allow it.
func TestAllowNeedsAResource(t *testing.T) {
	b := open(t)
	r := request
	r.Resources = nil
	if err := b.Allow(caller(t, iam.AllowAll), r); !errors.Is(err, fault.AccessDenied) {
		t.Errorf("got %v, want access_denied", err)
	}
}

// The cause goes back as it is; the record has its kind alone, since its text may quote what was sent.
func TestRefuse(t *testing.T) {
	b := open(t)
	cause := fault.Wrap(fault.Unauthorized, errors.New("canary-private"), "canary-public")
	if err := b.Refuse(caller(t), request, cause); err != error(cause) {
		t.Errorf("got %v, want the cause", err)
	}
	wantEvents(t, b, recorded(audit.Refused, "unauthorized"))
	if n := b.counted(t, "refused"); n != 1 {
		t.Errorf("%v refused events counted, want 1", n)
	}
}

func TestUnknownSourceIsLeftOut(t *testing.T) {
	b := open(t)
	c := caller(t, iam.AllowAll)
	c.SourceIP = netip.Addr{}
	if err := b.Allow(c, request); err != nil {
		t.Fatal(err)
	}
	want := recorded(audit.Allowed, "")
	want.SourceIP = ""
	wantEvents(t, b, want)
}

// What cannot be recorded is refused, whatever the decision would have been, and the refusal tells nothing of the decision.
func TestNothingHappensUnrecorded(t *testing.T) {
	for name, decide := range map[string]func(t *testing.T, b bed) error{
		"allow": func(t *testing.T, b bed) error { return b.Allow(caller(t, iam.AllowAll), request) },
		"deny":  func(t *testing.T, b bed) error { return b.Allow(caller(t), request) },
		"refuse": func(t *testing.T, b bed) error {
			return b.Refuse(caller(t), request, fault.New(fault.Unauthorized, "no"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			if err := b.store.Close(); err != nil {
				t.Fatal(err)
			}
			err := decide(t, b)
			f, ok := errors.AsType[*fault.Fault](err)
			if !ok || f.Kind != fault.Internal || errors.Is(err, fault.AccessDenied) || errors.Is(err, fault.Unauthorized) {
				t.Fatalf("got %v, want internal", err)
			}
			if f.Err == nil || strings.Contains(f.Msg, f.Err.Error()) {
				t.Errorf("the database's error must be the private cause: message %q, cause %v", f.Msg, f.Err)
			}
			if n := b.counted(t, "failed"); n != 1 {
				t.Errorf("%v failed events counted, want 1", n)
			}
			for _, o := range []string{"allowed", "denied", "refused"} {
				if n := b.counted(t, o); n != 0 {
					t.Errorf("%v events counted as %s", n, o)
				}
			}
		})
	}
}

// When Allow returns, another process that opens the file sees the record: durable before used.
func TestRecordIsDurableBeforeTheAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credence.db")
	s, err := store.Open(t.Context(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	other, err := store.Open(t.Context(), store.Config{Path: path, KeepSchema: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	gate := access.New(audit.New(s), nil, iam.ARNs{Region: "us-east-1"}, telemetry.New())
	for n := range 20 {
		r := request
		r.Workload = strings.Repeat("x", n+1)
		if err := gate.Allow(caller(t, iam.AllowAll), r); err != nil {
			t.Fatal(err)
		}
		seen := bed{store: other}.events(t)
		if !slices.ContainsFunc(seen, func(e audit.Event) bool { return e.Workload == r.Workload }) {
			t.Fatalf("decision %d was answered before it was recorded", n+1)
		}
	}
}

// unreadable is an account whose tags cannot be read.
type unreadable struct{ access.Rules }

func (unreadable) Tags(context.Context, string, string) (map[string]string, error) {
	return nil, errors.New("no database")
}

// What asks for tags that cannot be read is refused, as a failure of the server, and recorded; what does not ask never notices.
func TestTagsThatCannotBeRead(t *testing.T) {
	b := open(t)
	b.Gate = access.New(audit.New(b.store), unreadable{}, iam.ARNs{Region: "us-east-1"}, telemetry.New())
	const denyRed = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}}}`
	if err := b.Allow(caller(t, iam.AllowAll, denyRed), request); !errors.Is(err, fault.Internal) {
		t.Errorf("got %v, want internal", err)
	}
	wantEvents(t, b, recorded(audit.Denied, "the tags of "+arnOne+" cannot be read"))
	if err := b.Allow(caller(t, iam.AllowAll), request); err != nil {
		t.Error(err)
	}
}
