package sigv4_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"credence/internal/secret"
	"credence/internal/sigv4"
)

// typical is GetResourceOauth2Token as the SDK sends it, with a body of 600 bytes.
func typical() draft {
	d := post()
	d.body = `{"workloadIdentityToken":"` + strings.Repeat("a", 600-28) + `"}`
	d.remove("X-Credence-Scope-Match")
	d.set("Content-Length", strconv.Itoa(len(d.body)))
	d.set("Amz-Sdk-Invocation-Id", "4b1a7f0e-8d3c-4a52-9c11-9d2f5a6b7c8d")
	d.set("Amz-Sdk-Request", "attempt=1; max=3")
	d.set("Accept-Encoding", "gzip")
	d.set("User-Agent", "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/bedrockagentcore#1.56.3")
	return d
}

func BenchmarkVerify(b *testing.B) {
	d := typical()
	for name, query := range map[string]string{"post": "", "query": "tagKeys=a&tagKeys=b%20c&tagKeys=d"} {
		b.Run(name, func(b *testing.B) {
			d.query = query
			r, body, _ := receive(d.wire())
			key := sigv4.Derive(secret.New(secretKey), d.date, d.region, d.service)
			known := func(context.Context, sigv4.Credential) (string, []byte, error) { return keyID, key, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sigv4.Verify(r, body, service, signedAt, known); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What Verify is measured against: make the signature again with the SDK's signer, which keeps derived keys, too.
func BenchmarkSignAgainWithSDK(b *testing.B) {
	d := typical()
	r, body, _ := receive(d.wire())
	signer := v4.NewSigner()
	c := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey, SessionToken: r.Header.Get("X-Amz-Security-Token")}
	b.ReportAllocs()
	for b.Loop() {
		again := r.Clone(b.Context())
		again.Header = http.Header{}
		for _, name := range []string{"Content-Type", "Accept-Encoding", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"} {
			again.Header[name] = r.Header[name]
		}
		if err := signer.SignHTTP(b.Context(), c, again, sha256Hex(string(body)), service, region, signedAt); err != nil {
			b.Fatal(err)
		}
	}
}
