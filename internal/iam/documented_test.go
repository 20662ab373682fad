package iam

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Policies in the form of those that AWS documents (IAM user guide: examples, ABAC, variables, multivalued keys; AgentCore: scoping access to providers, tags, users), each
// with requests that it decides.
func TestDocumentedPolicies(t *testing.T) {
	const (
		account   = "123456789012"
		directory = "arn:aws:bedrock-agentcore:us-east-1:" + account + ":workload-identity-directory/default"
		agent     = directory + "/workload-identity/agent-1"
		getToken  = "bedrock-agentcore:GetResourceOauth2Token"
	)
	type ask struct {
		action    string
		resources []string
		edit      func(*Caller, *Request)
		want      bool
	}
	at := func(addr string) func(*Caller, *Request) {
		return func(c *Caller, _ *Request) { c.SourceIP = netip.MustParseAddr(addr) }
	}
	tagged := func(principal, resource string) func(*Caller, *Request) {
		return func(c *Caller, r *Request) {
			if principal != "" {
				c.Tags = map[string]string{"project": principal}
			}
			r.ResourceTags = func(string) (map[string]string, error) { return map[string]string{"project": resource}, nil }
		}
	}
	giving := func(tags ...string) func(*Caller, *Request) {
		return func(_ *Caller, r *Request) {
			r.RequestTags = map[string]string{}
			for _, tag := range tags {
				k, v, _ := strings.Cut(tag, "=")
				r.RequestTags[k] = v
			}
		}
	}
	for name, c := range map[string]struct {
		document string
		asks     []ask
	}{
		"an agent's role that may use what the workload identities of its prefix may": {`{"Version":"2012-10-17","Statement":[
			{"Sid":"GetAgentAccessToken","Effect":"Allow","Action":["bedrock-agentcore:GetWorkloadAccessToken","bedrock-agentcore:GetWorkloadAccessTokenForJWT","bedrock-agentcore:GetWorkloadAccessTokenForUserId"],
			 "Resource":["` + directory + `","` + directory + `/workload-identity/agent-*"]},
			{"Sid":"GetToken","Effect":"Allow","Action":"bedrock-agentcore:GetResourceOauth2Token","Resource":["` + directory + `","` + directory + `/workload-identity/agent-*","` + vaultARN + `","` + vaultARN + `/oauth2credentialprovider/*"]}]}`,
			[]ask{
				{getToken, []string{githubARN, vaultARN, agent, directory}, nil, true},
				{getToken, []string{githubARN, vaultARN, directory + "/workload-identity/other", directory}, nil, false},
				{"bedrock-agentcore:GetResourceApiKey", []string{vaultARN}, nil, false},
				{"bedrock-agentcore:GetWorkloadAccessTokenForUserId", []string{directory, agent}, nil, true},
			}},
		"users by JWT only": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"bedrock-agentcore:*","Resource":"*"},{"Effect":"Deny","Action":"bedrock-agentcore:GetWorkloadAccessTokenForUserId","Resource":"*"}]}`,
			[]ask{{"bedrock-agentcore:GetWorkloadAccessTokenForUserId", []string{directory, agent}, nil, false}, {"bedrock-agentcore:GetWorkloadAccessTokenForJWT", []string{directory, agent}, nil, true}}},
		"users of one issuer": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"bedrock-agentcore:GetWorkloadAccessTokenForJWT","Resource":"*","Condition":{"StringEquals":{"bedrock-agentcore:InboundJwtClaim/iss":"https://idp.example"},"ForAnyValue:StringEquals":{"bedrock-agentcore:InboundJwtClaim/aud":["agents"]}}}}`,
			[]ask{
				{"bedrock-agentcore:GetWorkloadAccessTokenForJWT", []string{directory}, func(_ *Caller, r *Request) {
					r.JWT = func() JWTClaims { return JWTClaims{Issuer: "https://idp.example", Audience: []string{"web", "agents"}} }
				}, true},
				{"bedrock-agentcore:GetWorkloadAccessTokenForJWT", []string{directory}, func(_ *Caller, r *Request) {
					r.JWT = func() JWTClaims { return JWTClaims{Issuer: "https://idp.example", Audience: []string{"web"}} }
				}, false},
				{"bedrock-agentcore:GetWorkloadAccessTokenForJWT", []string{directory}, nil, false},
			}},
		"resources by tag, in the documentation's spelling": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"bedrock-agentcore:*","Resource":"*","Condition":{"StringEquals":{"bedrock-agentcore:ResourceTag/project":"blue"}}}}`,
			[]ask{{getToken, []string{githubARN}, tagged("", "blue"), true}, {getToken, []string{githubARN}, tagged("", "red"), false}, {getToken, []string{githubARN}, nil, false}}},
		"the same project as the principal": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/project":"${aws:PrincipalTag/project}"}}}}`,
			[]ask{{getToken, []string{githubARN}, tagged("blue", "blue"), true}, {getToken, []string{githubARN}, tagged("blue", "red"), false}, {getToken, []string{githubARN}, tagged("", "red"), false}}},
		"certain tags must, others must not be given": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/environment":["preprod","production"]},"ForAllValues:StringEquals":{"aws:TagKeys":["environment","cost-center"]}}}}`,
			[]ask{{"a:Create", []string{"arn:x"}, giving("environment=preprod"), true}, {"a:Create", []string{"arn:x"}, giving("environment=preprod", "cost-center=1"), true},
				{"a:Create", []string{"arn:x"}, giving("environment=test"), false}, {"a:Create", []string{"arn:x"}, giving("environment=preprod", "owner=x"), false}, {"a:Create", []string{"arn:x"}, nil, false}}},
		"at least one tag must be given": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"a:Create","Resource":"*","Condition":{"Null":{"aws:TagKeys":"true"}}}]}`,
			[]ask{{"a:Create", []string{"arn:x"}, giving("a=b"), true}, {"a:Create", []string{"arn:x"}, nil, false}}},
		"from the company's networks only": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","203.0.113.0/24"]}}}]}`,
			[]ask{{getToken, []string{githubARN}, at("203.0.113.9"), true}, {getToken, []string{githubARN}, at("198.51.100.1"), false}, {getToken, []string{githubARN}, at("2001:db8::1"), false},
				{getToken, []string{githubARN}, nil, false}}}, // no address is none of theirs
		"within a time": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2020-04-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2020-06-30T23:59:59Z"}}}}`,
			[]ask{{getToken, []string{githubARN}, func(_ *Caller, r *Request) { r.Time = time.Date(2020, 5, 1, 0, 0, 0, 0, time.UTC) }, true}, {getToken, []string{githubARN}, func(_ *Caller, r *Request) { r.Time = time.Date(2020, 7, 1, 0, 0, 0, 0, time.UTC) }, false}}},
		"in one region, some actions excepted": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":["sts:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-central-1"]}}}]}`,
			[]ask{{getToken, []string{githubARN}, func(_ *Caller, r *Request) { r.Region = "eu-central-1" }, true}, {getToken, []string{githubARN}, func(_ *Caller, r *Request) { r.Region = "us-east-1" }, false},
				{"sts:GetCallerIdentity", []string{"arn:x"}, func(_ *Caller, r *Request) { r.Region = "us-east-1" }, true}}},
		"TLS only": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`,
			[]ask{{getToken, []string{githubARN}, func(c *Caller, _ *Request) { c.Secure = true }, true}, {getToken, []string{githubARN}, nil, false}}},
		"sessions from before a revocation": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-01-01T00:00:00Z"}}}]}`,
			[]ask{{getToken, []string{githubARN}, nil, true}, {getToken, []string{githubARN}, func(c *Caller, _ *Request) {
				c.Session = &Session{IssuedAt: time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)}
			}, false},
				{getToken, []string{githubARN}, func(c *Caller, _ *Request) {
					c.Session = &Session{IssuedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
				}, true}}},
		"a resource of one's own name": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"` + vaultARN + `/oauth2credentialprovider/${aws:username}-*"}}`,
			[]ask{{getToken, []string{vaultARN + "/oauth2credentialprovider/ci-github"}, nil, true}, {getToken, []string{githubARN}, nil, false}}},
		"everything but": {`{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotAction":"bedrock-agentcore:Delete*","NotResource":"` + githubARN + `"}}`,
			[]ask{{getToken, []string{vaultARN}, nil, true}, {getToken, []string{githubARN}, nil, false}, {"bedrock-agentcore:DeleteWorkloadIdentity", []string{vaultARN}, nil, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			for i, a := range c.asks {
				caller := &Caller{Account: account, ARN: User(account, "ci"), Name: "ci", Policies: policies(t, c.document)}
				r := &Request{Action: a.action, Resources: a.resources, Region: "us-east-1"}
				if a.edit != nil {
					a.edit(caller, r)
				}
				if d := Evaluate(caller, r); d.Allowed != a.want {
					t.Errorf("request %d: %+v", i+1, d)
				}
			}
		})
	}
}
