package audit

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An event is written as encoding/json writes it, whatever its members hold.
func TestAppendJSONAgreesWithEncodingJSON(t *testing.T) {
	text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-z0-9:/-]{1,20}`), rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) string { return text.Draw(t, name) }
		e := Event{
			ID: draw("id"), Account: draw("account"), Caller: draw("caller"), AccessKey: draw("accessKey"), SourceIP: draw("sourceIp"), RequestID: draw("requestId"),
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
		if parsed, err := Parse(want); err != nil || found(parsed) != found(whole) {
			t.Errorf("Parse reads %+v (%v)\nof %s", parsed, err, want)
		}
		for cut := range len(want) { // no part of an entry is taken for one
			if _, ok := parseSimple(want[:cut]); ok {
				t.Errorf("%s is taken", want[:cut])
			}
		}
	})
}
