package sigv4_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/sigv4"
)

// The worked example that AWS publishes: secret wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY, 20150830T123600Z, region us-east-1, service "service".
// The published access key id is shorter than ours may be; it is no part of the signature.
func TestPublishedSignatures(t *testing.T) {
	const token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrm" +
		"GdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDr" +
		"ypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
	for _, tt := range []struct {
		name, request string // request line and headers but X-Amz-Date; empty line; body
		signature     string
	}{
		{"vanilla", "GET / HTTP/1.1\nHost:example.amazonaws.com\n", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"query sorted by name", "GET /?Param2=value2&Param1=value1 HTTP/1.1\nHost:example.amazonaws.com\n",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"query sorted in encoded form", "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1 HTTP/1.1\nHost:example.amazonaws.com\n",
			"371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
		{"utf-8 in the query", "GET /?ሴ=bar HTTP/1.1\nHost:example.amazonaws.com\n", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
		{"unreserved characters in the path", "GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz HTTP/1.1\nHost:example.amazonaws.com\n",
			"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{"utf-8 in the path", "GET /ሴ HTTP/1.1\nHost:example.amazonaws.com\n", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{"header values trimmed", "GET / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1: value1\nMy-Header2: \"a   b   c\"\n",
			"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"header value on many lines", "GET / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1:value1\n  value2\n     value3\n",
			"cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd"},
		{"header in many values", "GET / HTTP/1.1\nHost:example.amazonaws.com\nMy-Header1:value2\nMy-Header1:value2\nMy-Header1:value1\n",
			"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"session token", "POST / HTTP/1.1\nHost:example.amazonaws.com\nX-Amz-Security-Token:" + token + "\n",
			"85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
		{"body, its length and its hash", "POST / HTTP/1.1\nHost:example.amazonaws.com\nContent-Type:application/x-www-form-urlencoded\nContent-Length:13\n" +
			"X-Amz-Content-Sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e\n\nParam1=value1",
			"d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head, body, _ := strings.Cut(tt.request, "\n\n")
			head = strings.TrimSuffix(head, "\n") + "\nX-Amz-Date:20150830T123600Z"
			var signed []string
			for _, line := range strings.Split(head, "\n")[1:] {
				if name, _, ok := strings.Cut(line, ":"); ok {
					signed = append(signed, strings.ToLower(name))
				}
			}
			slices.Sort(signed)
			wire := fmt.Sprintf("%s\nAuthorization:AWS4-HMAC-SHA256 Credential=%s/20150830/us-east-1/service/aws4_request, SignedHeaders=%s, Signature=%s\n\n%s",
				head, keyID, strings.Join(slices.Compact(signed), ";"), tt.signature, body)

			r, read, ok := receive([]byte(strings.ReplaceAll(wire, "\n", "\r\n")))
			if !ok {
				t.Fatalf("net/http does not read this request:\n%s", wire)
			}
			if _, err := sigv4.Verify(r, read, "service", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), lookup); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDerive(t *testing.T) {
	// The AWS IAM User Guide's example key for 20150830/us-east-1/iam.
	got := hex.EncodeToString(sigv4.Derive(secret.New(secretKey), "20150830", "us-east-1", "iam"))
	if want := "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"; got != want {
		t.Errorf("Derive = %s, want %s", got, want)
	}
}

// What the published example leaves out, signed by the algorithm as written down in draft.
func TestCanonicalForm(t *testing.T) {
	for name, change := range map[string]func(*draft){
		"as it is":                     func(*draft) {},
		"no spaces after the commas":   func(d *draft) { d.separator = "," },
		"many spaces after the commas": func(d *draft) { d.separator = ",   " },
		"ARN in the path": func(d *draft) {
			d.path = "/tags/arn%3Aaws%3Abedrock-agentcore%3Aeu-central-1%3A123456789012%3Atoken-vault%2Fdefault"
		},
		"lower-case hex in the path": func(d *draft) { d.path = "/tags/arn%3aaws" },
		"space in the path":          func(d *draft) { d.path = "/example%20space/" },
		"reserved characters in the path": func(d *draft) {
			d.path = "/a:b@c!d$e&f'g(h)i*j+k,l;m=n#o"
		},
		"dot segments in the path":      func(d *draft) { d.path = "/a/../b/./c//d/" },
		"two slashes before the path":   func(d *draft) { d.path = "//evil.example/a" },
		"percent-encoded slash and dot": func(d *draft) { d.path = "/a%2F%2E%2E%2Fb" },
		"query with one name, many values": func(d *draft) {
			d.query = "tagKeys=b&tagKeys=a%20c&tagKeys=a%2Fc&tagKeys=a-c&tagKeys="
		},
		"query sorted by name before value": func(d *draft) { d.query = "a=1&a-b=1&a.=1&a%2F=1" },
		"query with plus and space":         func(d *draft) { d.query = "a=1+2&b=1%202&c=1%2B2" },
		"query without values":              func(d *draft) { d.query = "flag&b=&&" },
		"query with lower-case hex":         func(d *draft) { d.query = "a=%c3%bc%7e" },
		"query with a question mark":        func(d *draft) { d.query = "a=b?c" },
		"runs of spaces in a header":        func(d *draft) { d.set("X-Credence-Reason", "  a   b c  ") },
		"tab at the end of a header":        func(d *draft) { d.set("Content-Type", "application/json\t") },
		"empty header":                      func(d *draft) { d.set("X-Credence-Reason", "") },
		"long header name":                  func(d *draft) { d.set("X-Credence-"+strings.Repeat("Very-", 100)+"Long", "1") },
		"every kind of header name":         func(d *draft) { d.set("x!#$%&'*+-.^_`|~9a-", "1") },
		"SDK headers": func(d *draft) {
			d.set("amz-sdk-invocation-id", "4b1a7f0e-8d3c-4a52-9c11-9d2f5a6b7c8d")
			d.set("amz-sdk-request", "attempt=1; max=3")
			d.set("User-Agent", "aws-cli/2.31  md/awscrt")
			d.set("X-Amz-User-Agent", "aws-sdk-js/3.9")
			d.set("Accept-Encoding", "identity")
		},
		"body hash": func(d *draft) { d.set("X-Amz-Content-Sha256", sha256Hex(d.body)) },
		"no body": func(d *draft) {
			d.method, d.body = "GET", ""
			d.remove("Content-Length")
			d.set("X-Amz-Content-Sha256", emptyHash)
		},
		"empty body of announced length": func(d *draft) {
			d.body = ""
			d.set("Content-Length", "0")
		},
		"chunked body": func(d *draft) {
			d.remove("Content-Length")
			d.set("Transfer-Encoding", "chunked")
		},
		"unsigned headers that we do not read": func(d *draft) {
			d.set("X-Forwarded-For", "192.0.2.1")
			d.unsign("X-Forwarded-For")
			d.unsign("Content-Type")
		},
		"request larger than the usual": func(d *draft) {
			d.set("X-Amz-Security-Token", strings.Repeat("t", 4000))
			d.query = strings.Repeat("k=v&", 255) + "k=v"
		},
		"any region":          func(d *draft) { d.region = "xx-made-up-9" },
		"64 signed headers":   func(d *draft) { d.signMany(64) },
		"key id of 16 bytes":  func(d *draft) { d.keyID = strings.Repeat("A", 16) },
		"key id of 128 bytes": func(d *draft) { d.keyID = strings.Repeat("z", 128) },
	} {
		t.Run(name, func(t *testing.T) {
			d := post()
			change(&d)
			wire := d.wire()
			if strings.Contains(string(wire), "chunked") {
				wire = []byte(strings.Replace(string(wire), "\r\n\r\n"+d.body, fmt.Sprintf("\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(d.body), d.body), 1))
			}
			r, body, ok := receive(wire)
			if !ok {
				t.Fatalf("net/http does not read this request:\n%s", wire)
			}
			caller, err := sigv4.Verify(r, body, service, signedAt, func(_ context.Context, c sigv4.Credential) (string, []byte, error) {
				return c.AccessKeyID, sigv4.Derive(secret.New(secretKey), c.Date, c.Region, c.Service), nil
			})
			if err != nil {
				t.Errorf("%v\n%s", err, d.canonicalRequest())
			} else if caller != d.keyID {
				t.Errorf("the caller is %q, want %q", caller, d.keyID)
			}
		})
	}
}

// Whatever can be sent and is signed by the algorithm verifies, or is refused for another reason than its signature.
func FuzzCanonicalForm(f *testing.F) {
	f.Add("GET", "/", "", "", "")
	f.Add("POST", "/tags/arn%3Aaws%2Fa", "tagKeys=b&tagKeys=a%20c+d", "a   b", "{}")
	f.Add("PUT", "/a/../b//c;x=[y]#z", "&&=&a&a-b=1&%2f=ü", "\tü \t b ", "\x00")
	f.Fuzz(func(t *testing.T, method, path, query, value, body string) {
		d := post()
		d.method, d.path, d.query, d.body = method, path, query, body
		d.set("X-Credence-Reason", value)
		d.set("Content-Length", strconv.Itoa(len(body)))
		if _, err := url.ParseQuery(query); err != nil {
			return
		}
		target := path
		if query != "" {
			target += "?" + query
		}
		r, got, ok := receive(d.wire())
		if !ok || r.Method != method || r.RequestURI != target || string(got) != body || r.Header.Get("X-Credence-Reason") != strings.Trim(value, " \t") {
			return // a text does not fit its place
		}
		if strings.Contains(path, "?") {
			return // its path ends before draft thinks
		}
		if _, err := sigv4.Verify(r, got, service, signedAt, lookup); err != nil && fault.KindOf(err) != fault.IncompleteSignature {
			t.Errorf("%v\n%s", err, d.canonicalRequest())
		}
	})
}

// signMany adds headers until n are signed.
func (d *draft) signMany(n int) {
	for i := len(d.headers); i < n; i++ {
		d.set(fmt.Sprintf("X-Filler-%02d", i), "1")
	}
}
