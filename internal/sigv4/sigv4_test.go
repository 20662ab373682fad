package sigv4_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
	"credence/internal/sigv4"
)

const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. " +
	"Consult the service documentation for details."

func checkFault(t *testing.T, caller string, err error, kind fault.Kind, text string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		t.Fatalf("Verify = %q, %v; want a fault", caller, err)
	}
	if f.Kind != kind || !strings.Contains(f.Msg, text) {
		t.Errorf("fault = %s: %s\nwant    %s: %s", f.Kind, f.Msg, kind, text)
	}
	if caller != "" {
		t.Errorf("a refused request has the caller %q", caller)
	}
}

// Each request is signed correctly for what it is, so nothing but the named rule can refuse it.
func TestVerifyRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*draft)
		kind   fault.Kind
		text   string
	}{
		{"unsigned host", func(d *draft) { d.unsign("Host") }, fault.InvalidSignature, "'Host' must be a 'SignedHeader'"},
		{"unsigned date", func(d *draft) { d.unsign("X-Amz-Date") }, fault.InvalidSignature, "'X-Amz-Date' must be a 'SignedHeader'"},
		{"unsigned security token", func(d *draft) { d.unsign("X-Amz-Security-Token") },
			fault.InvalidSignature, "'X-Amz-Security-Token' must be a 'SignedHeader'"},
		{"unsigned body hash", func(d *draft) {
			d.set("X-Amz-Content-Sha256", sha256Hex(d.body))
			d.unsign("X-Amz-Content-Sha256")
		}, fault.InvalidSignature, "'X-Amz-Content-Sha256' must be a 'SignedHeader'"},
		{"unsigned Credence header", func(d *draft) { d.unsign("X-Credence-Scope-Match") },
			fault.InvalidSignature, "'X-Credence-Scope-Match' must be a 'SignedHeader'"},
		{"no host", func(d *draft) {
			d.signed = d.signedHeaders()
			d.set("Host", "")
		}, fault.InvalidSignature, "names 'host', but the request arrived without it"},

		{"no date", func(d *draft) { d.remove("X-Amz-Date") }, fault.IncompleteSignature, "requires existence of a 'X-Amz-Date' header"},
		{"two dates", func(d *draft) {
			d.headers = append(d.headers, header{"X-Amz-Date", "20261122T101000Z"})
		}, fault.IncompleteSignature, "The request has 2 X-Amz-Date headers; send one."},
		{"two security tokens", func(d *draft) {
			d.headers = append(d.headers, header{"x-amz-security-token", "other"})
		}, fault.IncompleteSignature, "The request has 2 X-Amz-Security-Token headers; send one."},
		{"two body hashes", func(d *draft) {
			d.headers = append(d.headers, header{"X-Amz-Content-Sha256", sha256Hex(d.body)}, header{"X-Amz-Content-Sha256", sha256Hex(d.body)})
		}, fault.IncompleteSignature, "The request has 2 X-Amz-Content-Sha256 headers; send one."},
		{"two Credence headers of one name", func(d *draft) {
			d.headers = append(d.headers, header{"X-Credence-Scope-Match", "other"})
		}, fault.IncompleteSignature, "The request has 2 X-Credence-Scope-Match headers; send one."},

		{"date of another form", func(d *draft) { d.set("X-Amz-Date", "Sun, 22 Nov 2026 10:10:00 GMT") },
			fault.IncompleteSignature, "Got 'Sun, 22 Nov 2026 10:10:00 GMT'"},
		{"date with a fraction", func(d *draft) { d.set("X-Amz-Date", "20261122T101000.5Z") }, fault.IncompleteSignature, "Got '20261122T101000.5Z'"},
		{"date that does not exist", func(d *draft) { d.set("X-Amz-Date", "20261131T101000Z") }, fault.IncompleteSignature, "Got '20261131T101000Z'"},
		{"scope of another day", func(d *draft) { d.date = "20261121" }, fault.InvalidSignature, "'20261121' != '20261122', from '20261122T101000Z'"},
		{"another service", func(d *draft) { d.service = "sts" },
			fault.InvalidSignature, "Credential should be scoped to correct service: 'bedrock-agentcore'."},
		{"another terminator", func(d *draft) { d.terminator = "aws5_request" }, fault.IncompleteSignature, "valid terminator: 'aws4_request'"},

		{"body hash of another body", func(d *draft) { d.set("X-Amz-Content-Sha256", emptyHash) },
			fault.InvalidSignature, "X-Amz-Content-Sha256 must be the SHA-256 of the body"},
		{"body hash in upper case", func(d *draft) {
			d.set("X-Amz-Content-Sha256", strings.ToUpper(sha256Hex(d.body)))
		}, fault.InvalidSignature, "in lower-case hexadecimal"},
		{"empty body hash", func(d *draft) { d.set("X-Amz-Content-Sha256", "") }, fault.InvalidSignature, "X-Amz-Content-Sha256 must be"},
		{"unsigned payload", func(d *draft) { d.set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
			fault.InvalidSignature, "unsigned and streamed payloads are not accepted"},
		{"streaming payload", func(d *draft) {
			d.set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
		}, fault.InvalidSignature, "unsigned and streamed payloads are not accepted"},

		{"presigned signature", func(d *draft) { d.query = "X-Amz-Signature=0123" }, fault.IncompleteSignature, "Presigned requests are not accepted"},
		{"presigned algorithm", func(d *draft) { d.query = "a=b&X-Amz-%41lgorithm=AWS4-HMAC-SHA256" },
			fault.IncompleteSignature, "Presigned requests are not accepted"},
		{"presigned in lower case", func(d *draft) { d.query = "x-amz-signature=0123" }, fault.IncompleteSignature, "Presigned requests are not accepted"},
		{"semicolon in the query", func(d *draft) { d.query = "a=b;c" }, fault.IncompleteSignature, "The query string has a ';' or a '%'"},
		{"257 parameters", func(d *draft) { d.query = strings.Repeat("a=b&", 256) + "a=b" }, fault.IncompleteSignature, "more than 256 parameters"},
		{"full URL as the target", func(d *draft) { d.path = "http://credence.example:8080/identities/oauth2/token" },
			fault.IncompleteSignature, "must be a path"},
		{"asterisk as the target", func(d *draft) { d.method, d.path = "OPTIONS", "*" }, fault.IncompleteSignature, "must be a path"},

		{"listed header that is absent", func(d *draft) { d.signed = append([]string{"accept"}, d.signedHeaders()...) },
			fault.InvalidSignature, "names 'accept', but the request arrived without it"},
		{"listed length that is absent", func(d *draft) {
			d.signed = d.signedHeaders()
			d.remove("Content-Length")
			d.body = ""
		}, fault.InvalidSignature, "names 'content-length'"},
		{"listed transfer encoding that is absent", func(d *draft) {
			d.signed = []string{"host", "transfer-encoding", "x-amz-date", "x-amz-security-token", "x-credence-scope-match"}
		}, fault.InvalidSignature, "names 'transfer-encoding'"},
		{"65 signed headers", func(d *draft) { d.signMany(65) }, fault.IncompleteSignature, "more than 64 names"},
		{"Authorization of 8 KiB", func(d *draft) { d.set("X-Credence-"+strings.Repeat("a", 8<<10), "1") },
			fault.IncompleteSignature, "longer than 8192 bytes"},

		{"wrong secret", func(d *draft) { d.signingKey = make([]byte, 32) }, fault.InvalidSignature, mismatch},
		{"unknown key", func(d *draft) { d.keyID = "AKIDSOMEBODYELSE1" }, fault.UnknownCaller, "The security token included in the request is invalid."},
		{"unknown key, signed with the key that stands in for it", func(d *draft) {
			d.keyID, d.signingKey = "AKIDSOMEBODYELSE1", make([]byte, 32)
		}, fault.UnknownCaller, "The security token included in the request is invalid."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := post()
			tt.change(&d)
			caller, err := verify(t, d.wire(), signedAt)
			checkFault(t, caller, err, tt.kind, tt.text)
		})
	}
}

func TestVerifyRefusesOtherAuthorization(t *testing.T) {
	d := post()
	signed := header{"Authorization", d.authorization()}
	for _, tt := range []struct {
		name    string
		headers []header
		kind    fault.Kind
		text    string
	}{
		{"none", nil, fault.MissingSignature, "Missing Authentication Token"},
		{"two", []header{signed, signed}, fault.IncompleteSignature, "The request has 2 Authorization headers; send one."},
		{"a bearer token beside it", []header{signed, {"authorization", "Bearer x"}},
			fault.IncompleteSignature, "The request has 2 Authorization headers; send one."},
		{"a bearer token", []header{{"Authorization", "Bearer hunter2"}}, fault.IncompleteSignature, "requires the algorithm 'AWS4-HMAC-SHA256'"},
		{"empty", []header{{"Authorization", ""}}, fault.IncompleteSignature, "requires the algorithm"},
		{"an unsigned Credence header beside it", []header{signed, {"X-Credence-Force", "true"}},
			fault.InvalidSignature, "'X-Credence-Force' must be a 'SignedHeader'"},
		{"an unsigned body hash beside it", []header{signed, {"x-amz-content-sha256", sha256Hex(d.body)}},
			fault.InvalidSignature, "'X-Amz-Content-Sha256' must be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			caller, err := verify(t, d.wireWith(tt.headers...), signedAt)
			checkFault(t, caller, err, tt.kind, tt.text)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a token: %v", err)
			}
		})
	}

	t.Run("broken percent-encoding in the query", func(t *testing.T) {
		wire := bytes.Replace(d.wire(), []byte(d.path), []byte(d.path+"?a=%zz"), 1)
		caller, err := verify(t, wire, signedAt)
		checkFault(t, caller, err, fault.IncompleteSignature, "The query string has a ';' or a '%'")
	})
	t.Run("another body than the signed one", func(t *testing.T) {
		caller, err := verify(t, bytes.Replace(d.wire(), []byte("repo"), []byte("root"), 1), signedAt)
		checkFault(t, caller, err, fault.InvalidSignature, mismatch)
	})
	t.Run("a header beside it that we do not read", func(t *testing.T) {
		if _, err := verify(t, d.wire(header{"X-Forwarded-For", "192.0.2.1"}), signedAt); err != nil {
			t.Error(err)
		}
	})
}

func TestClockSkew(t *testing.T) {
	d := post() // signed at 20261122T101000Z
	for _, tt := range []struct {
		name string
		now  time.Time
		text string // empty: accepted
	}{
		{"5 minutes late", signedAt.Add(5 * time.Minute), ""},
		{"5 minutes early", signedAt.Add(-5 * time.Minute), ""},
		{"within the last second", signedAt.Add(5*time.Minute + 999*time.Millisecond), ""},
		{"in another time zone", signedAt.In(time.FixedZone("", 7*3600)), ""},
		{"too late", signedAt.Add(5*time.Minute + time.Second),
			"Signature expired: 20261122T101000Z is now earlier than 20261122T101001Z (20261122T101501Z - 5 min.)"},
		{"too late in another time zone", signedAt.Add(15 * time.Minute).In(time.FixedZone("", -5*3600)),
			"Signature expired: 20261122T101000Z is now earlier than 20261122T102000Z (20261122T102500Z - 5 min.)"},
		{"too early", signedAt.Add(-5*time.Minute - time.Second),
			"Signature not yet current: 20261122T101000Z is still later than 20261122T100959Z (20261122T100459Z + 5 min.)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			caller, err := verify(t, d.wire(), tt.now)
			if tt.text != "" {
				checkFault(t, caller, err, fault.InvalidSignature, tt.text)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	d := post()
	wire := d.wire()
	r, body, _ := receive(wire)
	with := func(key []byte, err error) (string, error) {
		return sigv4.Verify(r, body, service, signedAt, func(context.Context, sigv4.Credential) (string, []byte, error) { return "somebody", key, err })
	}
	key := sigv4.Derive(secret.New(secretKey), d.date, d.region, d.service)

	t.Run("is asked for what the request claims", func(t *testing.T) {
		var asked sigv4.Credential
		type contextKey struct{}
		r := r.WithContext(context.WithValue(t.Context(), contextKey{}, "x"))
		_, err := sigv4.Verify(r, body, service, signedAt, func(ctx context.Context, c sigv4.Credential) (string, []byte, error) {
			if ctx.Value(contextKey{}) != "x" {
				t.Error("the context is not the request's")
			}
			asked = c
			return "", key, nil
		})
		want := sigv4.Credential{AccessKeyID: keyID, Date: "20261122", Region: region, Service: service, SessionToken: secret.New("FwoGZXIvYXdzEXAMPLE//token+==")}
		if err != nil || asked != want {
			t.Errorf("asked for %+v (token %q), %v; want %+v", asked, asked.SessionToken.Reveal(), err, want)
		}
	})
	t.Run("is not asked for what is already refused", func(t *testing.T) {
		_, err := sigv4.Verify(r, body, service, signedAt.Add(time.Hour), func(context.Context, sigv4.Credential) (string, []byte, error) {
			t.Error("asked")
			return "", key, nil
		})
		if err == nil {
			t.Error("accepted")
		}
	})
	t.Run("answers the caller", func(t *testing.T) {
		if caller, err := with(key, nil); err != nil || caller != "somebody" {
			t.Errorf("Verify = %q, %v", caller, err)
		}
	})
	t.Run("knows nobody, even where it gives a right key", func(t *testing.T) {
		cause := fault.New(fault.UnknownCaller, "no row")
		caller, err := with(key, cause)
		checkFault(t, caller, err, fault.UnknownCaller, "The security token included in the request is invalid.")
		if !errors.Is(err, cause) {
			t.Error("the cause is lost")
		}
	})
	t.Run("knows an ended session, even where the signature is that of the key that stands in", func(t *testing.T) {
		d := post()
		d.signingKey = make([]byte, 32)
		r, body, _ := receive(d.wire())
		caller, err := sigv4.Verify(r, body, service, signedAt, func(context.Context, sigv4.Credential) (string, []byte, error) {
			return "somebody", nil, fault.ExpiredCaller
		})
		checkFault(t, caller, err, fault.ExpiredCaller, "The security token included in the request is expired")
	})
	t.Run("fails", func(t *testing.T) {
		if caller, err := with(key, io.ErrUnexpectedEOF); err != io.ErrUnexpectedEOF || caller != "" {
			t.Errorf("Verify = %q, %v; want the error as it is", caller, err)
		}
	})
	t.Run("gives a key that anybody could have", func(t *testing.T) {
		for _, short := range [][]byte{nil, {}, key[:31]} {
			d := post()
			d.signingKey = append([]byte{}, short...)
			r, body, _ := receive(d.wire())
			caller, err := sigv4.Verify(r, body, service, signedAt, func(context.Context, sigv4.Credential) (string, []byte, error) {
				return "somebody", short, nil
			})
			if err == nil || fault.KindOf(err) != fault.Internal || caller != "" {
				t.Errorf("key of %d bytes: Verify = %q, %v", len(short), caller, err)
			}
		}
	})
}

// An attacker must not learn from the time of the answer which access keys exist: the work for an unknown one is that for a wrong signature.
// What the HMAC allocates is the measure of that work that does not depend on the machine.
func TestUnknownKeyTakesThePathOfAWrongSignature(t *testing.T) {
	known, unknown := post(), post()
	known.signingKey = make([]byte, 32)
	unknown.keyID = "AKIDSOMEBODYELSE1"
	work := func(d draft) float64 {
		r, body, _ := receive(d.wire())
		return testing.AllocsPerRun(200, func() {
			_, err := sigv4.Verify(r, body, service, signedAt, func(_ context.Context, c sigv4.Credential) (string, []byte, error) {
				if c.AccessKeyID != keyID {
					return "", nil, fault.UnknownCaller
				}
				return "", unusedKey, nil
			})
			if err == nil {
				t.Error("accepted")
			}
		})
	}
	if k, u := work(known), work(unknown); u < k {
		t.Errorf("an unknown key takes %v allocations, a wrong signature %v", u, k)
	}
}

var unusedKey = sigv4.Derive(secret.New("not the secret"), "20261122", region, service)
