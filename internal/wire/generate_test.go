package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fault"
)

// canary stands in every value of a sensitive member that these tests send; no message may hold it.
const canary = "hunter2.canary"

// examples match the pattern of their name, counterexamples do not.
var examples = map[string]struct{ match, mismatch string }{
	"workloadName":                    {"my_Agent-1.0", "my agent"},
	"credentialProviderName":          {"my_Idp-1", "my.idp"},
	"tokenVaultId":                    {"default_1-A", "a/b"},
	"returnUrl":                       {"com.example.app:/done", "/done"},
	"requestUri":                      {"urn:ietf:params:oauth:request_uri:Ab0-._~", "urn:ietf:params:oauth:request_uri:a:b"},
	"userToken":                       {canary + ".sig-_=", canary + " "},
	"customParameterName":             {"login_hint.v-2", "login hint"},
	"host":                            {"github.my-company.example:8443", "a/b"},
	"tag":                             {"Team A_.:/=+@-", "a#b"},
	"discoveryUrl":                    {"https://idp.example/.well-known/oauth-authorization-server", "https://idp.example/.well-known/jwks.json"},
	"tokenEndpointAuthMethod":         {"client_secret_post", "private_key_jwt"},
	"claimName":                       {"x5t#S256", "a b"},
	"kmsKeyId":                        {"01234567-89ab-cdef-0123-456789abcdef", "arn:aws:kms:us-east-1:123456789012:alias/a"},
	"kmsKeyArn":                       {"arn:aws-cn:kms:cn-north-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef", "arn:aws:kms:us-east-1:123456789012:alias/a"},
	"secretArn":                       {"arn:aws:secretsmanager:us-east-1:123456789012:secret:bedrock-agentcore-identity!default/oauth2/idp-AbCdEf", "arn:aws:s3:::a"},
	"oauth2CredentialProviderArn":     {"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/oauth2credentialprovider/my_idp", "arn:aws:s3:::a"},
	"apiKeyCredentialProviderArn":     {"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/apikeycredentialprovider/my_key", "arn:aws:s3:::a"},
	"paymentCredentialProviderArn":    {"arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/paymentcredentialprovider/my_wallet", "arn:aws:s3:::a"},
	"paymentId":                       {"01234567-89ab_C", "organizations/a"},
	"paymentSecret":                   {"hunter2+canary/=-_\n", canary},
	"authorizationPrivateKey":         {"wallet-auth:hunter2+canary/=", "wallet-api:" + canary},
	"requestHost":                     {"api.cdp.coinbase.com", "api.privy.io:443"},
	"requestPath":                     {"/platform/v2/evm/accounts?page=1&x=%20~", "/a#b"},
	"requestBody":                     {"{\"hunter2\":\t\"canary\"}", "{\"a\":\"" + canary + "é\"}"},
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
func (t *text) valid() string {
	switch {
	case t.values != nil:
		return t.values[0]
	case t.pattern != nil:
		return examples[t.pattern.name()].match
	case t.sensitive:
		return canary
	}
	return strings.Repeat("v", max(t.length.min, 1))
}

func (p *pattern) name() string {
	for name, other := range patterns {
		if other == p {
			return name
		}
	}
	panic("no such pattern")
}

// valid is a value that keeps all constraints.
func (m *member) valid() any {
	switch m.kind {
	case kindText:
		return m.text.valid()
	case kindBoolean:
		return true
	case kindInteger:
		return m.size.min
	case kindTime:
		return 1700000000.123
	case kindTexts:
		return slices.Repeat([]any{m.text.valid()}, max(m.size.min, 1))
	case kindMap:
		return map[string]any{m.key.valid(): m.text.valid()}
	case kindStructure:
		return smallest(m.plan)
	}
	return slices.Repeat([]any{smallest(m.plan)}, max(m.size.min, 1))
}

// smallest is the smallest valid instance of p.
func smallest(p *plan) map[string]any {
	instance := map[string]any{}
	for i := range p.members {
		if m := &p.members[i]; m.required || p.union && i == 0 {
			instance[m.name] = m.valid()
		}
	}
	return instance
}

// A breach is a value that breaks one constraint, and what the message then says.
type breach struct {
	constraint string
	value      any
	message    string
}

func (t *text) breaches() []breach {
	var all []breach
	if t.length.min > 0 {
		all = append(all, breach{"min length", strings.Repeat("é", t.length.min-1), ""}) // a length is in characters: é has two bytes
	}
	if n := t.length.max; n != math.MaxInt {
		all = append(all, breach{"max length", canary + strings.Repeat("é", n+1-len(canary)), fmt.Sprintf("%s characters; ", t.length)})
	}
	if t.values != nil {
		all = append(all, breach{"enum", "NO_SUCH_VALUE", "must be one of " + strings.Join(t.values, ", ") + `; it is "NO_SUCH_VALUE"`})
	}
	if t.pattern != nil {
		all = append(all, breach{"pattern", examples[t.pattern.name()].mismatch, "must match " + t.pattern.source + "; "})
	}
	return all
}

// typeBreaches are values of all JSON types but want.
func typeBreaches(want string) []breach {
	var all []breach
	for got, value := range map[string]any{
		"a string": canary, "a number": 42, "a boolean": true, "a list": []any{canary}, "an object": map[string]any{canary: canary},
	} {
		if got != want {
			all = append(all, breach{"JSON type", value, "must be " + want + ", not " + got})
		}
	}
	return all
}

func (m *member) breaches() []breach {
	var all []breach
	if m.inBody() {
		all = typeBreaches(jsonTypes[m.kind])
	}
	if m.required {
		all = append(all, breach{"required", nil, "is required"})
	}
	switch m.kind {
	case kindText:
		all = append(all, m.text.breaches()...)
	case kindInteger:
		for _, v := range []any{m.size.min - 1, m.size.max + 1} {
			all = append(all, breach{"range", v, fmt.Sprintf("must be %s; it is %d", m.size, v)})
		}
		for _, v := range []any{1.5, json.Number("1e0"), 1 << 40} {
			all = append(all, breach{"integer", v, "must be a whole number of 32 bits; it is "})
		}
	case kindStructure:
		if m.plan.union {
			all = append(all, unionBreaches(m.plan)...)
		}
	case kindTexts, kindMap, kindStructures:
		if m.size.min > 0 {
			all = append(all, breach{"items", m.ofSize(m.size.min - 1), fmt.Sprintf("must have %s items; it has %d", m.size, m.size.min-1)})
		}
		if m.size.max < math.MaxInt {
			all = append(all, breach{"items", m.ofSize(m.size.max + 1), fmt.Sprintf("must have %s items; it has %d", m.size, m.size.max+1)})
		}
	}
	return all
}

// ofSize is a list or map of n valid items.
func (m *member) ofSize(n int) any {
	switch m.kind {
	case kindTexts:
		return slices.Repeat([]any{m.text.valid()}, n)
	case kindStructures:
		return slices.Repeat([]any{smallest(m.plan)}, n)
	}
	entries := map[string]any{}
	for i := range n {
		entries[m.key.valid()+strconv.Itoa(i)] = m.text.valid()
	}
	return entries
}

func unionBreaches(p *plan) []breach {
	none := breach{"union", map[string]any{"noSuchMember": 1}, "it has none"}
	if len(p.members) == 1 {
		return []breach{none}
	}
	a, b := &p.members[0], &p.members[len(p.members)-1]
	two := breach{"union", map[string]any{a.name: a.valid(), b.name: b.valid()}, "it has " + a.name + " and " + b.name}
	return []breach{none, two}
}

// A site is one place in an input where a value goes. fill makes the smallest valid body with a value there.
type site struct {
	path      string
	fill      func(value any) any
	valid     any
	breaches  []breach
	sensitive bool // what goes there must be in no message
}

// sites are all sites of p and of what it holds.
func sites(p *plan, path string, fill func(any) any) (all []site) {
	for i := range p.members {
		m, at := &p.members[i], path+p.members[i].name
		set := func(value any) any {
			instance := map[string]any{}
			if !p.union {
				instance = smallest(p)
			}
			instance[m.name] = value
			return fill(instance)
		}
		all = append(all, site{at, set, m.valid(), m.breaches(), m.kind == kindText && m.text.sensitive})

		null := breach{"JSON type", nil, ", not null"} // null is absent as a member, but no element
		switch m.kind {
		case kindTexts:
			second := func(value any) any { return set([]any{m.text.valid(), value}) }
			breaches := m.text.breaches()
			if m.inBody() {
				breaches = slices.Concat(breaches, typeBreaches("a string"), []breach{null})
			}
			all = append(all, site{at + "[1]", second, m.text.valid(), breaches, m.text.sensitive})
		case kindMap:
			key := m.key.valid()
			value := func(value any) any { return set(map[string]any{key: value}) }
			all = append(all, site{at + entry(key), value, m.text.valid(), slices.Concat(typeBreaches("a string"), []breach{null}, m.text.breaches()), m.text.sensitive})
			for _, b := range m.key.breaches() {
				keyed := func(key any) any { return set(map[string]any{key.(string): m.text.valid()}) }
				all = append(all, site{at + entry(b.value.(string)), keyed, key, []breach{b}, false})
			}
		case kindStructure:
			all = append(all, sites(m.plan, at+".", set)...)
		case kindStructures:
			all = append(all, site{at + "[0]", func(value any) any { return set([]any{value}) }, smallest(m.plan), append(typeBreaches("an object"), null), false})
			all = append(all, sites(m.plan, at+"[0].", func(value any) any { return set([]any{value}) })...)
		}
	}
	return all
}

func inputSites(in any) []site {
	return sites(planOf(reflect.TypeOf(in)), "", func(value any) any { return value })
}

// Every single breach of a constraint, at every place of every input, is refused with the path of that place, and no message holds the
// value of a sensitive member.
func TestEveryBreachIsNamed(t *testing.T) {
	for _, op := range allOperations() {
		t.Run(op.name, func(t *testing.T) {
			if err := decodeInstance(t, smallest(planOf(reflect.TypeOf(op.in))), nil, newOf(op.in)); err != nil {
				t.Fatalf("the smallest valid input is refused: %v", err)
			}
			for _, s := range inputSites(op.in) {
				if err := decodeInstance(t, s.fill(s.valid), nil, newOf(op.in)); err != nil {
					t.Errorf("%s: a valid value is refused: %v", s.path, err)
				}
				for _, b := range s.breaches {
					instance := s.fill(b.value)
					f := wantFault(t, decodeInstance(t, instance, nil, newOf(op.in)), fault.FieldValidationFailed)
					if len(f.Fields) != 1 || f.Fields[0].Name != s.path || !strings.Contains(f.Fields[0].Message, b.message) {
						t.Errorf("%s, %s: want only %q with %q, got %q\nrequest: %.500s", op.name, b.constraint, s.path, b.message, f.Fields, marshal(t, instance))
					}
				}
			}
		})
	}
}

// The value of a sensitive member is in no message, whatever is wrong with it or next to it.
func TestSensitiveValuesAreInNoMessage(t *testing.T) {
	sensitive := map[string]int{}
	for _, op := range allOperations() {
		for _, s := range inputSites(op.in) {
			if !s.sensitive {
				continue
			}
			sensitive[op.name]++
			for _, b := range append(s.breaches, breach{"a key", map[string]any{canary: 1}, ""}) {
				instance := s.fill(b.value).(map[string]any)
				for _, name := range []string{"name", "workloadName", "scopes", "sessionUri"} {
					instance[name] = 5 // something else is wrong, too
				}
				err := decodeInstance(t, instance, http.Header{"X-Credence-Confirm": {"?"}}, newOf(op.in))
				f := wantFault(t, err, fault.FieldValidationFailed)
				if said := fmt.Sprint(f.Msg, f.Fields, f.Err, err); strings.Contains(said, "hunter2") || strings.Contains(said, "canary") {
					t.Errorf("%s: %s: the value is in the message: %s", op.name, s.path, said)
				}
			}
		}
	}
	want := map[string]int{
		"CreateOauth2CredentialProvider": 11, "UpdateOauth2CredentialProvider": 11, // nine client secrets, two maps of claims
		"CreateApiKeyCredentialProvider": 1, "UpdateApiKeyCredentialProvider": 1,
		"GetWorkloadAccessTokenForJWT": 1, "CompleteResourceTokenAuth": 1, "GetResourceApiKey": 1,
		"CreatePaymentCredentialProvider": 4, "UpdatePaymentCredentialProvider": 4, // two secrets for each vendor
		"GetResourcePaymentToken": 2, // the workload access token, the body of a request to Privy
		"GetResourceOauth2Token":  3, // the workload access token, the custom state, custom parameters
	}
	if diff := cmp.Diff(want, sensitive); diff != "" {
		t.Errorf("sensitive members (-want +got):\n%s", diff)
	}
}

// decodeInstance sends the members of instance where they come: in the body, the path or the query.
func decodeInstance(t *testing.T, instance any, h http.Header, in any) error {
	t.Helper()
	o := &Outside{h, map[string]string{}, url.Values{}}
	body := maps.Clone(instance.(map[string]any))
	for _, m := range planOf(reflect.TypeOf(in).Elem()).members {
		if m.inBody() {
			continue
		}
		if label, ok := body[m.name].(string); ok && m.label != "" {
			o.Labels[m.label] = label
		}
		if values, ok := body[m.name].([]any); ok && m.query != "" {
			o.Query[m.query] = []string{}
			for _, v := range values {
				o.Query.Add(m.query, v.(string))
			}
		}
		body[m.name] = 5 // is ignored
	}
	return Decode(marshal(t, body), o, in)
}

func wantFault(t *testing.T, err error, reason fault.Reason) *fault.Fault {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Validation || f.Reason != reason {
		t.Fatalf("want a validation fault with reason %s, got %v", reason, err)
	}
	return f
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
