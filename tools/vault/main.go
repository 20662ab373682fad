// Command vault is HashiCorp Vault with the engines that the tests use: in memory, unsealed, on a port of its own. It prints its address and its root token.
//
// It is 1.13, under the MPL and the newest that builds as a dependency, since its `sdk` is a module of its own; OpenBao's server cannot be had as a module.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var (
	engines = map[string]logical.Factory{"transit": transit.Factory, "kv": kv.Factory}
	logins  = map[string]logical.Factory{"approle": approle.Factory}
)

// builtin are the plugins that are compiled in.
type builtin struct{}

func (builtin) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	of := engines
	if kind == consts.PluginTypeCredential {
		of = logins
	}
	f, ok := of[name]
	return func() (any, error) { return f, nil }, ok
}

func (b builtin) Contains(name string, kind consts.PluginType) bool {
	_, ok := b.Get(name, kind)
	return ok
}

func (builtin) Keys(consts.PluginType) []string { return nil }

func (builtin) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}

func run() error {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Error})
	storage, err := inmem.NewInmem(nil, log)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, Logger: log, DisableMlock: true,
		LogicalBackends: engines, CredentialBackends: logins, BuiltinRegistry: builtin{},
	})
	if err != nil {
		return err
	}
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	made, err := core.Initialize(context.Background(), &vault.InitParams{BarrierConfig: one, RecoveryConfig: one})
	if err != nil {
		return err
	}
	if _, err := core.Unseal(made.SecretShares[0]); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr(), made.RootToken)
	return http.Serve(l, vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}}))
}
