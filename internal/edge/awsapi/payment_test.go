package awsapi_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcore"
	data "github.com/aws/aws-sdk-go-v2/service/bedrockagentcore/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"

	"credence/internal/audit"
	"credence/internal/testenv"
)

// The keys of two payment vendors' customers.
const privySecret = "planted-privy-app-secret"

var (
	edPrivate, edKey = newEd()
	ecPrivate, ecKey = newEC()
)

func newEd() (ed25519.PrivateKey, string) {
	_, k, _ := ed25519.GenerateKey(rand.Reader) // never fails
	return k, base64.StdEncoding.EncodeToString(k)
}

func newEC() (*ecdsa.PrivateKey, string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	return k, base64.StdEncoding.EncodeToString(der)
}

func privyConfig() types.PaymentProviderConfigurationInput {
	return &types.PaymentProviderConfigurationInputMemberStripePrivyConfiguration{Value: types.StripePrivyConfigurationInput{
		AppId: aws.String("app-1"), AppSecret: aws.String(privySecret), AuthorizationId: aws.String("quorum-1"), AuthorizationPrivateKey: aws.String("wallet-auth:" + ecKey),
	}}
}

func verified(t *testing.T, token string, check func(signed, signature []byte) bool) (claims struct {
	URIs    []string
	ReqHash string
	Exp     int64
}) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	if !check([]byte(parts[0]+"."+parts[1]), signature) {
		t.Error("the signature is wrong")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// An agent pays through the AWS SDK: both vendors from creation to tokens, each verified with the public half of its key.
func TestPayments(t *testing.T) {
	e := testenv.Start(t)
	e.Plant(edKey, ecKey, privySecret)
	p, ctx := e.Admin, t.Context()
	p.CreateWorkload("agent")
	p.CreatePayment("coinbase", &types.PaymentProviderConfigurationInputMemberCoinbaseCdpConfiguration{Value: types.CoinbaseCdpConfigurationInput{
		ApiKeyId: aws.String("key-1"), ApiKeySecret: aws.String(edKey), WalletSecret: aws.String(ecKey),
	}})
	p.CreatePayment("privy", privyConfig())
	got, err := p.Control().GetPaymentCredentialProvider(ctx, &bedrockagentcorecontrol.GetPaymentCredentialProviderInput{Name: aws.String("coinbase")})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := got.ProviderConfigurationOutput.(*types.PaymentProviderConfigurationOutputMemberCoinbaseCdpConfiguration); !ok || *c.Value.ApiKeyId != "key-1" ||
		c.Value.WalletSecretArn == nil || time.Since(*got.CreatedTime).Abs() > time.Minute {
		t.Errorf("%+v", got)
	}

	for _, user := range []string{"", "alice"} {
		before := len(e.Audit(testenv.Account))
		wat := p.WAT("agent", user)
		out, err := p.Data().GetResourcePaymentToken(ctx, &bedrockagentcore.GetResourcePaymentTokenInput{
			WorkloadIdentityToken: wat, ResourceCredentialProviderName: aws.String("coinbase"),
			PaymentTokenRequest: &data.PaymentTokenRequestInputMemberCoinbaseCdpTokenRequest{Value: data.CoinbaseCdpTokenRequestInput{
				RequestMethod: data.PaymentHttpMethodTypePost, RequestPath: aws.String("/platform/v2/evm/accounts"), IncludeWalletAuthToken: true, RequestBody: aws.String(`{"name": "planted-body"}`),
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens := out.PaymentTokenResponse.(*data.PaymentTokenResponseOutputMemberCoinbaseCdpTokenResponse).Value
		e.Plant(*tokens.BearerToken, *tokens.WalletAuthToken, "planted-body")
		const uri = "POST api.cdp.coinbase.com/platform/v2/evm/accounts"
		bearer := verified(t, *tokens.BearerToken, func(signed, signature []byte) bool {
			return ed25519.Verify(edPrivate.Public().(ed25519.PublicKey), signed, signature)
		})
		if len(bearer.URIs) != 1 || bearer.URIs[0] != uri || time.Until(time.Unix(bearer.Exp, 0)) > 2*time.Minute {
			t.Errorf("%+v", bearer)
		}
		wallet := verified(t, *tokens.WalletAuthToken, func(signed, signature []byte) bool {
			sum := sha256.Sum256(signed)
			return len(signature) == 64 && ecdsa.Verify(&ecPrivate.PublicKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		})
		if len(wallet.URIs) != 1 || wallet.URIs[0] != uri || wallet.ReqHash != fmt.Sprintf("%x", sha256.Sum256([]byte(`{"name":"planted-body"}`))) {
			t.Errorf("%+v", wallet)
		}

		out, err = p.Data().GetResourcePaymentToken(ctx, &bedrockagentcore.GetResourcePaymentTokenInput{
			WorkloadIdentityToken: wat, ResourceCredentialProviderName: aws.String("privy"),
			PaymentTokenRequest: &data.PaymentTokenRequestInputMemberStripePrivyTokenRequest{Value: data.StripePrivyTokenRequestInput{
				RequestPath: aws.String("/v1/wallets/w/rpc"), RequestBody: aws.String(`{"params":{"hash":"0x1"},"method":"secp256k1_sign"}`), IncludeAuthorizationSignature: true,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		answer := out.PaymentTokenResponse.(*data.PaymentTokenResponseOutputMemberStripePrivyTokenResponse).Value
		e.Plant(*answer.AuthorizationSignature, *answer.BasicAuthToken)
		covered := fmt.Sprintf(`{"body":{"method":"secp256k1_sign","params":{"hash":"0x1"}},"headers":{"privy-app-id":"app-1","privy-request-expiry":"%d"},"method":"POST","url":"https://api.privy.io/v1/wallets/w/rpc","version":1}`, *answer.RequestExpiry)
		sum := sha256.Sum256([]byte(covered))
		der, err := base64.StdEncoding.DecodeString(*answer.AuthorizationSignature)
		if err != nil || !ecdsa.VerifyASN1(&ecPrivate.PublicKey, sum[:], der) || *answer.AppId != "app-1" || *answer.BasicAuthToken != base64.StdEncoding.EncodeToString([]byte("app-1:"+privySecret)) {
			t.Errorf("%+v, %v", answer, err)
		}
		events := e.Audit(testenv.Account)[before:]
		text, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		if last := events[len(events)-1]; last.Action != "bedrock-agentcore:GetResourcePaymentToken" || last.Outcome != audit.Allowed || last.Workload != "agent" || len(last.Resources) != 4 ||
			strings.Contains(string(text), "planted") || strings.Contains(string(text), *tokens.BearerToken) {
			t.Errorf("recorded %s", text)
		}
	}
}
