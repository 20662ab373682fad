package audit

import (
	"bytes"
	"encoding/json"
	"time"
)

// Parse reads the members of an entry by which it is found: id, time, account, caller, action, workload, provider, user and outcome. Others may be left out.
func Parse(entry []byte) (e Event, err error) {
	if e, ok := parseSimple(entry); ok {
		return e, nil
	}
	e = Event{} // as far as it was understood
	return e, json.Unmarshal(entry, &e)
}

// parseSimple reads what appendJSON writes when nothing has to be quoted, which is nearly always, without looking at types. It is not ok with anything else.
func parseSimple(entry []byte) (e Event, ok bool) {
	rest, ok := bytes.CutPrefix(entry, []byte("{"))
	for ok {
		var name, value []byte
		if name, rest, ok = simpleText(rest); !ok || len(rest) < 2 || rest[0] != ':' {
			return e, false
		}
		if rest = rest[1:]; rest[0] == '[' {
			for separator := byte('['); len(rest) > 0 && rest[0] == separator; separator = ',' {
				if _, rest, ok = simpleText(rest[1:]); !ok {
					return e, false
				}
			}
			if rest, ok = bytes.CutPrefix(rest, []byte("]")); !ok {
				return e, false
			}
		} else if value, rest, ok = simpleText(rest); !ok {
			return e, false
		}
		switch string(name) {
		case "id":
			e.ID = string(value)
		case "time":
			var err error
			if e.Time, err = time.Parse(time.RFC3339Nano, string(value)); err != nil {
				return e, false
			}
		case "account":
			e.Account = string(value)
		case "caller":
			e.Caller = string(value)
		case "action":
			e.Action = string(value)
		case "workload":
			e.Workload = string(value)
		case "provider":
			e.Provider = string(value)
		case "user":
			e.User = string(value)
		case "outcome":
			e.Outcome = Outcome(value)
		case "accessKey", "sourceIp", "requestId", "traceId", "resources", "reason":
		default:
			return e, false
		}
		if string(rest) == "}" {
			return e, true
		}
		rest, ok = bytes.CutPrefix(rest, []byte(","))
	}
	return e, false
}

// simpleText reads a JSON string without escapes.
func simpleText(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i, c := range b[1:] {
		if c == '"' {
			return b[1 : 1+i], b[2+i:], true
		}
		if !plain[c] {
			return nil, nil, false
		}
	}
	return nil, nil, false
}
