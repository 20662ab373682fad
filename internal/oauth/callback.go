package oauth

import (
	"errors"
	"fmt"
	"net/url"

	"credence/internal/secret"
)

// Bytes of a callback's parameters. The state is our own and short; a code may be a whole encrypted token.
const (
	maxQuery     = 16 << 10
	maxCodeBytes = 8 << 10
	maxState     = 1 << 10
	maxIssuer    = 2 << 10
)

// Callback is what a vendor sent back through the browser (RFC 6749 sections 4.1.2 and 4.1.2.1). Either Code or Error is there.
type Callback struct {
	Code, State             secret.String
	Issuer                  string // RFC 9207; "" when absent
	Error, ErrorDescription string // cleaned like those of Error
}

// ParseCallback reads the query of a callback. Everything in it may be forged, so it takes no parameter twice, none that is larger than
// any vendor's, and no answer without a state. The error is a sentence that repeats nothing of the query but names.
func ParseCallback(rawQuery string) (Callback, error) {
	if len(rawQuery) > maxQuery {
		return Callback{}, fmt.Errorf("the callback's query is larger than %d bytes", maxQuery)
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Callback{}, errors.New("the callback's query is malformed")
	}
	for _, parameter := range []struct {
		name  string
		limit int
	}{{"state", maxState}, {"code", maxCodeBytes}, {"iss", maxIssuer}, {"error", maxQuery}, {"error_description", maxQuery}} {
		if len(query[parameter.name]) > 1 {
			return Callback{}, fmt.Errorf("the callback has more than one %s", parameter.name)
		}
		if len(query.Get(parameter.name)) > parameter.limit {
			return Callback{}, fmt.Errorf("the callback's %s is larger than %d bytes", parameter.name, parameter.limit)
		}
	}
	cb := Callback{
		Code:             secret.New(query.Get("code")),
		State:            secret.New(query.Get("state")),
		Issuer:           query.Get("iss"),
		Error:            clean(query.Get("error"), maxCode, nil),
		ErrorDescription: clean(query.Get("error_description"), maxDescription, nil),
	}
	switch {
	case cb.State.IsZero():
		return Callback{}, errors.New("the callback has no state")
	case query.Get("error") != "" && !cb.Code.IsZero():
		return Callback{}, errors.New("the callback has both a code and an error")
	case cb.Error == "" && cb.Code.IsZero():
		return Callback{}, errors.New("the callback has neither a code nor an error")
	}
	return cb, nil
}

// CheckIssuer defends against mix-up attacks (RFC 9207 section 2.4): an iss must equal the issuer that the browser was sent to, and must
// be there if that issuer's metadata promises it. An issuer that is not known ("") cannot be compared.
func (cb Callback) CheckIssuer(issuer string, promised bool) error {
	switch {
	case cb.Issuer == "" && promised:
		return fmt.Errorf("the callback has no iss, which %q promises to send", issuer)
	case cb.Issuer != "" && issuer != "" && cb.Issuer != issuer:
		return fmt.Errorf("the callback comes from another issuer than %q", issuer)
	}
	return nil
}
