// Package sigv4 verifies one request that is signed by header with AWS Signature Version 4, and says who signed it.
//
// It protects every operation from callers who do not hold the secret that they claim, and every signed byte from change on the way:
// method, path, query, body, host, date and each header that Credence reads. A door may therefore act on X-Credence-* headers and on the
// query of a verified request, and on no other header that a caller could use to change what an operation does.
//
// Two things the algorithm itself does not protect: the order of equally named query parameters and the number of spaces in a row inside a
// header value. Nothing may depend on them.
package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
)

// MaxSkew is how far X-Amz-Date may be from the server's clock, in either direction (AWS General Reference, Signature Version 4).
const MaxSkew = 5 * time.Minute

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z" // X-Amz-Date, ISO 8601 basic format in UTC
)

// Credential is what a request claims about its signer, before anything is verified.
type Credential struct {
	AccessKeyID  string        // 16-128 of A-Z a-z 0-9 _
	Date         string        // YYYYMMDD, the day of X-Amz-Date
	Region       string        // 1-64 of a-z 0-9 -
	Service      string        // always the service that Verify was told
	SessionToken secret.String // X-Amz-Security-Token; zero when there is none
}

// Lookup finds the caller that a credential names and the key derived (see Derive) from its secret for the credential's date, region and service.
// It answers an error that is fault.UnknownCaller for an access key or session token that it does not know, and fault.ExpiredCaller for a session
// past its end; Verify words both. Any other error is handed on as it is.
type Lookup[C any] func(ctx context.Context, c Credential) (caller C, signingKey []byte, err error)

// unknownKey stands in for the key of an unknown caller, so that such a request costs what a wrong signature costs.
var unknownKey = make([]byte, sha256.Size)

// Verify answers who signed r. The request must come from an HTTP server: RequestURI holds the path and query that were signed.
// body is the raw body, already read; service is the one signing name that this door accepts; now is the server's time.
//
// It refuses with fault.MissingSignature, IncompleteSignature (cannot be read), InvalidSignature (read, but wrong), UnknownCaller or ExpiredCaller.
// The algorithm is that of the AWS IAM User Guide, "Create a signed AWS API request", in its form for all services but S3.
func Verify[C any](r *http.Request, body []byte, service string, now time.Time, lookup Lookup[C]) (C, error) {
	var none C
	claim, err := readClaim(r, body, service, now)
	if err != nil {
		return none, err
	}
	caller, key, err := lookup(r.Context(), claim.credential)
	unknown := errors.Is(err, fault.UnknownCaller)
	expired := errors.Is(err, fault.ExpiredCaller)
	switch {
	case unknown, expired:
		key = unknownKey
	case err != nil:
		return none, err
	case len(key) != sha256.Size:
		return none, errors.New("sigv4: the looked-up signing key is not a derived key") // an empty key would let anybody sign
	}
	matches := claim.signedWith(key)
	switch {
	case unknown:
		return none, fault.Wrap(fault.UnknownCaller, err, "The security token included in the request is invalid.")
	case expired:
		return none, fault.Wrap(fault.ExpiredCaller, err, "The security token included in the request is expired")
	case !matches:
		return none, fault.New(fault.InvalidSignature, "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return caller, nil
}

// Derive makes the 32-byte signing key of a secret access key for one day (YYYYMMDD), region and service. It opens nothing else, so it may be
// kept in memory where the secret may not. Source: AWS IAM User Guide, "Create a signed AWS API request", step "Derive a signing key".
func Derive(secretAccessKey secret.String, date, region, service string) []byte {
	key := []byte("AWS4" + secretAccessKey.Reveal())
	for _, part := range [...]string{date, region, service, terminator} {
		key = mac(key, []byte(part))
	}
	return key
}

// claim is a request reduced to what is left to prove: that the holder of the credential's secret made the signature over stringToSign.
type claim struct {
	credential   Credential
	stringToSign []byte
	signature    string
}

func (c *claim) signedWith(key []byte) bool {
	var computed hexHash
	hex.Encode(computed[:], mac(key, c.stringToSign))
	return subtle.ConstantTimeCompare(computed[:], []byte(c.signature)) == 1
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
