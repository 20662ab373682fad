// Package openbao is a small client of OpenBao and HashiCorp Vault: enough to log in, to use the Transit engine and to read the KV engine.
//
// It protects the token that opens those: it travels over TLS to the one configured server, follows no redirect, goes through no proxy, and is in no
// error and no log. Every call ends within ten seconds and reads at most a mebibyte.
package openbao

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"credence/internal/secret"
)

const (
	timeout = 10 * time.Second // of one call, login included
	maxBody = 1 << 20
)

// Config is one server and who we are there.
type Config struct {
	Address   string // https://HOST:PORT; http:// only for this machine
	Namespace string // of all paths; "" is the root
	CAFile    string // PEM of the authority that signs the server's certificate; "" are the system's
	Login     Login
}

// Client talks to one server. It is safe for concurrent use, and logs in when it is first used.
type Client struct {
	config Config
	http   *http.Client

	lock    chan struct{} // holds one token: guards session, and waiting for it ends with the context
	session session
}

// New makes a client; it does not reach the server yet. Errors say what is wrong with the configuration.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
		return nil, fmt.Errorf("openbao: the address %q is not of the form https://HOST:PORT", c.Address)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("openbao: the address %q must begin with https:// (http:// is for this machine only)", c.Address)
	}
	c.Address = u.Scheme + "://" + u.Host
	if err := c.Login.check(); err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("openbao: certificate authority: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("openbao: %s holds no certificate in PEM", c.CAFile)
		}
	}
	return &Client{
		config: c,
		lock:   make(chan struct{}, 1),
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:               nil,
				TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
				TLSHandshakeTimeout: timeout, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			},
			// net/http would send the token along to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Error is the server's own word that it will not do what it was asked.
type Error struct {
	Status int      // of HTTP
	Path   string   // without the address
	Text   []string // the server's
}

func (e *Error) Error() string {
	text := strings.Join(e.Text, "; ")
	switch {
	case e.Status == http.StatusNotFound && text == "":
		text = "not found"
	case e.Status == http.StatusForbidden:
		text += " (the token is not valid any more, or its policy does not cover this path)"
	}
	return fmt.Sprintf("openbao: %s: status %d: %.300q", e.Path, e.Status, text)
}

// Do asks for one path below /v1/ with GET, POST, PUT, DELETE or LIST, and logs in before when it has to. in, if not nil, is sent as JSON; out, if not nil,
// gets the member `data` of the answer. The error is an *Error when the server said no; any other is an outage: not reached, sealed, overloaded, or not
// speaking as OpenBao does.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	token, err := c.token(ctx, secret.String{})
	if err != nil {
		return err
	}
	answer, err := c.send(ctx, method, path, token, in)
	if refused, ok := errors.AsType[*Error](err); ok && refused.Status == http.StatusForbidden {
		again, loginErr := c.token(ctx, token)
		if loginErr != nil {
			return loginErr
		}
		if again.Equal(token) {
			return err
		}
		answer, err = c.send(ctx, method, path, again, in)
	}
	if err != nil || out == nil {
		return err
	}
	if err := unmarshal(answer.Data, out); err != nil {
		return fmt.Errorf("openbao: %s: %w", path, err)
	}
	return nil
}

type answer struct {
	Data json.RawMessage `json:"data"`
	Auth *struct {
		ClientToken   secret.String `json:"client_token"`
		LeaseDuration int64         `json:"lease_duration"` // seconds
		Renewable     bool          `json:"renewable"`
	} `json:"auth"`
	Errors []string `json:"errors"`
}

func (c *Client) send(ctx context.Context, method, path string, token secret.String, in any) (answer, error) {
	var a answer
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return a, fmt.Errorf("openbao: the path %q has an empty segment or one of dots", path)
		}
	}
	target := c.config.Address + (&url.URL{Path: "/v1/" + path}).EscapedPath()
	if method == "LIST" {
		method, target = http.MethodGet, target+"?list=true"
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return a, fmt.Errorf("openbao: %s: %w", path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return a, fmt.Errorf("openbao: %s: %w", path, err)
	}
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !token.IsZero() {
		req.Header.Set("X-Vault-Token", token.Reveal())
	}
	if c.config.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", c.config.Namespace)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a, fmt.Errorf("openbao: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return a, fmt.Errorf("openbao: %s: %w", path, err)
	case len(text) > maxBody:
		return a, fmt.Errorf("openbao: %s: the answer is larger than %d bytes", path, maxBody)
	case resp.StatusCode == http.StatusNoContent:
		return a, nil
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		return a, fmt.Errorf("openbao: %s: %s redirects elsewhere: name the active node, or an address that forwards to it", path, c.config.Address)
	}
	bad := json.Unmarshal(text, &a)
	// A proxy in between, or whatever else answers at that address, does not speak for the server.
	own := bad == nil && (a.Errors != nil || len(a.Data) > 0 || a.Auth != nil)
	switch s := resp.StatusCode; {
	case s >= 200 && s <= 299 && bad == nil:
		return a, nil
	case s >= 200 && s <= 299:
		return a, fmt.Errorf("openbao: %s: the answer is not JSON", path)
	case own && (s == 400 || s == 403 || s == 404 || s == 405):
		return a, &Error{Status: s, Path: path, Text: a.Errors}
	}
	return a, fmt.Errorf("openbao: %s: status %d: %.300q", path, resp.StatusCode, strings.Join(a.Errors, "; "))
}
