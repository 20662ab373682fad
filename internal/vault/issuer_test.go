package vault

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"credence/internal/fault"
	"credence/internal/provider"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/wire"
)

const issuerURL = "https://credence.example/issuer/" + alpha

func idToken(alg wire.WebIdentityTokenAlgorithm) IDToken {
	return IDToken{
		Account: alpha, Issuer: issuerURL, Subject: "arn:aws:iam::" + alpha + ":user/ci", Audience: []string{"https://api.example"}, Algorithm: alg, Life: MaxIDTokenLife,
		Region: "us-east-1", Tags: map[string]string{"team": "a"},
	}
}

// document is the JWKS that everybody can read, as text.
func document(t *testing.T, v *Vault, account string) (set jose.JSONWebKeySet) {
	t.Helper()
	keys, err := v.IssuerKeys(t.Context(), account)
	must(t, err)
	for _, k := range keys {
		if !k.Public.IsPublic() {
			t.Fatalf("the document has a private key: %s", k.Public.KeyID)
		}
		set.Keys = append(set.Keys, k.Public)
	}
	return set
}

// verified are the claims of a token that a document verifies at this time.
func verified(token string, set jose.JSONWebKeySet) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES384, jose.RS256})
	if err != nil {
		return nil, err
	}
	var registered jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(set, &registered, &all); err != nil {
		return nil, err
	}
	return all, registered.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, 0)
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES384, jose.RS256})
	must(t, err)
	return signed.Signatures[0].Protected.KeyID
}

func TestSignIDToken(t *testing.T) {
	b := openBed(t)
	for _, alg := range []wire.WebIdentityTokenAlgorithm{wire.WebIdentityTokenES384, wire.WebIdentityTokenRS256} {
		token, expires, err := b.SignIDToken(t.Context(), idToken(alg))
		must(t, err)
		got, err := verified(token.Reveal(), document(t, b.Vault, alpha))
		must(t, err)
		if got["iss"] != issuerURL || got["sub"] != "arn:aws:iam::"+alpha+":user/ci" || got["aud"] != "https://api.example" || got["jti"] == "" ||
			got["exp"] != float64(expires.Unix()) || got["exp"].(float64)-got["iat"].(float64) > 3600 {
			t.Errorf("%s: %v", alg, got)
		}
		about, err := json.Marshal(got["https://sts.amazonaws.com/"])
		must(t, err)
		if string(about) != `{"aws_account":"`+alpha+`","request_tags":{"team":"a"},"source_region":"us-east-1"}` {
			t.Errorf("%s says %s", alg, about)
		}
		if _, err := verified(token.Reveal(), document(t, b.Vault, beta)); err == nil {
			t.Error("the keys of another account verify it")
		}
		if _, err := verified(token.Reveal(), document(t, b.restart(t), alpha)); err != nil {
			t.Errorf("after a restart: %v", err)
		}
	}
	for name, edit := range map[string]func(*IDToken){
		"no issuer": func(t *IDToken) { t.Issuer = "" }, "no subject": func(t *IDToken) { t.Subject = "" }, "no audience": func(t *IDToken) { t.Audience = nil },
		"no life": func(t *IDToken) { t.Life = 0 }, "too long a life": func(t *IDToken) { t.Life += time.Second }, "another algorithm": func(t *IDToken) { t.Algorithm = "HS256" },
		"an unknown account": func(t *IDToken) { t.Account = "999999999999" },
	} {
		in := idToken(wire.WebIdentityTokenRS256)
		edit(&in)
		if token, _, err := b.SignIDToken(t.Context(), in); err == nil || !token.IsZero() {
			t.Errorf("signed with %s", name)
		}
	}
}

// Issuer keys validate no client assertion, and the keys of assertions no ID token; nothing that a request can name reaches an issuer's key.
func TestIssuerKeysSignNothingElse(t *testing.T) {
	b := openBed(t)
	k := b.signer(t, alpha, store.KeyForAssertions, "RSA_2048", "client")
	p := b.signedBy(t, k, wire.AlgorithmRS256, AssertionClaims{})
	assertion, err := b.SignClientAssertion(t.Context(), p, idp, idp.TokenEndpoint)
	must(t, err)
	token, err := b.SignWorkloadToken(t.Context(), p, idp, idp.TokenEndpoint, issuerURL, "arn:of:agent", "us-east-1")
	must(t, err)
	issuer := document(t, b.Vault, alpha)
	public, err := b.PublicKey(t.Context(), k)
	must(t, err)
	client := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: k.ID}}}

	if _, err := verified(token.Reveal(), issuer); err != nil {
		t.Errorf("the issuer's own token: %v", err)
	}
	if _, err := verified(assertion.Reveal(), client); err != nil {
		t.Errorf("the client's own assertion: %v", err)
	}
	for _, key := range issuer.Keys {
		if parsed, err := jwt.ParseSigned(assertion.Reveal(), []jose.SignatureAlgorithm{jose.RS256}); err != nil || parsed.Claims(key, &jwt.Claims{}) == nil {
			t.Errorf("the key %s of the issuer validates a client assertion (%v)", key.KeyID, err)
		}
		p.Row.AssertionKey = key.KeyID
		if _, err := b.SignClientAssertion(t.Context(), p, idp, idp.TokenEndpoint); !errors.Is(err, fault.Decryption) {
			t.Errorf("a provider names the issuer's key %s: %v", key.KeyID, err)
		}
		if err := b.CheckAssertionKey(t.Context(), alpha, key.KeyID, "client", wire.AlgorithmRS256); err == nil {
			t.Errorf("the issuer's key %s may be named", key.KeyID)
		}
	}
	if parsed, err := jwt.ParseSigned(token.Reveal(), []jose.SignatureAlgorithm{jose.RS256}); err != nil || parsed.Claims(public, &jwt.Claims{}) == nil {
		t.Errorf("a client's key validates an ID token (%v)", err)
	}
	// It is for its vendor, in the name of the issuer, for five minutes.
	claims, err := verified(token.Reveal(), issuer)
	must(t, err)
	if claims["iss"] != issuerURL || claims["sub"] != "arn:of:agent" || claims["aud"] != tokenEndpoint || claims["exp"].(float64)-claims["iat"].(float64) != 300 {
		t.Errorf("%v", claims)
	}
	if _, err := b.SignWorkloadToken(t.Context(), p, provider.Vendor{Issuer: idpIssuer}, idpIssuer+"/token", issuerURL, "arn:of:agent", "us-east-1"); !errors.Is(err, fault.AccessDenied) {
		t.Errorf("without a token endpoint: %v", err)
	}
}

// A new key is published a day before it signs, an old one until its last token has ended; whoever keeps the document for a day can verify every token.
func TestIssuerKeysRotate(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(context.Background(), store.Config{Path: filepath.Join(dir, "credence.db")})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		recorded, refusal := map[string][]string{}, error(nil)
		v, err := New(context.Background(), Config{Store: s, KEK: newKEK(t), Metrics: telemetry.New(), Record: func(account, action, key string) error {
			if account != alpha {
				t.Errorf("a key of %s", account)
			}
			recorded[action] = append(recorded[action], key)
			return refusal
		}})
		must(t, err)
		must(t, v.CreateAccount(alpha))
		sign := func() string {
			t.Helper()
			token, _, err := v.SignIDToken(t.Context(), idToken(wire.WebIdentityTokenRS256))
			must(t, err)
			return token.Reveal()
		}
		type dated struct {
			token string
			at    time.Time
		}
		var tokens []dated
		var kept jose.JSONWebKeySet // by somebody who reads it once a day
		signers := map[string]bool{}
		for hour := range 24 * 200 {
			must(t, v.RenewIssuerKeys(t.Context()))
			if hour%24 == 0 {
				kept = document(t, v, alpha)
			}
			token := sign()
			signers[kidOf(t, token)] = true
			tokens = append(tokens, dated{token, time.Now()})
			if _, err := verified(token, kept); err != nil {
				t.Fatalf("hour %d: who read the document %d hours ago cannot verify a token: %v", hour, hour%24, err)
			}
			time.Sleep(59 * time.Minute)
			for _, d := range tokens[max(0, len(tokens)-2):] {
				if _, err := verified(d.token, document(t, v, alpha)); time.Since(d.at) < MaxIDTokenLife && err != nil {
					t.Fatalf("hour %d: a token that lives is not verified any more: %v", hour, err)
				}
			}
			time.Sleep(time.Minute)
		}
		if len(signers) != 3 {
			t.Errorf("%d keys signed in 200 days", len(signers))
		}
		if keys := document(t, v, alpha).Keys; len(keys) != 2 {
			t.Errorf("%d keys are left", len(keys))
		}
		rows, err := s.IssuerKeys(t.Context(), alpha)
		must(t, err)
		if len(rows) != 2 {
			t.Errorf("%d rows are left", len(rows))
		}
		made, removed := recorded["credence:CreateIssuerKey"], recorded["credence:DeleteIssuerKey"]
		for _, r := range rows {
			if !slices.Contains(made, r.ID) || slices.Contains(removed, r.ID) {
				t.Errorf("key %s, which is there: %v", r.ID, recorded)
			}
		}
		if len(made) != len(removed)+len(rows) || !slices.Equal(removed, made[:len(removed)]) {
			t.Errorf("recorded are %v", recorded)
		}
		// What cannot be recorded is not done: neither are the next keys made nor, three days later when these sign, the last ones removed.
		for _, wait := range []time.Duration{200 * 24 * time.Hour, 3 * 24 * time.Hour} {
			time.Sleep(wait)
			before, err := s.IssuerKeys(t.Context(), alpha)
			must(t, err)
			refusal = errors.New("the disk is full")
			if err := v.RenewIssuerKeys(t.Context()); !errors.Is(err, refusal) {
				t.Errorf("unrecorded: %v", err)
			}
			after, err := s.IssuerKeys(t.Context(), alpha)
			must(t, err)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("unrecorded (-was +is):\n%s", diff)
			}
			refusal = nil
			must(t, v.RenewIssuerKeys(t.Context()))
		}
	})
}

// By hand: published now, signing in a day; again changes nothing. Withdrawn: at once, and nothing that was signed before is verified by the document.
func TestRotateIssuerKeys(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(context.Background(), store.Config{Path: filepath.Join(dir, "credence.db")})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		v, err := New(context.Background(), Config{Store: s, KEK: newKEK(t), Metrics: telemetry.New()})
		must(t, err)
		must(t, v.CreateAccount(alpha))
		states := func() (out []string) {
			t.Helper()
			keys, err := v.IssuerKeys(t.Context(), alpha)
			must(t, err)
			for _, k := range keys {
				out = append(out, k.Public.Algorithm+" "+string(k.State))
				if k.State == wire.IssuerKeyRetired && k.EndsAt.IsZero() {
					t.Errorf("%+v", k)
				}
			}
			return out
		}
		want := func(want ...string) {
			t.Helper()
			if got := states(); !slices.Equal(got, want) {
				t.Errorf("the keys are %q, want %q", got, want)
			}
		}
		sign := func() string {
			t.Helper()
			token, _, err := v.SignIDToken(t.Context(), idToken(wire.WebIdentityTokenES384))
			must(t, err)
			return token.Reveal()
		}
		first := sign()
		want("ES384 ACTIVE", "RS256 ACTIVE")
		time.Sleep(time.Hour)
		must(t, v.RotateIssuerKeys(t.Context(), alpha, false))
		must(t, v.RotateIssuerKeys(t.Context(), alpha, false))
		want("ES384 ACTIVE", "ES384 PENDING", "RS256 ACTIVE", "RS256 PENDING")
		if kidOf(t, sign()) != kidOf(t, first) {
			t.Error("a key signs before its time")
		}
		time.Sleep(issuerKeyAhead)
		old := document(t, v, alpha)
		want("ES384 RETIRED", "ES384 ACTIVE", "RS256 RETIRED", "RS256 ACTIVE")
		second := sign()
		if kidOf(t, second) == kidOf(t, first) {
			t.Error("the old key still signs")
		}
		time.Sleep(issuerKeyAfter)
		want("ES384 ACTIVE", "RS256 ACTIVE")

		third := sign()
		must(t, v.RotateIssuerKeys(t.Context(), alpha, false)) // a successor is waiting
		must(t, v.RotateIssuerKeys(t.Context(), alpha, true))
		want("ES384 ACTIVE", "RS256 ACTIVE")
		for _, token := range []string{first, second, third} {
			if _, err := verified(token, document(t, v, alpha)); err == nil || strings.Contains(err.Error(), "exp") {
				t.Errorf("a withdrawn key verifies: %v", err)
			}
		}
		if _, err := verified(sign(), old); err == nil {
			t.Error("a withdrawn key signs")
		}
		if _, err := verified(sign(), document(t, v, alpha)); err != nil {
			t.Error(err)
		}
	})
}

// Of an account that there is not nothing is made and nothing remembered, whoever asks.
func TestIssuerOfNoAccount(t *testing.T) {
	b := openBed(t)
	before := b.dump(t)
	for _, account := range []string{"999999999999", "", "alpha", "11111111111", alpha + "1", "../" + alpha} {
		if keys, err := b.IssuerKeys(t.Context(), account); !errors.Is(err, fault.NotFound) || keys != nil {
			t.Errorf("%q: %v, %v", account, keys, err)
		}
		if err := b.RotateIssuerKeys(t.Context(), account, true); !errors.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", account, err)
		}
		if _, known := b.epochs.accounts.Load(account); known {
			t.Errorf("%q is remembered", account)
		}
	}
	if after := b.dump(t); after != before {
		t.Error("rows were written")
	}
}

// Two processes make the first key at the same time: one is kept, and both sign with it.
func TestTwoMakeTheFirstKey(t *testing.T) {
	b := openBed(t)
	vaults := []*Vault{b.Vault, b.restart(t), b.restart(t)}
	tokens := make(chan string, len(vaults))
	for _, v := range vaults {
		go func() {
			token, _, err := v.SignIDToken(context.Background(), idToken(wire.WebIdentityTokenES384))
			if err != nil {
				t.Error(err)
			}
			tokens <- token.Reveal()
		}()
	}
	kids := map[string]bool{}
	for range vaults {
		token := <-tokens
		if token == "" {
			t.FailNow()
		}
		kids[kidOf(t, token)] = true
		if _, err := verified(token, document(t, b.restart(t), alpha)); err != nil {
			t.Error(err)
		}
	}
	if len(kids) != 1 {
		t.Errorf("%d keys sign", len(kids))
	}
}
