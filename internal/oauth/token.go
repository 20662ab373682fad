package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"credence/internal/secret"
	"credence/internal/telemetry"
)

// maxResponse is more than any token we could hand out: it is the size limit of a request to us.
const maxResponse = 512 << 10

// Doer sends one request. It bounds time, follows no redirect and never sends a body again; egress.Client does all three.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Client makes token and revocation requests. It is safe for concurrent use.
type Client struct {
	HTTP    Doer
	NotSent func(error) bool // whether an error of HTTP means that nothing left this machine; nil is never

	nonces nonces
}

// Endpoint is a vendor's token endpoint and how we present ourselves there.
type Endpoint struct {
	URL                    string
	Auth                   ClientAuth
	ResponseScopeSeparator string      // in the answer's scope; "" is a space
	Header                 http.Header // of a preset, such as User-Agent; may not replace Accept, Content-Type and Authorization
	JSON                   bool        // it takes a JSON object of the parameters instead of a form
	DPoP                   *DPoP       // nil: requests prove no possession of a key
}

// Token is a successful answer (RFC 6749 section 5.1).
type Token struct {
	AccessToken, RefreshToken secret.String
	TokenType                 string        // as sent; "Bearer" when absent
	ExpiresIn                 time.Duration // 0: the vendor did not say
	Scopes                    []string      // nil: the vendor did not say
	AskedAt                   time.Time     // when the caller asked: ExpiresIn begins after that, at a moment that only the vendor knows
	ProofKey                  *ProofKey     // that the access token is bound to; nil: it is a bearer token
	IssuedTokenType           string        // of a token exchange (RFC 8693 section 2.2.1); "" when absent
	IDToken                   secret.String // OpenID Connect Core section 3.1.3.3; empty when absent
}

// encode writes parameters as a form, or as a JSON object in which only those that repeat are arrays.
func encode(form url.Values, asJSON bool) (contentType, text string) {
	if !asJSON {
		return "application/x-www-form-urlencoded", form.Encode()
	}
	object := make(map[string]any, len(form))
	for name, values := range form {
		if len(values) == 1 {
			object[name] = values[0]
		} else {
			object[name] = values
		}
	}
	b, _ := json.Marshal(object) // strings always marshal
	return "application/json", string(b)
}

// post sends a form to the token endpoint. The secrets in the form are cut out of whatever the vendor says about them. It is sent once, unless the vendor wants
// a proof of possession, or one with its nonce: then it has not looked at the grant yet (RFC 9449 section 8). Each is answered once.
func (c *Client) post(ctx context.Context, e Endpoint, form url.Values, sent ...secret.String) (Token, error) {
	var key *ProofKey
	if e.DPoP != nil && !e.DPoP.OnDemand {
		key = e.DPoP.Key
	}
	for nonced := false; ; {
		nonce := c.nonces.of(e.URL)
		t, err := c.postOnce(ctx, e, form, key, nonce, sent)
		if err == nil {
			return checkBound(t, key)
		}
		switch code := refusedWith(err); {
		case key == nil && e.DPoP != nil && (code == invalidProof || code == useNonce):
			key = e.DPoP.Key
		case key != nil && code == useNonce && !nonced && c.nonces.of(e.URL) != nonce:
			nonced = true
		default:
			return Token{}, err
		}
		if err := e.Auth.renew(ctx); err != nil {
			return Token{}, &Error{Outcome: NotSent, Err: err}
		}
	}
}

func (c *Client) postOnce(ctx context.Context, e Endpoint, form url.Values, key *ProofKey, nonce string, sent []secret.String) (t Token, err error) {
	header := newHeader(e.Header)
	if err := e.Auth.apply(header, form); err != nil {
		return Token{}, &Error{Outcome: NotSent, Err: err}
	}
	if ctx, err = e.Auth.over(ctx, e.URL); err != nil {
		return Token{}, &Error{Outcome: NotSent, Err: err}
	}
	if key != nil {
		proof, err := key.Sign(Proof{Method: http.MethodPost, URL: e.URL, Nonce: nonce})
		if err != nil {
			return Token{}, &Error{Outcome: NotSent, Err: err}
		}
		header.Set("DPoP", proof.Reveal())
	}
	contentType, text := encode(form, e.JSON)
	header.Set("Content-Type", contentType)
	call := newCall(ctx, "token request", e.URL)
	call.Set("oauth2.grant_type", form.Get("grant_type"))
	defer func() { done(call, err) }()
	r, err := c.send(ctx, call, http.MethodPost, e.URL, header, text, slices.Concat(sent, []secret.String{e.Auth.Secret, e.Auth.Assertion}))
	if err != nil {
		return Token{}, err
	}
	c.nonces.keep(e.URL, r.header)
	r.separator = e.ResponseScopeSeparator
	return readResponse(r)
}

// newCall begins the span of a request to a vendor: its host is told, and nothing else of its URL.
func newCall(ctx context.Context, name, target string) *telemetry.Span {
	u, err := url.Parse(target)
	if err != nil {
		return nil
	}
	return telemetry.Call(ctx, name, u.Host)
}

// done ends the span of a request by what came of it.
func done(call *telemetry.Span, err error) {
	if failed, ok := errors.AsType[*Error](err); ok {
		call.Done(string(failed.Outcome), failed.Outcome != Refused)
	} else {
		call.Done("", false)
	}
}

// newHeader is what every request has, with a preset's own.
func newHeader(preset http.Header) http.Header {
	header := make(http.Header)
	header.Set("User-Agent", userAgent)
	for name, values := range preset {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header.Set("Accept", "application/json")
	return header
}

// send sends a request, once, and reads its answer. An error is an *Error: there was no answer, or one of a success that cannot be read.
func (c *Client) send(ctx context.Context, call *telemetry.Span, method, url string, header http.Header, text string, sent []secret.String) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(text))
	if err != nil {
		return response{}, &Error{Outcome: NotSent, Err: err}
	}
	req.Header = header
	req.GetBody = nil // net/http cannot send again what it cannot get again

	resp, err := c.HTTP.Do(req)
	switch {
	case err != nil && c.NotSent != nil && c.NotSent(err):
		return response{}, &Error{Outcome: NotSent, Err: err}
	case err != nil:
		return response{}, &Error{Outcome: Unknown, Err: broken(err)}
	}
	defer resp.Body.Close()
	call.SetStatus(resp.StatusCode)
	// A vendor that quotes our Authorization header quotes the secret in another form.
	_, credentials, _ := strings.Cut(header.Get("Authorization"), " ")
	sent = append(sent, secret.New(credentials))
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	success := resp.StatusCode >= 200 && resp.StatusCode <= 299
	switch {
	case err != nil && success:
		return response{}, &Error{Outcome: Unknown, Status: resp.StatusCode, Err: broken(err)}
	case len(body) > maxResponse && success:
		return response{}, &Error{Outcome: Unknown, Status: resp.StatusCode, Err: errors.New("the answer is larger than 512 KiB")}
	}
	return response{status: resp.StatusCode, header: resp.Header, body: body, sent: sent}, nil
}
