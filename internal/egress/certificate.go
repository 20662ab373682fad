package egress

import (
	"context"
	"crypto/tls"
	"net/http"
)

type certificateKey struct{}

// WithClientCertificate is the context of a request that shows a client's certificate to a server that asks for one (RFC 8705). It has a connection and a TLS
// session of its own: neither shows one client's certificate in another's request.
func WithClientCertificate(ctx context.Context, cert *tls.Certificate) context.Context {
	return context.WithValue(ctx, certificateKey{}, cert)
}

// showing is a transport for one request that shows a certificate; nil for all that show none.
func (c *Client) showing(ctx context.Context) *http.Transport {
	cert, ok := ctx.Value(certificateKey{}).(*tls.Certificate)
	if !ok {
		return nil
	}
	t := c.transport()
	t.DisableKeepAlives = true
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSClientConfig.ClientSessionCache = nil
	t.TLSClientConfig.Certificates = []tls.Certificate{*cert}
	return t
}
