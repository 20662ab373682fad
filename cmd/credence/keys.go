package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"credence/internal/wire"
)

type keysCommand struct {
	Create       keysCreateCommand       `cmd:"" help:"Make a key, or register one that is elsewhere."`
	List         keysListCommand         `cmd:"" help:"List keys."`
	Describe     keysDescribeCommand     `cmd:"" help:"Show a key, with its state as its key management service has it."`
	Enable       keysEnableCommand       `cmd:"" help:"Have a disabled key used again."`
	Disable      keysDisableCommand      `cmd:"" help:"Have a key used no more; a token vault that it seals is closed until it is enabled."`
	Delete       keysDeleteCommand       `cmd:"" help:"Destroy a key that is kept here, for ever, or forget one that is elsewhere."`
	PublicKey    keysPublicKeyCommand    `cmd:"" name:"public-key" help:"Show the public half of a key that signs, to register it at the vendor."`
	Issuer       keysIssuerCommand       `cmd:"" help:"Show the account as an issuer of ID tokens: its URL, and its keys."`
	RotateIssuer keysRotateIssuerCommand `cmd:"" name:"rotate-issuer" help:"Give the account's issuer new keys: published now, signing in a day."`
}

type keysCreateCommand struct {
	clientFlags
	Usage    string `help:"token-vault or client-assertion." enum:"token-vault,client-assertion" required:""`
	Spec     string `help:"SYMMETRIC_DEFAULT, RSA_2048, RSA_3072, RSA_4096 or ECC_NIST_P256." placeholder:"SPEC"`
	URI      string `name:"uri" help:"Where the key is: awskms://, gcpkms://, azurekeyvault:// or openbao://. Default: a new key, kept by Credence." placeholder:"URI"`
	ClientID string `name:"client-id" help:"With client-assertion: the one OAuth2 client that the key signs for." placeholder:"ID"`
}

func (c keysCreateCommand) Run(ctx context.Context, o output) error {
	in := map[string]string{"keyUsage": strings.ToUpper(strings.ReplaceAll(c.Usage, "-", "_"))}
	for name, value := range map[string]string{"keySpec": c.Spec, "uri": c.URI, "clientId": c.ClientID} {
		if value != "" {
			in[name] = value
		}
	}
	var out wire.KeyMetadata
	if err := c.call(ctx, "CreateKey", in, &out); err != nil {
		return err
	}
	o.printf("%s\n", out.KeyArn)
	return nil
}

type keysListCommand struct{ clientFlags }

func (c keysListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListKeysOutput
	if err := c.call(ctx, "ListKeys", struct{}{}, &out); err != nil {
		return err
	}
	for _, k := range out.Keys {
		printKey(o, k)
	}
	return nil
}

func printKey(o output, k wire.KeyMetadata) {
	at, client := "here", "-"
	if k.Uri != nil {
		at = *k.Uri
	}
	if k.ClientId != nil {
		client = *k.ClientId
	}
	o.printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.KeyArn, k.KeyUsage, k.KeySpec, k.KeyState, client, at, k.CreationDate.UTC().Format(time.RFC3339))
}

// keyFlags say which key a command is about.
type keyFlags struct {
	clientFlags
	Key string `arg:"" help:"Its ARN or id."`
}

type keysDescribeCommand struct{ keyFlags }

func (c keysDescribeCommand) Run(ctx context.Context, o output) error {
	var out wire.KeyMetadata
	if err := c.call(ctx, "DescribeKey", wire.DescribeKeyInput{KeyId: c.Key}, &out); err != nil {
		return err
	}
	printKey(o, out)
	return nil
}

type keysEnableCommand struct{ keyFlags }

func (c keysEnableCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "EnableKey", wire.EnableKeyInput{KeyId: c.Key}, nil); err != nil {
		return err
	}
	o.printf("%s is enabled\n", c.Key)
	return nil
}

type keysDisableCommand struct{ keyFlags }

func (c keysDisableCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DisableKey", wire.DisableKeyInput{KeyId: c.Key}, nil); err != nil {
		return err
	}
	o.printf("%s is disabled\n", c.Key)
	return nil
}

type keysDeleteCommand struct {
	keyFlags
	Force bool `help:"Also when the token vault or a provider uses it: what it sealed is lost."`
}

func (c keysDeleteCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DeleteKey", wire.DeleteKeyInput{KeyId: c.Key, Force: &c.Force}, nil); err != nil {
		return err
	}
	o.printf("%s is deleted\n", c.Key)
	return nil
}

type keysPublicKeyCommand struct {
	keyFlags
	Format string `help:"pem, jwk, or the url of a JWK Set." enum:"pem,jwk,url" default:"pem"`
}

func (c keysPublicKeyCommand) Run(ctx context.Context, o output) error {
	var out struct {
		Pem string          `json:"pem"`
		Jwk json.RawMessage `json:"jwk"`
		URL string          `json:"jwksUri"`
	}
	if err := c.call(ctx, "GetPublicKey", wire.GetPublicKeyInput{KeyId: c.Key}, &out); err != nil {
		return err
	}
	switch c.Format {
	case "jwk":
		o.printf("%s\n", out.Jwk)
	case "url":
		o.printf("%s\n", out.URL)
	default:
		o.printf("%s", out.Pem)
	}
	return nil
}

type keysIssuerCommand struct{ clientFlags }

func (c keysIssuerCommand) Run(ctx context.Context, o output) error {
	var out wire.DescribeIssuerOutput
	if err := c.call(ctx, "DescribeIssuer", struct{}{}, &out); err != nil {
		return err
	}
	printIssuer(o, out)
	return nil
}

type keysRotateIssuerCommand struct {
	clientFlags
	Withdraw bool `help:"Have the new keys sign at once, and publish the earlier ones no more: what they signed is worth nothing."`
}

func (c keysRotateIssuerCommand) Run(ctx context.Context, o output) error {
	var out wire.DescribeIssuerOutput
	if err := c.call(ctx, "RotateIssuerKeys", wire.RotateIssuerKeysInput{Withdraw: &c.Withdraw}, &out); err != nil {
		return err
	}
	printIssuer(o, out)
	return nil
}

func printIssuer(o output, i wire.DescribeIssuerOutput) {
	o.printf("%s\n", i.Issuer)
	for _, k := range i.Keys {
		removed := "-"
		if k.RemovalDate != nil {
			removed = k.RemovalDate.UTC().Format(time.RFC3339)
		}
		o.printf("%s\t%s\t%s\t%s\t%s\n", k.KeyId, k.SigningAlgorithm, k.KeyState, k.SigningDate.UTC().Format(time.RFC3339), removed)
	}
}
