package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/compatibility.md anew")

// document writes docs/compatibility.md from what the run has found, or holds the file against it.
func document(t *testing.T, failed map[string]bool) {
	var doc, notes strings.Builder
	doc.WriteString("# Compatibility\n\n" +
		"Written by `go test ./internal/conformance -run Conformance -update`, which asks a running server every operation of AgentCore Identity: requests that use every member, and for each constraint one\n" +
		"that breaks it alone. Answers are held against the shapes of the API: members, types, times, status codes and exceptions.\n\n" +
		"| operation | | differs in |\n|---|---|---|\n")
	number := map[any]int{}
	note := func(key any, how, why string) int {
		if number[key] == 0 {
			number[key] = len(number) + 1
			fmt.Fprintf(&notes, "%d. %s\n", number[key], strings.TrimSpace(how+" *"+why+"*"))
		}
		return number[key]
	}
	for _, name := range operations() {
		var numbers []int
		for i, d := range differs {
			if slices.Contains(d.operations, name) {
				numbers = append(numbers, note(i, d.how, d.why))
			}
		}
		for _, r := range refusals {
			if slices.Contains(r.found, name) {
				numbers = append(numbers, note(r, r.how, r.why))
			}
		}
		state := "works"
		switch _, served := table[name]; {
		case !served:
			state = "is not served yet"
		case failed[name]:
			state = "**fails**"
		case len(numbers) > 0:
			state = "differs"
		}
		slices.Sort(numbers)
		fmt.Fprintf(&doc, "| %s | %s | %s |\n", name, state, strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]"))
	}
	doc.WriteString("\n## Differences, and why\n\n" + notes.String() + "\n## Everywhere\n\n")
	for _, d := range differs {
		if len(d.operations) == 0 {
			fmt.Fprintf(&doc, "- %s *%s*\n", d.how, d.why)
		}
	}
	file := filepath.Join("..", "..", "docs", "compatibility.md")
	if *update {
		if err := os.WriteFile(file, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), doc.String()); d != "" {
		t.Errorf("the run and %s differ; if the change is meant, run go test -update (-file +run)\n%s", file, d)
	}
}
