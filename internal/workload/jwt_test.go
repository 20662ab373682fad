package workload_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"credence/internal/egress"
	"credence/internal/fakeidp"
	"credence/internal/fault"
	"credence/internal/oauth"
	"credence/internal/secret"
	"credence/internal/store"
	"credence/internal/workload"
)

const audience = "credence"

// users is a verifier over a real list of issuers.
type users struct {
	*workload.Verifier
	store *store.Store
}

// newUsers reaches issuers over real HTTP, with loopback open as with --dev; but unlike there, issuers must be listed.
func newUsers(t *testing.T) users {
	t.Helper()
	out, err := egress.New(egress.Config{Dev: true})
	must(t, err)
	return usersOver(t, filepath.Join(t.TempDir(), "credence.db"), out, out.CheckURL)
}

func usersOver(t *testing.T, path string, network oauth.Doer, check func(string) error) users {
	t.Helper()
	s, err := store.Open(context.Background(), store.Config{Path: path})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	for _, account := range []string{alpha, beta} {
		must(t, s.InsertAccount(account, time.Now(), nil))
	}
	return users{workload.NewVerifier(workload.VerifierConfig{
		Issuers: s, Discovery: oauth.NewDiscovery(network, check), Keys: oauth.NewKeySets(network),
	}), s}
}

func (u users) trust(t *testing.T, account, issuer string, audiences ...string) {
	t.Helper()
	_, err := u.store.PutTrustedIssuer(store.TrustedIssuer{Account: account, Issuer: issuer, Audiences: audiences, CreatedAt: time.Now()})
	must(t, err)
}

func (u users) verify(account, token string) (workload.User, error) {
	return u.Verify(context.Background(), account, secret.New(token), time.Now())
}

func (u users) wantUser(t *testing.T, account, token, issuer, subject string) {
	t.Helper()
	got, err := u.verify(account, token)
	if want := (workload.User{Kind: workload.KindJWT, Issuer: issuer, Subject: subject}); err != nil || got != want {
		t.Errorf("user %v, %v, want %v", got, err, want)
	}
}

// wantRefusal wants an Unauthorized fault that says all of these, and no user.
func wantRefusal(t *testing.T, user workload.User, err error, says ...string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Unauthorized || !strings.HasPrefix(f.Msg, "The user token is not accepted: ") {
		t.Errorf("got %v, want unauthorized", err)
		return
	}
	for _, s := range says {
		if !strings.Contains(f.Msg, s) {
			t.Errorf("%q does not say %q", f.Msg, s)
		}
	}
	if !user.IsZero() {
		t.Errorf("the user %v came with the error", user)
	}
}

func (u users) wantRefused(t *testing.T, account, token string, says ...string) {
	t.Helper()
	user, err := u.verify(account, token)
	wantRefusal(t, user, err, says...)
}

// claimsOf alice, with changes; nil leaves a claim out.
func claimsOf(changes map[string]any) map[string]any {
	all := map[string]any{"sub": "alice", "aud": audience}
	maps.Copy(all, changes)
	return all
}

// issuer is an authorization server with keys of any kind; fakeidp has RSA only. It serves from a handler, with or without a network.
type issuer struct {
	url string

	mu       sync.Mutex
	keys     []jose.JSONWebKey
	requests int // for the key set
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w.Header().Set("Cache-Control", "max-age=3600")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.url, "jwks_uri": i.url + "/jwks"})
	case "/jwks":
		i.requests++
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	i := new(issuer)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return k
}

// sign makes a JWT of iss, with five minutes to live, and of claimsOf(changes).
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid, iss string, changes map[string]any, opts jose.SignerOptions) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, &opts)
	must(t, err)
	claims := map[string]any{"iss": iss, "exp": time.Now().Add(5 * time.Minute).Unix()}
	maps.Copy(claims, claimsOf(changes))
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	must(t, err)
	return token
}

func TestVerify(t *testing.T) {
	u, idp := newUsers(t), fakeidp.Start(t)
	u.trust(t, alpha, idp.Issuer(), "other", audience)
	now := time.Now()
	for name, changes := range map[string]map[string]any{
		"one audience":                        nil,
		"the second of its audiences":         {"aud": []string{"somebody", audience}},
		"without iat":                         {"iat": nil},
		"issued by a clock that is ahead":     {"iat": now.Add(50 * time.Second).Unix()},
		"not before, by a clock that's ahead": {"nbf": now.Add(50 * time.Second).Unix()},
		"expired by a clock that is ahead":    {"exp": now.Add(-50 * time.Second).Unix()},
		"times with a fraction":               {"exp": float64(now.Unix()) + 60.5},
		"claims of others":                    {"SUB": "mallory", "Sub": "mallory", "azp": 7, "roles": []string{"admin"}},
	} {
		t.Run(name, func(t *testing.T) {
			u.wantUser(t, alpha, idp.Sign(claimsOf(changes)), idp.Issuer(), "alice")
		})
	}
	t.Run("the subject is taken bytewise", func(t *testing.T) {
		for _, subject := range []string{" alice", "Alice", "e\u0301lise", "\u00e9lise", "a\x00b", strings.Repeat("x", 10_000)} {
			u.wantUser(t, alpha, idp.Sign(claimsOf(map[string]any{"sub": subject})), idp.Issuer(), subject)
		}
	})
}

func TestVerifyRefusesClaims(t *testing.T) {
	u, idp := newUsers(t), fakeidp.Start(t)
	u.trust(t, alpha, idp.Issuer(), audience)
	now := time.Now()
	expired := now.Add(-70 * time.Second)
	for name, test := range map[string]struct {
		changes map[string]any
		says    string
	}{
		"no exp":                {map[string]any{"exp": nil}, "must have the claim exp"},
		"EXP":                   {map[string]any{"exp": nil, "EXP": now.Add(time.Hour).Unix()}, "must have the claim exp"},
		"expired":               {map[string]any{"exp": expired.Unix()}, "expired at " + expired.UTC().Format(time.RFC3339)},
		"exp of a past age":     {map[string]any{"exp": 0}, "expired at 1970-01-01T00:00:00Z"},
		"exp of the wrong type": {map[string]any{"exp": "2099-01-01"}, "claims"},
		"not yet valid":         {map[string]any{"nbf": now.Add(70 * time.Second).Unix()}, "nbf"},
		"issued in the future":  {map[string]any{"iat": now.Add(70 * time.Second).Unix()}, "future"},
		"no sub":                {map[string]any{"sub": nil}, "claims iss and sub"},
		"empty sub":             {map[string]any{"sub": ""}, "claims iss and sub"},
		"SUB":                   {map[string]any{"sub": nil, "SUB": "alice"}, "claims iss and sub"},
		"sub is a number":       {map[string]any{"sub": 7}, "claims"},
		"no iss":                {map[string]any{"iss": nil}, "claims iss and sub"},
		"ISS":                   {map[string]any{"iss": nil, "ISS": idp.Issuer()}, "claims iss and sub"},
		"no aud":                {map[string]any{"aud": nil}, "audience"},
		"AUD":                   {map[string]any{"aud": nil, "AUD": audience}, "audience"},
		"another audience": {map[string]any{"aud": "somebody"},
			`its audience ["somebody"] is none of those that account 111111111111 accepts from "` + idp.Issuer() + `": ["credence"]`},
		"other audiences":                {map[string]any{"aud": []string{"credence2", "Credence", "credence "}}, "audience"},
		"an audience that contains ours": {map[string]any{"aud": "https://credence"}, "audience"},
		"another issuer's name":          {map[string]any{"iss": idp.Issuer() + "/"}, "is not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			u.wantRefused(t, alpha, idp.Sign(claimsOf(test.changes)), test.says)
		})
	}
}

// A JSON object with two values for one name means different things to different readers (RFC 7519 section 4).
func TestVerifyRefusesClaimsGivenTwice(t *testing.T) {
	u, i, key := newUsers(t), startIssuer(t), ecKey(t)
	u.trust(t, alpha, i.url, audience)
	i.publish(jose.JSONWebKey{Key: key.Public(), KeyID: "k"})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	must(t, err)
	exp := time.Now().Add(time.Minute).Unix()
	for name, claims := range map[string]string{
		"sub": fmt.Sprintf(`{"iss":%q,"sub":"alice","sub":"mallory","aud":"credence","exp":%d}`, i.url, exp),
		"iss": fmt.Sprintf(`{"iss":"https://evil.example","iss":%q,"sub":"alice","aud":"credence","exp":%d}`, i.url, exp),
	} {
		t.Run(name, func(t *testing.T) {
			signed, err := signer.Sign([]byte(claims))
			must(t, err)
			token, err := signed.CompactSerialize()
			must(t, err)
			u.wantRefused(t, alpha, token)
		})
	}
}

// A completion may come after the token that began the session ended: it need only have been good then.
func TestVerifyAsOf(t *testing.T) {
	u, idp := newUsers(t), fakeidp.Start(t)
	u.trust(t, alpha, idp.Issuer(), audience)
	now := time.Now()
	token := secret.New(idp.Sign(claimsOf(map[string]any{"exp": now.Add(-5 * time.Minute).Unix()})))
	for name, test := range map[string]struct {
		asOf time.Time
		good bool
	}{
		"now":                             {now, false},
		"before it expired":               {now.Add(-10 * time.Minute), true},
		"after it expired":                {now.Add(-2 * time.Minute), false},
		"by a clock that is a bit behind": {now.Add(-5*time.Minute + 50*time.Second), true},
	} {
		t.Run(name, func(t *testing.T) {
			user, err := u.Verify(t.Context(), alpha, token, test.asOf)
			if !test.good {
				wantRefusal(t, user, err, "expired")
			} else if err != nil || user.Subject != "alice" {
				t.Errorf("%v, %v", user, err)
			}
		})
	}
	t.Run("forgives nothing else", func(t *testing.T) {
		early := now.Add(-10 * time.Minute)
		for says, changes := range map[string]map[string]any{
			"nbf": {"nbf": now.Add(2 * time.Minute).Unix(), "exp": now.Add(-5 * time.Minute).Unix()}, "exp": {"exp": nil}, "audience": {"aud": "x"},
		} {
			user, err := u.Verify(t.Context(), alpha, secret.New(idp.Sign(claimsOf(changes))), early)
			wantRefusal(t, user, err, says)
		}
	})
}

func TestVerifyAlgorithms(t *testing.T) {
	u, i := newUsers(t), startIssuer(t)
	u.trust(t, alpha, i.url, audience)
	private := rsaKey(t)
	curve := func(c elliptic.Curve) *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		must(t, err)
		return k
	}
	p256, p384, p521 := curve(elliptic.P256()), curve(elliptic.P384()), curve(elliptic.P521())
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	i.publish(
		jose.JSONWebKey{Key: private.Public(), KeyID: "rsa"}, jose.JSONWebKey{Key: private.Public(), KeyID: "rsa-pss", Algorithm: "PS256"},
		jose.JSONWebKey{Key: p256.Public(), KeyID: "p256"}, jose.JSONWebKey{Key: p384.Public(), KeyID: "p384"}, jose.JSONWebKey{Key: p521.Public(), KeyID: "p521"},
		jose.JSONWebKey{Key: edPublic, KeyID: "ed"},
	)
	for _, test := range []struct {
		alg jose.SignatureAlgorithm
		key any
		kid string
	}{
		{jose.RS256, private, "rsa"}, {jose.RS384, private, "rsa"}, {jose.RS512, private, "rsa"}, {jose.PS256, private, "rsa"}, {jose.PS384, private, "rsa"},
		{jose.PS512, private, "rsa"}, {jose.PS256, private, "rsa-pss"}, {jose.ES256, p256, "p256"}, {jose.ES384, p384, "p384"}, {jose.ES512, p521, "p521"},
		{jose.EdDSA, ed, "ed"}, {jose.ES256, p256, ""}, {jose.EdDSA, ed, ""}, // without kid all keys are tried
	} {
		t.Run(string(test.alg)+" "+test.kid, func(t *testing.T) {
			u.wantUser(t, alpha, sign(t, test.alg, test.key, test.kid, i.url, nil, jose.SignerOptions{}), i.url, "alice")
		})
	}

	const notSigned = "not a JWT signed with one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"
	const notVerified = "its signature does not verify with its issuer's keys"
	t.Run("a key is good for its own algorithm only", func(t *testing.T) {
		u.wantRefused(t, alpha, sign(t, jose.RS256, private, "rsa-pss", i.url, nil, jose.SignerOptions{}), notVerified)
	})
	t.Run("another key of the issuer", func(t *testing.T) {
		u.wantRefused(t, alpha, sign(t, jose.RS256, private, "p256", i.url, nil, jose.SignerOptions{}), notVerified)
	})

	// The classic attack: the public key, which everybody has, as the secret of an HMAC.
	pkix, err := x509.MarshalPKIXPublicKey(private.Public())
	must(t, err)
	pkcs1 := x509.MarshalPKCS1PublicKey(&private.PublicKey)
	for name, shared := range map[string][]byte{
		"PKIX DER": pkix, "PKCS1 DER": pkcs1,
		"PKIX PEM":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
		"PKCS1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"modulus":   private.N.Bytes(),
	} {
		for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
			t.Run(string(alg)+" keyed with the public key, "+name, func(t *testing.T) {
				u.wantRefused(t, alpha, sign(t, alg, shared, "rsa", i.url, nil, jose.SignerOptions{}), notSigned)
			})
		}
	}

	good := sign(t, jose.RS256, private, "rsa", i.url, nil, jose.SignerOptions{})
	_, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for name, header := range map[string]string{
		"none": `{"alg":"none","kid":"rsa"}`, "None": `{"alg":"None","kid":"rsa"}`, "no alg": `{"kid":"rsa"}`, "empty alg": `{"alg":"","kid":"rsa"}`,
		"lower case": `{"alg":"rs256","kid":"rsa"}`, "RS1": `{"alg":"RS1","kid":"rsa"}`, "ES256K": `{"alg":"ES256K","kid":"p256"}`,
		"encryption": `{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}`,
	} {
		t.Run("alg "+name, func(t *testing.T) {
			header := base64.RawURLEncoding.EncodeToString([]byte(header))
			u.wantRefused(t, alpha, header+"."+payload+".", notSigned)
			u.wantRefused(t, alpha, header+"."+payload+"."+signature, notSigned)
		})
	}
	t.Run("a critical extension that nobody knows", func(t *testing.T) { // RFC 7515 section 4.1.11
		u.wantRefused(t, alpha, sign(t, jose.RS256, private, "rsa", i.url, nil, jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"crit": []string{"x"}, "x": 1}}))
	})
	changed := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":%q,"sub":"mallory","aud":"credence","exp":%d}`, i.url, time.Now().Add(time.Minute).Unix()))
	for name, token := range map[string]string{
		"empty": "", "dots": "..", "two parts": "a.b", "JSON form": `{"payload":"` + payload + `","signatures":[{"protected":"e30","signature":"` + signature + `"}]}`,
		"no signature": strings.TrimSuffix(good, signature), "signature cut": good[:len(good)-4], "another payload": strings.Replace(good, payload, changed, 1),
		"claims are no object": strings.Replace(good, payload, "W10", 1),
	} {
		t.Run(name, func(t *testing.T) { u.wantRefused(t, alpha, token) })
	}
	u.wantUser(t, alpha, good, i.url, "alice")
}

// Keys come from the issuer and nowhere else: what the header offers verifies, but counts for nothing, and its URLs see no request.
func TestVerifyIgnoresKeysInTheHeader(t *testing.T) {
	u, idp := newUsers(t), fakeidp.Start(t)
	u.trust(t, alpha, idp.Issuer(), audience)
	evil := rsaKey(t)
	attacker := startIssuer(t)
	attacker.publish(jose.JSONWebKey{Key: evil.Public(), KeyID: "key-1", Algorithm: "RS256", Use: "sig"})
	var seen sync.Map
	spy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen.Store(r.URL.Path, true); attacker.ServeHTTP(w, r) }))
	t.Cleanup(spy.Close)

	own := jose.SignerOptions{EmbedJWK: true}
	for name, opts := range map[string]jose.SignerOptions{
		"jwk":  own,
		"jku":  {ExtraHeaders: map[jose.HeaderKey]any{"jku": spy.URL + "/jwks"}},
		"x5u":  {ExtraHeaders: map[jose.HeaderKey]any{"x5u": spy.URL + "/x5u"}},
		"both": {EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"jku": spy.URL + "/jwks", "x5u": spy.URL + "/x5u", "iss": spy.URL}},
	} {
		for _, kid := range []string{"key-1", "unknown", ""} {
			t.Run(name+" kid "+kid, func(t *testing.T) {
				u.wantRefused(t, alpha, sign(t, jose.RS256, evil, kid, idp.Issuer(), nil, opts), "does not verify")
			})
		}
	}
	seen.Range(func(path, _ any) bool {
		t.Errorf("%s%s was asked", spy.URL, path)
		return true
	})
	u.wantUser(t, alpha, idp.Sign(claimsOf(nil)), idp.Issuer(), "alice")
}

// Two issuers may use the same kid.
func TestVerifyTakesTheKeysOfTheIssuerNamed(t *testing.T) {
	u, one, two := newUsers(t), fakeidp.Start(t), fakeidp.Start(t)
	u.trust(t, alpha, one.Issuer(), audience)
	u.trust(t, alpha, two.Issuer(), audience)
	u.wantUser(t, alpha, one.Sign(claimsOf(nil)), one.Issuer(), "alice")
	u.wantUser(t, alpha, two.Sign(claimsOf(nil)), two.Issuer(), "alice")
	u.wantRefused(t, alpha, two.Sign(claimsOf(map[string]any{"iss": one.Issuer()})), "does not verify")
}

func TestIssuersBelongToAnAccount(t *testing.T) {
	u, idp := newUsers(t), fakeidp.Start(t)
	u.trust(t, alpha, idp.Issuer(), audience)
	token := idp.Sign(claimsOf(nil))
	u.wantRefused(t, beta, token, "is not trusted in account "+beta)
	u.trust(t, beta, idp.Issuer(), "beta-only")
	u.wantRefused(t, beta, token, `accepts from "`+idp.Issuer()+`": ["beta-only"]`)
	u.wantUser(t, alpha, token, idp.Issuer(), "alice")
	must(t, u.store.DeleteTrustedIssuer(alpha, idp.Issuer()))
	u.wantRefused(t, alpha, token, "is not trusted in account "+alpha)
}

// The message holds the command that helps. Issuer and audience come from a stranger's token: a shell must take them for one word each.
func TestUnlistedIssuerPrintsTheCommand(t *testing.T) {
	u, key := newUsers(t), ecKey(t)
	for _, test := range []struct {
		issuer    string
		audience  any
		command   string
		wantWords []string
	}{
		{"https://idp.example/tenant", "api://agents", "credence issuer add https://idp.example/tenant --audience api://agents", nil},
		{"https://idp.example", []string{"first", "second"}, "credence issuer add https://idp.example --audience first", nil},
		{"https://idp.example", nil, "credence issuer add https://idp.example --audience AUDIENCE", nil},
		{"https://idp.example/?a=b&c", "x y", "credence issuer add 'https://idp.example/?a=b&c' --audience 'x y'", nil},
		{"https://idp.example/$(touch pwned);`id`", "'; rm -rf ~ #", "", []string{"https://idp.example/$(touch pwned);`id`", "'; rm -rf ~ #"}},
		{"'", `"\$HOME`, "", []string{"'", `"\$HOME`}},
		{"~", "*", "", []string{"~", "*"}},
		{"a\nb", "\t", "", []string{"a\nb", "\t"}},
		{"é%s%d", "", "", []string{"é%s%d", ""}},
	} {
		t.Run(test.issuer, func(t *testing.T) {
			token := sign(t, jose.ES256, key, "k", test.issuer, map[string]any{"aud": test.audience}, jose.SignerOptions{})
			user, err := u.verify(alpha, token)
			wantRefusal(t, user, err, "is not trusted in account 111111111111. To trust it: ")
			f, ok := errors.AsType[*fault.Fault](err)
			if !ok {
				t.FailNow()
			}
			_, command, _ := strings.Cut(f.Msg, "To trust it: ")
			if test.command != "" && command != test.command {
				t.Errorf("command %s\nwant    %s", command, test.command)
			}
			if test.wantWords != nil {
				words, err := exec.Command("/bin/sh", "-c", "set -- "+command+`; printf '%s\001' "$@"`).Output()
				must(t, err)
				want := []string{"credence", "issuer", "add", test.wantWords[0], "--audience", test.wantWords[1], ""}
				if got := strings.Split(string(words), "\x01"); !slices.Equal(got, want) {
					t.Errorf("a shell reads %q\nwant           %q", got, want)
				}
			}
		})
	}
}

// With --dev an issuer need not be listed; one that is must still name an audience of its list.
func TestVerifyAnyIssuer(t *testing.T) {
	u, idp := newUsers(t), fakeidp.Start(t)
	u.AnyIssuer = true
	u.wantUser(t, alpha, idp.Sign(claimsOf(map[string]any{"aud": nil})), idp.Issuer(), "alice")
	u.wantRefused(t, alpha, idp.Sign(claimsOf(map[string]any{"exp": nil})), "exp")
	u.trust(t, alpha, idp.Issuer(), audience)
	u.wantRefused(t, alpha, idp.Sign(claimsOf(map[string]any{"aud": "somebody"})), "audience")
	u.wantUser(t, alpha, idp.Sign(claimsOf(nil)), idp.Issuer(), "alice")
}

// An issuer whose document names another one is not believed, nor is one without keys.
func TestVerifyDiscovery(t *testing.T) {
	idp := fakeidp.Start(t)
	for name, test := range map[string]struct {
		change func(*fakeidp.Behaviour)
		says   string
	}{
		"another issuer":        {func(b *fakeidp.Behaviour) { b.LieInDiscovery = "https://evil.example" }, "https://evil.example"},
		"a slash at the end":    {func(b *fakeidp.Behaviour) { b.LieInDiscovery = b.LieInDiscovery + "/" }, "calls itself"},
		"no jwks_uri":           {func(b *fakeidp.Behaviour) { b.ExtraMetadata = map[string]any{"jwks_uri": nil} }, "names no jwks_uri"},
		"keys at a closed door": {func(b *fakeidp.Behaviour) { b.ExtraMetadata = map[string]any{"jwks_uri": "http://169.254.169.254/"} }, "jwks_uri"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUsers(t)
			u.trust(t, alpha, idp.Issuer(), audience)
			idp.Set(func(b *fakeidp.Behaviour) {
				*b = fakeidp.Behaviour{LieInDiscovery: idp.Issuer()}
				test.change(b)
			})
			user, err := u.verify(alpha, idp.Sign(claimsOf(nil)))
			f, ok := errors.AsType[*fault.Fault](err)
			if !ok || !user.IsZero() || !strings.Contains(f.Msg, test.says) {
				t.Errorf("%v, %v, want an error that says %s", user, err, test.says)
			}
		})
	}
}

// An issuer that is away is nobody's fault: try again.
func TestVerifyWhileTheIssuerIsAway(t *testing.T) {
	wantThrottled := func(t *testing.T, user workload.User, err error) {
		t.Helper()
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok || f.Kind != fault.Throttled || f.RetryAfter != 5*time.Second || !user.IsZero() || !strings.HasPrefix(f.Msg, "The user token cannot be checked now: ") {
			t.Errorf("%v, %v, want throttled for 5 s", user, err)
		}
	}
	idp := fakeidp.Start(t)
	t.Run("its document answers 503", func(t *testing.T) {
		u := newUsers(t)
		u.trust(t, alpha, idp.Issuer(), audience)
		idp.Set(func(b *fakeidp.Behaviour) { *b = fakeidp.Behaviour{DiscoveryStatus: http.StatusServiceUnavailable} })
		user, err := u.verify(alpha, idp.Sign(claimsOf(nil)))
		wantThrottled(t, user, err)
	})
	t.Run("nobody listens", func(t *testing.T) {
		u := newUsers(t)
		gone := httptest.NewServer(nil)
		gone.Close()
		u.trust(t, alpha, gone.URL, audience)
		user, err := u.verify(alpha, sign(t, jose.ES256, ecKey(t), "k", gone.URL, nil, jose.SignerOptions{}))
		wantThrottled(t, user, err)
	})
	t.Run("its keys answer 404", func(t *testing.T) {
		u := newUsers(t)
		u.trust(t, alpha, idp.Issuer(), audience)
		idp.Set(func(b *fakeidp.Behaviour) {
			*b = fakeidp.Behaviour{ExtraMetadata: map[string]any{"jwks_uri": idp.Issuer() + "/nowhere"}}
		})
		user, err := u.verify(alpha, idp.Sign(claimsOf(nil)))
		wantThrottled(t, user, err)
	})
	t.Run("an answer that is no document", func(t *testing.T) {
		u := newUsers(t)
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>maintenance</html>") }))
		t.Cleanup(page.Close)
		u.trust(t, alpha, page.URL, audience)
		user, err := u.verify(alpha, sign(t, jose.ES256, ecKey(t), "k", page.URL, nil, jose.SignerOptions{}))
		wantThrottled(t, user, err)
	})
}

// A list of issuers that cannot be read is neither a yes nor a no.
func TestVerifyWithoutTheList(t *testing.T) {
	u, idp := newUsers(t), fakeidp.Start(t)
	u.AnyIssuer = true
	must(t, u.store.Close())
	if user, err := u.verify(alpha, idp.Sign(claimsOf(nil))); err == nil || errors.Is(err, fault.Unauthorized) || !user.IsZero() {
		t.Errorf("%v, %v, want the database's error", user, err)
	}
}
