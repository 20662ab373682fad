package workload_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"credence/internal/workload"
)

// Keys are in rows: none of these may ever change. The values were computed apart from this program, over the layout that Key documents.
func TestUserKeyIsForEver(t *testing.T) {
	for name, test := range map[string]struct {
		user workload.User
		key  string
	}{
		"nobody": {workload.User{}, ""},
		"id":     {workload.User{Kind: workload.KindID, ID: "alice"}, "0351841b08695402e1bee81ce1a9894cfb1b2033c3526981244aa075c99eb98d"},
		"jwt": {workload.User{Kind: workload.KindJWT, Issuer: "https://idp.example", Subject: "alice"},
			"0db473950e38a29707915fe754d62f28f585910e5e906612e37ac0f2c0f17241"},
		"claim": {workload.UserByClaims("https://idp.example", workload.Claim{Name: "email", Value: "alice@example.com"}),
			"e52e7bdcd53a27b41475311a69990cc5b1b63aafce6ad28d6ad3af2b677ce426"},
		"claims, in whatever order": {workload.UserByClaims("https://idp.example", workload.Claim{Name: "tid", Value: "2"}, workload.Claim{Name: "oid", Value: "1"}),
			"50913880ebc31ae300d0f290a2ba0133a1eb8347bc09afa231301b0d27a11e46"},
		"beyond ASCII": {workload.User{Kind: workload.KindID, ID: "e\u0301lise \U0001F511"}, "0e971ab3d86ad585ae98713718856c5ff3312d82d6ed661dd10a07a0200eec22"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.user.Key(); got != test.key {
				t.Errorf("key %s, want %s", got, test.key)
			}
		})
	}
}

// What looks the same to a person, or is the same string in another field, is another user.
func TestUsersThatLookAlike(t *testing.T) {
	id := func(s string) workload.User { return workload.User{Kind: workload.KindID, ID: s} }
	jwt := func(issuer, subject string) workload.User {
		return workload.User{Kind: workload.KindJWT, Issuer: issuer, Subject: subject}
	}
	claim := func(issuer string, nameAndValue ...string) workload.User {
		var claims []workload.Claim
		for i := 0; i < len(nameAndValue); i += 2 {
			claims = append(claims, workload.Claim{Name: nameAndValue[i], Value: nameAndValue[i+1]})
		}
		return workload.UserByClaims(issuer, claims...)
	}
	all := []workload.User{
		claim("https://idp.example", "sub", "alice"), claim("https://idp.example", "email", "alice"), claim("https://idp.example", "upn", "alice"), claim("https://other.example", "email", "alice"),
		claim("https://idp.example", "email", "Alice"), claim("https://idp.example", "email", "alice "), claim("https://idp.example", "email", "\u00e9lise"), claim("https://idp.example", "email", "e\u0301lise"),
		claim("https://idp.example", "oid", "a", "tid", "b"), claim("https://idp.example", "oid", "b", "tid", "a"), claim("https://idp.example", "oid", "a"), claim("https://idp.example", "oid", "atidb"),
		claim("https://idp.exampleemail", "", "alice"), id(`claims:"https://idp.example" "email" "alice"`),
		{}, id("alice"), id("Alice"), id("alice "), id(" alice"), id("alice\x00"), id("alice\n"), id(""),
		id("\u00e9lise"), id("e\u0301lise"), id("\u0430lice"), id("\xff"), id("\ufffd"),
		jwt("alice", ""), jwt("", "alice"), jwt("https://idp.example", "alice"), jwt("https://idp.example/", "alice"), jwt("https://idp.example", "/alice"),
		jwt("https://IDP.example", "alice"), jwt("https://idp.examplealice", ""), jwt("https://idp.example\x00", "alice"),
		id("https://idp.example\x00alice"), id(`"https://idp.example" "alice"`), jwt(`a" "b`, "c"), jwt("a", `b" "c`),
		{Kind: workload.KindJWT, ID: "alice"}, {Kind: workload.KindID, Issuer: "alice"}, {Kind: workload.KindID, Subject: "alice"},
	}
	keys := map[string]workload.User{}
	for _, u := range all {
		if other, taken := keys[u.Key()]; taken {
			t.Errorf("%#v and %#v share the key %s", u, other, u.Key())
		}
		keys[u.Key()] = u
	}
}

func drawUser(t *rapid.T, label string) workload.User {
	part := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "ab", "\x00", "\x00\x00\x00\x01a", "é", "e\u0301"}), rapid.String())
	return workload.User{
		Kind:   rapid.SampledFrom([]workload.Kind{workload.KindJWT, workload.KindClaims, workload.KindID}).Draw(t, label+" kind"),
		Issuer: part.Draw(t, label+" issuer"), Subject: part.Draw(t, label+" subject"), ID: part.Draw(t, label+" id"),
		Claims: [workload.MaxClaims]workload.Claim{{Name: part.Draw(t, label+" claim"), Value: part.Draw(t, label+" value")}, {Name: part.Draw(t, label+" claim 2")}},
	}
}

// No two users share a key: whatever moves from one field into the next, is cut, or is left out.
func TestUserKeysDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawUser(t, "a"), drawUser(t, "b")
		if (a.Key() == b.Key()) != (a == b) {
			t.Fatalf("%#v and %#v: keys %s and %s", a, b, a.Key(), b.Key())
		}
		if len(a.Key()) != 64 || strings.Trim(a.Key(), "0123456789abcdef") != "" {
			t.Fatalf("the key %q is no SHA-256 in hex", a.Key())
		}
	})
}

// The readable form is what a person judges a consent by: it is as distinct as the key, and one line of printable text.
func TestUserString(t *testing.T) {
	for want, u := range map[string]workload.User{
		"":                                  {},
		`id:"alice"`:                        {Kind: workload.KindID, ID: "alice"},
		`jwt:"https://idp.example" "alice"`: {Kind: workload.KindJWT, Issuer: "https://idp.example", Subject: "alice"},
		`claims:"https://idp.example" "oid" "1" "tid" "2"`: workload.UserByClaims("https://idp.example", workload.Claim{Name: "tid", Value: "2"}, workload.Claim{Name: "oid", Value: "1"}),
		`id:"a\" \"b\n\u200b"`:                             {Kind: workload.KindID, ID: "a\" \"b\n\u200b"},
	} {
		if got := u.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawUser(t, "a"), drawUser(t, "b")
		for _, u := range []*workload.User{&a, &b} { // as they are made: a kind has its own fields only
			switch u.Kind {
			case workload.KindJWT:
				*u = workload.User{Kind: u.Kind, Issuer: u.Issuer, Subject: u.Subject}
			case workload.KindClaims:
				*u = workload.UserByClaims(u.Issuer, workload.Claim{Name: "a" + u.Subject, Value: u.ID}, u.Claims[0])
			default:
				*u = workload.User{Kind: u.Kind, ID: u.ID}
			}
		}
		if (a.String() == b.String()) != (a == b) {
			t.Fatalf("%#v and %#v both read %s", a, b, a)
		}
		if strings.ContainsFunc(fmt.Sprint(a), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%#v reads %q", a, a.String())
		}
	})
}

// What String says, ParseUser reads, and nothing else.
func TestParseUser(t *testing.T) {
	for _, u := range []workload.User{
		{Kind: workload.KindID, ID: "alice"}, {Kind: workload.KindID, ID: `a "quoted" \ one é` + "\x00\xff"}, {Kind: workload.KindID, ID: ""},
		{Kind: workload.KindJWT, Issuer: "https://idp.example", Subject: `b "ob"`}, {Kind: workload.KindJWT, Issuer: "", Subject: ""},
		workload.UserByClaims("https://idp.example", workload.Claim{Name: "email", Value: `a "b" c`}), workload.UserByClaims("i", workload.Claim{Name: "b", Value: "1"}, workload.Claim{Name: "a", Value: "2"}, workload.Claim{Name: "c", Value: ""}),
	} {
		got, err := workload.ParseUser(u.String())
		if err != nil || got != u || got.Key() != u.Key() {
			t.Errorf("%s: %+v, %v", u, got, err)
		}
		if again := workload.UserNamed(u.GrantUser()); again != u {
			t.Errorf("%s, named by an operator, is %s", u, again)
		}
	}
	for _, text := range []string{"", "id", "id:", "id:alice", `id:"a" "b"`, `id:"a" `, `jwt:"a"`, `jwt:"a""b"`, `jwt:"a"  "b"`, `other:"a"`, "id:`a`",
		`claims:"i" "a"`, `claims:"i" "b" "1" "a" "2"`, `claims:"i" "a" "1" "b" "2" "c" "3" "d" "4"`, `claims:"i" "" ""`} {
		if u, err := workload.ParseUser(text); err == nil {
			t.Errorf("%q is taken for %+v", text, u)
		}
	}
}
