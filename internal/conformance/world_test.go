package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"credence/internal/broker"
	"credence/internal/control"
	"credence/internal/edge/awsapi"
	"credence/internal/server"
	"credence/internal/testenv"
	"credence/internal/wire/wiretest"
)

// obj is a JSON object.
type obj = map[string]any

// table are the rows of the door by their names.
var table = func() map[string]awsapi.Operation {
	rows := map[string]awsapi.Operation{}
	for _, op := range awsapi.Operations((*control.Control)(nil), (*broker.Broker)(nil)) {
		rows[op.Name] = op
	}
	return rows
}()

// world is a server with whatever requests need, made when they need it.
type world struct {
	*testenv.Env
	caller testenv.Principal
	client *http.Client
	made   int
	// elsewhere is a folder in which the account may keep secrets.
	elsewhere string
	// seen counts the answers by operation and exception, "" for successes.
	seen map[string]map[string]int
}

func newWorld(t *testing.T, edit ...func(*server.Config)) *world {
	t.Helper()
	elsewhere := t.TempDir()
	e := testenv.Start(t, append(edit, func(c *server.Config) { c.External = []string{testenv.Account + "=file://" + elsewhere + "/"} })...)
	return &world{
		Env: e, elsewhere: elsewhere, caller: e.Admin, seen: map[string]map[string]int{},
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// name is one that nothing has yet.
func (w *world) name(kind string) string {
	w.made++
	return fmt.Sprintf("%s-%d", kind, w.made)
}

func (w *world) arn(path string) string {
	return "arn:aws:bedrock-agentcore:us-east-1:" + w.caller.Account + ":" + path
}

// send sends an instance of the input of an operation, and looks at the answer as at every answer. edit may change the request before it is signed.
func (w *world) send(t *testing.T, operation string, in obj, edit ...func(*http.Request)) testenv.Answer {
	t.Helper()
	op, ok := table[operation]
	if !ok {
		t.Fatalf("the door has no row for %s", operation)
	}
	shape := wiretest.ShapeOf(op.NewInput())
	fields, labels, query := shape.Split(in)
	path := op.Path
	for name, value := range labels {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	body := ""
	if slices.ContainsFunc(shape.Members, func(m wiretest.Member) bool { return m.InBody() }) || op.Method == http.MethodPost {
		body = marshal(t, fields)
	}
	return w.sendBody(t, op, path, body, edit...)
}

// sendBody is send with a body that may be anything.
func (w *world) sendBody(t *testing.T, op awsapi.Operation, path, body string, edit ...func(*http.Request)) testenv.Answer {
	t.Helper()
	a := w.caller.Call(path, body, append([]func(*http.Request){testenv.By(op.Method)}, edit...)...)
	w.look(t, op, a)
	return a
}

// must sends a request that has to succeed, and gives the answer.
func (w *world) must(t *testing.T, operation string, in obj) obj {
	t.Helper()
	a := w.send(t, operation, in)
	if a.Status != table[operation].Status {
		t.Fatalf("%s %s\nanswers %d %s", operation, marshal(t, in), a.Status, a.Body)
	}
	if a.Body == "" {
		return nil
	}
	return parse(t, a.Body)
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T, text string) (v obj) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// with is an object with the members of others, the last wins.
func with(all ...obj) obj {
	whole := obj{}
	for _, o := range all {
		maps.Copy(whole, o)
	}
	return whole
}
