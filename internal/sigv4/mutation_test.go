package sigv4_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/sigv4"
)

// everything is a signed request that has all that Credence reads.
func everything() draft {
	d := post()
	d.path = "/tags/arn%3Aaws%3Abedrock-agentcore%3Aeu-central-1%3A123456789012%3Atoken-vault%2Fdefault"
	d.query = "tagKeys=b%2Fc&tagKeys=a%20d&dryRun"
	d.set("X-Amz-Content-Sha256", sha256Hex(d.body))
	d.set("X-Credence-Reason", "incident 7")
	return d
}

// Every byte of a request, headers' names and line ends included, changed in several ways. All must be refused but what is the same request:
//   - a letter of a header's name in its other case (RFC 9110 section 5.1: names are case-insensitive),
//   - a hexadecimal digit in its other case inside the query, which decodes to the same value (inside the path the wire form is signed,
//     so there it is refused),
//   - a space in the place of the CR that ends a header's line: LF alone ends a line, too (RFC 9112 section 2.2), and the space is
//     trimmed from the value (section 5.1).
//
// The protocol version is left alone: it is no part of the signed request, and nothing reads it.
func TestEveryByteIsProtected(t *testing.T) {
	d := everything()
	wire := d.wire()
	if _, err := verify(t, wire, signedAt); err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for i, original := range wire {
		if version := bytes.Index(wire, []byte(" HTTP/1.1")); i >= version && i < version+len(" HTTP/1.1") {
			continue
		}
		for _, changed := range []byte{original ^ 1, original ^ 0x20, original ^ 0x80, 'a', '0', ' ', ','} {
			if changed == original {
				continue
			}
			mutant := bytes.Clone(wire)
			mutant[i] = changed
			r, body, ok := receive(mutant)
			if ok {
				_, err := sigv4.Verify(r, body, service, signedAt, lookup)
				ok = err == nil
			}
			if same := isSameRequest(wire, i, changed); ok != same {
				t.Errorf("byte %d, %q instead of %q: verifies %t, want %t\n%s", i, changed, original, ok, same, mutant)
			}
			if ok {
				accepted++
			}
		}
	}
	if accepted == 0 {
		t.Error("no mutant that is the same request was tried")
	}
}

func isSameRequest(wire []byte, i int, changed byte) bool {
	firstLine, end := bytes.IndexByte(wire, '\n'), bytes.Index(wire, []byte("\r\n\r\n"))
	otherCase := strings.EqualFold(string(wire[i]), string(changed))
	switch {
	case i <= firstLine:
		return otherCase && i > bytes.IndexByte(wire, '?') && (wire[i-1] == '%' || wire[i-2] == '%')
	case i > end:
		return false
	case wire[i] == '\r':
		return changed == ' '
	default:
		name := !bytes.Contains(wire[bytes.LastIndexByte(wire[:i], '\n'):i], []byte(":"))
		return otherCase && name
	}
}

func TestEveryHeaderIsProtected(t *testing.T) {
	d := everything()
	signed := d.authorization()
	for i, h := range d.headers {
		t.Run("without "+h.name, func(t *testing.T) {
			cut := d
			cut.headers = slices.Delete(slices.Clone(d.headers), i, i+1)
			r, body, ok := receive(cut.wireWith(header{"Authorization", signed}))
			if ok {
				if _, err := sigv4.Verify(r, body, service, signedAt, lookup); err == nil {
					t.Error("verifies")
				}
			}
		})
	}
	t.Run("with names changed round", func(t *testing.T) {
		swapped := d
		swapped.headers = slices.Clone(d.headers)
		n := len(swapped.headers)
		swapped.headers[n-1].value, swapped.headers[n-3].value = swapped.headers[n-3].value, swapped.headers[n-1].value
		if _, err := verify(t, swapped.wireWith(header{"Authorization", signed}), signedAt); err == nil {
			t.Error("verifies")
		}
	})
}

// Nobody who does not hold the key can make a request that verifies and is read otherwise than the one that was signed.
func FuzzVerify(f *testing.F) {
	d := everything()
	wire := d.wire()
	r, body, _ := receive(wire)
	want := read(r, body)
	f.Add(wire)
	f.Add(d.wire(header{"X-Forwarded-For", "192.0.2.1"}))
	f.Add(d.wire(header{"X-Credence-Reason", "other"}))
	f.Add(bytes.Replace(wire, []byte("%2Fc"), []byte("%2fc"), 1))
	f.Add(bytes.Replace(wire, []byte("a%20d"), []byte("a+d"), 1))
	f.Add(bytes.Replace(wire, []byte("tagKeys=b%2Fc&tagKeys=a%20d&dryRun"), []byte("&&dryRun=&tagKeys=a%20d&tagKeys=b%2Fc"), 1))
	f.Add(bytes.Replace(wire, []byte("incident 7"), []byte("  incident   7\t"), 1))
	f.Add(bytes.Replace(wire, []byte("Content-Length: 19"), []byte("Transfer-Encoding: chunked"), 1))
	f.Add(bytes.Replace(wire, []byte("POST /"), []byte("POST http://credence.example:8080/"), 1))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("GET /?X-Amz-Signature=0 HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, body, ok := receive(wire)
		if !ok {
			return
		}
		if _, err := sigv4.Verify(r, body, service, signedAt, lookup); err != nil {
			return
		}
		if diff := cmp.Diff(want, read(r, body)); diff != "" {
			t.Errorf("verifies, but is read otherwise (-signed +read):\n%s\n%s", diff, wire)
		}
	})
}

// reading is all of a request that Credence acts on.
type reading struct {
	Method, Path, Host, Body string
	Query                    []string // sorted: the order of equal names is not protected
	Headers                  []string // with single spaces: their number is not protected
}

func read(r *http.Request, body []byte) reading {
	got := reading{Method: r.Method, Path: r.URL.EscapedPath(), Host: r.Host, Body: string(body)}
	for name, values := range r.URL.Query() {
		for _, value := range values {
			got.Query = append(got.Query, fmt.Sprintf("%q=%q", name, value))
		}
	}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") || strings.HasPrefix(name, "X-Credence-") {
			for _, value := range values {
				got.Headers = append(got.Headers, name+": "+strings.Join(strings.Fields(value), " "))
			}
		}
	}
	slices.Sort(got.Query)
	slices.Sort(got.Headers)
	return got
}
