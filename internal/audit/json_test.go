package audit

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An event is written as encoding/json writes it, whatever its members hold.
func TestAppendJSONAgreesWithEncodingJSON(t *testing.T) {
	text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-z0-9:/-]{1,20}`), rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }))
	var p Parser // one for all: what it remembers of one event must not show in another
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) string { return text.Draw(t, name) }
		e := Event{
			ID: draw("id"), Account: draw("account"), Caller: draw("caller"), AccessKey: draw("accessKey"), Subject: draw("subject"), TraceID: draw("traceId"), SourceIP: draw("sourceIp"), RequestID: draw("requestId"),
			Action: draw("action"), Resources: rapid.SliceOfN(text, 0, 3).Draw(t, "resources"), Workload: draw("workload"), Provider: draw("provider"), User: draw("user"),
			Outcome: Outcome(draw("outcome")), Reason: draw("reason"),
			Time: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC(),
		}
		if n := rapid.Int64Range(0, 1<<40).Draw(t, "repeated"); n > 0 {
			e.Repeated = &Repeated{n, e.Time, e.Time.Add(time.Duration(n))}
		}
		want, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.appendJSON([]byte("before")); string(got) != "before"+string(want) {
			t.Errorf("got  %s\nwant before%s", got, want)
		}
		var whole Event
		if err := json.Unmarshal(want, &whole); err != nil {
			t.Fatal(err)
		}
		found := func(e Event) [9]string {
			return [9]string{e.ID, e.Time.UTC().String(), e.Account, e.Caller, e.Action, e.Workload, e.Provider, e.User, string(e.Outcome)}
		}
		if parsed, err := p.Parse(want); err != nil || found(parsed) != found(whole) {
			t.Errorf("Parse reads %+v (%v)\nof %s", parsed, err, want)
		}
		for cut := range len(want) { // no part of an entry is taken for one
			if _, ok := p.parseSimple(want[:cut]); ok {
				t.Errorf("%s is taken", want[:cut])
			}
		}
	})
}

// What requests, role sessions among them, leave in the log is read the quick way.
func TestParseSimple(t *testing.T) {
	e := Event{
		ID: "id", Time: time.Unix(1, 5).UTC(), Account: "1", Caller: "arn", AccessKey: "k", Subject: "s", SourceIP: "::1", RequestID: "r", TraceID: "t", Action: "a:B", Resources: []string{"x", "y"},
		Workload: "w", Provider: "p", User: "u", Outcome: Allowed, Reason: "because",
	}
	var p Parser
	got, ok := p.parseSimple(e.appendJSON(nil))
	want := Event{ID: e.ID, Time: e.Time, Account: e.Account, Caller: e.Caller, Action: e.Action, Workload: e.Workload, Provider: e.Provider, User: e.User, Outcome: e.Outcome}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, ok)
	}
}
