package wire

import (
	"strings"
	"testing"
)

// A request as an agent sends it, with a workload access token of 1 kB.
var tokenRequest = []byte(`{"workloadIdentityToken":"` + strings.Repeat("Ab3_", 256) + `","resourceCredentialProviderName":"github","scopes":["repo","read:user"],` +
	`"oauth2Flow":"USER_FEDERATION","resourceOauth2ReturnUrl":"https://agent.example.com/oauth2/callback","customParameters":{"prompt":"consent"},"customState":"eyJ0IjoxfQ"}`)

func BenchmarkDecode(b *testing.B) {
	b.SetBytes(int64(len(tokenRequest)))
	b.ReportAllocs()
	for b.Loop() {
		var in GetResourceOauth2TokenInput
		if err := Decode(tokenRequest, nil, &in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	var in GetResourceOauth2TokenInput
	if err := Decode(tokenRequest, nil, &in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate(&in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	out := &GetResourceOauth2TokenOutput{AccessToken: strings.Repeat("t", 1024), GrantedScopes: []string{"repo", "read:user"}, TokenType: "Bearer"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(out); err != nil {
			b.Fatal(err)
		}
	}
}

// A user token of the greatest length must not cost more than its bytes.
func BenchmarkValidateGreatestUserToken(b *testing.B) {
	body := []byte(`{"workloadName":"abc","userToken":"a.b.` + strings.Repeat("c", 131_068) + `"}`)
	var in GetWorkloadAccessTokenForJWTInput
	if err := Decode(body, nil, &in); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := Validate(&in); err != nil {
			b.Fatal(err)
		}
	}
}

// The hot path validates without garbage.
func TestValidateAllocatesLittle(t *testing.T) {
	var in GetResourceOauth2TokenInput
	if err := Decode(tokenRequest, nil, &in); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = Validate(&in) }); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}
