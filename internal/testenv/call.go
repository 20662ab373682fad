package testenv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"credence/internal/audit"
	"credence/internal/store"
	"credence/internal/tlog"
)

// Answer is what came back, to the byte.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Type is the exception's name, "" for a success.
func (a Answer) Type() string { return a.Header.Get("X-Amzn-Errortype") }

// Message is the exception's message.
func (a Answer) Message() string {
	var e struct{ Message string }
	_ = json.Unmarshal([]byte(a.Body), &e)
	return e.Message
}

// Call posts a body, signed, without an SDK in between; edit may change the request before it is signed.
func (p Principal) Call(path, body string, edit ...func(*http.Request)) Answer {
	p.env.T.Helper()
	return p.env.Do(p.Sign(path, body, "bedrock-agentcore", time.Now(), edit...))
}

// By changes the method of a Call.
func By(method string) func(*http.Request) { return func(r *http.Request) { r.Method = method } }

// Sign makes the request of Call, signed for a service at a time.
func (p Principal) Sign(path, body, service string, at time.Time, edit ...func(*http.Request)) *http.Request {
	t := p.env.T
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, p.env.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, f := range edit {
		f(req)
	}
	hash := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), p.Credentials(), req, hex.EncodeToString(hash[:]), service, "us-east-1", at); err != nil {
		t.Fatal(err)
	}
	return req
}

// Do sends a request as it is.
func (e *Env) Do(req *http.Request) Answer {
	e.T.Helper()
	resp, err := e.Client.Do(req)
	if err != nil {
		e.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.T.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// Metric is the value of a counter as /metrics words it, 0 when it is not there.
func (e *Env) Metric(series string) int {
	e.T.Helper()
	resp, err := e.Client.Get(e.URL + "/metrics")
	if err != nil {
		e.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.T.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				e.T.Fatal(err)
			}
			return int(n)
		}
	}
	return 0
}

// rows opens the server's database beside it, whatever its engine.
func (e *Env) rows() *store.Store {
	e.T.Helper()
	cfg := store.Config{URL: e.Config.Database, KeepSchema: true}
	if cfg.URL == "" {
		cfg.Path = filepath.Join(e.Config.DataDir, "credence.db")
	}
	st, err := store.Open(context.Background(), cfg)
	if err != nil {
		e.T.Fatal(err)
	}
	return st
}

// Pending counts the revocations of which vendors have still to be told.
func (e *Env) Pending() int {
	e.T.Helper()
	st := e.rows()
	defer func() { _ = st.Close() }()
	pending, _, err := st.PendingRevocations(context.Background())
	if err != nil {
		e.T.Fatal(err)
	}
	return pending
}

// Audit lists the recorded events of an account, those in its log and those on their way there, but for what the server did with its own keys and at its first start.
func (e *Env) Audit(account string) []audit.Event {
	e.T.Helper()
	st := e.rows()
	defer func() { _ = st.Close() }()
	batches, err := st.AuditBatches(context.Background(), account) // first: what leaves the inbox meanwhile is in the log then
	if err != nil {
		e.T.Fatal(err)
	}
	chunks, err := st.AuditChunks(context.Background(), account, 0, math.MaxInt64)
	if err != nil {
		e.T.Fatal(err)
	}
	var events []audit.Event
	seen := map[string]bool{}
	add := func(line []byte) {
		var ev audit.Event
		if err := json.Unmarshal(line, &ev); err != nil {
			e.T.Fatal(err)
		}
		if !seen[ev.ID] && !strings.Contains(ev.Caller, ":server/") {
			events = append(events, ev)
		}
		seen[ev.ID] = true
	}
	for _, c := range chunks {
		entries, err := tlog.Entries(c.Entries)
		if err != nil {
			e.T.Fatal(err)
		}
		for _, entry := range entries {
			add(entry)
		}
	}
	for _, b := range batches {
		for line := range bytes.Lines(b.Events) {
			add(line)
		}
	}
	return events
}
