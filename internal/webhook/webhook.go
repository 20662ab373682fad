// Package webhook signs and sends messages as Standard Webhooks says (https://www.standardwebhooks.com).
//
// It protects receivers from messages that are not ours, are changed, or are sent again by somebody else: id, time and body are under one HMAC, whose key only the receiver
// and the vault have.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"credence/internal/secret"
)

// The form of a secret: a prefix, and base64 of 24 to 64 bytes.
const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// NewSecret makes a secret.
func NewSecret() secret.String {
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // never fails
	return secret.New(secretPrefix + base64.StdEncoding.EncodeToString(random))
}

// Message is what is sent. ID stays the same in every attempt.
type Message struct {
	ID   string
	Body []byte // JSON
}

// Sign is the value of the header webhook-signature: a signature of scheme v1 by each secret, separated by spaces.
func Sign(id string, at time.Time, body []byte, secrets ...secret.String) (string, error) {
	signatures := make([]string, len(secrets))
	for i, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Reveal(), secretPrefix))
		if err != nil {
			return "", errors.New("the secret of the webhook is not whsec_ and base64") // the cause would quote it
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " "), nil
}

// Doer sends one request and follows no redirect; *egress.Client does.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Status is the answer of a receiver that did not take a message.
type Status int

func (s Status) Error() string {
	return strings.TrimSpace(fmt.Sprintf("it answered %d %s", int(s), http.StatusText(int(s))))
}

// Gone is the answer of a receiver that wants no more messages.
const Gone Status = http.StatusGone

// Send makes one attempt. It is nil when the receiver answered 2xx, a Status when it answered anything else, a redirect included.
func Send(ctx context.Context, client Doer, url string, m Message, secrets ...secret.String) error {
	at := time.Now()
	signature, err := Sign(m.ID, at, m.Body, secrets...)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(m.Body))
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Credence")
	req.Header.Set("webhook-id", m.ID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 16<<10)) // what it says is nobody's business here
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return Status(resp.StatusCode)
	}
	return nil
}
