package iam

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	vaultARN  = "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default"
	githubARN = vaultARN + "/oauth2credentialprovider/github"
)

func policies(t *testing.T, docs ...string) []*Policy {
	t.Helper()
	var out []*Policy
	for _, d := range docs {
		p, err := ParsePolicy([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestEvaluate(t *testing.T) {
	const getToken = "bedrock-agentcore:GetResourceOauth2Token"
	onGithub := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"bedrock-agentcore:GetResource*","Resource":["` + vaultARN + `","` + githubARN + `"]}}`
	denyGithub := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["` + getToken + `"],"Resource":"*/github"}]}`
	denyARN := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"arn:*/oauth2credentialprovider/git?ub"}]}`
	agentcoreOnly := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:*","Resource":"*"}]}`
	if _, err := ParsePolicy([]byte(denyGithub)); err == nil {
		t.Error("a resource that is no ARN was taken")
	}

	for _, c := range []struct {
		name      string
		docs      []string
		action    string
		resources []string
		want      Decision
	}{
		{"no policy denies", nil, getToken, []string{githubARN}, Decision{Resource: githubARN}},
		{"no resource denies", []string{AllowAll}, getToken, nil, Decision{}},
		{"allow all", []string{AllowAll}, getToken, []string{githubARN, vaultARN}, Decision{Allowed: true}},
		{"allow all covers extension operations", []string{AllowAll}, "credence:PutTrustedIssuer", []string{"arn:aws:credence:r:1:x/y"}, Decision{Allowed: true}},
		{"bedrock-agentcore:* never covers extension operations", []string{agentcoreOnly}, "credence:PutTrustedIssuer", []string{"arn:aws:credence:r:1:x/y"}, Decision{Resource: "arn:aws:credence:r:1:x/y"}},
		{"every resource must be allowed", []string{onGithub}, getToken, []string{githubARN, githubARN + "x"}, Decision{Resource: githubARN + "x"}},
		{"both resources allowed", []string{onGithub}, getToken, []string{githubARN, vaultARN}, Decision{Allowed: true}},
		{"actions compare without case", []string{onGithub}, strings.ToUpper(getToken), []string{githubARN}, Decision{Allowed: true}},
		{"resources compare with case", []string{onGithub}, getToken, []string{strings.ToUpper(githubARN)}, Decision{Resource: strings.ToUpper(githubARN)}},
		{"explicit deny wins over an earlier allow", []string{AllowAll, denyARN}, getToken, []string{vaultARN, githubARN}, Decision{ExplicitDeny: true, Resource: githubARN}},
		{"explicit deny wins over a later allow", []string{denyARN, AllowAll}, getToken, []string{githubARN}, Decision{ExplicitDeny: true, Resource: githubARN}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Evaluate(policies(t, c.docs...), c.action, c.resources...); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestExplainUsesTheWordsThatToolsKnow(t *testing.T) {
	c := Caller{ARN: User("123456789012", "ci")}
	const action = "bedrock-agentcore:GetResourceOauth2Token"
	want := "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: " + action + " on resource: " + vaultARN + " because no identity-based policy allows the " + action + " action"
	if got := (Decision{Resource: vaultARN}).Explain(c, action); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (Decision{Resource: vaultARN, ExplicitDeny: true}).Explain(c, action); !strings.HasSuffix(got, " with an explicit deny in an identity-based policy") {
		t.Error(got)
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"nothing":                         ``,
		"no version":                      `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		"old version":                     `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		"no statement":                    `{"Version":"2012-10-17","Statement":[]}`,
		"effect in lower case":            `{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}`,
		"no resource":                     `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*"}]}`,
		"no action":                       `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}`,
		"a condition nobody would check":  `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"x":"true"}}}]}`,
		"a misspelt element":              `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","NotPrincipals":"x"}]}`,
		"text after the document":         `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]} {}`,
		"an action without service":       `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"Get*","Resource":"*"}]}`,
		"an unknown element of a list":    `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","X":1}]}`,
		"an unknown element of the whole": `{"Version":"2012-10-17","Policy":1,"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParsePolicy([]byte(doc)); err == nil {
				t.Error("it was taken")
			}
		})
	}
}

// The matcher agrees with the obvious regular expression.
func TestMatchAgreesWithRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?:")), 0, 12, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.RuneFrom([]rune("ab:")), 0, 16, -1).Draw(t, "s")
		expr := regexp.QuoteMeta(pattern)
		expr = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(expr)
		if want := regexp.MustCompile(`^` + expr + `$`).MatchString(s); match(pattern, s) != want {
			t.Fatalf("match(%q, %q) = %v", pattern, s, !want)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(AllowAll))
	f.Add([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":["a:b"],"Resource":["arn:*"]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := ParsePolicy(doc)
		if err != nil {
			return
		}
		for _, s := range p.statements {
			if len(s.actions) == 0 || len(s.resources) == 0 {
				t.Errorf("a statement without action or resource: %s", doc)
			}
		}
		Evaluate([]*Policy{p}, "a:b", "arn:x")
	})
}

func TestARNs(t *testing.T) {
	a := ARNs{Region: "eu-central-1"}
	for got, want := range map[string]string{
		a.Directory("123456789012"):               "arn:aws:bedrock-agentcore:eu-central-1:123456789012:workload-identity-directory/default",
		a.Workload("123456789012", "my-agent"):    "arn:aws:bedrock-agentcore:eu-central-1:123456789012:workload-identity-directory/default/workload-identity/my-agent",
		a.Vault("123456789012", "default"):        "arn:aws:bedrock-agentcore:eu-central-1:123456789012:token-vault/default",
		a.OAuth2Provider("123456789012", "gh"):    "arn:aws:bedrock-agentcore:eu-central-1:123456789012:token-vault/default/oauth2credentialprovider/gh",
		a.APIKeyProvider("123456789012", "k"):     "arn:aws:bedrock-agentcore:eu-central-1:123456789012:token-vault/default/apikeycredentialprovider/k",
		a.PaymentProvider("123456789012", "w"):    "arn:aws:bedrock-agentcore:eu-central-1:123456789012:token-vault/default/paymentcredentialprovider/w",
		a.Extension("123456789012", "grant", "7"): "arn:aws:credence:eu-central-1:123456789012:grant/7",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	model := regexp.MustCompile(`^arn:(aws|aws-us-gov):secretsmanager:[A-Za-z0-9-]{1,64}:[0-9]{12}:secret:[a-zA-Z0-9-_/+=.@!]+$`)
	one, two := a.Secret("123456789012", "oauth2", "gh", "i1"), a.Secret("123456789012", "oauth2", "gh", "i2")
	if !model.MatchString(one) || one == two {
		t.Errorf("secret ARNs %s, %s", one, two)
	}
	paid := a.PaymentSecret("123456789012", "StripePrivy", "w", "appsecret", "i1")
	if !model.MatchString(paid) || !strings.Contains(paid, ":secret:bedrock-agentcore-identity!default/payment/stripeprivy/w/appsecret-") {
		t.Errorf("secret ARN %s", paid)
	}
	for id, want := range map[string]bool{"123456789012": true, "000000000000": false, "12345678901": false, "1234567890123": false, "12345678901x": false, "": false} {
		if ValidAccount(id) != want {
			t.Errorf("ValidAccount(%q) = %v", id, !want)
		}
	}
}
