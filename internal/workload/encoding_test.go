package workload

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
)

func segments(parts ...string) string {
	for i, p := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(p))
	}
	return strings.Join(parts, ".")
}

func FuzzDecode(f *testing.F) {
	whole, err := Token{
		Workload: "agent", Incarnation: "i", User: User{Kind: KindJWT, Issuer: "https://idp.example", Subject: "alice"},
		JWT:    secret.New(segments(`{"alg":"RS256"}`, `{}`, "sig")),
		Minter: "arn:aws:iam::111111111111:user/admin", ID: "id", Issued: time.UnixMilli(1), Expires: time.UnixMilli(2),
	}.encode()
	if err != nil {
		f.Fatal(err)
	}
	bare, err := Token{}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(bare)
	f.Add(whole[:len(whole)-1])
	f.Add(append(bytes.Clone(whole), 0))
	f.Add(append([]byte{2}, whole[1:]...))
	f.Add([]byte{})
	f.Add([]byte{1, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		token, err := decode(plaintext)
		if err != nil {
			if token != (Token{}) {
				t.Errorf("a token came with the error: %+v", token)
			}
			return
		}
		again, err := token.encode()
		if err != nil {
			t.Fatalf("%+v was decoded but does not encode: %v", token, err)
		}
		// A JWT without a header is none, so what may stand in its other parts is not kept. Mint seals no such thing.
		if token.JWT.Len() > 0 && !bytes.Equal(again, plaintext) {
			t.Errorf("decoded and encoded again, the bytes differ\n%x\n%x", plaintext, again)
		}
		same, err := decode(again)
		if err != nil || same != token {
			t.Errorf("%+v became %+v, %v", token, same, err)
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add("agent", "i", "jwt", "https://idp.example", "alice", "", "arn", "id", "h", "p", "s", int64(0), int64(900_000))
	f.Add("", "", "", "", "", "", "", "", "", "", "", int64(-1), int64(1<<62))
	f.Add("a\x00", "\xff", "id", "", "", "alice", "", "", "{}", "", "", int64(1), int64(2))
	f.Fuzz(func(t *testing.T, name, incarnation, kind, issuer, subject, id, minter, tokenID, header, payload, signature string, issued, expires int64) {
		want := Token{
			Workload: name, Incarnation: incarnation, User: User{Kind: Kind(kind), Issuer: issuer, Subject: subject, ID: id, Claims: [MaxClaims]Claim{{issuer, subject}, {}, {id, kind}}}, Minter: minter, ID: tokenID,
			Issued: time.UnixMilli(issued), Expires: time.UnixMilli(expires),
		}
		if header != "" {
			want.JWT = secret.New(segments(header, payload, signature))
		}
		plaintext, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(plaintext); err != nil || got != want {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	})
}

// A part that has another spelling could not be given back as it came, and its signature is over the spelling.
func TestEncodeRefusesPartsThatDoNotComeBack(t *testing.T) {
	const ok = "e30"
	for name, jwt := range map[string]string{
		"one part":                  ok,
		"two parts":                 ok + "." + ok,
		"four parts":                ok + "." + ok + "." + ok + "." + ok,
		"padding":                   "e30=." + ok + "." + ok,
		"bits after the last octet": ok + ".e31." + ok,
		"standard alphabet":         ok + ".-_8." + "+/8",
		"impossible length":         ok + "." + ok + ".e",
		"a space":                   ok + ". e30." + ok,
		"not base64":                ok + ".{}." + ok,
		"a line break":              ok + "." + ok + ".e3\n0",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Token{JWT: secret.New(jwt)}.encode()
			f, isFault := errors.AsType[*fault.Fault](err)
			if !isFault || f.Kind != fault.Validation || len(f.Fields) != 1 || f.Fields[0].Name != "userToken" {
				t.Errorf("got %v, want a validation fault about userToken", err)
			}
		})
	}
}
