package relay

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestNames(t *testing.T) {
	for _, uid := range uids() {
		w := newWorld(t, Config{Names: func(name string) (netip.Addr, bool) {
			return netip.MustParseAddr("127.0.0.1"), strings.HasSuffix(name, ".amazonaws.com")
		}})
		w.known["db.example"] = addrs("203.0.113.7", "2001:db8::7", "2001:db8::8")
		w.known["v4.example"] = addrs("203.0.113.8")
		w.is("[2001:db8::7]:1", "") // the host has a route to it, and none to the other
		ask := w.names.route
		w.names.route = func(a netip.Addr) (route, error) {
			if a == netip.MustParseAddr("2001:db8::8") {
				return routeNone, nil
			}
			return ask(a)
		}
		expect(t, run(t, w.Relay, uid, probeName, "lookup", "ip", "db.example", "v4.example", "none.example", "sqs.eu-west-1.amazonaws.com"),
			"db.example 203.0.113.7 2001:db8::7: done", "v4.example 203.0.113.8: done", "none.example: not found",
			"sqs.eu-west-1.amazonaws.com 127.0.0.1: done")
		expect(t, run(t, w.Relay, uid, probeName, "lookup", "ip6", "db.example"), "db.example 2001:db8::7: done")
	}
}

// nameServer answers questions for texts with n of them, over UDP and TCP at one port. Over UDP it says no more than that there are too many.
func nameServer(t *testing.T, n int) netip.AddrPort {
	t.Helper()
	tcp, udp := samePort(t)
	answer := func(question []byte, truncated bool) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(question); err != nil {
			t.Error(err)
			return nil
		}
		m.Response, m.Truncated, m.Additionals = true, truncated, nil
		for i := range n {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET},
				Body: &dnsmessage.TXTResource{TXT: []string{fmt.Sprintf("%d %s", i, strings.Repeat("x", 100))}}})
		}
		if truncated {
			m.Answers = nil
		}
		b, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return b
	}
	serveOn(t, tcp, func(c *net.TCPConn) {
		if q, err := readStream(c, maxQuestion); err == nil {
			_ = writeStream(c, answer(q, false))
		}
	})
	done := make(chan struct{})
	t.Cleanup(func() { udp.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 2000)
		for {
			size, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			forged := answer(b[:size], false) // which was not asked for: another number
			binary.BigEndian.PutUint16(forged, binary.BigEndian.Uint16(forged)+1)
			_, _ = udp.WriteTo(forged, from)
			_, _ = udp.WriteTo(answer(b[:size], n > 10), from)
		}
	}()
	return netip.MustParseAddrPort(udp.LocalAddr().String())
}

// samePort listens for both protocols at one port.
func samePort(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if udp, err := net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for both protocols")
	return nil, nil
}

func TestOtherTypesGoToTheHostsServers(t *testing.T) {
	w := newWorld(t, Config{})
	dead, few, many := netip.MustParseAddrPort(unused(t)), nameServer(t, 2), nameServer(t, 200)
	w.names.servers = func() []netip.AddrPort { return []netip.AddrPort{dead, few} }
	expect(t, run(t, w.Relay, uids()[0], probeName, "txt", "texts.example"), "2 0 "+strings.Repeat("x", 100), "txt: done")
	// 20 kB: cut off on both ways over UDP, whole over TCP.
	w.names.servers = func() []netip.AddrPort { return []netip.AddrPort{many} }
	expect(t, run(t, w.Relay, uids()[0], probeName, "txt", "texts.example"), "200 0 "+strings.Repeat("x", 100), "txt: done")
}

func TestAllowedHosts(t *testing.T) {
	here := serve(t, "127.0.0.1:0", hello("from the host"))
	port := netip.MustParseAddrPort(here).Port()
	w := newWorld(t, Config{Allow: []string{
		fmt.Sprintf("localhost:%d", port), fmt.Sprintf("db.test:%d", port), fmt.Sprintf("169.254.1.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port),
	}})
	w.known["db.test"] = addrs("127.0.0.1")
	w.known["elsewhere.test"] = addrs("169.254.1.1", "169.254.1.2")
	local := fmt.Sprintf("127.0.0.1:%d", port)
	if got := w.Local(); len(got) != 1 || got[0] != local {
		t.Fatalf("to listen at: %v", got)
	}
	w.is(fmt.Sprintf("169.254.1.1:%d", port), here)
	w.is(fmt.Sprintf("169.254.1.2:%d", port), here)
	uid := uids()[0]
	// A name that means the host's loopback reaches it through the relay; the same name at another port does not.
	expect(t, run(t, w.Relay, uid, probeName, "line", fmt.Sprintf("db.test:%d", port)), "from the host", "line: done")
	expect(t, run(t, w.Relay, uid, probeName, "connect", "tcp", "db.test:1", fmt.Sprintf("169.254.1.1:%d", port), fmt.Sprintf("169.254.1.2:%d", port),
		"169.254.1.1:1"),
		"db.test:1: ECONNREFUSED", fmt.Sprintf("169.254.1.1:%d: done", port), fmt.Sprintf("169.254.1.2:%d: ECONNREFUSED", port),
		"169.254.1.1:1: ECONNREFUSED")
	// What is joined on the sandbox's own loopback.
	join := func(addr string, wrap func(net.Conn) net.Conn) string {
		outer := serve(t, "127.0.0.1:0", func(c *net.TCPConn) { w.Join(context.Background(), wrap(c), addr) })
		c, err := net.Dial("tcp", outer)
		if err != nil {
			return err.Error() // the reset may be that fast
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	plain := func(c net.Conn) net.Conn { return c }
	wrapped := func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }
	if got := join(local, wrapped); got != "from the host\n" {
		t.Errorf("joined, wrapped: %q", got)
	}
	if got := join(local, plain); got != "from the host\n" {
		t.Errorf("joined: %q", got)
	}
	if got := join("127.0.0.1:1", plain); !strings.Contains(got, "reset") {
		t.Errorf("an address that is not allowed: %q", got)
	}
}

func TestNameOfLoopbackIsRefused(t *testing.T) {
	w := newWorld(t, Config{})
	w.known["rebind.test"] = addrs("169.254.169.254")
	w.known["self.test"] = addrs("127.0.0.1")
	_, port, _ := net.SplitHostPort(serve(t, "127.0.0.1:0", echo))
	expect(t, run(t, w.Relay, uids()[0], probeName, "connect", "tcp", "rebind.test:80", "self.test:"+port),
		"rebind.test:80: ECONNREFUSED", "self.test:"+port+": ECONNREFUSED")
}
