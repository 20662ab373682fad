package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	"credence/internal/egress"
	"credence/internal/secret"
)

// ParseClientCertificate reads a client's certificate, with those that vouch for it, and its private key, all in PEM. The error says what is missing, and
// repeats nothing.
func ParseClientCertificate(pem secret.String) (*tls.Certificate, error) {
	text := []byte(pem.Reveal())
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("is not a certificate and its private key in PEM: %w", err)
	}
	return &cert, nil
}

// over is the context of a request that is sent with the client's certificate, where that is how the client authenticates (RFC 8705 section 2).
func (a ClientAuth) over(ctx context.Context, target string) (context.Context, error) {
	if a.Method != TLSClientAuth {
		return ctx, nil
	}
	switch u, err := url.Parse(target); {
	case a.Certificate == nil:
		return nil, errors.New("the client has no certificate")
	case err != nil || u.Scheme != "https":
		return nil, fmt.Errorf("%s needs an https endpoint, where certificates are shown; this one is %q", TLSClientAuth, target)
	}
	return egress.WithClientCertificate(ctx, a.Certificate), nil
}
