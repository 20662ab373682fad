package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// The demo, played to its end: both journeys, and nothing in clear on disk.
func TestDemo(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--yes"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, errs.String(), out.String())
	}
	for _, part := range []string{"→ GetResourceOauth2Token  oauth2Flow=M2M", "presses Allow", "→ CompleteResourceTokenAuth", `the calendar of "alice"`, "the API refuses it now",
		"✓ for itself", "1 call to the vendor", "✓ for a user", "✓ on disk"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("it does not say %q", part)
		}
	}
	if strings.Contains(out.String(), "the client secret of the demo") {
		t.Error("it prints a secret in full")
	}
}

// Whoever leaves while the demo waits for a human is let go, and nothing stays behind.
func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, nil, &out, &errs); code != 1 || !strings.Contains(out.String(), "/identities/oauth2/authorize?request_uri=") {
		t.Errorf("exit code %d\n%s\n%s", code, errs.String(), out.String())
	}
}

func TestDemoArguments(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--no"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), "-yes") {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
}
