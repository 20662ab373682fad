package sigv4_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/sigv4"
)

const (
	keyID     = "AKIDEXAMPLE_00001"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	service   = "bedrock-agentcore"
	region    = "eu-central-1"
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var signedAt = time.Date(2026, 11, 22, 10, 10, 0, 0, time.UTC)

// lookup knows one key, without regard to session tokens.
func lookup(_ context.Context, c sigv4.Credential) (string, []byte, error) {
	if c.AccessKeyID != keyID {
		return "", nil, fault.UnknownCaller
	}
	return c.AccessKeyID, sigv4.Derive(secret.New(secretKey), c.Date, c.Region, c.Service), nil
}

type header struct{ name, value string }

// draft is a request to be signed by the algorithm as the AWS IAM User Guide words it, written without regard to speed and independent of the code under test.
// It describes the bytes on the wire, so that a test can break any single rule and still make a signature that is otherwise right.
type draft struct {
	method, path, query string // as on the wire
	headers             []header
	body                string

	keyID, date, region, service, terminator string   // the credential
	signed                                   []string // nil: every header
	signingKey                               []byte   // nil: derived from secretKey
	separator                                string   // between the parameters of the Authorization header
}

// post is a draft that verifies at signedAt.
func post() draft {
	return draft{
		method: "POST", path: "/identities/oauth2/token", body: `{"scopes":["repo"]}`,
		headers: []header{
			{"Host", "credence.example:8080"},
			{"Content-Type", "application/json"},
			{"Content-Length", "19"},
			{"X-Amz-Date", "20261122T101000Z"},
			{"X-Amz-Security-Token", "FwoGZXIvYXdzEXAMPLE//token+=="},
			{"X-Credence-Scope-Match", "exact"},
		},
		keyID: keyID, date: "20261122", region: region, service: service, terminator: "aws4_request", separator: ", ",
	}
}

func (d *draft) set(name, value string) {
	for i, h := range d.headers {
		if strings.EqualFold(h.name, name) {
			d.headers[i].value = value
			return
		}
	}
	d.headers = append(d.headers, header{name, value})
}

func (d *draft) remove(name string) {
	d.headers = slices.DeleteFunc(d.headers, func(h header) bool { return strings.EqualFold(h.name, name) })
}

// unsign leaves a header in the request and out of the signature.
func (d *draft) unsign(name string) {
	d.signed = slices.DeleteFunc(d.signedHeaders(), func(s string) bool { return s == strings.ToLower(name) })
}

func (d *draft) signedHeaders() []string {
	if d.signed != nil {
		return slices.Clone(d.signed)
	}
	var names []string
	for _, h := range d.headers {
		names = append(names, strings.ToLower(h.name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d *draft) canonicalRequest() string {
	var lines []string
	lines = append(lines, d.method, percentEncode(d.path, "/"))

	var pairs [][2]string
	for pair := range strings.SplitSeq(d.query, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			pairs = append(pairs, [2]string{percentEncode(percentDecode(name), ""), percentEncode(percentDecode(value), "")})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	var query []string
	for _, p := range pairs {
		query = append(query, p[0]+"="+p[1])
	}
	lines = append(lines, strings.Join(query, "&"))

	for _, name := range d.signedHeaders() {
		var values []string
		for _, h := range d.headers {
			if strings.ToLower(h.name) == name {
				value := strings.Trim(h.value, " \t")
				for strings.Contains(value, "  ") {
					value = strings.ReplaceAll(value, "  ", " ")
				}
				values = append(values, value)
			}
		}
		lines = append(lines, name+":"+strings.Join(values, ","))
	}
	lines = append(lines, "", strings.Join(d.signedHeaders(), ";"), sha256Hex(d.body))
	return strings.Join(lines, "\n")
}

func (d *draft) signature() string {
	scope := strings.Join([]string{d.date, d.region, d.service, d.terminator}, "/")
	date := ""
	for _, h := range d.headers {
		if strings.EqualFold(h.name, "X-Amz-Date") {
			date = h.value
		}
	}
	key := d.signingKey
	if key == nil {
		key = hmacSHA256(hmacSHA256(hmacSHA256(hmacSHA256([]byte("AWS4"+secretKey), d.date), d.region), d.service), "aws4_request")
	}
	return hex.EncodeToString(hmacSHA256(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+sha256Hex(d.canonicalRequest())))
}

func (d *draft) authorization() string {
	return "AWS4-HMAC-SHA256 Credential=" + strings.Join([]string{d.keyID, d.date, d.region, d.service, d.terminator}, "/") +
		d.separator + "SignedHeaders=" + strings.Join(d.signedHeaders(), ";") + d.separator + "Signature=" + d.signature()
}

// wire is the signed request as bytes, with extra headers behind it that nobody signed.
func (d *draft) wire(extra ...header) []byte {
	return d.wireWith(append([]header{{"Authorization", d.authorization()}}, extra...)...)
}

// wireWith puts the given headers in the place of the Authorization header.
func (d *draft) wireWith(authorization ...header) []byte {
	var b bytes.Buffer
	target := d.path
	if d.query != "" {
		target += "?" + d.query
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", d.method, target)
	for _, h := range slices.Concat(d.headers, authorization) {
		fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
	}
	b.WriteString("\r\n" + d.body)
	return b.Bytes()
}

// receive parses a request as net/http's server does; ok is false when that refuses it.
func receive(wire []byte) (r *http.Request, body []byte, ok bool) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		return nil, nil, false
	}
	body, err = io.ReadAll(r.Body)
	return r, body, err == nil
}

func verify(t testing.TB, wire []byte, now time.Time) (string, error) {
	t.Helper()
	r, body, ok := receive(wire)
	if !ok {
		t.Fatalf("net/http does not read this request:\n%s", wire)
	}
	return sigv4.Verify(r, body, service, now, lookup)
}

func percentEncode(s, keep string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var out strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(unreserved+keep, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func percentDecode(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			b, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				panic(err)
			}
			out = append(out, b...)
			i += 2
		} else if s[i] == '+' {
			out = append(out, ' ')
		} else {
			out = append(out, s[i])
		}
	}
	return string(out)
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}
