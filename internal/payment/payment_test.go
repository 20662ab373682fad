package payment

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/secret"
	"credence/internal/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ecVector is the P-256 key of RFC 6979, appendix A.2.5, and its public half as the RFC prints it.
func ecVector(t testing.TB) (*ecdsa.PrivateKey, *ecdsa.PublicKey) {
	t.Helper()
	scalar, err := hex.DecodeString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
	must(t, err)
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	must(t, err)
	point, err := hex.DecodeString("04" + "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6" + "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")
	must(t, err)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	must(t, err)
	return k, public
}

// edVector is the Ed25519 key of RFC 8032, section 7.1, test 1, as the vendor writes one: seed and public half.
func edVector(t testing.TB) (text string, public ed25519.PublicKey) {
	t.Helper()
	raw, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60" + "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
	must(t, err)
	return base64.StdEncoding.EncodeToString(raw), raw[32:]
}

func pkcs8(t testing.TB, k any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	return der
}

func sec1(t testing.TB, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(k)
	must(t, err)
	return der
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// openJWT verifies a token with the standard library alone and gives its header and claims.
func openJWT(t *testing.T, token string, public any) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	raw := make([][]byte, 3)
	for i, p := range parts {
		var err error
		raw[i], err = base64.RawURLEncoding.Strict().DecodeString(p)
		must(t, err)
	}
	signed := []byte(parts[0] + "." + parts[1])
	good := false
	switch public := public.(type) {
	case ed25519.PublicKey:
		good = ed25519.Verify(public, signed, raw[2])
	case *ecdsa.PublicKey: // RFC 7518 section 3.4: R and S, 32 bytes each
		sum := sha256.Sum256(signed)
		good = len(raw[2]) == 64 && ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(raw[2][:32]), new(big.Int).SetBytes(raw[2][32:]))
	}
	if !good {
		t.Fatal("the signature is wrong")
	}
	must(t, json.Unmarshal(raw[0], &header))
	must(t, json.Unmarshal(raw[1], &claims))
	return header, claims
}

var (
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	request = Request{wire.HttpPost, CoinbaseHost, "/platform/v2/evm/accounts"}
)

func isRandom(t *testing.T, what any) {
	t.Helper()
	if b, err := hex.DecodeString(fmt.Sprint(what)); err != nil || len(b) != 16 {
		t.Errorf("%v is not 128 bits in hex", what)
	}
}

// The bearer token as Coinbase documents it, with both kinds of key.
func TestBearer(t *testing.T) {
	edText, edPublic := edVector(t)
	ec, ecPublic := ecVector(t)
	for name, c := range map[string]struct {
		key       string
		public    any
		algorithm string
	}{
		"Ed25519":       {edText, edPublic, "EdDSA"},
		"P-256, SEC 1":  {inPEM("EC PRIVATE KEY", sec1(t, ec)), ecPublic, "ES256"},
		"P-256, PKCS 8": {inPEM("PRIVATE KEY", pkcs8(t, ec)), ecPublic, "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewCoinbase("key-id", secret.New(c.key), secret.String{})
			must(t, err)
			token, err := s.Bearer(request, noon)
			must(t, err)
			header, claims := openJWT(t, token, c.public)
			isRandom(t, header["nonce"])
			again, err := s.Bearer(request, noon)
			must(t, err)
			if h, _ := openJWT(t, again, c.public); h["nonce"] == header["nonce"] {
				t.Error("two tokens have one nonce")
			}
			delete(header, "nonce")
			if d := cmp.Diff(map[string]any{"alg": c.algorithm, "kid": "key-id", "typ": "JWT"}, header); d != "" {
				t.Error(d)
			}
			at := float64(noon.Unix())
			want := map[string]any{"iss": "cdp", "sub": "key-id", "iat": at, "nbf": at, "exp": at + 120, "uris": []any{"POST api.cdp.coinbase.com/platform/v2/evm/accounts"}}
			if d := cmp.Diff(want, claims); d != "" {
				t.Error(d)
			}
			if s.HasWallet() {
				t.Error("it has a wallet")
			}
			if _, err := s.WalletAuth(request, "", noon); err == nil {
				t.Error("a wallet token without a wallet secret")
			}
		})
	}
}

// The wallet token covers method, host, path and the body, whose spelling does not count but its meaning.
func TestWalletAuth(t *testing.T) {
	edText, _ := edVector(t)
	ec, public := ecVector(t)
	s, err := NewCoinbase("key-id", secret.New(edText), secret.New(base64.StdEncoding.EncodeToString(pkcs8(t, ec))))
	must(t, err)
	open := func(t *testing.T, r Request, body string) map[string]any {
		t.Helper()
		token, err := s.WalletAuth(r, body, noon)
		must(t, err)
		header, claims := openJWT(t, token, public)
		if d := cmp.Diff(map[string]any{"alg": "ES256", "typ": "JWT"}, header); d != "" {
			t.Error(d)
		}
		isRandom(t, claims["jti"])
		delete(claims, "jti")
		return claims
	}
	at := float64(noon.Unix())
	for name, c := range map[string]struct{ body, covered string }{
		"no body":          {"", ""},
		"an empty object":  {" { } ", ""},
		"sorted":           {`{"name":"my-account"}`, `{"name":"my-account"}`},
		"to be sorted":     {"{\n\t\"b\": [ {\"d\":null, \"c\":true} ],\r\n \"a\": \"x\" }", `{"a":"x","b":[{"c":true,"d":null}]}`},
		"HTML characters":  {`{"a":"<&>"}`, `{"a":"<&>"}`},
		"escapes":          {`{"a":"\u0041\/\u00e9"}`, `{"a":"A/é"}`},
		"numbers":          {`{"a":1.0,"b":1e2,"c":-0,"d":0.10}`, `{"a":1,"b":100,"c":0,"d":0.1}`},
		"a large exponent": {`{"a":1e21,"b":1E-7}`, `{"a":1e+21,"b":1e-7}`},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]any{"iat": at, "nbf": at, "uris": []any{"POST api.cdp.coinbase.com/platform/v2/evm/accounts"}}
			if c.covered != "" {
				want["reqHash"] = fmt.Sprintf("%x", sha256.Sum256([]byte(c.covered)))
			}
			if d := cmp.Diff(want, open(t, request, c.body)); d != "" {
				t.Error(d)
			}
		})
	}
	other := open(t, Request{wire.HttpDelete, "sandbox.example", "/x?y=1&z=%20"}, "")
	if d := cmp.Diff([]any{"DELETE sandbox.example/x?y=1&z=%20"}, other["uris"]); d != "" {
		t.Error(d)
	}
	for body, want := range map[string]error{
		`[]`: ErrNotObject, `"{}"`: ErrNotObject, `null`: ErrNotObject, `{`: ErrNotJSON, `{}{}`: ErrNotJSON, `x`: ErrNotJSON, ` `: ErrNotJSON, `{"a":1,}`: ErrNotJSON,
		`{"a":1,"a":2}`: ErrNotJSON, `{"a":1,"\u0061":2}`: ErrNotJSON, `{"b":{"a":1,"a":1}}`: ErrNotJSON, `{"a":"\ud800"}`: ErrNotJSON,
		`{"a":9007199254740993}`: ErrNumber, `{"a":[1e400]}`: ErrNumber, `{"a":1e-400}`: ErrNumber, `{"a":0.12345678901234567891}`: ErrNumber,
	} {
		if token, err := s.WalletAuth(request, body, noon); token != "" || err == nil || !errors.Is(err, want) {
			t.Errorf("%s: %q, %v; want %v", body, token, err, want)
		}
	}
}

// The signature is over the canonical form of the request as Privy documents it.
func TestPrivy(t *testing.T) {
	ec, public := ecVector(t)
	key := base64.StdEncoding.EncodeToString(pkcs8(t, ec))
	r := Request{wire.HttpPost, PrivyHost, "/v1/wallets/w1/rpc?a=1&b=2"}
	for name, c := range map[string]struct{ key, body, covered string }{
		"a body":                     {key, `{"method":"personal_sign","caip2":"eip155:1"}`, `{"caip2":"eip155:1","method":"personal_sign"}`},
		"the prefix of the vendor":   {"wallet-auth:" + key, `{"b":2,"a":{"d":1,"c":"<é>"}}`, `{"a":{"c":"<é>","d":1},"b":2}`},
		"an empty object is no body": {key, ` {} `, `""`},
		"a list":                     {key, `[ 1.50 ]`, `[1.5]`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewPrivy("app-1", secret.New("s3cret"), secret.New(c.key))
			must(t, err)
			if got, err := base64.StdEncoding.DecodeString(p.BasicAuth()); err != nil || string(got) != "app-1:s3cret" {
				t.Errorf("%q, %v", got, err)
			}
			signature, expiry, err := p.Authorize(r, c.body, noon.Add(1234567*time.Nanosecond))
			must(t, err)
			if want := noon.Add(5*time.Minute + time.Millisecond); !expiry.Equal(want) {
				t.Errorf("good until %s, want %s", expiry, want)
			}
			covered := fmt.Sprintf(`{"body":%s,"headers":{"privy-app-id":"app-1","privy-request-expiry":"%d"},"method":"POST","url":"https://api.privy.io/v1/wallets/w1/rpc?a=1&b=2","version":1}`,
				c.covered, expiry.UnixMilli())
			der, err := base64.StdEncoding.DecodeString(signature)
			must(t, err)
			sum := sha256.Sum256([]byte(covered))
			if !ecdsa.VerifyASN1(public, sum[:], der) {
				t.Errorf("the signature is not one over %s", covered)
			}
		})
	}
	p, err := NewPrivy("app-1", secret.New("s3cret"), secret.New(key))
	must(t, err)
	for body, want := range map[string]error{`{`: ErrNotJSON, `{"a":1,"a":2}`: ErrNotJSON, `{} x`: ErrNotJSON, `12345678901234567890`: ErrNumber} {
		if signature, _, err := p.Authorize(r, body, noon); signature != "" || !errors.Is(err, want) {
			t.Errorf("%s: %q, %v", body, signature, err)
		}
	}
}

// The example of RFC 8785, section 3.2, and the numbers of its appendix B that JSON can hold.
func TestCanonicalIsRFC8785(t *testing.T) {
	got, err := canonical(`{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}`)
	// Its first number has more digits than a double; here that is refused.
	if !errors.Is(err, ErrNumber) {
		t.Errorf("%s, %v", got, err)
	}
	for in, want := range map[string]string{
		`{"numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001], "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`://
		`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		// Section 3.2.3: names are sorted as UTF-16.
		`{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}`://
		"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		`0`: `0`, `-0`: `0`, `5e-324`: `5e-324`, `-5e-324`: `-5e-324`, `1.7976931348623157e308`: `1.7976931348623157e+308`, `9007199254740992`: `9007199254740992`,
		`-9007199254740992`: `-9007199254740992`, `295147905179352830000`: `295147905179352830000`, `9.999999999999997e22`: `9.999999999999997e+22`, `1e23`: `1e+23`,
		`1.0000000000000001e23`: `1.0000000000000001e+23`, `999999999999999700000`: `999999999999999700000`, `999999999999999900000`: `999999999999999900000`, `1e21`: `1e+21`,
		`9.999999999999997e-7`: `9.999999999999997e-7`, `0.000001`: `0.000001`, `333333333.3333332`: `333333333.3333332`, `333333333.33333325`: `333333333.33333325`,
		`333333333.3333334`: `333333333.3333334`, `333333333.33333343`: `333333333.33333343`, `-0.0000033333333333333333`: `-0.0000033333333333333333`, `1424953923781206.2`: `1424953923781206.2`,
	} {
		if got, err := canonical(in); err != nil || string(got) != want {
			t.Errorf("%s\ngives %s, %v\nwant  %s", in, got, err, want)
		}
	}
}

// What is no key of the right kind is refused in words that tell nothing of it.
func TestWrongKeys(t *testing.T) {
	ec, _ := ecVector(t)
	edText, _ := edVector(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	text := base64.StdEncoding.EncodeToString
	good := text(pkcs8(t, ec))
	raw, err := base64.StdEncoding.DecodeString(edText)
	must(t, err)
	swapped := slices.Clone(raw)
	swapped[63] ^= 1
	public, err := x509.MarshalPKIXPublicKey(ec.Public())
	must(t, err)

	wallet := map[string]string{
		"empty": "", "blank": " \n", "only the prefix": "wallet-auth:", "not base64": "!!!!", "noise": text([]byte("noise that is no key at all")), "cut": good[:len(good)-8],
		"Ed25519": edText, "Ed25519, PKCS 8": text(pkcs8(t, ed)), "P-384": text(pkcs8(t, p384)), "P-384, SEC 1": text(sec1(t, p384)), "RSA": text(pkcs8(t, rsaKey)),
		"a public key": text(public), "PEM": inPEM("PRIVATE KEY", pkcs8(t, ec)), "twice the prefix": "wallet-auth:wallet-auth:" + good, "another prefix": "wallet-api:" + good,
		"padding inside": good[:8] + "=" + good[8:],
	}
	for name, key := range wallet {
		if _, err := ParseWalletKey(secret.New(key)); err != ErrWalletKey {
			t.Errorf("wallet key, %s: %v", name, err)
		}
	}
	api := map[string]string{
		"empty": "", "not base64": "!!!!", "a seed alone": text(raw[:32]), "another public half": text(swapped), "too long": text(append(raw, 0)), "P-256 without PEM": good,
		"P-384": inPEM("EC PRIVATE KEY", sec1(t, p384)), "RSA": inPEM("PRIVATE KEY", pkcs8(t, rsaKey)), "a public key": inPEM("PUBLIC KEY", public), "PEM of noise": inPEM("EC PRIVATE KEY", []byte("noise")),
	}
	for name, key := range api {
		if _, err := ParseAPIKey(secret.New(key)); err != ErrAPIKey {
			t.Errorf("API key, %s: %v", name, err)
		}
	}
	for name, construct := range map[string]func() error{
		"API key":           func() error { _, err := NewCoinbase("id", secret.New(good), secret.String{}); return err },
		"wallet secret":     func() error { _, err := NewCoinbase("id", secret.New(edText), secret.New(edText)); return err },
		"authorization key": func() error { _, err := NewPrivy("id", secret.New("s"), secret.New(edText)); return err },
	} {
		if err := construct(); err == nil || strings.Contains(err.Error(), good[:20]) || strings.Contains(err.Error(), edText[:20]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Vendors' clients take base64 in both alphabets, padded or not, in lines or not.
func TestSpellingsOfKeys(t *testing.T) {
	ec, public := ecVector(t)
	edText, edPublic := edVector(t)
	der := pkcs8(t, ec)
	std := base64.StdEncoding.EncodeToString(der)
	for name, text := range map[string]string{
		"standard": std, "URL": base64.URLEncoding.EncodeToString(der), "unpadded": base64.RawStdEncoding.EncodeToString(der), "in lines": std[:64] + "\r\n" + std[64:] + "\n",
		"SEC 1": base64.StdEncoding.EncodeToString(sec1(t, ec)), "prefix": "wallet-auth:" + std,
	} {
		k, err := ParseWalletKey(secret.New(text))
		if err != nil || !public.Equal(k.signer().Public()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"standard": edText, "unpadded": strings.TrimRight(edText, "="), "in lines": edText[:40] + "\n" + edText[40:]} {
		k, err := ParseAPIKey(secret.New(text))
		if err != nil || !edPublic.Equal(k.signer().Public()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However a signer is printed, it shows no key.
func TestSignersDoNotShowTheirKeys(t *testing.T) {
	ec, _ := ecVector(t)
	edText, _ := edVector(t)
	raw, err := base64.StdEncoding.DecodeString(edText)
	must(t, err)
	key := secret.New(base64.StdEncoding.EncodeToString(pkcs8(t, ec)))
	coinbase, err := NewCoinbase("id", secret.New(edText), key)
	must(t, err)
	privy, err := NewPrivy("id", secret.New("planted-app-secret"), key)
	must(t, err)
	scalar, err := ec.Bytes()
	must(t, err)
	var shown string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		shown += fmt.Sprintf(verb, coinbase) + fmt.Sprintf(verb, *coinbase) + fmt.Sprintf(verb, privy) + fmt.Sprintf(verb, *privy)
	}
	asJSON, err := json.Marshal([]any{coinbase, privy})
	must(t, err)
	shown += string(asJSON)
	list := func(b []byte) string { return strings.Trim(fmt.Sprint(b[:8]), "[]") }
	for _, s := range []string{list(raw), list(scalar), hex.EncodeToString(raw[:8]), hex.EncodeToString(scalar[:8]), new(big.Int).SetBytes(scalar).String(), "planted-app-secret"} {
		if strings.Contains(shown, s) {
			t.Errorf("%q stands in %s", s, shown)
		}
	}
}

// Arbitrary text is a key that signs, or is refused with one of two errors.
func FuzzParse(f *testing.F) {
	ec, _ := ecVector(f)
	edText, _ := edVector(f)
	good := base64.StdEncoding.EncodeToString(pkcs8(f, ec))
	for _, seed := range []string{"", good, "wallet-auth:" + good, edText, inPEM("EC PRIVATE KEY", sec1(f, ec)), inPEM("PRIVATE KEY", pkcs8(f, ec)), good[:40], strings.Repeat("A", 88)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseWalletKey(secret.New(text))
		if err == nil {
			token, err := k.jwt(claimsFor(request, noon), nil)
			must(t, err)
			openJWT(t, token, k.signer().Public())
		} else if err != ErrWalletKey {
			t.Error(err)
		}
		k, err = ParseAPIKey(secret.New(text))
		if err == nil {
			token, err := k.jwt(claimsFor(request, noon), nil)
			must(t, err)
			openJWT(t, token, k.signer().Public())
		} else if err != ErrAPIKey {
			t.Error(err)
		}
	})
}

// The canonical form of a text is canonical, means the same, and has one spelling.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{}`, `{"b":1,"a":[null,true,"x"]}`, `1.0`, `-0`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `[1e400]`, `{"a":9007199254740993}`, `"<&>"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := canonical(text)
		if err != nil {
			if !errors.Is(err, ErrNotJSON) && !errors.Is(err, ErrNumber) {
				t.Error(err)
			}
			return
		}
		again, err := canonical(string(got))
		if err != nil || string(again) != string(got) {
			t.Errorf("%s, then %s, %v", got, again, err)
		}
		var before, after any
		must(t, json.Unmarshal([]byte(text), &before))
		must(t, json.Unmarshal(got, &after))
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("%s\nmeans another thing than\n%s\n%s", got, text, d)
		}
	})
}
