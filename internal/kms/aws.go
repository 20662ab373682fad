package kms

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// awsKey is a key of AWS KMS. The endpoint is the ARN's region's, or what AWS_ENDPOINT_URL_KMS says: it is not in the URI, since whoever may register a key
// must not choose who gets to see what it wraps.
type awsKey struct {
	arn, account string
	api          *kms.Client
	who          *sts.Client
}

func openAWS(ctx context.Context, arn, region, account string) (backend, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return nil, err
	}
	if c.HTTPClient == nil {
		c.HTTPClient = awshttp.NewBuildableClient()
	}
	c.HTTPClient = cappedClient{c.HTTPClient}
	return &awsKey{arn, account, kms.NewFromConfig(c), sts.NewFromConfig(c)}, nil
}

type cappedClient struct{ aws.HTTPClient }

func (c cappedClient) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.HTTPClient.Do(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	}
	return resp, err
}

// encryptionContext is bound as AWS wants it: short text, which its logs show.
func encryptionContext(bound []byte) map[string]string {
	sum := sha256.Sum256(bound)
	return map[string]string{"credence:bound": base64.RawURLEncoding.EncodeToString(sum[:])}
}

func (k *awsKey) wrap(ctx context.Context, plaintext, bound []byte) ([]byte, error) {
	out, err := k.api.Encrypt(ctx, &kms.EncryptInput{KeyId: &k.arn, Plaintext: plaintext, EncryptionContext: encryptionContext(bound)})
	if err != nil {
		return nil, awsError(err)
	}
	return out.CiphertextBlob, nil
}

func (k *awsKey) unwrap(ctx context.Context, sealed, bound []byte) ([]byte, error) {
	out, err := k.api.Decrypt(ctx, &kms.DecryptInput{KeyId: &k.arn, CiphertextBlob: sealed, EncryptionContext: encryptionContext(bound)})
	if err != nil {
		return nil, awsError(err)
	}
	return out.Plaintext, nil
}

var awsAlgs = map[string]types.SigningAlgorithmSpec{
	"RS256": types.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
	"PS256": types.SigningAlgorithmSpecRsassaPssSha256,
	"ES256": types.SigningAlgorithmSpecEcdsaSha256,
}

func (k *awsKey) sign(ctx context.Context, alg string, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	out, err := k.api.Sign(ctx, &kms.SignInput{KeyId: &k.arn, Message: sum[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: awsAlgs[alg]})
	if err != nil {
		return nil, awsError(err)
	}
	if alg == "ES256" {
		return joseForm(out.Signature)
	}
	return out.Signature, nil
}

func (k *awsKey) public(ctx context.Context) (crypto.PublicKey, error) {
	out, err := k.api.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &k.arn})
	if err != nil {
		return nil, awsError(err)
	}
	return x509.ParsePKIXPublicKey(out.PublicKey)
}

func (k *awsKey) describe(ctx context.Context) (*types.KeyMetadata, error) {
	out, err := k.api.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.arn})
	if err != nil {
		return nil, awsError(err)
	}
	if out.KeyMetadata == nil || aws.ToString(out.KeyMetadata.Arn) != k.arn {
		return nil, errors.New("awskms: AWS KMS answered for another key")
	}
	return out.KeyMetadata, nil
}

func (k *awsKey) state(ctx context.Context) (State, error) {
	m, err := k.describe(ctx)
	if _, gone := errors.AsType[*types.NotFoundException](err); gone {
		// Only the account that owned the key can know.
		who, whoErr := k.who.GetCallerIdentity(ctx, nil)
		if whoErr != nil {
			return "", fmt.Errorf("awskms: AWS KMS does not find it, and AWS STS does not say in which account: %w", whoErr)
		}
		if aws.ToString(who.Account) != k.account {
			return "", fmt.Errorf("awskms: AWS KMS does not find it, but the credentials are of account %s: use those of account %s", aws.ToString(who.Account), k.account)
		}
		return Deleted, nil
	}
	if err != nil {
		return "", err
	}
	switch m.KeyState {
	case types.KeyStateEnabled, types.KeyStateUpdating:
		return Enabled, nil
	case types.KeyStateDisabled:
		return Disabled, nil
	case types.KeyStatePendingDeletion, types.KeyStatePendingReplicaDeletion:
		return PendingDeletion, nil
	}
	return "", fmt.Errorf("awskms: AWS KMS says that it is %s", m.KeyState)
}

func (k *awsKey) spec(ctx context.Context) (Spec, error) {
	m, err := k.describe(ctx)
	if err != nil {
		return "", err
	}
	spec := Spec(m.KeySpec)
	can, known := algs[spec]
	use := types.KeyUsageTypeEncryptDecrypt
	if len(can) > 0 {
		use = types.KeyUsageTypeSignVerify
	}
	if !known || m.KeyUsage != use {
		return "", refuse("it is a key of spec %s for %s; supported are SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT, and RSA_2048, RSA_3072, RSA_4096 and ECC_NIST_P256 for SIGN_VERIFY", m.KeySpec, m.KeyUsage)
	}
	return spec, nil
}

// awsOutages are the client errors that say nothing about the key: come again, or our own credentials or clock are at fault.
var awsOutages = map[string]bool{
	"ThrottlingException": true, "Throttling": true, "LimitExceededException": true, "RequestLimitExceeded": true, "TooManyRequestsException": true,
	"RequestTimeout": true, "RequestExpired": true, "RequestTimeTooSkewed": true, "InvalidSignatureException": true, "SignatureDoesNotMatch": true,
	"ExpiredTokenException": true, "ExpiredToken": true, "UnrecognizedClientException": true, "InvalidClientTokenId": true, "IncompleteSignature": true,
}

func awsError(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	var answer *awshttp.ResponseError
	if !ok || !errors.As(err, &answer) || answer.HTTPStatusCode() < 400 || answer.HTTPStatusCode() > 499 || answer.HTTPStatusCode() == http.StatusTooManyRequests {
		return err
	}
	if code := api.ErrorCode(); awsOutages[code] || code == "" || code == "UnknownError" { // the last: not in the form of AWS
		return err
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}
