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
	if err := c.allowTagged(caller, "CreatePaymentCredentialProvider", in.Tags, arn, c.ARNs.Vault(caller.Account, iam.DefaultVault)); err != nil {
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
		if s.isZero() && !s.optional {
			return nil, fault.Invalid(s.path, "is required")
		}
	}
	if err := c.checkPaymentSecrets(ctx, caller.Account, secrets); err != nil {
		return nil, err
	}
	now := time.Now()
	p := vault.PaymentProvider{Config: config, Row: store.PaymentProvider{
		Account: caller.Account, Name: in.Name, Incarnation: rand.Text(), SecretAt: secrets[0].at, SigningKeyAt: secrets[1].at, CreatedAt: now, UpdatedAt: now,
	}}
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
	given
	optional bool
	parse    func(secret.String) (payment.Key, error) // nil: any text will do
	// changed reports whether the id that the secret belongs to is another one than before.
	changed func(before, after payment.Config) bool
}

// paymentSecrets are the secret and the signing key of a request, in this order.
type paymentSecrets [2]paymentSecret

func (s paymentSecrets) values() vault.PaymentSecrets {
	return vault.PaymentSecrets{Secret: s[0].value, SigningKey: s[1].value}
}

// paymentConfig takes a request apart.
func paymentConfig(vendor wire.PaymentVendor, in *wire.PaymentProviderConfigurationInput) (cfg payment.Config, s paymentSecrets, err error) {
	const path = "providerConfigurationInput"
	cfg.Vendor = vendor
	give := func(i int, member string, value *secret.String, source *wire.SecretSource, config *wire.SecretReference) {
		if err == nil {
			s[i].given, err = giveSecret(member, member, value, source, config)
		}
	}
	switch {
	case vendor == wire.VendorCoinbaseCDP && in.CoinbaseCdpConfiguration != nil:
		v := in.CoinbaseCdpConfiguration
		cfg.APIKeyID = v.ApiKeyId
		s = paymentSecrets{
			{parse: payment.ParseAPIKey, changed: func(a, b payment.Config) bool { return a.APIKeyID != b.APIKeyID }},
			{parse: payment.ParseWalletKey, changed: func(a, b payment.Config) bool { return false }, optional: true}, // of the project, whatever its API keys
		}
		give(0, path+".coinbaseCdpConfiguration.apiKeySecret", v.ApiKeySecret, v.ApiKeySecretSource, v.ApiKeySecretConfig)
		give(1, path+".coinbaseCdpConfiguration.walletSecret", v.WalletSecret, v.WalletSecretSource, v.WalletSecretConfig)
	case vendor == wire.VendorStripePrivy && in.StripePrivyConfiguration != nil:
		v := in.StripePrivyConfiguration
		cfg.AppID, cfg.AuthorizationID = v.AppId, v.AuthorizationId
		s = paymentSecrets{
			{changed: func(a, b payment.Config) bool { return a.AppID != b.AppID }},
			{parse: payment.ParseWalletKey, changed: func(a, b payment.Config) bool { return a.AppID != b.AppID || a.AuthorizationID != b.AuthorizationID }},
		}
		give(0, path+".stripePrivyConfiguration.appSecret", v.AppSecret, v.AppSecretSource, v.AppSecretConfig)
		give(1, path+".stripePrivyConfiguration.authorizationPrivateKey", v.AuthorizationPrivateKey, v.AuthorizationPrivateKeySource, v.AuthorizationPrivateKeyConfig)
	case vendor == wire.VendorCoinbaseCDP:
		err = fault.Invalid(path, "must have coinbaseCdpConfiguration, since credentialProviderVendor is %s", vendor)
	default:
		err = fault.Invalid(path, "must have stripePrivyConfiguration, since credentialProviderVendor is %s", vendor)
	}
	return cfg, s, err
}

// checkPaymentSecrets refuses keys that cannot sign, wherever they are kept.
func (c *Control) checkPaymentSecrets(ctx context.Context, account string, secrets paymentSecrets) error {
	for _, s := range secrets {
		value, err := c.look(ctx, account, s.given)
		if err != nil {
			return err
		}
		if s.parse == nil || value.IsZero() {
			continue
		}
		if _, err := s.parse(value); err != nil {
			return fault.Invalid(s.member(), "%v", err)
		}
	}
	return nil
}

// Where secrets that the vault keeps stand in what clients take for Secrets Manager secrets.
const (
	apiKeySecretJSONKey            = "api_key_secret"
	walletSecretJSONKey            = "wallet_secret"
	appSecretJSONKey               = "app_secret"
	authorizationPrivateKeyJSONKey = "authorization_private_key"
)

func (c *Control) describePaymentConfig(p *vault.PaymentProvider) *wire.PaymentProviderConfigurationOutput {
	arn := func(which string) string {
		return c.ARNs.PaymentSecret(p.Row.Account, string(p.Config.Vendor), p.Row.Name, which, p.Row.Incarnation)
	}
	if p.Config.Vendor == wire.VendorCoinbaseCDP {
		out := &wire.CoinbaseCdpConfigurationOutput{ApiKeyId: p.Config.APIKeyID}
		out.ApiKeySecretArn, out.ApiKeySecretJsonKey, out.ApiKeySecretSource = described(arn("apikeysecret"), apiKeySecretJSONKey, p.Row.SecretAt)
		out.WalletSecretArn, out.WalletSecretJsonKey, out.WalletSecretSource = described(arn("walletsecret"), walletSecretJSONKey, p.Row.SigningKeyAt)
		return &wire.PaymentProviderConfigurationOutput{CoinbaseCdpConfiguration: out}
	}
	out := &wire.StripePrivyConfigurationOutput{AppId: p.Config.AppID, AuthorizationId: p.Config.AuthorizationID}
	out.AppSecretArn, out.AppSecretJsonKey, out.AppSecretSource = described(arn("appsecret"), appSecretJSONKey, p.Row.SecretAt)
	out.AuthorizationPrivateKeyArn, out.AuthorizationPrivateKeyJsonKey, out.AuthorizationPrivateKeySource = described(arn("authorizationprivatekey"), authorizationPrivateKeyJSONKey, p.Row.SigningKeyAt)
	return &wire.PaymentProviderConfigurationOutput{StripePrivyConfiguration: out}
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
	if err := c.checkPaymentSecrets(ctx, caller.Account, secrets); err != nil {
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
		p = *current
		for i, at := range []*store.Reference{&p.Row.SecretAt, &p.Row.SigningKeyAt} {
			s := secrets[i]
			if s.isZero() && s.changed(current.Config, config) {
				return fault.Invalid(s.path, "is required when the id that it belongs to changes")
			}
			if err := s.checkKept(*at); err != nil {
				return err
			}
			if s.at != (store.Reference{}) {
				*at = s.at
			}
		}
		if p.Config == config && secrets[0].isZero() && secrets[1].isZero() {
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
