package workload_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"credence/internal/fault"
	"credence/internal/testca"
	"credence/internal/workload"
)

// A bundle has certificates of CAs and nothing else: what could never be trusted, or is a secret, is refused before it is stored.
func TestParseTrustBundle(t *testing.T) {
	now := time.Now()
	root := testca.New(t)
	of := func(edit testca.Edit) string { return testca.New(t, edit).PEM() }
	for name, c := range map[string]struct {
		text string
		n    int
	}{
		"a root":                  {root.PEM(), 1},
		"two, with words":         {"The first:\n" + root.PEM() + "and its successor:\n" + of(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }) + "\n", 2},
		"an intermediate":         {root.Intermediate(t).PEM(), 1},
		"of this trust domain":    {of(func(c *x509.Certificate) { c.URIs = testca.URIs(t, "spiffe://acme.example") }), 1},
		"as many as there may be": {strings.Repeat(root.PEM(), 20), 20},
	} {
		if got, err := workload.ParseTrustBundle("acme.example", c.text, now); err != nil || len(got) != c.n {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	weak, err := x509.CreateCertificate(rand.Reader, template, template, small.Public(), small)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(small)
	if err != nil {
		t.Fatal(err)
	}
	workloads := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.SVID(t, "spiffe://acme.example/mail").Certificate[0]}))
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	for name, c := range map[string][2]string{
		"nothing":                   {" \n", "no certificate"},
		"no PEM":                    {"acme", "no certificate"},
		"a private key":             {root.PEM() + secret, `block 2 is a "PRIVATE KEY"`},
		"a workload's":              {workloads, "not a CA's"},
		"no signer":                 {of(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), "may not sign"},
		"no key usage":              {of(func(c *x509.Certificate) { c.KeyUsage = 0 }), "may not sign"},
		"expired":                   {root.PEM() + of(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }), "certificate 2"},
		"another trust domain's":    {of(func(c *x509.Certificate) { c.URIs = testca.URIs(t, "spiffe://other.example") }), "spiffe://other.example"},
		"a weak key":                {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: weak})), "1024 bits"},
		"a damaged one before good": {strings.Replace(root.PEM(), "MII", "M!I", 1) + root.PEM(), "damaged"},
		"one that ends early":       {root.PEM() + root.PEM()[:200], "damaged"},
		"no certificate in it":      {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"},
		"too many":                  {strings.Repeat(root.PEM(), 21), "may have 20"},
	} {
		_, err := workload.ParseTrustBundle("acme.example", c[0], now)
		if err == nil || !strings.Contains(err.Error(), c[1]) || strings.Contains(err.Error(), secret[40:60]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, domain := range []string{"", "Acme.example", "spiffe://acme.example", "acme.example/x", "acme.example:443", "*"} {
		if _, err := workload.ParseTrustBundle(domain, root.PEM(), now); err == nil {
			t.Errorf("%q is a trust domain", domain)
		}
	}
}

// A certificate counts at the moment at which it is looked at: before and after, it does not, nor once its CA has ended.
func TestCertificatesEnd(t *testing.T) {
	now := time.Now()
	root := testca.New(t)
	above := root.Intermediate(t, func(c *x509.Certificate) { c.NotAfter = now.Add(20 * time.Minute) })
	own := above.SVID(t, "spiffe://acme.example/mail", func(c *x509.Certificate) { c.NotAfter = now.Add(10 * time.Minute) }).Leaf
	lasting := above.SVID(t, "spiffe://acme.example/mail").Leaf
	for name, c := range map[string]struct {
		presented []*x509.Certificate
		trusted   *testca.CA
		at        time.Duration
		ok        bool
	}{
		"now":                     {[]*x509.Certificate{own, above.Certificate}, root, 0, true},
		"at its end":              {[]*x509.Certificate{own, above.Certificate}, root, 9 * time.Minute, true},
		"after it":                {[]*x509.Certificate{own, above.Certificate}, root, 11 * time.Minute, false},
		"before it began":         {[]*x509.Certificate{own, above.Certificate}, root, -2 * time.Hour, false},
		"before its CA ends":      {[]*x509.Certificate{lasting, above.Certificate}, root, 19 * time.Minute, true},
		"after its CA ended":      {[]*x509.Certificate{lasting, above.Certificate}, root, 21 * time.Minute, false},
		"a trusted CA":            {[]*x509.Certificate{lasting}, above, 19 * time.Minute, true},
		"a trusted CA that ended": {[]*x509.Certificate{lasting}, above, 21 * time.Minute, false},
		"after its root ended":    {[]*x509.Certificate{lasting, above.Certificate}, root, 2 * time.Hour, false},
		"the other way round":     {[]*x509.Certificate{above.Certificate, own}, root, 0, false},
		"brings its own root":     {[]*x509.Certificate{own, above.Certificate, root.Certificate}, testca.New(t), 0, false},
		"none":                    {nil, root, 0, false},
	} {
		got, err := workload.VerifyCertificate(c.presented, func(domain string) ([]*x509.Certificate, error) {
			if domain != "acme.example" {
				t.Errorf("%s: asked for %q", name, domain)
			}
			return []*x509.Certificate{c.trusted.Certificate}, nil
		}, now.Add(c.at))
		if c.ok && (err != nil || got.Bundle != "acme.example" || len(got.URIs) != 1 || got.URIs[0] != "spiffe://acme.example/mail") || !c.ok && !errors.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	gone := errors.New("the database is away")
	if _, err := workload.VerifyCertificate([]*x509.Certificate{own}, func(string) ([]*x509.Certificate, error) { return nil, gone }, now); !errors.Is(err, gone) || errors.Is(err, fault.Unauthorized) {
		t.Errorf("without a database: %v", err)
	}
}

// Whatever is called a bundle is refused, or has what a bundle may have and nothing else.
func FuzzTrustBundle(f *testing.F) {
	now := time.Now()
	root := testca.New(f)
	f.Add("acme.example", root.PEM())
	f.Add("acme.example", root.PEM()+testca.New(f).PEM())
	f.Add("Acme.example", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, domain, text string) {
		got, err := workload.ParseTrustBundle(domain, text, now)
		if err != nil {
			return
		}
		if len(got) == 0 || len(got) > 20 || len(got) != strings.Count(text, "-----BEGIN ") {
			t.Errorf("%d certificates of %q", len(got), text)
		}
		for _, c := range got {
			if !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0 || !now.Before(c.NotAfter) {
				t.Errorf("a certificate that signs nothing: %v", c.Subject)
			}
		}
	})
}

// One byte of a certificate is another: it is nobody's, or still the one that the CA signed. Whatever is presented beside it changes nothing.
func FuzzVerifyCertificate(f *testing.F) {
	now := time.Now()
	root := testca.New(f)
	good := root.SVID(f, "spiffe://acme.example/mail").Certificate[0]
	f.Add(uint(0), byte(0), []byte(nil))
	f.Add(uint(200), byte(1), good)
	f.Add(uint(len(good)-1), byte(1), testca.SelfSigned(f, "spiffe://acme.example/mail").Certificate[0])
	trusted, err := workload.ParseTrustBundle("acme.example", root.PEM(), now)
	if err != nil {
		f.Fatal(err)
	}
	authorities := func(domain string) ([]*x509.Certificate, error) {
		if domain != "acme.example" {
			return nil, fault.NotFound
		}
		return trusted, nil
	}
	f.Fuzz(func(t *testing.T, at uint, with byte, next []byte) {
		der := bytes.Clone(good)
		der[at%uint(len(der))] ^= with
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		presented := []*x509.Certificate{leaf}
		if c, err := x509.ParseCertificate(next); err == nil {
			presented = append(presented, c)
		}
		who, err := workload.VerifyCertificate(presented, authorities, now)
		switch {
		case with == 0 && err != nil:
			t.Errorf("the certificate itself: %v", err)
		case err == nil && (!bytes.Equal(leaf.RawTBSCertificate, tbs(t, good)) || len(who.URIs) != 1 || who.URIs[0] != "spiffe://acme.example/mail"):
			t.Errorf("byte %d: %+v", at%uint(len(der)), who)
		}
	})
}

func tbs(t *testing.T, der []byte) []byte {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c.RawTBSCertificate
}
