package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/testenv"
)

// authority is who vouches for clients.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.certificate("authority", true)
	return a
}

// certificate is one that the authority vouches for, or, while there is none, itself.
func (a *authority) certificate(name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// client is a client's secret: its certificate and key.
func (a *authority) client(name string) string {
	a.t.Helper()
	cert, key := a.certificate(name, false)
	return certificatePEM(cert.Raw) + keyPEM(a.t, key)
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func keyPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// A client is whom the certificate says that it shows, at the vendor's endpoint for such clients alone. One of another name, and one that nobody vouches for, is nobody.
func TestClientAuthByCertificateAtOIDCProvider(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t)
	vouching := newAuthority(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	type event struct {
		Event, Issuer, Path, Client, Method, AccessToken, Error, Description string
	}
	var mu sync.Mutex
	var events []event
	seen := func(kind string) []event {
		mu.Lock()
		defer mu.Unlock()
		return slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.Event != kind })
	}
	server, err := node("mtls.mjs", nil, func(line []byte) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Errorf("the vendor wrote %q: %v", line, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}, file("server.pem", certificatePEM(trusted.Certificate[0])), file("server.key", keyPEM(t, trusted.PrivateKey)), file("authority.pem", certificatePEM(vouching.cert.Raw)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if said, err := server.stop(); err != nil || t.Failed() {
			t.Logf("vendor: %v\n%s", err, said)
		}
	})
	await(t, "the vendor to listen", func() bool { return len(seen("listening")) == 1 })
	issuer := seen("listening")[0].Issuer

	a := administrator(e)
	call[object](a, "CreateWorkloadIdentity", object{"name": "agent"})
	ask := func(name, certificate string) object {
		e.Plant(certificate)
		in := customProvider(name, issuer, "certified", certificate, "")
		delete(in["oauth2ProviderConfigInput"].(object)["customOauth2ProviderConfig"].(object), "clientAuthenticationMethod")
		extended[object](a, "CreateOauth2CredentialProvider", in, object{"X-Credence-Token-Endpoint-Auth-Method": "tls_client_auth"})
		return object{"workloadIdentityToken": a.wat("agent", ""), "resourceCredentialProviderName": name, "scopes": []string{"read"}, "oauth2Flow": "M2M"}
	}
	got := call[token](a, "GetResourceOauth2Token", ask("right", vouching.client("agent")))
	if issued := seen("token"); len(issued) != 1 || issued[0].AccessToken != got.AccessToken || issued[0].Method != "tls_client_auth" {
		t.Errorf("the agent has %+v, the vendor issued %+v", got, issued)
	}
	e.Plant(got.AccessToken)
	for name, c := range map[string]struct{ certificate, says string }{
		"another":  {vouching.client("another"), "subject value does not match"},
		"stranger": {newAuthority(t).client("agent"), "was not verified"},
	} {
		refused := a.refusal("GetResourceOauth2Token", ask(name, c.certificate))
		if refused.Name != "ValidationException" || !strings.Contains(refused.Message, "invalid_client") {
			t.Errorf("%s: %+v", name, refused)
		}
		if all := seen("refused"); len(all) == 0 || !strings.Contains(all[len(all)-1].Description, c.says) {
			t.Errorf("%s: the vendor refused %+v", name, all)
		}
	}
	for _, r := range seen("request") {
		if r.Path != "front /.well-known/openid-configuration" && r.Path != "back /token" {
			t.Errorf("a request to %s", r.Path)
		}
	}
}

// trusted is the certificate of a server on this machine, the only one that is trusted here.
var trusted tls.Certificate

// trustServers makes it so, before the first handshake.
func trustServers() (forget func(), _ error) {
	server := httptest.NewTLSServer(nil)
	trusted = server.TLS.Certificates[0]
	server.Close()
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(path, []byte(certificatePEM(trusted.Certificate[0])), 0o600); err != nil {
		return nil, err
	}
	return func() { _ = os.RemoveAll(dir) }, os.Setenv("SSL_CERT_FILE", path)
}
