package control

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/payment"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/vault"
	"credence/internal/wire"
)

// CreatePaymentCredentialProvider keeps the keys that sign requests to a payment vendor. Each is looked at now: one that cannot sign is not kept.
func (c *Control) CreatePaymentCredentialProvider(ctx context.Context, caller iam.Caller, in *wire.CreatePaymentCredentialProviderInput) (*wire.CreatePaymentCredentialProviderOutput, error) {
	arn := c.ARNs.PaymentProvider(caller.Account, in.Name)
	if err := c.allow(caller, "CreatePaymentCredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	config, secrets, err := paymentConfig(in.CredentialProviderVendor, in.ProviderConfigurationInput)
	if err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	for _, s := range secrets {
		if s.value.IsZero() && !s.optional {
			return nil, fault.Invalid(s.path, "is required")
		}
	}
	now := time.Now()
	p := vault.PaymentProvider{
		Config: config,
		Row:    store.PaymentProvider{Account: caller.Account, Name: in.Name, Incarnation: rand.Text(), CreatedAt: now, UpdatedAt: now},
	}
	err = c.Vault.InsertPaymentProvider(ctx, p, secrets.values(), store.Tags{Resource: paymentProviderResource(in.Name), Values: in.Tags})
	if errors.Is(err, fault.Conflict) {
		return nil, fault.New(fault.Conflict, "A payment credential provider named %q already exists", in.Name)
	}
	if err != nil {
		return nil, err
	}
	return &wire.CreatePaymentCredentialProviderOutput{
		Name: in.Name, CredentialProviderVendor: config.Vendor, CredentialProviderArn: arn, ProviderConfigurationOutput: c.describePaymentConfig(&p),
	}, nil
}

// paymentSecret is one of the two secrets of a request.
type paymentSecret struct {
	path     string // of its member
	value    secret.String
	optional bool
	// changed reports whether the id that the secret belongs to is another one than before.
	changed func(before, after payment.Config) bool
}

// paymentSecrets are the secret and the signing key of a request, in this order.
type paymentSecrets [2]paymentSecret

func (s paymentSecrets) values() vault.PaymentSecrets {
	return vault.PaymentSecrets{Secret: s[0].value, SigningKey: s[1].value}
}

// paymentConfig takes a request apart, and refuses keys that cannot sign.
func paymentConfig(vendor wire.PaymentVendor, in *wire.PaymentProviderConfigurationInput) (cfg payment.Config, s paymentSecrets, err error) {
	const path = "providerConfigurationInput"
	cfg.Vendor = vendor
	checks := [2]func(secret.String) (payment.Key, error){nil, payment.ParseWalletKey}
	switch {
	case vendor == wire.VendorCoinbaseCDP && in.CoinbaseCdpConfiguration != nil:
		v := in.CoinbaseCdpConfiguration
		cfg.APIKeyID = v.ApiKeyId
		checks[0] = payment.ParseAPIKey
		s = paymentSecrets{
			{path: path + ".coinbaseCdpConfiguration.apiKeySecret", changed: func(a, b payment.Config) bool { return a.APIKeyID != b.APIKeyID }},
			{path: path + ".coinbaseCdpConfiguration.walletSecret", changed: func(a, b payment.Config) bool { return false }, optional: true}, // of the project, whatever its API keys
		}
		if s[0].value, err = managedAt(s[0].path, v.ApiKeySecret, v.ApiKeySecretSource, v.ApiKeySecretConfig); err != nil {
			return cfg, s, err
		}
		s[1].value, err = managedAt(s[1].path, v.WalletSecret, v.WalletSecretSource, v.WalletSecretConfig)
	case vendor == wire.VendorStripePrivy && in.StripePrivyConfiguration != nil:
		v := in.StripePrivyConfiguration
		cfg.AppID, cfg.AuthorizationID = v.AppId, v.AuthorizationId
		s = paymentSecrets{
			{path: path + ".stripePrivyConfiguration.appSecret", changed: func(a, b payment.Config) bool { return a.AppID != b.AppID }},
			{path: path + ".stripePrivyConfiguration.authorizationPrivateKey", changed: func(a, b payment.Config) bool { return a.AppID != b.AppID || a.AuthorizationID != b.AuthorizationID }},
		}
		if s[0].value, err = managedAt(s[0].path, v.AppSecret, v.AppSecretSource, v.AppSecretConfig); err != nil {
			return cfg, s, err
		}
		s[1].value, err = managedAt(s[1].path, v.AuthorizationPrivateKey, v.AuthorizationPrivateKeySource, v.AuthorizationPrivateKeyConfig)
	case vendor == wire.VendorCoinbaseCDP:
		return cfg, s, fault.Invalid(path, "must have coinbaseCdpConfiguration, since credentialProviderVendor is %s", vendor)
	default:
		return cfg, s, fault.Invalid(path, "must have stripePrivyConfiguration, since credentialProviderVendor is %s", vendor)
	}
	if err != nil {
		return cfg, s, err
	}
	for i, check := range checks {
		if check == nil || s[i].value.IsZero() {
			continue
		}
		if _, err := check(s[i].value); err != nil {
			return cfg, s, fault.Invalid(s[i].path, "%v", err)
		}
	}
	return cfg, s, nil
}

// managedAt is managed for members that are named alike.
func managedAt(path string, value *secret.String, source *wire.SecretSource, config *wire.SecretReference) (secret.String, error) {
	return managed(path, value, path+"Source", source, path+"Config", config)
}

// Where secrets stand in what clients take for Secrets Manager secrets.
const (
	apiKeySecretJSONKey            = "api_key_secret"
	walletSecretJSONKey            = "wallet_secret"
	appSecretJSONKey               = "app_secret"
	authorizationPrivateKeyJSONKey = "authorization_private_key"
)

func (c *Control) describePaymentConfig(p *vault.PaymentProvider) *wire.PaymentProviderConfigurationOutput {
	arn := func(which string) *wire.Secret {
		return &wire.Secret{SecretArn: c.ARNs.PaymentSecret(p.Row.Account, string(p.Config.Vendor), p.Row.Name, which, p.Row.Incarnation)}
	}
	if p.Config.Vendor == wire.VendorCoinbaseCDP {
		return &wire.PaymentProviderConfigurationOutput{CoinbaseCdpConfiguration: &wire.CoinbaseCdpConfigurationOutput{
			ApiKeyId:        p.Config.APIKeyID,
			ApiKeySecretArn: arn("apikeysecret"), ApiKeySecretJsonKey: new(apiKeySecretJSONKey), ApiKeySecretSource: new(wire.SourceManaged),
			WalletSecretArn: arn("walletsecret"), WalletSecretJsonKey: new(walletSecretJSONKey), WalletSecretSource: new(wire.SourceManaged),
		}}
	}
	return &wire.PaymentProviderConfigurationOutput{StripePrivyConfiguration: &wire.StripePrivyConfigurationOutput{
		AppId: p.Config.AppID, AuthorizationId: p.Config.AuthorizationID,
		AppSecretArn: arn("appsecret"), AppSecretJsonKey: new(appSecretJSONKey), AppSecretSource: new(wire.SourceManaged),
		AuthorizationPrivateKeyArn: arn("authorizationprivatekey"), AuthorizationPrivateKeyJsonKey: new(authorizationPrivateKeyJSONKey), AuthorizationPrivateKeySource: new(wire.SourceManaged),
	}}
}

// GetPaymentCredentialProvider tells a provider, without its secrets.
func (c *Control) GetPaymentCredentialProvider(ctx context.Context, caller iam.Caller, in *wire.GetPaymentCredentialProviderInput) (*wire.GetPaymentCredentialProviderOutput, error) {
	arn := c.ARNs.PaymentProvider(caller.Account, in.Name)
	if err := c.allow(caller, "GetPaymentCredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	p, err := c.Vault.PaymentProvider(ctx, caller.Account, in.Name)
	if err != nil {
		return nil, notFound(err, arn)
	}
	tags, err := c.Store.Tags(ctx, caller.Account, paymentProviderResource(in.Name))
	if err != nil {
		return nil, err
	}
	return &wire.GetPaymentCredentialProviderOutput{
		Name: p.Row.Name, CredentialProviderArn: arn, CredentialProviderVendor: p.Config.Vendor, ProviderConfigurationOutput: c.describePaymentConfig(p),
		CreatedTime: wire.Time{Time: p.Row.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.Row.UpdatedAt}, Tags: tags,
	}, nil
}

// ListPaymentCredentialProviders lists the providers of the account by name, at most 20 at a time.
func (c *Control) ListPaymentCredentialProviders(ctx context.Context, caller iam.Caller, in *wire.ListPaymentCredentialProvidersInput) (*wire.ListPaymentCredentialProvidersOutput, error) {
	const operation = "ListPaymentCredentialProviders"
	page, err := c.page(ctx, caller, operation, in.NextToken, in.MaxResults, 20)
	if err != nil {
		return nil, err
	}
	if err := c.allow(caller, operation, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	all, more, err := c.Vault.PaymentProviders(ctx, caller.Account, page)
	if err != nil {
		return nil, err
	}
	out := &wire.ListPaymentCredentialProvidersOutput{CredentialProviders: make([]wire.PaymentCredentialProviderItem, len(all))}
	for i, p := range all {
		out.CredentialProviders[i] = wire.PaymentCredentialProviderItem{
			Name: p.Row.Name, CredentialProviderVendor: p.Config.Vendor, CredentialProviderArn: c.ARNs.PaymentProvider(p.Row.Account, p.Row.Name),
			CreatedTime: wire.Time{Time: p.Row.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.Row.UpdatedAt},
		}
		page.After = p.Row.Name
	}
	out.NextToken, err = c.nextToken(ctx, caller.Account, operation, page.After, more)
	return out, err
}

// UpdatePaymentCredentialProvider replaces the configuration of a provider. A secret that is not given stays, unless the id that it belongs to changes.
func (c *Control) UpdatePaymentCredentialProvider(ctx context.Context, caller iam.Caller, in *wire.UpdatePaymentCredentialProviderInput) (*wire.UpdatePaymentCredentialProviderOutput, error) {
	arn := c.ARNs.PaymentProvider(caller.Account, in.Name)
	if err := c.allow(caller, "UpdatePaymentCredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	config, secrets, err := paymentConfig(in.CredentialProviderVendor, in.ProviderConfigurationInput)
	if err != nil {
		return nil, err
	}
	var p vault.PaymentProvider
	err = again(func() error {
		current, err := c.Vault.PaymentProvider(ctx, caller.Account, in.Name)
		if err != nil {
			return notFound(err, arn)
		}
		if config.Vendor != current.Config.Vendor {
			return fault.Invalid("credentialProviderVendor", "is %s, but provider %q was created with %s: delete it and create it anew to change the vendor", config.Vendor, in.Name, current.Config.Vendor)
		}
		for _, s := range secrets {
			if s.value.IsZero() && s.changed(current.Config, config) {
				return fault.Invalid(s.path, "is required when the id that it belongs to changes")
			}
		}
		p = *current
		if p.Config == config && secrets.values() == (vault.PaymentSecrets{}) {
			return nil // nothing is to be changed
		}
		p.Config, p.Row.UpdatedAt = config, time.Now()
		return c.Vault.UpdatePaymentProvider(ctx, p, secrets.values())
	})
	if err != nil {
		return nil, err
	}
	return &wire.UpdatePaymentCredentialProviderOutput{
		Name: p.Row.Name, CredentialProviderVendor: p.Config.Vendor, CredentialProviderArn: arn, ProviderConfigurationOutput: c.describePaymentConfig(&p),
		CreatedTime: wire.Time{Time: p.Row.CreatedAt}, LastUpdatedTime: wire.Time{Time: p.Row.UpdatedAt},
	}, nil
}

// DeletePaymentCredentialProvider removes a provider with its secrets.
func (c *Control) DeletePaymentCredentialProvider(_ context.Context, caller iam.Caller, in *wire.DeletePaymentCredentialProviderInput) (*wire.DeletePaymentCredentialProviderOutput, error) {
	arn := c.ARNs.PaymentProvider(caller.Account, in.Name)
	if err := c.allow(caller, "DeletePaymentCredentialProvider", arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
		return nil, err
	}
	return &wire.DeletePaymentCredentialProviderOutput{}, notFound(c.Vault.DeletePaymentProvider(caller.Account, in.Name, paymentProviderResource(in.Name)), arn)
}
