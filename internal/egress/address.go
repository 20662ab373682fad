package egress

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"code.dny.dev/ssrf"
)

// policy decides about URLs and addresses. The order of its rules for an address: closed to everybody, our own listeners, public,
// opened by Dev, opened by the operator.
type policy struct {
	dev      bool
	hosts    []string
	prefixes []netip.Prefix
	own      atomic.Pointer[[]netip.AddrPort]
}

// closed is never reached, whatever Dev and AllowPrivate say: cloud metadata services hand credentials to whoever asks.
var closed = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),              // "this host": another name of loopback
	netip.MustParsePrefix("::/128"),                 //
	netip.MustParsePrefix("169.254.0.0/16"),         // link-local: metadata of AWS, Azure, Google, Oracle, OpenStack, DigitalOcean and more
	netip.MustParsePrefix("fe80::/10"),              //
	netip.MustParsePrefix("fd00:ec2::/32"),          // AWS metadata and pod identity
	netip.MustParsePrefix("fd20:ce::254/128"),       // Google metadata
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle metadata
	netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway metadata
	netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba metadata
	netip.MustParsePrefix("168.63.129.16/32"),       // Azure's host agent, on an address that counts as public
	netip.MustParsePrefix("64:ff9b:1::/48"),         // RFC 8215, RFC 4380, RFC 3056: translation and tunnels
	netip.MustParsePrefix("2001::/32"),              // that hide an IPv4 address which no other rule would see
	netip.MustParsePrefix("2002::/16"),              //
	netip.MustParsePrefix("255.255.255.255/32"),     // broadcast and multicast: no TCP there
	netip.MustParsePrefix("224.0.0.0/4"),            //
	netip.MustParsePrefix("ff00::/8"),               //
}

// public knows the IANA special-purpose registries.
var public = ssrf.New(ssrf.WithAnyPort())

func newPolicy(dev bool, allowPrivate []string) (*policy, error) {
	p := &policy{dev: dev}
	for _, entry := range allowPrivate {
		prefix, err := netip.ParsePrefix(entry)
		if addr, addrErr := netip.ParseAddr(entry); addrErr == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err == nil && prefix.Addr().Is4In6():
			return nil, fmt.Errorf("allowed private host %q: write the range in its IPv4 form", entry)
		case err == nil && slices.ContainsFunc(closed, func(c netip.Prefix) bool { return c.Bits() <= prefix.Bits() && c.Contains(prefix.Addr()) }):
			return nil, fmt.Errorf("allowed private host %q: link-local, metadata, tunnel and multicast addresses stay closed", entry)
		case err == nil:
			p.prefixes = append(p.prefixes, prefix)
		case entry == strings.ToLower(entry) && validName(entry) && !endsInNumber(entry):
			p.hosts = append(p.hosts, entry)
		default:
			return nil, fmt.Errorf("allowed private host %q: want an IP address, a CIDR such as 10.0.0.0/8 or an exact lower-case host name", entry)
		}
	}
	p.setOwn(nil)
	return p, nil
}

func (p *policy) setOwn(addrs []netip.AddrPort) {
	own := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		own[i] = netip.AddrPortFrom(canonical(a.Addr()), a.Port())
	}
	p.own.Store(&own)
}

// checkAddr judges the address that is about to be dialled for a host name (or literal address), as the URL has it.
func (p *policy) checkAddr(host string, target netip.AddrPort) error {
	addr := canonical(target.Addr())
	switch {
	case slices.ContainsFunc(closed, contains(addr)):
		return forbidden("%s is a link-local, metadata, tunnel or multicast address, which is never reached", addr)
	case p.isOwn(addr, target.Port()):
		return forbidden("%s is where this server itself listens", netip.AddrPortFrom(addr, target.Port()))
	case public.SafeAddr(addr) == nil,
		p.dev && (addr.IsLoopback() || addr.IsPrivate()),
		slices.Contains(p.hosts, normalName(host)),
		slices.ContainsFunc(p.prefixes, contains(addr)):
		return nil
	}
	return forbidden("%s is not a public address (the operator can open it with --allow-private-hosts)", addr)
}

func contains(addr netip.Addr) func(netip.Prefix) bool {
	return func(p netip.Prefix) bool { return p.Contains(addr) }
}

// canonical is the address that a packet ends at: the IPv4 address in a mapped one or behind a NAT64 gateway (RFC 6052), and no zone,
// because a netip.Prefix contains no address with a zone.
func canonical(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if ssrf.IPv6NAT64Prefix.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

func (p *policy) isOwn(addr netip.Addr, port uint16) bool {
	return slices.ContainsFunc(*p.own.Load(), func(own netip.AddrPort) bool {
		return own.Port() == port && (own.Addr() == addr || own.Addr().IsUnspecified() && isLocal(addr))
	})
}

// isLocal reports whether this machine has the address; it is asked at each dial because addresses come and go.
func isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	local, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(local, func(a net.Addr) bool {
		ipNet, ok := a.(*net.IPNet)
		if !ok {
			return false
		}
		ip, ok := netip.AddrFromSlice(ipNet.IP)
		return ok && ip.Unmap() == addr
	})
}
