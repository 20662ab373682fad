package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/wire/wiretest"
)

// exact compares with unexported fields, so that secrets are compared, too.
var exact = cmp.Exporter(func(reflect.Type) bool { return true })

func TestDecodeReadsEveryKindOfMember(t *testing.T) {
	body := `{
		"name": "idp", "credentialProviderVendor": "CustomOauth2", "tags": {"team": "a", "empty": ""}, "confirm": "first",
		"oauth2ProviderConfigInput": {"customOauth2ProviderConfig": {
			"oauthDiscovery": {"authorizationServerMetadata": {
				"issuer": "https://idp.example", "authorizationEndpoint": "https://idp.example/a", "tokenEndpoint": "https://idp.example/t",
				"responseTypes": [], "tokenEndpointAuthMethods": ["client_secret_post", "client_secret_basic"]}},
			"clientId": "", "clientSecret": "s\"\u00e9\ud83d\ude00\n", "clientSecretSource": "MANAGED",
			"privateKeyJwtConfig": {"signingAlgorithm": "ES256", "additionalHeaderClaims": {"x5t#S256": "claim"}},
			"privateEndpointOverrides": [
				{"domain": "a.example", "privateEndpoint": {"selfManagedLatticeResource": {"resourceConfigurationIdentifier": "rcfg-0123456789abcdefg"}}}]}}}`
	var got CreateOauth2CredentialProviderInput
	if err := Decode([]byte(body), nil, &got); err != nil {
		t.Fatal(err)
	}
	want := CreateOauth2CredentialProviderInput{
		Name: "idp", CredentialProviderVendor: VendorCustomOauth2, Tags: map[string]string{"team": "a", "empty": ""}, Oauth2ProviderOptions: Oauth2ProviderOptions{Confirm: new(ConfirmFirst)},
		Oauth2ProviderConfigInput: &Oauth2ProviderConfigInput{CustomOauth2ProviderConfig: &CustomOauth2ProviderConfigInput{
			OauthDiscovery: &Oauth2Discovery{AuthorizationServerMetadata: &Oauth2AuthorizationServerMetadata{
				Issuer: "https://idp.example", AuthorizationEndpoint: "https://idp.example/a", TokenEndpoint: "https://idp.example/t",
				ResponseTypes: []string{}, TokenEndpointAuthMethods: []string{"client_secret_post", "client_secret_basic"},
			}},
			ClientId: new(""), ClientSecret: new(secret.New("s\"é😀\n")), ClientSecretSource: new(SourceManaged),
			PrivateKeyJwtConfig: &PrivateKeyJwtConfig{
				SigningAlgorithm: new(AlgorithmES256), AdditionalHeaderClaims: map[string]secret.String{"x5t#S256": secret.New("claim")},
			},
			PrivateEndpointOverrides: []PrivateEndpointOverride{{
				Domain:          "a.example",
				PrivateEndpoint: &PrivateEndpoint{SelfManagedLatticeResource: &SelfManagedLatticeResource{ResourceConfigurationIdentifier: new("rcfg-0123456789abcdefg")}},
			}},
		}},
	}
	if diff := cmp.Diff(want, got, exact); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDecodeFollowsRestJson1(t *testing.T) {
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	for name, body := range map[string]string{
		"an empty body is an empty object":  ``,
		"an empty object":                   `{}`,
		"space around":                      " \r\n\t{ } \n",
		"null is absent":                    `{"nextToken": null, "maxResults":null}`,
		"unknown members are ignored":       `{"NextToken": 5, "maxresults": "x", "other": {"maxResults": [1, "]}", {"a\"]": -1.5e3}]}, "": true}`,
		"unknown members are ignored, deep": `{"other": ` + deep + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			var in ListWorkloadIdentitiesInput
			if err := Decode([]byte(body), nil, &in); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ListWorkloadIdentitiesInput{}, in); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("names may be escaped", func(t *testing.T) {
		var in ListWorkloadIdentitiesInput
		if err := Decode([]byte(`{"max\u0052esults":7,"next\/Token":"x","\u006eextToken":"\/"}`), nil, &in); err != nil {
			t.Fatal(err)
		}
		if in.MaxResults == nil || *in.MaxResults != 7 || in.NextToken == nil || *in.NextToken != "/" {
			t.Errorf("got %+v", in)
		}
	})
	t.Run("an empty list is not an absent one", func(t *testing.T) {
		var in UpdateWorkloadIdentityInput
		if err := Decode([]byte(`{"name":"abc","allowedResourceOauth2ReturnUrls":[]}`), nil, &in); err != nil {
			t.Fatal(err)
		}
		if in.AllowedResourceOauth2ReturnUrls == nil {
			t.Error("it became nil")
		}
	})
}

func TestDecodeRefusesWhatIsNoJSONObject(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"text":            {`name=abc`, "the request body is not valid JSON (it breaks at byte 2 of 8); send one JSON object"},
		"only space":      {" ", "the request body is not valid JSON (it breaks at byte 1 of 1); send one JSON object"},
		"cut short":       {`{"name":"hunter2`, "the request body is not valid JSON (it breaks at byte 16 of 16); send one JSON object"},
		"trailing data":   {`{"name":"abc"}{}`, "the request body is not valid JSON (it breaks at byte 15 of 16); send one JSON object"},
		"trailing comma":  {`{"name":"abc",}`, "the request body is not valid JSON (it breaks at byte 15 of 15); send one JSON object"},
		"a bare word":     {`{"name":NaN}`, "the request body is not valid JSON (it breaks at byte 9 of 12); send one JSON object"},
		"a control char":  {"{\"name\":\"a\nb\"}", "the request body is not valid JSON (it breaks at byte 11 of 14); send one JSON object"},
		"endless nesting": {strings.Repeat(`{"a":`, 100_000), "the request body is not valid JSON (it breaks at byte 50001 of 500000); send one JSON object"},
		"invalid UTF-8":   {"{\"name\":\"a\xff\"}", "the request body is not valid UTF-8; send one JSON object in UTF-8"},
		"a list":          {` [{"name":"abc"}]`, "the request body must be a JSON object, not a list"},
		"a string":        {`"abc"`, "the request body must be a JSON object, not a string"},
		"a number":        {`1`, "the request body must be a JSON object, not a number"},
		"null":            {`null`, "the request body must be a JSON object, not null"},
		"a boolean":       {`true`, "the request body must be a JSON object, not a boolean"},
	} {
		t.Run(name, func(t *testing.T) {
			f := wantFault(t, Decode([]byte(c.body), nil, new(GetWorkloadIdentityInput)), fault.CannotParse)
			if f.Msg != c.want {
				t.Errorf("Msg = %q\nwant  %q", f.Msg, c.want)
			}
			if diff := cmp.Diff([]fault.Field{{Name: "body", Message: c.want}}, f.Fields); diff != "" {
				t.Errorf("fields: -want +got:\n%s", diff)
			}
		})
	}
}

// Two texts that differ on the wire must not become one user, and a body must not mean one thing to us and another to a proxy before us.
func TestDecodeRefusesAmbiguity(t *testing.T) {
	for name, c := range map[string]struct {
		in   any
		body string
		want fault.Field
	}{
		"a member twice": {
			new(GetWorkloadAccessTokenForUserIdInput), `{"workloadName":"abc","userId":"u1","user\u0049d":"u2"}`,
			fault.Field{Name: "userId", Message: "is given twice"},
		},
		"a member twice, first null": {
			new(GetWorkloadAccessTokenForUserIdInput), `{"workloadName":"abc","userId":null,"userId":"u2"}`,
			fault.Field{Name: "userId", Message: "is given twice"},
		},
		"an entry twice": {
			new(CreateWorkloadIdentityInput), `{"name":"abc","tags":{"a":"1","b":"2","a":"3"}}`,
			fault.Field{Name: `tags["a"]`, Message: "is given twice"},
		},
		"half of a surrogate pair": {
			new(GetWorkloadAccessTokenForUserIdInput), `{"workloadName":"abc","userId":"u\ud83d"}`,
			fault.Field{Name: "userId", Message: halfPair},
		},
		"the wrong half": {
			new(GetWorkloadAccessTokenForUserIdInput), `{"workloadName":"abc","userId":"\ude00\ud83d"}`,
			fault.Field{Name: "userId", Message: halfPair},
		},
		"half of a pair and another character": {
			new(GetWorkloadAccessTokenForUserIdInput), `{"workloadName":"abc","userId":"\ud83d\u0041"}`,
			fault.Field{Name: "userId", Message: halfPair},
		},
		"half of a pair in a list": {
			new(CreateWorkloadIdentityInput), `{"name":"abc","allowedResourceOauth2ReturnUrls":["a:b","a:\udc00"]}`,
			fault.Field{Name: "allowedResourceOauth2ReturnUrls[1]", Message: halfPair},
		},
		"half of a pair in a key": {
			new(CreateWorkloadIdentityInput), `{"name":"abc","tags":{"a\ud800":"1"}}`,
			fault.Field{Name: `tags["a\\ud800"]`, Message: "the key " + halfPair},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := wantFault(t, Decode([]byte(c.body), nil, c.in), fault.FieldValidationFailed)
			if diff := cmp.Diff([]fault.Field{c.want}, f.Fields); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAllViolationsAreReportedAtOnce(t *testing.T) {
	body := `{"workloadIdentityToken":7,"resourceCredentialProviderName":"my idp","scopes":["a","",3],"oauth2Flow":"PASSWORD","sessionUri":"x",
		"forceAuthentication":"yes","customParameters":{"b c":"1","a b":"2"}}`
	f := wantFault(t, Decode([]byte(body), nil, new(GetResourceOauth2TokenInput)), fault.FieldValidationFailed)
	want := []fault.Field{
		{Name: "workloadIdentityToken", Message: "must be a string, not a number"},
		{Name: "scopes[2]", Message: "must be a string, not a number"},
		{Name: "forceAuthentication", Message: "must be a boolean, not a string"},
		{Name: "resourceCredentialProviderName", Message: `must match [a-zA-Z0-9\-_]+; "my idp" does not`},
		{Name: "scopes[1]", Message: `must have 1 to 128 characters; "" has 0`},
		{Name: "oauth2Flow", Message: `must be one of USER_FEDERATION, M2M, ON_BEHALF_OF_TOKEN_EXCHANGE; it is "PASSWORD"`},
		{Name: "sessionUri", Message: `must match urn:ietf:params:oauth:request_uri:[a-zA-Z0-9-._~]+; "x" does not`},
		{Name: `customParameters["a b"]`, Message: `the key must match [a-zA-Z0-9\-_\.]+; "a b" does not`},
		{Name: `customParameters["b c"]`, Message: `the key must match [a-zA-Z0-9\-_\.]+; "b c" does not`},
	}
	if diff := cmp.Diff(want, f.Fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	wantMsg := `9 validation errors: workloadIdentityToken: must be a string, not a number; scopes[2]: must be a string, not a number; ` +
		`forceAuthentication: must be a boolean, not a string; resourceCredentialProviderName: must match [a-zA-Z0-9\-_]+; "my idp" does not; ` +
		`scopes[1]: must have 1 to 128 characters; "" has 0`
	if f.Msg != wantMsg {
		t.Errorf("Msg = %s\nwant  %s", f.Msg, wantMsg)
	}

	t.Run("one", func(t *testing.T) {
		f := wantFault(t, Decode(nil, nil, new(GetWorkloadIdentityInput)), fault.FieldValidationFailed)
		if want := "1 validation error: name: is required and may not be empty"; f.Msg != want {
			t.Errorf("Msg = %q, want %q", f.Msg, want)
		}
	})
	t.Run("at most 50", func(t *testing.T) {
		for name, element := range map[string]string{"types": "1", "lengths": `""`} {
			body := `{"name":"abc","allowedResourceOauth2ReturnUrls":[` + strings.Repeat(element+",", 99) + element + `]}`
			f := wantFault(t, Decode([]byte(body), nil, new(CreateWorkloadIdentityInput)), fault.FieldValidationFailed)
			if len(f.Fields) != 50 || f.Fields[49].Name != "allowedResourceOauth2ReturnUrls[49]" {
				t.Errorf("%s: %d fields, the last is %+v", name, len(f.Fields), f.Fields[len(f.Fields)-1])
			}
		}
	})
	t.Run("a list that is too long is not looked into", func(t *testing.T) {
		body := `{"name":"abc","allowedResourceOauth2ReturnUrls":[` + strings.Repeat(`"",`, 100) + `""]}`
		f := wantFault(t, Decode([]byte(body), nil, new(CreateWorkloadIdentityInput)), fault.FieldValidationFailed)
		if len(f.Fields) != 1 || f.Fields[0].Message != "must have at most 100 items; it has 101" {
			t.Errorf("%q", f.Fields)
		}
	})
	t.Run("values and keys are cut to 64 characters", func(t *testing.T) {
		long := strings.Repeat("é ", 100)
		in := CreateWorkloadIdentityInput{Name: long, Tags: map[string]string{long + "#": ""}}
		f := wantFault(t, Validate(&in), fault.FieldValidationFailed)
		quoted := `"` + strings.Repeat("é ", 32) + `…"`
		want := []fault.Field{
			{Name: "name", Message: "must match [A-Za-z0-9_.-]+; " + quoted + " does not"},
			{Name: "tags[" + quoted + "]", Message: "the key must have 1 to 128 characters; " + quoted + " has 201"},
		}
		if diff := cmp.Diff(want, f.Fields); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	t.Run("unions", func(t *testing.T) {
		for body, want := range map[string]string{
			`{}`:                                 "must have exactly one of userToken, userId; it has none",
			`{"userId":"u","userToken":"a.b.c"}`: "must have exactly one of userToken, userId; it has userToken and userId",
		} {
			body := `{"sessionUri":"urn:ietf:params:oauth:request_uri:x","userIdentifier":` + body + `}`
			f := wantFault(t, Decode([]byte(body), nil, new(CompleteResourceTokenAuthInput)), fault.FieldValidationFailed)
			if diff := cmp.Diff([]fault.Field{{Name: "userIdentifier", Message: want}}, f.Fields); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		}
	})
}

// Lengths are in characters, not in bytes or UTF-16 code units.
func TestLengthsCountCharacters(t *testing.T) {
	for _, c := range []struct {
		id string
		ok bool
	}{
		{strings.Repeat("x", 128), true}, {strings.Repeat("x", 129), false},
		{strings.Repeat("é", 128), true}, {strings.Repeat("é", 129), false},
		{strings.Repeat("😀", 128), true}, {strings.Repeat("😀", 129), false},
	} {
		if err := Validate(&GetWorkloadAccessTokenForUserIdInput{WorkloadName: "abc", UserId: c.id}); (err == nil) != c.ok {
			t.Errorf("%d bytes %.4q…: %v", len(c.id), c.id, err)
		}
	}
}

func TestBindHeaders(t *testing.T) {
	provider := `"name":"idp","credentialProviderVendor":"GithubOauth2","oauth2ProviderConfigInput":{"githubOauth2ProviderConfig":{"clientId":"c"}}`
	for name, c := range map[string]struct {
		body      string
		header    http.Header
		confirm   Confirm
		wrong     string // member
		wrongText string
	}{
		"neither":               {body: provider},
		"only the body":         {body: provider + `,"confirm":"first"`, confirm: ConfirmFirst},
		"only the header":       {body: provider, header: http.Header{"X-Credence-Confirm": {"first"}}, confirm: ConfirmFirst},
		"the header, body null": {body: provider + `,"confirm":null`, header: http.Header{"X-Credence-Confirm": {"first"}}, confirm: ConfirmFirst},
		"both and equal":        {body: provider + `,"confirm":"first"`, header: http.Header{"X-Credence-Confirm": {"first"}}, confirm: ConfirmFirst},
		"both and different": {
			body: provider + `,"confirm":"first"`, header: http.Header{"X-Credence-Confirm": {"never"}},
			wrong: "confirm", wrongText: `the body says "first", the header X-Credence-Confirm says "never"; send one of them`,
		},
		"no value of the enum": {
			body: provider, header: http.Header{"X-Credence-Scope-Match": {"superset"}},
			wrong: "scopeMatch", wrongText: `the header X-Credence-Scope-Match must be one of subset, exact; it is "superset"`,
		},
		"no whole number": {
			body: provider, header: http.Header{"X-Credence-Refresh-Token-Grace-Seconds": {"+30"}},
			wrong: "refreshTokenGraceSeconds", wrongText: `the header X-Credence-Refresh-Token-Grace-Seconds must be a whole number; it is "+30"`,
		},
		"out of range": {
			body: provider, header: http.Header{"X-Credence-Refresh-Token-Grace-Seconds": {"3601"}},
			wrong: "refreshTokenGraceSeconds", wrongText: "must be at most 3600; it is 3601",
		},
		"an empty header": {
			body: provider, header: http.Header{"X-Credence-Confirm": {""}},
			wrong: "confirm", wrongText: `the header X-Credence-Confirm must be one of never, first, always; it is ""`,
		},
		"the header twice": {
			body: provider, header: http.Header{"X-Credence-Confirm": {"first", "first"}},
			wrong: "confirm", wrongText: "the header X-Credence-Confirm comes 2 times; send it once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var in UpdateOauth2CredentialProviderInput
			err := Decode([]byte("{"+c.body+"}"), &Outside{Header: c.header}, &in)
			if c.wrong != "" {
				f := wantFault(t, err, fault.FieldValidationFailed)
				if diff := cmp.Diff([]fault.Field{{Name: c.wrong, Message: c.wrongText}}, f.Fields); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := in.Confirm; (got == nil) != (c.confirm == "") || got != nil && *got != c.confirm {
				t.Errorf("confirm = %v, want %q", got, c.confirm)
			}
		})
	}
	t.Run("booleans", func(t *testing.T) {
		for text, ok := range map[string]bool{"true": true, "false": true, "True": false, "1": false, "": false, " true": false} {
			var in UpdateWorkloadIdentityInput
			err := BindHeaders(&in, http.Header{"X-Credence-Complete-By-Session-Uri": {text}})
			if (err == nil) != ok {
				t.Errorf("%q: %v", text, err)
			}
			if ok && (in.CompleteBySessionUri == nil || strconv.FormatBool(*in.CompleteBySessionUri) != text) {
				t.Errorf("%q became %v", text, in.CompleteBySessionUri)
			}
		}
	})
	t.Run("only extension members come in headers", func(t *testing.T) {
		for _, op := range allOperations() {
			for _, m := range planOf(reflect.TypeOf(op.in)).members {
				extension := membersOfModel(reflect.TypeOf(op.in))[m.name] == nil
				want := ""
				if extension {
					want = http.CanonicalHeaderKey("X-Credence-" + dashed(m.name))
				}
				if m.header != want {
					t.Errorf("%s.%s comes in the header %q, want %q", op.name, m.name, m.header, want)
				}
			}
		}
	})
}

// dashed makes complete-by-session-uri of completeBySessionUri.
func dashed(name string) string {
	var s strings.Builder
	for _, r := range name {
		if 'A' <= r && r <= 'Z' {
			s.WriteByte('-')
		}
		s.WriteRune(r)
	}
	return s.String()
}

// FuzzDecode holds Decode against encoding/json: what it accepts has the members that encoding/json sees, and survives another round.
// And whatever the body, no error holds the value of a sensitive member.
func FuzzDecode(f *testing.F) {
	all := allOperations()
	for i, op := range all {
		shape := wiretest.ShapeOf(op.in)
		for _, s := range shape.Sites(nil) {
			body, err := json.Marshal(s.Fill(s.Valid))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), body)
		}
		body, err := json.MarshalIndent(shape.Smallest(), " ", "\t")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), body)
	}
	for _, body := range []string{
		``, `null`, `[]`, `{"a":`, `{"maxResults":-0}`, `{"maxResults":1e1}`, `{"nextToken":"\ud83d\ude00\u0000\/"}`, `{"nextToken":"\udead"}`,
		`{"nextToken":"a","NextToken":"b"}`, `{"nextToken":"a","nextToken":"b"}`, "{\"nextToken\":\"\u2028\"}", `{"x":[{"y":"}"},[1,-2.5e-3,true,null]]}`,
	} {
		f.Add(uint8(2), []byte(body))
	}
	f.Fuzz(func(t *testing.T, n uint8, body []byte) {
		op := all[int(n)%len(all)]
		p := planOf(reflect.TypeOf(op.in))
		in := newOf(op.in)
		if err := Decode(body, nil, in); err == nil && len(body) > 0 {
			seen := plain(p, reflect.ValueOf(in).Elem())
			var parsed map[string]any
			decoder := json.NewDecoder(strings.NewReader(string(body)))
			decoder.UseNumber()
			if err := decoder.Decode(&parsed); err != nil {
				t.Fatalf("encoding/json refuses what we accept: %v", err)
			}
			if diff := cmp.Diff(known(p, parsed), seen); diff != "" {
				t.Fatalf("encoding/json sees something else (-json +ours):\n%s", diff)
			}
			again := newOf(op.in)
			if err := Decode(marshal(t, seen), nil, again); err != nil {
				t.Fatalf("refused when encoded again: %v", err)
			}
			if diff := cmp.Diff(in, again, exact); diff != "" {
				t.Fatalf("not the same when encoded again:\n%s", diff)
			}
		}

		var planted map[string]any
		if json.Unmarshal(body, &planted) == nil {
			const canary = "c4nary" // in no seed
			if strings.Contains(string(body), canary) {
				return
			}
			plant(p, planted, canary)
			if err := Decode(marshal(t, planted), nil, newOf(op.in)); err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
				t.Fatalf("the value of a sensitive member is in the error: %v", err)
			}
		}
	})
}

// plain is v as JSON would show it, secrets revealed.
func plain(p *plan, v reflect.Value) map[string]any {
	object := map[string]any{}
	for i := range p.members {
		m := &p.members[i]
		field := v.FieldByIndex(m.index)
		if field.IsZero() {
			continue
		}
		if m.pointer {
			field = field.Elem()
		}
		switch m.kind {
		case kindText:
			object[m.name] = reveal(field)
		case kindBoolean:
			object[m.name] = field.Bool()
		case kindInteger:
			object[m.name] = field.Int()
		case kindTexts:
			list := []any{}
			for _, s := range field.Interface().([]string) {
				list = append(list, s)
			}
			object[m.name] = list
		case kindMap:
			entries := map[string]any{}
			for _, key := range field.MapKeys() {
				switch value := field.MapIndex(key).Interface().(type) {
				case string:
					entries[key.String()] = value
				case secret.String:
					entries[key.String()] = value.Reveal()
				}
			}
			object[m.name] = entries
		case kindStructure:
			object[m.name] = plain(m.plan, field)
		case kindStructures:
			list := []any{}
			for j := range field.Len() {
				list = append(list, plain(m.plan, field.Index(j)))
			}
			object[m.name] = list
		}
	}
	return object
}

// known is what encoding/json has parsed, less what is null or unknown.
func known(p *plan, parsed map[string]any) map[string]any {
	object := map[string]any{}
	for i := range p.members {
		m := &p.members[i]
		switch value := parsed[m.name].(type) {
		case nil:
		case json.Number:
			n, _ := value.Int64()
			object[m.name] = n
		case map[string]any:
			object[m.name] = value
			if m.kind == kindStructure {
				object[m.name] = known(m.plan, value)
			}
		case []any:
			list := []any{}
			for _, element := range value {
				if m.kind == kindStructures {
					element = known(m.plan, element.(map[string]any))
				}
				list = append(list, element)
			}
			object[m.name] = list
		default:
			object[m.name] = value
		}
	}
	return object
}

// plant puts the canary before every string in every sensitive member.
func plant(p *plan, parsed map[string]any, canary string) {
	for i := range p.members {
		m := &p.members[i]
		value, ok := parsed[m.name]
		switch {
		case !ok:
		case m.text.sensitive && m.kind == kindMap:
			if entries, ok := value.(map[string]any); ok {
				for key, value := range entries { // the keys are not sensitive
					entries[key] = withCanary(value, canary)
				}
			} else {
				parsed[m.name] = withCanary(value, canary)
			}
		case m.text.sensitive:
			parsed[m.name] = withCanary(value, canary)
		case m.plan != nil:
			if object, ok := value.(map[string]any); ok {
				plant(m.plan, object, canary)
			}
			if list, ok := value.([]any); ok {
				for _, element := range list {
					if object, ok := element.(map[string]any); ok {
						plant(m.plan, object, canary)
					}
				}
			}
		}
	}
}

func withCanary(value any, canary string) any {
	switch value := value.(type) {
	case string:
		return canary + value
	case []any:
		for i := range value {
			value[i] = withCanary(value[i], canary)
		}
	case map[string]any:
		changed := map[string]any{}
		for key := range value {
			changed[canary+key] = withCanary(value[key], canary)
		}
		return changed
	}
	return value
}
