package main

import (
	"context"

	"credence/internal/wire"
)

type trustBundleCommand struct {
	Put    trustBundlePutCommand    `cmd:"" help:"Know the CAs of a SPIFFE trust domain, in place of those known before."`
	List   trustBundleListCommand   `cmd:"" help:"List the trust bundles with their CAs."`
	Delete trustBundleDeleteCommand `cmd:"" help:"Trust no certificate of a trust domain any more."`
}

type trustBundlePutCommand struct {
	clientFlags
	Domain       string `arg:"" help:"Name of the trust domain: acme.example, when SPIFFE IDs begin with spiffe://acme.example/."`
	Certificates string `arg:"" help:"File with the certificates of its CAs (PEM), - for stdin."`
}

func (c trustBundlePutCommand) Run(ctx context.Context, o output) error {
	text, err := readFile(c.Certificates)
	if err != nil {
		return err
	}
	var out wire.PutTrustBundleOutput
	if err := c.call(ctx, "PutTrustBundle", wire.PutTrustBundleInput{TrustDomain: c.Domain, Certificates: text}, &out); err != nil {
		return err
	}
	printTrustBundle(o, wire.TrustBundle(out))
	return nil
}

// printTrustBundle prints a line for every CA.
func printTrustBundle(o output, b wire.TrustBundle) {
	for _, a := range b.Authorities {
		o.printf("%s\t%s\t%s\t%s\n", b.TrustDomain, a.Sha256, stamp(a.ExpirationTime), a.Subject)
	}
}

type trustBundleListCommand struct{ clientFlags }

func (c trustBundleListCommand) Run(ctx context.Context, o output) error {
	var out wire.ListTrustBundlesOutput
	if err := c.call(ctx, "ListTrustBundles", struct{}{}, &out); err != nil {
		return err
	}
	for _, b := range out.TrustBundles {
		printTrustBundle(o, b)
	}
	return nil
}

type trustBundleDeleteCommand struct {
	clientFlags
	Domain string `arg:"" help:"Name of the trust domain."`
}

func (c trustBundleDeleteCommand) Run(ctx context.Context, o output) error {
	if err := c.call(ctx, "DeleteTrustBundle", wire.DeleteTrustBundleInput{TrustDomain: c.Domain}, nil); err != nil {
		return err
	}
	o.printf("%s is trusted no more; sessions that there are go on to their end, or to credence role revoke\n", c.Domain)
	return nil
}
