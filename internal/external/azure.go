package external

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// azureBackend is Azure Key Vault.
type azureBackend struct {
	options azcore.ClientOptions // of tests
	login   azcore.TokenCredential

	mu      sync.Mutex
	clients map[string]*azsecrets.Client // by host; there is one identity, this process's own
}

func (b *azureBackend) read(ctx context.Context, _ prefix, r reference) (members, error) {
	client, err := b.client(r.authority)
	if err != nil {
		return nil, err
	}
	version := "" // the newest
	if len(r.path) == 3 {
		version = r.path[2]
	}
	out, err := client.GetSecret(ctx, r.path[1], version, nil)
	if err != nil {
		return nil, azureError(err)
	}
	if out.Value == nil {
		return nil, errors.New("the answer of Azure Key Vault has no value")
	}
	return objectOrText(r.path[1], []byte(*out.Value))
}

func (b *azureBackend) client(host string) (*azsecrets.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.clients[host]; ok {
		return c, nil
	}
	if b.login == nil {
		login, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return nil, fmt.Errorf("identity %s: %w", serverIdentity, err)
		}
		b.login = login
	}
	// The client gives its token to no host outside the domain that the vault's own challenge names.
	c, err := azsecrets.NewClient("https://"+host, b.login, &azsecrets.ClientOptions{ClientOptions: b.options})
	if err != nil {
		return nil, err
	}
	if b.clients == nil {
		b.clients = map[string]*azsecrets.Client{}
	}
	b.clients[host] = c
	return c, nil
}

func azureError(err error) error {
	if e, ok := errors.AsType[*azcore.ResponseError](err); ok {
		switch e.StatusCode {
		case http.StatusNotFound:
			return refusal{"Azure Key Vault says that it does not exist", nil}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
			return refusal{"Azure Key Vault refuses it", fmt.Errorf("status %d, %s", e.StatusCode, e.ErrorCode)}
		}
		return fmt.Errorf("status %d of Azure Key Vault, %s", e.StatusCode, e.ErrorCode)
	}
	_, login := errors.AsType[*azidentity.AuthenticationFailedError](err)
	if _, ok := errors.AsType[net.Error](err); ok || login {
		return err
	}
	return errors.New("for Azure Key Vault there is no login, or the answer is not of the documented form") // the error could quote the secret
}
