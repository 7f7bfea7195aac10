package relay

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"croft/internal/clock"
)

func segment(from, to string, flags header.TCPFlags) []byte {
	f := flow{from: netip.MustParseAddrPort(from), to: netip.MustParseAddrPort(to)}
	n := headerSize(f.from.Addr())
	b := make([]byte, n+header.TCPMinimumSize)
	putIP(b, protoTCP, f.from.Addr(), f.to.Addr())
	header.TCP(b[n:]).Encode(&header.TCPFields{SrcPort: f.from.Port(), DstPort: f.to.Port(), SeqNum: 7, DataOffset: header.TCPMinimumSize, Flags: flags})
	return b
}

func changed(b []byte, at int, value ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], value)
	return b
}

func TestPacketsThatAreNotTaken(t *testing.T) {
	four, six := segment("198.18.0.1:1000", "203.0.113.1:80", header.TCPFlagSyn), segment("[fd00:c10f::1]:1000", "[2001:db8::1]:80", header.TCPFlagSyn)
	for _, b := range [][]byte{four, six} {
		if p, ok := parsePacket(append(bytes.Clone(b), 1, 2, 3)); !ok || !bytes.Equal(p.raw, b) || !p.asksToConnect() || p.to.Port() != 80 || p.from.Port() != 1000 {
			t.Fatalf("%x: %+v", b, p)
		}
		for n := range b {
			if _, ok := parsePacket(b[:n]); ok {
				t.Errorf("%d bytes of %d are a packet", n, len(b))
			}
		}
	}
	for name, b := range map[string][]byte{
		"another version": changed(four, 0, 0x55), "options": changed(four, 0, 0x46), "more fragments": changed(four, 6, 0x20), "a last fragment": changed(four, 7, 1),
		"too short by its own word": changed(four, 2, 0, 19), "longer than it is": changed(four, 2, 1, 0), "ICMP": changed(four, 9, 1), "SCTP": changed(four, 9, 132),
		"data before the header's end": changed(four, 32, 0x40), "data beyond the end": changed(four, 32, 0xf0), "IPv6 fragment": changed(six, 6, 44),
		"IPv6 routing": changed(six, 6, 43), "IPv6 longer than it is": changed(six, 4, 1), "UDP of another length": changed(four, 9, 17),
	} {
		if _, ok := parsePacket(b); ok {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAnswersAreWhole(t *testing.T) {
	for _, ends := range [][2]string{{"198.18.0.1:1000", "203.0.113.1:80"}, {"[fd00:c10f::1]:1000", "[2001:db8::1]:80"}} {
		syn := segment(ends[0], ends[1], header.TCPFlagSyn)
		p, _ := parsePacket(syn)
		back, ok := parsePacket(reset(p))
		if !ok || back.from != p.to || back.to != p.from {
			t.Fatalf("reset: %+v", back)
		}
		if seg := header.TCP(back.segment); seg.Flags() != header.TCPFlagRst|header.TCPFlagAck || seg.AckNumber() != 8 {
			t.Errorf("flags %v, acknowledged %d", seg.Flags(), seg.AckNumber())
		}
		for _, why := range []unreached{noRoute, noHost, noPort, prohibited} {
			if b := unreachable(syn, why); !bytes.HasSuffix(b, syn) {
				t.Errorf("%x does not quote the whole segment", b)
			}
		}
		b := make([]byte, headerSize(p.to.Addr())+header.UDPMinimumSize+5)
		putUDP(b, p.flow)
		if d, ok := parsePacket(b); !ok || d.from != p.to || d.to != p.from || len(d.segment) != header.UDPMinimumSize+5 {
			t.Errorf("datagram: %x", b)
		}
	}
}

func TestOddQuestions(t *testing.T) {
	n := &names{clock: clock.Real(), host: func(context.Context, string) ([]netip.Addr, error) {
		var many []netip.Addr
		for i := range 100 {
			many = append(many, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
		}
		return many, nil
	}, allow: &allowed{}, route: func(netip.Addr) (route, error) { return routeOut, nil }, servers: func() []netip.AddrPort { return nil }}
	const plain = "00070100000100000000000001780000010001"
	for _, c := range []struct {
		name, question string
		code           dnsmessage.RCode
		answers        int
		truncated      bool
	}{
		{"plain, too long", plain, dnsmessage.RCodeSuccess, 0, true},
		{"with EDNS", "00070100000100000000000101780000010001" + "00002910000000000000" + "00", dnsmessage.RCodeSuccess, maxAddresses, false},
		{"no question", "000701000000000000000000", dnsmessage.RCodeFormatError, 0, false},
		{"two questions", "0007010000020000000000000178000001000101780000010001", dnsmessage.RCodeFormatError, 0, false},
		{"an update", "00072900000100000000000001780000010001", dnsmessage.RCodeNotImplemented, 0, false},
		{"a transfer", "00070100000100000000000001780000fc0001", dnsmessage.RCodeNotImplemented, 0, false},
		{"class CHAOS", "00070100000100000000000001780000100003", dnsmessage.RCodeRefused, 0, false},
		{"no server for other types", "00070100000100000000000001780000100001", dnsmessage.RCodeServerFailure, 0, false},
	} {
		question, err := hex.DecodeString(c.question)
		if err != nil {
			t.Fatal(c.name, err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(n.answer(t.Context(), question, 0)); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if m.ID != 7 || !m.Response || m.RCode != c.code || len(m.Answers) != c.answers || m.Truncated != c.truncated {
			t.Errorf("%s: %v, %d answers, truncated %v", c.name, m.RCode, len(m.Answers), m.Truncated)
		}
	}
	for _, nothing := range []string{"", "00", "000781000001000000000000" + "01780000010001"} {
		question, _ := hex.DecodeString(nothing)
		if b := n.answer(t.Context(), question, 0); b != nil {
			t.Errorf("%s is answered: %x", nothing, b)
		}
	}
	if n.answer(t.Context(), make([]byte, maxQuestion+1), 0) != nil {
		t.Error("a question of any length is answered")
	}
}

func TestNameServers(t *testing.T) {
	got := parseServers(bytes.NewBufferString("# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver fe80::1%eth0\nnameserver 1.1.1.1\nnameserver 8.8.8.8\n"))
	if sprint(got) != "[10.0.0.1:53 [fe80::1%eth0]:53 1.1.1.1:53]" {
		t.Errorf("%v", got)
	}
}

func FuzzQuestion(f *testing.F) {
	for _, s := range []string{"00070100000100000000000101780000010001000029100000000000000000", "0007010000010000000000000378787800001c0001"} {
		b, _ := hex.DecodeString(s)
		f.Add(b, 0)
		f.Add(b, 65535)
	}
	n := &names{clock: clock.Real(), host: func(_ context.Context, name string) ([]netip.Addr, error) {
		if len(name)%2 == 0 {
			return nil, &net.DNSError{IsNotFound: true}
		}
		return []netip.Addr{gateway4(), gateway6()}, nil
	}, allow: &allowed{}, route: func(netip.Addr) (route, error) { return routeOut, nil }, servers: func() []netip.AddrPort { return nil }}
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit &= 0xffff
		if limit != 0 {
			limit = 65535
		}
		answer := n.answer(t.Context(), b, limit)
		if answer == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Fatalf("%x: %v", answer, err)
		}
		if !m.Response || len(answer) > max(limit, maxAnswer) {
			t.Fatalf("%x", answer)
		}
	})
}

// FuzzPackets gives a link anything, with the stack behind it.
func FuzzPackets(f *testing.F) {
	f.Add(segment("198.18.0.1:1000", "203.0.113.1:80", header.TCPFlagSyn), []byte{})
	f.Add(segment("[fd00:c10f::1]:1000", "[2001:db8::1]:80", header.TCPFlagSyn), segment("[fd00:c10f::1]:1000", "[2001:db8::1]:80", header.TCPFlagAck))
	f.Add(sentUDP(flow{from: netip.MustParseAddrPort("198.18.0.1:1000"), to: netip.MustParseAddrPort("198.18.0.2:53")}), []byte{})
	r, err := New(Config{Clock: clock.Real()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(r.Close)
	r.dial = func(context.Context, netip.AddrPort) (*net.TCPConn, error) { return nil, unix.ECONNREFUSED }
	r.dialUDP = func(netip.AddrPort) (*net.UDPConn, error) { return nil, unix.EHOSTUNREACH }
	r.names.host = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("nobody is asked") }
	r.names.servers = func() []netip.AddrPort { return nil }
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		f.Fatal(err)
	}
	out := os.NewFile(uintptr(pair[1]), "function")
	f.Cleanup(func() { out.Close() })
	l := r.Attach(os.NewFile(uintptr(pair[0]), "device"))
	stack := l.network()
	f.Fuzz(func(_ *testing.T, first, second []byte) {
		for _, b := range [][]byte{first, second} {
			l.take(b)
			if len(b) > 0 { // the stack sees connections that were let through alone; here it sees everything
				stack.take(b)
			}
		}
	})
}
