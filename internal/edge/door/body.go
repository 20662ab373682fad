// Package door is what doors have in common.
//
// It protects the server from requests that are larger than anything it takes, the audit log from addresses that callers make up, and people from pages that somebody
// else frames, fills or reads.
package door

import (
	"errors"
	"io"
	"net/http"

	"credence/internal/fault"
)

// MaxBody of a request in bytes: two tokens of 131,072 characters and what is around them.
const MaxBody = 512 << 10

// ReadBody reads the body of a request. The error is a fault of kind TooLarge or Validation.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body []byte
	var err error
	switch n := r.ContentLength; {
	case n > MaxBody:
		return nil, tooLarge()
	case n >= 0: // net/http lets no more through
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	default:
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge()
	}
	if err != nil {
		const msg = "The request body ended early"
		return nil, &fault.Fault{Kind: fault.Validation, Reason: fault.CannotParse, Msg: msg, Fields: []fault.Field{{Name: "body", Message: msg}}, Err: err}
	}
	return body, nil
}

func tooLarge() error {
	return fault.New(fault.TooLarge, "The request body is larger than %d bytes", MaxBody)
}
