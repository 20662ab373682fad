package payment

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"credence/internal/secret"
)

// PrivyHost is where Privy is, when a request does not say.
const PrivyHost = "api.privy.io"

// signatureLifetime is how long a request may be on its way. Privy's own clients use 15 minutes; here a request is sent at once.
const signatureLifetime = 5 * time.Minute

// Privy makes the tokens of Privy (docs.privy.io, authorization signatures, request expiry).
type Privy struct {
	appID     string
	basicAuth func() string // not text, for the same reason as in Key
	key       Key
}

// NewPrivy takes the app's secret and the private key of its authorization id.
func NewPrivy(appID string, appSecret, authorizationKey secret.String) (*Privy, error) {
	key, err := ParseWalletKey(authorizationKey)
	if err != nil {
		return nil, fmt.Errorf("the authorization private key: %w", err)
	}
	return &Privy{appID, func() string { return base64.StdEncoding.EncodeToString([]byte(appID + ":" + appSecret.Reveal())) }, key}, nil
}

// BasicAuth is what follows Basic in the header Authorization.
func (p *Privy) BasicAuth() string { return p.basicAuth() }

// Authorize signs one request and says until when it may be sent. The signature covers the headers privy-app-id and privy-request-expiry too. Errors about
// requestBody, which is JSON, are ErrNotJSON and ErrNumber.
func (p *Privy) Authorize(r Request, requestBody string, now time.Time) (signature string, expiry time.Time, err error) {
	expiry = now.Add(signatureLifetime).Truncate(time.Millisecond)
	payload, err := p.payload(r, requestBody, expiry)
	if err != nil {
		return "", expiry, err
	}
	sum := sha256.Sum256(payload)
	der, err := p.key.signer().Sign(rand.Reader, sum[:], crypto.SHA256)
	return base64.StdEncoding.EncodeToString(der), expiry, err
}

// payload is the text that is signed: the request as canonical JSON.
func (p *Privy) payload(r Request, requestBody string, expiry time.Time) (jsontext.Value, error) {
	body, err := canonical(requestBody)
	if err != nil {
		return nil, err
	}
	if string(body) == "{}" { // the vendor takes an empty object for no body, and that for ""
		body = jsontext.Value(`""`)
	}
	text, err := json.Marshal(map[string]any{
		"version": 1, "method": r.Method, "url": "https://" + r.Host + r.Path, "body": json.RawMessage(body),
		"headers": map[string]string{"privy-app-id": p.appID, "privy-request-expiry": strconv.FormatInt(expiry.UnixMilli(), 10)},
	})
	if err != nil {
		return nil, err
	}
	return canonical(string(text))
}
