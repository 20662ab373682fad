package egress

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// CheckURL says whether a URL may be registered: what Do would refuse for its form or its literal address is refused here, before
// anything depends on it. What its host name resolves to is judged at each dial, not here. The error is one sentence that fits after
// the name of a member, contains ErrForbidden and never repeats the whole URL, which may hold a password.
func (c *Client) CheckURL(raw string) error {
	// Parsers differ about blanks, backslashes and letters beyond ASCII; a URL that has none means the same to a browser and to us.
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return forbidden("must be printable ASCII without spaces and backslashes (an international host name in its xn-- form)")
	}
	if strings.Contains(raw, "#") {
		return forbidden("must not have a fragment (#...)")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return forbidden("is not a valid URL")
	}
	return c.policy.checkURL(u)
}

func (p *policy) checkURL(u *url.URL) error {
	if u.Scheme != "https" && !(u.Scheme == "http" && p.dev) {
		return forbidden("must be an https URL, not %q", u.Scheme)
	}
	if u.User != nil {
		return forbidden("must not have a user name or password before the host")
	}
	host := normalName(u.Hostname())
	if host == "" {
		return forbidden("must have a host")
	}
	port, ok := portOf(u)
	if !ok {
		return forbidden("must have a port from 1 to 65535, not %q", u.Port())
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return forbidden("must not have a zone in its address (%s)", host)
		}
		return p.checkAddr(host, netip.AddrPortFrom(addr, port))
	}
	if !validName(host) {
		return forbidden("must have a valid host name, not %q", host)
	}
	if endsInNumber(host) {
		return forbidden("must write an IPv4 address as four decimal numbers, not %q", host)
	}
	// RFC 6761 section 6.3: these names are loopback, whatever a resolver says. With Dev or the operator's word the dial decides.
	if (host == "localhost" || strings.HasSuffix(host, ".localhost")) && !p.dev && !slices.Contains(p.hosts, host) {
		return forbidden("must not point to this machine (%s)", host)
	}
	return nil
}

// portOf is the port that will be dialled; false when it is out of range. url.Parse has seen to it that it is a number.
func portOf(u *url.URL) (uint16, bool) {
	switch {
	case u.Port() != "":
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		return uint16(n), err == nil && n > 0
	case u.Scheme == "http":
		return 80, true
	}
	return 443, true
}

// normalName makes names comparable: DNS ignores case, and one dot at the end only says that the name is absolute.
func normalName(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// validName is the syntax of a host name in RFC 1123 section 2.1, with the underscore that occurs in practice.
func validName(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// endsInNumber is the WHATWG URL Standard's "ends in a number" check (section 3.5) on a lower-case host: browsers and some resolvers
// read such a host as an IPv4 address in decimal, hexadecimal or octal.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if digits, isHex := strings.CutPrefix(last, "0x"); isHex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
