package sigv4_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	datatypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	controltypes "github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/sigv4"
)

// door is a real server that verifies every request at its own time and answers {}, or 403 and the reason.
type door struct {
	*httptest.Server
	verified     atomic.Int64
	sessionToken string // that every request must carry
}

func openDoor(t *testing.T, protocol string) *door {
	d := &door{}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = sigv4.Verify(r, body, service, time.Now(), func(ctx context.Context, c sigv4.Credential) (string, []byte, error) {
				if c.SessionToken.Reveal() != d.sessionToken {
					return "", nil, fmt.Errorf("the session token is %q", c.SessionToken.Reveal())
				}
				return lookup(ctx, c)
			})
		}
		if err == nil && r.Proto != protocol {
			err = errors.New("the request came over " + r.Proto)
		}
		if err != nil {
			http.Error(w, r.RequestURI+": "+err.Error(), http.StatusForbidden)
			return
		}
		d.verified.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	if protocol == "HTTP/2.0" {
		d.EnableHTTP2 = true
		d.StartTLS()
	} else {
		d.Start()
	}
	t.Cleanup(d.Close)
	return d
}

var protocols = []string{"HTTP/1.1", "HTTP/2.0"}

func TestVerifiesWhatTheSDKSigns(t *testing.T) {
	targets := []string{
		"/",
		"/identities/oauth2/token",
		"/tags/arn%3Aaws%3Abedrock-agentcore%3Aeu-central-1%3A123456789012%3Atoken-vault%2Fdefault%2Foauth2credentialprovider%2Fa",
		"/tags/arn%3Aaws?tagKeys=a&tagKeys=b",
		"/tags/arn%3Aaws?tagKeys=b&tagKeys=a%20c&tagKeys=a%2Bc&tagKeys=%2F&tagKeys=a-c&tagKeys=",
		"/tags/arn%3aaws?tagKeys=a+c&other=%c3%bc",
		"/tags/a%20b%C3%BC%25",
		"/tags/:@!$&'()*+,;=[]",
		"/a//b/../c/?x",
	}
	bodies := []string{"", "{}", strings.Repeat("{\"a\":\"ü\"}", 1_000)}
	extra := []http.Header{
		nil,
		{"Content-Type": {"application/json"}, "Amz-Sdk-Invocation-Id": {"4b1a7f0e"}, "Amz-Sdk-Request": {"attempt=1; max=3"}, "Accept-Encoding": {"gzip"}},
		{"X-Credence-Scope-Match": {"exact"}, "X-Credence-Reason": {" two  spaces "}, "X-Many": {"b", " a  a", ""}},
	}
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			d := openDoor(t, protocol)
			for _, d.sessionToken = range []string{"", "FwoGZXIvYXdzEXAMPLE//token+=="} {
				for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
					for _, target := range targets {
						for _, body := range bodies {
							for _, headers := range extra {
								for _, withHash := range []bool{false, true} {
									r, err := http.NewRequestWithContext(t.Context(), method, d.URL+target, strings.NewReader(body))
									if err != nil {
										t.Fatal(err)
									}
									for name, values := range headers {
										r.Header[name] = values
									}
									if withHash {
										r.Header.Set("X-Amz-Content-Sha256", sha256Hex(body))
									}
									sdkSign(t, r, body, d.sessionToken, time.Now())
									answer, err := d.Client().Do(r)
									if err != nil {
										t.Fatal(err)
									}
									reason, err := io.ReadAll(answer.Body)
									answer.Body.Close()
									if err != nil || answer.StatusCode != http.StatusOK {
										t.Fatalf("%s %s, body of %d, headers %v: %s%v", method, target, len(body), r.Header, reason, err)
									}
								}
							}
						}
					}
				}
			}
		})
	}
}

func sdkSign(t testing.TB, r *http.Request, body, sessionToken string, at time.Time) {
	t.Helper()
	c := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey, SessionToken: sessionToken}
	if err := v4.NewSigner().SignHTTP(t.Context(), c, r, sha256Hex(body), service, region, at); err != nil {
		t.Fatal(err)
	}
}

// Every operation of both planes, called through the SDK's own clients with every member set, most to a text that needs encoding wherever it goes.
func TestVerifiesEveryOperationOfTheSDKClients(t *testing.T) {
	data := []string{
		"CompleteResourceTokenAuth", "GetResourceApiKey", "GetResourceOauth2Token", "GetResourcePaymentToken", "GetWorkloadAccessToken",
		"GetWorkloadAccessTokenForJWT", "GetWorkloadAccessTokenForUserId",
	}
	control := []string{
		"CreateApiKeyCredentialProvider", "CreateConsentPortal", "CreateOauth2CredentialProvider", "CreatePaymentCredentialProvider", "CreateWorkloadIdentity",
		"DeleteApiKeyCredentialProvider", "DeleteConsentPortal", "DeleteOauth2CredentialProvider", "DeletePaymentCredentialProvider", "DeleteWorkloadIdentity",
		"GetApiKeyCredentialProvider", "GetConsentPortal", "GetOauth2CredentialProvider", "GetPaymentCredentialProvider", "GetTokenVault", "GetWorkloadIdentity",
		"ListApiKeyCredentialProviders", "ListConsentPortals", "ListOauth2CredentialProviders", "ListPaymentCredentialProviders", "ListTagsForResource",
		"ListWorkloadIdentities", "ResetTokenVaultKeyMaterial", "SetTokenVaultCMK", "TagResource", "UntagResource",
		"UpdateApiKeyCredentialProvider", "UpdateConsentPortal", "UpdateOauth2CredentialProvider", "UpdatePaymentCredentialProvider", "UpdateWorkloadIdentity",
	}
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			d := openDoor(t, protocol)
			d.sessionToken = "FwoGZXIvYXdzEXAMPLE//token+=="
			config := aws.Config{
				Region: region, BaseEndpoint: &d.URL, HTTPClient: d.Client(),
				Credentials: credentials.NewStaticCredentialsProvider(keyID, secretKey, d.sessionToken),
				Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
			}
			call := func(client any, operations []string) {
				for _, operation := range operations {
					t.Run(operation, func(t *testing.T) {
						before := d.verified.Load()
						method := reflect.ValueOf(client).MethodByName(operation)
						input := reflect.New(method.Type().In(1).Elem())
						fill(t, input.Elem())
						results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
						if err, _ := results[1].Interface().(error); err != nil {
							t.Error(err)
						}
						if n := d.verified.Load() - before; n != 1 {
							t.Errorf("%d requests were verified, want 1", n)
						}
					})
				}
			}
			call(bedrockagentcore.NewFromConfig(config), data)
			call(bedrockagentcorecontrol.NewFromConfig(config), control)
		})
	}
}

// unions has one member of each union that the inputs hold.
var unions = []any{
	&datatypes.UserIdentifierMemberUserId{},
	&datatypes.PaymentTokenRequestInputMemberCoinbaseCdpTokenRequest{},
	&controltypes.Oauth2ProviderConfigInputMemberCustomOauth2ProviderConfig{},
	&controltypes.Oauth2DiscoveryMemberDiscoveryUrl{},
	&controltypes.PrivateKeySourceMemberKmsKeySource{},
	&controltypes.PrivateEndpointMemberManagedVpcResource{},
	&controltypes.PaymentProviderConfigurationInputMemberCoinbaseCdpConfiguration{},
}

// fill sets every member of an SDK input.
func fill(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("a b/c:d+e~f%ü?&=;")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Interface:
		for _, member := range unions {
			if reflect.TypeOf(member).Implements(v.Type()) {
				filled := reflect.New(reflect.TypeOf(member).Elem())
				fill(t, filled.Elem())
				v.Set(filled)
				return
			}
		}
		t.Fatalf("no member of the union %s is known here", v.Type())
	default:
		t.Fatalf("a member of type %s", v.Type())
	}
}
