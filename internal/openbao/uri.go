package openbao

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

var (
	hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	segment  = regexp.MustCompile(`^[A-Za-z0-9_@:=~-][A-Za-z0-9_@:=~.-]*$`)
)

// defaultPort is the one that OpenBao and Vault listen on.
const defaultPort = "8200"

// ParseURI takes openbao://HOST[:PORT]/PATH apart: the address for FromEnv, https://HOST:PORT with the host in lower case and 8200 for a missing port, and
// the path. ?tls=off, which is for a host that is this machine only, makes it http. Nothing in it may be percent-encoded.
func ParseURI(uri string) (address, path string, err error) {
	bad := func(what string) (string, string, error) {
		return "", "", fmt.Errorf("%.200q: %s; the form is openbao://HOST[:PORT]/PATH", uri, what)
	}
	if strings.ContainsAny(uri, "%#\\ ") {
		return bad("it has a space, or one of % # \\")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "openbao" || u.Opaque != "" {
		return bad("not such a URI")
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		host = ip.Unmap().String()
	} else if !hostname.MatchString(host) {
		return bad("the host is not a host name or an IP address")
	}
	if port == "" {
		port = defaultPort
	}
	if u.User != nil {
		return bad("it must not hold a user")
	}
	for s := range strings.SplitSeq(strings.TrimPrefix(u.Path, "/"), "/") {
		if !segment.MatchString(s) {
			return bad("a segment of its path is empty, begins with a dot, or has other characters than letters, digits and _@:=~.-")
		}
	}
	scheme := "https"
	switch u.RawQuery {
	case "":
	case "tls=off":
		if !loopback(host) {
			return bad("tls=off is for this machine only")
		}
		scheme = "http"
	default:
		return bad("the only option is tls=off")
	}
	return scheme + "://" + net.JoinHostPort(host, port), strings.TrimPrefix(u.Path, "/"), nil
}
