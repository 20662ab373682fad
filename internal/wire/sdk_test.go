package wire

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	dataschemas "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/schemas"
	datatypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/schemas"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	"github.com/google/go-cmp/cmp"
)

// sdkSchemas are the AWS SDK's descriptions of what goes in and out of each operation.
var sdkSchemas = map[string]struct{ in, out *smithy.Schema }{
	"CreateWorkloadIdentity":          {schemas.CreateWorkloadIdentityRequest, schemas.CreateWorkloadIdentityResponse},
	"GetWorkloadIdentity":             {schemas.GetWorkloadIdentityRequest, schemas.GetWorkloadIdentityResponse},
	"ListWorkloadIdentities":          {schemas.ListWorkloadIdentitiesRequest, schemas.ListWorkloadIdentitiesResponse},
	"UpdateWorkloadIdentity":          {schemas.UpdateWorkloadIdentityRequest, schemas.UpdateWorkloadIdentityResponse},
	"DeleteWorkloadIdentity":          {schemas.DeleteWorkloadIdentityRequest, schemas.DeleteWorkloadIdentityResponse},
	"CreateOauth2CredentialProvider":  {schemas.CreateOauth2CredentialProviderRequest, schemas.CreateOauth2CredentialProviderResponse},
	"GetOauth2CredentialProvider":     {schemas.GetOauth2CredentialProviderRequest, schemas.GetOauth2CredentialProviderResponse},
	"ListOauth2CredentialProviders":   {schemas.ListOauth2CredentialProvidersRequest, schemas.ListOauth2CredentialProvidersResponse},
	"UpdateOauth2CredentialProvider":  {schemas.UpdateOauth2CredentialProviderRequest, schemas.UpdateOauth2CredentialProviderResponse},
	"DeleteOauth2CredentialProvider":  {schemas.DeleteOauth2CredentialProviderRequest, schemas.DeleteOauth2CredentialProviderResponse},
	"CreateApiKeyCredentialProvider":  {schemas.CreateApiKeyCredentialProviderRequest, schemas.CreateApiKeyCredentialProviderResponse},
	"GetApiKeyCredentialProvider":     {schemas.GetApiKeyCredentialProviderRequest, schemas.GetApiKeyCredentialProviderResponse},
	"ListApiKeyCredentialProviders":   {schemas.ListApiKeyCredentialProvidersRequest, schemas.ListApiKeyCredentialProvidersResponse},
	"UpdateApiKeyCredentialProvider":  {schemas.UpdateApiKeyCredentialProviderRequest, schemas.UpdateApiKeyCredentialProviderResponse},
	"DeleteApiKeyCredentialProvider":  {schemas.DeleteApiKeyCredentialProviderRequest, schemas.DeleteApiKeyCredentialProviderResponse},
	"CreatePaymentCredentialProvider": {schemas.CreatePaymentCredentialProviderRequest, schemas.CreatePaymentCredentialProviderResponse},
	"GetPaymentCredentialProvider":    {schemas.GetPaymentCredentialProviderRequest, schemas.GetPaymentCredentialProviderResponse},
	"ListPaymentCredentialProviders":  {schemas.ListPaymentCredentialProvidersRequest, schemas.ListPaymentCredentialProvidersResponse},
	"UpdatePaymentCredentialProvider": {schemas.UpdatePaymentCredentialProviderRequest, schemas.UpdatePaymentCredentialProviderResponse},
	"DeletePaymentCredentialProvider": {schemas.DeletePaymentCredentialProviderRequest, schemas.DeletePaymentCredentialProviderResponse},
	"GetTokenVault":                   {schemas.GetTokenVaultRequest, schemas.GetTokenVaultResponse},
	"SetTokenVaultCMK":                {schemas.SetTokenVaultCMKRequest, schemas.SetTokenVaultCMKResponse},
	"ResetTokenVaultKeyMaterial":      {schemas.ResetTokenVaultKeyMaterialRequest, schemas.ResetTokenVaultKeyMaterialResponse},
	"CreateConsentPortal":             {schemas.CreateConsentPortalRequest, schemas.CreateConsentPortalResponse},
	"GetConsentPortal":                {schemas.GetConsentPortalRequest, schemas.GetConsentPortalResponse},
	"ListConsentPortals":              {schemas.ListConsentPortalsRequest, schemas.ListConsentPortalsResponse},
	"UpdateConsentPortal":             {schemas.UpdateConsentPortalRequest, schemas.UpdateConsentPortalResponse},
	"DeleteConsentPortal":             {schemas.DeleteConsentPortalRequest, schemas.DeleteConsentPortalResponse},
	"TagResource":                     {schemas.TagResourceRequest, schemas.TagResourceResponse},
	"UntagResource":                   {schemas.UntagResourceRequest, schemas.UntagResourceResponse},
	"ListTagsForResource":             {schemas.ListTagsForResourceRequest, schemas.ListTagsForResourceResponse},
	"GetWorkloadAccessToken":          {dataschemas.GetWorkloadAccessTokenRequest, dataschemas.GetWorkloadAccessTokenResponse},
	"GetWorkloadAccessTokenForJWT":    {dataschemas.GetWorkloadAccessTokenForJWTRequest, dataschemas.GetWorkloadAccessTokenForJWTResponse},
	"GetWorkloadAccessTokenForUserId": {dataschemas.GetWorkloadAccessTokenForUserIdRequest, dataschemas.GetWorkloadAccessTokenForUserIdResponse},
	"GetResourceOauth2Token":          {dataschemas.GetResourceOauth2TokenRequest, dataschemas.GetResourceOauth2TokenResponse},
	"GetResourceApiKey":               {dataschemas.GetResourceApiKeyRequest, dataschemas.GetResourceApiKeyResponse},
	"GetResourcePaymentToken":         {dataschemas.GetResourcePaymentTokenRequest, dataschemas.GetResourcePaymentTokenResponse},
	"CompleteResourceTokenAuth":       {dataschemas.CompleteResourceTokenAuthRequest, dataschemas.CompleteResourceTokenAuthResponse},
}

// sdkEnums are the AWS SDK's values by the name of the enum in the model.
var sdkEnums = map[string][]string{
	"ActorTokenContentType":                texts(types.ActorTokenContentType("").Values()...),
	"ClientAuthenticationMethodType":       texts(types.ClientAuthenticationMethodType("").Values()...),
	"ConsentPortalSourceType":              texts(types.ConsentPortalSourceType("").Values()...),
	"ConsentPortalStatus":                  texts(types.ConsentPortalStatus("").Values()...),
	"CredentialProviderVendorType":         texts(types.CredentialProviderVendorType("").Values()...),
	"EndpointIpAddressType":                texts(types.EndpointIpAddressType("").Values()...),
	"KeyType":                              texts(types.KeyType("").Values()...),
	"Oauth2FlowType":                       texts(datatypes.Oauth2FlowType("").Values()...),
	"OnBehalfOfClientAuthenticationMethod": texts(types.OnBehalfOfClientAuthenticationMethod("").Values()...),
	"OnBehalfOfTokenExchangeGrantTypeType": texts(types.OnBehalfOfTokenExchangeGrantTypeType("").Values()...),
	"PaymentCredentialProviderVendorType":  texts(types.PaymentCredentialProviderVendorType("").Values()...),
	"PaymentHttpMethodType":                texts(datatypes.PaymentHttpMethodType("").Values()...),
	"SecretSourceType":                     texts(types.SecretSourceType("").Values()...),
	"SessionStatus":                        texts(datatypes.SessionStatus("").Values()...),
	"SigningAlgorithm":                     texts(types.SigningAlgorithm("").Values()...),
	"Status":                               texts(types.Status("").Values()...),
}

// The shapes are those of the AWS SDK for Go: names, types, unions, enum values and sensitivity, all the way down.
func TestShapesAreThoseOfTheSDK(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			sdk, ok := sdkSchemas[op.name]
			if !ok {
				t.Fatal("the SDK's schemas of this operation are not listed")
			}
			compareWithSDK(t, "input", reflect.TypeOf(op.in), sdk.in)
			compareWithSDK(t, "output", reflect.TypeOf(op.out), sdk.out)
		})
	}
}

func compareWithSDK(t *testing.T, path string, ours reflect.Type, sdk *smithy.Schema) {
	t.Helper()
	members := membersOfModel(ours)
	got, want := slices.Sorted(maps.Keys(members)), slices.Sorted(maps.Keys(sdk.Members()))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the members of %s differ from the SDK's (-SDK +ours):\n%s", path, ours, diff)
		return
	}
	if got, want := planOf(ours).union, sdk.Type() == smithy.ShapeTypeUnion; got != want {
		t.Errorf("%s: is a union: %t, in the SDK %t", path, got, want)
	}
	for name, m := range members {
		path, theirs := path+"."+name, sdk.Member(name)
		if got := ours.FieldByIndex(m.index).Name; got[1:] != name[1:] {
			t.Errorf("%s: the field is named %s", path, got)
		}
		content := theirs // what the constraints of strings belong to
		var want kind
		var bits int
		switch theirs.Type() {
		case smithy.ShapeTypeString:
			want = kindText
		case smithy.ShapeTypeEnum:
			want = kindText
			if diff := cmp.Diff(sdkEnums[theirs.TargetID().Name], m.text.values); diff != "" {
				t.Errorf("%s: the values of %s differ (-SDK +ours):\n%s", path, theirs.TargetID().Name, diff)
			}
		case smithy.ShapeTypeBoolean:
			want = kindBoolean
		case smithy.ShapeTypeInteger:
			want, bits = kindInteger, 32
		case smithy.ShapeTypeLong:
			want, bits = kindInteger, 64
		case smithy.ShapeTypeTimestamp:
			want = kindTime
		case smithy.ShapeTypeMap:
			want, content = kindMap, theirs.MapValue()
		case smithy.ShapeTypeList:
			want, content = kindTexts, theirs.ListMember()
			if content.Type() == smithy.ShapeTypeStructure {
				want = kindStructures
			}
		case smithy.ShapeTypeStructure, smithy.ShapeTypeUnion:
			want = kindStructure
		}
		if m.kind != want || m.bits != bits {
			t.Errorf("%s: the kind is %d of %d bits, by the SDK it is %d of %d", path, m.kind, m.bits, want, bits)
			continue
		}
		if _, sensitive := smithy.SchemaTrait[*traits.Sensitive](content); m.text.sensitive != sensitive {
			t.Errorf("%s: is sensitive: %t, in the SDK %t", path, m.text.sensitive, sensitive)
		}
		if _, label := smithy.SchemaTrait[*traits.HTTPLabel](theirs); label != (m.label == name) {
			t.Errorf("%s: comes in the label %q, in the SDK in one: %t", path, m.label, label)
		}
		query := ""
		if q, ok := smithy.SchemaTrait[*traits.HTTPQuery](theirs); ok {
			query = q.Name
		}
		if m.query != query {
			t.Errorf("%s: comes in the query %q, in the SDK in %q", path, m.query, query)
		}
		if m.plan != nil {
			compareWithSDK(t, path, elementType(ours, m), content)
		}
	}
}

// The SDK's own validators know which members of an input are required.
func TestRequiredInputMembersAreThoseOfTheSDK(t *testing.T) {
	clients := []reflect.Value{
		reflect.ValueOf(bedrockagentcore.New(bedrockagentcore.Options{Region: "us-east-1", HTTPClient: noNetwork{}, Retryer: aws.NopRetryer{}})),
		reflect.ValueOf(bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{Region: "us-east-1", HTTPClient: noNetwork{}, Retryer: aws.NopRetryer{}})),
	}
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			var want, got []string
			for _, m := range membersOfModel(reflect.TypeOf(op.in)) {
				if m.required {
					got = append(got, m.name)
				}
			}
			for _, client := range clients {
				call := client.MethodByName(op.name)
				if !call.IsValid() {
					continue
				}
				empty := reflect.New(call.Type().In(1).Elem())
				err, _ := call.Call([]reflect.Value{reflect.ValueOf(t.Context()), empty})[1].Interface().(error)
				if invalid, ok := errors.AsType[smithy.InvalidParamsError](err); ok {
					for _, e := range invalid.Errs() {
						// "missing required field, GetWorkloadIdentityInput.Name."
						_, field, _ := strings.Cut(strings.TrimSuffix(e.Error(), "."), ".")
						want = append(want, strings.ToLower(field[:1])+field[1:])
					}
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-SDK +ours:\n%s", diff)
			}
		})
	}
}

// noNetwork is for requests that must not leave the client.
type noNetwork struct{}

func (noNetwork) Do(*http.Request) (*http.Response, error) { return nil, errors.New("no network") }
