package external

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

// awsBackend is AWS Secrets Manager.
type awsBackend struct {
	mu      sync.Mutex
	clients map[awsClient]*secretsmanager.Client
}

// awsClient is what a client is made for.
type awsClient struct {
	region   string
	identity identity
	endpoint string
}

func (b *awsBackend) read(ctx context.Context, p prefix, r reference) (members, error) {
	client, err := b.client(ctx, awsClient{r.region(), p.identity, p.endpoint})
	if err != nil {
		return nil, err
	}
	arn := r.arn()
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return nil, awsError(err)
	}
	// AWS completes an ARN without its suffix. What it found must be the secret that was allowed.
	if found := aws.ToString(out.ARN); found != arn {
		if suffix, ok := strings.CutPrefix(found, arn+"-"); !ok || len(suffix) != 6 || strings.ContainsAny(suffix, "/-") {
			return nil, refusal{"AWS answered with another secret", nil}
		}
	}
	if out.SecretString != nil {
		return object([]byte(*out.SecretString))
	}
	return object(out.SecretBinary)
}

func (b *awsBackend) client(ctx context.Context, k awsClient) (*secretsmanager.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.clients[k]; ok {
		return c, nil
	}
	_, profile, named := strings.Cut(string(k.identity), ":")
	options := []func(*config.LoadOptions) error{config.WithRegion(k.region)}
	if named {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err == nil && named && !slices.ContainsFunc(cfg.ConfigSources, hasCredentials) {
		err = errors.New("the profile has no credentials of its own")
	}
	if err != nil {
		return nil, refusal{fmt.Sprintf("this server has no identity %s for AWS", k.identity), err}
	}
	c := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		if k.endpoint != "" {
			o.BaseEndpoint = &k.endpoint
		}
	})
	if b.clients == nil {
		b.clients = map[awsClient]*secretsmanager.Client{}
	}
	b.clients[k] = c
	return c, nil
}

// hasCredentials reports whether a source of the configuration is a profile with credentials, down to the one that its roles begin with: without, the SDK would
// go on with those of the process.
func hasCredentials(source any) bool {
	p, ok := source.(config.SharedConfig)
	for ; ok && p.Source != nil; p = *p.Source {
	}
	return ok && (p.Credentials.HasKeys() || p.CredentialSource+p.CredentialProcess+p.WebIdentityTokenFile+p.SSOAccountID+p.LoginSession != "")
}

func awsError(err error) error {
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return refusal{"AWS Secrets Manager says that it does not exist", nil}
	}
	e, ok := errors.AsType[smithy.APIError](err)
	if _, answered := errors.AsType[*smithy.DeserializationError](err); answered {
		return errors.New("the answer of AWS Secrets Manager is not of the documented form") // the error could quote the secret
	}
	if !ok {
		return err
	}
	switch e.ErrorCode() {
	case "AccessDeniedException", "InvalidRequestException", "InvalidParameterException", "DecryptionFailure", "UnrecognizedClientException", "InvalidClientTokenId", "ExpiredTokenException", "ValidationException":
		return refusal{"AWS Secrets Manager refuses it with " + e.ErrorCode(), nil}
	}
	return fmt.Errorf("%s of AWS Secrets Manager", e.ErrorCode())
}
