// Package testca makes CAs of SPIFFE trust domains, and certificates of workloads, for tests. It protects nothing.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a root, or an intermediate below one.
type CA struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	above       [][]byte // intermediates between it and the root, itself first
}

// Edit changes a certificate before it is signed.
type Edit func(*x509.Certificate)

func sign(t testing.TB, c *x509.Certificate, by *CA, edits []Edit) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, f := range edits {
		f(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

// New makes a root that lives an hour.
func New(t testing.TB, edits ...Edit) *CA {
	t.Helper()
	c, key := sign(t, authority("Test Root"), nil, edits)
	return &CA{Certificate: c, key: key}
}

// Intermediate makes a CA below.
func (a *CA) Intermediate(t testing.TB, edits ...Edit) *CA {
	t.Helper()
	c, key := sign(t, authority("Test Intermediate"), a, edits)
	return &CA{Certificate: c, key: key, above: append([][]byte{c.Raw}, a.above...)}
}

// PEM is the CA's certificate.
func (a *CA) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw}))
}

// File writes it to a file.
func (a *CA) File(t testing.TB) string {
	t.Helper()
	return write(t, "CERTIFICATE", a.Certificate.Raw)
}

func svid(t testing.TB, id string) *x509.Certificate {
	t.Helper()
	return &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"SPIRE"}}, URIs: URIs(t, id), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// SVID makes an X.509-SVID with its intermediates, as SPIRE makes them.
func (a *CA) SVID(t testing.TB, id string, edits ...Edit) *tls.Certificate {
	t.Helper()
	c, key := sign(t, svid(t, id), a, edits)
	return &tls.Certificate{Certificate: append([][]byte{c.Raw}, a.above...), PrivateKey: key, Leaf: c}
}

// SelfSigned makes an X.509-SVID for which nobody else vouches.
func SelfSigned(t testing.TB, id string) *tls.Certificate {
	t.Helper()
	c, key := sign(t, svid(t, id), nil, nil)
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// URIs are those of a certificate.
func URIs(t testing.TB, texts ...string) (out []*url.URL) {
	t.Helper()
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

// Server writes a certificate for 127.0.0.1 with its key to files, for a server.
func (a *CA) Server(t testing.TB) (cert, key string) {
	t.Helper()
	c, private := sign(t, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a, nil)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "CERTIFICATE", c.Raw), write(t, "PRIVATE KEY", der)
}

func write(t testing.TB, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Client makes a client that trusts servers of the CA and presents a certificate, whatever CAs the server names; nil: none. edit may change how it speaks TLS.
func (a *CA) Client(t testing.TB, own *tls.Certificate, edit ...func(*tls.Config)) *http.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(a.Certificate)
	if own != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	for _, f := range edit {
		f(cfg)
	}
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
