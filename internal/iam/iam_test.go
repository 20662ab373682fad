package iam

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	vaultARN  = "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default"
	githubARN = vaultARN + "/oauth2credentialprovider/github"
)

func policies(t *testing.T, docs ...string) []*Policy {
	t.Helper()
	var out []*Policy
	for i, d := range docs {
		p, err := ParsePolicy([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		p.Name = "p" + strconv.Itoa(i+1)
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

	allowed := func(policy, statement int) Decision {
		return Decision{Allowed: true, Statement: Statement{Identity, "p" + strconv.Itoa(policy), "", statement}}
	}
	denied := func(policy int, resource string) Decision {
		return Decision{ExplicitDeny: true, Resource: resource, Statement: Statement{Identity, "p" + strconv.Itoa(policy), "", 1}}
	}
	missing := func(resource string) Decision { return Decision{Resource: resource, Missing: Identity} }
	const extension = "arn:aws:credence:r:1:x/y"
	for _, c := range []struct {
		name      string
		docs      []string
		action    string
		resources []string
		want      Decision
	}{
		{"no policy denies", nil, getToken, []string{githubARN}, missing(githubARN)},
		{"no resource denies", []string{AllowAll}, getToken, nil, Decision{Missing: Identity}},
		{"allow all", []string{AllowAll}, getToken, []string{githubARN, vaultARN}, allowed(1, 1)},
		{"allow all covers extension operations", []string{AllowAll}, "credence:PutTrustedIssuer", []string{extension}, allowed(1, 1)},
		{"bedrock-agentcore:* never covers extension operations", []string{agentcoreOnly}, "credence:PutTrustedIssuer", []string{extension}, missing(extension)},
		{"every resource must be allowed", []string{onGithub}, getToken, []string{githubARN, githubARN + "x"}, missing(githubARN + "x")},
		{"both resources allowed", []string{onGithub}, getToken, []string{githubARN, vaultARN}, allowed(1, 1)},
		{"actions compare without case", []string{onGithub}, strings.ToUpper(getToken), []string{githubARN}, allowed(1, 1)},
		{"resources compare with case", []string{onGithub}, getToken, []string{strings.ToUpper(githubARN)}, missing(strings.ToUpper(githubARN))},
		{"explicit deny wins over an earlier allow", []string{AllowAll, denyARN}, getToken, []string{vaultARN, githubARN}, denied(2, githubARN)},
		{"explicit deny wins over a later allow", []string{denyARN, AllowAll}, getToken, []string{githubARN}, denied(1, githubARN)},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := &Caller{Policies: policies(t, c.docs...)}
			if got := Evaluate(caller, &Request{Action: c.action, Resources: c.resources}); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestExplainUsesTheWordsThatToolsKnow(t *testing.T) {
	const account, action = "123456789012", "bedrock-agentcore:GetResourceOauth2Token"
	allow := policies(t, AllowAll)
	deny := policies(t, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)
	only := policies(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"other:*","Resource":"*"}}`)
	for want, c := range map[string]Caller{
		"because no identity-based policy allows the " + action + " action": {},
		"with an explicit deny in an identity-based policy":                 {Policies: append(deny, allow...)},
		"because no session policy allows the " + action + " action":        {Policies: allow, Session: &Session{Policies: only}},
		"with an explicit deny in a session policy":                         {Policies: allow, Session: &Session{Policies: deny}},
		"because no permissions boundary allows the " + action + " action":  {Policies: allow, Boundary: only[0]},
		"with an explicit deny in a permissions boundary":                   {Policies: allow, Boundary: deny[0]},
	} {
		c.ARN = User(account, "ci")
		want = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: " + action + " on resource: " + vaultARN + " " + want
		if got := Evaluate(&c, &Request{Action: action, Resources: []string{vaultARN}}).Explain(&c, action); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
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
