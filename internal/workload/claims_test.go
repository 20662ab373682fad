package workload_test

import (
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/iam"
	"credence/internal/secret"
	"credence/internal/workload"
)

// Claims that policies ask about are read in each form that issuers have for them; one of another type counts as missing.
func TestClaims(t *testing.T) {
	for text, want := range map[string]iam.JWTClaims{
		`{"iss":"i","sub":"s","aud":"a","client_id":"c","scope":"read  write"}`: {Issuer: "i", Subject: "s", ClientID: "c", Audience: []string{"a"}, Scope: []string{"read", "write"}},
		`{"iss":"i","sub":"s","aud":["a","b"],"scope":["read","write"]}`:        {Issuer: "i", Subject: "s", Audience: []string{"a", "b"}, Scope: []string{"read", "write"}},
		`{"iss":"i","sub":"s","client_id":["c"],"scope":{"read":true}}`:         {Issuer: "i", Subject: "s"},
		`{"iss":"i","sub":"s","client_id":null,"scope":["read",1]}`:             {Issuer: "i", Subject: "s"},
		`[]`: {},
	} {
		b64 := base64.RawURLEncoding.EncodeToString
		if got := workload.Claims(secret.New(b64([]byte(`{"alg":"RS256"}`)) + "." + b64([]byte(text)) + "." + b64([]byte("x")))); !cmp.Equal(got, want) {
			t.Errorf("%s: %s", text, cmp.Diff(want, got))
		}
	}
	if got := workload.Claims(secret.New("x")); !cmp.Equal(got, iam.JWTClaims{}) {
		t.Errorf("of no JWT: %+v", got)
	}
}
