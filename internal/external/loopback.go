package external

import "net/netip"

// isLoopback reports whether a host is this machine: only there may a secret travel without TLS.
func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
