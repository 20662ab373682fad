package quota

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Each address has its own bound, an IPv6 host has one for all its addresses, and a flood from many takes bounded memory.
func TestAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newLimits(t, false).Addresses("Get")
		burst := func(from string) (n int) {
			for a.Take(netip.MustParseAddr(from)) == 0 {
				n++
			}
			return n
		}
		if n := burst("192.0.2.1"); n != 20 {
			t.Errorf("%d at once", n)
		}
		if n := burst("192.0.2.2"); n != 20 {
			t.Errorf("%d from another", n)
		}
		if n, m := burst("2001:db8::1"), burst("2001:db8::2"); n != 20 || m != 0 {
			t.Errorf("%d and %d from one network", n, m)
		}
		wait := a.Take(netip.MustParseAddr("192.0.2.1"))
		if wait != 50*time.Millisecond {
			t.Errorf("wait %s", wait)
		}
		time.Sleep(wait)
		if n := burst("192.0.2.1"); n != 1 {
			t.Errorf("%d after the wait", n)
		}
		var ip [4]byte
		for i := range 3 * maxAddresses {
			ip[1], ip[2], ip[3] = byte(i>>16), byte(i>>8), byte(i)
			a.Take(netip.AddrFrom4(ip))
		}
		if n := len(a.now) + len(a.old); n > 2*maxAddresses {
			t.Errorf("%d are kept", n)
		}
	})
	if a := newLimits(t, true).Addresses("Get"); a.Take(netip.MustParseAddr("192.0.2.1")) != 0 {
		t.Error("no bound has to be waited for")
	}
}
