package relay

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"croft/internal/engine/sandbox"
)

const (
	protoTCP = uint8(header.TCPProtocolNumber)
	protoUDP = uint8(header.UDPProtocolNumber)
)

// flow names one connection as the function sees it.
type flow struct {
	// from is the function's address and port, to those it wants to reach.
	from, to netip.AddrPort
}

// packet is one TCP or UDP packet of a function. Its slices are those of the buffer it was read into.
type packet struct {
	flow
	proto uint8
	// raw is the whole packet, segment the part from the TCP or UDP header on.
	raw, segment []byte
}

// parsePacket takes TCP and UDP packets and nothing else. Fragments, IPv4 options and IPv6 extension headers are refused: what a function can send
// without them is all that a program needs, and every one of them is a place where the address that is looked at and the one that counts may differ.
func parsePacket(b []byte) (packet, bool) {
	if len(b) == 0 {
		return packet{}, false
	}
	p := packet{raw: b}
	var from, to netip.Addr
	switch b[0] >> 4 {
	case 4:
		ip := header.IPv4(b)
		if len(b) < header.IPv4MinimumSize || ip.HeaderLength() != header.IPv4MinimumSize || ip.More() || ip.FragmentOffset() != 0 {
			return packet{}, false
		}
		size := int(ip.TotalLength())
		if size < header.IPv4MinimumSize || size > len(b) {
			return packet{}, false
		}
		p.raw, p.segment, p.proto = b[:size], b[header.IPv4MinimumSize:size], ip.Protocol()
		from, to = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	case 6:
		ip := header.IPv6(b)
		if len(b) < header.IPv6MinimumSize {
			return packet{}, false
		}
		size := header.IPv6MinimumSize + int(ip.PayloadLength())
		if size > len(b) {
			return packet{}, false
		}
		p.raw, p.segment, p.proto = b[:size], b[header.IPv6MinimumSize:size], ip.NextHeader()
		from, to = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return packet{}, false
	}
	if !p.wholeHeader() {
		return packet{}, false
	}
	p.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(p.segment))
	p.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(p.segment[2:]))
	return p, true
}

// wholeHeader says whether the segment begins with a complete header of its protocol, and ends where that says.
func (p packet) wholeHeader() bool {
	switch p.proto {
	case protoTCP:
		if len(p.segment) < header.TCPMinimumSize {
			return false
		}
		size := int(header.TCP(p.segment).DataOffset())
		return size >= header.TCPMinimumSize && size <= len(p.segment)
	case protoUDP:
		return len(p.segment) >= header.UDPMinimumSize && int(header.UDP(p.segment).Length()) == len(p.segment)
	}
	return false
}

// asksToConnect says whether it is a TCP segment that opens a connection.
func (p packet) asksToConnect() bool {
	const mask = header.TCPFlagSyn | header.TCPFlagAck | header.TCPFlagRst | header.TCPFlagFin
	return p.proto == protoTCP && header.TCP(p.segment).Flags()&mask == header.TCPFlagSyn
}

// carries is how many bytes of data a TCP segment has.
func (p packet) carries() int { return len(p.segment) - int(header.TCP(p.segment).DataOffset()) }

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// headerSize is the length of an IP header, without options, of a's kind.
func headerSize(a netip.Addr) int {
	if a.Is4() {
		return header.IPv4MinimumSize
	}
	return header.IPv6MinimumSize
}

// putIP writes the IP header of a packet that fills b.
func putIP(b []byte, proto uint8, from, to netip.Addr) {
	if from.Is4() {
		ip := header.IPv4(b)
		ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(b)), Flags: header.IPv4FlagDontFragment, TTL: 64, Protocol: proto,
			SrcAddr: address(from), DstAddr: address(to)})
		ip.SetChecksum(^ip.CalculateChecksum())
		return
	}
	header.IPv6(b).Encode(&header.IPv6Fields{PayloadLength: uint16(len(b) - header.IPv6MinimumSize),
		TransportProtocol: tcpip.TransportProtocolNumber(proto), HopLimit: 64, SrcAddr: address(from), DstAddr: address(to)})
}

// putUDP makes b a datagram from f.to to f.from. What is to be sent stands in b already, behind room for the headers.
func putUDP(b []byte, f flow) {
	n := headerSize(f.to.Addr())
	putIP(b, protoUDP, f.to.Addr(), f.from.Addr())
	u := header.UDP(b[n:])
	u.Encode(&header.UDPFields{SrcPort: f.to.Port(), DstPort: f.from.Port(), Length: uint16(len(u))})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, address(f.to.Addr()), address(f.from.Addr()), uint16(len(u)))
	sum = ^checksum.Checksum(u, sum)
	if sum == 0 {
		sum = 0xffff // zero means that there is no checksum
	}
	u.SetChecksum(sum)
}

// reset answers a segment that asks to connect as a host does on which nobody listens.
func reset(syn packet) []byte {
	seg := header.TCP(syn.segment)
	n := headerSize(syn.to.Addr())
	b := make([]byte, n+header.TCPMinimumSize)
	putIP(b, protoTCP, syn.to.Addr(), syn.from.Addr())
	t := header.TCP(b[n:])
	t.Encode(&header.TCPFields{SrcPort: syn.to.Port(), DstPort: syn.from.Port(), DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagRst | header.TCPFlagAck,
		AckNum: seg.SequenceNumber() + 1 + uint32(len(seg.Payload()))})
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, address(syn.to.Addr()), address(syn.from.Addr()), header.TCPMinimumSize)
	t.SetChecksum(^checksum.Checksum(t, sum))
	return b
}

// unreached is why a packet did not reach its destination, as ICMP says it.
type unreached int

const (
	noRoute    unreached = iota // ENETUNREACH
	noHost                      // EHOSTUNREACH
	noPort                      // ECONNREFUSED on a connected UDP socket
	prohibited                  // EHOSTUNREACH on UDP sockets too, which do not hear of noHost; with IPv6 EACCES
)

func (u unreached) code4() header.ICMPv4Code {
	return [...]header.ICMPv4Code{header.ICMPv4NetUnreachable, header.ICMPv4HostUnreachable, header.ICMPv4PortUnreachable, header.ICMPv4AdminProhibited}[u]
}

func (u unreached) code6() header.ICMPv6Code {
	return [...]header.ICMPv6Code{header.ICMPv6NetworkUnreachable, header.ICMPv6AddressUnreachable, header.ICMPv6PortUnreachable, header.ICMPv6Prohibited}[u]
}

// maxQuote is how much of a packet an answer quotes: the headers of any packet that a function can send. The kernel finds the socket by them, and for
// TCP does not believe an answer whose sequence number is wrong.
const maxQuote = header.IPv6MinimumSize + header.TCPHeaderMaximumSize

// unreachable answers the packet raw, which need not be complete behind its headers.
func unreachable(raw []byte, why unreached) []byte {
	quote := raw[:min(len(raw), maxQuote)]
	if raw[0]>>4 == 4 {
		const n = header.IPv4MinimumSize
		b := make([]byte, n+header.ICMPv4MinimumSize+len(quote))
		putIP(b, uint8(header.ICMPv4ProtocolNumber), gateway4(), netip.AddrFrom4([4]byte(raw[12:16])))
		m := header.ICMPv4(b[n:])
		m.SetType(header.ICMPv4DstUnreachable)
		m.SetCode(why.code4())
		copy(b[n+header.ICMPv4MinimumSize:], quote)
		m.SetChecksum(^checksum.Checksum(m, 0))
		return b
	}
	const n = header.IPv6MinimumSize
	b := make([]byte, n+header.ICMPv6MinimumSize+len(quote))
	to := netip.AddrFrom16([16]byte(raw[8:24]))
	putIP(b, uint8(header.ICMPv6ProtocolNumber), gateway6(), to)
	m := header.ICMPv6(b[n:])
	m.SetType(header.ICMPv6DstUnreachable)
	m.SetCode(why.code6())
	copy(b[n+header.ICMPv6MinimumSize:], quote)
	sum := header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber, address(gateway6()), address(to), uint16(len(m)))
	m.SetChecksum(^checksum.Checksum(m, sum))
	return b
}

// sentUDP makes the headers of a datagram of f as the function sent them, for an answer to quote that comes long afterwards.
func sentUDP(f flow) []byte {
	n := headerSize(f.from.Addr())
	b := make([]byte, n+header.UDPMinimumSize)
	putIP(b, protoUDP, f.from.Addr(), f.to.Addr())
	header.UDP(b[n:]).Encode(&header.UDPFields{SrcPort: f.from.Port(), DstPort: f.to.Port(), Length: header.UDPMinimumSize})
	return b
}

// The two ends of the device. They are made of constants, so that parsing them cannot fail.
func gateway4() netip.Addr  { return netip.MustParseAddr(sandbox.TunnelGateway) }
func gateway6() netip.Addr  { return netip.MustParseAddr(sandbox.TunnelGateway6) }
func function4() netip.Addr { return netip.MustParsePrefix(sandbox.TunnelAddress).Addr() }
func function6() netip.Addr { return netip.MustParsePrefix(sandbox.TunnelAddress6).Addr() }
