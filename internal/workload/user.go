package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"credence/internal/wire"
)

// Kind is how a user is known.
type Kind string

// The kinds. They are key spaces of their own.
const (
	KindJWT    Kind = "jwt"    // a verified JWT: Issuer and Subject
	KindClaims Kind = "claims" // a verified JWT of an issuer whose users other claims make: Issuer and Claims
	KindID     Kind = "id"     // the caller's word: ID
)

// MaxClaims is how many claims may make a user.
const MaxClaims = 3

// Claim is one that makes a user.
type Claim struct{ Name, Value string }

// User is whom a workload acts for. The zero User is nobody.
type User struct {
	Kind    Kind
	Issuer  string
	Subject string
	ID      string
	Claims  [MaxClaims]Claim // by name; unused ones are zero
}

// UserByClaims is the user that claims of an issuer make, at most MaxClaims, in whatever order.
func UserByClaims(issuer string, claims ...Claim) User {
	u := User{Kind: KindClaims, Issuer: issuer}
	for i, c := range slices.SortedFunc(slices.Values(claims), func(a, b Claim) int { return strings.Compare(a.Name, b.Name) }) {
		u.Claims[i] = c // one too many must not be left out: others would be this user then
	}
	return u
}

// UserNamed is the user that an operator names.
func UserNamed(u *wire.GrantUser) User {
	switch {
	case u.UserId != nil:
		return User{Kind: KindID, ID: *u.UserId}
	case u.Jwt != nil:
		return User{Kind: KindJWT, Issuer: u.Jwt.Issuer, Subject: u.Jwt.Subject}
	}
	var claims []Claim
	for name, value := range u.JwtClaims.Claims {
		claims = append(claims, Claim{name, value})
	}
	return UserByClaims(u.JwtClaims.Issuer, claims...)
}

// GrantUser is how an operator names the user.
func (u User) GrantUser() *wire.GrantUser {
	switch u.Kind {
	case KindJWT:
		return &wire.GrantUser{Jwt: &wire.GrantJwtUser{Issuer: u.Issuer, Subject: u.Subject}}
	case KindClaims:
		claims := map[string]string{}
		for _, c := range u.claims() {
			claims[c.Name] = c.Value
		}
		return &wire.GrantUser{JwtClaims: &wire.GrantClaimsUser{Issuer: u.Issuer, Claims: claims}}
	}
	return &wire.GrantUser{UserId: &u.ID}
}

// Verified reports whether a JWT says who the user is.
func (u User) Verified() bool { return u.Kind == KindJWT || u.Kind == KindClaims }

// MadeBy are the claims that, with the issuer, make the user, in order; none of a user whom no JWT names.
func (u User) MadeBy() (names []string) {
	if u.Kind == KindJWT {
		return subjectAlone
	}
	for _, c := range u.claims() {
		names = append(names, c.Name)
	}
	return names
}

// claims are those that are used.
func (u User) claims() []Claim {
	n := slices.Index(u.Claims[:], Claim{})
	if n < 0 {
		n = MaxClaims
	}
	return u.Claims[:n]
}

// IsZero reports whether there is no user.
func (u User) IsZero() bool { return u.Kind == "" }

// Key is the user's key in rows: hex SHA-256 over version, kind and length-prefixed fields, bytewise and without any normalisation,
// so that no two users share one. Claims go in with their names, all MaxClaims, where there are any. "" for nobody.
func (u User) Key() string {
	if u.IsZero() {
		return ""
	}
	var b cryptobyte.Builder
	b.AddUint8(1)
	fields := []string{string(u.Kind), u.Issuer, u.Subject, u.ID}
	if u.Claims != [MaxClaims]Claim{} {
		for _, c := range u.Claims {
			fields = append(fields, c.Name, c.Value)
		}
	}
	for _, field := range fields {
		b.AddUint32LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(field)) })
	}
	sum := sha256.Sum256(b.BytesOrPanic()) // cannot fail: lengths fit 32 bits
	return hex.EncodeToString(sum[:])
}

// ParseUser is the user whose String is text.
func ParseUser(text string) (User, error) {
	kind, rest, _ := strings.Cut(text, ":")
	var fields []string
	for rest != "" {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return User{}, errNoUser
		}
		field, err := strconv.Unquote(quoted)
		if err != nil {
			return User{}, errNoUser
		}
		fields = append(fields, field)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	var u User
	switch {
	case Kind(kind) == KindID && len(fields) == 1:
		u = User{Kind: KindID, ID: fields[0]}
	case Kind(kind) == KindJWT && len(fields) == 2:
		u = User{Kind: KindJWT, Issuer: fields[0], Subject: fields[1]}
	case Kind(kind) == KindClaims && len(fields)%2 == 1 && len(fields) <= 1+2*MaxClaims:
		var claims []Claim
		for i := 1; i < len(fields); i += 2 {
			claims = append(claims, Claim{fields[i], fields[i+1]})
		}
		u = UserByClaims(fields[0], claims...)
	}
	if u.IsZero() || u.String() != text {
		return User{}, errNoUser
	}
	return u, nil
}

var errNoUser = errors.New("it is not the readable form of a user")

// Name is the user as a person would say it, for pages. Two users may have the same.
func (u User) Name() string {
	switch u.Kind {
	case KindJWT:
		return u.Subject + " of " + u.Issuer
	case KindClaims:
		var values []string
		for _, c := range u.claims() {
			values = append(values, c.Value)
		}
		return strings.Join(values, ", ") + " of " + u.Issuer
	}
	return u.ID
}

// String is the readable form for audit events: id:"NAME", jwt:"ISSUER" "SUBJECT", or claims:"ISSUER" and each claim's "NAME" "VALUE".
func (u User) String() string {
	var fields []string
	switch u.Kind {
	case KindJWT:
		fields = []string{u.Issuer, u.Subject}
	case KindClaims:
		fields = []string{u.Issuer}
		for _, c := range u.claims() {
			fields = append(fields, c.Name, c.Value)
		}
	case KindID:
		fields = []string{u.ID}
	default:
		return ""
	}
	for i, f := range fields {
		fields[i] = strconv.Quote(f)
	}
	return string(u.Kind) + ":" + strings.Join(fields, " ")
}
