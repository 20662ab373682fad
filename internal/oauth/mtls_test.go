package oauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"credence/internal/egress"
	"credence/internal/oauth"
	"credence/internal/secret"
)

// The certificate of httptest's servers is trusted from the first handshake on.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "oauth")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		server := httptest.NewTLSServer(nil)
		root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		server.Close()
		path := filepath.Join(dir, "roots.pem")
		if err := os.WriteFile(path, root, 0o600); err != nil {
			panic(err)
		}
		_ = os.Setenv("SSL_CERT_FILE", path)
		return m.Run()
	}())
}

// certificate is a client's, and its key, in PEM.
func certificate(t *testing.T, name string) secret.String {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// A client shows its certificate in the TLS handshake of each of its requests, and in nobody else's; the form has its id alone.
func TestTLSClientAuth(t *testing.T) {
	var mu sync.Mutex
	var shown []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		if r.FormValue("client_id") != "client" || r.Form.Has("client_secret") || r.Header.Get("Authorization") != "" {
			t.Errorf("%s: %v %v", name, r.Form, r.Header)
		}
		mu.Lock()
		shown = append(shown, name+" at "+r.URL.Path)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/par" {
			_, _ = w.Write([]byte(`{"request_uri":"urn:x"}`))
			return
		}
		_, _ = w.Write([]byte(aToken))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	out, err := egress.New(egress.Config{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	client := &oauth.Client{HTTP: out, NotSent: egress.NotSent}
	as := func(name string) oauth.ClientAuth {
		auth := oauth.ClientAuth{Method: oauth.TLSClientAuth, ID: "client"}
		if name == "nobody" {
			auth.Method = oauth.None
		} else if auth.Certificate, err = oauth.ParseClientCertificate(certificate(t, name)); err != nil {
			t.Fatal(err)
		}
		return auth
	}
	var want []string
	for _, name := range []string{"first", "nobody", "second", "first", "nobody"} { // a resumed session would show the one before
		if _, err := client.ClientCredentials(t.Context(), oauth.Endpoint{URL: server.URL + "/token", Auth: as(name)}, oauth.ClientCredentialsGrant{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.PushAuthorization(t.Context(), oauth.Endpoint{URL: server.URL + "/par", Auth: as(name)}, authorizationRequest()); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Revoke(t.Context(), oauth.Revocation{URL: server.URL + "/revoke", Auth: as(name)}, oauth.AccessToken, secret.New("t")); err != nil {
			t.Fatal(err)
		}
		want = append(want, name+" at /token", name+" at /par", name+" at /revoke")
	}
	if got := strings.Join(shown, ", "); got != strings.Join(want, ", ") {
		t.Errorf("the server saw %s", got)
	}
	// Where nobody could see the certificate, nothing is sent.
	v := newVendor(t, says(200, nil, aToken))
	e := endpoint(v)
	e.Auth = as("first")
	_, err = client.ClientCredentials(t.Context(), e, oauth.ClientCredentialsGrant{})
	if f := failure(t, oauth.Token{}, err); f.Outcome != oauth.NotSent || len(v.requests) != 0 {
		t.Errorf("over http: %v", err)
	}
	for _, text := range []string{"", "hunter2", strings.Split(certificate(t, "x").Reveal(), "-----BEGIN PRIVATE")[0]} {
		if _, err := oauth.ParseClientCertificate(secret.New(text)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
