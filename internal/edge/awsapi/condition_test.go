package awsapi_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/server"
	"credence/internal/testenv"
)

// Every condition key that a user's request fills, through the door, with the AWS SDK: under the condition the request succeeds, and under its opposite it is
// denied. Keys of role sessions are told apart where they are absent.
func TestConditionKeys(t *testing.T) {
	e := testenv.Start(t)
	p := e.NewUser(testenv.Account, "conditional", "")
	ctx := t.Context()
	e.Admin.CreateWorkload("agent")
	e.Admin.CreateProvider("vendor")
	if _, err := e.Admin.Control().CreateApiKeyCredentialProvider(ctx, &bedrockagentcorecontrol.CreateApiKeyCredentialProviderInput{Name: aws.String("keys"), ApiKey: aws.String("planted-api-key-value")}); err != nil {
		t.Fatal(err)
	}
	const directory = "arn:aws:bedrock-agentcore:us-east-1:" + testenv.Account + ":workload-identity-directory/default"
	tag := func(p testenv.Principal, arn string, tags map[string]string) error {
		_, err := p.Control().TagResource(ctx, &bedrockagentcorecontrol.TagResourceInput{ResourceArn: &arn, Tags: tags})
		return err
	}
	for _, arn := range []string{directory, directory + "/workload-identity/agent"} {
		if err := tag(e.Admin, arn, map[string]string{"team": "blue"}); err != nil {
			t.Fatal(err)
		}
	}
	get := func() error {
		_, err := p.Control().GetWorkloadIdentity(ctx, &bedrockagentcorecontrol.GetWorkloadIdentityInput{Name: aws.String("agent")})
		return err
	}
	tagBlue := func() error { return tag(p, directory, map[string]string{"team": "blue"}) }
	made := 0
	create := func() error {
		made++
		_, err := p.Control().CreateWorkloadIdentity(ctx, &bedrockagentcorecontrol.CreateWorkloadIdentityInput{Name: aws.String("made-" + string(rune('a'+made))), Tags: map[string]string{"team": "blue"}})
		return err
	}
	createKey := func() error {
		made++
		_, err := p.Control().CreateApiKeyCredentialProvider(ctx, &bedrockagentcorecontrol.CreateApiKeyCredentialProviderInput{
			Name: aws.String("made-" + string(rune('a'+made))), ApiKey: aws.String("planted-api-key-value"), Tags: map[string]string{"team": "blue"},
		})
		return err
	}
	createPayment := func() error {
		made++
		_, err := p.Control().CreatePaymentCredentialProvider(ctx, &bedrockagentcorecontrol.CreatePaymentCredentialProviderInput{
			Name: aws.String("made-" + string(rune('a'+made))), CredentialProviderVendor: types.PaymentCredentialProviderVendorTypeStripePrivy, ProviderConfigurationInput: privyConfig(), Tags: map[string]string{"team": "blue"},
		})
		return err
	}
	createVendor := func() error {
		made++
		_, err := p.Control().CreateOauth2CredentialProvider(ctx, &bedrockagentcorecontrol.CreateOauth2CredentialProviderInput{
			Name: aws.String("made-" + string(rune('a'+made))), CredentialProviderVendor: types.CredentialProviderVendorTypeCustomOauth2, Oauth2ProviderConfigInput: e.CustomConfig(), Tags: map[string]string{"team": "blue"},
		})
		return err
	}
	untag := func() error {
		_, err := p.Control().UntagResource(ctx, &bedrockagentcorecontrol.UntagResourceInput{ResourceArn: aws.String(directory), TagKeys: []string{"stage"}})
		return err
	}
	forUser := func() error {
		_, err := p.Data().GetWorkloadAccessTokenForUserId(ctx, &bedrockagentcore.GetWorkloadAccessTokenForUserIdInput{WorkloadName: aws.String("agent"), UserId: aws.String("alice")})
		return err
	}
	e.Plant("planted-api-key-value", privySecret)
	jwt := e.Vendor.Sign(map[string]any{"sub": "alice", "aud": []string{"app", "other"}, "client_id": "c1", "scope": "read write"})
	e.Plant(jwt)
	forJWT := func() error {
		_, err := p.Data().GetWorkloadAccessTokenForJWT(ctx, &bedrockagentcore.GetWorkloadAccessTokenForJWTInput{WorkloadName: aws.String("agent"), UserToken: &jwt})
		return err
	}
	ofUser := e.Admin.WAT("agent", "alice")
	out, err := e.Admin.Data().GetWorkloadAccessTokenForJWT(ctx, &bedrockagentcore.GetWorkloadAccessTokenForJWTInput{WorkloadName: aws.String("agent"), UserToken: &jwt})
	if err != nil {
		t.Fatal(err)
	}
	ofJWT := out.WorkloadAccessToken
	apiKey := func(wat *string) func() error {
		return func() error {
			_, err := p.Data().GetResourceApiKey(ctx, &bedrockagentcore.GetResourceApiKeyInput{WorkloadIdentityToken: wat, ResourceCredentialProviderName: aws.String("keys")})
			return err
		}
	}
	m2m := func() error {
		_, err := p.Token(ofUser, "vendor", data.Oauth2FlowTypeM2m)
		return err
	}
	completes := func() error {
		out, err := e.Admin.Token(ofUser, "vendor", data.Oauth2FlowTypeUserFederation, func(in *bedrockagentcore.GetResourceOauth2TokenInput) { in.ForceAuthentication = aws.Bool(true) })
		if err != nil {
			t.Fatal(err)
		}
		return p.Complete(testenv.NewBrowser(t).Visit(*out.AuthorizationUrl).Get("session_id"), "alice")
	}

	for _, c := range []struct {
		call         func() error
		holds, fails string
	}{
		{get, `"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/conditional"}`, `"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/*"}`},
		{get, `"StringEquals":{"aws:PrincipalAccount":"123456789012"}`, `"StringEquals":{"aws:PrincipalAccount":"210987654321"}`},
		{get, `"StringEquals":{"aws:PrincipalType":"User"}`, `"StringEquals":{"aws:PrincipalType":"AssumedRole"}`},
		{get, `"StringLike":{"aws:username":"cond*"}`, `"StringNotEquals":{"aws:username":"conditional"}`},
		{get, `"StringEquals":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}`, `"StringNotEquals":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}`},
		{get, `"IpAddress":{"aws:SourceIp":["127.0.0.0/8","::1"]}`, `"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}`},
		{get, `"Bool":{"aws:SecureTransport":"false"}`, `"Bool":{"aws:SecureTransport":"true"}`},
		{get, `"StringEquals":{"aws:RequestedRegion":"us-east-1"}`, `"StringEquals":{"aws:RequestedRegion":"eu-west-1"}`},
		{get, `"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}`, `"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}`},
		{get, `"NumericGreaterThan":{"aws:EpochTime":"1577836800"}`, `"NumericLessThan":{"aws:EpochTime":"1577836800"}`},
		{get, `"Null":{"aws:TokenIssueTime":"true"}`, `"DateGreaterThan":{"aws:TokenIssueTime":"2020-01-01"}`},
		{get, `"Null":{"aws:SourceIdentity":"true"}`, `"StringLike":{"aws:SourceIdentity":"*"}`},
		{get, `"Null":{"aws:FederatedProvider":"true"}`, `"StringLike":{"aws:FederatedProvider":"*"}`},
		{get, `"Null":{"aws:PrincipalTag/team":"true"}`, `"StringLike":{"aws:PrincipalTag/team":"*"}`},
		{get, `"StringEquals":{"aws:ResourceTag/team":"blue"}`, `"StringEquals":{"aws:ResourceTag/team":"red"}`},
		{get, `"StringEquals":{"bedrock-agentcore:ResourceTag/Team":"blue"}`, `"StringNotEquals":{"bedrock-agentcore:ResourceTag/team":"blue"}`},
		{create, `"StringEquals":{"aws:RequestTag/team":"blue"}`, `"StringEquals":{"aws:RequestTag/team":"red"}`},
		{create, `"ForAllValues:StringEquals":{"aws:TagKeys":["team","stage"]}`, `"ForAllValues:StringEquals":{"aws:TagKeys":["stage"]}`},
		{createKey, `"StringEquals":{"aws:RequestTag/team":"blue"}`, `"Null":{"aws:TagKeys":"true"}`},
		{createPayment, `"StringEquals":{"aws:RequestTag/team":"blue"}`, `"Null":{"aws:TagKeys":"true"}`},
		{createVendor, `"StringEquals":{"aws:RequestTag/team":"blue"}`, `"Null":{"aws:TagKeys":"true"}`},
		{tagBlue, `"StringEquals":{"aws:RequestTag/team":"blue"}`, `"ForAnyValue:StringEquals":{"aws:TagKeys":["stage"]}`},
		{untag, `"ForAnyValue:StringEquals":{"aws:TagKeys":["stage"]}`, `"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}`},
		{forUser, `"StringEquals":{"bedrock-agentcore:userid":"alice"}`, `"StringEquals":{"bedrock-agentcore:userid":"bob"}`},
		{apiKey(ofUser), `"StringEquals":{"bedrock-agentcore:userid":"alice"}`, `"StringNotEquals":{"bedrock-agentcore:userid":"alice"}`},
		{m2m, `"StringEquals":{"bedrock-agentcore:userid":"alice"}`, `"StringNotEquals":{"bedrock-agentcore:userid":"alice"}`},
		{completes, `"StringEquals":{"bedrock-agentcore:userid":"alice"}`, `"StringNotEquals":{"bedrock-agentcore:userid":"alice"}`},
		{forJWT, `"StringEquals":{"bedrock-agentcore:InboundJwtClaim/iss":"` + e.Vendor.Issuer() + `"}`, `"StringEquals":{"bedrock-agentcore:InboundJwtClaim/iss":"https://other.example"}`},
		{forJWT, `"StringEquals":{"bedrock-agentcore:InboundJwtClaim/sub":"alice"}`, `"StringNotEquals":{"bedrock-agentcore:InboundJwtClaim/sub":"alice"}`},
		{forJWT, `"StringEquals":{"bedrock-agentcore:InboundJwtClaim/client_id":"c1"}`, `"StringEquals":{"bedrock-agentcore:InboundJwtClaim/client_id":"c2"}`},
		{forJWT, `"ForAnyValue:StringEquals":{"bedrock-agentcore:InboundJwtClaim/aud":"app"}`, `"ForAllValues:StringEquals":{"bedrock-agentcore:InboundJwtClaim/aud":"app"}`},
		{forJWT, `"ForAllValues:StringEquals":{"bedrock-agentcore:InboundJwtClaim/scope":["read","write"]}`, `"ForAnyValue:StringEquals":{"bedrock-agentcore:InboundJwtClaim/scope":"admin"}`},
		{forJWT, `"Null":{"bedrock-agentcore:userid":"true"}`, `"StringLike":{"bedrock-agentcore:userid":"*"}`},
		{apiKey(ofJWT), `"StringEquals":{"bedrock-agentcore:InboundJwtClaim/sub":"alice","bedrock-agentcore:InboundJwtClaim/client_id":"c1"}`, `"Null":{"bedrock-agentcore:InboundJwtClaim/sub":"true"}`},
	} {
		under := func(condition string) error {
			if err := e.Server.Vault.PutUserPolicy(testenv.Account, "conditional", "test", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+condition+`}}}`); err != nil {
				t.Fatal(err)
			}
			return c.call()
		}
		if err := under(c.holds); err != nil {
			t.Errorf("%s: %v", c.holds, err)
		}
		if err := under(c.fails); !strings.Contains(fmt.Sprint(err), "AccessDeniedException: User: arn:aws:iam::123456789012:user/conditional is not authorized to perform: ") {
			t.Errorf("%s: got %v, want AccessDenied", c.fails, err)
		}
	}
}

// TLS that a trusted proxy has taken off counts; what somebody else says about it does not.
func TestSecureTransportBehindAProxy(t *testing.T) {
	for _, c := range []struct {
		trusted bool
		header  string
		want    int
	}{{true, "https", 200}, {true, "http", 403}, {true, "https, http", 403}, {true, "http, HTTPS", 200}, {true, "", 403}, {false, "https", 403}} {
		e := testenv.Start(t, func(cfg *server.Config) {
			if c.trusted {
				cfg.TrustedProxies = append(cfg.TrustedProxies, netip.MustParsePrefix("127.0.0.0/8"))
			}
		})
		e.Admin.CreateWorkload("agent")
		p := e.NewUser(testenv.Account, "tls", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}}`)
		if a := p.Call("/identities/GetWorkloadIdentity", `{"name":"agent"}`, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", c.header) }); a.Status != c.want {
			t.Errorf("%+v: %d %s", c, a.Status, a.Body)
		}
	}
}
