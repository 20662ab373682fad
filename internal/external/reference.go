package external

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a reference names.
type kind string

const (
	secretKind kind = "secret"
	keyKind    kind = "key"
)

// The schemes. vault:// is another name of openbao://: both speak the same protocol.
const (
	fileScheme    = "file"
	awsScheme     = "aws-secretsmanager"
	gcpScheme     = "gcp-secretmanager"
	azureScheme   = "azurekeyvault"
	openbaoScheme = "openbao"
	vaultScheme   = "vault"
	awsKeyScheme  = "awskms"
	gcpKeyScheme  = "gcpkms"
)

// reference is a URI taken apart, in the one form that is compared. One that is below names whatever begins with it.
type reference struct {
	scheme string
	kind   kind
	// authority is the server in lower case, or an ARN up to what it names; "" where a scheme has neither.
	authority string
	path      []string // decoded; compared segment by segment, in their case
	query     string   // how to reach the backend; compared as it is
	below     bool
}

// maxReference is the API's limit of a secretId.
const maxReference = 2048

// parse reads a URI, of a secret, a key or a prefix of such.
func parse(text string) (reference, error) {
	if err := readable(text); err != nil {
		return reference{}, err
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return reference{}, errors.New("must be a URI, such as file:///run/secrets/agents/NAME")
	}
	r := reference{scheme: strings.ToLower(scheme)}
	if r.scheme == vaultScheme {
		r.scheme = openbaoScheme
	}
	if rest, r.query, ok = strings.Cut(rest, "?"); ok && r.query == "" {
		return reference{}, errors.New("must not end with an empty query")
	}
	var err error
	switch r.scheme {
	case fileScheme, awsKeyScheme: // nothing between the second and the third slash
		rest, ok = strings.CutPrefix(rest, "/")
		if !ok {
			return reference{}, fmt.Errorf("must begin with %s:///", r.scheme)
		}
		if r.scheme == awsKeyScheme {
			r.authority, rest, err = cutARN(rest, "kms", "key/")
		}
	case awsScheme:
		r.authority, rest, err = cutARN(rest, "secretsmanager", "secret:")
	case gcpScheme, gcpKeyScheme:
	case azureScheme, openbaoScheme:
		var host string
		if host, rest, ok = strings.Cut(rest, "/"); !ok {
			return reference{}, errors.New("must have a path after its host")
		}
		r.authority, err = canonicalHost(host, map[string]string{azureScheme: ":443", openbaoScheme: ":8200"}[r.scheme])
	default:
		return reference{}, fmt.Errorf("%q is none of file, aws-secretsmanager, gcp-secretmanager, azurekeyvault, openbao, vault, awskms, gcpkms", scheme)
	}
	if err != nil {
		return reference{}, err
	}
	if r.path, r.below, err = segments(rest); err != nil {
		return reference{}, err
	}
	r.kind = r.kindOf()
	if r.query != "" && r.scheme != openbaoScheme && r.kind != keyKind {
		return reference{}, fmt.Errorf("%s takes no query", r.scheme)
	}
	return r, nil
}

// readable refuses what people and programs read differently.
func readable(text string) error {
	switch {
	case len(text) > maxReference:
		return fmt.Errorf("is longer than %d bytes", maxReference)
	case !utf8.ValidString(text):
		return errors.New("is not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("holds a character that cannot be printed")
	case strings.ContainsAny(text, `\#`):
		return errors.New(`must not hold \ or #`)
	}
	return nil
}

// segments takes a path apart and decodes each segment, once.
func segments(path string) (out []string, below bool, err error) {
	if path == "" {
		return nil, true, nil // what a prefix like arn:…:secret: leaves
	}
	path, below = strings.CutSuffix(path, "/")
	for s := range strings.SplitSeq(path, "/") {
		if s, err = url.PathUnescape(s); err != nil {
			return nil, false, errors.New("has a % that is no escape")
		}
		switch {
		case s == "":
			return nil, false, errors.New("has an empty segment")
		case s == ".", s == "..":
			return nil, false, fmt.Errorf("has the segment %q", s)
		case strings.ContainsAny(s, "%/"):
			return nil, false, errors.New("has an escape that leads to another, or to a slash")
		}
		if err := readable(s); err != nil {
			return nil, false, err
		}
		out = append(out, s)
	}
	return out, below, nil
}

// kindOf tells keys from secrets. Where one server has both, the path does: azurekeyvault://HOST/keys/, openbao://HOST/MOUNT/keys/.
func (r reference) kindOf() kind {
	at := map[string]int{azureScheme: 0, openbaoScheme: 1}
	i, mixed := at[r.scheme]
	if r.scheme == awsKeyScheme || r.scheme == gcpKeyScheme || mixed && len(r.path) > i && r.path[i] == "keys" {
		return keyKind
	}
	return secretKind
}

// An ARN's fields before what it names. Region and account decide where a request goes, so nothing but these characters can stand there.
var arnForm = regexp.MustCompile(`^arn:aws(?:-[a-z]{1,8}){0,3}:([a-z]{1,16}):([a-z]{2,8}(?:-[a-z0-9]{1,16}){1,4}):[0-9]{12}:$`)

// cutARN splits an ARN of a service after the type of what it names.
func cutARN(text, service, resourceType string) (authority, rest string, err error) {
	before, rest, ok := strings.Cut(text, resourceType)
	m := arnForm.FindStringSubmatch(before)
	if !ok || m == nil || m[1] != service {
		return "", "", fmt.Errorf("must go on with arn:aws:%s:REGION:ACCOUNT:%s", service, resourceType)
	}
	if !arnRest.MatchString(rest) {
		return "", "", errors.New("has a character that no ARN has")
	}
	return before + resourceType[:len(resourceType)-1], rest, nil
}

var arnRest = regexp.MustCompile(`^[a-zA-Z0-9_/+=.@!-]*$`)

// region is that of the ARN which is the authority.
func (r reference) region() string { return strings.Split(r.authority, ":")[3] }

// arn is the reference as AWS writes it.
func (r reference) arn() string { return r.authority + delimiter[r.scheme] + strings.Join(r.path, "/") }

// What stands between the authority and the path.
var delimiter = map[string]string{awsScheme: ":", awsKeyScheme: "/", azureScheme: "/", openbaoScheme: "/"}

var hostForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// canonicalHost is host[:port] in lower case, without the port that is meant anyway; an IPv6 address in its shortest form.
func canonicalHost(raw, defaultPort string) (string, error) {
	problem := errors.New("must have HOST or HOST:PORT after ://, without user or escapes")
	host, port := strings.ToLower(raw), ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i:]
		if n, err := strconv.ParseUint(port[1:], 10, 16); err != nil || n == 0 || ":"+strconv.FormatUint(n, 10) != port {
			return "", problem
		}
	}
	if port == defaultPort {
		port = ""
	}
	if strings.HasPrefix(host, "[") {
		a, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" || host != "["+strings.Trim(host, "[]")+"]" {
			return "", problem
		}
		return "[" + a.String() + "]" + port, nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if a, err := netip.ParseAddr(host); (err != nil || !a.Is4()) && (strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")) {
		return "", problem // 127.1, 0x7f.1: resolvers make addresses of them
	}
	if len(host) > 253 || !hostForm.MatchString(host) {
		return "", problem
	}
	return host + port, nil
}

// String is the one spelling of the reference.
func (r reference) String() string {
	var b strings.Builder
	b.WriteString(r.scheme + "://")
	if r.scheme == fileScheme || r.scheme == awsKeyScheme {
		b.WriteByte('/')
	}
	b.WriteString(r.authority + delimiter[r.scheme])
	for i, s := range r.path {
		if i > 0 {
			b.WriteByte('/')
		}
		if !strings.HasPrefix(r.authority, "arn:") { // of whose characters none needs it
			s = url.PathEscape(s)
		}
		b.WriteString(s)
	}
	if r.below && len(r.path) > 0 {
		b.WriteByte('/')
	}
	if r.query != "" {
		b.WriteString("?" + r.query)
	}
	return b.String()
}

// complete refuses a reference that cannot name one secret or key.
func (r reference) complete() error {
	shape := func(forms ...string) error {
		for _, form := range forms {
			if !r.below && slices.EqualFunc(strings.Split(form, "/"), r.path, func(want, have string) bool { return want == strings.ToUpper(want) || want == have }) {
				return nil
			}
		}
		return fmt.Errorf("must have the form %s", strings.Join(forms, " or "))
	}
	switch {
	case r.scheme == gcpScheme:
		return shape("projects/PROJECT/secrets/NAME", "projects/PROJECT/secrets/NAME/versions/VERSION")
	case r.scheme == gcpKeyScheme:
		const key = "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY"
		return shape(key, key+"/cryptoKeyVersions/VERSION")
	case r.scheme == awsKeyScheme:
		return shape("ID")
	case r.scheme == azureScheme && r.kind == keyKind:
		return shape("keys/NAME", "keys/NAME/VERSION")
	case r.scheme == azureScheme:
		return shape("secrets/NAME", "secrets/NAME/VERSION")
	case r.scheme == openbaoScheme && r.kind == keyKind:
		return shape("MOUNT/keys/NAME")
	case r.scheme == openbaoScheme && len(r.path) < 2:
		return errors.New("must name a mount and a path in it")
	case r.below || len(r.path) == 0:
		return errors.New("must not end with a delimiter: that is a prefix, not a secret")
	}
	return nil
}
