package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Kind is how a user is known.
type Kind string

// The kinds. They are key spaces of their own.
const (
	KindJWT Kind = "jwt" // a verified JWT: Issuer and Subject
	KindID  Kind = "id"  // the caller's word: ID
)

// User is whom a workload acts for. The zero User is nobody.
type User struct {
	Kind    Kind
	Issuer  string
	Subject string
	ID      string
}

// IsZero reports whether there is no user.
func (u User) IsZero() bool { return u.Kind == "" }

// Key is the user's key in rows: hex SHA-256 over version, kind and length-prefixed fields, bytewise and without any normalisation,
// so that no two users share one. "" for nobody.
func (u User) Key() string {
	if u.IsZero() {
		return ""
	}
	var b cryptobyte.Builder
	b.AddUint8(1)
	for _, field := range []string{string(u.Kind), u.Issuer, u.Subject, u.ID} {
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
	}
	if u.IsZero() || u.String() != text {
		return User{}, errNoUser
	}
	return u, nil
}

var errNoUser = errors.New("it is not the readable form of a user")

// Name is the user as a person would say it, for pages. Two users may have the same.
func (u User) Name() string {
	if u.Kind == KindJWT {
		return u.Subject + " of " + u.Issuer
	}
	return u.ID
}

// String is the readable form for audit events: id:"NAME" or jwt:"ISSUER" "SUBJECT".
func (u User) String() string {
	switch u.Kind {
	case KindJWT:
		return string(u.Kind) + ":" + strconv.Quote(u.Issuer) + " " + strconv.Quote(u.Subject)
	case KindID:
		return string(u.Kind) + ":" + strconv.Quote(u.ID)
	}
	return ""
}
