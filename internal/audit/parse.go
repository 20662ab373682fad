package audit

import (
	"bytes"
	"encoding/json"
	"time"
)

// Parser reads entries. What most of them say again, it keeps as one string.
type Parser struct{ texts map[string]string }

// Of more texts than that, none is looked for again.
const mostTexts = 4096

// Parse reads the members of an entry by which it is found: id, time, account, caller, action, workload, provider, user and outcome. Others may be left out.
func (p *Parser) Parse(entry []byte) (e Event, err error) {
	if e, ok := p.parseSimple(entry); ok {
		return e, nil
	}
	e = Event{} // as far as it was understood
	return e, json.Unmarshal(entry, &e)
}

// parseSimple reads what appendJSON writes when nothing has to be quoted, which is nearly always, without looking at types. It is not ok with anything else.
func (p *Parser) parseSimple(entry []byte) (e Event, ok bool) {
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
			e.Account, ok = p.text(value)
		case "caller":
			e.Caller, ok = p.text(value)
		case "action":
			e.Action, ok = p.text(value)
		case "workload":
			e.Workload, ok = p.text(value)
		case "provider":
			e.Provider, ok = p.text(value)
		case "user":
			e.User, ok = p.text(value)
		case "outcome":
			var outcome string
			outcome, ok = p.text(value)
			e.Outcome = Outcome(outcome)
		case "accessKey", "subject", "sourceIp", "requestId", "traceId", "resources", "reason":
		default:
			return e, false
		}
		if !ok {
			return e, false
		}
		if string(rest) == "}" {
			return e, true
		}
		rest, ok = bytes.CutPrefix(rest, []byte(","))
	}
	return e, false
}

// text is a value whose bytes all stand for themselves.
func (p *Parser) text(value []byte) (string, bool) {
	if s, ok := p.texts[string(value)]; ok {
		return s, true
	}
	for _, c := range value {
		if !plain[c] {
			return "", false
		}
	}
	if p.texts == nil || len(p.texts) >= mostTexts {
		p.texts = map[string]string{}
	}
	s := string(value)
	p.texts[s] = s
	return s, true
}

// simpleText reads a JSON string without escapes.
func simpleText(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	b = b[1:]
	if i := bytes.IndexByte(b, '"'); i >= 0 && bytes.IndexByte(b[:i], '\\') < 0 {
		return b[:i], b[i+1:], true
	}
	return nil, nil, false
}
