package workload

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/jwt"
)

// subjectAlone makes a user of KindJWT.
var subjectAlone = []string{"sub"}

// vouched are claims that a user may have chosen freely unless the issuer says in another one that he proved it (OpenID Connect Core section 5.1).
var vouched = map[string]string{"email": "email_verified", "phone_number": "phone_number_verified"}

// ofToken are claims that tell of a token, a sign-in or another claim, and of no user.
var ofToken = []string{
	"iss", "aud", "exp", "nbf", "iat", "jti", "nonce", "auth_time", "acr", "amr", "azp", "at_hash", "c_hash", "s_hash", "sid", "scope", "client_id",
	"email_verified", "phone_number_verified",
}

// CheckUserKeyClaims says what is wrong with a list of claims that is to make users.
func CheckUserKeyClaims(names []string) error {
	if len(names) == 0 || len(names) > MaxClaims {
		return fmt.Errorf("must be 1 to %d claims", MaxClaims)
	}
	for i, name := range names {
		switch {
		case slices.Contains(names[:i], name):
			return fmt.Errorf("has %q twice", name)
		case slices.Contains(ofToken, name):
			return fmt.Errorf("has %q, which names no user", name)
		case !utf8.ValidString(name) || name == "":
			return fmt.Errorf("has %q, which is no name of a claim", name)
		}
	}
	return nil
}

// userOf is the user of a verified JWT, whom claims make together with the issuer. A claim counts as it stands: a string, compared byte by byte.
func userOf(t *jwt.JSONWebToken, names []string) (User, error) {
	all := map[string]any{}
	if err := t.UnsafeClaimsWithoutVerification(&all); err != nil { // which refuses a claim that is there twice
		return User{}, errors.New("its claims are not a JSON object")
	}
	issuer, _ := all["iss"].(string)
	var claims []Claim
	for _, name := range names {
		value, ok := all[name].(string)
		switch {
		case all[name] == nil:
			return User{}, fmt.Errorf("it has no claim %q, which makes the users of this issuer", name)
		case !ok:
			return User{}, fmt.Errorf("its claim %q, which makes the users of this issuer, is not a string", name)
		case value == "":
			return User{}, fmt.Errorf("its claim %q, which makes the users of this issuer, is empty", name)
		case slices.Contains([]rune(value), utf8.RuneError): // what a decoder puts for bytes that are no text: they may have been others
			return User{}, fmt.Errorf("its claim %q, which makes the users of this issuer, is not well-formed text", name)
		}
		if proof := vouched[name]; proof != "" && all[proof] != true {
			return User{}, fmt.Errorf("its claim %q makes the users of this issuer, and its claim %q is not true", name, proof)
		}
		claims = append(claims, Claim{name, value})
	}
	if slices.Equal(names, subjectAlone) {
		return User{Kind: KindJWT, Issuer: issuer, Subject: claims[0].Value}, nil
	}
	return UserByClaims(issuer, claims...), nil
}
