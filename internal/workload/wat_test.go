package workload_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/workload"
)

const (
	alpha = "111111111111"
	beta  = "222222222222"
	admin = "arn:aws:iam::" + alpha + ":user/admin"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bed is a real vault over a real database with two accounts.
type bed struct {
	store *store.Store
	vault *vault.Vault
	kek   *vault.KEK
}

func open(t testing.TB) bed {
	t.Helper()
	return openIn(t, t.TempDir())
}

func openIn(t testing.TB, dir string) bed {
	t.Helper()
	key, err := vault.NewMasterKey()
	must(t, err)
	file := filepath.Join(dir, "master.key")
	must(t, os.WriteFile(file, key, 0o600))
	kek, err := vault.OpenKEK("file:" + file)
	must(t, err)
	s, err := store.Open(context.Background(), store.Config{Path: filepath.Join(dir, "credence.db")})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	b := bed{store: s, kek: kek}
	b.vault = b.restart(t)
	must(t, b.vault.CreateAccount(alpha))
	must(t, b.vault.CreateAccount(beta))
	return b
}

// restart is a vault that remembers nothing.
func (b bed) restart(t testing.TB) *vault.Vault {
	t.Helper()
	v, err := vault.New(context.Background(), vault.Config{Store: b.store, KEK: b.kek, Metrics: telemetry.New()})
	must(t, err)
	return v
}

func alice() workload.Token {
	return workload.Token{Workload: "agent", Incarnation: "incarnation", User: workload.User{Kind: workload.KindID, ID: "alice"}, Minter: admin}
}

var byJWT = workload.User{Kind: workload.KindJWT, Issuer: "https://idp.example", Subject: "alice"}

func mint(t testing.TB, b bed, token workload.Token) string {
	t.Helper()
	wat, err := workload.Mint(context.Background(), b.vault, alpha, token)
	must(t, err)
	return wat.Reveal()
}

func openWAT(b bed, account, wat string) (workload.Token, error) {
	return workload.Open(context.Background(), b.vault, account, secret.New(wat))
}

// jwtOf has a payload of n bytes; its parts are base64url but no JSON, which is Verify's affair.
func jwtOf(n int) string {
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("p", n))) + ".c2lnbmF0dXJl"
}

func TestWorkloadAccessTokenRoundTrip(t *testing.T) {
	b := open(t)
	for name, token := range map[string]workload.Token{
		"for itself":        {Workload: "agent", Incarnation: "i", Minter: admin},
		"for a user by id":  alice(),
		"for a user by JWT": {Workload: "agent", Incarnation: "i", User: byJWT, JWT: secret.New(jwtOf(7)), Minter: admin},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now().Truncate(time.Millisecond)
			wat := mint(t, b, token)
			for where, v := range map[string]*vault.Vault{"the same vault": b.vault, "a vault after a restart": b.restart(t)} {
				got, err := workload.Open(t.Context(), v, alpha, secret.New(wat))
				must(t, err)
				if id, err := uuid.Parse(got.ID); err != nil || id.Version() != 4 {
					t.Errorf("%s: the id %q is no random UUID", where, got.ID)
				}
				if got.Issued.Before(before) || got.Issued.After(time.Now()) || got.Expires.Sub(got.Issued) != 15*time.Minute {
					t.Errorf("%s: issued %s, expires %s", where, got.Issued, got.Expires)
				}
				want := token
				want.ID, want.Issued, want.Expires = got.ID, got.Issued, got.Expires
				if got != want {
					t.Errorf("%s: %+v, want %+v", where, got, want)
				}
			}
			if strings.Trim(wat, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
				t.Errorf("%q has characters that need escapes", wat)
			}
			if again := mint(t, b, token); again == wat {
				t.Error("two tokens are equal")
			}
		})
	}
}

// unknownText is what Open says of everything that is no token of the account.
func unknownText(t testing.TB, b bed) string {
	t.Helper()
	_, err := openWAT(b, alpha, "nonsense")
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Unauthorized || f.Err != nil {
		t.Fatalf("nonsense: %v, want unauthorized", err)
	}
	return f.Msg
}

// Who guesses learns nothing: each wrong token gets the same answer.
func TestWrongTokensAreAllTheSame(t *testing.T) {
	b := open(t)
	wat, text := mint(t, b, alice()), unknownText(t, b)
	handle := func(kind string, plaintext []byte) string {
		s, err := b.vault.SealHandle(t.Context(), alpha, kind, plaintext)
		must(t, err)
		return "cwat1." + s
	}
	plaintext, ok, err := b.vault.OpenHandle(t.Context(), alpha, "workload access token", strings.TrimPrefix(wat, "cwat1."))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}

	refused := func(t *testing.T, account, wat string) {
		t.Helper()
		token, err := openWAT(b, account, wat)
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok || f.Kind != fault.Unauthorized || f.Msg != text || f.Err != nil {
			t.Errorf("%.60q… answers %v", wat, err)
		}
		if token != (workload.Token{}) {
			t.Errorf("%.60q… opened as %+v", wat, token)
		}
	}
	for name, wrong := range map[string]struct{ account, wat string }{
		"another account's":          {beta, wat},
		"an account that is not":     {"333333333333", wat},
		"empty":                      {alpha, ""},
		"only the prefix":            {alpha, "cwat1."},
		"no prefix":                  {alpha, strings.TrimPrefix(wat, "cwat1.")},
		"another prefix":             {alpha, strings.Replace(wat, "cwat1.", "cwat2.", 1)},
		"prefix in upper case":       {alpha, strings.Replace(wat, "cwat1.", "CWAT1.", 1)},
		"padding":                    {alpha, wat + "="},
		"one character more":         {alpha, wat + "A"},
		"a space before":             {alpha, " " + wat},
		"a line break at the end":    {alpha, wat + "\n"},
		"a line break inside":        {alpha, wat[:20] + "\r\n" + wat[20:]},
		"a cursor":                   {alpha, handle("cursor ListWorkloadIdentities", []byte("agent"))},
		"its content as a cursor":    {alpha, handle("cursor ListWorkloadIdentities", plaintext)},
		"another content":            {alpha, handle("workload access token", []byte("agent"))},
		"its content and more":       {alpha, handle("workload access token", append([]byte{}, append(plaintext, 0)...))},
		"its content of the future":  {alpha, handle("workload access token", append([]byte{2}, plaintext[1:]...))},
		"its content, not encrypted": {alpha, "cwat1." + base64.RawURLEncoding.EncodeToString(plaintext)},
		"a JWT":                      {alpha, jwtOf(10)},
	} {
		t.Run(name, func(t *testing.T) { refused(t, wrong.account, wrong.wat) })
	}
	t.Run("truncated", func(t *testing.T) {
		for n := range wat {
			refused(t, alpha, wat[:n])
		}
	})
	t.Run("a flipped bit", func(t *testing.T) {
		for i := range wat {
			for bit := range 8 {
				flipped := []byte(wat)
				flipped[i] ^= 1 << bit
				refused(t, alpha, string(flipped))
			}
		}
	})
	if _, err := openWAT(b, alpha, wat); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

// A workload access token is nothing but that: it opens as no cursor.
func TestTokenIsNoOtherHandle(t *testing.T) {
	b := open(t)
	handle := strings.TrimPrefix(mint(t, b, alice()), "cwat1.")
	for _, kind := range []string{"cursor ListWorkloadIdentities", "", "workload access token\x00", "workload access toke"} {
		if plaintext, ok, err := b.vault.OpenHandle(t.Context(), alpha, kind, handle); err != nil || ok {
			t.Errorf("opened as %q: %q", kind, plaintext)
		}
	}
}

// An agent that is told that its token is wrong throws it away and asks for another: a database that does not answer must not say so.
func TestAnOutageIsNoWrongToken(t *testing.T) {
	b := open(t)
	wat := mint(t, b, alice())
	b.vault = b.restart(t)
	must(t, b.store.Close())
	if _, err := openWAT(b, alpha, wat); err == nil || errors.Is(err, fault.Unauthorized) {
		t.Errorf("got %v, want an error that is not about the token", err)
	}
}

func TestTokensExpire(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := openIn(t, dir)
		wat := mint(t, b, alice())
		time.Sleep(15*time.Minute - time.Nanosecond)
		if _, err := openWAT(b, alpha, wat); err != nil {
			t.Errorf("a nanosecond before its end: %v", err)
		}
		time.Sleep(time.Nanosecond)
		token, err := openWAT(b, alpha, wat)
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok || f.Kind != fault.Unauthorized || f.Msg != "The workload access token expired at 2000-01-01T00:15:00Z: get a new one (they live 15m0s)" {
			t.Errorf("got %v", err)
		}
		if token != (workload.Token{}) {
			t.Errorf("an expired token opened as %+v", token)
		}
		if _, err := openWAT(b, beta, wat); err == nil || strings.Contains(err.Error(), "expired") {
			t.Errorf("another account learns that it expired: %v", err)
		}
	})
}

// The longest JWT that fits works and comes back byte by byte; one byte more is refused by name and limit.
func TestLongJWTs(t *testing.T) {
	b := open(t)
	token := workload.Token{Workload: strings.Repeat("w", 255), Incarnation: "i", User: byJWT, Minter: admin}
	try := func(n int) (secret.String, error) {
		token.JWT = secret.New(jwtOf(n))
		return workload.Mint(t.Context(), b.vault, alpha, token)
	}
	fits, tooLong := 0, workload.MaxLength
	for tooLong-fits > 1 {
		middle := (fits + tooLong) / 2
		if _, err := try(middle); err == nil {
			fits = middle
		} else {
			tooLong = middle
		}
	}
	wat, err := try(fits)
	must(t, err)
	if wat.Len() > 131072 || wat.Len() < 131072-2 { // a byte is 4/3 characters
		t.Errorf("the longest token has %d characters, want at most 131072 and no fewer than that allows", wat.Len())
	}
	if token.JWT.Len() < 130_000 {
		t.Errorf("a JWT of no more than %d characters fits", token.JWT.Len())
	}
	got, err := openWAT(b, alpha, wat.Reveal())
	must(t, err)
	if !got.JWT.Equal(token.JWT) {
		t.Error("the JWT came back changed")
	}

	_, err = try(tooLong)
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != "userToken" || !strings.Contains(f.Msg, "at most 131072") {
		t.Errorf("one byte more: %v", err)
	}
	if f != nil && !strings.Contains(f.Msg, strconv.Itoa(131073)) && !strings.Contains(f.Msg, strconv.Itoa(131074)) {
		t.Errorf("the message does not say how long it would be: %s", f.Msg)
	}
	if _, err = try(384 << 10); !errors.Is(err, fault.Validation) { // about the size limit of a request
		t.Errorf("384 KiB: %v, want a validation fault", err)
	}
}

// Arbitrary text opens as nothing, in the account of the seeds or another one.
func FuzzOpen(f *testing.F) {
	b := open(f)
	wat := mint(f, b, alice())
	theirs, err := workload.Mint(context.Background(), b.vault, beta, alice())
	must(f, err)
	for _, seed := range []string{"", "cwat1.", "cwat1.AAAA", theirs.Reveal(), wat[:len(wat)-1], wat + "A", "cwat1." + wat, strings.ToUpper(wat), jwtOf(3)} {
		f.Add(seed)
	}
	text := unknownText(f, b)
	f.Fuzz(func(t *testing.T, text2 string) {
		token, err := openWAT(b, alpha, text2)
		if text2 == wat {
			must(t, err)
			return
		}
		fa, ok := errors.AsType[*fault.Fault](err)
		if !ok || fa.Kind != fault.Unauthorized || fa.Msg != text || token != (workload.Token{}) {
			t.Errorf("%q: %+v, %v", text2, token, err)
		}
	})
}
