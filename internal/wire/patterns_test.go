package wire

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"credence/internal/wire/wiretest"

	"github.com/google/go-cmp/cmp"
)

func TestPatterns(t *testing.T) {
	if diff := cmp.Diff(slices.Sorted(maps.Keys(wiretest.Examples)), slices.Sorted(maps.Keys(patterns))); diff != "" {
		t.Fatalf("each pattern needs its examples:\n%s", diff)
	}
	for name, p := range patterns {
		e := wiretest.Examples[name]
		if !p.matches(e.Match) {
			t.Errorf("%s does not match %q", name, e.Match)
		}
		if p.matches(e.Mismatch) {
			t.Errorf("%s matches %q", name, e.Mismatch)
		}
		// A match is of the whole value.
		for _, around := range []string{e.Match + "\n", " \n" + e.Match, e.Match + "\x00"} {
			if want := regexpOf(p).MatchString(around); p.matches(around) != want {
				t.Errorf("%s matches %q: %t", name, around, !want)
			}
		}
	}
}

// An automaton has one symbol for all characters beyond ASCII: right as long as no pattern tells them apart.
func TestNoPatternTellsCharactersBeyondASCIIApart(t *testing.T) {
	for name, p := range patterns {
		if strings.ContainsFunc(p.source, func(r rune) bool { return r >= utf8.RuneSelf }) || strings.Contains(p.source, `\p`) || strings.Contains(p.source, `(?`) {
			t.Errorf("%s does", name)
		}
	}
}

// Package regexp is the judge of what a pattern matches.
func FuzzPatterns(f *testing.F) {
	judges := map[string]*regexp.Regexp{}
	for name, p := range patterns {
		judges[name] = regexpOf(p)
		e := wiretest.Examples[name]
		for _, s := range []string{
			"", e.Match, e.Mismatch, e.Match + e.Match, e.Match + "é", "\xff" + e.Match, strings.ToUpper(e.Match), e.Match[1:], e.Match + string(unicode.MaxRune),
		} {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, p := range patterns {
			if got, want := p.matches(s), judges[name].MatchString(s); got != want {
				t.Errorf("%s matches %q: %t, package regexp says %t", name, s, got, want)
			}
		}
	})
}

func regexpOf(p *pattern) *regexp.Regexp { return regexp.MustCompile(`\A(?:` + p.source + `)\z`) }
