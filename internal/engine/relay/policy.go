package relay

import (
	"context"
	"encoding/binary"
	"net/netip"
)

// route is what the host does with packets to an address.
type route int

const (
	_         route = iota
	routeOut        // it sends them to another host
	routeOwn        // it takes them itself
	routeMany       // it sends them to several hosts
	routeNone       // it has nowhere to send them
)

// refusal is why an address is not dialled, as a person is told. Empty: it is.
type refusal string

// policy decides about addresses. It is safe for concurrent use.
type policy struct {
	allow *allowed
	// closed closes private networks.
	closed   bool
	route    func(netip.Addr) (route, error)
	specials []special
	privates []netip.Prefix
}

func newPolicy(allow *allowed, closed bool, route func(netip.Addr) (route, error)) *policy {
	return &policy{allow: allow, closed: closed, route: route, specials: specials(), privates: privates()}
}

// check says why the relay does not connect to a. It looks at the address alone: a name that resolves to a forbidden one is refused like it.
func (p *policy) check(ctx context.Context, to netip.AddrPort) (refusal, error) {
	a := to.Addr().Unmap()
	why := p.forbidden(a)
	if why == "" {
		own, err := p.onHost(a)
		if err != nil {
			return "", err
		}
		why = own
	}
	if why == "" || p.allow.has(ctx, netip.AddrPortFrom(a, to.Port())) {
		return "", nil
	}
	return why, nil
}

// forbidden looks at the address and at what may be hidden in it.
func (p *policy) forbidden(a netip.Addr) refusal {
	if why := p.special(a); why != "" {
		return why
	}
	for _, inner := range disguised(a) {
		if why := p.special(inner); why != "" {
			return "it stands for " + refusal(inner.String()) + ": " + why
		}
	}
	return ""
}

// onHost asks the routing, for the address and for what may be hidden in it. Being private is no reason there.
func (p *policy) onHost(a netip.Addr) (refusal, error) {
	for _, one := range append(disguised(a), a) {
		r, err := p.route(one)
		switch {
		case err != nil:
			return "", err
		case r == routeOwn:
			return "it is this machine's own address", nil
		case r == routeMany:
			return "it is a broadcast or multicast address", nil
		}
	}
	return "", nil
}

// special finds addresses that mean something else than another host, whatever the host's routing says.
func (p *policy) special(a netip.Addr) refusal {
	for _, s := range p.specials {
		if s.prefix.Contains(a) {
			return s.why
		}
	}
	if !p.closed {
		return ""
	}
	for _, prefix := range p.privates {
		if prefix.Contains(a) {
			return "private networks are closed"
		}
	}
	return ""
}

type special struct {
	prefix netip.Prefix
	why    refusal
}

const (
	whyLoopback  refusal = "it is this machine's loopback"
	whyMetadata  refusal = "it is a metadata address"
	whyLinkLocal refusal = "it is a link-local address"
	whyNoHost    refusal = "it is not the address of a host"
	whySandbox   refusal = "it is the sandbox's own network"
)

func v4(a, b, c, d byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
}

func v6(bits int, words ...uint16) netip.Prefix {
	var b [16]byte
	for i, w := range words {
		binary.BigEndian.PutUint16(b[2*i:], w)
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), bits)
}

// specials are the special-purpose addresses of IANA's registries that no host has, or every host; and those at which clouds tell a machine its secrets,
// where they are not link-local.
func specials() []special {
	return []special{
		{v4(127, 0, 0, 0, 8), whyLoopback},
		{v4(169, 254, 169, 254, 32), whyMetadata},
		{v4(169, 254, 170, 2, 32), whyMetadata},
		{v4(169, 254, 0, 0, 16), whyLinkLocal},
		{v4(0, 0, 0, 0, 8), whyNoHost},
		{v4(224, 0, 0, 0, 4), whyNoHost},
		{v4(240, 0, 0, 0, 4), whyNoHost},
		{v4(198, 18, 0, 0, 30), whySandbox},
		{v4(100, 100, 100, 200, 32), whyMetadata}, // Alibaba's
		{v4(168, 63, 129, 16, 32), whyMetadata},   // Azure's
		{v4(192, 0, 0, 192, 32), whyMetadata},     // Oracle's
		{netip.PrefixFrom(netip.IPv6Loopback(), 128), whyLoopback},
		{netip.PrefixFrom(netip.IPv6Unspecified(), 128), whyNoHost},
		{v6(10, 0xfe80), whyLinkLocal},
		{v6(10, 0xfec0), whyLinkLocal}, // site-local, as it was once
		{v6(8, 0xff00), whyNoHost},
		{v6(32, 0xfd00, 0xec2), whyMetadata},
		{v6(128, 0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), whyMetadata}, // Google's
		{v6(126, 0xfd00, 0xc10f), whySandbox},
	}
}

func privates() []netip.Prefix {
	return []netip.Prefix{v4(10, 0, 0, 0, 8), v4(172, 16, 0, 0, 12), v4(192, 168, 0, 0, 16), v4(100, 64, 0, 0, 10), v6(7, 0xfc00)}
}

// disguised returns the IPv4 addresses that an IPv6 address may be another way to write: a translator or tunnel of the host or its network would take the
// packet there. The kinds are those of RFC 4291, 2765, 3056, 6052, 8215, 4380 and 5214.
func disguised(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case v6(96).Contains(a), v6(96, 0, 0, 0, 0, 0xffff).Contains(a), v6(96, 0x64, 0xff9b).Contains(a):
		return []netip.Addr{at(12)}
	case v6(48, 0x64, 0xff9b, 1).Contains(a):
		// Which length of prefix the network uses is not known: byte 8 is skipped in all but the last.
		return []netip.Addr{
			netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}), netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}), at(9), at(12),
		}
	case v6(16, 0x2002).Contains(a):
		return []netip.Addr{at(2)}
	case v6(32, 0x2001).Contains(a):
		return []netip.Addr{at(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case binary.BigEndian.Uint32(b[8:])&^0x02000000 == 0x00005efe:
		return []netip.Addr{at(12)}
	}
	return nil
}
