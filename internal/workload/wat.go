package workload

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/cryptobyte"

	"credence/internal/fault"
	"credence/internal/secret"
)

const (
	// Lifetime of a workload access token.
	Lifetime = 15 * time.Minute
	// MaxLength of a workload access token in characters (API member workloadIdentityToken).
	MaxLength = 131072

	prefix = "cwat1."
	kind   = "workload access token"
)

// Sealer seals what travels outside, bound to an account and a kind of handle; *vault.Vault is one.
type Sealer interface {
	SealHandle(ctx context.Context, account, kind string, plaintext []byte) (handle string, err error)
	OpenHandle(ctx context.Context, account, kind, handle string) (plaintext []byte, ok bool, err error)
}

// Token is what a workload access token says.
type Token struct {
	Workload    string // name
	Incarnation string // of the workload identity
	User        User   // zero: the workload acts for itself
	JWT         secret.String
	Minter      string // ARN of the caller it was minted for
	ID          string // UUID
	Issued      time.Time
	Expires     time.Time
}

// Mint makes a workload access token for an account: it fills ID, Issued and Expires. A JWT that does not fit is a Validation fault about userToken.
func Mint(ctx context.Context, s Sealer, account string, t Token) (secret.String, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return secret.String{}, err
	}
	t.ID, t.Issued = id.String(), time.Now()
	t.Expires = t.Issued.Add(Lifetime)
	plaintext, err := t.encode()
	if err != nil {
		return secret.String{}, err
	}
	handle, err := s.SealHandle(ctx, account, kind, plaintext)
	if err != nil {
		return secret.String{}, err
	}
	if n := len(prefix) + len(handle); n > MaxLength {
		return secret.String{}, fault.Invalid("userToken", "is too long: the workload access token that carries it would have %d characters, at most %d are possible", n, MaxLength)
	}
	return secret.New(prefix + handle), nil
}

// Open reads a workload access token of an account. Every token that is not one of this account, or is past its end, is an Unauthorized
// fault; all but the expired get the same text. Any other error is about the account's keys, not the token.
func Open(ctx context.Context, s Sealer, account string, wat secret.String) (Token, error) {
	handle, ok := strings.CutPrefix(wat.Reveal(), prefix)
	if !ok {
		return Token{}, unknownToken()
	}
	plaintext, ok, err := s.OpenHandle(ctx, account, kind, handle)
	if err != nil {
		return Token{}, err
	}
	if !ok {
		return Token{}, unknownToken()
	}
	t, err := decode(plaintext)
	if err != nil {
		return Token{}, unknownToken()
	}
	if now := time.Now(); !now.Before(t.Expires) {
		return Token{}, fault.New(fault.Unauthorized, "The workload access token expired at %s: get a new one (they live %s)", t.Expires.UTC().Format(time.RFC3339), Lifetime)
	}
	return t, nil
}

func unknownToken() error {
	return fault.New(fault.Unauthorized, "The workload access token is not valid: get a new one with GetWorkloadAccessToken, GetWorkloadAccessTokenForJWT or GetWorkloadAccessTokenForUserId")
}

const encodingVersion = 1

func (t Token) encode() ([]byte, error) {
	var segments [3][]byte
	if t.JWT.Len() > 0 {
		parts := strings.Split(t.JWT.Reveal(), ".")
		if len(parts) != 3 {
			return nil, fault.Invalid("userToken", "is not a JWT in compact form")
		}
		for i, p := range parts {
			raw, err := base64.RawURLEncoding.Strict().DecodeString(p)
			if err != nil || strings.ContainsAny(p, "\r\n") { // which the decoder passes over
				return nil, fault.Invalid("userToken", "is not a JWT: part %d is not unpadded base64url", i+1)
			}
			segments[i] = raw
		}
	}
	var b cryptobyte.Builder
	b.AddUint8(encodingVersion)
	field := func(v []byte) {
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
	}
	for _, s := range []string{t.Workload, t.Incarnation, string(t.User.Kind), t.User.Issuer, t.User.Subject, t.User.ID, t.Minter, t.ID} {
		field([]byte(s))
	}
	for _, c := range t.User.Claims {
		field([]byte(c.Name))
		field([]byte(c.Value))
	}
	b.AddUint64(uint64(t.Issued.UnixMilli()))
	b.AddUint64(uint64(t.Expires.UnixMilli()))
	for _, s := range segments {
		field(s)
	}
	return b.Bytes()
}

func decode(plaintext []byte) (Token, error) {
	s := cryptobyte.String(plaintext)
	var t Token
	var version uint8
	var userKind string
	var issued, expires uint64
	ok := s.ReadUint8(&version) && version == encodingVersion
	field := func(dst *string) {
		var v cryptobyte.String
		ok = ok && s.ReadUint24LengthPrefixed(&v)
		*dst = string(v)
	}
	for _, dst := range []*string{&t.Workload, &t.Incarnation, &userKind, &t.User.Issuer, &t.User.Subject, &t.User.ID, &t.Minter, &t.ID} {
		field(dst)
	}
	for i := range t.User.Claims {
		field(&t.User.Claims[i].Name)
		field(&t.User.Claims[i].Value)
	}
	ok = ok && s.ReadUint64(&issued) && s.ReadUint64(&expires)
	var segments [3]string
	for i := range segments {
		field(&segments[i])
	}
	if !ok || !s.Empty() {
		return Token{}, errors.New("not an encoded token")
	}
	t.User.Kind, t.Issued, t.Expires = Kind(userKind), time.UnixMilli(int64(issued)), time.UnixMilli(int64(expires))
	if segments[0] != "" {
		for i := range segments {
			segments[i] = base64.RawURLEncoding.EncodeToString([]byte(segments[i]))
		}
		t.JWT = secret.New(strings.Join(segments[:], "."))
	}
	return t, nil
}
