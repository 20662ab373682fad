package external

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"credence/internal/openbao"
)

// openbaoBackend is the KV engine, version 1 or 2, of OpenBao or HashiCorp Vault.
type openbaoBackend struct {
	mu      sync.Mutex
	clients map[string]*openbao.Client // by address
}

func (b *openbaoBackend) read(ctx context.Context, _ prefix, r reference) (members, error) {
	client, err := b.client(r)
	if err != nil {
		return nil, err
	}
	m, err := client.Read(ctx, r.path[0], strings.Join(r.path[1:], "/"))
	if e, ok := errors.AsType[*openbao.Error](err); ok {
		if e.Status == http.StatusNotFound {
			return nil, refusal{"OpenBao says that it does not exist, or that this server may not know", e}
		}
		return nil, refusal{"OpenBao refuses it", e}
	}
	return m, err
}

func (b *openbaoBackend) client(r reference) (*openbao.Client, error) {
	server := reference{scheme: r.scheme, authority: r.authority, path: []string{"x"}, query: r.query}
	address, _, err := openbao.ParseURI(server.String())
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.clients[address]; ok {
		return c, nil
	}
	cfg, err := openbao.FromEnv(address)
	if err != nil {
		return nil, err
	}
	c, err := openbao.New(cfg)
	if err != nil {
		return nil, err
	}
	if b.clients == nil {
		b.clients = map[string]*openbao.Client{}
	}
	b.clients[address] = c
	return c, nil
}
