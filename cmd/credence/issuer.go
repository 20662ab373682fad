package main

import (
	"context"
	"strings"
	"time"

	"credence/internal/wire"
)

type issuerCommand struct {
	Add    issuerAddCommand    `cmd:"" help:"Accept user JWTs of an issuer, or change the audiences that it must name."`
	List   issuerListCommand   `cmd:"" help:"List the issuers whose user JWTs are accepted."`
	Remove issuerRemoveCommand `cmd:"" help:"Accept no more user JWTs of an issuer."`
}

type issuerAddCommand struct {
	clientFlags
	Issuer       string   `arg:"" help:"The claim iss, exactly as the issuer writes it."`
	Audience     []string `help:"An audience (claim aud) that its JWTs must name; may be repeated." required:"" placeholder:"AUD"`
	UserKeyClaim []string `help:"A claim by which, with the issuer, its users are known; may be repeated, up to three. Without it, as it was: sub, of a new issuer." placeholder:"CLAIM"`
}

func (c issuerAddCommand) Run(ctx context.Context, o output) error {
	var out wire.TrustedIssuer
	if err := c.call(ctx, "PutTrustedIssuer", wire.PutTrustedIssuerInput{Issuer: c.Issuer, Audiences: c.Audience, UserKeyClaims: c.UserKeyClaim}, &out); err != nil {
		return err
	}
	o.printf("trusted %s for %s; its users are known by %s\n", out.Issuer, strings.Join(out.Audiences, ", "), strings.Join(out.UserKeyClaims, ", "))
	return nil
}

type issuerListCommand struct{ clientFlags }

func (c issuerListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListTrustedIssuersOutput
	if err := c.call(ctx, "ListTrustedIssuers", struct{}{}, &out); err != nil {
		return err
	}
	for _, i := range out.TrustedIssuers {
		o.printf("%s\t%s\t%s\t%s\n", i.Issuer, strings.Join(i.Audiences, ","), i.CreatedTime.UTC().Format(time.RFC3339), strings.Join(i.UserKeyClaims, ","))
	}
	return nil
}

type issuerRemoveCommand struct {
	clientFlags
	Issuer string `arg:"" help:"The claim iss, exactly as it was added."`
}

func (c issuerRemoveCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DeleteTrustedIssuer", wire.DeleteTrustedIssuerInput{Issuer: c.Issuer}, nil); err != nil {
		return err
	}
	o.printf("%s is trusted no more\n", c.Issuer)
	return nil
}
