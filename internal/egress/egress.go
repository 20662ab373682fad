// Package egress is the one outbound HTTP client.
//
// It protects two things. The inside of the network from URLs that a tenant gave us: only https to public addresses, judged on the
// resolved address at the moment of dialling, so a name that resolves to something else the second time gains nothing. And our
// credentials from going anywhere but to the host they are meant for: no redirect is followed, no proxy of the environment is used, no
// cookie is kept, and a request with a body is written once at most.
//
// Trust in certificates is the system's; SSL_CERT_FILE and SSL_CERT_DIR extend it, as for every Go program.
package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	defaultTimeout = 10 * time.Second
	defaultMaxBody = 1 << 20
	maxHeader      = 64 << 10
	maxPerHost     = 64
)

// ErrForbidden is in every error about a URL or an address that the rules of this package refuse.
var ErrForbidden = errors.New("forbidden destination")

// ErrBodyTooLarge is in the error of a read beyond Config.MaxBody.
var ErrBodyTooLarge = errors.New("response body too large")

// Config says where a Client may go and how much it takes. The zero value is the safe one.
type Config struct {
	Dev          bool          // http:// too; loopback and private addresses are open
	AllowPrivate []string      // addresses, CIDRs or exact lower-case host names that may be private
	Timeout      time.Duration // for a whole exchange, name lookup to the last byte of the body; 0 is 10 s
	MaxBody      int64         // bytes of a response body, after decompression; 0 is 1 MiB
}

// Client sends requests to vendors. It is safe for concurrent use.
type Client struct {
	policy  *policy
	timeout time.Duration
	maxBody int64
	pooled  *http.Transport // for requests without a body: keeps idle connections, speaks HTTP/2
	single  *http.Transport // for all others: one connection for each request
}

// New makes a Client. The error names the entry of Config.AllowPrivate that is no address, CIDR or host name.
func New(cfg Config) (*Client, error) {
	p, err := newPolicy(cfg.Dev, cfg.AllowPrivate)
	if err != nil {
		return nil, err
	}
	c := &Client{policy: p, timeout: cmp.Or(cfg.Timeout, defaultTimeout), maxBody: cmp.Or(cfg.MaxBody, defaultMaxBody)}

	c.pooled = c.transport()
	c.pooled.ForceAttemptHTTP2 = true
	c.pooled.MaxIdleConns = maxPerHost
	c.pooled.MaxIdleConnsPerHost = 4
	c.pooled.IdleConnTimeout = 30 * time.Second

	// An idle connection may die just as a request is written to it, and then nobody knows whether the vendor took the code or the
	// refresh token in it. A fresh connection has no such moment, and net/http never sends again what it wrote to one; HTTP/2 would.
	c.single = c.transport()
	c.single.DisableKeepAlives = true
	c.single.Protocols = new(http.Protocols)
	c.single.Protocols.SetHTTP1(true)
	return c, nil
}

// transport has no Proxy on purpose: a proxy would resolve the name itself, out of reach of our address check.
func (c *Client) transport() *http.Transport {
	return &http.Transport{
		DialContext: c.dial,
		// Resumed sessions make up for most of what a fresh connection costs.
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
		TLSHandshakeTimeout:    c.timeout,
		MaxConnsPerHost:        maxPerHost,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// dial resolves and connects; every address that resolution yields passes the policy right before the connection is made.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: c.timeout, Control: func(_, resolved string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return forbidden("%q is no IP address with a port", resolved)
		}
		return c.policy.checkAddr(host, target)
	}}
	return d.DialContext(ctx, network, address)
}

// SetOwnListeners replaces the list of our own listening addresses, which are never dialled. An unspecified address (0.0.0.0 or ::)
// stands for every address of this machine with that port.
func (c *Client) SetOwnListeners(addrs ...netip.AddrPort) { c.policy.setOwn(addrs) }

// Do sends a request and returns whatever the host answers, redirects included: it follows none. A response's body must be closed. The
// deadline of Config.Timeout covers the whole exchange, and the context of the request may end it sooner.
//
// Only a request without a body may be sent a second time (when an idle connection turns out to be dead), and only by GET or HEAD.
// Errors: ErrForbidden for a destination that the rules refuse, NotSent for all that happened before the first byte was sent.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if err := c.policy.checkURL(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &notSentError{err}
	}
	late := fmt.Errorf("no complete answer from %s within %v: %w", req.URL.Host, c.timeout, context.DeadlineExceeded)
	ctx, cancel := WithTimeout(req.Context(), c.timeout, late)
	var connected atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))

	transport := c.single
	if (req.Body == nil || req.Body == http.NoBody) && (req.Method == http.MethodGet || req.Method == http.MethodHead) {
		transport = c.pooled
	}
	if own := c.showing(ctx); own != nil {
		transport = own
	}
	// A RoundTripper, not an http.Client: it has neither redirects nor cookies that would have to be switched off.
	resp, err := transport.RoundTrip(req)
	if err != nil {
		cancel()
		if !connected.Load() {
			return nil, &notSentError{err}
		}
		return nil, err
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, cancel: cancel, host: req.URL.Host, limit: c.maxBody, left: c.maxBody}
	return resp, nil
}

// NotSent reports whether an error of Do means that no byte of the request left this machine: a forbidden destination, no such name,
// connection refused, dial timeout, failed TLS handshake. It is false when in doubt.
func NotSent(err error) bool {
	_, ok := errors.AsType[*notSentError](err)
	return ok
}

type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }
func (e *notSentError) Unwrap() error { return e.err }

// forbiddenError is a rule's one sentence, without the name of a member or of a package.
type forbiddenError string

func forbidden(format string, args ...any) error { return forbiddenError(fmt.Sprintf(format, args...)) }

func (e forbiddenError) Error() string        { return string(e) }
func (e forbiddenError) Is(target error) bool { return target == ErrForbidden }

// cappedBody fails when the body turns out longer than the limit: a cut body must not pass for a whole one.
type cappedBody struct {
	io.ReadCloser
	cancel      context.CancelFunc
	host        string
	limit, left int64
	err         error
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), fmt.Errorf("%w: %s sent more than %d bytes", ErrBodyTooLarge, b.host, b.limit)
	}
	b.left -= int64(n)
	b.err = err
	return n, err
}

func (b *cappedBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}
