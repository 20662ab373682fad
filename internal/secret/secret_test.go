package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"strings"
	"testing"

	"credence/internal/secret"
)

const canary = "hunter2-canary"

// Every formatter that a value can reach by accident prints REDACTED, for the value, a pointer to it and a struct that holds it.
func TestStringIsNeverPrinted(t *testing.T) {
	s := secret.New(canary)
	holder := struct {
		Name  string
		Token secret.String
		Ptr   *secret.String
	}{"x", s, &s}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T|%v"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	for _, v := range []any{s, &s, holder, map[string]any{"t": s}, []secret.String{s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "s", s, "p", &s, "h", holder)
	}
	if err := template.Must(template.New("t").Parse("{{.}} {{printf \"%s\" .}}")).Execute(&out, s); err != nil {
		t.Fatal(err)
	}
	out.WriteString(fmt.Errorf("wrapped: %v %w", s, fmt.Errorf("%s", s)).Error())

	for _, bad := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("the secret was printed:\n%s", out.String())
		}
	}
	if !strings.Contains(out.String(), secret.Redacted) {
		t.Error("nothing says REDACTED")
	}
}

func TestStringFromJSON(t *testing.T) {
	var in struct {
		Token secret.String `json:"token"`
	}
	if err := json.Unmarshal([]byte(`{"token":"`+canary+`"}`), &in); err != nil {
		t.Fatal(err)
	}
	if in.Token.Reveal() != canary || in.Token.Len() != len(canary) || in.Token.IsZero() {
		t.Errorf("got %d bytes", in.Token.Len())
	}
	if err := json.Unmarshal([]byte(`{"token":42}`), &in); err == nil {
		t.Error("a number was taken for a secret")
	} else if te, ok := err.(*json.UnmarshalTypeError); !ok || te.Field != "token" {
		t.Errorf("the error does not name the member: %#v", err)
	}
	if !in.Token.Equal(secret.New(canary)) || in.Token.Equal(secret.New(canary+"x")) || in.Token.Equal(secret.String{}) {
		t.Error("Equal is wrong")
	}
}
