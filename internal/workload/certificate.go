package workload

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"credence/internal/fault"
	"credence/internal/iam"
)

// maxAuthorities is how many CA certificates a trust bundle may have: a few servers of a trust domain, each with the key that is and the one that comes.
const maxAuthorities = 20

// ParseTrustBundle reads the CA certificates of a SPIFFE trust domain, in PEM, as they are before they are trusted: every one must be a CA's, able to sign certificates,
// not expired, and of no other trust domain. The error is for whoever wrote them.
func ParseTrustBundle(domain, text string, at time.Time) ([]*x509.Certificate, error) {
	td, err := spiffeid.TrustDomainFromString(domain)
	if err != nil || td.Name() != domain {
		return nil, fmt.Errorf("%q is not a trust domain: a name of lower-case letters, digits and .-_ is", domain)
	}
	var out []*x509.Certificate
	rest := []byte(text)
	for n := 1; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is a %.40q: only CERTIFICATE blocks belong here", n, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", n, err)
		}
		if err := mayBeAuthority(c, td, at); err != nil {
			return nil, fmt.Errorf("certificate %d (%.200q) %w", n, c.Subject.String(), err)
		}
		out = append(out, c)
	}
	switch {
	case strings.Count(text, "-----BEGIN ") != len(out): // the PEM reader passes over what it cannot read
		return nil, errors.New("a block is damaged, or not PEM")
	case len(out) == 0:
		return nil, errors.New("there is no certificate in it: it must be PEM, with a CERTIFICATE block for every CA")
	case len(out) > maxAuthorities:
		return nil, fmt.Errorf("it has %d certificates, and may have %d", len(out), maxAuthorities)
	}
	return out, nil
}

func mayBeAuthority(c *x509.Certificate, td spiffeid.TrustDomain, at time.Time) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("is not a CA's (basic constraints)")
	case c.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("may not sign certificates (key usage)")
	case !at.Before(c.NotAfter):
		return fmt.Errorf("ended at %s", c.NotAfter.UTC().Format(time.RFC3339))
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		return fmt.Errorf("has an RSA key of %d bits: 2048 are the least", key.N.BitLen())
	}
	for _, u := range c.URIs {
		if id, err := spiffeid.FromURI(u); err != nil || !id.MemberOf(td) {
			return fmt.Errorf("is of %.200q, not of spiffe://%s", u.String(), td.Name())
		}
	}
	return nil
}

// VerifyCertificate verifies an X.509-SVID (SPIFFE, "The X.509 SPIFFE Verifiable Identity Document"), which came with its intermediates behind it on a TLS connection, so that
// its key is proven. authorities gives the CA certificates of a trust domain; it is asked about that of the certificate only, and fault.NotFound means
// that it is not trusted. What is refused is an Unauthorized fault, for logs.
func VerifyCertificate(presented []*x509.Certificate, authorities func(domain string) ([]*x509.Certificate, error), at time.Time) (*iam.Certificate, error) {
	refuse := func(format string, args ...any) (*iam.Certificate, error) {
		return nil, fault.New(fault.Unauthorized, "The client certificate is not accepted: "+format, args...)
	}
	if len(presented) == 0 {
		return refuse("there is none")
	}
	leaf := presented[0]
	id, err := x509svid.IDFromCert(leaf)
	switch {
	case err != nil:
		return refuse("it must have one URI, a SPIFFE ID: %v", err)
	case id.Path() == "":
		return refuse("its SPIFFE ID %s is a trust domain's, not a workload's", id)
	case leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return refuse("it is a CA's")
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return refuse("its key usage lacks digitalSignature")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth): // Verify takes a certificate without any for one of every use
		return refuse("its extended key usage lacks clientAuth")
	}
	domain := id.TrustDomain().Name()
	trusted, err := authorities(domain)
	if errors.Is(err, fault.NotFound) {
		return refuse("the role does not trust the trust domain %q", domain)
	}
	if err != nil {
		return nil, err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range trusted {
		roots.AddCert(c)
	}
	for _, c := range presented[1:] {
		intermediates.AddCert(c)
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := leaf.Verify(options); err != nil {
		return refuse("%v", err)
	}
	return &iam.Certificate{Bundle: domain, URIs: []string{id.String()}, DNS: leaf.DNSNames, CN: leaf.Subject.CommonName}, nil
}
