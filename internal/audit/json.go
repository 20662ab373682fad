package audit

import (
	"encoding/json"
	"strconv"
	"time"
)

// appendJSON writes what encoding/json would make of e, without looking at its type each time: every request passes here.
func (e *Event) appendJSON(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, e.ID)
	b = append(b, `,"time":"`...)
	b = e.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","account":`...)
	b = appendText(b, e.Account)
	b = append(b, `,"caller":`...)
	b = appendText(b, e.Caller)
	b = appendOptional(b, `,"accessKey":`, e.AccessKey)
	b = appendOptional(b, `,"subject":`, e.Subject)
	b = appendOptional(b, `,"sourceIp":`, e.SourceIP)
	b = appendOptional(b, `,"requestId":`, e.RequestID)
	b = appendOptional(b, `,"traceId":`, e.TraceID)
	b = append(b, `,"action":`...)
	b = appendText(b, e.Action)
	if len(e.Resources) > 0 {
		b = append(b, `,"resources":`...)
		separator := byte('[')
		for _, r := range e.Resources {
			b = append(b, separator)
			b = appendText(b, r)
			separator = ','
		}
		b = append(b, ']')
	}
	b = appendOptional(b, `,"workload":`, e.Workload)
	b = appendOptional(b, `,"provider":`, e.Provider)
	b = appendOptional(b, `,"user":`, e.User)
	b = append(b, `,"outcome":`...)
	b = appendText(b, string(e.Outcome))
	b = appendOptional(b, `,"reason":`, e.Reason)
	if r := e.Repeated; r != nil {
		b = strconv.AppendInt(append(b, `,"repeated":{"count":`...), r.Count, 10)
		b = r.First.AppendFormat(append(b, `,"first":"`...), time.RFC3339Nano)
		b = r.Last.AppendFormat(append(b, `","last":"`...), time.RFC3339Nano)
		b = append(b, `"}`...)
	}
	return append(b, '}')
}

func appendOptional(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendText(append(b, name...), value)
}

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			quoted, _ := json.Marshal(s) // strings always marshal
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (is [256]bool) {
	for c := byte(' '); c <= '~'; c++ {
		is[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return is
}()
