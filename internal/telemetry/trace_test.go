package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestWanted(t *testing.T) {
	type env map[string]string
	for _, tc := range []struct {
		name  string
		env   env
		on    bool
		fails string
	}{
		{"nothing", nil, false, ""},
		{"an endpoint", env{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, true, ""},
		{"an endpoint of traces", env{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example/v1/traces"}, true, ""},
		{"an exporter", env{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{"no exporter", env{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, false, ""},
		{"disabled", env{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, false, ""},
		{"disabled, and wrong", env{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"}, false, ""},
		{"not disabled", env{"OTEL_SDK_DISABLED": "false", "OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{"another exporter", env{"OTEL_TRACES_EXPORTER": "console"}, false, `OTEL_TRACES_EXPORTER "console": must be otlp or none`},
		{"gRPC", env{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, `OTEL_EXPORTER_OTLP_PROTOCOL "grpc"`},
		{"gRPC of other signals", env{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, true, ""},
		{"no URL", env{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}, false, `OTEL_EXPORTER_OTLP_ENDPOINT "localhost:4318"`},
		{"a password", env{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:planted@collector.example"}, false, "OTEL_EXPORTER_OTLP_HEADERS"},
		{"a password in what is no URL", env{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:planted@collector.example:x"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL"},
		{"the special one decides", env{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "nothing"}, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			on, err := wanted(func(name string) string { return tc.env[name] })
			if on != tc.on || (err == nil) != (tc.fails == "") || err != nil && (!strings.Contains(err.Error(), tc.fails) || strings.Contains(err.Error(), "planted")) {
				t.Errorf("%t, %v", on, err)
			}
		})
	}
}

// The standard variables reach exporter and SDK: where to, with which headers, under which name, and how much.
func TestVariables(t *testing.T) {
	type got struct{ path, key, body string }
	received := make(chan got, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- got{r.URL.Path, r.Header.Get("Api-Key"), string(body)}
	}))
	defer receiver.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.URL+"/base")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k1")
	t.Setenv("OTEL_SERVICE_NAME", "my-vault")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	export := func() {
		t.Helper()
		tracer, err := NewTracer(t.Context(), TracerConfig{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		_, span := tracer.Request(t.Context(), "Operation", time.Now(), "")
		span.End(NoError, "")
		if err := tracer.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	export()
	g := <-received
	if g.path != "/base/v1/traces" || g.key != "k1" || !strings.Contains(g.body, "my-vault") || !strings.Contains(g.body, "deployment.environment.name") || !strings.Contains(g.body, "Operation") {
		t.Errorf("%q", g)
	}
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	export()
	if len(received) > 0 {
		t.Errorf("OTEL_TRACES_SAMPLER is not heard: %q", <-received)
	}
}

// Without traces, nothing on the way of a request allocates.
func TestNoTracesCostNothing(t *testing.T) {
	tracer, err := NewTracer(t.Context(), TracerConfig{})
	if tracer != nil || err != nil {
		t.Fatalf("%v, %v: unset the OTEL_ variables of this shell", tracer, err)
	}
	arns := []string{"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default"}
	base := context.WithValue(t.Context(), http.ServerContextKey, 1) // as a request's is not empty
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := tracer.Request(base, "Operation", time.Time{}, "")
		span.Touch(arns)
		span.Set("a", "b")
		span.SetStatus(200)
		_ = span.TraceID()
		_ = span.Context(ctx)
		SpanOf(ctx).Set("a", "b")
		Call(ctx, "token request", "login.example").Done("", false)
		span.End(NoError, "")
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
