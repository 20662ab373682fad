package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/schemas"
	control "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/restjson1"
	"github.com/google/go-cmp/cmp"

	"credence/internal/testenv"
	"credence/internal/wire/wiretest"
)

// unions are the types that the SDK has for the members of unions; their names are those of the union and of the member.
var unions = []any{
	data.PaymentTokenRequestInputMemberCoinbaseCdpTokenRequest{}, data.PaymentTokenRequestInputMemberStripePrivyTokenRequest{},
	data.UserIdentifierMemberUserId{}, data.UserIdentifierMemberUserToken{},
	control.Oauth2DiscoveryMemberAuthorizationServerMetadata{}, control.Oauth2DiscoveryMemberDiscoveryUrl{},
	control.Oauth2ProviderConfigInputMemberAtlassianOauth2ProviderConfig{}, control.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{},
	control.Oauth2ProviderConfigInputMemberGithubOauth2ProviderConfig{}, control.Oauth2ProviderConfigInputMemberGoogleOauth2ProviderConfig{},
	control.Oauth2ProviderConfigInputMemberIncludedOauth2ProviderConfig{}, control.Oauth2ProviderConfigInputMemberLinkedinOauth2ProviderConfig{},
	control.Oauth2ProviderConfigInputMemberMicrosoftOauth2ProviderConfig{}, control.Oauth2ProviderConfigInputMemberSalesforceOauth2ProviderConfig{},
	control.Oauth2ProviderConfigInputMemberSlackOauth2ProviderConfig{},
	control.PaymentProviderConfigurationInputMemberCoinbaseCdpConfiguration{}, control.PaymentProviderConfigurationInputMemberStripePrivyConfiguration{},
	control.PrivateEndpointMemberManagedVpcResource{}, control.PrivateEndpointMemberSelfManagedLatticeResource{},
	control.PrivateKeySourceMemberKmsKeySource{}, control.SelfManagedLatticeResourceMemberResourceConfigurationIdentifier{},
}

// The SDK's own clients send every sample, and read every answer member for member; they know every refusal by its type.
func TestConformanceWithTheSDK(t *testing.T) {
	w := newWorld(t)
	for _, name := range operations() {
		op, served := table[name]
		if !served {
			continue
		}
		t.Run(name, func(t *testing.T) {
			all := samples[name](w, t)
			for _, r := range w.refused(t, name, all[0].in) {
				c := w.callSDK(t, name, r.in)
				w.look(t, op, c.answer)
				api, ok := errors.AsType[smithy.APIError](c.err)
				_, generic := errors.AsType[*smithy.GenericAPIError](c.err)
				_, unread := errors.AsType[*smithy.DeserializationError](c.err)
				if !ok || generic || unread || api.ErrorCode() != r.exception || api.ErrorMessage() != c.answer.Message() {
					t.Errorf("want a %s: %T %v", r.exception, c.err, c.err)
				}
				if got := fieldsOf(c.err); len(got) != r.fields {
					t.Errorf("the fieldList %q in %s", got, c.answer.Body)
				}
			}
			for _, s := range all {
				if s.in["tokenEndpointAuthMethod"] == "none" { // which the SDK does not send: a secret would be missing
					continue
				}
				c := w.callSDK(t, name, s.in)
				if c.err != nil {
					t.Errorf("%s: %v", s.name, c.err)
					continue
				}
				w.look(t, op, c.answer)
				if c.answer.Body == "" {
					continue
				}
				if d := cmp.Diff(c.known(t), again(t, c.out)); d != "" {
					t.Errorf("%s: the SDK reads something else (-sent +read)\n%s", s.name, d)
				}
			}
		})
	}
}

// refusedRequest is one that the SDK sends, and the type of the error that it then has.
type refusedRequest struct {
	in        obj
	exception string
	fields    int // in its fieldList
}

// refused are requests that are refused for a value out of bounds, for what does not exist, and for a token that is none.
func (w *world) refused(t *testing.T, operation string, in obj) (all []refusedRequest) {
	for _, s := range wiretest.ShapeOf(table[operation].NewInput()).Sites(in) {
		if slices.Contains(extensions, s.Path) {
			continue
		}
		for _, b := range s.Breaches {
			if b.Constraint == "max length" || b.Constraint == "range" || strings.HasPrefix(b.Constraint, "pattern") {
				all = append(all, refusedRequest{s.Fill(b.Value), "ValidationException", 1})
			}
		}
	}
	if len(all) == 0 {
		t.Error("nothing can be out of bounds")
	}
	for member, exception := range absent {
		if _, ok := in[member]; ok && !strings.HasPrefix(operation, "Create") {
			all = append(all, refusedRequest{with(in, obj{member: w.nothing(member)}), exception, 0})
		}
	}
	return all
}

// fieldsOf are the names of the fieldList of a ValidationException of either plane.
func fieldsOf(err error) (names []string) {
	if e, ok := errors.AsType[*control.ValidationException](err); ok {
		for _, f := range e.FieldList {
			names = append(names, *f.Name)
		}
	}
	if e, ok := errors.AsType[*data.ValidationException](err); ok {
		for _, f := range e.FieldList {
			names = append(names, *f.Name)
		}
	}
	return names
}

// A call is one by the SDK, with the answer as it came.
type call struct {
	out    any
	err    error
	answer testenv.Answer
}

// callSDK sends an instance by the SDK's client of the plane that has the operation.
func (w *world) callSDK(t *testing.T, operation string, in obj) (c call) {
	t.Helper()
	http := recorder{&c.answer}
	method := reflect.ValueOf(w.caller.Data()).MethodByName(operation)
	options := reflect.ValueOf(func(o *bedrockagentcore.Options) { o.HTTPClient = http })
	if !method.IsValid() {
		method = reflect.ValueOf(w.caller.Control()).MethodByName(operation)
		options = reflect.ValueOf(func(o *bedrockagentcorecontrol.Options) { o.HTTPClient = http })
	}
	if !method.IsValid() {
		t.Fatalf("the SDK has no %s", operation)
	}
	input := reflect.New(method.Type().In(1).Elem())
	fill(t, input.Elem(), in)
	results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input, options})
	c.err, _ = results[1].Interface().(error)
	c.out = results[0].Interface()
	return c
}

// recorder is an HTTP client that keeps a copy of the answer.
type recorder struct{ answer *testenv.Answer }

func (r recorder) Do(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	*r.answer = testenv.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(text)}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// fill puts a JSON value into a value of the SDK's types. Members that the SDK does not know, which are Credence's own, are left out.
func fill(t *testing.T, v reflect.Value, value any) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), value)
	case reflect.Struct:
		for name, below := range value.(obj) {
			if f := v.FieldByName(strings.ToUpper(name[:1]) + name[1:]); f.IsValid() && below != nil {
				fill(t, f, below)
			}
		}
	case reflect.Interface:
		for name, below := range value.(obj) {
			want := v.Type().Name() + "Member" + strings.ToUpper(name[:1]) + name[1:]
			i := slices.IndexFunc(unions, func(u any) bool { return reflect.TypeOf(u).Name() == want })
			if i < 0 {
				t.Fatalf("no union has %s", want)
			}
			member := reflect.New(reflect.TypeOf(unions[i]))
			fill(t, member.Elem().FieldByName("Value"), below)
			v.Set(member)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		for _, element := range value.([]any) {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(t, e, element)
			v.Set(reflect.Append(v, e))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for key, element := range value.(obj) {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(t, e, element)
			v.SetMapIndex(reflect.ValueOf(key), e)
		}
	default:
		v.Set(reflect.ValueOf(value).Convert(v.Type()))
	}
}

// again writes an output of the SDK as the SDK would write an input of the same members.
func again(t *testing.T, out any) obj {
	t.Helper()
	op := smithy.NewOperationSchema(schemas.CreateWorkloadIdentity, schemas.CreateWorkloadIdentityRequest, nil) // for its method and path
	req := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if err := restjson1.New(nil).SerializeRequest(t.Context(), op, out.(smithy.Serializable), req); err != nil {
		t.Fatal(err)
	}
	stream := req.GetStream()
	if stream == nil { // nothing is in it
		return obj{}
	}
	text, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return loosely(t, text)
}

// known is the answer without the members that are Credence's own.
func (c call) known(t *testing.T) obj {
	t.Helper()
	o := loosely(t, []byte(c.answer.Body))
	for _, name := range extensions {
		delete(o, name)
	}
	return o
}

// extensions are the members that the API lacks; the SDK neither sends nor reads them.
var extensions = []string{"completeBySessionUri", "confirm", "scopeMatch", "vendorHost", "refreshTokenGraceSeconds", "refreshTokenIdleSeconds", "minimumValiditySeconds", "dpopBoundAccessTokens", "tokenEndpointAuthMethod", "resourceIndicators", "requireSignedRequestObject", "identityAssertionProvider", "clientAssertionAudience", "deviceAuthorization", "resource", "registration", "accessTokenExpiresAt", "grantedScopes", "tokenType"}

// loosely parses JSON without telling apart how numbers are written.
func loosely(t *testing.T, text []byte) (o obj) {
	t.Helper()
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return o
}
