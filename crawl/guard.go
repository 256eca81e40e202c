package crawl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// AddressError is a connection refused because of where it would have gone.
type AddressError struct{ Address string }

// Error implements error.
func (e *AddressError) Error() string {
	return "crawl: " + e.Address + " is not a public address on an allowed port"
}

// special lists IPv4 and IPv6 blocks that are not public unicast though their
// neighbours are (IANA special-purpose address registries, RFC 6890).
var special = func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

var (
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
	nat64          = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: an IPv4 address in its last 32 bits
)

// PublicAddress reports whether ip is a public unicast address. IPv4 addresses
// inside IPv6 ones (mapped, NAT64) are judged as what they lead to.
func PublicAddress(ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	if !ip.IsValid() || ip.Is6() && !globalUnicast6.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// guard decides about each connection by the address the socket is about to
// connect to, so that no name can resolve to one thing for a check and another
// for the connection (DNS rebinding).
type guard struct {
	ports    []int
	loopback bool
}

func (g guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", &AddressError{Address: address}, err)
	}
	ip := ap.Addr().Unmap()
	if g.loopback && ip.IsLoopback() {
		return nil
	}
	if !PublicAddress(ip) || !slices.Contains(g.ports, int(ap.Port())) {
		return &AddressError{Address: address}
	}
	return nil
}

func (g guard) dialer(timeout time.Duration, hosts map[string]string) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, Control: g.control}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if to, ok := hosts[address]; ok {
			address = to
		}
		return d.DialContext(ctx, network, address)
	}
}

func isBlocked(err error) bool {
	var a *AddressError
	return errors.As(err, &a)
}
