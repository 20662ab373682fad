package iam

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Each refusal says where the mistake is: the marker « stands before it and is taken out.
func TestParsePolicyRefuses(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":` + s + `}` }
	with := func(condition string) string {
		return statement(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":` + condition + `}`)
	}
	for name, doc := range map[string]string{
		"nothing":                        `«`,
		"no object":                      `«[]`,
		"no version":                     `«{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		"old version":                    `{"Version":«"2008-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		"no statement":                   `{"Version":"2012-10-17","Statement":«[]}`,
		"no Statement":                   `«{"Version":"2012-10-17"}`,
		"a statement of text":            statement(`«"Allow"`),
		"effect in lower case":           statement(`[{"Effect":«"allow","Action":"*","Resource":"*"}]`),
		"no effect":                      statement(`[«{"Action":"*","Resource":"*"}]`),
		"no resource":                    statement(`[«{"Effect":"Allow","Action":"*"}]`),
		"no action":                      statement(`[«{"Effect":"Allow","Resource":"*"}]`),
		"an empty action":                statement(`[{"Effect":"Allow","Action":«[],"Resource":"*"}]`),
		"Action and NotAction":           statement(`[{"Effect":"Allow","Action":"*",«"NotAction":"a:b","Resource":"*"}]`),
		"Resource and NotResource":       statement(`[{"Effect":"Allow","Action":"*","Resource":"*",«"NotResource":"arn:x"}]`),
		"an element in another case":     statement(`[{«"effect":"Allow","Action":"*","Resource":"*"}]`),
		"an element twice":               statement(`[{"Effect":"Allow",«"Effect":"Deny","Action":"*","Resource":"*"}]`),
		"a principal":                    statement(`[{"Effect":"Allow",«"Principal":"*","Action":"*","Resource":"*"}]`),
		"a misspelt element":             statement(`[{"Effect":"Deny","Action":"*","Resource":"*",«"NotPrincipals":"x"}]`),
		"text after the document":        statement(`[{"Effect":"Allow","Action":"*","Resource":"*"}]`) + " «{}",
		"an action without service":      statement(`[{"Effect":"Allow","Action":«"Get*","Resource":"*"}]`),
		"an action with a variable":      statement(`[{"Effect":"Allow","Action":«"a:${aws:username}","Resource":"*"}]`),
		"a resource that is no ARN":      statement(`[{"Effect":"Allow","Action":"*","Resource":["*",«"*/github"]}]`),
		"an unknown element of a list":   statement(`[{"Effect":"Allow","Action":"*","Resource":"*"},` + "\n" + `{"Effect":"Deny","Action":"*","Resource":"*",«"X":1}]`),
		"an unknown element":             `{"Version":"2012-10-17",` + "\n\n  " + `«"Policy":1,"Statement":[]}`,
		"a Sid with a space":             statement(`{"Sid":«"a b","Effect":"Allow","Action":"*","Resource":"*"}`),
		"a Sid twice":                    statement(`[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":«"a","Effect":"Deny","Action":"*","Resource":"*"}]`),
		"a string that does not end":     `{"Version":"2012-10-17«`,
		"a comma too many":               `{"Version":"2012-10-17",«}`,
		"no UTF-8":                       "{\"Version\":\"«\xff\"}",
		"deep nesting":                   strings.Repeat("[", maxDepth+1) + "«" + strings.Repeat("[", 50),
		"an unknown operator":            with(`{«"StringEqual":{"aws:username":"x"}}`),
		"an operator in another case":    with(`{«"stringequals":{"aws:username":"x"}}`),
		"an unknown prefix":              with(`{«"ForSomeValues:StringEquals":{"aws:TagKeys":"x"}}`),
		"NullIfExists":                   with(`{«"NullIfExists":{"aws:username":"true"}}`),
		"BinaryEquals":                   with(`{«"BinaryEquals":{"aws:username":"eA=="}}`),
		"an unknown prefix of a key":     with(`{"StringEquals":{«"acme:username":"x"}}`),
		"an unknown key":                 with(`{"Bool":{«"aws:MultiFactorAuthPresent":"false"}}`),
		"an unknown claim":               with(`{"StringEquals":{«"bedrock-agentcore:InboundJwtClaim/email":"x"}}`),
		"a tag without key":              with(`{"StringEquals":{«"aws:ResourceTag/":"x"}}`),
		"one value of a key with many":   with(`{"StringEquals":{«"aws:TagKeys":"x"}}`),
		"one audience of many":           with(`{"StringLike":{«"bedrock-agentcore:InboundJwtClaim/aud":"x"}}`),
		"no condition":                   with(`«"x"`),
		"no keys":                        with(`{"StringEquals":«{}}`),
		"no values":                      with(`{"StringEquals":{"aws:username":«[]}}`),
		"a value that is an object":      with(`{"StringEquals":{"aws:username":["a",«{}]}}`),
		"a date that is none":            with(`{"DateLessThan":{"aws:CurrentTime":«"yesterday"}}`),
		"a number that is none":          with(`{"NumericLessThan":{"aws:EpochTime":["1",«"one"]}}`),
		"a number that is not finite":    with(`{"NumericLessThan":{"aws:EpochTime":«"Inf"}}`),
		"a range that is none":           with(`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8",` + "\n" + `«"10.0.0.0/33"]}}`),
		"a truth that is none":           with(`{"Bool":{"aws:SecureTransport":«"yes"}}`),
		"an ARN that is none":            with(`{"ArnLike":{"aws:PrincipalArn":«"arn:aws:iam::*"}}`),
		"Null of both":                   with(`{"Null":{"aws:username":«["true","false"]}}`),
		"a variable that does not end":   with(`{"StringEquals":{"aws:username":«"${aws:username"}}`),
		"a variable nobody knows":        with(`{"StringEquals":{"aws:username":«"${aws:user}"}}`),
		"a variable of many values":      with(`{"StringEquals":{"aws:username":«"${aws:TagKeys}"}}`),
		"a default without quotes":       with(`{"StringEquals":{"aws:username":«"${aws:username, x}"}}`),
		"a variable in an address":       with(`{"IpAddress":{"aws:SourceIp":«"${aws:SourceIp}"}}`),
		"a variable in a resource":       statement(`{"Effect":"Allow","Action":"*","Resource":«"arn:${acme:x}"}`),
		"characters are not bytes: äöü€": `{"Id":"äöü€","Version":«"2012"}`,
		"a value too long":               with(`{"StringEquals":{"aws:username":«"` + strings.Repeat("x", maxValue+1) + `"}}`),
		"a list too long":                with(`{"StringEquals":{"aws:username":[` + strings.Repeat(`"x",`, maxList) + `«"x"]}}`),
		"a document too long":            "«" + with(`{"StringEquals":{"aws:username":"`+strings.Repeat("x", MaxDocument)+`"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			before, after, _ := strings.Cut(doc, "«")
			line := strings.Count(before, "\n") + 1
			column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
			_, err := ParsePolicy([]byte(before + after))
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok {
				t.Fatalf("got %v, want a SyntaxError", err)
			}
			if e.Line != line || e.Column != column {
				t.Errorf("got %v, want line %d, column %d", e, line, column)
			}
		})
	}
}

// The matcher agrees with the obvious regular expression.
func TestMatchAgreesWithRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?:é")), 0, 12, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.RuneFrom([]rune("ab:é*?")), 0, 16, -1).Draw(t, "s")
		if want := regexpOf(text).MatchString(s); match(wildcards.Replace(text), s) != want {
			t.Fatalf("match(%q, %q) = %v", text, s, !want)
		}
	})
}

func regexpOf(text string) *regexp.Regexp {
	return regexp.MustCompile(`^(?s:` + strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(text)) + `)$`)
}

// Two patterns meet when some text matches both. Short texts over a small alphabet are tried one by one.
func TestMeetAgreesWithTrying(t *testing.T) {
	texts := []string{""}
	for i := 0; len(texts[i]) < 5; i++ {
		texts = append(texts, texts[i]+"a", texts[i]+"b")
	}
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?")), 0, 5, -1)
		a, b := wildcards.Replace(gen.Draw(t, "a")), wildcards.Replace(gen.Draw(t, "b"))
		want := false
		for _, s := range texts {
			want = want || match(a, s) && match(b, s)
		}
		// A common text needs no more characters than both patterns have other than *; longer ones are not tried.
		if got := meet(a, b); got != want && (want || len(a)+len(b) <= 5) {
			t.Fatalf("meet(%q, %q) = %v", a, b, got)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(AllowAll))
	f.Add([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":["a:b"],"Resource":["arn:*"]}}`))
	f.Add([]byte(`{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"A","Effect":"Allow","NotAction":"a:?","NotResource":"arn:${aws:username, 'x'}","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*","${$}"]},"DateLessThan":{"aws:CurrentTime":"2030-01-01"},"IpAddress":{"aws:SourceIp":"::1"},"NumericEquals":{"aws:EpochTime":1},"Bool":{"aws:SecureTransport":true},"ArnLike":{"aws:PrincipalArn":"arn:*:iam::*:role/*"}}}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := ParsePolicy(doc)
		if err != nil {
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok || e.Line < 1 || e.Column < 1 || e.Line > 1+strings.Count(string(doc), "\n") {
				t.Errorf("%q: %v", doc, err)
			}
			return
		}
		for _, s := range p.statements {
			if len(s.actions) == 0 || len(s.resources) == 0 {
				t.Errorf("a statement without action or resource: %s", doc)
			}
		}
		c := &Caller{Account: "123456789012", ARN: User("123456789012", "a"), Name: "a", Policies: []*Policy{p}}
		r := &Request{Action: "a:b", Resources: []string{"arn:x"}, RequestTags: map[string]string{"a": "b"}, ResourceTags: func(string) (map[string]string, error) { return nil, nil }}
		d := Evaluate(c, r)
		c.Policies = append(c.Policies, mustParse(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`))
		if Evaluate(c, r).Allowed {
			t.Errorf("an explicit deny does not win over %s", doc)
		}
		if d.Allowed == d.ExplicitDeny && d.Allowed {
			t.Errorf("allowed and denied: %s", doc)
		}
	})
}

func mustParse(doc string) *Policy {
	p, err := ParsePolicy([]byte(doc))
	if err != nil {
		panic(err)
	}
	return p
}
