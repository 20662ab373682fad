package sigv4

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"credence/internal/fault"
	"credence/internal/secret"
)

const maxParameters = 256 // of the query; UntagResource takes up to 200 tagKeys

// readClaim checks all that needs no key, and reduces the request to what the key must prove.
func readClaim(r *http.Request, body []byte, service string, now time.Time) (claim, error) {
	path, rawQuery, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return claim{}, fault.New(fault.IncompleteSignature, "The request target must be a path that begins with '/'.")
	}
	query, err := readQuery(rawQuery)
	if err != nil {
		return claim{}, err
	}
	switch n := len(r.Header["Authorization"]); {
	case n == 0:
		return claim{}, fault.New(fault.MissingSignature, "Missing Authentication Token")
	case n > 1:
		return claim{}, fault.New(fault.IncompleteSignature, "The request has %d Authorization headers; send one.", n)
	}
	auth, err := parseAuthorization(r.Header["Authorization"][0])
	if err != nil {
		return claim{}, err
	}
	if auth.service != service {
		return claim{}, fault.New(fault.InvalidSignature, "Credential should be scoped to correct service: '%s'.", service)
	}
	if err := checkCoverage(r.Header, &auth); err != nil {
		return claim{}, err
	}
	date := r.Header.Get("X-Amz-Date")
	if err := checkDate(date, auth.date, now); err != nil {
		return claim{}, err
	}
	bodyHash := hexSHA256(body)
	if sent := r.Header["X-Amz-Content-Sha256"]; len(sent) > 0 && sent[0] != string(bodyHash[:]) {
		return claim{}, fault.New(fault.InvalidSignature, "The header X-Amz-Content-Sha256 must be the SHA-256 of the body in lower-case hexadecimal, here %s; "+
			"unsigned and streamed payloads are not accepted.", bodyHash[:])
	}
	requestHash, err := hashRequest(r, path, query, auth.signedHeaders, bodyHash)
	if err != nil {
		return claim{}, err
	}
	return claim{
		credential: Credential{auth.accessKeyID, auth.date, auth.region, auth.service, secret.New(r.Header.Get("X-Amz-Security-Token"))},
		stringToSign: slices.Concat([]byte(algorithm+"\n"+date+"\n"+auth.date+"/"+auth.region+"/"+auth.service+"/"+terminator+"\n"),
			requestHash[:]),
		signature: auth.signature,
	}, nil
}

// hashRequest is the hash of the canonical request: method, path, query, each signed header, their names, the hash of the body.
func hashRequest(r *http.Request, path, query string, signedHeaders []string, bodyHash hexHash) (hexHash, error) {
	var stack [2048]byte // holds most requests; append moves a longer one to the heap
	b := append(stack[:0], r.Method...)
	b = append(b, '\n')
	b = appendPath(b, path)
	b = append(b, '\n')
	b = append(b, query...)
	b = append(b, '\n')
	for _, name := range signedHeaders {
		var err error
		if b, err = appendHeader(b, r, name); err != nil {
			return hexHash{}, err
		}
	}
	separator := byte('\n')
	for _, name := range signedHeaders {
		b = append(b, separator)
		b = append(b, name...)
		separator = ';'
	}
	b = append(b, '\n')
	b = append(b, bodyHash[:]...)
	return hexSHA256(b), nil
}

// readQuery reads a query as a door will, in which `+` and %20 are both a space, and writes it in canonical form: encoded once, sorted by name,
// then by value. What a door would silently drop is refused: a raw `;`, a broken percent-encoding.
func readQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	if strings.Count(raw, "&") >= maxParameters {
		return "", fault.New(fault.IncompleteSignature, "The query string has more than %d parameters.", maxParameters)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", fault.Wrap(fault.IncompleteSignature, err, "The query string has a ';' or a '%%' that is not percent-encoded.")
	}
	type parameter struct{ name, value string }
	var parameters []parameter
	for name, all := range values {
		if strings.EqualFold(name, "X-Amz-Signature") || strings.EqualFold(name, "X-Amz-Algorithm") {
			return "", fault.New(fault.IncompleteSignature, "Presigned requests are not accepted; sign with the Authorization header.")
		}
		for _, value := range all {
			parameters = append(parameters, parameter{encode(name), encode(value)})
		}
	}
	slices.SortFunc(parameters, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var canonical strings.Builder
	for i, p := range parameters {
		if i > 0 {
			canonical.WriteByte('&')
		}
		canonical.WriteString(p.name)
		canonical.WriteByte('=')
		canonical.WriteString(p.value)
	}
	return canonical.String(), nil
}

// encode leaves RFC 3986 section 2.3's unreserved characters; url.QueryEscape differs from that in the space only.
func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// appendPath encodes the path as it came on the wire once more. Dot segments and empty segments stay: what came is what was signed.
func appendPath(b []byte, path string) []byte {
	const upperHex = "0123456789ABCDEF"
	for i := range len(path) {
		if c := path[i]; c == '/' || classOf[c]&unreserved != 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// checkCoverage refuses a request in which something that Credence reads is not signed, or could be read otherwise than it is signed.
func checkCoverage(h http.Header, auth *authorization) error {
	if !auth.signs("host") {
		return fault.New(fault.InvalidSignature, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if len(h["X-Amz-Date"]) == 0 {
		return fault.New(fault.IncompleteSignature, "Authorization header requires existence of a 'X-Amz-Date' header.")
	}
	for name, values := range h {
		switch {
		case !isRead(name):
		case len(values) > 1: // "a" and "b" in two headers sign like "a,b" in one
			return fault.New(fault.IncompleteSignature, "The request has %d %s headers; send one.", len(values), name)
		case !auth.signs(name):
			return fault.New(fault.InvalidSignature, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

func isRead(header string) bool {
	return header == "X-Amz-Date" || header == "X-Amz-Security-Token" || header == "X-Amz-Content-Sha256" || strings.HasPrefix(header, "X-Credence-")
}

// checkDate holds X-Amz-Date against the day of the credential scope and against the clock. SDKs look for these texts and correct their clock.
func checkDate(date, scopeDate string, now time.Time) error {
	signed, err := time.Parse(timeLayout, date)
	if err != nil || len(date) != len(timeLayout) { // Parse takes fractions of a second that the layout lacks
		return fault.New(fault.IncompleteSignature, "Date must be in ISO-8601 'basic format' YYYYMMDDTHHMMSSZ. Got '%.64s'.", date)
	}
	if date[:len(scopeDate)] != scopeDate {
		return fault.New(fault.InvalidSignature, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			scopeDate, date[:len(scopeDate)], date)
	}
	now = now.UTC().Truncate(time.Second)
	earliest, latest := now.Add(-MaxSkew), now.Add(MaxSkew)
	switch {
	case signed.Before(earliest):
		return fault.New(fault.InvalidSignature, "Signature expired: %s is now earlier than %s (%s - %d min.)",
			date, earliest.Format(timeLayout), now.Format(timeLayout), MaxSkew/time.Minute)
	case signed.After(latest):
		return fault.New(fault.InvalidSignature, "Signature not yet current: %s is still later than %s (%s + %d min.)",
			date, latest.Format(timeLayout), now.Format(timeLayout), MaxSkew/time.Minute)
	}
	return nil
}

// appendHeader writes the canonical form of one signed header: its lower-case name, then its values, trimmed and with single spaces, joined by commas.
func appendHeader(b []byte, r *http.Request, name string) ([]byte, error) {
	b = append(b, name...)
	b = append(b, ':')
	switch values := headerValues(r, name); {
	case name == "host" && r.Host != "": // net/http keeps Host out of the header map
		b = appendValue(b, r.Host)
	case len(values) == 0:
		return nil, fault.New(fault.InvalidSignature, "'SignedHeaders' names '%.64s', but the request arrived without it; a proxy may have removed it.", name)
	default:
		for i, value := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, value)
		}
	}
	return append(b, '\n'), nil
}

// headerValues looks up a lower-case name in net/http's form (X-Amz-Date) without allocating that form.
func headerValues(r *http.Request, name string) []string {
	if name == "transfer-encoding" { // net/http keeps it out of the header map, too
		return r.TransferEncoding
	}
	var stack [64]byte
	key := append(stack[:0], name...)
	for i, c := range key {
		if classOf[c]&lower != 0 && (i == 0 || key[i-1] == '-') {
			key[i] = c - 'a' + 'A'
		}
	}
	return r.Header[string(key)]
}

func appendValue(b []byte, value string) []byte {
	value = strings.Trim(value, " \t")
	if !strings.Contains(value, "  ") {
		return append(b, value...)
	}
	for i := range len(value) {
		if value[i] != ' ' || value[i-1] != ' ' { // the first byte is no space
			b = append(b, value[i])
		}
	}
	return b
}

type hexHash [2 * sha256.Size]byte

func hexSHA256(b []byte) (text hexHash) {
	sum := sha256.Sum256(b)
	hex.Encode(text[:], sum[:])
	return text
}
