package main

import (
	"fmt"
	"io"
)

// narrator tells what happens, for a person to read.
type narrator struct{ out io.Writer }

func (n narrator) printf(format string, args ...any) { _, _ = fmt.Fprintf(n.out, format, args...) }

func (n narrator) say(text string)               { n.printf("\n  %s\n", text) }
func (n narrator) title(text string)             { n.printf("\n\n%s\n", text) }
func (n narrator) step(text string)              { n.printf("\n  %s\n", text) }
func (n narrator) note(text string)              { n.printf("      %s\n", text) }
func (n narrator) show(address string)           { n.printf("\n      %s\n\n", address) }
func (n narrator) fact(name, value, what string) { n.printf("    %-16s %-32s %s\n", name, value, what) }
func (n narrator) result(name, flow, what string) {
	n.printf("  ✓ %-11s %-16s %s\n", name, flow, what)
}
func (n narrator) answer(member, value string) { n.printf("    ← %s %s\n", member, value) }
func (n narrator) call(operation string, members ...string) {
	n.printf("    → %s", operation)
	for i := 0; i+1 < len(members); i += 2 {
		n.printf("  %s=%s", members[i], members[i+1])
	}
	n.printf("\n")
}

// short is a secret as it may be shown: enough to tell two apart.
func short(s string) string {
	if len(s) <= 16 {
		return s[:min(3, len(s))] + "…"
	}
	return fmt.Sprintf("%s…%s (%d characters)", s[:8], s[len(s)-4:], len(s))
}
