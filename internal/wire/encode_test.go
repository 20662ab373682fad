package wire

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	datatypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"credence/internal/secret"
	"credence/internal/wire/wiretest"
)

func TestEncode(t *testing.T) {
	at := Time{time.UnixMilli(1700000000123)}
	for name, c := range map[string]struct {
		out  any
		want string
	}{
		"nothing":                       {nil, `{}`},
		"no members":                    {&DeleteWorkloadIdentityOutput{}, `{}`},
		"absent members are left out":   {&GetResourceOauth2TokenOutput{AccessToken: "t"}, `{"accessToken":"t"}`},
		"a required list is never null": {&ListWorkloadIdentitiesOutput{}, `{"workloadIdentities":[]}`},
		"nor is one inside": {
			&ListTrustedIssuersOutput{TrustedIssuers: []TrustedIssuer{{Issuer: "i", CreatedTime: at}}},
			`{"trustedIssuers":[{"issuer":"i","audiences":[],"userKeyClaims":[],"createdTime":1700000000.123}]}`,
		},
		"an empty list is not absent": {
			&CreateWorkloadIdentityOutput{Name: "n", WorkloadIdentityArn: "a", AllowedResourceOauth2ReturnUrls: []string{}},
			`{"name":"n","workloadIdentityArn":"a","allowedResourceOauth2ReturnUrls":[]}`,
		},
		"no HTML escapes": {&GetResourceApiKeyOutput{ApiKey: "<&>\"é"}, `{"apiKey":"<&>\"é"}`},
		"extension members": {
			&GetResourceOauth2TokenOutput{AccessToken: "t", AccessTokenExpiresAt: &at, GrantedScopes: []string{"a"}, TokenType: "Bearer"},
			`{"accessToken":"t","accessTokenExpiresAt":1700000000.123,"grantedScopes":["a"],"tokenType":"Bearer"}`,
		},
		"a defined copy of an output": {&GetWorkloadAccessTokenForJWTOutput{WorkloadAccessToken: "w"}, `{"workloadAccessToken":"w"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Encode(c.out)
			if err != nil || string(got) != c.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, got, c.want)
			}
		})
	}
	t.Run("a required structure that is nil is an error", func(t *testing.T) {
		_, err := Encode(&GetOauth2CredentialProviderOutput{ClientSecretArn: &Secret{}, Oauth2ProviderConfigOutput: &Oauth2ProviderConfigOutput{
			GithubOauth2ProviderConfig: &VendorOauth2ProviderConfigOutput{},
		}})
		want := "encode wire.GetOauth2CredentialProviderOutput: oauth2ProviderConfigOutput: githubOauth2ProviderConfig: oauthDiscovery is required"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

// Texts are written as encoding/json writes them without escapes for HTML.
func TestEncodeTextAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		var want strings.Builder
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(map[string]string{"apiKey": text}); err != nil {
			t.Fatal(err)
		}
		got, err := Encode(&GetResourceApiKeyOutput{ApiKey: text})
		if err != nil || string(got)+"\n" != want.String() {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, want.String())
		}
	})
}

// What is optional is left out when it is absent, in every output: no client expects null.
func TestNoOutputHoldsNull(t *testing.T) {
	for _, op := range allOperations() {
		smallest, out := wiretest.ShapeOf(op.out).Smallest(), newOf(op.out)
		if err := json.Unmarshal(marshal(t, smallest), out); err != nil {
			t.Fatalf("%s: %v", op.name, err)
		}
		if err := Validate(out); err != nil {
			t.Errorf("%s: the smallest output is not valid: %v", op.name, err)
		}
		got, err := Encode(out)
		if err != nil {
			t.Fatal(err)
		}
		var parsed map[string]any
		if err := json.Unmarshal(got, &parsed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(toJSON(t, smallest), parsed); diff != "" {
			t.Errorf("%s: -want +got:\n%s", op.name, diff)
		}
	}
}

func toJSON(t *testing.T, v any) (parsed map[string]any) {
	t.Helper()
	if err := json.Unmarshal(marshal(t, v), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestTime(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want string
	}{
		{time.Unix(1700000000, 0), `1700000000`},
		{time.Unix(1700000000, 123_999_999), `1700000000.123`},
		{time.Unix(1700000000, 100_000_000), `1700000000.1`},
		{time.Unix(0, 0), `0`},
		{time.Unix(-1, 500_000_000), `-0.5`},
		{time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC), `253402300799.999`},
	} {
		got, err := json.Marshal(Time{c.t})
		if err != nil || string(got) != c.want {
			t.Errorf("%v: got %s %v, want %s", c.t, got, err, c.want)
		}
		var back Time
		if err := json.Unmarshal(got, &back); err != nil || !back.Equal(c.t.Truncate(time.Millisecond)) {
			t.Errorf("%s: read back as %v, %v", got, back, err)
		}
	}
	var finer Time
	if err := json.Unmarshal([]byte(`1700000000.9996`), &finer); err != nil || !finer.Equal(time.Unix(1700000001, 0)) {
		t.Errorf("what is finer than a millisecond is not rounded: %v, %v", finer, err)
	}
	for _, bad := range []string{`"1700000000"`, `1e300`, `-1e300`, `true`, `{}`} {
		if err := json.Unmarshal([]byte(bad), new(Time)); err == nil || !strings.Contains(err.Error(), "must be seconds since 1970") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// The AWS SDK writes what Decode reads, and reads what Encode writes.
func TestTheSDKSpeaksWithUs(t *testing.T) {
	discovery := &Oauth2Discovery{DiscoveryUrl: new("https://idp.example/.well-known/openid-configuration")}
	at := time.UnixMilli(1700000000123).UTC()
	arn := "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default/oauth2credentialprovider/idp"
	secretArn := "arn:aws:secretsmanager:us-east-1:123456789012:secret:bedrock-agentcore-identity!default/oauth2/idp-AbCdEf"

	t.Run("CreateOauth2CredentialProvider", func(t *testing.T) {
		var in CreateOauth2CredentialProviderInput
		endpoint := serve(t, &in, 201, &CreateOauth2CredentialProviderOutput{
			ClientSecretArn: &Secret{SecretArn: secretArn}, Name: "idp", CredentialProviderArn: arn, Status: new(StatusReady), Oauth2ProviderOptions: Oauth2ProviderOptions{Confirm: new(ConfirmFirst)},
			Oauth2ProviderConfigOutput: &Oauth2ProviderConfigOutput{CustomOauth2ProviderConfig: &CustomOauth2ProviderConfigOutput{
				OauthDiscovery: discovery, PrivateKeyJwtConfig: &PrivateKeyJwtConfigOutput{AdditionalPayloadClaims: map[string]string{"a": "b"}},
			}},
		})
		got, err := control(endpoint).CreateOauth2CredentialProvider(t.Context(), &bedrockagentcorecontrol.CreateOauth2CredentialProviderInput{
			Name: new("idp"), CredentialProviderVendor: types.CredentialProviderVendorTypeCustomOauth2, Tags: map[string]string{"team": "a"},
			Oauth2ProviderConfigInput: &types.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{Value: types.CustomOauth2ProviderConfigInput{
				OauthDiscovery: &types.Oauth2DiscoveryMemberDiscoveryUrl{Value: *discovery.DiscoveryUrl}, ClientId: new("c"), ClientSecret: new("s"),
				PrivateKeyJwtConfig: &types.PrivateKeyJwtConfig{AdditionalPayloadClaims: map[string]string{"a": "b"}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		wantIn := CreateOauth2CredentialProviderInput{
			Name: "idp", CredentialProviderVendor: VendorCustomOauth2, Tags: map[string]string{"team": "a"},
			Oauth2ProviderConfigInput: &Oauth2ProviderConfigInput{CustomOauth2ProviderConfig: &CustomOauth2ProviderConfigInput{
				OauthDiscovery: discovery, ClientId: new("c"), ClientSecret: new(secret.New("s")),
				PrivateKeyJwtConfig: &PrivateKeyJwtConfig{AdditionalPayloadClaims: map[string]secret.String{"a": secret.New("b")}},
			}},
		}
		if diff := cmp.Diff(wantIn, in, exact); diff != "" {
			t.Errorf("input -sent +decoded:\n%s", diff)
		}
		wantOut := &bedrockagentcorecontrol.CreateOauth2CredentialProviderOutput{
			ClientSecretArn: &types.Secret{SecretArn: &secretArn}, Name: new("idp"), CredentialProviderArn: &arn, Status: types.StatusReady,
			Oauth2ProviderConfigOutput: &types.Oauth2ProviderConfigOutputMemberCustomOauth2ProviderConfig{Value: types.CustomOauth2ProviderConfigOutput{
				OauthDiscovery:      &types.Oauth2DiscoveryMemberDiscoveryUrl{Value: *discovery.DiscoveryUrl},
				PrivateKeyJwtConfig: &types.PrivateKeyJwtConfig{AdditionalPayloadClaims: map[string]string{"a": "b"}},
			}},
		}
		if diff := cmp.Diff(wantOut, got, ignoreSDK(*wantOut, types.Secret{}, types.CustomOauth2ProviderConfigOutput{}, types.PrivateKeyJwtConfig{},
			types.Oauth2ProviderConfigOutputMemberCustomOauth2ProviderConfig{}, types.Oauth2DiscoveryMemberDiscoveryUrl{})...); diff != "" {
			t.Errorf("output -encoded +read:\n%s", diff)
		}
	})
	t.Run("ListOauth2CredentialProviders", func(t *testing.T) {
		var in ListOauth2CredentialProvidersInput
		endpoint := serve(t, &in, 200, &ListOauth2CredentialProvidersOutput{CredentialProviders: []Oauth2CredentialProviderItem{
			{Name: "idp", CredentialProviderVendor: VendorAuth0Oauth2, CredentialProviderArn: arn, CreatedTime: Time{at}, LastUpdatedTime: Time{at.Truncate(time.Second)}},
		}})
		got, err := control(endpoint).ListOauth2CredentialProviders(t.Context(), &bedrockagentcorecontrol.ListOauth2CredentialProvidersInput{MaxResults: new(int32(7))})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ListOauth2CredentialProvidersInput{MaxResults: new(int32(7))}, in); diff != "" {
			t.Errorf("input -sent +decoded:\n%s", diff)
		}
		wantOut := []types.Oauth2CredentialProviderItem{{
			Name: new("idp"), CredentialProviderVendor: types.CredentialProviderVendorTypeAuth0Oauth2, CredentialProviderArn: &arn,
			CreatedTime: &at, LastUpdatedTime: new(at.Truncate(time.Second)),
		}}
		if diff := cmp.Diff(wantOut, got.CredentialProviders, ignoreSDK(types.Oauth2CredentialProviderItem{})...); diff != "" {
			t.Errorf("output -encoded +read:\n%s", diff)
		}
	})
	t.Run("GetResourceOauth2Token", func(t *testing.T) {
		var in GetResourceOauth2TokenInput
		endpoint := serve(t, &in, 200, &GetResourceOauth2TokenOutput{
			AuthorizationUrl: "https://credence.example/a?b=c&d", SessionUri: new("urn:ietf:params:oauth:request_uri:x"), SessionStatus: new(SessionInProgress),
			AccessTokenExpiresAt: &Time{at}, GrantedScopes: []string{"a"}, TokenType: "Bearer",
		})
		client := bedrockagentcore.New(bedrockagentcore.Options{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: anyCredentials})
		got, err := client.GetResourceOauth2Token(t.Context(), &bedrockagentcore.GetResourceOauth2TokenInput{
			WorkloadIdentityToken: new("w"), ResourceCredentialProviderName: new("idp"), Scopes: []string{}, Oauth2Flow: datatypes.Oauth2FlowTypeM2m,
			ForceAuthentication: new(true), CustomParameters: map[string]string{"prompt": "consent"}, CustomState: new("st"), Audiences: []string{"a", "b"},
		})
		if err != nil {
			t.Fatal(err)
		}
		wantIn := GetResourceOauth2TokenInput{
			WorkloadIdentityToken: secret.New("w"), ResourceCredentialProviderName: "idp", Scopes: []string{}, Oauth2Flow: FlowM2M,
			ForceAuthentication: new(true), CustomParameters: map[string]secret.String{"prompt": secret.New("consent")},
			CustomState: new(secret.New("st")), Audiences: []string{"a", "b"},
		}
		if diff := cmp.Diff(wantIn, in, exact); diff != "" {
			t.Errorf("input -sent +decoded:\n%s", diff)
		}
		wantOut := &bedrockagentcore.GetResourceOauth2TokenOutput{
			AuthorizationUrl: new("https://credence.example/a?b=c&d"), SessionUri: new("urn:ietf:params:oauth:request_uri:x"),
			SessionStatus: datatypes.SessionStatusInProgress,
		}
		if diff := cmp.Diff(wantOut, got, ignoreSDK(*wantOut)...); diff != "" {
			t.Errorf("output -encoded +read:\n%s", diff)
		}
	})
}

var anyCredentials = credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", "")

func control(endpoint string) *bedrockagentcorecontrol.Client {
	return bedrockagentcorecontrol.New(bedrockagentcorecontrol.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: anyCredentials, Retryer: aws.NopRetryer{},
	})
}

// ignoreSDK ignores what the SDK adds to answers and types.
func ignoreSDK(structs ...any) []cmp.Option {
	return []cmp.Option{cmpopts.IgnoreUnexported(structs...), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ResultMetadata" }, cmp.Ignore())}
}

// serve starts a server that decodes one request into in and answers out; the result is its URL.
func serve(t *testing.T, in any, status int, out any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := Decode(body, &Outside{Header: r.Header}, in); err != nil {
			t.Error(err)
		}
		answer, err := Encode(out)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
