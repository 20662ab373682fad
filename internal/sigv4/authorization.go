package sigv4

import (
	"slices"
	"strings"

	"credence/internal/fault"
)

const (
	maxAuthorization = 8 << 10 // bytes
	maxSignedHeaders = 64
)

// authorization is an Authorization header, read but not verified.
type authorization struct {
	accessKeyID           string
	date, region, service string   // the credential scope
	signedHeaders         []string // lower case, sorted, without duplicates
	signature             string   // 64 lower-case hexadecimal digits
}

// parseAuthorization reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`. The three may come in any order, with or without spaces
// after the commas. Every error is fault.IncompleteSignature and repeats nothing of the header: it may hold a token of another scheme.
func parseAuthorization(header string) (authorization, error) {
	if len(header) > maxAuthorization {
		return authorization{}, fault.New(fault.IncompleteSignature, "Authorization header is longer than %d bytes.", maxAuthorization)
	}
	parameters, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return authorization{}, fault.New(fault.IncompleteSignature, "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'.")
	}
	var credential, signedHeaders, signature string
	for parameter := range strings.SplitSeq(parameters, ",") {
		name, value, _ := strings.Cut(strings.Trim(parameter, " "), "=")
		var seen *string
		switch name {
		case "Credential":
			seen = &credential
		case "SignedHeaders":
			seen = &signedHeaders
		case "Signature":
			seen = &signature
		default:
			return authorization{}, fault.New(fault.IncompleteSignature,
				"Authorization header allows the parameters 'Credential', 'SignedHeaders' and 'Signature' only.")
		}
		if *seen != "" {
			return authorization{}, fault.New(fault.IncompleteSignature, "Authorization header has two '%s' parameters.", name)
		}
		*seen = value
	}
	switch {
	case credential == "":
		return authorization{}, fault.New(fault.IncompleteSignature, "Authorization header requires 'Credential' parameter.")
	case signedHeaders == "":
		return authorization{}, fault.New(fault.IncompleteSignature, "Authorization header requires 'SignedHeaders' parameter.")
	case signature == "":
		return authorization{}, fault.New(fault.IncompleteSignature, "Authorization header requires 'Signature' parameter.")
	}

	var a authorization
	if err := a.readCredential(credential); err != nil {
		return authorization{}, err
	}
	if err := a.readSignedHeaders(signedHeaders); err != nil {
		return authorization{}, err
	}
	if !consistsOf(signature, lowerHex, 64, 64) {
		return authorization{}, fault.New(fault.IncompleteSignature, "'Signature' requires 64 lower-case hexadecimal digits.")
	}
	a.signature = signature
	return a, nil
}

func (a *authorization) readCredential(credential string) error {
	scope := strings.Split(credential, "/")
	if len(scope) != 5 {
		return fault.New(fault.IncompleteSignature, "'Credential' requires the form access-key-id/YYYYMMDD/region/service/aws4_request.")
	}
	a.accessKeyID, a.date, a.region, a.service = scope[0], scope[1], scope[2], scope[3]
	switch {
	case !consistsOf(a.accessKeyID, lower|upper|digit|underscore, 16, 128):
		return fault.New(fault.IncompleteSignature, "'Credential' requires an access key id of 16 to 128 letters, digits and '_'.")
	case !consistsOf(a.date, digit, 8, 8):
		return fault.New(fault.IncompleteSignature, "'Credential' requires a date in the form YYYYMMDD.")
	case !consistsOf(a.region, lower|digit|dash, 1, 64):
		return fault.New(fault.IncompleteSignature, "'Credential' requires a region of 1 to 64 lower-case letters, digits and '-'.")
	case scope[4] != terminator:
		return fault.New(fault.IncompleteSignature, "Credential should be scoped with a valid terminator: 'aws4_request'.")
	}
	return nil
}

func (a *authorization) readSignedHeaders(list string) error {
	if strings.Count(list, ";") >= maxSignedHeaders {
		return fault.New(fault.IncompleteSignature, "'SignedHeaders' has more than %d names.", maxSignedHeaders)
	}
	a.signedHeaders = strings.Split(list, ";")
	previous := ""
	for _, name := range a.signedHeaders {
		if !consistsOf(name, lowerToken, 1, maxAuthorization) || name <= previous {
			return fault.New(fault.IncompleteSignature, "'SignedHeaders' requires header names in lower case, sorted, each once, separated by ';'.")
		}
		previous = name
	}
	return nil
}

// signs reports whether the signature covers a header, whatever the case of its name.
func (a *authorization) signs(header string) bool {
	return slices.ContainsFunc(a.signedHeaders, func(name string) bool { return strings.EqualFold(name, header) })
}

// class is a set of kinds of characters.
type class byte

const (
	digit class = 1 << iota
	lower
	upper
	dash
	underscore
	otherUnreserved // RFC 3986 section 2.3: unreserved, but neither letter nor digit nor - nor _
	otherToken      // RFC 9110 section 5.6.2: tchar, but none of the above
	hexLetter       // in lower case

	unreserved = lower | upper | digit | dash | underscore | otherUnreserved
	lowerToken = lower | digit | dash | underscore | otherUnreserved | otherToken
	lowerHex   = digit | hexLetter
)

// classOf tells what a byte is; no class holds a byte that is not ASCII.
var classOf = func() (of [256]class) {
	for characters, c := range map[string]class{
		"0123456789": digit, "abcdefghijklmnopqrstuvwxyz": lower, "ABCDEFGHIJKLMNOPQRSTUVWXYZ": upper, "-": dash, "_": underscore,
		".~": otherUnreserved, "!#$%&'*+^`|": otherToken, "abcdef": hexLetter,
	} {
		for i := range len(characters) {
			of[characters[i]] |= c
		}
	}
	return of
}()

func consistsOf(s string, allowed class, minLen, maxLen int) bool {
	if len(s) < minLen || len(s) > maxLen {
		return false
	}
	for i := range len(s) {
		if classOf[s[i]]&allowed == 0 {
			return false
		}
	}
	return true
}
