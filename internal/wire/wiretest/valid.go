package wiretest

import (
	"net/url"
	"slices"
	"strings"
)

// Canary stands in every value of a sensitive member that this package makes; no message may hold any half of it.
const Canary = "hunter2.canary"

// Examples are, by the name of a pattern, a text that matches and one that does not.
var Examples = map[string]struct{ Match, Mismatch string }{
	"webhookEventType":                {"grant.revoked", "grant.revoke"},
	"workloadName":                    {"my_Agent-1.0", "my agent"},
	"credentialProviderName":          {"my_Idp-1", "my.idp"},
	"tokenVaultId":                    {"default_1-A", "a/b"},
	"returnUrl":                       {"com.example.app:/done", "/done"},
	"requestUri":                      {"urn:ietf:params:oauth:request_uri:Ab0-._~", "urn:ietf:params:oauth:request_uri:a:b"},
	"userToken":                       {Canary + ".sig-_=", Canary + " "},
	"customParameterName":             {"login_hint.v-2", "login hint"},
	"host":                            {"github.my-company.example:8443", "a/b"},
	"tag":                             {"Team A_.:/=+@-", "a#b"},
	"discoveryUrl":                    {"https://idp.example/.well-known/oauth-authorization-server", "https://idp.example/.well-known/jwks.json"},
	"tokenEndpointAuthMethod":         {"client_secret_post", "private_key_jwt"},
	"principalName":                   {"Build+Bot=1,a.b@c-d_e", "a/b"},
	"accessKeyId":                     {"AKIAIOSFODNN7EXAMPLE", "akiaiosfodnn7example"},
	"trustDomain":                     {"acme.example", "Acme.example"},
	"claimName":                       {"x5t#S256", "a b"},
	"kmsKeyId":                        {"01234567-89ab-cdef-0123-456789abcdef", "arn:aws:kms:us-east-1:123456789012:alias/a"},
	"kmsKeyArn":                       {"arn:aws-cn:kms:cn-north-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef", "arn:aws:kms:us-east-1:123456789012:alias/a"},
	"sha256":                          {strings.Repeat("0f", 32), strings.Repeat("0F", 32)},
	"secretArn":                       {"arn:aws:secretsmanager:us-east-1:123456789012:secret:bedrock-agentcore-identity!default/oauth2/idp-AbCdEf", "arn:aws:s3:::a"},
	"oauth2CredentialProviderArn":     {"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/oauth2credentialprovider/my_idp", "arn:aws:s3:::a"},
	"apiKeyCredentialProviderArn":     {"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/apikeycredentialprovider/my_key", "arn:aws:s3:::a"},
	"paymentCredentialProviderArn":    {"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/paymentcredentialprovider/my_wallet", "arn:aws:s3:::a"},
	"paymentId":                       {"01234567-89ab_C", "organizations/a"},
	"paymentSecret":                   {"hunter2+canary/=-_\n", Canary},
	"authorizationPrivateKey":         {"wallet-auth:hunter2+canary/=", "wallet-api:" + Canary},
	"httpMethod":                      {"GET", "GET /"},
	"dpopNonce":                       {"eyJ7S_zG.eyJH0-Z", `a "nonce"`},
	"requestHost":                     {"api.cdp.coinbase.com", "api.privy.io:443"},
	"requestPath":                     {"/platform/v2/evm/accounts?page=1&x=%20~", "/a#b"},
	"requestBody":                     {"{\"hunter2\":\t\"canary\"}", "{\"a\":\"" + Canary + "é\"}"},
	"taggableArn":                     {"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/oauth2credentialprovider/my_idp", "arn:aws:s3:::a-bucket-with/a"},
	"consentPortalName":               {"my_Portal-1", "my.portal"},
	"consentPortalIdentifier":         {"arn:aws:bedrock-agentcore:us-east-1:123456789012:consent-portal/my_Portal-1-abcdefghij", "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/a"},
	"consentPortalSource":             {"arn:aws:bedrock-agentcore:us-east-1:123456789012:workload-identity-directory/default/workload-identity/my_Agent-1.0", "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default"},
	"roleArn":                         {"arn:aws-us-gov:iam::123456789012:role/path/name", "arn:aws:iam::123456789012:user/name"},
	"resourceConfigurationIdentifier": {"rcfg-0123456789abcdefg", "rcfg-0123456789abcdef+"},
	"vpcId":                           {"vpc-0123abcd", "vpc-0123"},
	"subnetId":                        {"subnet-0123ABCD9", "subnet-0123"},
	"securityGroupId":                 {"sg-0123456789abcdefg", "sg-0123ABCD"},
}

// valid is a text that keeps all constraints.
func (t *Text) valid() string {
	switch {
	case t.Values != nil:
		return t.Values[0]
	case t.Pattern != "":
		return Examples[t.Pattern].Match
	case t.Sensitive:
		return Canary
	}
	return strings.Repeat("v", max(t.Length.Min, 1))
}

// valid is a value that keeps all constraints.
func (m *Member) valid() any {
	switch m.Kind {
	case String:
		return m.Text.valid()
	case Boolean:
		return true
	case Integer, Long:
		return m.Size.Min
	case Time:
		return 1700000000.123
	case Strings:
		return slices.Repeat([]any{m.Text.valid()}, max(m.Size.Min, 1))
	case Map:
		return map[string]any{m.Key.valid(): m.Text.valid()}
	case Structure:
		return m.Shape.Smallest()
	}
	return slices.Repeat([]any{m.Shape.Smallest()}, max(m.Size.Min, 1))
}

// Smallest is the smallest instance that keeps all constraints, as encoding/json would read it.
func (s *Shape) Smallest() map[string]any {
	instance := map[string]any{}
	for i := range s.Members {
		if m := &s.Members[i]; m.Required || s.Union && i == 0 {
			instance[m.Name] = m.valid()
		}
	}
	return instance
}

// Split puts the members of an instance where a request carries them: in the body, in the labels of the path, in the query. Labels and query take texts alone.
func (s *Shape) Split(instance map[string]any) (body map[string]any, labels map[string]string, query url.Values) {
	body, labels, query = map[string]any{}, map[string]string{}, url.Values{}
	outside := map[string]*Member{}
	for i := range s.Members {
		if m := &s.Members[i]; !m.InBody() {
			outside[m.Name] = m
		}
	}
	for name, value := range instance {
		m := outside[name]
		switch {
		case m == nil:
			body[name] = value
		case m.Label != "" && value != nil:
			labels[m.Label] = value.(string)
		case m.Query != "" && value != nil:
			query[m.Query] = []string{}
			for _, text := range value.([]any) {
				query.Add(m.Query, text.(string))
			}
		}
	}
	return body, labels, query
}
