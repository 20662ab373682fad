package control

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"credence/internal/fault"
)

// Names that the return URL will be given (broker); one that the application uses itself would be read twice.
var reservedParameters = []string{"session_id", "state", "error", "error_description"}

// checkReturnURLs refuses return URLs that a browser should not be sent to with a session id. The message does not repeat the URL, which may hold a password.
func checkReturnURLs(urls []string) error {
	for i, u := range urls {
		if err := checkReturnURL(u); err != nil {
			return fault.Invalid(fmt.Sprintf("allowedResourceOauth2ReturnUrls[%d]", i), "%v", err)
		}
	}
	return nil
}

// checkReturnURL allows https, http on this machine, and private-use schemes with a dot (RFC 8252 sections 7.1 and 7.3). Anything that a
// browser would run, read or guess at is refused: the URL is where a person's session goes next.
func checkReturnURL(raw string) error {
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' || r > 0x7e }) {
		return errors.New("has a space, backslash, control character or one outside ASCII: write it percent-encoded")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("is not a URL")
	}
	if u.Scheme != "" && raw[:len(u.Scheme)] != u.Scheme {
		return errors.New("must have its scheme in lower case")
	}
	if u.User != nil || u.Fragment != "" || strings.Contains(raw, "#") {
		return errors.New("must not have a user or a fragment")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("has a malformed query")
	}
	for name := range query {
		if slices.Contains(reservedParameters, name) {
			return fmt.Errorf("must not have the parameter %q: it is added when the browser comes back", name)
		}
	}
	switch {
	case u.Scheme == "https":
		if u.Hostname() == "" || u.Opaque != "" {
			return errors.New("has no host")
		}
	case u.Scheme == "http":
		if h := strings.ToLower(u.Hostname()); h != "localhost" && h != "127.0.0.1" && h != "::1" {
			return fmt.Errorf("must be https; http is for this machine only (localhost, 127.0.0.1, [::1]), not %q", h)
		}
	case !strings.Contains(u.Scheme, "."):
		return fmt.Errorf("must be https, http on this machine, or an application's own scheme with a dot, such as com.example.app:/callback, not %q", u.Scheme)
	}
	return nil
}
