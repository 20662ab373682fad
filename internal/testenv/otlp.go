package testenv

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one span as a receiver gets it.
type Span struct {
	TraceID, SpanID, Parent string // hex; Parent is "" for the first of a trace
	Name                    string
	Kind                    string // SPAN_KIND_SERVER, SPAN_KIND_CLIENT
	Attributes              map[string]any
	Resource                map[string]any
	Error                   bool
}

// receiver takes traces by OTLP over HTTP, as a collector does.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	bytes []byte
	spans []Span
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var data trace.TracesData // the same on the wire as ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil {
			t.Errorf("OTLP receiver: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.take(body, &data)
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(body []byte, data *trace.TracesData) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes = append(r.bytes, body...)
	for _, resource := range data.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, Span{
					TraceID: hex.EncodeToString(s.TraceId), SpanID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId), Name: s.Name, Kind: s.Kind.String(),
					Attributes: attributes(s.Attributes), Resource: attributes(resource.Resource.Attributes),
					Error: s.Status.GetCode() == trace.Status_STATUS_CODE_ERROR,
				})
			}
		}
	}
}

func attributes(list []*common.KeyValue) map[string]any {
	m := map[string]any{}
	for _, a := range list {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			m[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			m[a.Key] = v.IntValue
		case *common.AnyValue_DoubleValue:
			m[a.Key] = v.DoubleValue
		case *common.AnyValue_BoolValue:
			m[a.Key] = v.BoolValue
		default:
			m[a.Key] = a.Value.String()
		}
	}
	return m
}

// exported is all that came, as it came; nothing of it is compressed.
func (r *receiver) exported() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bytes)
}

// Spans are all that the server has exported by the time it has stopped; it is started again.
func (e *Env) Spans() []Span {
	e.T.Helper()
	e.Restart()
	e.traces.mu.Lock()
	defer e.traces.mu.Unlock()
	return slices.Clone(e.traces.spans)
}
