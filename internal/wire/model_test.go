package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apiModel is the published model of the API as data.
type apiModel map[string]struct {
	Operations map[string]struct{ Input, Output string }
	Shapes     map[string]apiShape
}

type apiShape struct {
	Type       string
	Min, Max   *int
	Pattern    string
	Enum       []string
	Sensitive  bool
	Union      bool
	Required   []string
	Members    map[string]apiRef
	Member     apiRef // of a list
	Key, Value apiRef // of a map
}

// javaEscape is how the model writes a character; Go has \x for it.
var javaEscape = regexp.MustCompile(`\\u00([0-9A-F]{2})`)

type apiRef struct{ Shape, Location, LocationName string }

// differences are the constraints in which we depart from the model on purpose.
var differences = map[string]struct{ model, ours string }{
	// The model still has the service name from before the launch, and forgets that the names of providers may have a _.
	"CredentialProviderArnType": {
		`pattern=arn:(aws|aws-us-gov):acps:[A-Za-z0-9-]{1,64}:[0-9]{12}:token-vault/[a-zA-Z0-9-.]+/oauth2credentialprovider/[a-zA-Z0-9-.]+`,
		`pattern=arn:(aws|aws-us-gov):bedrock-agentcore:[A-Za-z0-9-]{1,64}:[0-9]{12}:token-vault/[a-zA-Z0-9-._]+/oauth2credentialprovider/[a-zA-Z0-9-._]+`,
	},
	"ApiKeyCredentialProviderArnType": {
		`pattern=arn:(aws|aws-us-gov):acps:[A-Za-z0-9-]{1,64}:[0-9]{12}:token-vault/[a-zA-Z0-9-.]+/apikeycredentialprovider/[a-zA-Z0-9-.]+`,
		`pattern=arn:(aws|aws-us-gov):bedrock-agentcore:[A-Za-z0-9-]{1,64}:[0-9]{12}:token-vault/[a-zA-Z0-9-._]+/apikeycredentialprovider/[a-zA-Z0-9-._]+`,
	},
	"PaymentCredentialProviderArnType": {
		`pattern=arn:(aws|aws-us-gov):acps:[A-Za-z0-9-]{1,64}:[0-9]{12}:token-vault/[a-zA-Z0-9-.]+/paymentcredentialprovider/[a-zA-Z0-9-.]+`,
		`pattern=arn:(aws|aws-us-gov):bedrock-agentcore:[A-Za-z0-9-]{1,64}:[0-9]{12}:token-vault/[a-zA-Z0-9-._]+/paymentcredentialprovider/[a-zA-Z0-9-._]+`,
	},
	// The schemes of native apps have dots (RFC 8252 section 7.1); a scheme may have + and -, too (RFC 3986 section 3.1).
	"ResourceOauth2ReturnUrlType": {
		`len=1..2048 pattern=\w+:(\/?\/?)[^\s]+`,
		`len=1..2048 pattern=[\w.+-]+:(\/?\/?)[^\s]+`,
	},
	// The model's segments have no digits, but the ARNs of OAuth2 providers have.
	"TaggableResourcesArn": {
		`len=20..1011 pattern=arn:(?:[^:]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:([a-z-]+/[^/]+)(?:/[a-z-]+/[^/]+)*`,
		`len=20..1011 pattern=arn:[^:]*:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:([a-z0-9-]+/[^/]+)(/[a-z0-9-]+/[^/]+)*`,
	},
	// The model sets no limit to these lists and maps.
	"ResourceOauth2ReturnUrlListType": {"", "items=..100"},
	"ScopesListType":                  {"", "items=..100"},
	"ResourcesListType":               {"", "items=..20"},
	"AudiencesListType":               {"", "items=..20"},
	"CustomRequestParametersType":     {"", "items=..50"},
	"AllowedScopesType":               {"", "items=..100"},
	"ConsentPortalSources":            {"", "items=1..1"},
	// It says nothing about the members of consent portals either; these are by type and member, since their shapes are shared.
	"CreateConsentPortalInput.name":                    {"", "len=1..50 pattern=[a-zA-Z0-9_-]+"},
	"CreateConsentPortalInput.description":             {"", "len=..4096"},
	"CreateConsentPortalInput.executionRoleArn":        {"", `len=1..2048 pattern=arn:aws[a-z-]*:iam::[0-9]{12}:role/[^\s]+`},
	"UpdateConsentPortalInput.description":             {"", "len=..4096"},
	"UpdateConsentPortalInput.executionRoleArn":        {"", `len=1..2048 pattern=arn:aws[a-z-]*:iam::[0-9]{12}:role/[^\s]+`},
	"ConsentPortalIdpConfig.credentialProviderArn":     {"", "pattern=" + providerArn("oauth2credentialprovider")},
	"ConsentPortalIdpConfig.scopes[]":                  {"", "len=1..128"},
	"ConsentPortalIdpConfig.audience":                  {"", "len=1..2048"},
	"ConsentPortalSource.identifier":                   {"", "len=1..2048 pattern=" + patterns["consentPortalSource"].source},
	"GetConsentPortalInput.consentPortalIdentifier":    {"", "len=1..2048 pattern=" + patterns["consentPortalIdentifier"].source},
	"UpdateConsentPortalInput.consentPortalIdentifier": {"", "len=1..2048 pattern=" + patterns["consentPortalIdentifier"].source},
	"DeleteConsentPortalInput.consentPortalIdentifier": {"", "len=1..2048 pattern=" + patterns["consentPortalIdentifier"].source},
	"ListConsentPortalsInput.maxResults":               {"", "range=1..100"},
}

// Every constraint of every member is that of the model. CREDENCE_API_MODEL names the file of the model.
func TestConstraintsAreThoseOfTheModel(t *testing.T) {
	path, ok := os.LookupEnv("CREDENCE_API_MODEL")
	if !ok {
		t.Log("CREDENCE_API_MODEL is not set: the comparison with the model is left out")
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var model apiModel
	if err := json.Unmarshal(data, &model); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	used := map[string]bool{}
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			found := false
			for _, api := range model {
				if o, ok := api.Operations[op.name]; ok {
					found = true
					c := modelComparison{t, api.Shapes, used}
					c.structure("input", reflect.TypeOf(op.in), api.Shapes[o.Input])
					c.structure("output", reflect.TypeOf(op.out), api.Shapes[o.Output])
				}
			}
			if !found {
				t.Error("the model has no such operation")
			}
		})
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(differences)), slices.Sorted(maps.Keys(used))); diff != "" {
		t.Errorf("not all deliberate differences exist (-listed +found):\n%s", diff)
	}
}

type modelComparison struct {
	*testing.T
	shapes map[string]apiShape
	used   map[string]bool
}

func (c *modelComparison) structure(path string, ours reflect.Type, theirs apiShape) {
	members := membersOfModel(ours)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(theirs.Members)), slices.Sorted(maps.Keys(members))); diff != "" {
		c.Errorf("%s: the members of %s differ (-model +ours):\n%s", path, ours, diff)
		return
	}
	if got := planOf(ours).union; got != theirs.Union {
		c.Errorf("%s: is a union: %t, in the model %t", path, got, theirs.Union)
	}
	for name, m := range members {
		path, shape, own := path+"."+name, theirs.Members[name].Shape, ours.Name()+"."+name
		if want := slices.Contains(theirs.Required, name); m.required != want {
			c.Errorf("%s: is required: %t, in the model %t", path, m.required, want)
		}
		uri, query := "", ""
		switch theirs.Members[name].Location {
		case "":
		case "uri":
			uri = theirs.Members[name].LocationName
		case "querystring":
			query = theirs.Members[name].LocationName
		}
		if m.label != uri || m.query != query {
			c.Errorf("%s: it comes in the label %q and the query %q, in the model in %+v", path, m.label, m.query, theirs.Members[name])
		}
		s := c.shapes[shape]
		switch m.kind {
		case kindText:
			c.same(path, shape, own, describeText(&m.text))
		case kindInteger:
			c.same(path, shape, own, describeBounds("range", m.size))
		case kindTexts:
			c.same(path, shape, own, describeBounds("items", m.size))
			c.same(path+"[]", s.Member.Shape, own+"[]", describeText(&m.text))
		case kindMap:
			c.same(path, shape, own, describeBounds("items", m.size))
			c.same(path+" keys", s.Key.Shape, own+" keys", describeText(&m.key))
			c.same(path+" values", s.Value.Shape, own+" values", describeText(&m.text))
		case kindStructure:
			c.structure(path, elementType(ours, m), s)
		case kindStructures:
			c.same(path, shape, own, describeBounds("items", m.size))
			c.structure(path+"[]", elementType(ours, m), c.shapes[s.Member.Shape])
		}
	}
}

// same compares our constraints with those of a shape of the model, less the deliberate difference of that shape or of that member of our type.
func (c *modelComparison) same(path, shape, own, ours string) {
	s := c.shapes[shape]
	b := unbounded
	if s.Min != nil {
		b.min = *s.Min
	}
	if s.Max != nil {
		b.max = *s.Max
	}
	var model string
	switch s.Type {
	case "string":
		p := &pattern{source: javaEscape.ReplaceAllString(s.Pattern, `\x$1`)}
		if s.Pattern == "" {
			p = nil
		}
		model = describeText(&text{length: b, pattern: p, values: s.Enum, sensitive: s.Sensitive})
	case "integer", "long":
		model = describeBounds("range", b)
	case "list", "map":
		model = describeBounds("items", b)
	default:
		c.Errorf("%s: the model has a %s", path, s.Type)
	}
	at := own
	if _, ok := differences[own]; !ok {
		at = shape
	}
	if d, ok := differences[at]; ok {
		c.used[at] = true
		if d.model != model {
			c.Errorf("%s: the model has %q, the deliberate difference is from %q", path, model, d.model)
		}
		model = d.ours
	}
	if ours != model {
		c.Errorf("%s (%s):\nours  %q\nmodel %q", path, shape, ours, model)
	}
}

func describeText(t *text) string {
	s := describeBounds("len", t.length)
	if t.pattern != nil {
		s += " pattern=" + t.pattern.source
	}
	if t.values != nil {
		s += fmt.Sprint(" enum=", t.values)
	}
	if t.sensitive {
		s += " sensitive"
	}
	if s != "" && s[0] == ' ' {
		s = s[1:]
	}
	return s
}

// describeBounds leaves out a lower end of 0: it is no constraint.
func describeBounds(word string, b bounds) string {
	low, high := "", ""
	if b.min > 0 {
		low = fmt.Sprint(b.min)
	}
	if b.max != math.MaxInt {
		high = fmt.Sprint(b.max)
	}
	if low+high == "" {
		return ""
	}
	return word + "=" + low + ".." + high
}
