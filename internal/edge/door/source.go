package door

import (
	"crypto/x509"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Secure reports whether a request came over TLS: to us, or to a trusted proxy that says so.
func Secure(r *http.Request, trusted []netip.Prefix) bool {
	if r.TLS != nil || len(trusted) == 0 {
		return r.TLS != nil
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) }) {
		return false
	}
	protocols := strings.Split(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")
	return strings.EqualFold(strings.TrimSpace(protocols[len(protocols)-1]), "https")
}

// SourceIP is where a request comes from: the peer, or, when that is a trusted proxy, the rightmost hop of X-Forwarded-For that is none. What stands
// further left was written by whoever sent the request.
func SourceIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	source := peer.Addr().Unmap()
	if len(trusted) == 0 {
		return source
	}
	isTrusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !isTrusted(source) {
			break
		}
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		source = a.Unmap()
	}
	return source
}

// Certificates are those that the client of a TLS connection presented, its own first; nobody's when the connection is a trusted proxy's, whose certificate says nothing of
// whom it passes on. No header stands for them.
func Certificates(r *http.Request, trusted []netip.Prefix) []*x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) }) {
		return nil
	}
	return r.TLS.PeerCertificates
}
