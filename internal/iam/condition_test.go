package iam

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// world is a request in which every key has a value.
func world() (*Caller, *Request) {
	c := &Caller{
		Account: "123456789012", Kind: KindAssumedRole, ARN: AssumedRole("123456789012", "agents", "run-7"), Name: "agents", UserID: "AROAEXAMPLE:run-7",
		SourceIP: netip.MustParseAddr("203.0.113.7"), Secure: true,
		Tags:    map[string]string{"team": "blue", "Wild": "a*"},
		Session: &Session{Name: "run-7", IssuedAt: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), SourceIdentity: "alice", Issuer: "https://issuer.example"},
	}
	r := &Request{
		Action: "bedrock-agentcore:GetResourceOauth2Token", Resources: []string{githubARN}, Region: "us-east-1", Time: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC),
		RequestTags:  map[string]string{"stage": "prod", "team": "blue"},
		ResourceTags: func(string) (map[string]string, error) { return map[string]string{"team": "blue"}, nil },
		UserID:       "alice",
		JWT: func() JWTClaims {
			return JWTClaims{"https://idp.example", "sub-1", "client-1", []string{"api", "web"}, []string{"read", "write"}}
		},
	}
	return c, r
}

func holds(t *testing.T, c *Caller, r *Request, effect, resource, condition string) bool {
	t.Helper()
	p, err := ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Action":"*","Resource":"` + resource + `","Condition":` + condition + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	with := *c
	with.Policies = []*Policy{p}
	if effect == "Deny" {
		with.Policies = append(with.Policies, mustParse(AllowAll))
		return !Evaluate(&with, r).Allowed
	}
	return Evaluate(&with, r).Allowed
}

func TestConditions(t *testing.T) {
	for condition, want := range map[string]bool{
		// Strings.
		`{"StringEquals":{"bedrock-agentcore:userid":"alice"}}`:                                                           true,
		`{"StringEquals":{"bedrock-agentcore:userid":"Alice"}}`:                                                           false,
		`{"StringEquals":{"bedrock-agentcore:userid":["bob","alice"]}}`:                                                   true,
		`{"StringEquals":{"bedrock-agentcore:userid":"al*"}}`:                                                             false,
		`{"StringNotEquals":{"bedrock-agentcore:userid":"bob"}}`:                                                          true,
		`{"StringNotEquals":{"bedrock-agentcore:userid":["bob","alice"]}}`:                                                false, // a list of a negated operator is a NOR
		`{"StringEqualsIgnoreCase":{"bedrock-agentcore:userid":"ALICE"}}`:                                                 true,
		`{"StringNotEqualsIgnoreCase":{"bedrock-agentcore:userid":"ALICE"}}`:                                              false,
		`{"StringLike":{"bedrock-agentcore:userid":"a?ic*"}}`:                                                             true,
		`{"StringLike":{"bedrock-agentcore:userid":"A?ic*"}}`:                                                             false,
		`{"StringNotLike":{"bedrock-agentcore:userid":"a*"}}`:                                                             false,
		`{"StringLike":{"bedrock-agentcore:userid":""}}`:                                                                  false,
		`{"StringEquals":{"BEDROCK-AGENTCORE:UserID":"alice"}}`:                                                           true, // names of keys have no case
		`{"StringEquals":{"aws:PrincipalTag/TEAM":"blue"}}`:                                                               true,
		`{"StringEquals":{"aws:username":"alice","bedrock-agentcore:userid":"x"}}`:                                        false, // keys are a conjunction
		`{"StringEquals":{"bedrock-agentcore:userid":"alice"},"StringNotEquals":{"aws:PrincipalAccount":"123456789012"}}`: false,
		// A missing key: there is no aws:username in a role session.
		`{"StringEquals":{"aws:username":"x"}}`:                               false,
		`{"StringLike":{"aws:username":"*"}}`:                                 false,
		`{"StringNotEquals":{"aws:username":"x"}}`:                            true,
		`{"StringNotLike":{"aws:username":"*"}}`:                              true,
		`{"StringEqualsIfExists":{"aws:username":"x"}}`:                       true,
		`{"StringEqualsIfExists":{"bedrock-agentcore:userid":"x"}}`:           false,
		`{"ArnNotLike":{"aws:username":"arn:aws:iam::1:user/x"}}`:             true,
		`{"NumericNotEquals":{"aws:username":"1"}}`:                           true,
		`{"NumericLessThan":{"aws:username":"1"}}`:                            false,
		`{"DateNotEquals":{"aws:username":"2026-01-01"}}`:                     true,
		`{"NotIpAddress":{"aws:username":"10.0.0.0/8"}}`:                      true,
		`{"BoolIfExists":{"aws:username":"true"}}`:                            true,
		`{"Bool":{"aws:username":"false"}}`:                                   false,
		`{"ForAllValues:StringEquals":{"aws:username":"x"}}`:                  true,
		`{"ForAnyValue:StringEquals":{"aws:username":"x"}}`:                   false,
		`{"ForAnyValue:StringNotEquals":{"aws:username":"x"}}`:                false,
		`{"ForAnyValue:StringEqualsIfExists":{"aws:username":"x"}}`:           false,
		`{"Null":{"aws:username":"true","bedrock-agentcore:userid":"false"}}`: true,
		`{"Null":{"aws:username":"false"}}`:                                   false,
		`{"Null":{"aws:TagKeys":true}}`:                                       false,
		// Many values: the request has the tag keys stage and team.
		`{"ForAllValues:StringEquals":{"aws:TagKeys":["stage","team","cost"]}}`: true,
		`{"ForAllValues:StringEquals":{"aws:TagKeys":["stage"]}}`:               false,
		`{"ForAnyValue:StringEquals":{"aws:TagKeys":["stage"]}}`:                true,
		`{"ForAnyValue:StringLike":{"aws:TagKeys":["cost*"]}}`:                  false,
		`{"ForAllValues:StringNotEquals":{"aws:TagKeys":["cost"]}}`:             true,
		`{"ForAllValues:StringNotEquals":{"aws:TagKeys":["team"]}}`:             false,
		`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["team"]}}`:              true,
		`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["team","stage"]}}`:      false,
		`{"ForAnyValue:StringEquals":{"bedrock-agentcore:userid":"alice"}}`:     true, // one value is a set of one
		// Numbers, dates, addresses, truth.
		`{"NumericEquals":{"aws:EpochTime":"1795339800"}}`:                                                                              true,
		`{"NumericEquals":{"aws:EpochTime":1795339800.0}}`:                                                                              true,
		`{"NumericNotEquals":{"aws:EpochTime":"1795339800"}}`:                                                                           false,
		`{"NumericLessThan":{"aws:EpochTime":"1795339800"}}`:                                                                            false,
		`{"NumericLessThanEquals":{"aws:EpochTime":"1795339800"}}`:                                                                      true,
		`{"NumericGreaterThan":{"aws:EpochTime":"1795339799.5"}}`:                                                                       true,
		`{"NumericGreaterThanEquals":{"aws:EpochTime":"1795339801"}}`:                                                                   false,
		`{"NumericEquals":{"bedrock-agentcore:userid":"1"}}`:                                                                            false, // what is no number equals none
		`{"DateGreaterThan":{"aws:CurrentTime":"2026-11-22T09:29:59Z"},"DateLessThan":{"aws:CurrentTime":"2026-11-22T11:30:01+02:00"}}`: true,
		`{"DateEquals":{"aws:CurrentTime":"2026-11-22T09:30Z"}}`:                                                                        true,
		`{"DateNotEquals":{"aws:CurrentTime":"2026-11-22T09:30:00.000Z"}}`:                                                              false,
		`{"DateLessThan":{"aws:CurrentTime":"2026-11-22"}}`:                                                                             false,
		`{"DateLessThanEquals":{"aws:CurrentTime":"1795339800"}}`:                                                                       true,
		`{"DateGreaterThanEquals":{"aws:EpochTime":"2026-11-22T09:30:00Z"}}`:                                                            true,
		`{"DateLessThan":{"aws:TokenIssueTime":"2026-11-22T08:00:01Z"}}`:                                                                true,
		`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`:                                                                               true,
		`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.7"]}}`:                                                                   true,
		`{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.7"]}}`:                                                                false,
		`{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`:                                                                                false,
		`{"Bool":{"aws:SecureTransport":"TRUE"}}`:                                                                                       true,
		`{"Bool":{"aws:SecureTransport":false}}`:                                                                                        false,
		// ARNs: parts are compared one by one.
		`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/agents"}}`:                  true,
		`{"ArnLike":{"aws:PrincipalArn":"arn:*:iam::*:role/*"}}`:                                      true,
		`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::1234567890??:role/a*"}}`:                      true,
		`{"ArnLike":{"aws:PrincipalArn":"arn:aws:*::123456789012:agents"}}`:                           false,
		`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*:role/agents:x"}}`:                              false,
		`{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}`:                                 true,
		`{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}`:                               false,
		`{"StringEquals":{"aws:PrincipalArn":"arn:aws:sts::123456789012:assumed-role/agents/run-7"}}`: false,
		// Variables.
		`{"StringEquals":{"bedrock-agentcore:userid":"${aws:SourceIdentity}"}}`:        true,
		`{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}`:         true,
		`{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/none, 'blue'}"}}`: true,
		`{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/none}"}}`:         false,
		`{"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/none}"}}`:      false, // an Allow never rests on a variable without value
		`{"StringLike":{"bedrock-agentcore:userid":"${aws:PrincipalTag/Wild}"}}`:       false, // a value's * is no wildcard
		`{"StringLike":{"aws:PrincipalTag/Wild":"${aws:PrincipalTag/Wild}"}}`:          true,
		`{"StringLike":{"aws:PrincipalTag/Wild":"a${*}"}}`:                             true,
		`{"StringEquals":{"aws:PrincipalTag/Wild":"a${*}"}}`:                           true,
		`{"StringLike":{"bedrock-agentcore:userid":"a${*}"}}`:                          false,
		`{"StringEquals":{"bedrock-agentcore:userid":"a${?}${$}{x}"}}`:                 false,
		// Every other key.
		`{"StringEquals":{"aws:PrincipalType":"AssumedRole","aws:PrincipalAccount":"123456789012","aws:userid":"AROAEXAMPLE:run-7"}}`:                                                               true,
		`{"StringEquals":{"aws:RequestedRegion":"us-east-1","aws:SourceIdentity":"alice","aws:FederatedProvider":"https://issuer.example"}}`:                                                        true,
		`{"StringEquals":{"aws:RequestTag/stage":"prod","bedrock-agentcore:ResourceTag/team":"blue","aws:ResourceAccount":"123456789012"}}`:                                                         true,
		`{"StringEquals":{"bedrock-agentcore:InboundJwtClaim/iss":"https://idp.example","bedrock-agentcore:InboundJwtClaim/sub":"sub-1","bedrock-agentcore:InboundJwtClaim/client_id":"client-1"}}`: true,
		`{"ForAnyValue:StringEquals":{"bedrock-agentcore:InboundJwtClaim/aud":"web"},"ForAllValues:StringEquals":{"bedrock-agentcore:InboundJwtClaim/scope":["read","write"]}}`:                     true,
		`{"ForAllValues:StringEquals":{"bedrock-agentcore:InboundJwtClaim/scope":["read"]}}`:                                                                                                        false,
	} {
		c, r := world()
		for _, effect := range []string{"Allow", "Deny"} {
			want := want
			if effect == "Deny" && condition == `{"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/none}"}}` {
				want = true // what has no value equals nothing
			}
			if got := holds(t, c, r, effect, "*", condition); got != want {
				t.Errorf("%s %s: %v", effect, condition, got)
			}
		}
	}
}

func TestVariablesInResources(t *testing.T) {
	c, r := world()
	c.Tags["provider"] = "github"
	for resource, want := range map[string]bool{
		vaultARN + "/oauth2credentialprovider/${aws:PrincipalTag/provider}":           true,
		vaultARN + "/oauth2credentialprovider/${aws:PrincipalTag/none}":               false,
		vaultARN + "/oauth2credentialprovider/${aws:PrincipalTag/none, 'github'}":     true,
		vaultARN + "/oauth2credentialprovider/${aws:PrincipalTag/wild}":               false,
		"arn:aws:bedrock-agentcore:*:${aws:PrincipalAccount}:token-vault/default/*":   true,
		"arn:aws:bedrock-agentcore:*:${aws:PrincipalAccount}:token-vault/default${*}": false,
	} {
		c.Tags["wild"] = "*"
		if got := holds(t, c, r, "Allow", resource, `{}`); got != want {
			t.Errorf("%s: %v", resource, got)
		}
	}
	c.Policies = policies(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","NotResource":"arn:${aws:PrincipalTag/none}"}}`)
	if Evaluate(c, r).Allowed {
		t.Error("an allowing NotResource rests on a variable without value")
	}
}

// A user has what a role session lacks, and the other way round.
func TestKeysOfAUser(t *testing.T) {
	c := &Caller{Account: "123456789012", ARN: User("123456789012", "alice"), Name: "alice", UserID: "AIDAEXAMPLE", SourceIP: netip.MustParseAddr("::ffff:10.1.2.3")}
	_, r := world()
	for condition, want := range map[string]bool{
		`{"StringEquals":{"aws:username":"alice","aws:userid":"AIDAEXAMPLE","aws:PrincipalType":"User","aws:PrincipalArn":"arn:aws:iam::123456789012:user/alice"}}`: true,
		`{"Null":{"aws:TokenIssueTime":"true","aws:SourceIdentity":"true","aws:FederatedProvider":"true","aws:PrincipalTag/team":"true"}}`:                          true,
		`{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`:          true,
		`{"Bool":{"aws:SecureTransport":"false"}}`:             true,
		`{"DateLessThan":{"aws:TokenIssueTime":"2030-01-01"}}`: false,
	} {
		if got := holds(t, c, r, "Allow", "*", condition); got != want {
			t.Errorf("%s: %v", condition, got)
		}
	}
}

func TestTagNamesHaveNoCaseButTheirOwnIsPreferred(t *testing.T) {
	for name, want := range map[string]string{"team": "3", "Team": "2", "TEAM": "1", "tEAM": "1", "other": ""} {
		if got, _, ok := tag(map[string]string{"team": "3", "Team": "2", "TEAM": "1"}, name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

// Tags of resources are read when a statement that could decide asks, once for each resource, and a failure to read them denies.
func TestResourceTagsAreReadWhenAskedFor(t *testing.T) {
	const onTeam = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"bedrock-agentcore:Get*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue","bedrock-agentcore:ResourceTag/stage":"prod"}}}}`
	var read []string
	tags := map[string]map[string]string{githubARN: {"team": "blue", "stage": "prod"}, vaultARN: {"team": "red"}}
	r := &Request{Action: "bedrock-agentcore:GetResourceOauth2Token", Resources: []string{githubARN, vaultARN}, ResourceTags: func(arn string) (map[string]string, error) {
		read = append(read, arn)
		return tags[arn], nil
	}}
	c := &Caller{Policies: policies(t, onTeam)}
	if d := Evaluate(c, r); d.Allowed || d.Resource != vaultARN || len(read) != 2 {
		t.Errorf("got %+v after reading %q", d, read)
	}
	tags[vaultARN] = tags[githubARN]
	if d := Evaluate(c, r); !d.Allowed {
		t.Errorf("got %+v", d)
	}
	read = nil
	r.Action = "bedrock-agentcore:CreateWorkloadIdentity"
	c.Policies = policies(t, AllowAll, onTeam)
	if d := Evaluate(c, r); !d.Allowed || read != nil {
		t.Errorf("got %+v after reading %q", d, read)
	}
	r.Action, r.ResourceTags = "bedrock-agentcore:GetResourceOauth2Token", func(string) (map[string]string, error) { return nil, errors.New("no database") }
	c.Policies = append(policies(t, AllowAll), mustParse(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}}}`))
	if d := Evaluate(c, r); d.Allowed || d.Err == nil {
		t.Errorf("tags that could not be read: %+v", d)
	}
}

func TestPlainEvaluationDoesNotAllocate(t *testing.T) {
	c, r := world()
	c.Policies = policies(t, `{"Version":"2012-10-17","Statement":[{"Sid":"No","Effect":"Deny","Action":"bedrock-agentcore:Delete*","Resource":"*"},{"Effect":"Allow","Action":"bedrock-agentcore:Get*","Resource":["`+vaultARN+`/*"],"Condition":{"StringLike":{"bedrock-agentcore:userid":"a*"}}}]}`)
	if n := testing.AllocsPerRun(100, func() {
		if !Evaluate(c, r).Allowed {
			t.Fatal("denied")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	c, r := world()
	c.Policies = []*Policy{mustParse(AllowAll)}
	b.ReportAllocs()
	for b.Loop() {
		Evaluate(c, r)
	}
}
