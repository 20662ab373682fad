package workload

import (
	"encoding/json"
	"strings"

	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/iam"
	"credence/internal/secret"
)

// Claims are what policies may ask about a JWT of a user, which was verified before. One that cannot be read has none.
func Claims(token secret.String) iam.JWTClaims {
	parsed, err := jwt.ParseSigned(token.Reveal(), algorithms)
	if err != nil {
		return iam.JWTClaims{}
	}
	var c struct {
		Issuer   string       `json:"iss"`
		Subject  string       `json:"sub"`
		Audience jwt.Audience `json:"aud"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil {
		return iam.JWTClaims{}
	}
	out := iam.JWTClaims{Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience}
	// These two nobody has looked at: one of another type is as good as none.
	var more struct {
		ClientID json.RawMessage `json:"client_id"`
		Scope    json.RawMessage `json:"scope"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&more); err != nil {
		return out
	}
	if json.Unmarshal(more.ClientID, &out.ClientID) != nil {
		out.ClientID = ""
	}
	var scope string
	if json.Unmarshal(more.Scope, &scope) == nil {
		out.Scope = strings.Fields(scope) // RFC 9068: separated by spaces
	} else if json.Unmarshal(more.Scope, &out.Scope) != nil {
		out.Scope = nil
	}
	return out
}
